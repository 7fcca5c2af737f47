/* Metrics of one process in those of another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"

static const char *text_of(struct otd_metrics *m, struct otd_bytes *out)
{
	otd_bytes_clear(out);
	assert_int_equal(otd_metrics_write(m, out), OTD_OK);
	return otd_bytes_cstr(out);
}

struct back {
	struct otd_metric *metric;
	int64_t n;
};

static void on_gauge(void *arg, struct otd_metric *s, int64_t n)
{
	struct back *b = arg;
	b->metric = s;
	b->n += n;
}

static void go(struct otd_metrics *from, struct otd_metrics *to, struct otd_bytes *b,
	       struct back *back)
{
	otd_bytes_clear(b);
	assert_int_equal(otd_metrics_changes(from, b), OTD_OK);
	assert_int_equal(otd_metrics_add_changes(to, otd_bytes_span(b), on_gauge, back), OTD_OK);
}

static void two_processes_add_up(void **state)
{
	struct otd_metrics *here = otd_metrics_create(), *a = otd_metrics_create(),
			   *c = otd_metrics_create();
	struct otd_bytes b, t;
	struct back back_a = {0}, back_c = {0};
	(void)state;
	otd_bytes_init(&b, 1 << 20);
	otd_bytes_init(&t, 1 << 20);
	otd_metric_add(otd_metric(here, OTD_COUNTER, "otd_shares", "pool=\"x\"", "Shares"), 5);
	for (int i = 0; i < 2; i++) {
		struct otd_metrics *m = i ? c : a;
		otd_metric_add(otd_metric(m, OTD_COUNTER, "otd_shares", "pool=\"x\"", "Shares"),
			       10);
		otd_metric_add(otd_metric(m, OTD_COUNTER, "otd_shares", "pool=\"y\"", "Shares"), i);
		otd_metric_add(otd_metric(m, OTD_GAUGE, "otd_sessions", "", "Sessions"), 3 + i);
		otd_metric_observe_ns(otd_metric(m, OTD_HISTOGRAM_NS, "otd_h_seconds", "", "H"),
				      1500);
	}
	go(a, here, &b, &back_a);
	go(c, here, &b, &back_c);
	const char *s = text_of(here, &t);
	assert_non_null(strstr(s, "otd_shares_total{pool=\"x\"} 25\n"));
	assert_non_null(strstr(s, "otd_shares_total{pool=\"y\"} 1\n"));
	assert_non_null(strstr(s, "otd_sessions 7\n"));
	assert_non_null(strstr(s, "otd_h_seconds_count 2\n"));
	assert_non_null(strstr(s, "otd_h_seconds_sum 0.000003000\n"));
	/* One name once. */
	assert_null(strstr(strstr(s, "# TYPE otd_shares_total") + 1, "# TYPE otd_shares_total"));
	/* Nothing has changed: nothing is said. */
	otd_bytes_clear(&b);
	assert_int_equal(otd_metrics_changes(a, &b), OTD_OK);
	assert_int_equal(b.len, 0);
	/* Only what changed, and down as well as up. */
	otd_metric_add(otd_metric(a, OTD_GAUGE, "otd_sessions", "", ""), -2);
	otd_metric_observe_ns(otd_metric(a, OTD_HISTOGRAM_NS, "otd_h_seconds", "", ""), 5000);
	go(a, here, &b, &back_a);
	s = text_of(here, &t);
	assert_non_null(strstr(s, "otd_sessions 5\n"));
	assert_non_null(strstr(s, "otd_h_seconds_count 3\n"));
	assert_non_null(strstr(s, "otd_shares_total{pool=\"x\"} 25\n"));
	/* It dies: what it was goes, what it counted stays. */
	otd_metric_add(back_a.metric, -back_a.n);
	s = text_of(here, &t);
	assert_non_null(strstr(s, "otd_sessions 4\n"));
	assert_non_null(strstr(s, "otd_shares_total{pool=\"x\"} 25\n"));
	otd_bytes_finish(&b);
	otd_bytes_finish(&t);
	otd_metrics_destroy(here);
	otd_metrics_destroy(a);
	otd_metrics_destroy(c);
}

/* What does not fit comes later, once. */
static void a_small_buffer_loses_nothing(void **state)
{
	struct otd_metrics *here = otd_metrics_create(), *a = otd_metrics_create();
	struct otd_bytes b, t;
	char labels[32];
	int rounds = 0;
	(void)state;
	otd_bytes_init(&b, 300);
	otd_bytes_init(&t, 1 << 20);
	for (int i = 0; i < 100; i++) {
		snprintf(labels, sizeof(labels), "n=\"%d\"", i);
		otd_metric_add(otd_metric(a, OTD_COUNTER, "otd_many", labels, "M"), i + 1);
	}
	otd_rc rc = OTD_E_NOMEM;
	while (rc == OTD_E_NOMEM && rounds++ < 1000) {
		otd_bytes_clear(&b);
		rc = otd_metrics_changes(a, &b);
		assert_int_equal(otd_metrics_add_changes(here, otd_bytes_span(&b), NULL, NULL),
				 OTD_OK);
	}
	assert_int_equal(rc, OTD_OK);
	assert_true(rounds > 5);
	for (int i = 0; i < 100; i++) {
		snprintf(labels, sizeof(labels), "n=\"%d\"", i);
		assert_int_equal(
			otd_metric_get(otd_metric(here, OTD_COUNTER, "otd_many", labels, "M")),
			i + 1);
	}
	otd_bytes_finish(&b);
	otd_bytes_finish(&t);
	otd_metrics_destroy(here);
	otd_metrics_destroy(a);
}

static void what_is_none_is_refused(void **state)
{
	struct otd_metrics *here = otd_metrics_create(), *a = otd_metrics_create();
	struct otd_bytes b;
	(void)state;
	otd_bytes_init(&b, 4096);
	otd_metric_observe_ns(otd_metric(a, OTD_HISTOGRAM_NS, "otd_h_seconds", "x=\"1\"", "H"), 1);
	assert_int_equal(otd_metrics_changes(a, &b), OTD_OK);
	for (size_t n = 1; n < b.len; n++) {
		uint8_t *part = malloc(n);
		memcpy(part, b.ptr, n);
		assert_int_equal(
			otd_metrics_add_changes(here, (struct otd_span){part, n}, NULL, NULL),
			OTD_E_INVALID);
		free(part);
	}
	b.ptr[0] = 9; /* no such type */
	assert_int_equal(otd_metrics_add_changes(here, otd_bytes_span(&b), NULL, NULL),
			 OTD_E_INVALID);
	b.ptr[0] = OTD_HISTOGRAM_NS;
	b.ptr[16] = ' '; /* a name that is none */
	assert_int_equal(otd_metrics_add_changes(here, otd_bytes_span(&b), NULL, NULL),
			 OTD_E_INVALID);
	otd_bytes_finish(&b);
	otd_metrics_destroy(here);
	otd_metrics_destroy(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_processes_add_up),
		cmocka_unit_test(a_small_buffer_loses_nothing),
		cmocka_unit_test(what_is_none_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
