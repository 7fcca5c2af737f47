/* Small things that checks of plugins need, see plugin_check.h. */
#include "app/check/plugin_check.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/sanitized.h"

#define STACK_BYTES 16384
#define THREADS_MAX 64

uint64_t otd_pcheck_random(uint64_t *state)
{
	/* splitmix64: any state is a good one */
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint64_t otd_pcheck_below(uint64_t *state, uint64_t n)
{
	return otd_pcheck_random(state) % n;
}

static uint64_t ns_of(clockid_t clock)
{
	struct timespec t = {0};
	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t otd_pcheck_cpu_ns(void)
{
	return ns_of(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t otd_pcheck_mono_ns(void)
{
	return ns_of(CLOCK_MONOTONIC);
}

uint8_t *otd_pcheck_guarded(size_t n, size_t align)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), inner, whole;
	uint8_t *p, *end;
	if (align < 1)
		align = 1;
	n = (n + align - 1) & ~(align - 1);
	/* Room to move the end down to the alignment where that is more than a page. */
	inner = (n + page - 1) / page * page + (align > page ? align : 0);
	whole = inner + 2 * page;
	p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	end = p + page + inner;
	if (align > page)
		end = (uint8_t *)((uintptr_t)end & ~(uintptr_t)(align - 1));
	if (mprotect(p, page, PROT_NONE) || mprotect(end, page, PROT_NONE))
		return NULL;
	return end - n;
}

void otd_pcheck_read_only(uint8_t *p, size_t n)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p & ~(page - 1);
	(void)mprotect((void *)from, (uintptr_t)p + n - from, PROT_READ);
}

__attribute__((noinline)) void otd_pcheck_dirty_stack(uint8_t with)
{
	volatile uint8_t bytes[STACK_BYTES];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = with;
}

/* Entries of a folder of /proc, without . and .. */
static unsigned entries(const char *folder)
{
	unsigned n = 0;
	DIR *d = opendir(folder);
	if (!d)
		return 0;
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		n += e->d_name[0] != '.';
	(void)closedir(d);
	return n;
}

unsigned otd_pcheck_threads(void)
{
	return entries("/proc/self/task");
}

unsigned otd_pcheck_open_files(void)
{
	return entries("/proc/self/fd");
}

uint64_t otd_pcheck_heap(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

uint64_t otd_pcheck_resident(void)
{
	unsigned long long whole = 0, resident = 0;
	FILE *f = OTD_SANITIZED ? NULL : fopen("/proc/self/statm", "re");
	if (!f)
		return 0;
	if (fscanf(f, "%llu %llu", &whole, &resident) != 2)
		resident = 0;
	(void)fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct gang {
	pthread_barrier_t start;
	void (*fn)(void *arg, unsigned i);
	void *arg;
};

struct member {
	struct gang *gang;
	unsigned i;
};

static void *member_run(void *arg)
{
	const struct member *m = arg;
	otd_thread_is(OTD_THREAD_COMPUTE | OTD_THREAD_REACTOR);
	(void)pthread_barrier_wait(&m->gang->start);
	m->gang->fn(m->gang->arg, m->i);
	return NULL;
}

bool otd_pcheck_on_threads(unsigned n, void (*fn)(void *arg, unsigned i), void *arg)
{
	struct gang g = {.fn = fn, .arg = arg};
	struct member m[THREADS_MAX];
	pthread_t t[THREADS_MAX];
	if (n > THREADS_MAX || pthread_barrier_init(&g.start, NULL, n))
		return false;
	for (unsigned i = 0; i < n; i++) {
		m[i] = (struct member){&g, i};
		/* Those that wait at the barrier cannot be called back: the child is given up. */
		if (pthread_create(&t[i], NULL, member_run, &m[i]))
			return false;
	}
	for (unsigned i = 0; i < n; i++)
		(void)pthread_join(t[i], NULL);
	(void)pthread_barrier_destroy(&g.start);
	return true;
}

void otd_pcheck_sum(struct otd_pcheck_walk *w, const void *p, size_t n)
{
	const uint8_t *b = p;
	/* FNV-1a */
	for (size_t i = 0; i < n; i++)
		w->sum = (w->sum ^ b[i]) * 0x100000001b3ULL;
	w->sum = (w->sum ^ n) * 0x100000001b3ULL;
}

bool otd_pcheck_short_buffer(const char *what, otd_rc rc, const struct otd_buf *b)
{
	if (rc != OTD_E_RANGE) {
		otd_pcheck_fail("%s into a buffer that is too short returns %d, not OTD_E_RANGE",
				what, rc);
		return false;
	}
	if (b->len <= b->cap) {
		otd_pcheck_fail(
			"%s returns OTD_E_RANGE and says that it needs %zu bytes, of a buffer "
			"that has %zu: set len to what is needed",
			what, b->len, b->cap);
		return false;
	}
	return true;
}
