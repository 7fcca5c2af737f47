/* ledger.c: a coinbase, and which blocks may stand upon the last one. */
#include <otedama/sha256.h>
#include <stdio.h>
#include <string.h>

#include "ledger.h"

static int failed;

static void check(int ok, const char *what)
{
	printf("%s: %s\n", what, ok ? "ok" : "WRONG");
	failed |= !ok;
}

static int refused(const struct ledger *l, const uint8_t *block, size_t n, const char *reason)
{
	const uint8_t pow[32] = {0};
	const char *why = ledger_check(l, (struct otd_span){block, n}, pow, 1000000);
	return reason ? why && strcmp(why, reason) == 0 : !why;
}

int main(void)
{
	struct ledger_block genesis = {.hash = {7}, .time_s = 1000000};
	struct ledger l = {.block = &genesis, .n = 1, .bits = 0x207fffff, .subsidy = 50};
	const struct otd_chain_payee payee[2] = {{{(const uint8_t *)"fees", 4}, 3},
						 {{(const uint8_t *)"pool", 4}, -1}};
	const struct otd_chain_coinbase cb = {.size = sizeof(cb),
					      .extranonce_len = 8,
					      .payees = payee,
					      .payee_stride = sizeof(payee[0]),
					      .n_payees = 2,
					      .tag = {(const uint8_t *)"/x/", 3}};
	uint8_t a[200], b[200], block[500] = {0}, *p = block + HEADER_LEN;
	struct otd_buf one = {a, 0, 1}, two = {b, 0, sizeof(b)};
	size_t n;
	memset(l.target, 0xff, 32);
	check(ledger_coinbase(&l, 1, &cb, &one, &two) == OTD_E_RANGE && one.len < sizeof(a),
	      "a short buffer is told how long");
	one.cap = sizeof(a);
	check(ledger_coinbase(&l, 1, &cb, &one, &two) == OTD_OK, "a coinbase");
	*p++ = 1;
	memcpy(p, a, one.len);
	memset(p + one.len, 0xee, 8);
	memcpy(p + one.len + 8, b, two.len);
	n = one.len + 8 + two.len;
	ledger_put(block, VERSION, 4);
	memcpy(block + 4, genesis.hash, 32);
	otd_sha256d(block + 36, p, n);
	ledger_put(block + 68, 1000001, 4);
	ledger_put(block + 72, l.bits, 4);
	n += HEADER_LEN + 1;
	check(refused(&l, block, n, NULL), "a good block");
	check(refused(&l, block, n - 1, "bad-txnmrklroot"), "one cut short");
	check(refused(&l, block, 20, "bad-length"), "one cut shorter");
	l.subsidy = 49;
	check(refused(&l, block, n, "bad-cb-amount"), "one that pays too much");
	l.subsidy = 50;
	memset(l.target, 0, 32);
	check(refused(&l, block, n, NULL), "work of exactly the target");
	check(ledger_check(&l, (struct otd_span){block, n}, (const uint8_t[32]){1}, 1000000) !=
		      NULL,
	      "too little work");
	block[4] ^= 1;
	check(refused(&l, block, n, "bad-prevblk"), "one on another block");
	return failed;
}
