/* hash() against vectors.h, without Otedama: quick to run while you write. */
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "vectors.h"

/* 1 where text is not exactly n bytes of hex. */
static int from_hex(uint8_t *out, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++, text += 2) {
		unsigned v;
		char digits[3] = {text[0], text[0] ? text[1] : 0, 0};
		if (strspn(digits, "0123456789abcdefABCDEF") != 2)
			return 1;
		sscanf(digits, "%2x", &v);
		out[i] = (uint8_t)v;
	}
	return *text != 0;
}

static int check(const struct otd_algo_vector *v)
{
	uint8_t header[HEADER_LEN], want[32], got[32];
	int same = 1, reversed = 1;
	if (from_hex(header, HEADER_LEN, v->header) || from_hex(want, 32, v->hash)) {
		printf("%s: header has %d bytes of hex, hash has 32\n", v->source, HEADER_LEN);
		return 1;
	}
	hash(header, HEADER_LEN, got);
	for (int i = 0; i < 32; i++) {
		same &= want[i] == got[DIGEST_BE ? i : 31 - i];
		reversed &= want[i] == got[DIGEST_BE ? 31 - i : i];
	}
	printf("%s: %s\n", v->source,
	       same       ? "ok"
	       : reversed ? "the right digest the wrong way round: where .hash is as block "
			    "explorers show it, change DIGEST_BE in hash.h; where it is the digest "
			    "byte by byte, turn the bytes of .hash round in vectors.h"
			  : "WRONG");
	return !same;
}

int main(void)
{
	int wrong = 0;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		wrong += check(&vectors[i]);
	return wrong != 0;
}
