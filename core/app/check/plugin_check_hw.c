/* Hardware: what it finds is true. The algorithm is the check's own, so that every answer is known. */
#include "app/check/plugin_check.h"

#include <inttypes.h>
#include <string.h>

#include <otedama/sha256.h>

#define HEADER   80u
#define NONCE_AT 76u
#define DEVICES  64u
#define RANGE    20000u /* nonces that are searched */
#define ROUNDS   100000u
#define FOUND    64u

struct otd_instance {
	int nothing;
};

static otd_rc own_info(struct otd_instance *in, struct otd_algo_info *out)
{
	(void)in;
	*out = (struct otd_algo_info){.size = sizeof(*out),
				      .header_len = HEADER,
				      .nonce_offset = NONCE_AT,
				      .nonce_len = 4,
				      .batch_hint = 8,
				      .scratch_size = 4096,
				      .scratch_align = 256,
				      .diff1 = {0, 0, 0, 0, 0xff, 0xff},
				      .variant = "check"};
	return OTD_OK;
}

/* Its scratch is aligned and its own: it is written to, whole. */
static otd_rc own_batch(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			size_t stride, size_t n)
{
	(void)in;
	if (!scratch || (uintptr_t)scratch % 256)
		return OTD_E_INVALID;
	memset(scratch, 0x11, 4096);
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *item = (void *)((uint8_t *)items + i * stride);
		item->rc = item->header.len == HEADER ? OTD_OK : OTD_E_INVALID;
		if (!item->rc)
			otd_sha256d(item->hash, item->header.ptr, HEADER);
	}
	return OTD_OK;
}

static otd_rc own_scan(struct otd_instance *in, void *scratch, struct otd_algo_scan *s)
{
	(void)in;
	if (!scratch || s->header.len != HEADER)
		return OTD_E_INVALID;
	memset(scratch, 0x22, 4096);
	s->done = otd_sha256d_scan80(s->found, s->found_cap, &s->n_found, s->header.ptr, s->first,
				     s->count, s->target, s->stop);
	return OTD_OK;
}

static const struct otd_algo_ops by_batch = {
	.size = sizeof(by_batch), .info = own_info, .hash_batch = own_batch};
static const struct otd_algo_ops by_scan = {
	.size = sizeof(by_scan), .info = own_info, .hash_batch = own_batch, .scan = own_scan};

/* One in about 4,000: some in the range. */
static const uint8_t target[32] = {[29] = 0xff, [30] = 0x0f};

static bool meets(uint64_t nonce)
{
	uint8_t header[HEADER] = {0}, hash[32];
	for (unsigned i = 0; i < 4; i++)
		header[NONCE_AT + i] = (uint8_t)(nonce >> (8 * i));
	otd_sha256d(hash, header, HEADER);
	return otd_u256_cmp(otd_u256_from_le(hash), otd_u256_from_le(target)) <= 0;
}

/* Searches the range in as many calls as the device wants. False: it was said what is wrong. */
static bool search(const struct otd_hw_ops *ops, struct otd_hw_unit *unit, const char *how)
{
	uint64_t next = 0, want = 0, got = 0;
	uint8_t header[HEADER] = {0};
	for (uint64_t i = 0; i < RANGE; i++)
		want += meets(i);
	for (unsigned k = 0; next < RANGE && k < ROUNDS; k++) {
		uint64_t found[FOUND];
		struct otd_algo_scan s = {.size = sizeof(s),
					  .header = {header, HEADER},
					  .first = next,
					  .count = RANGE - next,
					  .found = found,
					  .found_cap = FOUND};
		memcpy(s.target, target, 32);
		otd_pcheck_at("scan() from nonce %" PRIu64 ", %s", next, how);
		otd_rc rc = ops->scan(unit, &s);
		if (rc || s.done > RANGE - next || s.n_found > FOUND) {
			otd_pcheck_fail("scan() from nonce %" PRIu64
					" fails (%s), or says that it tried "
					"%" PRIu64 " of %" PRIu64,
					next, otd_rc_name(rc), s.done, RANGE - next);
			return false;
		}
		for (uint32_t i = 0; i < s.n_found; i++) {
			if (found[i] < next || found[i] - next >= s.done || !meets(found[i])) {
				otd_pcheck_fail("scan() gives nonce %" PRIu64
						", which is no result: each one is confirmed first",
						found[i]);
				return false;
			}
		}
		got += s.n_found;
		next += s.done;
	}
	if (next < RANGE)
		otd_pcheck_fail("scan() does not come to the end of %u nonces in %u calls", RANGE,
				ROUNDS);
	else if (got != want)
		otd_pcheck_fail("scan() finds %" PRIu64 " of %" PRIu64 " results in %u nonces, %s",
				got, want, RANGE, how);
	return next >= RANGE && got == want;
}

static bool try_unit(struct otd_pcheck_instance *in, uint32_t index,
		     const struct otd_algo_ops *algo, const char *how)
{
	const struct otd_hw_ops *ops = otd_pcheck_plugin(false)->ops.hw;
	struct otd_instance own = {0};
	struct otd_algo_info info;
	struct otd_hw_unit *unit = NULL;
	struct otd_hw_telemetry t = {.size = sizeof(t)};
	bool ok = true;
	(void)!own_info(&own, &info);
	const struct otd_hw_algo with = {
		.size = sizeof(with), .ops = algo, .algo = &own, .info = &info, .id = "check"};
	otd_pcheck_at("open() of device %u, %s", index, how);
	otd_rc rc = ops->open(in->self, &unit, index, 0, &with);
	if (rc == OTD_E_UNSUPPORTED)
		return true; /* a device for one algorithm */
	if (rc || !unit) {
		otd_pcheck_fail("open() of device %u fails: %s%s", index, otd_rc_name(rc),
				otd_pcheck_words(in));
		return false;
	}
	ok = search(ops, unit, how);
	if (ok && ops->telemetry) {
		otd_pcheck_at("telemetry() of device %u", index);
		if (ops->telemetry(unit, &t))
			otd_pcheck_fail("telemetry() of device %u fails", index);
	}
	otd_pcheck_at("close() of device %u", index);
	ops->close(unit);
	return ok;
}

/* device() of an older host, whose struct is shorter: memory ends behind it. */
static void ask_short(struct otd_pcheck_instance *in)
{
	const struct otd_hw_ops *ops = otd_pcheck_plugin(false)->ops.hw;
	uint32_t size = offsetof(struct otd_hw_device, memory);
	struct otd_hw_device *d = (void *)otd_pcheck_guarded(size, 8);
	if (!d)
		return;
	d->size = size;
	otd_pcheck_at(
		"device() with out->size %u, as of an older host: nothing is written behind it",
		size);
	(void)!ops->device(in->self, 0, d);
}

/* For leaks and memory. */
otd_rc otd_pcheck_walk_hw(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w)
{
	const struct otd_hw_ops *ops = otd_pcheck_plugin(false)->ops.hw;
	struct otd_hw_device d = {.size = sizeof(d)};
	struct otd_instance own = {0};
	struct otd_algo_info info;
	struct otd_hw_unit *unit = NULL;
	otd_rc rc;
	w->at = "device()";
	rc = ops->device(in->self, 0, &d);
	if (rc)
		return rc == OTD_E_NOT_FOUND ? OTD_OK : rc;
	(void)!own_info(&own, &info);
	const struct otd_hw_algo with = {
		.size = sizeof(with), .ops = &by_batch, .algo = &own, .info = &info, .id = "check"};
	w->at = "open()";
	rc = ops->open(in->self, &unit, 0, 0, &with);
	if (!rc)
		ops->close(unit);
	return rc == OTD_E_UNSUPPORTED ? OTD_OK : rc;
}

void otd_pcheck_devices(void)
{
	const struct otd_hw_ops *ops;
	struct otd_pcheck_instance in = {0};
	uint32_t n = 0;
	otd_rc rc = OTD_OK;
	if (!otd_pcheck_plugin(false) || !otd_pcheck_options() || !otd_pcheck_create_or_say(&in))
		return;
	ops = otd_pcheck_plugin(false)->ops.hw;
	otd_pcheck_at("close(NULL)");
	ops->close(NULL);
	ask_short(&in);
	while (n <= DEVICES) {
		struct otd_hw_device d = {.size = sizeof(d)};
		otd_pcheck_at("device() number %u", n);
		rc = ops->device(in.self, n, &d);
		if (rc)
			break;
		if (!memchr(d.name, 0, sizeof(d.name)) || !d.name[0] || !d.units) {
			otd_pcheck_fail("device() number %u has no name or no units", n);
			return;
		}
		n++;
		if (!try_unit(&in, n - 1, &by_batch, "an algorithm without scan()") ||
		    !try_unit(&in, n - 1, &by_scan, "an algorithm with scan()"))
			return;
	}
	if (rc != OTD_E_NOT_FOUND)
		otd_pcheck_fail(
			"device() number %u does not return OTD_E_NOT_FOUND past the last: %s", n,
			otd_rc_name(rc));
	otd_pcheck_at("destroy()");
	otd_pcheck_destroy(&in);
	(void)otd_pcheck_leftovers(&in, "after close() and destroy()");
	if (n)
		otd_pcheck_ok("%u device%s: opened, searched %u nonces twice, found what there is",
			      n, n > 1 ? "s" : "", RANGE);
	else
		otd_pcheck_skip(
			"no device here, which is a normal state: open() and scan() are not "
			"tried");
}
