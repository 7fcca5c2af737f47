/*
 * restore() of a payout plugin, whose .c files were included before: bytes that are taken are a state
 * that snapshots to the same bytes and that divides a block without a unit lost.
 */
#ifndef TESTS_FUZZ_PAYOUT_H
#define TESTS_FUZZ_PAYOUT_H

#include <stdlib.h>

struct otd_host {
	size_t live, bytes;
};

static void *fuzz_alloc(struct otd_host *h, size_t n)
{
	/* The host's bound on an instance. */
	if (n > (256u << 20) || h->bytes + n > (256u << 20))
		return NULL;
	h->live++;
	h->bytes += n;
	return calloc(1, n ? n : 1);
}

static void fuzz_free(struct otd_host *h, void *p)
{
	h->live -= p != NULL;
	free(p);
}

static void fuzz_error(struct otd_host *h, const char *fmt, ...)
{
	(void)h, (void)fmt;
}

static otd_rc fuzz_credit(void *ctx, uint64_t account, otd_i128 amount)
{
	if (account == 0 || amount <= 0)
		abort();
	*(otd_i128 *)ctx += amount;
	return OTD_OK;
}

static void fuzz_use(const struct otd_payout_ops *ops, struct otd_instance *in)
{
	static const struct otd_payout_share share = {.account = 3, .work = 1000};
	const struct otd_payout_batch batch = {.size = sizeof(batch),
					       .stride = sizeof(share),
					       .shares = &share,
					       .n = 1,
					       .time_ms = INT64_MAX / 2,
					       .network_work = 5000};
	const struct otd_payout_block block = {.size = sizeof(block),
					       .block = UINT64_MAX,
					       .finder = 3,
					       .amount = 312500007,
					       .network_work = 5000,
					       .time_ms = INT64_MAX / 2,
					       .height = 9};
	otd_i128 paid = 0;
	const struct otd_payout_sink sink = {
		.size = sizeof(sink), .ctx = &paid, .credit = fuzz_credit};
	otd_u128 work;
	uint64_t accounts;
	if (ops->round && ops->round(in, &work, &accounts))
		return;
	if (ops->shares(in, &batch) || ops->block(in, &block, &sink))
		return; /* an overflow is refused as a whole */
	if (paid != block.amount)
		abort();
	if (ops->orphan && ops->orphan(in, block.block))
		return;
	if (ops->mature)
		(void)ops->mature(in, block.block);
}

static void fuzz_restore(const struct otd_plugin_desc *d, const void *options, const uint8_t *data,
			 size_t n)
{
	struct otd_host host = {0};
	const struct otd_host_core core = {.size = sizeof(core),
					   .abi_minor = OTD_ABI_MINOR,
					   .alloc = fuzz_alloc,
					   .free = fuzz_free,
					   .set_error = fuzz_error};
	const struct otd_payout_ops *ops = d->ops.payout;
	struct otd_instance *in = NULL;
	uint8_t *p = malloc(n ? n : 1);
	if (!p || d->base->create(&in, &host, &core, options))
		abort();
	if (n)
		memcpy(p, data, n);
	if (ops->restore(in, (struct otd_span){p, n}) == OTD_OK) {
		struct otd_buf out = {0};
		if (ops->snapshot(in, &out) != OTD_E_RANGE || out.len != n)
			abort();
		out.ptr = malloc(n);
		out.cap = n;
		if (!out.ptr || ops->snapshot(in, &out) || memcmp(out.ptr, p, n) != 0)
			abort();
		free(out.ptr);
		fuzz_use(ops, in);
	}
	free(p);
	d->base->destroy(in);
	if (host.live)
		abort();
}

#endif
