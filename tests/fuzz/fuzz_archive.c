/*
 * Archived segments: bytes as they come; and a packing of them that the fuzzer then damages: what is read back is what was
 * packed, or an error.
 */
#include "base/text.h"
#include "fuzz/memory.h"
#include "pool/journal/archive_file.h"
#include "pool/journal/saves.h"

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

static void put32(uint8_t *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static otd_rc take(void *arg, const struct otd_save *s, struct otd_err *err)
{
	uint32_t *sum = arg;
	(void)err;
	*sum = otd_crc32c(*sum, s->pool.ptr, s->pool.len);
	*sum = otd_crc32c(*sum, s->scheme.ptr, s->scheme.len);
	*sum = otd_crc32c(*sum, s->state.ptr, s->state.len);
	return OTD_OK;
}

/* Saves whose checksums are right, whatever else is not. */
static void saves(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n);
	struct otd_err err = {0};
	uint32_t sum = 0;
	otd_rc rc;
	if (!copy || n < 32)
		abort();
	memcpy(copy, p, n);
	memcpy(copy, "OTDSAVE\0\1\0\0", 12);
	memcpy(copy + 16, "\5\0\0\0\0\0\0", 8);
	put32(copy + 24, otd_crc32c(0, copy + 32, n - 32));
	put32(copy + 28, otd_crc32c(0, copy, 28));
	(void)otd_saves_read((struct otd_span){copy, n}, 5, take, &sum, &rc, &err);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct memory m;
	memory_init(&m);
	struct otd_env env = {.files = &m.table};
	if (n > 33 && data[0] & 2)
		saves(data + 1, n - 1);
	else if (n > 5 && data[0] & 1)
		packed(&m, &env, data + 1, n - 1);
	else if (n > 0)
		as_it_is(&m, &env, data + 1, n - 1);
	memory_finish(&m);
	return 0;
}
