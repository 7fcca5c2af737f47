/*
 * Counters, gauges and histograms, written without locks by many threads, read by the exporter in
 * Prometheus' text form. Registration is at start or create, under a lock. Names:
 * otd_<what>_<unit>. Units are seconds and bytes in the text, nanoseconds and bytes in the calls.
 */
#ifndef OTD_BASE_METRICS_H
#define OTD_BASE_METRICS_H

#include "base/bytes.h"
#include <stdatomic.h>

enum otd_metric_type { OTD_COUNTER = 1, OTD_GAUGE = 2, OTD_HISTOGRAM_NS = 3 };

struct otd_metric {
	_Atomic int64_t value;
	struct otd_metric_histogram *histogram; /* OTD_HISTOGRAM_NS only */
};

struct otd_metrics;

struct otd_metrics *otd_metrics_create(void);
void otd_metrics_destroy(struct otd_metrics *m);
/*
 * Appends key="value" to labels, escaped, behind a comma where there is something before it: for
 * values that people chose.
 */
otd_rc otd_metric_label(struct otd_bytes *labels, const char *key, const char *value);
/*
 * The series of this name and labels ("pool=\"ltc\",reason=\"stale\"" or ""), made where it is
 * missing; lives until destroy. Never NULL: where memory ran out, m is NULL, or the name is there
 * with another type, a series that is not exported. A counter's name gets "_total" where it has it
 * not. [any-thread]
 */
struct otd_metric *otd_metric(struct otd_metrics *m, enum otd_metric_type type, const char *name,
			      const char *labels, const char *help);

static inline void otd_metric_add(struct otd_metric *s, int64_t n)
{
	atomic_fetch_add_explicit(&s->value, n, memory_order_relaxed);
}

static inline void otd_metric_set(struct otd_metric *s, int64_t n)
{
	atomic_store_explicit(&s->value, n, memory_order_relaxed);
}

static inline int64_t otd_metric_get(struct otd_metric *s)
{
	return atomic_load_explicit(&s->value, memory_order_relaxed);
}

/* Buckets are powers of two from 1 us to 67 s. Nothing happens where s is no histogram. */
void otd_metric_observe_ns(struct otd_metric *s, uint64_t ns);
/* Upper bound of the bucket in which the q-th of a million observations lies, 0 where none;
   UINT64_MAX above the last bucket. */
uint64_t otd_metric_quantile_ns(struct otd_metric *s, uint32_t q_ppm);
otd_rc otd_metrics_write(struct otd_metrics *m, struct otd_bytes *out);

/*
 * For another process that shows them with its own: what has changed since the last call (a series
 * is told of at least once), as flat bytes of this program. One reader. OTD_E_NOMEM: out is full; what
 * did not fit comes with the next call.
 */
otd_rc otd_metrics_changes(struct otd_metrics *m, struct otd_bytes *out);
/* Adds such changes to the series of the same name and labels here. gauge() gets each gauge and what was
   added to it, so that it can be taken back once that process is gone; may be NULL. OTD_E_INVALID: these
   are no such bytes; what stood before the place is added. */
otd_rc otd_metrics_add_changes(struct otd_metrics *m, struct otd_span changes,
			       void (*gauge)(void *arg, struct otd_metric *s, int64_t n),
			       void *arg);

#endif
