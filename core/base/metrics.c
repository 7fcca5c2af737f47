/* Counters, gauges and histograms, and their Prometheus text. */
#include "base/metrics_own.h"
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = METRIC_BUCKETS, INFINITE = BUCKETS /* the last, without bound */ };

/* Where memory ran out: written to, never read. */
static struct otd_metric_histogram spare_histogram;
static struct otd_metric spare_value, spare_histogram_value = {.histogram = &spare_histogram};

struct otd_metrics *otd_metrics_create(void)
{
	struct otd_metrics *m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	if (pthread_mutex_init(&m->lock, NULL)) {
		free(m);
		return NULL;
	}
	m->last = &m->first;
	return m;
}

static void free_family(struct metric_family *f)
{
	while (f->first) {
		struct metric_series *s = f->first;
		f->first = s->next;
		free(s->labels);
		free(s->said);
		free(s);
	}
	free(f->name);
	free(f->help);
	free(f);
}

void otd_metrics_destroy(struct otd_metrics *m)
{
	if (!m)
		return;
	while (m->first) {
		struct metric_family *f = m->first;
		m->first = f->next;
		free_family(f);
	}
	pthread_mutex_destroy(&m->lock);
	free(m);
}

bool metric_name_valid(const char *s)
{
	for (const char *p = s; *p; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_';
		if (!letter && !(*p >= '0' && *p <= '9' && p != s))
			return false;
	}
	return *s != 0;
}

/* The name under which a series is shown: counters end in _total. NULL where memory ran out. */
static char *shown_name(enum otd_metric_type type, const char *name)
{
	static const char total[] = "_total";
	size_t n = strlen(name), t = sizeof(total) - 1;
	bool add = type == OTD_COUNTER && (n < t || strcmp(name + n - t, total) != 0);
	char *s = malloc(n + t + 1);
	if (!s)
		return NULL;
	memcpy(s, name, n + 1);
	if (add)
		memcpy(s + n, total, t + 1);
	return s;
}

static struct metric_family *find_family(struct otd_metrics *m, enum otd_metric_type type,
					 const char *name, const char *help)
{
	char *shown = shown_name(type, name);
	struct metric_family *f;
	if (!shown)
		return NULL;
	for (f = m->first; f; f = f->next) {
		if (strcmp(f->name, shown) == 0) {
			free(shown);
			return f->type == type ? f : NULL;
		}
	}
	f = calloc(1, sizeof(*f));
	char *copy = strdup(help);
	if (!f || !copy) {
		free(f);
		free(copy);
		free(shown);
		return NULL;
	}
	f->type = type;
	f->name = shown;
	f->help = copy;
	f->last = &f->first;
	*m->last = f;
	m->last = &f->next;
	return f;
}

static struct metric_series *find_series(struct metric_family *f, const char *labels)
{
	struct metric_series *s;
	for (s = f->first; s; s = s->next) {
		if (strcmp(s->labels, labels) == 0)
			return s;
	}
	s = calloc(1, sizeof(*s));
	char *copy = strdup(labels);
	if (!s || !copy) {
		free(s);
		free(copy);
		return NULL;
	}
	s->labels = copy;
	if (f->type == OTD_HISTOGRAM_NS)
		s->metric.histogram = &s->histogram;
	*f->last = s;
	f->last = &s->next;
	return s;
}

struct otd_metric *otd_metric(struct otd_metrics *m, enum otd_metric_type type, const char *name,
			      const char *labels, const char *help)
{
	struct metric_series *s = NULL;
	OTD_ASSERT(metric_name_valid(name));
	if (m) {
		pthread_mutex_lock(&m->lock);
		struct metric_family *f = find_family(m, type, name, help);
		if (f)
			s = find_series(f, labels);
		pthread_mutex_unlock(&m->lock);
	}
	if (s)
		return &s->metric;
	return type == OTD_HISTOGRAM_NS ? &spare_histogram_value : &spare_value;
}

/* Backslash, newline and quote, as the text format of Prometheus has it. */
static otd_rc add_escaped(struct otd_bytes *b, const char *s, bool quotes)
{
	otd_rc rc = OTD_OK;
	for (; *s && rc == OTD_OK; s++) {
		if (*s == '\n')
			rc = otd_bytes_add(b, "\\n", 2);
		else if (*s == '\\' || (quotes && *s == '"'))
			rc = otd_bytes_format(b, "\\%c", *s);
		else
			rc = otd_bytes_add(b, s, 1);
	}
	return rc;
}

otd_rc otd_metric_label(struct otd_bytes *labels, const char *key, const char *value)
{
	otd_rc rc = otd_bytes_format(labels, "%s%s=\"", labels->len ? "," : "", key);
	if (rc == OTD_OK)
		rc = add_escaped(labels, value, true);
	return rc == OTD_OK ? otd_bytes_text(labels, "\"") : rc;
}

void otd_metric_observe_ns(struct otd_metric *s, uint64_t ns)
{
	if (!s->histogram)
		return;
	uint64_t us = ns / 1000 + (ns % 1000 != 0);
	int i = us <= 1 ? 0 : 64 - __builtin_clzll(us - 1);
	atomic_fetch_add_explicit(&s->histogram->bucket[i < INFINITE ? i : INFINITE], 1,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&s->histogram->sum_ns, ns, memory_order_relaxed);
	otd_metric_add(s, 1);
}

static uint64_t read_buckets(struct otd_metric_histogram *h, uint64_t to[BUCKETS + 1])
{
	uint64_t total = 0;
	for (int i = 0; i <= INFINITE; i++) {
		to[i] = atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
		total += to[i];
	}
	return total;
}

uint64_t otd_metric_quantile_ns(struct otd_metric *s, uint32_t q_ppm)
{
	uint64_t bucket[BUCKETS + 1], seen = 0;
	uint64_t total = s->histogram ? read_buckets(s->histogram, bucket) : 0;
	if (total == 0)
		return 0;
	if (q_ppm > 1000000)
		q_ppm = 1000000;
	uint64_t rank = total / 1000000 * q_ppm + (total % 1000000 * q_ppm + 999999) / 1000000;
	if (rank == 0)
		rank = 1;
	for (int i = 0; i < INFINITE; i++) {
		seen += bucket[i];
		if (seen >= rank)
			return 1000ULL << i;
	}
	return UINT64_MAX;
}

static void write_histogram(struct otd_bytes *out, const struct metric_family *f,
			    struct metric_series *s)
{
	uint64_t bucket[BUCKETS + 1], seen = 0;
	const char *comma = *s->labels ? "," : "", *open = *s->labels ? "{" : "",
		   *close = *s->labels ? "}" : "";
	/* The count is that of the buckets read here, so that both agree under concurrent writes. */
	uint64_t total = read_buckets(&s->histogram, bucket);
	uint64_t sum = atomic_load_explicit(&s->histogram.sum_ns, memory_order_relaxed);
	for (int i = 0; i < INFINITE; i++) {
		unsigned long long us = 1ULL << i;
		seen += bucket[i];
		(void)otd_bytes_format(out, "%s_bucket{%s%sle=\"%llu.%06llu\"} %llu\n", f->name,
				       s->labels, comma, us / 1000000, us % 1000000,
				       (unsigned long long)seen);
	}
	(void)otd_bytes_format(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", f->name, s->labels, comma,
			       (unsigned long long)total);
	(void)otd_bytes_format(out, "%s_sum%s%s%s %llu.%09llu\n", f->name, open, s->labels, close,
			       (unsigned long long)(sum / 1000000000),
			       (unsigned long long)(sum % 1000000000));
	(void)otd_bytes_format(out, "%s_count%s%s%s %llu\n", f->name, open, s->labels, close,
			       (unsigned long long)total);
}

otd_rc otd_metrics_write(struct otd_metrics *m, struct otd_bytes *out)
{
	static const char *const types[] = {"", "counter", "gauge", "histogram"};
	pthread_mutex_lock(&m->lock);
	for (const struct metric_family *f = m->first; f && !out->failed; f = f->next) {
		(void)otd_bytes_format(out, "# HELP %s ", f->name);
		(void)add_escaped(out, f->help, false);
		(void)otd_bytes_format(out, "\n# TYPE %s %s\n", f->name, types[f->type]);
		for (struct metric_series *s = f->first; s; s = s->next) {
			if (f->type == OTD_HISTOGRAM_NS) {
				write_histogram(out, f, s);
				continue;
			}
			const char *open = *s->labels ? "{" : "", *close = *s->labels ? "}" : "";
			(void)otd_bytes_format(out, "%s%s%s%s %lld\n", f->name, open, s->labels,
					       close, (long long)otd_metric_get(&s->metric));
		}
	}
	pthread_mutex_unlock(&m->lock);
	return out->failed ? OTD_E_NOMEM : OTD_OK;
}
