/* search() over an algorithm that is easy to foresee: the hash of a header is its nonce. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"

static otd_rc hash_batch(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			 size_t stride, size_t n)
{
	(void)in;
	(void)scratch;
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *item = (void *)((uint8_t *)items + i * stride);
		memset(item->hash, 0, 32);
		memcpy(item->hash, item->header.ptr + 76, 4);
		item->rc = OTD_OK;
	}
	return OTD_OK;
}

static int failed;

static void check(int ok, const char *what)
{
	printf("%s: %s\n", what, ok ? "ok" : "WRONG");
	failed |= !ok;
}

int main(void)
{
	static const struct otd_algo_ops ops = {.size = sizeof(ops), .hash_batch = hash_batch};
	const struct otd_hw_algo algo = {.size = sizeof(algo), .ops = &ops};
	struct search *u = calloc(1, sizeof(*u));
	uint8_t header[80] = {0};
	uint64_t found[3];
	uint32_t stop = 0;
	struct otd_algo_scan s = {.size = sizeof(s),
				  .header = {header, 80},
				  .first = 0xffff0000,
				  .count = 0x10000,
				  .stop = &stop,
				  .found = found,
				  .found_cap = 3};
	if (!u)
		return 1;
	u->algo = &algo;
	u->info = (struct otd_algo_info){.header_len = 80, .nonce_offset = 76, .nonce_len = 4};
	s.target[0] = 1; /* nonces 0 and 1 alone meet it */
	check(search(u, &s, s.count) == OTD_OK && s.n_found == 0 && s.done == s.count,
	      "a range without a result, to its end");
	s.first = 0;
	check(search(u, &s, 1000) == OTD_OK && s.n_found == 2 && found[0] == 0 && found[1] == 1 &&
		      s.done == 1000,
	      "both results of a range");
	s.found_cap = 1;
	check(search(u, &s, 1000) == OTD_OK && s.n_found == 1 && s.done == 1,
	      "a full list ends at its last nonce");
	stop = 1;
	check(search(u, &s, 1000) == OTD_OK && s.done == 0, "it stops when it is told to");
	free(u);
	return failed;
}
