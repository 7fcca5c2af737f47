#include "ledger.h"

#include <otedama/sha256.h>
#include <string.h>

enum { SCRIPT_MAX = 100, PREV = 4, ROOT = 36, TIME = 68, BITS = 72 };

void ledger_put(uint8_t *to, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

uint64_t ledger_get(const uint8_t *from, size_t n)
{
	uint64_t v = 0;
	while (n-- > 0)
		v = v << 8 | from[n];
	return v;
}

int64_t ledger_height_of(const struct ledger *l, const uint8_t hash[32])
{
	for (size_t i = l->n; i-- > 0;) {
		if (memcmp(l->block[i].hash, hash, 32) == 0)
			return (int64_t)i;
	}
	return -1;
}

/* Whether hash is at most target. */
static bool meets(const uint8_t hash[32], const uint8_t target[32])
{
	for (int i = 31; i >= 0; i--) {
		if (hash[i] != target[i])
			return hash[i] < target[i];
	}
	return true;
}

/* Sum of a coinbase's outputs; false where the bytes are none. Lengths are of one byte here. */
static bool coinbase_value(uint64_t *sum, const uint8_t *p, size_t n)
{
	size_t at = 4 + 1 + 36; /* version, one input, that of no transaction */
	size_t outputs;
	*sum = 0;
	if (n < at + 1 || p[4] != 1 || p[at] > SCRIPT_MAX || n - at < (size_t)p[at] + 1 + 4 + 1)
		return false;
	at += (size_t)p[at] + 1 + 4;
	outputs = p[at++];
	for (; outputs > 0; outputs--) {
		uint64_t value;
		if (n - at < 9 || p[at + 8] > 0xfc || n - at < 9 + (size_t)p[at + 8])
			return false;
		value = ledger_get(p + at, 8);
		if (__builtin_add_overflow(*sum, value, sum))
			return false;
		at += 9 + (size_t)p[at + 8];
	}
	return n - at == 4; /* the lock time */
}

const char *ledger_check(const struct ledger *l, struct otd_span block, const uint8_t pow[32],
			 int64_t now_s)
{
	const uint8_t *h = block.ptr;
	uint8_t root[32];
	uint64_t value;
	if (block.len < HEADER_LEN + 2 || h[HEADER_LEN] != 1)
		return "bad-length";
	if (memcmp(h + PREV, l->block[l->n - 1].hash, 32) != 0)
		return "bad-prevblk";
	if (ledger_get(h + BITS, 4) != l->bits)
		return "bad-diffbits";
	if (!meets(pow, l->target))
		return "high-hash";
	if ((int64_t)ledger_get(h + TIME, 4) > now_s + AHEAD_S)
		return "time-too-new";
	/* The only transaction's hash is the root of the tree. */
	otd_sha256d(root, h + HEADER_LEN + 1, block.len - HEADER_LEN - 1);
	if (memcmp(root, h + ROOT, 32) != 0)
		return "bad-txnmrklroot";
	if (!coinbase_value(&value, h + HEADER_LEN + 1, block.len - HEADER_LEN - 1))
		return "bad-cb";
	return value > l->subsidy ? "bad-cb-amount" : NULL;
}

/* Bytes into the host's buffer; too many are counted on. */
static void give(struct otd_buf *b, const void *p, size_t n)
{
	if (b->len + n <= b->cap)
		memcpy(b->ptr + b->len, p, n);
	b->len += n;
}

static void give_number(struct otd_buf *b, uint64_t v, size_t n)
{
	uint8_t bytes[8];
	ledger_put(bytes, v, n);
	give(b, bytes, n);
}

static const struct otd_chain_payee *payee(const struct otd_chain_coinbase *cb, size_t i)
{
	return (const void *)((const uint8_t *)cb->payees + i * cb->payee_stride);
}

/* What is left for the one payee without a value; -1 where the values cannot be. */
static otd_i128 rest_of(const struct ledger *l, const struct otd_chain_coinbase *cb)
{
	otd_i128 rest = l->subsidy;
	size_t open = 0;
	for (size_t i = 0; i < cb->n_payees; i++) {
		const struct otd_chain_payee *p = payee(cb, i);
		if (p->value < -1 || p->value > rest || p->script.len > 0xfc)
			return -1;
		open += p->value == -1;
		rest -= p->value == -1 ? 0 : p->value;
	}
	return open > 1 ? -1 : rest;
}

static otd_rc outputs(const struct ledger *l, const struct otd_chain_coinbase *cb,
		      struct otd_buf *b)
{
	otd_i128 rest = rest_of(l, cb);
	for (size_t i = 0; rest >= 0 && i < cb->n_payees; i++) {
		const struct otd_chain_payee *p = payee(cb, i);
		give_number(b, (uint64_t)(p->value == -1 ? rest : p->value), 8);
		give_number(b, p->script.len, 1);
		give(b, p->script.ptr, p->script.len);
	}
	return rest < 0 ? OTD_E_INVALID : OTD_OK;
}

otd_rc ledger_coinbase(const struct ledger *l, uint64_t height, const struct otd_chain_coinbase *cb,
		       struct otd_buf *one, struct otd_buf *two)
{
	static const uint8_t no_transaction[36] = {[32] = 0xff, 0xff, 0xff, 0xff};
	size_t tag = cb->tag.len;
	otd_rc rc;
	if (cb->n_payees == 0 || cb->n_payees > 0xfc || cb->extranonce_len > 32)
		return OTD_E_INVALID;
	if (tag > SCRIPT_MAX - 9 - cb->extranonce_len)
		tag = SCRIPT_MAX - 9 - cb->extranonce_len;
	one->len = two->len = 0;
	give_number(one, 1, 4); /* version */
	give_number(one, 1, 1);
	give(one, no_transaction, sizeof(no_transaction));
	give_number(one, 9 + tag + cb->extranonce_len, 1);
	give_number(one, 8, 1); /* height, pushed as 8 bytes: no two coinbases are alike */
	give_number(one, height, 8);
	give(one, cb->tag.ptr, tag);
	give_number(two, 0xffffffff, 4); /* sequence */
	give_number(two, cb->n_payees, 1);
	rc = outputs(l, cb, two);
	if (rc)
		return rc;
	give_number(two, 0, 4); /* lock time */
	return one->len > one->cap || two->len > two->cap ? OTD_E_RANGE : OTD_OK;
}
