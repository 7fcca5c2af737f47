/* Metrics from one process to another: what changed, as flat bytes. See base/metrics.h. */
#include "base/metrics_own.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 4096

/* Before the name, labels and help of a series; a histogram's buckets and sum come behind them. */
struct head {
	uint16_t type, name_len, labels_len, help_len;
	int64_t value;
};

/* What was said of a series so far. */
struct otd_metric_said {
	int64_t value;
	uint64_t bucket[METRIC_BUCKETS + 1], sum_ns;
};

static bool fits(const struct otd_bytes *out, size_t n)
{
	return out->max - out->len >= n;
}

static size_t text_len(const char *s)
{
	size_t n = strlen(s);
	return n < TEXT_MAX ? n : TEXT_MAX;
}

/* The buckets that grew; false: none did. */
static bool histogram_change(struct otd_metric_histogram *h, const struct otd_metric_said *said,
			     struct otd_metric_said *change)
{
	uint64_t total = 0;
	for (int i = 0; i <= METRIC_BUCKETS; i++) {
		uint64_t now = atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
		change->bucket[i] = now - said->bucket[i];
		total += change->bucket[i];
	}
	change->sum_ns = atomic_load_explicit(&h->sum_ns, memory_order_relaxed) - said->sum_ns;
	change->value = (int64_t)total;
	return total != 0;
}

static void now_said(struct otd_metric_said *said, const struct otd_metric_said *change)
{
	said->value += change->value;
	said->sum_ns += change->sum_ns;
	for (int i = 0; i <= METRIC_BUCKETS; i++)
		said->bucket[i] += change->bucket[i];
}

/* What it is now less what was said; false: nothing, and it was said before. */
static bool change_of(const struct metric_family *f, struct metric_series *s,
		      struct otd_metric_said *change)
{
	static const struct otd_metric_said nothing;
	const struct otd_metric_said *said = s->said ? s->said : &nothing;
	bool changed;
	change->value = otd_metric_get(&s->metric) - said->value;
	changed = f->type == OTD_HISTOGRAM_NS ? histogram_change(&s->histogram, said, change)
					      : change->value != 0;
	return changed || !s->said;
}

static otd_rc put_series(const struct metric_family *f, struct metric_series *s,
			 struct otd_bytes *out)
{
	struct otd_metric_said change = {0};
	struct head h = {(uint16_t)f->type, (uint16_t)text_len(f->name),
			 (uint16_t)text_len(s->labels), (uint16_t)text_len(f->help), 0};
	bool is_histogram = f->type == OTD_HISTOGRAM_NS;
	size_t tail = is_histogram ? sizeof(change.bucket) + sizeof(change.sum_ns) : 0;
	if (!change_of(f, s, &change))
		return OTD_OK;
	if (!fits(out, sizeof(h) + h.name_len + h.labels_len + h.help_len + tail))
		return OTD_E_NOMEM;
	if (!s->said)
		s->said = calloc(1, sizeof(*s->said));
	if (!s->said)
		return OTD_E_NOMEM;
	h.value = change.value;
	(void)otd_bytes_add(out, &h, sizeof(h));
	(void)otd_bytes_add(out, f->name, h.name_len);
	(void)otd_bytes_add(out, s->labels, h.labels_len);
	(void)otd_bytes_add(out, f->help, h.help_len);
	if (is_histogram) {
		(void)otd_bytes_add(out, change.bucket, sizeof(change.bucket));
		(void)otd_bytes_add(out, &change.sum_ns, sizeof(change.sum_ns));
	}
	now_said(s->said, &change);
	return out->failed ? OTD_E_NOMEM : OTD_OK;
}

otd_rc otd_metrics_changes(struct otd_metrics *m, struct otd_bytes *out)
{
	otd_rc rc = OTD_OK;
	pthread_mutex_lock(&m->lock);
	for (const struct metric_family *f = m->first; rc == OTD_OK && f; f = f->next) {
		for (struct metric_series *s = f->first; rc == OTD_OK && s; s = s->next)
			rc = put_series(f, s, out);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/* --- the other side --- */

struct text {
	char s[TEXT_MAX + 1];
};

static bool take(struct otd_span *from, void *to, size_t n)
{
	if (from->len < n)
		return false;
	memcpy(to, from->ptr, n);
	from->ptr += n;
	from->len -= n;
	return true;
}

/* As a text of ours, of one line; a name of letters where it is one. */
static bool take_text(struct otd_span *from, struct text *to, size_t n, bool name)
{
	if (n > TEXT_MAX || !take(from, to->s, n) || memchr(to->s, 0, n) || memchr(to->s, '\n', n))
		return false;
	to->s[n] = '\0';
	return !name || metric_name_valid(to->s);
}

static bool add_histogram(struct otd_span *from, struct otd_metric *s)
{
	uint64_t bucket[METRIC_BUCKETS + 1], sum_ns;
	if (!take(from, bucket, sizeof(bucket)) || !take(from, &sum_ns, sizeof(sum_ns)))
		return false;
	if (!s->histogram)
		return true;
	for (int i = 0; i <= METRIC_BUCKETS; i++)
		atomic_fetch_add_explicit(&s->histogram->bucket[i], bucket[i],
					  memory_order_relaxed);
	atomic_fetch_add_explicit(&s->histogram->sum_ns, sum_ns, memory_order_relaxed);
	return true;
}

otd_rc otd_metrics_add_changes(struct otd_metrics *m, struct otd_span changes,
			       void (*gauge)(void *arg, struct otd_metric *s, int64_t n), void *arg)
{
	struct text name, labels, help;
	struct head h;
	while (changes.len) {
		if (!take(&changes, &h, sizeof(h)) || h.type < OTD_COUNTER ||
		    h.type > OTD_HISTOGRAM_NS || !take_text(&changes, &name, h.name_len, true) ||
		    !take_text(&changes, &labels, h.labels_len, false) ||
		    !take_text(&changes, &help, h.help_len, false))
			return OTD_E_INVALID;
		struct otd_metric *s =
			otd_metric(m, (enum otd_metric_type)h.type, name.s, labels.s, help.s);
		if (h.type == OTD_HISTOGRAM_NS && !add_histogram(&changes, s))
			return OTD_E_INVALID;
		otd_metric_add(s, h.value);
		if (h.type == OTD_GAUGE && gauge)
			gauge(arg, s, h.value);
	}
	return OTD_OK;
}
