/* Recipients of a fee as a record has them. */
#include "pool/acct/fees_pack.h"

#include <stdlib.h>
#include <string.h>

#define PPM 1000000

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct otd_acct_recipient *)a)->address,
		      ((const struct otd_acct_recipient *)b)->address);
}

otd_rc acct_recipients_order(struct otd_acct_recipient *to, size_t *n)
{
	uint64_t sum = 0;
	size_t kept = 0;
	qsort(to, *n, sizeof(*to), by_address);
	for (size_t i = 0; i < *n; i++) {
		if (!to[i].address[0] || !memchr(to[i].address, 0, sizeof(to[i].address)))
			return OTD_E_INVALID;
		sum += to[i].ppm;
		if (sum > PPM)
			return OTD_E_RANGE;
		if (!to[i].ppm)
			continue;
		if (kept && strcmp(to[kept - 1].address, to[i].address) == 0)
			to[kept - 1].ppm += to[i].ppm;
		else
			to[kept++] = to[i];
	}
	*n = kept;
	return OTD_OK;
}

size_t acct_recipients_pack(uint8_t *out, const struct otd_acct_recipient *to, size_t n)
{
	uint16_t count = (uint16_t)n;
	size_t at = 2;
	if (!n)
		return 0;
	memcpy(out, &count, 2);
	for (size_t i = 0; i < n; i++) {
		uint16_t len = (uint16_t)strnlen(to[i].address, OTD_ACCT_ADDRESS - 1);
		memcpy(out + at, &to[i].ppm, 4);
		memcpy(out + at + 4, &len, 2);
		memcpy(out + at + 6, to[i].address, len);
		at += 6 + (size_t)len;
	}
	return at;
}

bool acct_recipients_unpack(struct otd_acct_recipient to[OTD_ACCT_RECIPIENTS], size_t *n,
			    const uint8_t *from, size_t len)
{
	uint16_t count = 0, bytes;
	size_t at = 2;
	*n = 0;
	if (!len) /* a record of before there were any */
		return true;
	if (len < 2)
		return false;
	memcpy(&count, from, 2);
	if (count > OTD_ACCT_RECIPIENTS)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (len - at < 6)
			return false;
		memcpy(&to[i].ppm, from + at, 4);
		memcpy(&bytes, from + at + 4, 2);
		if (bytes >= OTD_ACCT_ADDRESS || len - at - 6 < bytes)
			return false;
		memset(to[i].address, 0, sizeof(to[i].address));
		memcpy(to[i].address, from + at + 6, bytes);
		at += 6 + (size_t)bytes;
	}
	*n = count;
	return acct_recipients_order(to, n) == OTD_OK;
}
