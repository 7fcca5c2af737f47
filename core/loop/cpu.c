/* Processor time of a thread: a limit on what somebody else's code may take of ours. */
#include "loop/loop.h"
#include <time.h>

uint64_t otd_thread_cpu_ns(void)
{
	struct timespec t = {0};
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
