/* Blocks before the chain that `otedama plugin new` writes: what it takes has a coinbase of at most the subsidy. */
#include "../../sdk/templates/chain/ledger.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint8_t pow[32];
	struct ledger_block last = {.time_s = 1};
	struct ledger l = {.block = &last, .n = 1, .subsidy = 50};
	uint8_t *block = malloc(n ? n : 1);
	uint64_t value;
	if (!block)
		return 0;
	memcpy(block, data, n);
	memset(l.target, 0xff, 32);
	if (n > HEADER_LEN + 1) {
		/* So that the fuzzer gets behind the sums that it cannot guess. */
		otd_sha256d(block + ROOT, block + HEADER_LEN + 1, n - HEADER_LEN - 1);
		memset(block + PREV, 0, 32);
		memset(block + TIME, 0, 8);
		block[HEADER_LEN] = 1;
	}
	if (!ledger_check(&l, (struct otd_span){block, n}, pow, 1) &&
	    (!coinbase_value(&value, block + HEADER_LEN + 1, n - HEADER_LEN - 1) || value > 50))
		abort();
	free(block);
	return 0;
}
