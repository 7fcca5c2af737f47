/* Shares, see pool/share.h. */
#include "pool/share.h"
#include "plugin/plugin.h"

#include <string.h>

static void put_le32(uint8_t *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

static void coinbase_hash(uint8_t out[32], const struct otd_share *s)
{
	struct otd_sha256 h = s->job->prefix;
	uint8_t first[32];

	otd_sha256_update(&h, s->in.extranonce1, s->job->extranonce1_len);
	otd_sha256_update(&h, s->in.extranonce2, s->job->extranonce2_len);
	otd_sha256_update(&h, s->job->coinbase2.ptr, s->job->coinbase2.len);
	otd_sha256_final(&h, first);
	otd_sha256(out, first, sizeof(first));
}

/* What comes behind the whole blocks of coinbase1, padded: the part that is each share's own. */
static void tail_write(uint8_t *to, const struct otd_share *s, size_t blocks)
{
	const struct otd_job *job = s->job;
	uint8_t *p = to, *end = to + 64 * blocks;
	size_t have = job->prefix.n % 64;
	uint64_t bits = 8 * (uint64_t)otd_share_coinbase_len(job);

	memcpy(p, job->prefix.block, have);
	p += have;
	memcpy(p, s->in.extranonce1, job->extranonce1_len);
	p += job->extranonce1_len;
	memcpy(p, s->in.extranonce2, job->extranonce2_len);
	p += job->extranonce2_len;
	memcpy(p, job->coinbase2.ptr, job->coinbase2.len);
	p += job->coinbase2.len;
	*p++ = 0x80;
	memset(p, 0, (size_t)(end - p));
	for (int i = 1; i <= 8; i++, bits >>= 8)
		end[-i] = (uint8_t)bits;
}

static size_t tail_blocks(const struct otd_job *job)
{
	size_t n = job->prefix.n % 64 + job->extranonce1_len + job->extranonce2_len +
		   job->coinbase2.len;
	return (n + 1 + 8 + 63) / 64;
}

/* Merkle roots of shares of one job, all of them side by side in the kernels. */
static void merkle_roots(const struct otd_share *shares, size_t n, struct otd_share_work *work,
			 size_t base)
{
	const struct otd_job *job = shares[0].job;
	uint8_t(*roots)[32] = work->roots + base;
	size_t blocks = tail_blocks(job);

	if (blocks > OTD_SHARE_TAIL_BLOCKS) {
		for (size_t i = 0; i < n; i++)
			coinbase_hash(roots[i], &shares[i]);
	} else {
		for (size_t i = 0; i < n; i++)
			tail_write(work->tails + 64 * blocks * i, &shares[i], blocks);
		otd_sha256d_tails(roots[0], 32, job->prefix.state, work->tails, 64 * blocks, blocks,
				  n);
	}
	otd_sha256d_fold(roots[0], 32, job->branches, job->n_branches, n);
}

/* BIP 310: bits of the mask are the miner's, the others the job's. Bits outside of the mask are
   kept too: what was hashed is tested against the block target, and only then refused. */
static uint32_t version_of(const struct otd_share *s)
{
	return (s->job->version & ~s->in.version_mask) | s->in.version_bits;
}

static void header_build(struct otd_share *s, const uint8_t root[32],
			 const struct otd_algo_info *algo)
{
	uint8_t *h = s->header;
	uint32_t nonce = algo->nonce_be ? __builtin_bswap32(s->in.nonce) : s->in.nonce;

	put_le32(h, version_of(s));
	memcpy(h + 4, s->job->prev, 32);
	memcpy(h + 36, root, 32);
	put_le32(h + 68, s->in.ntime);
	put_le32(h + 72, s->job->nbits);
	put_le32(h + 76, nonce);
}

void otd_shares_hash(struct otd_share *shares, size_t n, const struct otd_pool_algo *algo,
		     struct otd_share_work *work)
{
	for (size_t i = 0, run; i < n; i += run) {
		for (run = 1; i + run < n && shares[i + run].job == shares[i].job;)
			run++;
		merkle_roots(shares + i, run, work, i);
	}
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *it = &work->items[i];
		header_build(&shares[i], work->roots[i], algo->info);
		memset(it, 0, sizeof(*it));
		it->header.ptr = shares[i].header;
		it->header.len = sizeof(shares[i].header);
		it->height = shares[i].job->height;
		it->nonce = shares[i].in.nonce;
	}
	OTD_ON(OTD_THREAD_COMPUTE); /* a reactor's loop is one too */
	otd_rc rc = algo->ops->hash_batch(algo->self, work->scratch, work->items,
					  sizeof(work->items[0]), n);
	for (size_t i = 0; i < n; i++) {
		shares[i].rc = rc ? rc : work->items[i].rc;
		memcpy(shares[i].hash, work->items[i].hash, 32);
	}
}

void otd_shares_prefetch(struct otd_jobs *jobs, const struct otd_share *shares, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct otd_dupes *d = otd_job_dupes(jobs, shares[i].job);
		if (d)
			otd_dupes_prefetch(d, shares[i].hash);
	}
}

/* A block is told once, whichever table has room. */
static bool block_is_new(struct otd_jobs *jobs, const uint8_t hash[32])
{
	for (size_t i = 0; i < OTD_JOB_REPORTED; i++) {
		if (!memcmp(jobs->reported[i], hash, 32))
			return false;
	}
	memcpy(jobs->reported[jobs->n_reported++ % OTD_JOB_REPORTED], hash, 32);
	return true;
}

/* The rules about shares, in the order in which a miner wants to hear of them. */
static enum otd_share_verdict rules(const struct otd_jobs *jobs, const struct otd_share *s,
				    otd_rc seen, const struct otd_share_result *r,
				    struct otd_u256 hash, int64_t now_s)
{
	if (otd_job_is_stale(jobs, s->job))
		return OTD_SHARE_STALE;
	if (seen == OTD_E_EXISTS)
		return OTD_SHARE_DUPLICATE;
	/* The template's time is a node's: our own clock may be the one that is wrong. */
	if (s->job->time_s > now_s)
		now_s = s->job->time_s;
	if (s->in.ntime < s->job->min_time_s || s->in.ntime > now_s + OTD_SHARE_AHEAD_S)
		return OTD_SHARE_TIME;
	if (s->in.version_bits & ~s->in.version_mask)
		return OTD_SHARE_VERSION;
	if (otd_u256_cmp(hash, r->target) > 0)
		return OTD_SHARE_LOW_DIFFICULTY;
	return seen ? OTD_SHARE_UNAVAILABLE : OTD_SHARE_ACCEPTED;
}

void otd_share_judge(struct otd_share_result *out, struct otd_jobs *jobs, const struct otd_share *s,
		     const struct otd_algo_info *algo, int64_t now_s)
{
	otd_rc seen = OTD_E_NOMEM;

	memset(out, 0, sizeof(*out));
	out->target = s->in.target;
	out->verdict = OTD_SHARE_STALE;
	if (!s->job)
		return;
	if (otd_u256_cmp(s->job->block_target, out->target) > 0)
		out->target = s->job->block_target;
	if (s->rc) {
		out->verdict = OTD_SHARE_UNAVAILABLE;
		return;
	}
	struct otd_u256 hash = otd_u256_from_le(s->hash);
	struct otd_dupes *dupes = otd_job_dupes(jobs, s->job);
	if (dupes)
		seen = otd_dupes_look(dupes, &out->slot, s->hash);
	if (otd_u256_cmp(hash, s->job->block_target) <= 0 && seen != OTD_E_EXISTS &&
	    block_is_new(jobs, s->hash)) {
		out->block = true;
		out->verdict = OTD_SHARE_ACCEPTED;
		if (algo->identity == OTD_ALGO_ID_SHA256D)
			otd_sha256d(out->identity, s->header, sizeof(s->header));
		else
			memcpy(out->identity, s->hash, 32);
	} else if (s->in.otherwise != OTD_SHARE_ACCEPTED) {
		out->verdict = s->in.otherwise;
	} else {
		out->verdict = rules(jobs, s, seen, out, hash, now_s);
	}
	if (out->verdict == OTD_SHARE_ACCEPTED && !seen)
		out->dupes = dupes;
}

void otd_share_remember(const struct otd_share_result *r, const struct otd_share *s)
{
	if (r->dupes)
		otd_dupes_fill(r->dupes, r->slot, s->hash);
}

size_t otd_share_coinbase_len(const struct otd_job *job)
{
	return job->coinbase1.len + job->extranonce1_len + job->extranonce2_len +
	       job->coinbase2.len;
}

void otd_share_coinbase(uint8_t *to, const struct otd_share *s)
{
	const struct otd_job *job = s->job;

	memcpy(to, job->coinbase1.ptr, job->coinbase1.len);
	to += job->coinbase1.len;
	memcpy(to, s->in.extranonce1, job->extranonce1_len);
	to += job->extranonce1_len;
	memcpy(to, s->in.extranonce2, job->extranonce2_len);
	to += job->extranonce2_len;
	memcpy(to, job->coinbase2.ptr, job->coinbase2.len);
}
