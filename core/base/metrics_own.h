/* What metrics.c and metrics_changes.c share. Nothing else includes it. */
#ifndef OTD_BASE_METRICS_OWN_H
#define OTD_BASE_METRICS_OWN_H

#include <pthread.h>

#include "base/err.h"
#include "base/metrics.h"

enum { METRIC_BUCKETS = 27 /* behind them one without bound */ };

struct otd_metric_histogram {
	_Atomic uint64_t bucket[METRIC_BUCKETS + 1];
	_Atomic uint64_t sum_ns;
};

struct otd_metric_said;

struct metric_series {
	struct otd_metric metric;
	struct metric_series *next;
	char *labels;
	struct otd_metric_said *said; /* to another process; NULL: nothing */
	struct otd_metric_histogram histogram;
};

struct metric_family {
	struct metric_family *next;
	enum otd_metric_type type;
	char *name, *help;
	struct metric_series *first, **last;
};

struct otd_metrics {
	pthread_mutex_t lock;
	struct metric_family *first, **last;
};

bool metric_name_valid(const char *s);

#endif
