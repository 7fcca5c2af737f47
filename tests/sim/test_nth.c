/*
 * A short story of the whole pool (start, miners, shares, blocks, payments, a reload, an orderly end), in which
 * the n-th write, or the n-th allocation, fails. Nothing may crash; a start that refuses says why; and after
 * the next start everything that was acknowledged is there, and all settles.
 *   OTEDAMA_NTH_STEP=1           every n; otherwise some sixty of each kind
 *   OTEDAMA_NTH=memory:17        one of them (or disk:17), in this process
 *   OTEDAMA_SIM_LOG=1            with the pool's log
 * Memory is ours, that of plugins by their table, SQLite's and jansson's; other libraries are exempt.
 */
#include "base/log.h"
#include "host.h"
#include "sim_internal.h"

#include <jansson.h>
#include <malloc.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SEED     11
#define POINTS   60
#define CHILDREN 2

/* --- memory: the linker leads every call of these here (test.cmake) --- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
char *__wrap_strdup(const char *s);

static bool armed;
static uint64_t asked, fail_at;

static bool refused(void)
{
	return armed && sim_pool_runs && ++asked == fail_at;
}

void *__wrap_malloc(size_t n)
{
	return refused() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return refused() ? NULL : __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
	return refused() ? NULL : __real_aligned_alloc(align, n);
}

char *__wrap_strdup(const char *s)
{
	return refused() ? NULL : __real_strdup(s);
}

static void *sqlite_malloc(int n)
{
	return __wrap_malloc((size_t)n);
}

static void *sqlite_realloc(void *p, int n)
{
	return __wrap_realloc(p, (size_t)n);
}

static int sqlite_size(void *p)
{
	return p ? (int)malloc_usable_size(p) : 0;
}

static int sqlite_round(int n)
{
	return (n + 7) & ~7;
}

static int sqlite_init(void *arg)
{
	(void)arg;
	return SQLITE_OK;
}

static void sqlite_end(void *arg)
{
	(void)arg;
}

static void lead_libraries_here(void)
{
	static const sqlite3_mem_methods methods = {sqlite_malloc, free,         sqlite_realloc,
						    sqlite_size,   sqlite_round, sqlite_init,
						    sqlite_end,    NULL};
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
	json_set_alloc_funcs(__wrap_malloc, free);
}

/* --- the story --- */

enum kind { NOTHING, DISK, MEMORY };

struct count {
	uint64_t disk, memory;
};

static bool is_paid(void *arg)
{
	struct host *h = arg;
	uint8_t txid[1][32];
	return sim_node_sent(h->node, txid, 1) > 0;
}

/* The life in which it happens. */
static void first_life(struct host *h)
{
	h->may_refuse = true;
	sim_miners_bad_disk(h->miners, true);
	sim_pool_runs = true;
	bool up = host_start(h);
	sim_pool_runs = false;
	if (!up && !h->err.text[0])
		host_fail(h, "it refuses to start, and does not say why");
	if (up) {
		(void)sim_run(h->sim, 30000, NULL, NULL);
		sim_pool_runs = true;
		(void)host_reload(h);
		sim_pool_runs = false;
		(void)sim_run(h->sim, 180000, is_paid, h);
		sim_pool_runs = true;
		(void)host_drain(h);
		sim_pool_runs = false;
	}
	sim_pool_runs = true;
	host_end(h);
	sim_pool_runs = false;
	sim_restart(h->sim);
}

static void second_life(struct host *h)
{
	armed = false;
	h->may_refuse = false;
	sim_disk_fail_at(h->sim, 0);
	if (!host_start(h))
		host_fail(h, "no start: %s", h->err.text);
	sim_miners_calm(h->miners, true, false);
	(void)sim_run(h->sim, 60000, NULL, NULL);
	sim_miners_bad_disk(h->miners, false);
	(void)sim_run(h->sim, 10000, NULL, NULL);
	host_settle(h);
	host_end(h);
}

static struct count story(enum kind kind, uint64_t n)
{
	struct host *h = sim_new(1, sizeof(*h));
	struct count c;
	armed = false;
	asked = 0;
	host_init(h, SEED, true);
	sim_miners_calm(h->miners, true, false);
	fail_at = kind == MEMORY ? n : 0;
	h->may_hold = kind == MEMORY;
	if (kind == DISK)
		sim_disk_fail_at(h->sim, n);
	armed = true;
	first_life(h);
	c = (struct count){sim_disk_changes(h->sim), asked};
	second_life(h);
	if (kind == NOTHING && (h->payments == 0 || h->blocks == 0))
		host_fail(h, "a dull story: %llu blocks, %llu payments",
			  (unsigned long long)h->blocks, (unsigned long long)h->payments);
	host_finish(h);
	free(h);
	return c;
}

/* --- all of them --- */

struct runs {
	const char *name;
	enum kind kind;
	unsigned children, failed;
	uint64_t at[CHILDREN];
	pid_t child[CHILDREN];
};

static void wait_for_one(struct runs *r)
{
	int status;
	pid_t child = wait(&status);
	for (unsigned i = 0; i < r->children; i++) {
		if (r->child[i] != child)
			continue;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			(void)fprintf(stderr, "nth: again with OTEDAMA_NTH=%s:%llu%s\n", r->name,
				      (unsigned long long)r->at[i],
				      WIFSIGNALED(status) ? " (a signal killed it)" : "");
			r->failed++;
		}
		r->children--;
		r->child[i] = r->child[r->children];
		r->at[i] = r->at[r->children];
		return;
	}
}

static void each(const char *name, enum kind kind, uint64_t count)
{
	const char *v = getenv("OTEDAMA_NTH_STEP"), *seeds = getenv("OTEDAMA_SIM_SEEDS");
	/* Sanitizers are asked for a few seeds only. */
	uint64_t points = seeds && strlen(seeds) == 1 ? POINTS / 10 : POINTS;
	uint64_t step = v ? strtoull(v, NULL, 10) : count / points, runs = 0;
	struct runs r = {.name = name, .kind = kind};
	if (step == 0)
		step = 1;
	for (uint64_t n = 1; n <= count; n += step) {
		(void)fflush(NULL);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			(void)story(kind, n);
			exit(0); /* with its look for leaks, where there is one */
		}
		r.child[r.children] = child;
		r.at[r.children++] = n;
		runs++;
		if (r.children == CHILDREN)
			wait_for_one(&r);
	}
	while (r.children)
		wait_for_one(&r);
	(void)printf("nth: %llu of %llu of %s failed, one at a time\n", (unsigned long long)runs,
		     (unsigned long long)count, name);
	assert_int_equal(r.failed, 0);
}

static struct count counted;

static void nothing(void **state)
{
	(void)state;
	counted = story(NOTHING, 0);
	(void)printf("nth: the story makes %llu changes of the disk and %llu allocations\n",
		     (unsigned long long)counted.disk, (unsigned long long)counted.memory);
	assert_true(counted.disk > 100 && counted.memory > 1000);
}

static void disk(void **state)
{
	(void)state;
	each("disk", DISK, counted.disk);
}

static void memory(void **state)
{
	(void)state;
	each("memory", MEMORY, counted.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(nothing), cmocka_unit_test(disk),
					   cmocka_unit_test(memory)};
	const char *one = getenv("OTEDAMA_NTH"), *log = getenv("OTEDAMA_SIM_LOG");
	lead_libraries_here();
	host_log_init(log && *log == '1');
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_REACTOR | OTD_THREAD_STORE |
		      OTD_THREAD_COMPUTE);
	if (one) {
		const char *n = strchr(one, ':');
		(void)story(strncmp(one, "disk", 4) == 0 ? DISK : MEMORY,
			    n ? strtoull(n + 1, NULL, 10) : 0);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
