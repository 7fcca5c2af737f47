/*
 * Journal, accounting, database and ledger under crashes and faults, seed by seed:
 *   OTEDAMA_SIM_FIRST=1 OTEDAMA_SIM_SEEDS=10
 * Every acknowledged share is in SQL once, no other one is (one that was appended and not
 * acknowledged may be), blocks and money fit, and the payout schemes are what a straight replay of
 * the order gives. A failing seed names itself and ends the program.
 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIVES 5

static void forget_unsynced(struct world *w)
{
	struct otd_journal_range range;
	struct otd_err err;
	/* What the order has beyond what the crash kept was never applied. */
	if (otd_journal_recover(sim_env(w->sim), "data/journal/coordinator", &range, &err) ==
		    OTD_OK &&
	    range.last < w->n_order)
		world_fail(w, "the order had %zu places, %llu are left", w->n_order,
			   (unsigned long long)range.last);
}

static void life(struct world *w)
{
	struct sim *s = w->sim;
	struct sim_faults f = {0};
	uint64_t steps = 500 + sim_below(s, 4000);
	static const char *const where[] = {"journal", "otedama.db", NULL};
	if (sim_chance(s, 400000))
		f = (struct sim_faults){
			.write_ppm = 3000, .sync_ppm = 3000, .path = where[sim_below(s, 3)]};
	sim_crash_in(s, 1 + sim_below(s, sim_chance(s, 200000) ? 40 : 3000));
	if (world_start(w)) {
		sim_faults(s, &f);
		for (uint64_t i = 0; i < steps && !sim_dead(s); i++) {
			if (sim_chance(s, 200))
				sim_disk_full(s, 4000);
			world_step(w, true);
		}
	}
	sim_faults(s, &(struct sim_faults){0});
	sim_crash_now(s);
	w->crashes++;
	world_end(w);
	if (sim_chance(s, 300000))
		sim_restart(s);
	else
		sim_reboot(s);
	forget_unsynced(w);
}

static void flushed(void *arg)
{
	((struct world *)arg)->flushed = true;
}

static void last_life(struct world *w)
{
	struct sim *s = w->sim;
	sim_crash_in(s, 0);
	if (!world_start(w))
		world_fail(w, "no start: %s", w->err.text);
	for (int i = 0; i < 500; i++)
		world_step(w, true);
	/* Nothing new: all that was taken becomes durable, then everything must get into SQL. */
	int64_t end = sim_now_ms(s) + 60000;
	for (size_t i = 0; i < REACTORS; i++)
		while (otd_journal_synced(w->reactor[i].j) < otd_journal_last(w->reactor[i].j) &&
		       sim_now_ms(s) < end)
			world_step(w, false);
	otd_accounting_flush(w->acct, flushed, w);
	while (!w->flushed && sim_now_ms(s) < end)
		world_step(w, false);
	struct otd_acct_status *st = NULL;
	if (otd_accounting_status(w->acct, &st, 10, 10) != OTD_OK)
		world_fail(w, "no status");
	if (!w->flushed)
		world_fail(w,
			   "not all is in SQL after a minute: %llu wait, applied %llu, at %llu: %s",
			   (unsigned long long)st->waiting, (unsigned long long)st->applied,
			   (unsigned long long)st->position, st->n_alerts ? st->alerts[0] : "");
	if (st->n_alerts)
		world_fail(w, "an alert at the end: %s", st->alerts[0]);
	world_collect(w, st->applied);
	otd_accounting_status_destroy(st);
	/* Folders of earlier lives go once nothing needs them. */
	for (int i = 0; i < 2000; i++)
		world_step(w, false);
	if (otd_accounting_status(w->acct, &st, 0, 0) != OTD_OK || st->epochs != REACTORS)
		world_fail(w, "%llu journals are left, %d are in use",
			   (unsigned long long)(st ? st->epochs : 0), REACTORS);
	otd_accounting_status_destroy(st);
	sim_check(w);
	world_end(w);
}

static void seed_run(uint64_t seed)
{
	struct world w = {.seed = seed, .sim = sim_create(seed)};
	for (w.life = 1; w.life < LIVES; w.life++)
		life(&w);
	last_life(&w);
	world_free(&w);
	sim_destroy(w.sim);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);
	return v ? strtoull(v, NULL, 10) : otherwise;
}

static void seeds(void **state)
{
	(void)state;
	uint64_t first = number("OTEDAMA_SIM_FIRST", 1), n = number("OTEDAMA_SIM_SEEDS", 10);
	for (uint64_t seed = first; seed < first + n; seed++)
		seed_run(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(seeds)};
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_REACTOR | OTD_THREAD_STORE |
		      OTD_THREAD_COMPUTE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
