/* What `journal dump` makes of a record's payload, whatever it holds: the checksum of a frame says nothing of it. */
#include "app/cmd/journal_dump.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static FILE *nowhere;
	struct otd_dump d = {.to_seq = UINT64_MAX, .to_ms = INT64_MAX};
	struct otd_err err = {0};
	if (n < 4)
		return 0;
	if (!nowhere)
		nowhere = freopen("/dev/null", "w", stdout);
	d.json = data[1] & 1;
	d.worker = data[1] & 2 ? "a.b" : NULL;
	d.from_ms = data[1] & 4 ? 1 : 0;
	if (otd_dump_begin(&d, data[1] & 8, &err) != OTD_OK)
		abort();
	/* A copy of exactly this length: a byte read behind it is seen. */
	uint8_t *payload = malloc(n - 2 ? n - 2 : 1);
	if (!payload)
		abort();
	memcpy(payload, data + 2, n - 2);
	const struct otd_dump_record r = {.path = "d/00000001.otj",
					  .offset = 48,
					  .seq = 7,
					  .type = data[0],
					  .payload = {payload, n - 2}};
	for (int i = 0; i < 2; i++)
		if (otd_dump_record(&d, &r, &err) != OTD_OK)
			abort();
	otd_dump_finish(&d);
	free(payload);
	return 0;
}
