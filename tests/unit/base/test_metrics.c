/* Metrics and their Prometheus text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/metrics.h"

static size_t count_of(const char *text, const char *what)
{
	size_t n = 0;
	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

static void text_form(void **state)
{
	struct otd_metrics *m = otd_metrics_create();
	struct otd_bytes out, labels;
	(void)state;
	otd_bytes_init(&out, 1 << 20);
	otd_bytes_init(&labels, 1000);
	struct otd_metric *a = otd_metric(m, OTD_COUNTER, "otd_shares", "pool=\"ltc\"", "Shares");
	struct otd_metric *g = otd_metric(m, OTD_GAUGE, "otd_sessions", "", "Open\nsessions \\");
	struct otd_metric *b =
		otd_metric(m, OTD_COUNTER, "otd_shares_total", "pool=\"btc\"", "Shares");
	otd_metric_add(a, 3);
	otd_metric_add(b, 4);
	otd_metric_add(b, 1);
	otd_metric_set(g, -7);
	assert_ptr_equal(a, otd_metric(m, OTD_COUNTER, "otd_shares_total", "pool=\"ltc\"", ""));
	assert_int_equal(otd_metrics_write(m, &out), OTD_OK);
	assert_string_equal(otd_bytes_cstr(&out), "# HELP otd_shares_total Shares\n"
						  "# TYPE otd_shares_total counter\n"
						  "otd_shares_total{pool=\"ltc\"} 3\n"
						  "otd_shares_total{pool=\"btc\"} 5\n"
						  "# HELP otd_sessions Open\\nsessions \\\\\n"
						  "# TYPE otd_sessions gauge\n"
						  "otd_sessions -7\n");
	assert_int_equal(otd_metric_label(&labels, "pool", "a\"b\\c\nd"), OTD_OK);
	assert_int_equal(otd_metric_label(&labels, "reason", "stale"), OTD_OK);
	assert_string_equal(otd_bytes_cstr(&labels), "pool=\"a\\\"b\\\\c\\nd\",reason=\"stale\"");
	struct otd_bytes small;
	otd_bytes_init(&small, 50);
	assert_int_equal(otd_metrics_write(m, &small), OTD_E_NOMEM);
	otd_bytes_finish(&small);
	otd_bytes_finish(&out);
	otd_bytes_finish(&labels);
	otd_metrics_destroy(m);
	otd_metrics_destroy(NULL);
}

static void histogram(void **state)
{
	struct otd_metrics *m = otd_metrics_create();
	struct otd_bytes out;
	(void)state;
	otd_bytes_init(&out, 1 << 20);
	struct otd_metric *h = otd_metric(m, OTD_HISTOGRAM_NS, "otd_sync_seconds", "", "Sync");
	struct otd_metric *l =
		otd_metric(m, OTD_HISTOGRAM_NS, "otd_sync_seconds", "disk=\"a\"", "Sync");
	assert_true(otd_metric_quantile_ns(h, 500000) == 0);
	otd_metric_observe_ns(h, 0);
	otd_metric_observe_ns(h, 1000);
	otd_metric_observe_ns(h, 1001);
	otd_metric_observe_ns(h, 2000);
	otd_metric_observe_ns(h, 2001);
	otd_metric_observe_ns(h, 67108864000);
	otd_metric_observe_ns(h, 67108864001);
	otd_metric_observe_ns(h, 1ULL << 60);
	otd_metric_observe_ns(l, 5);
	assert_int_equal(otd_metrics_write(m, &out), OTD_OK);
	const char *t = otd_bytes_cstr(&out);
	assert_int_equal(count_of(t, "# TYPE otd_sync_seconds histogram\n"), 1);
	assert_int_equal(count_of(t, "# HELP"), 1);
	assert_int_equal(count_of(t, "_bucket{le="), 28);
	assert_non_null(strstr(t, "otd_sync_seconds_bucket{le=\"0.000001\"} 2\n"));
	assert_non_null(strstr(t, "otd_sync_seconds_bucket{le=\"0.000002\"} 4\n"));
	assert_non_null(strstr(t, "otd_sync_seconds_bucket{le=\"0.000004\"} 5\n"));
	assert_non_null(strstr(t, "otd_sync_seconds_bucket{le=\"33.554432\"} 5\n"));
	assert_non_null(strstr(t, "otd_sync_seconds_bucket{le=\"67.108864\"} 6\n"));
	assert_non_null(strstr(t, "otd_sync_seconds_bucket{le=\"+Inf\"} 8\n"));
	assert_non_null(strstr(t, "otd_sync_seconds_count 8\n"));
	/* 2^60 + 2 * 67.108864 s + 6002 ns */
	assert_non_null(strstr(t, "otd_sync_seconds_sum 1152921638.824580979\n"));
	assert_non_null(strstr(t, "otd_sync_seconds_bucket{disk=\"a\",le=\"0.000001\"} 1\n"));
	assert_non_null(strstr(t, "otd_sync_seconds_sum{disk=\"a\"} 0.000000005\n"));
	assert_non_null(strstr(t, "otd_sync_seconds_count{disk=\"a\"} 1\n"));
	assert_true(otd_metric_quantile_ns(h, 0) == 1000);
	assert_true(otd_metric_quantile_ns(h, 250000) == 1000);
	assert_true(otd_metric_quantile_ns(h, 250001) == 2000);
	assert_true(otd_metric_quantile_ns(h, 750000) == 67108864000);
	assert_true(otd_metric_quantile_ns(h, 1000000) == UINT64_MAX);
	otd_bytes_finish(&out);
	otd_metrics_destroy(m);
}

/* What is not exported can still be written to. */
static void spares(void **state)
{
	struct otd_metrics *m = otd_metrics_create();
	(void)state;
	otd_metric_add(otd_metric(NULL, OTD_COUNTER, "otd_x", "", ""), 1);
	otd_metric_observe_ns(otd_metric(NULL, OTD_HISTOGRAM_NS, "otd_x", "", ""), 1);
	struct otd_metric *g = otd_metric(m, OTD_GAUGE, "otd_x", "", "");
	struct otd_metric *h = otd_metric(m, OTD_HISTOGRAM_NS, "otd_x", "", "");
	assert_ptr_not_equal(g, h);
	otd_metric_observe_ns(h, 1);
	otd_metric_observe_ns(g, 1);
	assert_int_equal(otd_metric_get(g), 0);
	assert_true(otd_metric_quantile_ns(g, 1) == 0);
	otd_metrics_destroy(m);
}

enum { THREADS = 4, ADDS = 50000 };

static void *adds(void *arg)
{
	struct otd_metrics *m = arg;
	struct otd_metric *c = otd_metric(m, OTD_COUNTER, "otd_c_total", "", "c");
	struct otd_metric *h = otd_metric(m, OTD_HISTOGRAM_NS, "otd_h_seconds", "", "h");
	for (int i = 0; i < ADDS; i++) {
		otd_metric_add(c, 1);
		otd_metric_observe_ns(h, (uint64_t)i);
	}
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	struct otd_metrics *m = otd_metrics_create();
	struct otd_bytes out;
	pthread_t t[THREADS];
	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, adds, m), 0);
	otd_bytes_init(&out, 1 << 20);
	assert_int_equal(otd_metrics_write(m, &out), OTD_OK);
	otd_bytes_clear(&out);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(otd_metrics_write(m, &out), OTD_OK);
	assert_non_null(strstr(otd_bytes_cstr(&out), "otd_c_total 200000\n"));
	assert_non_null(strstr(otd_bytes_cstr(&out), "otd_h_seconds_count 200000\n"));
	otd_bytes_finish(&out);
	otd_metrics_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_form),
		cmocka_unit_test(histogram),
		cmocka_unit_test(spares),
		cmocka_unit_test(threads_lose_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
