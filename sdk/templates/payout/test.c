/* The scheme through the plugin's own calls, with a host in small. */
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
static const struct options options = {.finder_ppm = 10000};

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

static struct otd_instance *make(void)
{
	struct otd_instance *in = NULL;
	check(otd_plugin_v1()->base->create(&in, NULL, &core, &options) == OTD_OK, "create");
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

static void test_division(void)
{
	struct otd_instance *in = make();
	struct paid p;
	work(in, 3, 700);
	work(in, 1, 100);
	work(in, 2, 100);
	work(in, 2, 100);
	p = find(in, 1, 1000003);
	/* 1% is 10000; of 990003 the parts are 99000.3, 198000.6, 693002.1 */
	check(p.to[1] == 109000 && p.to[2] == 198001 && p.to[3] == 693002, "1 : 2 : 7, and 1%");
	work(in, 3, 1);
	p = find(in, 3, 7);
	check(p.to[3] == 7, "the next round begins with nothing");
	p = find(in, 2, 5);
	check(p.to[2] == 5, "of a round without work, all to the finder");
	otd_plugin_v1()->base->destroy(in);
}

static void test_snapshot(void)
{
	uint8_t a[4096], b[4096];
	struct otd_buf first = {a, 0, 1}, second = {b, 0, sizeof(b)};
	struct otd_instance *in = make(), *copy = make();
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

int main(void)
{
	test_division();
	test_snapshot();
	return failed;
}
