/*
 * Payout schemes change hands while everything else goes wrong: at random places of the order each
 * scheme's state goes over to a fresh instance, between crashes at any file operation. At the end the
 * database is what one instance would have come to that saw the whole order.
 *   OTEDAMA_SIM_FIRST=1 OTEDAMA_SIM_SEEDS=6
 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIVES     4
#define SWAPS_MAX 8

static unsigned n_swapped, n_refused;

struct all {
	struct otd_acct_swap swap[SWAPS_MAX];
	const char *id[SWAPS_MAX];
	size_t n;
};

static void add(void *arg, const char *pool, const char *scheme,
		const struct otd_plugin_instance *in)
{
	struct all *a = arg;
	if (a->n == SWAPS_MAX)
		return;
	a->id[a->n] = otd_plugin_desc(otd_instance_plugin(in))->id;
	a->swap[a->n++] = (struct otd_acct_swap){.pool = pool, .scheme = scheme};
}

/* All schemes there are; wrong: one of them gets another scheme's plugin, which cannot take its state. */
static void swap_all(struct world *w, bool wrong)
{
	struct all a = {.n = 0};
	struct otd_err err = {0};
	uint64_t seq = 0;
	otd_accounting_schemes(w->acct, add, &a);
	size_t odd = wrong ? sim_below(w->sim, a.n) : a.n;
	for (size_t i = 0; i < a.n; i++) {
		const char *id = a.id[i];
		if (i == odd)
			id = strcmp(id, "pplns") == 0 ? "tally" : "pplns";
		struct otd_plugin *p = otd_plugins_get(w->plugins, "payout", id, &err);
		if (!p || otd_instance_create(&a.swap[i].fresh, p, NULL, "payout", NULL, &err))
			world_fail(w, "no fresh instance of %s: %s", id, err.text);
	}
	otd_rc rc = otd_accounting_swap(w->acct, a.swap, a.n, &seq, &err);
	if (wrong != (rc != OTD_OK))
		world_fail(w, "a swap that is %s: %s", wrong ? "wrong" : "right",
			   rc ? err.text : "done");
	for (size_t i = 0; rc && i < a.n; i++)
		otd_instance_destroy(a.swap[i].fresh);
	if (rc)
		n_refused++;
	else
		n_swapped++;
}

static void step(struct world *w, bool work)
{
	world_step(w, work);
	if (!sim_dead(w->sim) && sim_chance(w->sim, 20000))
		swap_all(w, sim_chance(w->sim, 250000));
}

static void life(struct world *w)
{
	struct sim *s = w->sim;
	uint64_t steps = 500 + sim_below(s, 3000);
	sim_crash_in(s, 1 + sim_below(s, 3000));
	if (world_start(w)) {
		for (uint64_t i = 0; i < steps && !sim_dead(s); i++)
			step(w, true);
	}
	sim_crash_now(s);
	w->crashes++;
	world_end(w);
	sim_reboot(s);
}

static void flushed(void *arg)
{
	((struct world *)arg)->flushed = true;
}

static void last_life(struct world *w)
{
	struct sim *s = w->sim;
	struct otd_acct_status *st = NULL;
	sim_crash_in(s, 0);
	if (!world_start(w))
		world_fail(w, "no start: %s", w->err.text);
	for (int i = 0; i < 1000; i++)
		step(w, true);
	int64_t end = sim_now_ms(s) + 60000;
	for (size_t i = 0; i < REACTORS; i++)
		while (otd_journal_synced(w->reactor[i].j) < otd_journal_last(w->reactor[i].j) &&
		       sim_now_ms(s) < end)
			world_step(w, false);
	otd_accounting_flush(w->acct, flushed, w);
	while (!w->flushed && sim_now_ms(s) < end)
		world_step(w, false);
	if (!w->flushed || otd_accounting_status(w->acct, &st, 10, 10) != OTD_OK)
		world_fail(w, "not all is in SQL after a minute");
	if (st->n_alerts)
		world_fail(w, "an alert at the end: %s", st->alerts[0]);
	world_collect(w, st->applied);
	otd_accounting_status_destroy(st);
	/* What is saved must be what a straight replay of the order comes to. */
	for (int i = 0; i < 2000; i++)
		world_step(w, false);
	sim_check(w);
	world_end(w);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);
	return v ? strtoull(v, NULL, 10) : otherwise;
}

static void seeds(void **state)
{
	uint64_t first = number("OTEDAMA_SIM_FIRST", 1), n = number("OTEDAMA_SIM_SEEDS", 6);
	(void)state;
	for (uint64_t seed = first; seed < first + n; seed++) {
		struct world w = {.seed = seed, .sim = sim_create(seed)};
		for (w.life = 1; w.life < LIVES; w.life++)
			life(&w);
		last_life(&w);
		world_free(&w);
		sim_destroy(w.sim);
	}
	assert_true(n_swapped > 10 * n);
	assert_true(n_refused > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(seeds)};
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_REACTOR | OTD_THREAD_STORE |
		      OTD_THREAD_COMPUTE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
