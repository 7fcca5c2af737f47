/* Every path of the arithmetic, and the plugin's calls as the host makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "algo/scrypt/scrypt.c"
#include "base/text.h"

static int live;
static char said[240];

static void *fake_alloc(struct otd_host *h, size_t n)
{
	(void)h;
	live++;
	return calloc(1, n);
}

static void *no_alloc(struct otd_host *h, size_t n)
{
	(void)h;
	(void)n;
	return NULL;
}

static void fake_free(struct otd_host *h, void *p)
{
	(void)h;
	live -= p != NULL;
	free(p);
}

static void fake_error(struct otd_host *h, const char *fmt, ...)
{
	va_list ap;
	(void)h;
	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
}

static const struct otd_host_core core = {
	.size = sizeof(core), .alloc = fake_alloc, .free = fake_free, .set_error = fake_error};

/* One instance with its scratch. */
struct rig {
	struct otd_instance *in;
	struct otd_algo_info info;
	void *scratch;
};

static void rig_up(struct rig *t, const char *path, int64_t n, int64_t r, int64_t p)
{
	const struct options o = {n, r, p};
	memset(t, 0, sizeof(*t));
	if (path)
		setenv("OTEDAMA_SCRYPT", path, 1);
	else
		unsetenv("OTEDAMA_SCRYPT");
	assert_int_equal(base.create(&t->in, NULL, &core, &o), OTD_OK);
	unsetenv("OTEDAMA_SCRYPT");
	t->info.size = sizeof(t->info);
	assert_int_equal(ops.info(t->in, &t->info), OTD_OK);
	/* exactly as long as it says, so that a sanitizer sees a step beyond */
	assert_int_equal(t->info.scratch_size % t->info.scratch_align, 0);
	t->scratch = aligned_alloc(t->info.scratch_align, t->info.scratch_size);
	assert_non_null(t->scratch);
	memset(t->scratch, 0xa5, t->info.scratch_size);
}

static void rig_down(struct rig *t)
{
	base.destroy(t->in);
	free(t->scratch);
}

/* Calls fn with the name of every path that this machine has. */
static void each_path(void (*fn)(const char *path))
{
	const struct scrypt_kernel *k;
	for (size_t i = 0; (k = scrypt_kernel_at(i)); i++) {
		if (k->supported())
			fn(k->name);
		else
			print_message("not on this processor: %s\n", k->name);
	}
}

static void header_of(uint8_t out[80], const struct otd_algo_vector *v)
{
	size_t n;
	assert_int_equal(otd_hex_decode(out, 80, &n, v->header, strlen(v->header)), OTD_OK);
	assert_int_equal(n, 80);
}

/* --- the arithmetic --- */

/* RFC 7914, section 12, and scrypt of 32 bytes of 0x80 (miningcore a553f623, HashingTests.cs). */
static const struct {
	uint32_t n, r, p;
	const char *text, *salt, *out;
} known[] = {
	{16, 1, 1, "", "",
	 "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
	 "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"},
	{1024, 8, 16, "password", "NaCl",
	 "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
	 "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"},
	{16384, 8, 1, "pleaseletmein", "SodiumChloride",
	 "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
	 "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"},
};

static void known_answers_of(const char *path)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct rig t;
		uint8_t out[64];
		char hex[129];
		rig_up(&t, path, known[i].n, known[i].r, known[i].p);
		const struct scrypt_job job = {
			.text = {(const uint8_t *)known[i].text, strlen(known[i].text)},
			.salt = {(const uint8_t *)known[i].salt, strlen(known[i].salt)},
			.out = out,
			.out_len = sizeof(out)};
		scrypt_hash(&t.in->conf, t.scratch, &job, 1);
		otd_hex_encode(hex, out, sizeof(out));
		assert_string_equal(hex, known[i].out);
		rig_down(&t);
	}
	struct rig t;
	uint8_t in[32], out[32];
	char hex[65];
	rig_up(&t, path, 1024, 1, 1);
	memset(in, 0x80, sizeof(in));
	const struct scrypt_job job = {.text = {in, sizeof(in)}, .out = out, .out_len = 32};
	scrypt_hash(&t.in->conf, t.scratch, &job, 1);
	otd_hex_encode(hex, out, sizeof(out));
	assert_string_equal(hex,
			    "b546d334422ff5fff98e8ba847a55bbc06271c64bb5e21107b1b225f6579d40a");
	rig_down(&t);
}

static void known_answers(void **state)
{
	(void)state;
	each_path(known_answers_of);
}

static uint64_t seed = 88172645463325252u; /* xorshift64, fixed: a failure repeats */

static void random_bytes(uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		out[i] = (uint8_t)(seed >> 32);
	}
}

/* Each path against the portable one, on random texts, with every number of jobs. */
static void cross_check_of(const char *path)
{
	static const uint32_t params[][3] = {{1024, 1, 1}, {2, 1, 1},  {4, 1, 3}, {128, 1, 2},
					     {4096, 1, 1}, {32, 2, 2}, {8, 7, 1}};
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		struct rig t, plain;
		rig_up(&t, path, params[i][0], params[i][1], params[i][2]);
		rig_up(&plain, "portable", params[i][0], params[i][1], params[i][2]);
		assert_string_equal(plain.info.variant, "portable");
		for (uint32_t n = 1; n <= t.in->conf.lanes; n++) {
			uint8_t text[SCRYPT_LANES_MAX][200], a[SCRYPT_LANES_MAX][32], b[32];
			struct scrypt_job jobs[SCRYPT_LANES_MAX];
			for (uint32_t k = 0; k < n; k++) {
				random_bytes(text[k], sizeof(text[k]));
				jobs[k] = (struct scrypt_job){.text = {text[k], text[k][0] % 200u},
							      .out = a[k],
							      .out_len = 32};
			}
			scrypt_hash(&t.in->conf, t.scratch, jobs, n);
			for (uint32_t k = 0; k < n; k++) {
				struct scrypt_job one = jobs[k];
				one.out = b;
				scrypt_hash(&plain.in->conf, plain.scratch, &one, 1);
				assert_memory_equal(a[k], b, 32);
			}
		}
		rig_down(&t);
		rig_down(&plain);
	}
}

static void cross_check(void **state)
{
	(void)state;
	each_path(cross_check_of);
}

static void choice(void **state)
{
	struct rig t;
	const struct scrypt_kernel *best = NULL;
	(void)state;
	for (size_t i = 0; !best; i++)
		best = scrypt_kernel_at(i)->supported() ? scrypt_kernel_at(i) : NULL;
	rig_up(&t, NULL, 1024, 1, 1);
	assert_ptr_equal(t.in->conf.kernel, best);
	rig_down(&t);
	rig_up(&t, "no such path", 1024, 1, 1);
	assert_ptr_equal(t.in->conf.kernel, best);
	rig_down(&t);
	rig_up(&t, "portable", 1024, 1, 1);
	assert_ptr_equal(t.in->conf.kernel, &scrypt_portable);
	rig_down(&t);
	/* there is no fast path for longer blocks, whatever was asked for */
	rig_up(&t, "avx2", 16, 2, 1);
	assert_ptr_equal(t.in->conf.kernel, &scrypt_portable);
	rig_down(&t);
}

/* --- the calls --- */

static void life(void **state)
{
	struct otd_instance *in = NULL;
	struct otd_host_core poor = core;
	const struct options usual = {1024, 1, 1}, odd = {1000, 1, 1}, huge = {1 << 20, 64, 1};
	(void)state;
	base.destroy(NULL);
	assert_int_equal(live, 0);
	poor.alloc = no_alloc;
	assert_int_equal(base.create(&in, NULL, &poor, &usual), OTD_E_NOMEM);
	assert_int_equal(base.create(&in, NULL, &core, &odd), OTD_E_INVALID);
	assert_string_equal(said, "n: 1000 is not a power of two; Litecoin takes 1024");
	assert_int_equal(base.create(&in, NULL, &core, &huge), OTD_E_RANGE);
	assert_non_null(strstr(said, "8192 MiB"));
	assert_null(in);
	assert_int_equal(live, 0);
}

static void facts(void **state)
{
	struct {
		struct otd_algo_info info;
		uint8_t newer[16];
	} x = {0};
	struct rig t;
	char hex[65];
	(void)state;
	rig_up(&t, NULL, 1024, 1, 1);
	x.info.size = sizeof(x);
	assert_int_equal(ops.info(t.in, &x.info), OTD_OK);
	assert_int_equal(x.info.size, sizeof(x));
	assert_int_equal(x.info.header_len, 80);
	assert_int_equal(x.info.nonce_offset, 76);
	assert_int_equal(x.info.nonce_len, 4);
	assert_int_equal(x.info.identity, OTD_ALGO_ID_SHA256D);
	assert_true(x.info.flags & OTD_ALGO_HUGE_PAGES);
	assert_true(x.info.scratch_size >= 128 * 1024 && x.info.batch_hint >= 1);
	otd_hex_encode(hex, x.info.diff1, 32);
	assert_string_equal(hex,
			    "0000ffff00000000000000000000000000000000000000000000000000000000");
	/* a host whose struct ends before diff1 */
	memset(&x, 0xee, sizeof(x));
	x.info.size = offsetof(struct otd_algo_info, diff1);
	assert_int_equal(ops.info(t.in, &x.info), OTD_OK);
	assert_int_equal(x.info.diff1[0], 0xee);
	x.info.size = 0;
	assert_int_equal(ops.info(t.in, &x.info), OTD_E_INVALID);
	rig_down(&t);
	/* tables that would take too much memory are fewer */
	rig_up(&t, NULL, 1 << 19, 1, 1);
	assert_true(t.info.batch_hint <= 2);
	rig_down(&t);
	assert_int_equal(live, 0);
}

/* The vectors with the default options, in several batches, with items of a wrong length. */
static void batches_of(const char *path)
{
	enum { N = 20, VECTORS = 6 };
	struct {
		struct otd_algo_item item;
		uint64_t newer[2];
	} x[N] = {0};
	static uint8_t headers[N][81];
	struct rig t;
	rig_up(&t, path, 1024, 1, 1);
	for (size_t n = 1; n <= N; n += n < 8 ? 1 : 6) {
		for (size_t i = 0; i < N; i++) {
			assert_null(vectors[i % VECTORS].options);
			header_of(headers[i], &vectors[i % VECTORS]);
			x[i].item.header.ptr = headers[i];
			x[i].item.header.len = i % 10 == 3 ? 79 : i % 10 == 7 ? 81 : 80;
			x[i].item.rc = -99;
			x[i].newer[0] = i;
			memset(x[i].item.hash, 0xee, 32);
		}
		assert_int_equal(ops.hash_batch(t.in, t.scratch, &x[0].item, sizeof(x[0]), n),
				 OTD_OK);
		for (size_t i = 0; i < N; i++) {
			bool bad = i % 10 == 3 || i % 10 == 7;
			char hex[65];
			assert_int_equal(x[i].item.rc, i >= n ? -99 : bad ? OTD_E_INVALID : OTD_OK);
			assert_true(x[i].newer[0] == i);
			otd_hex_encode_reverse(hex, x[i].item.hash, 32);
			if (i < n && !bad)
				assert_string_equal(hex, vectors[i % VECTORS].hash);
			else
				assert_int_equal(x[i].item.hash[5], 0xee);
		}
	}
	assert_int_equal(ops.hash_batch(t.in, t.scratch, &x[0].item, 8, 1), OTD_E_INVALID);
	assert_int_equal(ops.hash_batch(t.in, NULL, &x[0].item, sizeof(x[0]), 1), OTD_E_INVALID);
	assert_int_equal(
		ops.hash_batch(t.in, (uint8_t *)t.scratch + 1, &x[0].item, sizeof(x[0]), 1),
		OTD_E_INVALID);
	rig_down(&t);
}

static void batches(void **state)
{
	(void)state;
	each_path(batches_of);
}

/* Vectors of other options, as the host would make their instances. */
static void other_options(void **state)
{
	static const int64_t params[3][3] = {{2048, 1, 1}, {1024, 1, 2}, {64, 3, 5}};
	(void)state;
	assert_int_equal(desc.n_vectors, 9);
	for (size_t i = 0; i < 3; i++) {
		struct rig t;
		uint8_t header[80];
		char hex[65];
		struct otd_algo_item item = {.header = {header, 80}};
		header_of(header, &vectors[6 + i]);
		rig_up(&t, NULL, params[i][0], params[i][1], params[i][2]);
		assert_int_equal(ops.hash_batch(t.in, t.scratch, &item, sizeof(item), 1), OTD_OK);
		otd_hex_encode_reverse(hex, item.hash, 32);
		assert_string_equal(hex, vectors[6 + i].hash);
		rig_down(&t);
	}
}

static void scans_of(const char *path)
{
	struct rig t;
	rig_up(&t, path, 1024, 1, 1);
	for (uint32_t i = 0; i < 6; i++) {
		uint8_t header[80];
		uint64_t found[2];
		struct otd_algo_scan s = {
			.size = sizeof(s), .header = {header, 80}, .found = found, .found_cap = 2};
		header_of(header, &vectors[i]);
		uint32_t nonce = (uint32_t)header[76] | (uint32_t)header[77] << 8 |
				 (uint32_t)header[78] << 16 | (uint32_t)header[79] << 24;
		memset(header + 76, 0x55, 4);
		assert_int_equal(otd_hex_decode_reverse(s.target, 32, vectors[i].hash, 64), OTD_OK);
		s.first = nonce < 20 ? 0 : nonce - 20 - i;
		s.count = 50;
		assert_int_equal(ops.scan(t.in, t.scratch, &s), OTD_OK);
		assert_int_equal(s.n_found, 1);
		assert_int_equal(found[0], nonce);
		assert_int_equal(s.done, s.count);
		s.found_cap = 1;
		assert_int_equal(ops.scan(t.in, t.scratch, &s), OTD_OK);
		assert_int_equal(s.done, nonce - s.first + 1);
		/* one less is not met */
		for (int k = 0; k < 32 && s.target[k]-- == 0; k++)
			;
		s.count = nonce - s.first + 1;
		assert_int_equal(ops.scan(t.in, t.scratch, &s), OTD_OK);
		assert_int_equal(s.n_found, 0);
		assert_int_equal(s.done, s.count);
	}
	rig_down(&t);
}

static void scans(void **state)
{
	(void)state;
	each_path(scans_of);
}

static void scan_refuses_and_stops(void **state)
{
	uint8_t header[80] = {0};
	uint64_t found[1];
	volatile uint32_t stop = 1;
	struct otd_algo_scan s = {
		.size = sizeof(s), .header = {header, 79}, .found = found, .found_cap = 1};
	struct rig t;
	(void)state;
	rig_up(&t, NULL, 1024, 1, 1);
	assert_int_equal(ops.scan(t.in, t.scratch, &s), OTD_E_INVALID);
	s.header.len = 80;
	assert_int_equal(ops.scan(t.in, NULL, &s), OTD_E_INVALID);
	s.first = 1ULL << 32;
	assert_int_equal(ops.scan(t.in, t.scratch, &s), OTD_E_RANGE);
	s.first = 1;
	s.count = 1ULL << 32;
	assert_int_equal(ops.scan(t.in, t.scratch, &s), OTD_E_RANGE);
	assert_int_equal(s.done, 0);
	s.count = 1000000;
	s.stop = &stop;
	assert_int_equal(ops.scan(t.in, t.scratch, &s), OTD_OK);
	assert_true(s.done <= SCRYPT_LANES_MAX && s.n_found == 0);
	/* the last nonces, fewer than the lanes */
	s.stop = NULL;
	s.first = UINT32_MAX - 1;
	s.count = 2;
	assert_int_equal(ops.scan(t.in, t.scratch, &s), OTD_OK);
	assert_int_equal(s.done, 2);
	rig_down(&t);
}

static void descriptor(void **state)
{
	const struct otd_plugin_desc *d = otd_plugin_v1();
	(void)state;
	assert_string_equal(d->kind, otd_plugin_note.desc.kind);
	assert_string_equal(d->id, otd_plugin_note.desc.id);
	for (uint32_t i = 0; i < d->n_vectors; i++)
		assert_true(d->vectors[i].source && strlen(d->vectors[i].hash) == 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptor),  cmocka_unit_test(known_answers),
		cmocka_unit_test(cross_check), cmocka_unit_test(choice),
		cmocka_unit_test(life),        cmocka_unit_test(facts),
		cmocka_unit_test(batches),     cmocka_unit_test(other_options),
		cmocka_unit_test(scans),       cmocka_unit_test(scan_refuses_and_stops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
