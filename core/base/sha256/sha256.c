/* The SHA-256 interface over the kernel that was chosen. */
#include "base/sha256/sha256.h"
#include <otedama/u256.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const struct otd_sha256_kernel *const kernels[] = {
#if defined(__x86_64__)
	&otd_sha256_wide_shani, &otd_sha256_shani, &otd_sha256_avx512, &otd_sha256_avx2,
#elif defined(__aarch64__)
	&otd_sha256_armce,
#endif
	&otd_sha256_portable,
};

static _Atomic(const struct otd_sha256_kernel *) chosen;

static const struct otd_sha256_kernel *choose(void)
{
	const char *wanted = getenv("OTEDAMA_SHA256");
	const struct otd_sha256_kernel *best = NULL;
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		if (!kernels[i]->supported())
			continue;
		if (wanted && strcmp(wanted, kernels[i]->name) == 0)
			return kernels[i];
		if (!best)
			best = kernels[i];
	}
	return best;
}

const struct otd_sha256_kernel *otd_sha256_kernel(void)
{
	const struct otd_sha256_kernel *k = atomic_load_explicit(&chosen, memory_order_acquire);
	if (!k) {
		/* Two threads may both choose; they choose the same. */
		k = choose();
		atomic_store_explicit(&chosen, k, memory_order_release);
	}
	return k;
}

const struct otd_sha256_kernel *otd_sha256_kernel_at(size_t i)
{
	return i < sizeof(kernels) / sizeof(kernels[0]) ? kernels[i] : NULL;
}

void otd_sha256_use(const struct otd_sha256_kernel *k)
{
	atomic_store_explicit(&chosen, k, memory_order_release);
}

const char *otd_sha256_variant(void)
{
	return otd_sha256_kernel()->variant;
}

void otd_sha256_init(struct otd_sha256 *s)
{
	memcpy(s->state, otd_sha256_iv, sizeof(s->state));
	s->n = 0;
}

void otd_sha256_update(struct otd_sha256 *s, const void *data, size_t n)
{
	const struct otd_sha256_kernel *k = otd_sha256_kernel();
	const uint8_t *p = data;
	size_t have = s->n % 64;
	if (n == 0)
		return;
	s->n += n;
	if (have) {
		size_t take = 64 - have < n ? 64 - have : n;
		memcpy(s->block + have, p, take);
		p += take;
		n -= take;
		if (have + take < 64)
			return;
		k->blocks(s->state, s->block, 1);
	}
	if (n >= 64) {
		k->blocks(s->state, p, n / 64);
		p += n / 64 * 64;
		n %= 64;
	}
	memcpy(s->block, p, n);
}

void otd_sha256_final(struct otd_sha256 *s, uint8_t out[32])
{
	uint8_t pad[128] = {0};
	size_t have = s->n % 64, len = have < 56 ? 64 : 128;
	memcpy(pad, s->block, have);
	pad[have] = 0x80;
	otd_sha256_store(pad + len - 8, (uint32_t)(s->n >> 29));
	otd_sha256_store(pad + len - 4, (uint32_t)(s->n << 3));
	otd_sha256_kernel()->blocks(s->state, pad, len / 64);
	for (int i = 0; i < 8; i++)
		otd_sha256_store(out + 4 * i, s->state[i]);
}

void otd_sha256(uint8_t out[32], const void *data, size_t n)
{
	struct otd_sha256 s;
	otd_sha256_init(&s);
	otd_sha256_update(&s, data, n);
	otd_sha256_final(&s, out);
}

void otd_sha256d(uint8_t out[32], const void *data, size_t n)
{
	uint8_t first[32];
	otd_sha256(first, data, n);
	otd_sha256(out, first, sizeof(first));
}

void otd_sha256d_80(uint8_t *out, size_t out_stride, const uint8_t *headers, size_t stride,
		    size_t n)
{
	otd_sha256_kernel()->d80(out, out_stride, headers, stride, n);
}

void otd_sha256d_64(uint8_t *out, size_t out_stride, const uint8_t *pairs, size_t stride, size_t n)
{
	otd_sha256_kernel()->d64(out, out_stride, pairs, stride, n);
}

static void fold_by_pairs(const struct otd_sha256_kernel *k, uint8_t *roots, size_t stride,
			  const uint8_t (*branches)[32], size_t n_branches, size_t n)
{
	enum { MANY = 16 };
	uint8_t pairs[MANY][64];
	for (size_t some; n; n -= some, roots += some * stride) {
		some = n < MANY ? n : MANY;
		for (size_t b = 0; b < n_branches; b++) {
			for (size_t i = 0; i < some; i++) {
				memcpy(pairs[i], roots + i * stride, 32);
				memcpy(pairs[i] + 32, branches[b], 32);
			}
			k->d64(roots, stride, pairs[0], 64, some);
		}
	}
}

void otd_sha256d_fold(uint8_t *roots, size_t stride, const uint8_t (*branches)[32],
		      size_t n_branches, size_t n)
{
	const struct otd_sha256_kernel *k = otd_sha256_kernel();
	if (k->fold)
		k->fold(roots, stride, branches, n_branches, n);
	else
		fold_by_pairs(k, roots, stride, branches, n_branches, n);
}

static void tail_alone(const struct otd_sha256_kernel *k, uint8_t out[32], const uint32_t state[8],
		       const uint8_t *tail, size_t blocks)
{
	uint8_t block[64] = {0};
	uint32_t s[8];
	memcpy(s, state, sizeof(s));
	k->blocks(s, tail, blocks);
	for (int i = 0; i < 8; i++)
		otd_sha256_store(block + 4 * i, s[i]);
	block[32] = 0x80;
	block[62] = 1; /* 256 bits */
	memcpy(s, otd_sha256_iv, sizeof(s));
	k->blocks(s, block, 1);
	for (int i = 0; i < 8; i++)
		otd_sha256_store(out + 4 * i, s[i]);
}

void otd_sha256d_tails(uint8_t *out, size_t out_stride, const uint32_t state[8],
		       const uint8_t *tails, size_t stride, size_t blocks, size_t n)
{
	const struct otd_sha256_kernel *k = otd_sha256_kernel();
	if (k->tails) {
		k->tails(out, out_stride, state, tails, stride, blocks, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		tail_alone(k, out + i * out_stride, state, tails + i * stride, blocks);
}

/* The kernel looked at the top word only: whether the whole digest is at most target. */
static bool meets(const uint8_t header[80], uint32_t nonce, struct otd_u256 target)
{
	uint8_t h[80], digest[32];
	memcpy(h, header, 76);
	for (int i = 0; i < 4; i++)
		h[76 + i] = (uint8_t)(nonce >> (8 * i));
	otd_sha256d_80(digest, 32, h, 80, 1);
	return otd_u256_cmp(otd_u256_from_le(digest), target) <= 0;
}

uint64_t otd_sha256d_scan80(uint64_t *found, uint32_t found_cap, uint32_t *n_found,
			    const uint8_t header[80], uint64_t first, uint64_t count,
			    const uint8_t target_le[32], const volatile uint32_t *stop)
{
	enum { STOP_EVERY = 4096 };
	const struct otd_sha256_kernel *k = otd_sha256_kernel();
	struct otd_u256 target = otd_u256_from_le(target_le);
	uint32_t midstate[8], tail[3], top = (uint32_t)(target.w[3] >> 32);
	uint64_t done = 0;
	*n_found = 0;
	if (first > UINT32_MAX || found_cap == 0)
		return 0;
	if (count > (1ULL << 32) - first)
		count = (1ULL << 32) - first;
	memcpy(midstate, otd_sha256_iv, sizeof(midstate));
	k->blocks(midstate, header, 1);
	for (int i = 0; i < 3; i++)
		tail[i] = otd_sha256_load(header + 64 + 4 * i);
	while (done < count) {
		if (stop && done % STOP_EVERY == 0 && __atomic_load_n(stop, __ATOMIC_RELAXED))
			break;
		/* The last call may look past the range; what it finds there is not ours. */
		uint32_t hits = k->scan(midstate, tail, (uint32_t)(first + done), top);
		uint64_t step = count - done < k->lanes ? count - done : k->lanes;
		for (; hits; hits &= hits - 1) {
			unsigned lane = (unsigned)__builtin_ctz(hits);
			uint32_t nonce = (uint32_t)(first + done + lane);
			if (lane >= step || !meets(header, nonce, target))
				continue;
			found[(*n_found)++] = nonce;
			if (*n_found == found_cap)
				return done + lane + 1;
		}
		done += step;
	}
	return done;
}
