#include "common/measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec t;
	if (clock_gettime(id, &t) != 0)
		return -1;
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t measure_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t measure_real_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t measure_own_cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t measure_cpu_ns(pid_t pid)
{
	clockid_t id;
	return pid > 0 && clock_getcpuclockid(pid, &id) == 0 ? read_clock(id) : -1;
}

int64_t measure_rss_bytes(pid_t pid)
{
	char path[64], line[256];
	long long kib = -1;
	snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", (long)pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Rss: %lld kB", &kib) == 1)
			break;
	}
	fclose(f);
	return kib < 0 ? -1 : kib * 1024;
}

static unsigned bucket_of(uint64_t ns)
{
	unsigned power = 0, bucket;
	while ((ns >> power) >= 2 * MEASURE_STEPS)
		power++;
	bucket = power * MEASURE_STEPS + (unsigned)(ns >> power);
	return bucket < MEASURE_BUCKETS ? bucket : MEASURE_BUCKETS - 1;
}

/* The middle of what a bucket holds. */
static double value_of(unsigned bucket)
{
	unsigned power = bucket < 2 * MEASURE_STEPS ? 0 : bucket / MEASURE_STEPS - 1;
	return ((double)(bucket - power * MEASURE_STEPS) + 0.5) * (double)(1ULL << power);
}

void measure_add(struct measure_hist *h, int64_t ns)
{
	h->n++;
	h->count[bucket_of(ns < 0 ? 0 : (uint64_t)ns)]++;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

double measure_ms(const struct measure_hist *h, double percentile)
{
	uint64_t seen = 0;
	for (unsigned i = 0; i < MEASURE_BUCKETS && h->n; i++) {
		seen += h->count[i];
		if ((double)seen >= (double)h->n * percentile / 100)
			return value_of(i) / 1e6;
	}
	return 0;
}

static void bad_option(const char *text, const char *what)
{
	fprintf(stderr, "%s: '%s' is %s\n", program_invocation_short_name, text, what);
	exit(2);
}

unsigned option_number(const char *text, unsigned min, unsigned max)
{
	char *end, what[80];
	unsigned long v = strtoul(text, &end, 10);
	if (*end || end == text || v < min || v > max) {
		snprintf(what, sizeof(what), "not a number from %u to %u", min, max);
		bad_option(text, what);
	}
	return (unsigned)v;
}

double option_seconds(const char *text)
{
	char *end;
	double v = strtod(text, &end);
	if (*end || end == text || !(v >= 0 && v <= 86400))
		bad_option(text, "no number of seconds");
	return v;
}
