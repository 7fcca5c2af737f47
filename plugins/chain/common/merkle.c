#include "common/merkle.h"

#include <otedama/sha256.h>

uint32_t btc_branch_count(size_t n_tx)
{
	uint32_t n = 0;
	for (size_t leaves = n_tx + 1; leaves > 1; leaves = (leaves + 1) / 2)
		n++;
	return n;
}

otd_rc btc_merkle_branches(const struct btc_host *host, uint8_t *branches, const uint8_t *ids,
			   size_t n_tx)
{
	/* Two rows in turn: the kernels do not promise to work in place. */
	uint8_t *rows = btc_alloc(host, 2 * (n_tx + 2) * 32);
	if (!rows)
		return btc_fail(host, OTD_E_NOMEM, "no memory for %zu merkle leaves", n_tx);
	uint8_t *row = rows, *next = rows + (n_tx + 2) * 32;
	if (n_tx)
		memcpy(row, ids, n_tx * 32);
	/* row holds what stands right of the coinbase's ancestor. */
	for (size_t n = n_tx; n > 0;) {
		memcpy(branches, row, 32);
		branches += 32;
		if (n % 2 == 0) {
			memcpy(row + n * 32, row + (n - 1) * 32, 32);
			n++;
		}
		n = (n - 1) / 2;
		if (n)
			otd_sha256d_64(next, 32, row + 32, 64, n);
		uint8_t *swap = row;
		row = next;
		next = swap;
	}
	btc_free(host, rows);
	return OTD_OK;
}

void btc_merkle_climb(uint8_t root[32], const uint8_t leaf[32], const uint8_t *branches, uint32_t n)
{
	uint8_t pair[64];
	memcpy(pair, leaf, 32);
	for (uint32_t i = 0; i < n; i++) {
		memcpy(pair + 32, branches + (size_t)i * 32, 32);
		uint8_t up[32];
		otd_sha256d(up, pair, sizeof(pair));
		memcpy(pair, up, 32);
	}
	memcpy(root, pair, 32);
}

otd_rc btc_merkle_root(const struct btc_host *host, uint8_t root[32], bool *doubled,
		       const uint8_t *leaves, size_t n)
{
	bool twice = false;
	uint8_t *rows = btc_alloc(host, 2 * (n + 1) * 32);
	if (!rows)
		return btc_fail(host, OTD_E_NOMEM, "no memory for %zu merkle leaves", n);
	uint8_t *row = rows, *next = rows + (n + 1) * 32;
	memcpy(row, leaves, n * 32);
	while (n > 1) {
		for (size_t i = 0; i + 1 < n; i += 2)
			twice = twice || memcmp(row + i * 32, row + (i + 1) * 32, 32) == 0;
		if (n % 2) {
			memcpy(row + n * 32, row + (n - 1) * 32, 32);
			n++;
		}
		n /= 2;
		otd_sha256d_64(next, 32, row, 64, n);
		uint8_t *swap = row;
		row = next;
		next = swap;
	}
	memcpy(root, row, 32);
	btc_free(host, rows);
	if (doubled)
		*doubled = twice;
	return OTD_OK;
}

otd_rc btc_witness_commitment(const struct btc_host *host, uint8_t out[32], const uint8_t *wtxids,
			      size_t n_tx)
{
	uint8_t pair[64] = {0}, *leaves = btc_alloc(host, (n_tx + 1) * 32);
	if (!leaves)
		return btc_fail(host, OTD_E_NOMEM, "no memory for %zu merkle leaves", n_tx);
	if (n_tx)
		memcpy(leaves + 32, wtxids, n_tx * 32);
	otd_rc rc = btc_merkle_root(host, pair, NULL, leaves, n_tx + 1);
	btc_free(host, leaves);
	if (rc == OTD_OK)
		otd_sha256d(out, pair, sizeof(pair));
	return rc;
}
