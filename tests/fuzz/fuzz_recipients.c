/* Recipients of a fee out of a record, whatever it holds; what is read is written and read back the same. */
#include "pool/acct/fees_pack.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct otd_acct_recipient to[OTD_ACCT_RECIPIENTS], again[OTD_ACCT_RECIPIENTS];
	uint8_t out[ACCT_RECIPIENTS_BYTES];
	size_t count = 0, more = 0;
	uint64_t sum = 0;
	/* A copy of exactly this length: a byte read behind it is seen. */
	uint8_t *copy = malloc(n ? n : 1);
	if (!copy)
		abort();
	if (n)
		memcpy(copy, data, n);
	bool fine = acct_recipients_unpack(to, &count, copy, n);
	free(copy);
	if (!fine)
		return 0;
	size_t len = acct_recipients_pack(out, to, count);
	if (len > sizeof(out) || !acct_recipients_unpack(again, &more, out, len) || more != count)
		abort();
	for (size_t i = 0; i < count; i++) {
		sum += to[i].ppm;
		if (strcmp(to[i].address, again[i].address) != 0 || to[i].ppm != again[i].ppm ||
		    !to[i].ppm || (i && strcmp(to[i - 1].address, to[i].address) >= 0))
			abort();
	}
	if (sum > 1000000)
		abort();
	return 0;
}
