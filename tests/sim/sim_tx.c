/* Scripts and transactions of the simulated node, as bytes. */
#include "base/text.h"
#include "sim_internal.h"
#include "sim_node_own.h"

#include <otedama/sha256.h>
#include <stdlib.h>
#include <string.h>

/* --- scripts --- */

void sim_node_script(uint8_t script[SIM_NODE_SCRIPT], const char *label)
{
	uint8_t hash[32];
	otd_sha256(hash, label, strlen(label));
	script[0] = 0;
	script[1] = 20;
	memcpy(script + 2, hash, 20);
}

void sim_node_address(const struct sim_node *n, char out[96], const char *label)
{
	uint8_t script[SIM_NODE_SCRIPT];
	sim_node_script(script, label);
	if (otd_segwit_encode(out, 96, n->conf.hrp, 0, script + 2, 20))
		n_broken(n, "no address");
}

bool n_is_ours(const uint8_t *script, size_t len)
{
	static const char *const labels[] = {"change", "reward"};
	uint8_t own[SIM_NODE_SCRIPT];
	for (size_t i = 0; i < 2; i++) {
		sim_node_script(own, labels[i]);
		if (len == sizeof(own) && memcmp(own, script, len) == 0)
			return true;
	}
	return false;
}

/* --- transactions as bytes --- */

struct cursor {
	const uint8_t *p;
	size_t left;
	bool bad;
};

static uint64_t get(struct cursor *c, unsigned bytes)
{
	uint64_t v = 0;
	if (c->left < bytes) {
		c->bad = true;
		c->left = 0;
		return 0;
	}
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)c->p[i] << (8 * i);
	c->p += bytes;
	c->left -= bytes;
	return v;
}

static uint64_t get_count(struct cursor *c)
{
	uint64_t v = get(c, 1);
	return v < 0xfd ? v : get(c, v == 0xfd ? 2 : v == 0xfe ? 4 : 8);
}

static const uint8_t *get_bytes(struct cursor *c, uint64_t n)
{
	const uint8_t *p = c->p;
	if (c->left < n) {
		c->bad = true;
		c->left = 0;
		return NULL;
	}
	c->p += n;
	c->left -= (size_t)n;
	return p;
}

static void put(struct otd_bytes *b, uint64_t v, unsigned bytes)
{
	uint8_t p[8];
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
	(void)otd_bytes_add(b, p, bytes);
}

static void put_count(struct otd_bytes *b, uint64_t n)
{
	if (n >= 0xfd)
		put(b, 0xfd, 1);
	put(b, n, n < 0xfd ? 1 : 2);
}

/* What a signature of input i must be; not a real one, but of this transaction, input and script only. */
static void signature(uint8_t sig[71], uint8_t key[33], const struct ntx *t, size_t i,
		      const struct nout *spends)
{
	uint8_t bound[32 + 4 + N_MAX_SCRIPT] = {0}, hash[32];
	memcpy(bound, t->txid, 32);
	bound[32] = (uint8_t)i;
	bound[33] = (uint8_t)(i >> 8);
	memcpy(bound + 36, spends->script, spends->len);
	otd_sha256(hash, bound, sizeof(bound));
	memset(sig, 0x30, 71);
	memcpy(sig + 4, hash, 32);
	memcpy(sig + 38, hash, 32);
	sig[70] = 1;
	otd_sha256(hash, spends->script, spends->len);
	key[0] = 2;
	memcpy(key + 1, hash, 32);
}

static void put_body(struct otd_bytes *b, const struct ntx *t)
{
	put_count(b, t->n_in);
	for (size_t i = 0; i < t->n_in; i++) {
		(void)otd_bytes_add(b, t->in[i].txid, 32);
		put(b, t->in[i].index, 4);
		put_count(b, 0);
		put(b, t->in[i].sequence, 4);
	}
	put_count(b, t->n_out);
	for (size_t i = 0; i < t->n_out; i++) {
		put(b, (uint64_t)t->out[i].value, 8);
		put_count(b, t->out[i].len);
		(void)otd_bytes_add(b, t->out[i].script, t->out[i].len);
	}
}

void n_identify(struct ntx *t)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 1u << 20);
	put(&b, 2, 4);
	put_body(&b, t);
	put(&b, 0, 4);
	otd_sha256d(t->txid, b.ptr, b.len);
	otd_bytes_finish(&b);
}

uint8_t *n_sign(const struct sim_node *n, const struct ntx *t, size_t *len, bool *complete)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 1u << 20);
	put(&b, 2, 4);
	put(&b, 0x0100, 2);
	put_body(&b, t);
	*complete = true;
	for (size_t i = 0; i < t->n_in; i++) {
		uint8_t sig[71], key[33];
		const struct nout *o = n_out_of(n, &t->in[i], NULL);
		if (!o || !o->ours) {
			*complete = false;
			put_count(&b, 0);
			continue;
		}
		signature(sig, key, t, i, o);
		put_count(&b, 2);
		put_count(&b, sizeof(sig));
		(void)otd_bytes_add(&b, sig, sizeof(sig));
		put_count(&b, sizeof(key));
		(void)otd_bytes_add(&b, key, sizeof(key));
	}
	put(&b, 0, 4);
	*len = b.len;
	return b.ptr;
}

static bool read_inputs(struct ntx *t, struct cursor *c)
{
	t->n_in = (size_t)get_count(c);
	if (c->bad || t->n_in == 0 || t->n_in > 10000)
		return false;
	t->in = sim_new(t->n_in, sizeof(*t->in));
	for (size_t i = 0; i < t->n_in; i++) {
		const uint8_t *id = get_bytes(c, 32);
		if (id)
			memcpy(t->in[i].txid, id, 32);
		t->in[i].index = (uint32_t)get(c, 4);
		(void)get_bytes(c, get_count(c));
		t->in[i].sequence = (uint32_t)get(c, 4);
	}
	return !c->bad;
}

static bool read_outputs(struct ntx *t, struct cursor *c)
{
	t->n_out = (size_t)get_count(c);
	if (c->bad || t->n_out == 0 || t->n_out > 10000)
		return false;
	t->out = sim_new(t->n_out, sizeof(*t->out));
	for (size_t i = 0; i < t->n_out; i++) {
		struct nout *o = &t->out[i];
		o->value = (int64_t)get(c, 8);
		uint64_t len = get_count(c);
		const uint8_t *s = get_bytes(c, len);
		if (!s || len > N_MAX_SCRIPT || o->value < 0)
			return false;
		memcpy(o->script, s, (size_t)len);
		o->len = (uint32_t)len;
		o->ours = n_is_ours(s, (size_t)len);
	}
	return true;
}

struct ntx *n_tx_read(const uint8_t *raw, size_t len)
{
	size_t used;
	struct ntx *t = n_tx_read_first(&used, raw, len);
	if (t && used != len) {
		n_tx_free(t);
		return NULL;
	}
	return t;
}

struct ntx *n_tx_read_first(size_t *used, const uint8_t *raw, size_t len)
{
	struct ntx *t = sim_new(1, sizeof(*t));
	struct cursor c = {raw, len, false};
	bool witness = false;
	(void)get(&c, 4);
	if (c.left >= 2 && c.p[0] == 0 && c.p[1] == 1) {
		witness = true;
		(void)get(&c, 2);
	}
	bool ok = read_inputs(t, &c) && read_outputs(t, &c);
	size_t before = c.left;
	t->is_signed = witness;
	for (size_t i = 0; ok && witness && i < t->n_in; i++) {
		uint64_t items = get_count(&c);
		t->is_signed = t->is_signed && items == 2;
		for (; items && !c.bad; items--)
			(void)get_bytes(&c, get_count(&c));
	}
	size_t of_witness = witness ? before - c.left + 2 : 0;
	(void)get(&c, 4);
	if (!ok || c.bad) {
		n_tx_free(t);
		return NULL;
	}
	len -= c.left;
	*used = len;
	t->raw = sim_mem(len);
	memcpy(t->raw, raw, len);
	t->raw_len = len;
	t->vsize = (int64_t)(4 * (len - of_witness) + of_witness + 3) / 4;
	static const uint8_t nowhere[32];
	t->coinbase =
		t->n_in == 1 && t->in[0].index == 0xffffffff && !memcmp(t->in[0].txid, nowhere, 32);
	/* Scripts of inputs are not kept: those of a coinbase are what makes it another one. */
	if (t->coinbase && !witness)
		otd_sha256d(t->txid, raw, len);
	else
		n_identify(t);
	return t;
}

void n_tx_free(struct ntx *t)
{
	if (!t)
		return;
	free(t->raw);
	free(t->in);
	free(t->out);
	free(t);
}
