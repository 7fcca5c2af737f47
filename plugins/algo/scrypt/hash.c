/* scrypt as a whole: PBKDF2 with HMAC-SHA-256 around the mixing, and which code mixes. */
#include "scrypt_impl.h"

#include <otedama/sha256.h>
#include <stdlib.h>
#include <string.h>

static const struct scrypt_kernel *const kernels[] = {
#if defined(__x86_64__)
	&scrypt_avx2,
#endif
	&scrypt_portable,
};
enum { KERNELS = sizeof(kernels) / sizeof(kernels[0]) };

#if defined(__x86_64__)
bool scrypt_have_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}
#endif

const struct scrypt_kernel *scrypt_kernel_at(size_t i)
{
	return i < KERNELS ? kernels[i] : NULL;
}

const struct scrypt_kernel *scrypt_kernel_choose(uint32_t r)
{
	const char *wanted = getenv("OTEDAMA_SCRYPT");
	const struct scrypt_kernel *best = NULL;
	for (size_t i = 0; i < KERNELS; i++) {
		if (r > kernels[i]->r_max || !kernels[i]->supported())
			continue;
		if (wanted && strcmp(wanted, kernels[i]->name) == 0)
			return kernels[i];
		if (!best)
			best = kernels[i];
	}
	return best;
}

/* --- PBKDF2-HMAC-SHA-256 with one iteration (RFC 8018, RFC 2104) --- */

struct hmac_key {
	struct otd_sha256 inner, outer; /* after the padded key */
};

static void hmac_key_init(struct hmac_key *k, struct otd_span key)
{
	uint8_t pad[64] = {0};
	if (key.len > sizeof(pad))
		otd_sha256(pad, key.ptr, key.len);
	else if (key.len)
		memcpy(pad, key.ptr, key.len);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	otd_sha256_init(&k->inner);
	otd_sha256_update(&k->inner, pad, sizeof(pad));
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	otd_sha256_init(&k->outer);
	otd_sha256_update(&k->outer, pad, sizeof(pad));
}

static void pbkdf2(const struct hmac_key *k, struct otd_span salt, uint8_t *out, size_t out_len)
{
	struct otd_sha256 salted = k->inner;
	otd_sha256_update(&salted, salt.ptr, salt.len);
	for (uint32_t i = 1; out_len; i++) {
		const uint8_t count[4] = {(uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8),
					  (uint8_t)i};
		struct otd_sha256 s = salted;
		uint8_t digest[32];
		otd_sha256_update(&s, count, sizeof(count));
		otd_sha256_final(&s, digest);
		s = k->outer;
		otd_sha256_update(&s, digest, sizeof(digest));
		otd_sha256_final(&s, digest);
		size_t take = out_len < sizeof(digest) ? out_len : sizeof(digest);
		memcpy(out, digest, take);
		out += take;
		out_len -= take;
	}
}

/* --- the scratch: tables of all lanes, their blocks, one working area --- */

static size_t table_len(const struct scrypt_conf *c)
{
	return (size_t)128 * c->r * c->n;
}

static size_t block_len(const struct scrypt_conf *c)
{
	return (size_t)128 * c->r * c->p;
}

uint64_t scrypt_scratch_size(const struct scrypt_conf *c)
{
	return (uint64_t)c->lanes * (table_len(c) + block_len(c)) + (uint64_t)256 * c->r;
}

void scrypt_hash(const struct scrypt_conf *c, void *scratch, const struct scrypt_job *jobs,
		 uint32_t n_jobs)
{
	struct hmac_key key[SCRYPT_LANES_MAX];
	uint8_t *v[SCRYPT_LANES_MAX], *b[SCRYPT_LANES_MAX], *at[SCRYPT_LANES_MAX];
	uint8_t *blocks = (uint8_t *)scratch + c->lanes * table_len(c);
	for (uint32_t i = 0; i < c->lanes; i++) {
		v[i] = (uint8_t *)scratch + i * table_len(c);
		b[i] = blocks + i * block_len(c);
	}
	for (uint32_t i = 0; i < n_jobs; i++) {
		hmac_key_init(&key[i], jobs[i].text);
		pbkdf2(&key[i], jobs[i].salt.ptr ? jobs[i].salt : jobs[i].text, b[i], block_len(c));
	}
	for (uint32_t p = 0; p < c->p; p++) {
		for (uint32_t i = 0; i < n_jobs; i++)
			at[i] = b[i] + (size_t)128 * c->r * p;
		c->kernel->romix(at, n_jobs, v, blocks + c->lanes * block_len(c), c->n, c->r);
	}
	for (uint32_t i = 0; i < n_jobs; i++)
		pbkdf2(&key[i], (struct otd_span){b[i], block_len(c)}, jobs[i].out,
		       jobs[i].out_len);
}
