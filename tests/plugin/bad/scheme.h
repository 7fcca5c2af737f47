/*
 * A small payout scheme that keeps to the contract (a block is divided by all work since the last one,
 * units that are left over go to the least account), and places at which a bad one does otherwise. See
 * toy.h.
 */
#ifndef TESTS_BAD_SCHEME_H
#define TESTS_BAD_SCHEME_H

#include <otedama/payout.h>
#include <string.h>

enum { SCHEME_ACCOUNTS = 256 };

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
	uint64_t calls;
	otd_u128 work[SCHEME_ACCOUNTS];
	otd_u128 total;
};

static inline otd_rc scheme_create(struct otd_instance **out, struct otd_host *h,
				   const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	(void)options;
	if (!in)
		return OTD_E_NOMEM;
	in->host = h;
	in->core = core;
	*out = in;
	return OTD_OK;
}

static inline void scheme_destroy(struct otd_instance *in)
{
	if (in)
		in->core->free(in->host, in);
}

static inline otd_rc scheme_shares(struct otd_instance *in, const struct otd_payout_batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct otd_payout_share *s =
			(const void *)((const uint8_t *)b->shares + i * b->stride);
		if (s->account == 0 || s->account >= SCHEME_ACCOUNTS)
			return OTD_E_INVALID;
		in->work[s->account] += s->work;
		in->total += s->work;
	}
	return OTD_OK;
}

static inline otd_rc scheme_pay(const struct otd_payout_sink *sink, uint64_t account, otd_i128 v)
{
	return v > 0 ? sink->credit(sink->ctx, account, v) : OTD_OK;
}

static inline otd_rc scheme_block(struct otd_instance *in, const struct otd_payout_block *b,
				  const struct otd_payout_sink *sink)
{
	otd_i128 left = b->amount;
	otd_rc rc = OTD_OK;
	for (uint64_t a = 1; !rc && in->total && a < SCHEME_ACCOUNTS; a++) {
		/* 256 bits in two halves are not needed: amounts of this test times parts of 2^16 */
		otd_i128 part = b->amount / 65536 * (otd_i128)(in->work[a] * 65536 / in->total);
		left -= part;
		rc = scheme_pay(sink, a, part);
	}
	if (!rc)
		rc = scheme_pay(sink, b->finder, left);
	memset(in->work, 0, sizeof(in->work));
	in->total = 0;
	return rc;
}

static inline otd_rc scheme_snapshot(struct otd_instance *in, struct otd_buf *out)
{
	size_t n = sizeof(in->work) + sizeof(in->total);
	out->len = n;
	if (out->cap < n)
		return OTD_E_RANGE;
	memcpy(out->ptr, in->work, sizeof(in->work));
	memcpy(out->ptr + sizeof(in->work), &in->total, sizeof(in->total));
	return OTD_OK;
}

static inline otd_rc scheme_restore(struct otd_instance *in, struct otd_span state)
{
	if (state.len != sizeof(in->work) + sizeof(in->total))
		return OTD_E_CORRUPT;
	memcpy(in->work, state.ptr, sizeof(in->work));
	memcpy(&in->total, state.ptr + sizeof(in->work), sizeof(in->total));
	return OTD_OK;
}

static inline otd_rc scheme_round(struct otd_instance *in, otd_u128 *work, uint64_t *accounts)
{
	*work = in->total;
	*accounts = 0;
	for (size_t i = 0; i < SCHEME_ACCOUNTS; i++)
		*accounts += in->work[i] != 0;
	return OTD_OK;
}

#ifndef BAD_SHARES
#define BAD_SHARES scheme_shares
#endif
#ifndef BAD_BLOCK
#define BAD_BLOCK scheme_block
#endif
#ifndef BAD_SNAPSHOT
#define BAD_SNAPSHOT scheme_snapshot
#endif
#ifndef BAD_RESTORE
#define BAD_RESTORE scheme_restore
#endif

#define BAD_PLUGIN                                                                            \
	static const struct otd_base_ops base = {                                             \
		.size = sizeof(base), .create = scheme_create, .destroy = scheme_destroy};    \
	static const struct otd_payout_ops ops = {.size = sizeof(ops),                        \
						  .shares = BAD_SHARES,                       \
						  .block = BAD_BLOCK,                         \
						  .snapshot = BAD_SNAPSHOT,                   \
						  .restore = BAD_RESTORE,                     \
						  .round = scheme_round};                     \
	static const struct otd_plugin_desc desc = {.size = sizeof(desc),                     \
						    .abi_major = OTD_ABI_MAJOR,               \
						    .abi_minor = OTD_ABI_MINOR,               \
						    .kind = "payout/1",                       \
						    .id = BAD_ID,                             \
						    .version = "0.0.1",                       \
						    .license = "MIT",                         \
						    .build = "C " __VERSION__,                \
						    .summary = "For a test",                  \
						    .option_size = sizeof(struct otd_option), \
						    .base = &base,                            \
						    .ops.payout = &ops};                      \
	OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)                          \
	{                                                                                     \
		return &desc;                                                                 \
	}

OTD_PLUGIN_NOTE("payout/1", BAD_ID);

#endif
