#include "common/template.h"
#include "common/merkle.h"

#include <otedama/sha256.h>

#define SCRIPT_MIN  2 /* consensus: the coinbase's script has 2 to 100 bytes */
#define SCRIPT_MAX  100
#define OP_PUSH_MAX 75

void btc_template_free(const struct btc_host *host, struct otd_template *t)
{
	if (!t)
		return;
	btc_free(host, t->branches);
	btc_free(host, t->body);
	btc_free(host, t);
}

void btc_template_commit(struct otd_template *t, const uint8_t commitment[32])
{
	static const uint8_t head[6] = {0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed};
	memcpy(t->commitment, head, sizeof(head));
	memcpy(t->commitment + sizeof(head), commitment, 32);
	t->commitment_len = sizeof(head) + 32;
	t->segwit = true;
}

size_t btc_height_push(uint8_t out[9], uint64_t height)
{
	if (height == 0) {
		out[0] = 0; /* OP_0 */
		return 1;
	}
	if (height <= 16) {
		out[0] = (uint8_t)(0x50 + height); /* OP_1 .. OP_16 */
		return 1;
	}
	size_t n = 0;
	for (; height && n < 8; height >>= 8)
		out[1 + n++] = (uint8_t)height;
	if (out[n] & 0x80 && n < 8)
		out[1 + n++] = 0; /* the top bit is the sign of a script number */
	out[0] = (uint8_t)n;
	return 1 + n;
}

/*
 * The script up to the extranonce. Tag and extranonce are pushes: as bare bytes they would count as
 * signature operations wherever they happen to look like one. *total: with the extranonce.
 */
static otd_rc script_head(const struct btc_host *host, uint8_t script[SCRIPT_MAX], size_t *len,
			  size_t *total, uint64_t height, const struct otd_chain_coinbase *cb)
{
	size_t n = btc_height_push(script, height);
	size_t open = cb->extranonce_len ? 1 + (size_t)cb->extranonce_len : 0;
	if (cb->extranonce_len > OP_PUSH_MAX || n + open > SCRIPT_MAX)
		return btc_fail(host, OTD_E_RANGE,
				"an extranonce of %u bytes does not fit into a coinbase; use at "
				"most %d",
				cb->extranonce_len, OP_PUSH_MAX);
	size_t room = SCRIPT_MAX - n - open;
	size_t tag = cb->tag.len > OP_PUSH_MAX ? OP_PUSH_MAX : cb->tag.len;
	if (tag && tag + 1 > room)
		tag = room > 1 ? room - 1 : 0;
	if (tag) {
		script[n++] = (uint8_t)tag;
		memcpy(script + n, cb->tag.ptr, tag);
		n += tag;
	}
	if (open)
		script[n++] = (uint8_t)cb->extranonce_len;
	while (n + cb->extranonce_len < SCRIPT_MIN)
		script[n++] = 0; /* OP_0, as nodes pad it at the heights of one byte */
	*len = n;
	*total = n + cb->extranonce_len;
	return OTD_OK;
}

static const struct otd_chain_payee *payee(const struct otd_chain_coinbase *cb, size_t i)
{
	return (const struct otd_chain_payee *)((const uint8_t *)cb->payees + i * cb->payee_stride);
}

/* What the payee without a value gets; every unit of the template's value must be paid. */
static otd_rc split_value(const struct btc_host *host, otd_i128 *rest, const struct otd_template *t,
			  const struct otd_chain_coinbase *cb)
{
	otd_i128 sum = 0;
	size_t open = 0;
	for (size_t i = 0; i < cb->n_payees; i++) {
		const struct otd_chain_payee *p = payee(cb, i);
		if (p->value == -1)
			open++;
		else if (p->value < 0 || otd_i128_add(&sum, sum, p->value))
			return btc_fail(host, OTD_E_INVALID, "coinbase output %zu is negative", i);
	}
	if (cb->n_payees == 0 || open > 1)
		return btc_fail(host, OTD_E_INVALID,
				"a coinbase needs a payee, and at most one without a value");
	if (sum > t->info.value)
		return btc_fail(host, OTD_E_OVERFLOW,
				"the coinbase's outputs are more than the block may pay");
	*rest = t->info.value - sum;
	if (!open && *rest)
		return btc_fail(
			host, OTD_E_INVALID,
			"the coinbase's outputs would leave a part of the reward to nobody");
	return OTD_OK;
}

static void put_outputs(struct btc_buf *b, const struct otd_template *t,
			const struct otd_chain_coinbase *cb, otd_i128 rest)
{
	btc_put_varint(b, cb->n_payees + (t->segwit ? 1 : 0));
	for (size_t i = 0; i < cb->n_payees; i++) {
		const struct otd_chain_payee *p = payee(cb, i);
		btc_put_u64(b, (uint64_t)(p->value == -1 ? rest : p->value));
		btc_put_varint(b, p->script.len);
		btc_put(b, p->script.ptr, p->script.len);
	}
	if (t->segwit) {
		btc_put_u64(b, 0);
		btc_put_varint(b, t->commitment_len);
		btc_put(b, t->commitment, t->commitment_len);
	}
}

otd_rc btc_job(const struct btc_host *host, const struct otd_template *t,
	       const struct otd_chain_coinbase *cb, struct otd_chain_job *out)
{
	static const uint8_t null_outpoint[36] = {[32] = 0xff, 0xff, 0xff, 0xff};
	uint8_t script[SCRIPT_MAX];
	size_t head, total;
	otd_i128 rest;
	struct btc_buf one, two;
	btc_buf_init(&one, host);
	btc_buf_init(&two, host);
	otd_rc rc = script_head(host, script, &head, &total, t->info.height, cb);
	if (rc == OTD_OK)
		rc = split_value(host, &rest, t, cb);
	if (rc)
		return rc;
	btc_put_u32(&one, 2);
	btc_put_varint(&one, 1);
	btc_put(&one, null_outpoint, sizeof(null_outpoint));
	btc_put_varint(&one, total);
	btc_put(&one, script, head);
	btc_put_u32(&two, 0xffffffff);
	put_outputs(&two, t, cb, rest);
	btc_put_u32(&two, 0);
	if (one.failed || two.failed) {
		rc = btc_fail(host, OTD_E_NOMEM, "no memory for a coinbase");
		goto out;
	}
	/* All three, so that the host learns every length at once. */
	otd_rc a = btc_give(&out->coinbase1, one.ptr, one.len);
	otd_rc b = btc_give(&out->coinbase2, two.ptr, two.len);
	otd_rc c = btc_give(&out->branches, t->branches, (size_t)t->n_branches * 32);
	rc = a ? a : b ? b : c;
out:
	btc_buf_finish(&one);
	btc_buf_finish(&two);
	return rc;
}

otd_rc btc_assemble(const struct btc_host *host, const struct otd_template *t,
		    struct otd_span header, struct otd_span coinbase, struct otd_buf *block)
{
	static const uint8_t witness[34] = {0x01, 0x20}; /* one item: 32 zero bytes */
	if (header.len != BTC_HEADER_LEN || coinbase.len < 60)
		return btc_fail(host, OTD_E_INVALID, "a header of %zu and a coinbase of %zu bytes",
				header.len, coinbase.len);
	uint8_t id[32], root[32];
	otd_sha256d(id, coinbase.ptr, coinbase.len);
	btc_merkle_climb(root, id, t->branches, t->n_branches);
	if (memcmp(root, header.ptr + 36, 32) != 0 || memcmp(t->info.prev, header.ptr + 4, 32) != 0)
		return btc_fail(host, OTD_E_INVALID,
				"header and coinbase do not belong to this template");

	struct btc_buf b;
	btc_buf_init(&b, host);
	btc_put_varint(&b, (uint64_t)t->info.n_tx + 1);
	size_t count_len = b.len;
	block->len = header.len + count_len + coinbase.len + t->body_len +
		     (t->segwit ? 2 + sizeof(witness) : 0);
	otd_rc rc = b.failed ? OTD_E_NOMEM : block->len > block->cap ? OTD_E_RANGE : OTD_OK;
	if (rc == OTD_OK) {
		uint8_t *p = block->ptr;
		memcpy(p, header.ptr, header.len);
		p += header.len;
		memcpy(p, b.ptr, count_len);
		p += count_len;
		memcpy(p, coinbase.ptr, 4); /* version; then the marker and flag of BIP 144 */
		p += 4;
		if (t->segwit) {
			*p++ = 0;
			*p++ = 1;
		}
		memcpy(p, coinbase.ptr + 4, coinbase.len - 8);
		p += coinbase.len - 8;
		if (t->segwit) {
			memcpy(p, witness, sizeof(witness));
			p += sizeof(witness);
		}
		memcpy(p, coinbase.ptr + coinbase.len - 4, 4); /* lock time */
		p += 4;
		if (t->body_len)
			memcpy(p, t->body, t->body_len);
	}
	btc_buf_finish(&b);
	return rc;
}

/* --- to another process --- */

#define SAVED_VERSION 1 /* of the head; a reader takes this one and those before it */

otd_rc btc_template_save(const struct btc_host *host, const struct otd_template *t,
			 struct otd_buf *head, struct otd_buf *body)
{
	const struct otd_chain_template *i = &t->info;
	size_t id_len = strnlen(i->longpoll_id, sizeof(i->longpoll_id) - 1);
	struct btc_buf b;
	btc_buf_init(&b, host);
	btc_put_u8(&b, SAVED_VERSION);
	btc_put_u8(&b, t->segwit ? 1 : 0);
	btc_put_u64(&b, i->height);
	btc_put(&b, i->prev, sizeof(i->prev));
	btc_put(&b, i->target, sizeof(i->target));
	btc_put_u32(&b, i->version);
	btc_put_u32(&b, i->nbits);
	btc_put_u64(&b, (uint64_t)i->time_s);
	btc_put_u64(&b, (uint64_t)i->min_time_s);
	btc_put_u64(&b, (uint64_t)i->value); /* of 63 bits, as on the wire */
	btc_put_u64(&b, (uint64_t)i->fees);
	btc_put_u32(&b, i->n_tx);
	btc_put_u8(&b, (uint8_t)id_len);
	btc_put(&b, i->longpoll_id, id_len);
	btc_put_u8(&b, (uint8_t)t->commitment_len);
	btc_put(&b, t->commitment, t->commitment_len);
	btc_put_u32(&b, t->n_branches);
	btc_put(&b, t->branches, (size_t)t->n_branches * 32);
	otd_rc rc = b.failed ? btc_fail(host, OTD_E_NOMEM, "no memory to save a template")
			     : btc_give(head, b.ptr, b.len);
	otd_rc too = b.failed ? OTD_OK : btc_give(body, t->body, t->body_len);
	btc_buf_finish(&b);
	return rc ? rc : too;
}

static void take_into(struct btc_reader *r, void *to, size_t n)
{
	const uint8_t *p = btc_take(r, n);
	if (p && n)
		memcpy(to, p, n);
}

static void read_saved(struct btc_reader *r, struct otd_template *t)
{
	struct otd_chain_template *i = &t->info;
	t->segwit = btc_get_u8(r) != 0;
	i->height = btc_get_u64(r);
	take_into(r, i->prev, sizeof(i->prev));
	take_into(r, i->target, sizeof(i->target));
	i->version = btc_get_u32(r);
	i->nbits = btc_get_u32(r);
	i->time_s = (int64_t)btc_get_u64(r);
	i->min_time_s = (int64_t)btc_get_u64(r);
	i->value = (otd_i128)(btc_get_u64(r) & INT64_MAX);
	i->fees = (otd_i128)(btc_get_u64(r) & INT64_MAX);
	i->n_tx = btc_get_u32(r);
	size_t id_len = btc_get_u8(r);
	if (id_len >= sizeof(i->longpoll_id))
		r->failed = true;
	else
		take_into(r, i->longpoll_id, id_len);
	t->commitment_len = btc_get_u8(r);
	if (t->commitment_len > sizeof(t->commitment))
		r->failed = true;
	else
		take_into(r, t->commitment, t->commitment_len);
}

static void *copy_of(const struct btc_host *host, const uint8_t *p, size_t n)
{
	void *to = btc_alloc(host, n ? n : 1);
	if (to && n)
		memcpy(to, p, n);
	return to;
}

otd_rc btc_template_load(const struct btc_host *host, struct otd_span head, struct otd_span body,
			 struct otd_chain_template *out)
{
	struct btc_reader r = {.ptr = head.ptr, .left = head.len};
	unsigned version = btc_get_u8(&r);
	if (r.failed || version != SAVED_VERSION)
		return btc_fail(host, OTD_E_VERSION,
				"a template was saved in form %u, this plugin knows %d", version,
				SAVED_VERSION);
	struct otd_template *t = btc_alloc(host, sizeof(*t));
	if (!t)
		return btc_fail(host, OTD_E_NOMEM, "no memory for a template");
	read_saved(&r, t);
	uint32_t n = btc_get_u32(&r);
	const uint8_t *branches = n <= r.left / 32 ? btc_take(&r, (size_t)n * 32) : NULL;
	otd_rc rc = OTD_OK;
	if (r.failed || !branches) {
		rc = btc_fail(host, OTD_E_CORRUPT, "a saved template is cut short");
	} else {
		t->n_branches = n;
		t->branches = copy_of(host, branches, (size_t)n * 32);
		t->body = copy_of(host, body.ptr, body.len);
		t->body_len = body.len;
		if (!t->branches || !t->body)
			rc = btc_fail(host, OTD_E_NOMEM, "no memory for a template");
	}
	if (rc) {
		btc_template_free(host, t);
		return rc;
	}
	t->info.handle = t;
	*out = t->info;
	return OTD_OK;
}
