/* A host in small, for tests: the scheme through the plugin's own calls. */
#ifndef TEST_HOST_H
#define TEST_HOST_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheme.h"

static void *host_alloc(struct otd_host *h, size_t n)
{
	(void)h;
	return calloc(1, n);
}

static void host_free(struct otd_host *h, void *p)
{
	(void)h;
	free(p);
}

static void host_error(struct otd_host *h, const char *fmt, ...)
{
	va_list ap;
	(void)h;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static const struct otd_host_core core = {
	.size = sizeof(core), .alloc = host_alloc, .free = host_free, .set_error = host_error};

static int failed;

static void check(int ok, const char *what)
{
	printf("%s: %s\n", what, ok ? "ok" : "WRONG");
	failed |= !ok;
}

/* Credits by account number, and their sum. */
struct paid {
	otd_i128 to[16], sum;
};

static otd_rc credit(void *ctx, uint64_t account, otd_i128 amount)
{
	struct paid *p = ctx;
	p->to[account % 16] += amount;
	p->sum += amount;
	return amount > 0 ? OTD_OK : OTD_E_INVALID;
}

static const struct otd_payout_ops *ops(void)
{
	return otd_plugin_v1()->ops.payout;
}

static struct otd_instance *make(const struct options *options)
{
	struct otd_instance *in = NULL;
	check(otd_plugin_v1()->base->create(&in, NULL, &core, options) == OTD_OK, "create");
	return in;
}

static void work(struct otd_instance *in, uint64_t account, otd_u128 done)
{
	const struct otd_payout_share share = {.account = account, .work = done};
	const struct otd_payout_batch batch = {.size = sizeof(batch),
					       .stride = sizeof(share),
					       .shares = &share,
					       .n = 1,
					       .network_work = 1000};
	if (ops()->shares(in, &batch) != OTD_OK)
		check(0, "shares");
}

static struct paid find(struct otd_instance *in, uint64_t finder, otd_i128 amount)
{
	struct paid p = {0};
	const struct otd_payout_sink sink = {.size = sizeof(sink), .ctx = &p, .credit = credit};
	const struct otd_payout_block b = {.size = sizeof(b),
					   .block = 1,
					   .finder = finder,
					   .amount = amount,
					   .network_work = 1000};
	check(ops()->block(in, &b, &sink) == OTD_OK && p.sum == amount, "credits sum to the block");
	return p;
}

/* A state taken elsewhere is the same state; damaged ones are refused. */
static void test_snapshot(const struct options *options)
{
	uint8_t a[4096], b[4096];
	struct otd_buf first = {a, 0, 1}, second = {b, 0, sizeof(b)};
	struct otd_instance *in = make(options), *copy = make(options);
	work(in, 9, 5);
	work(in, 4, (otd_u128)1 << 100);
	check(ops()->snapshot(in, &first) == OTD_E_RANGE && first.len <= sizeof(a),
	      "a short buffer is told how long");
	first.cap = sizeof(a);
	check(ops()->snapshot(in, &first) == OTD_OK &&
		      ops()->restore(copy, (struct otd_span){a, first.len}) == OTD_OK &&
		      ops()->snapshot(copy, &second) == OTD_OK && first.len == second.len &&
		      memcmp(a, b, first.len) == 0,
	      "a restored state is the same state");
	check(ops()->restore(copy, (struct otd_span){a, first.len - 1}) == OTD_E_CORRUPT,
	      "a torn snapshot is refused");
	a[0] ^= 1;
	check(ops()->restore(copy, (struct otd_span){a, first.len}) == OTD_E_CORRUPT,
	      "another scheme's snapshot is refused");
	otd_plugin_v1()->base->destroy(in);
	otd_plugin_v1()->base->destroy(copy);
}

#endif
