/*
 * Algorithms: right, and right for everybody at once. What they are given ends where memory ends, so
 * that reading or writing one byte more is seen.
 */
#include "app/check/plugin_check.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define ITEMS_MAX   64u
#define THREADS     16u
#define BUDGET_NS   200000000u  /* of hashing alone in one check */
#define PARALLEL_NS 1000000000u /* for which threads hash beside each other */
#define SPEED_NS    500000000u
#define SAMPLES     5u
#define REACTOR_NS  50000u     /* pool/reactor/reactor.h, inline_cost_ns: a hash that costs more */
#define SLICES_MAX  200000u    /* of prepare(), as plugin/vectors.c */
#define SLICE_NS    250000000u /* of processor time; some milliseconds are meant */
#define SCAN_MAX    4096u
#define GAP_BYTE    0xee
#define GAP         24u /* between items, as of a host whose items are longer */

struct algo {
	const struct otd_algo_ops *ops;
	struct otd_pcheck_instance in;
	struct otd_algo_info info;
	uint8_t *header[ITEMS_MAX]; /* each ends at the end of memory, read-only */
	uint8_t seed[32], mix[32];
	size_t seed_len;
	uint64_t height;
	uint32_t n;                                          /* headers in use */
	uint64_t cost_ns;                                    /* of one hash, alone */
	uint8_t hash[ITEMS_MAX][32], mix_out[ITEMS_MAX][32]; /* by one thread, one at a time */
};

/* --- what is given to it --- */

static const char *impossible(const struct otd_algo_info *i)
{
	if (i->header_len == 0 || i->header_len > 4096)
		return "header_len";
	if (i->nonce_len != 4 && i->nonce_len != 8)
		return "nonce_len";
	if (i->nonce_offset > i->header_len || i->nonce_len > i->header_len - i->nonce_offset)
		return "nonce_offset";
	if (i->scratch_align & (i->scratch_align - 1) || i->scratch_align > (1u << 21))
		return "scratch_align";
	if (i->scratch_size > ((uint64_t)8 << 30))
		return "scratch_size";
	return NULL;
}

static void put_nonce(const struct otd_algo_info *info, uint8_t *header, uint64_t nonce)
{
	for (uint32_t i = 0; i < info->nonce_len; i++) {
		uint32_t at = info->nonce_be ? info->nonce_len - 1 - i : i;
		header[info->nonce_offset + at] = (uint8_t)(nonce >> (8 * i));
	}
}

static uint64_t nonce_of(const struct otd_algo_info *info, const uint8_t *header)
{
	uint64_t v = 0;
	for (uint32_t i = 0; i < info->nonce_len; i++) {
		uint32_t at = info->nonce_be ? i : info->nonce_len - 1 - i;
		v = v << 8 | header[info->nonce_offset + at];
	}
	return v;
}

/* The header, seed and height of a known answer with the instance's length; zeros where there is none. */
static void take_vector(struct algo *a, uint8_t *header)
{
	const struct otd_plugin_desc *d = otd_pcheck_plugin(false);
	size_t n;
	for (uint32_t i = 0; i < d->n_vectors; i++) {
		const struct otd_algo_vector *v = &d->vectors[i];
		if (otd_hex_decode(header, a->info.header_len, &n, v->header, strlen(v->header)) ||
		    n != a->info.header_len)
			continue;
		a->height = v->height;
		if (v->seed && otd_hex_decode(a->seed, 32, &n, v->seed, strlen(v->seed)) == OTD_OK)
			a->seed_len = n;
		if (v->mix)
			(void)!otd_hex_decode(a->mix, 32, &n, v->mix, strlen(v->mix));
		return;
	}
	memset(header, 0, a->info.header_len);
}

static bool make_headers(struct algo *a)
{
	uint8_t first[4096] = {0};
	size_t len = a->info.header_len;
	uint64_t state = 7;
	take_vector(a, first);
	for (uint32_t i = 0; i < ITEMS_MAX; i++) {
		uint8_t *p = otd_pcheck_guarded(len, 1);
		if (!p) {
			otd_pcheck_fail("no memory for the check itself");
			return false;
		}
		memcpy(p, first, len);
		if (i)
			put_nonce(&a->info, p, otd_pcheck_random(&state));
		otd_pcheck_read_only(p, len);
		a->header[i] = p;
	}
	return true;
}

static struct otd_algo_item item_of(const struct algo *a, uint32_t i)
{
	struct otd_algo_item item = {.header = {a->header[i], a->info.header_len},
				     .height = a->height,
				     .nonce = nonce_of(&a->info, a->header[i]),
				     .seed = {a->seed_len ? a->seed : NULL, a->seed_len},
				     .rc = OTD_E_INVALID};
	memcpy(item.mix, a->mix, 32);
	return item;
}

static void *scratch_of(const struct algo *a, uint8_t fill)
{
	size_t align = a->info.scratch_align > 64 ? a->info.scratch_align : 64;
	void *p;
	if (!a->info.scratch_size)
		return NULL;
	p = otd_pcheck_guarded((size_t)a->info.scratch_size, align);
	if (p)
		memset(p, fill, (size_t)a->info.scratch_size);
	else
		otd_pcheck_fail("no memory for its scratch of %" PRIu64 " bytes",
				a->info.scratch_size);
	return p;
}

static bool has_scratch(const struct algo *a, const void *scratch)
{
	return scratch || !a->info.scratch_size;
}

/* Hashes header i alone. False: it was said what is wrong. */
static bool hash_one(struct algo *a, void *scratch, uint32_t i, struct otd_algo_item *item)
{
	otd_rc rc;
	*item = item_of(a, i);
	rc = a->ops->hash_batch(a->in.self, scratch, item, sizeof(*item), 1);
	if (!rc)
		rc = item->rc;
	if (rc)
		otd_pcheck_fail("hash_batch() fails: %s%s", otd_rc_name(rc),
				otd_pcheck_words(&a->in));
	return !rc;
}

/* A slice may be short, and there may be many: not each one is told. */
static void at_slice(uint32_t k)
{
	if (k <= 32 || k % 1024 == 0)
		otd_pcheck_at("prepare(), slice %u%s", k, k > 32 ? " or one behind it" : "");
}

static bool prepare(struct algo *a)
{
	otd_rc rc = a->ops->prepare ? OTD_E_BUSY : OTD_OK;
	for (uint32_t k = 0; rc == OTD_E_BUSY && k < SLICES_MAX; k++) {
		at_slice(k + 1);
		rc = a->ops->prepare(a->in.self, a->height,
				     (struct otd_span){a->seed_len ? a->seed : NULL, a->seed_len});
	}
	if (rc)
		otd_pcheck_fail("prepare() fails: %s%s", otd_rc_name(rc), otd_pcheck_words(&a->in));
	return !rc;
}

/* Creates, asks, prepares nothing yet. False: it was said what is wrong. */
static bool open_algo(struct algo *a)
{
	const char *what;
	otd_rc rc;
	memset(a, 0, sizeof(*a));
	if (!otd_pcheck_plugin(false) || !otd_pcheck_options() || !otd_pcheck_create_or_say(&a->in))
		return false;
	a->ops = otd_pcheck_plugin(false)->ops.algo;
	a->info.size = sizeof(a->info);
	otd_pcheck_at("info()");
	rc = a->ops->info(a->in.self, &a->info);
	if (rc) {
		otd_pcheck_fail("info() fails: %s%s", otd_rc_name(rc), otd_pcheck_words(&a->in));
		return false;
	}
	if (a->info.batch_hint == 0)
		a->info.batch_hint = 1;
	what = impossible(&a->info);
	if (what)
		otd_pcheck_fail("info() gives an impossible %s", what);
	return !what && make_headers(a);
}

/* As open_algo(), prepared, with the cost of a hash and the answers of all headers in use. */
static bool open_ready(struct algo *a)
{
	struct otd_algo_item item;
	uint64_t took;
	void *scratch;
	if (!open_algo(a) || !prepare(a) || !has_scratch(a, scratch = scratch_of(a, 0)))
		return false;
	otd_pcheck_at(
		"hash_batch() of one header, which may only be read; its bytes end where memory "
		"does");
	if (!hash_one(a, scratch, 0, &item))
		return false;
	took = otd_pcheck_cpu_ns();
	if (!hash_one(a, scratch, 1, &item))
		return false;
	a->cost_ns = otd_pcheck_cpu_ns() - took;
	if (!a->cost_ns)
		a->cost_ns = 1;
	a->n = (uint32_t)(BUDGET_NS / a->cost_ns < ITEMS_MAX ? BUDGET_NS / a->cost_ns : ITEMS_MAX);
	if (a->n < 4)
		a->n = 4;
	for (uint32_t i = 0; i < a->n; i++) {
		if (!hash_one(a, scratch, i, &item))
			return false;
		memcpy(a->hash[i], item.hash, 32);
		memcpy(a->mix_out[i], item.mix, 32);
	}
	return true;
}

static void close_algo(struct algo *a)
{
	otd_pcheck_at("destroy()");
	otd_pcheck_destroy(&a->in);
	(void)otd_pcheck_leftovers(&a->in, "after destroy()");
}

static bool right(const struct algo *a, uint32_t i, const struct otd_algo_item *item)
{
	return !item->rc && memcmp(item->hash, a->hash[i], 32) == 0 &&
	       (!(a->info.flags & OTD_ALGO_HAS_MIX) || memcmp(item->mix, a->mix_out[i], 32) == 0);
}

/* --- for leaks and memory: what a pool does with one share --- */

otd_rc otd_pcheck_walk_algo(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w)
{
	static struct algo a;
	static void *scratch;
	struct otd_algo_item item;
	otd_rc rc = OTD_OK;
	a.in.self = in->self;
	a.ops = otd_pcheck_plugin(false)->ops.algo;
	if (!a.header[0]) {
		a.info.size = sizeof(a.info);
		w->at = "info()";
		rc = a.ops->info(in->self, &a.info);
		if (rc || impossible(&a.info) || !make_headers(&a) ||
		    !has_scratch(&a, scratch = scratch_of(&a, 0)))
			return rc ? rc : OTD_E_INVALID;
	}
	w->at = "prepare()";
	if (a.ops->prepare) {
		rc = OTD_E_BUSY;
		for (uint32_t k = 0; rc == OTD_E_BUSY && k < SLICES_MAX; k++)
			rc = a.ops->prepare(
				in->self, a.height,
				(struct otd_span){a.seed_len ? a.seed : NULL, a.seed_len});
		if (rc)
			return rc;
	}
	w->at = "hash_batch()";
	item = item_of(&a, 0);
	rc = a.ops->hash_batch(in->self, scratch, &item, sizeof(item), 1);
	otd_pcheck_sum(w, item.hash, sizeof(item.hash));
	return rc ? rc : item.rc;
}

/* --- known answers --- */

static unsigned real_blocks(const struct otd_plugin_desc *d)
{
	unsigned n = 0;
	for (uint32_t i = 0; i < d->n_vectors; i++)
		n += d->vectors[i].real_block != 0;
	return n;
}

void otd_pcheck_vectors(void)
{
	const struct otd_plugin_desc *d = otd_pcheck_plugin(true);
	unsigned unsaid = 0;
	if (!d)
		return;
	for (uint32_t i = 0; i < d->n_vectors; i++)
		unsaid += !d->vectors[i].source || !d->vectors[i].source[0];
	if (unsaid)
		otd_pcheck_fail("%u known answer%s not where the number comes from: fill in source",
				unsaid, unsaid == 1 ? " says" : "s say");
	otd_pcheck_figure("vectors", d->n_vectors);
	otd_pcheck_ok("%u right, %u of them real blocks", d->n_vectors, real_blocks(d));
}

void otd_pcheck_real_block(void)
{
	const struct otd_plugin_desc *d = otd_pcheck_plugin(false);
	const char *source = NULL;
	if (!d)
		return;
	for (uint32_t i = 0; i < d->n_vectors && !source; i++)
		source = d->vectors[i].real_block ? d->vectors[i].source : NULL;
	if (!real_blocks(d))
		otd_pcheck_warn(
			"none of its known answers is a block of a public chain, so that it "
			"may agree with its author only: add one, with real_block = 1");
	otd_pcheck_ok("%s", source ? source : "");
}

/* --- info() --- */

/* Asks with a struct of so many bytes, behind which memory ends. */
static bool ask_short(struct algo *a, uint32_t size, const char *who)
{
	struct otd_algo_info *p = (void *)otd_pcheck_guarded(size, 8);
	otd_rc rc;
	if (!p)
		return false;
	p->size = size;
	otd_pcheck_at("info() with out->size %u, as of %s host: nothing is written behind that",
		      size, who);
	rc = a->ops->info(a->in.self, p);
	if (rc) {
		otd_pcheck_fail("info() fails for %s host, whose struct has %u bytes: %s", who,
				size, otd_rc_name(rc));
		return false;
	}
	return true;
}

void otd_pcheck_facts(void)
{
	struct algo a;
	char text[64];
	if (!open_algo(&a))
		return;
	if (!ask_short(&a, offsetof(struct otd_algo_info, variant), "an older") ||
	    !ask_short(&a, sizeof(a.info) + 64, "a newer"))
		return;
	if (otd_u256_is_zero(otd_u256_from_be(a.info.diff1)))
		otd_pcheck_fail("info() says that difficulty 1 has the target 0: diff1");
	(void)snprintf(text, sizeof(text), "%.60s", a.info.variant ? a.info.variant : "");
	close_algo(&a);
	otd_pcheck_figure("header_len", a.info.header_len);
	otd_pcheck_figure("scratch_bytes", a.info.scratch_size);
	otd_pcheck_ok("headers of %u bytes, nonce of %u at %u, batches of %u, scratch of %" PRIu64
		      "%s%s",
		      a.info.header_len, a.info.nonce_len, a.info.nonce_offset, a.info.batch_hint,
		      a.info.scratch_size, text[0] ? ", " : "", text);
}

/* --- prepare() --- */

void otd_pcheck_prepare(void)
{
	struct algo a;
	uint64_t worst = 0;
	uint32_t slices = 0;
	otd_rc rc = OTD_E_BUSY;
	if (!open_algo(&a))
		return;
	if (!a.ops->prepare) {
		otd_pcheck_ok("has none");
		close_algo(&a);
		return;
	}
	while (rc == OTD_E_BUSY && slices < SLICES_MAX) {
		uint64_t took = otd_pcheck_cpu_ns();
		at_slice(++slices);
		rc = a.ops->prepare(a.in.self, a.height,
				    (struct otd_span){a.seed_len ? a.seed : NULL, a.seed_len});
		took = otd_pcheck_cpu_ns() - took;
		worst = took > worst ? took : worst;
	}
	if (rc == OTD_E_BUSY)
		otd_pcheck_fail("prepare() is not ready after %u slices", slices);
	else if (rc)
		otd_pcheck_fail("prepare() fails: %s%s", otd_rc_name(rc), otd_pcheck_words(&a.in));
	else if (worst > SLICE_NS)
		otd_pcheck_fail("one slice of prepare() works for %" PRIu64
				" ms: do some milliseconds a call and return OTD_E_BUSY, so that "
				"shares are hashed meanwhile",
				worst / 1000000);
	otd_pcheck_at("prepare() again, when it is ready");
	if (!rc &&
	    a.ops->prepare(a.in.self, a.height,
			   (struct otd_span){a.seed_len ? a.seed : NULL, a.seed_len}) != OTD_OK)
		otd_pcheck_fail("prepare() for what is ready does not return OTD_OK");
	close_algo(&a);
	otd_pcheck_figure("slice_us", worst / 1000);
	otd_pcheck_ok("%u slice%s of at most %.1f ms", slices, slices == 1 ? "" : "s",
		      (double)worst / 1e6);
}

/* --- batches --- */

static bool other_scratch(struct algo *a)
{
	struct otd_algo_item item;
	void *scratch = scratch_of(a, 0xa5);
	if (!has_scratch(a, scratch))
		return false;
	otd_pcheck_at("hash_batch() with other bytes in its scratch");
	for (uint32_t i = 0; i < a->n; i++) {
		otd_pcheck_dirty_stack((uint8_t)i);
		if (!hash_one(a, scratch, i, &item))
			return false;
		if (!right(a, i, &item)) {
			otd_pcheck_fail("the hash depends on what was in the scratch before, or on "
					"memory that was never written");
			return false;
		}
	}
	return true;
}

/* k items with a gap between them. */
static bool hash_with_gaps(struct algo *a, void *scratch, uint32_t k)
{
	size_t stride = sizeof(struct otd_algo_item) + GAP;
	uint8_t *p = otd_pcheck_guarded(stride * k, 8);
	otd_rc rc;
	if (!p)
		return false;
	memset(p, GAP_BYTE, stride * k);
	for (uint32_t i = 0; i < k; i++)
		*(struct otd_algo_item *)(void *)(p + i * stride) = item_of(a, i % a->n);
	otd_pcheck_at("hash_batch() of %u items, %zu bytes apart", k, stride);
	rc = a->ops->hash_batch(a->in.self, scratch, (void *)p, stride, k);
	if (rc) {
		otd_pcheck_fail("hash_batch() of %u items fails: %s", k, otd_rc_name(rc));
		return false;
	}
	for (uint32_t i = 0; i < k; i++) {
		const uint8_t *gap = p + i * stride + sizeof(struct otd_algo_item);
		if (!right(a, i % a->n, (const void *)(p + i * stride))) {
			otd_pcheck_fail("item %u of a batch of %u has another hash than alone", i,
					k);
			return false;
		}
		for (uint32_t g = 0; g < GAP; g++) {
			if (gap[g] != GAP_BYTE) {
				otd_pcheck_fail(
					"writes behind an item: the next one is stride bytes "
					"on, not sizeof(struct otd_algo_item)");
				return false;
			}
		}
	}
	return true;
}

/* Headers of another length are refused one by one. */
static bool wrong_lengths(struct algo *a, void *scratch)
{
	const size_t lengths[] = {0, a->info.header_len - 1, a->info.header_len + 1};
	uint8_t *longer = otd_pcheck_guarded(a->info.header_len + 1, 1);
	for (size_t i = 0; longer && i < 3; i++) {
		struct otd_algo_item items[2] = {item_of(a, 0), item_of(a, 1)};
		const uint8_t *p = i == 2 ? longer : a->header[0] + a->info.header_len - lengths[i];
		items[0].header = (struct otd_span){lengths[i] ? p : NULL, lengths[i]};
		items[0].rc = OTD_OK;
		otd_pcheck_at("hash_batch() of a header with %zu bytes", lengths[i]);
		otd_rc rc = a->ops->hash_batch(a->in.self, scratch, items, sizeof(items[0]), 2);
		if (!rc && !items[0].rc) {
			otd_pcheck_fail(
				"takes a header of %zu bytes as one of %u: set the item's rc "
				"to OTD_E_INVALID",
				lengths[i], a->info.header_len);
			return false;
		}
		if (!rc && !right(a, 1, &items[1])) {
			otd_pcheck_fail("an item that cannot be hashed spoils the next one");
			return false;
		}
	}
	return longer != NULL;
}

void otd_pcheck_batch(void)
{
	struct algo a;
	void *scratch;
	uint32_t most;
	if (!open_ready(&a) || !has_scratch(&a, scratch = scratch_of(&a, 0)))
		return;
	most = a.info.batch_hint * 2 + 3 < a.n ? a.info.batch_hint * 2 + 3 : a.n;
	if (!other_scratch(&a))
		return;
	for (uint32_t k = 1; k <= most; k += k < 9 ? 1 : k / 2) {
		if (!hash_with_gaps(&a, scratch, k))
			return;
	}
	if (!hash_with_gaps(&a, scratch, most))
		return;
	otd_pcheck_at("hash_batch() of no items");
	if (a.ops->hash_batch(a.in.self, scratch, NULL, sizeof(struct otd_algo_item), 0))
		otd_pcheck_fail("hash_batch() of no items fails");
	if (!wrong_lengths(&a, scratch))
		return;
	close_algo(&a);
	otd_pcheck_ok("1 to %u items hash as each alone, within their bounds", most);
}

/* --- scan() --- */

struct range {
	uint64_t first;
	uint32_t n;
	uint8_t (*hash)[32];
};

/* a at most b, both least significant byte first. */
static bool at_most(const uint8_t a[32], const uint8_t b[32])
{
	return otd_u256_cmp(otd_u256_from_le(a), otd_u256_from_le(b)) <= 0;
}

static bool hash_range(struct algo *a, void *scratch, const struct range *r)
{
	uint8_t header[4096];
	memcpy(header, a->header[0], a->info.header_len);
	for (uint32_t i = 0; i < r->n; i++) {
		struct otd_algo_item item = item_of(a, 0);
		put_nonce(&a->info, header, r->first + i);
		item.header.ptr = header;
		item.nonce = r->first + i;
		if (a->ops->hash_batch(a->in.self, scratch, &item, sizeof(item), 1) || item.rc) {
			otd_pcheck_fail("hash_batch() fails for nonce %" PRIu64, r->first + i);
			return false;
		}
		memcpy(r->hash[i], item.hash, 32);
	}
	return true;
}

static bool scan(struct algo *a, void *scratch, const struct range *r, const uint8_t target[32],
		 uint32_t cap, struct otd_algo_scan *s)
{
	otd_rc rc;
	*s = (struct otd_algo_scan){.size = sizeof(*s),
				    .header = {a->header[0], a->info.header_len},
				    .height = a->height,
				    .seed = {a->seed_len ? a->seed : NULL, a->seed_len},
				    .first = r->first,
				    .count = r->n,
				    .found = (void *)otd_pcheck_guarded((size_t)cap * 8, 8),
				    .found_cap = cap};
	memcpy(s->target, target, 32);
	otd_pcheck_at("scan() of %u nonces, room for %u results", r->n, cap);
	rc = s->found ? a->ops->scan(a->in.self, scratch, s) : OTD_E_NOMEM;
	if (rc)
		otd_pcheck_fail("scan() fails: %s%s", otd_rc_name(rc), otd_pcheck_words(&a->in));
	else if (s->n_found > cap || s->done > s->count)
		otd_pcheck_fail("scan() says that it found %u of at most %u and tried %" PRIu64
				" of %u",
				s->n_found, cap, s->done, r->n);
	else
		return true;
	return false;
}

/* What it found are the nonces, of those it says it tried, whose hash is at most the target. */
static bool found_right(const struct range *r, const struct otd_algo_scan *s)
{
	uint32_t want = 0;
	for (uint64_t i = 0; i < s->done; i++)
		want += at_most(r->hash[i], s->target);
	for (uint32_t k = 0; k < s->n_found; k++) {
		uint64_t nonce = s->found[k];
		if (nonce < r->first || nonce - r->first >= s->done ||
		    !at_most(r->hash[nonce - r->first], s->target)) {
			otd_pcheck_fail("scan() gives nonce %" PRIu64
					", whose hash is above the target or which lies outside of "
					"what it tried",
					nonce);
			return false;
		}
	}
	if (want != s->n_found) {
		otd_pcheck_fail("scan() tried %" PRIu64 " nonces and gives %u of %u results: done "
				"counts no nonce behind the last that was looked at",
				s->done, s->n_found, want);
		return false;
	}
	return true;
}

static bool scan_parts(struct algo *a, void *scratch, const struct range *r)
{
	uint8_t all[32], least[32];
	struct otd_algo_scan s;
	memset(all, 0xff, sizeof(all));
	memcpy(least, r->hash[0], 32);
	for (uint32_t i = 1; i < r->n; i++) {
		if (at_most(r->hash[i], least))
			memcpy(least, r->hash[i], 32);
	}
	/* One result among many nonces, about half of them, and every one with little room. */
	if (!scan(a, scratch, r, least, 4, &s) || !found_right(r, &s))
		return false;
	if (s.done != r->n) {
		otd_pcheck_fail("scan() stops after %" PRIu64 " of %u nonces with room left",
				s.done, r->n);
		return false;
	}
	return scan(a, scratch, r, r->hash[r->n / 2], r->n, &s) && found_right(r, &s) &&
	       scan(a, scratch, r, all, 1, &s) && found_right(r, &s);
}

/* Told to stop before it begins, with more to do than anybody could. */
static bool scan_stopped(struct algo *a, void *scratch)
{
	static const volatile uint32_t stop = 1;
	struct otd_algo_scan s = {.size = sizeof(s),
				  .header = {a->header[0], a->info.header_len},
				  .height = a->height,
				  .seed = {a->seed_len ? a->seed : NULL, a->seed_len},
				  .first = 1,
				  .count = ((uint64_t)1 << 32) - 1,
				  .stop = &stop,
				  .found_cap = 1};
	uint64_t found[1];
	s.found = found;
	otd_pcheck_at("scan() that was told to stop, *scan->stop is 1");
	if (a->ops->scan(a->in.self, scratch, &s) || s.done == s.count) {
		otd_pcheck_fail("scan() does not heed *scan->stop");
		return false;
	}
	return true;
}

void otd_pcheck_scan(void)
{
	struct algo a;
	struct range r = {.first = 1000};
	void *scratch;
	if (!open_ready(&a) || !has_scratch(&a, scratch = scratch_of(&a, 0)))
		return;
	if (!a.ops->scan) {
		otd_pcheck_ok("has none: the host searches by hash_batch()");
		close_algo(&a);
		return;
	}
	r.n = (uint32_t)(BUDGET_NS / a.cost_ns < SCAN_MAX ? BUDGET_NS / a.cost_ns : SCAN_MAX);
	if (r.n < 8)
		r.n = 8;
	r.hash = calloc(r.n, sizeof(*r.hash));
	if (!r.hash)
		otd_pcheck_fail("no memory for the check itself");
	else if (hash_range(&a, scratch, &r) && scan_parts(&a, scratch, &r) &&
		 scan_stopped(&a, scratch))
		otd_pcheck_ok("%u nonces: what hash_batch() finds, no more, no less; it heeds stop",
			      r.n);
	free(r.hash);
	close_algo(&a);
}

/* --- several threads on one instance --- */

struct parallel {
	struct algo *a;
	void *scratch[THREADS];
	uint64_t until;
	_Atomic uint32_t wrong, failed;
	_Atomic uint64_t hashes;
};

static void hash_beside(void *arg, unsigned thread)
{
	struct parallel *p = arg;
	struct algo *a = p->a;
	struct otd_algo_item items[ITEMS_MAX];
	uint64_t state = thread + 1;
	do {
		uint32_t n = 1 + (uint32_t)otd_pcheck_below(&state, a->n), which[ITEMS_MAX];
		for (uint32_t i = 0; i < n; i++) {
			which[i] = (uint32_t)otd_pcheck_below(&state, a->n);
			items[i] = item_of(a, which[i]);
		}
		if (a->ops->hash_batch(a->in.self, p->scratch[thread], items, sizeof(items[0]), n))
			atomic_fetch_add(&p->failed, 1);
		for (uint32_t i = 0; i < n; i++) {
			if (!right(a, which[i], &items[i]))
				atomic_fetch_add(&p->wrong, 1);
		}
		atomic_fetch_add(&p->hashes, n);
	} while (otd_pcheck_mono_ns() < p->until && !atomic_load(&p->wrong));
}

void otd_pcheck_parallel(void)
{
	static struct algo a;
	static struct parallel p;
	if (!open_ready(&a))
		return;
	p.a = &a;
	for (unsigned i = 0; i < THREADS; i++) {
		p.scratch[i] = scratch_of(&a, (uint8_t)i);
		if (!has_scratch(&a, p.scratch[i]))
			return;
	}
	p.until = otd_pcheck_mono_ns() + PARALLEL_NS;
	otd_pcheck_at("hash_batch() on %u threads at once, [compute, reentrant]", THREADS);
	if (!otd_pcheck_on_threads(THREADS, hash_beside, &p)) {
		otd_pcheck_skip("%u threads cannot be made here", THREADS);
		return;
	}
	if (p.failed)
		otd_pcheck_fail("hash_batch() fails where %u threads call it at once", THREADS);
	if (p.wrong)
		otd_pcheck_fail(
			"on %u threads at once hashes are wrong: something is shared, a "
			"static buffer or one of the instance; a thread has its own scratch",
			THREADS);
	close_algo(&a);
	otd_pcheck_figure("hashes", p.hashes);
	otd_pcheck_ok("%" PRIu64 " hashes on %u threads at once, each as by one",
		      (uint64_t)p.hashes, THREADS);
}

/* --- speed --- */

/* As a reactor measures it at start: the best of some hashes of zeros. */
static uint64_t cost_alone(struct algo *a, void *scratch)
{
	static const uint8_t zeros[4096];
	uint64_t best = UINT64_MAX;
	for (unsigned i = 0; i <= SAMPLES; i++) {
		struct otd_algo_item item = item_of(a, 0);
		uint64_t took = otd_pcheck_mono_ns();
		item.header.ptr = zeros;
		if (a->ops->hash_batch(a->in.self, scratch, &item, sizeof(item), 1) || item.rc) {
			otd_pcheck_fail("cannot hash a header of zeros, which is how a pool "
					"measures what a hash costs");
			return 0;
		}
		took = otd_pcheck_mono_ns() - took;
		if (i && took < best)
			best = took;
	}
	return best;
}

void otd_pcheck_speed(void)
{
	static struct otd_algo_item items[ITEMS_MAX];
	struct algo a;
	void *scratch;
	uint64_t start, took = 0, hashes = 0, cost;
	char rate[OTD_RATE_TEXT];
	uint32_t n;
	if (!open_ready(&a) || !has_scratch(&a, scratch = scratch_of(&a, 0)))
		return;
	n = a.info.batch_hint < ITEMS_MAX ? a.info.batch_hint : ITEMS_MAX;
	otd_pcheck_at("hash_batch(), to see how fast it is");
	start = otd_pcheck_mono_ns();
	while (took < SPEED_NS) {
		for (uint32_t i = 0; i < n; i++)
			items[i] = item_of(&a, i);
		if (a.ops->hash_batch(a.in.self, scratch, items, sizeof(items[0]), n)) {
			otd_pcheck_fail("hash_batch() of %u items fails", n);
			return;
		}
		hashes += n;
		took = otd_pcheck_mono_ns() - start;
	}
	cost = cost_alone(&a, scratch);
	if (!cost)
		return;
	close_algo(&a);
	otd_pcheck_figure("hashes_a_second", hashes * 1000000000u / took);
	otd_pcheck_figure("hash_ns", cost);
	otd_pcheck_ok("%s a thread, %.2f us a hash: %s",
		      otd_format_hashrate(rate, hashes * 1000, (int64_t)(took / 1000)),
		      (double)cost / 1e3,
		      cost > REACTOR_NS ? "costly, hashed in the compute pool"
					: "cheap, hashed on the reactor's loop");
}
