/* Clocks, histograms and what /proc says of the server. */
#ifndef OTD_BENCH_MEASURE_H
#define OTD_BENCH_MEASURE_H

#include <otedama/types.h>
#include <sys/types.h>

int64_t measure_now_ns(void);     /* monotonic */
int64_t measure_real_ns(void);    /* since 1970 */
int64_t measure_own_cpu_ns(void); /* of this process */
/*
 * User and system time of all threads of a process, those that ended included: the sum that stands
 * in /proc/PID/stat as utime + stime, read from the process's CPU clock because stat counts in
 * hundredths of a second. -1: no such process.
 */
int64_t measure_cpu_ns(pid_t pid);
/* Resident memory (smaps_rollup: exact, where status lags behind by threads). -1: unknown. */
int64_t measure_rss_bytes(pid_t pid);

/* Log-linear: 64 steps a power of two, so a percentile is within 1.6 %. */
enum { MEASURE_STEPS = 64, MEASURE_BUCKETS = 48 * MEASURE_STEPS };
struct measure_hist {
	uint64_t n, count[MEASURE_BUCKETS];
	int64_t max_ns;
};
void measure_add(struct measure_hist *h, int64_t ns);
double measure_ms(const struct measure_hist *h, double percentile);

/* Options; what makes no sense ends the program with status 2. */
unsigned option_number(const char *text, unsigned min, unsigned max);
double option_seconds(const char *text);

#endif
