/* A host in small for the tests of this folder: memory, words, a clock that stands, no files. */
#ifndef OTD_PLUGIN_CHAIN_TEST_HOST_H
#define OTD_PLUGIN_CHAIN_TEST_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <otedama/chain.h>
#include <otedama/files.h>
#include <otedama/sha256.h>

struct otd_host {
	char error[300];
	int64_t wall_ms;
	size_t allocs, allocs_left; /* live blocks; 0 left: no limit */
	const struct otd_files *files;
};

static void host_log(struct otd_host *h, int level, const char *event, const char *text)
{
	(void)h, (void)level, (void)event, (void)text;
}

static void *host_alloc(struct otd_host *h, size_t n)
{
	if (h->allocs_left && --h->allocs_left == 0)
		return NULL;
	void *p = calloc(1, n ? n : 1);
	h->allocs += p != NULL;
	return p;
}

static void host_free(struct otd_host *h, void *p)
{
	h->allocs -= p != NULL;
	free(p);
}

static void host_set_error(struct otd_host *h, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(h->error, sizeof(h->error), fmt, ap);
	va_end(ap);
}

static uint64_t host_mono(struct otd_host *h)
{
	return (uint64_t)h->wall_ms * 1000000u;
}

static int64_t host_wall(struct otd_host *h)
{
	return h->wall_ms;
}

static otd_rc host_hash(struct otd_host *h, uint8_t hash[32], struct otd_span header,
			uint64_t height)
{
	(void)h, (void)height;
	otd_sha256d(hash, header.ptr, header.len);
	return OTD_OK;
}

static const void *host_service(struct otd_host *h, const char *name)
{
	static const struct otd_host_clock clock = {sizeof(clock), 0, host_mono, host_wall};
	static const struct otd_host_hash hash = {sizeof(hash), 0, host_hash, host_hash};
	if (strcmp(name, "clock/1") == 0)
		return &clock;
	if (strcmp(name, "hash/1") == 0)
		return &hash;
	return strcmp(name, "files/1") == 0 ? h->files : NULL;
}

static const struct otd_host_core host_core = {.size = sizeof(host_core),
					       .log = host_log,
					       .alloc = host_alloc,
					       .free = host_free,
					       .set_error = host_set_error,
					       .service = host_service};

static inline struct otd_span span_of(const char *s)
{
	return (struct otd_span){(const uint8_t *)s, strlen(s)};
}

/*
 * What a pool and a miner do with a template: a job that pays all to script, the first nonce that
 * meets target, and the whole block in *block (malloc). Returns its length.
 */
static inline size_t solve(const struct otd_chain_ops *ops, struct otd_instance *in,
			   const struct otd_chain_template *t, struct otd_span script,
			   uint32_t time_s, uint8_t **block, uint8_t hash[32])
{
	static uint8_t c1[256], c2[512], branches[1024], coinbase[1024];
	struct otd_chain_payee payee = {.script = script, .value = -1};
	struct otd_chain_coinbase cb = {.size = sizeof(cb),
					.extranonce_len = 8,
					.payees = &payee,
					.payee_stride = sizeof(payee),
					.n_payees = 1,
					.tag = span_of("/otedama/")};
	struct otd_chain_job job = {.size = sizeof(job),
				    .coinbase1 = {c1, 0, sizeof(c1)},
				    .coinbase2 = {c2, 0, sizeof(c2)},
				    .branches = {branches, 0, sizeof(branches)}};
	uint8_t header[80], leaf[64];
	assert_int_equal(ops->job(in, t->handle, &cb, &job), OTD_OK);
	size_t n = job.coinbase1.len;
	memcpy(coinbase, c1, n);
	memcpy(coinbase + n, "\1\2\3\4\5\6\7\10", 8);
	memcpy(coinbase + n + 8, c2, job.coinbase2.len);
	n += 8 + job.coinbase2.len;
	otd_sha256d(leaf, coinbase, n);
	for (size_t i = 0; i < job.branches.len; i += 32) {
		memcpy(leaf + 32, branches + i, 32);
		otd_sha256d(leaf, leaf, 64);
	}
	for (int i = 0; i < 4; i++) {
		header[i] = (uint8_t)(t->version >> (8 * i));
		header[68 + i] = (uint8_t)(time_s >> (8 * i));
		header[72 + i] = (uint8_t)(t->nbits >> (8 * i));
	}
	memcpy(header + 4, t->prev, 32);
	memcpy(header + 36, leaf, 32);
	for (uint32_t nonce = 0;; nonce++) {
		assert_true(nonce < 1u << 24);
		memcpy(header + 76, &nonce, 4);
		otd_sha256d(hash, header, 80);
		if (otd_u256_cmp(otd_u256_from_le(hash), otd_u256_from_le(t->target)) <= 0)
			break;
	}
	struct otd_buf out = {0};
	struct otd_span h = {header, 80}, c = {coinbase, n};
	assert_int_equal(ops->assemble(in, t->handle, h, c, &out), OTD_E_RANGE);
	out.ptr = malloc(out.len);
	out.cap = out.len;
	assert_int_equal(ops->assemble(in, t->handle, h, c, &out), OTD_OK);
	*block = out.ptr;
	return out.len;
}

/*
 * The template goes to another process and comes back: the original is given back. Each cut of what was
 * saved is refused, in words.
 */
static inline void hand_over(const struct otd_chain_ops *ops, struct otd_instance *in,
			     struct otd_chain_template *t)
{
	struct otd_buf head = {0}, body = {0};
	struct otd_chain_template again;
	assert_int_equal(ops->template_save(in, t->handle, &head, &body), OTD_E_RANGE);
	head.ptr = malloc(head.cap = head.len);
	body.ptr = malloc(body.cap = body.len ? body.len : 1);
	assert_int_equal(ops->template_save(in, t->handle, &head, &body), OTD_OK);
	ops->template_free(in, t->handle);
	struct otd_span b = {body.ptr, body.len};
	for (size_t n = 0; n < head.len; n++) {
		uint8_t *cut = malloc(n ? n : 1); /* so that ASan sees a look behind it */
		memcpy(cut, head.ptr, n);
		assert_int_not_equal(ops->template_load(in, (struct otd_span){cut, n}, b, &again),
				     OTD_OK);
		free(cut);
	}
	head.ptr[0]++;
	assert_int_equal(ops->template_load(in, (struct otd_span){head.ptr, head.len}, b, &again),
			 OTD_E_VERSION);
	head.ptr[0]--;
	assert_int_equal(ops->template_load(in, (struct otd_span){head.ptr, head.len}, b, &again),
			 OTD_OK);
	assert_ptr_not_equal(again.handle, NULL);
	t->handle = again.handle;
	assert_memory_equal(&again.height, &t->height,
			    sizeof(*t) - offsetof(struct otd_chain_template, height));
	free(head.ptr);
	free(body.ptr);
}

#endif
