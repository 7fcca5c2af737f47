/*
 * Archived segments: bytes as they come; and a packing of them that the fuzzer then damages: what is read back is what was
 * packed, or an error.
 */
#include "fuzz/memory.h"
#include "pool/archive_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void as_it_is(struct memory *m, struct otd_env *env, const uint8_t *p, size_t n)
{
	struct otd_err err = {0};
	struct otd_archive_head h;
	uint8_t *out;
	size_t len;
	memory_put(m, "00000001.otz", p, n);
	otd_rc head = otd_archive_file_head(env, "00000001.otz", &h, &err);
	otd_rc rc = otd_archive_file_read(env, "00000001.otz", &out, &len, &err);
	if ((rc == OTD_OK && (head || len != h.bytes)) || (rc && !err.text[0]) || (rc && out))
		abort();
	free(out);
}

static void packed(struct memory *m, struct otd_env *env, const uint8_t *p, size_t n)
{
	struct otd_err err = {0};
	uint8_t *out;
	size_t len;
	const uint8_t *segment = p + 4;
	memory_put(m, "00000001.otj", segment, n - 4);
	if (otd_archive_file_pack(env, "00000001.otj", "00000001.otz", 1, p[0] & 1, 77, &err))
		abort();
	struct memory_file *f = memory_find(m, "00000001.otz");
	if (!f || f->len < OTD_ARCHIVE_HEAD)
		abort();
	f->data[(size_t)(p[1] << 8 | p[2]) % f->len] ^= p[3];
	otd_rc rc = otd_archive_file_read(env, "00000001.otz", &out, &len, &err);
	if (p[3] == 0 && rc)
		abort();
	if (rc == OTD_OK && (len != n - 4 || (len && memcmp(out, segment, len) != 0)))
		abort();
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct memory m;
	memory_init(&m);
	struct otd_env env = {.files = &m.table};
	if (n > 5 && data[0] & 1)
		packed(&m, &env, data + 1, n - 1);
	else if (n > 0)
		as_it_is(&m, &env, data + 1, n - 1);
	memory_finish(&m);
	return 0;
}
