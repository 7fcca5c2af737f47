/*
 * The database over a disk whose sync fails once: what it then says is committed is there after the
 * power has gone. SQLite lets the end of a commit's last frame wait for the next sync, and a sync that
 * fails loses what waited: a log with a hole is cut there, with everything that was committed behind it.
 */
#include "loop/loop.h"
#include "plugin/plugin.h"
#include "sim.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TURNS 12
#define SEEDS 40

struct life {
	struct otd_loop *loop;
	struct otd_plugins *plugins;
	struct otd_files *files;
	struct otd_plugin_instance *in;
	struct otd_store *store;
	struct otd_err err;
};

static void must(struct life *l, otd_rc rc)
{
	if (rc)
		fail_msg("%s (%s)", l->err.text, otd_rc_name(rc));
}

static otd_rc try_begin(struct life *l, struct sim *s)
{
	static const struct otd_plugins_conf conf = {.skip_vectors = true};
	struct otd_env *e = sim_env(s);
	memset(l, 0, sizeof(*l));
	must(l, e->ops->loop_create(e, &l->loop, "all", &l->err));
	must(l, otd_plugins_create(&l->plugins, e, &conf, &l->err));
	must(l, otd_plugins_add_builtin(l->plugins, otd_plugin_v1(), &l->err));
	must(l, otd_files_rooted_create(&l->files, e->files, "data"));
	const struct otd_plugin_services services = {.files = l->files};
	struct otd_plugin *p = otd_plugins_get(l->plugins, "store", "sqlite", &l->err);
	assert_non_null(p);
	must(l, otd_instance_create(&l->in, p, NULL, "store", &services, &l->err));
	return otd_store_create(&l->store, l->loop, l->in, &l->err);
}

static void begin(struct life *l, struct sim *s)
{
	must(l, try_begin(l, s));
}

static void end(struct life *l, struct sim *s)
{
	otd_store_destroy(l->store);
	otd_instance_destroy(l->in);
	otd_files_rooted_destroy(l->files);
	otd_plugins_destroy(l->plugins);
	sim_env(s)->ops->loop_destroy(l->loop);
}

struct turn {
	uint8_t bytes[20000];
	size_t n;
	int number;
};

static otd_rc write_turn(void *arg, struct otd_db *db, struct otd_err *err)
{
	const struct turn *t = arg;
	struct otd_value v[] = {OTD_INT(t->number), OTD_INT(t->number), OTD_BLOB(t->bytes, t->n)};
	return otd_db_exec(db,
			   "INSERT INTO payout_state(pool_id, scheme, seq, state)"
			   " VALUES(?, 's', ?, ?)",
			   v, 3, NULL, NULL, err);
}

static otd_rc take_turn(void *ctx, const struct otd_value *c, size_t n)
{
	(void)n;
	*(unsigned *)ctx |= 1u << c[0].i;
	return OTD_OK;
}

static otd_rc read_turns(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT};
	*(unsigned *)arg = 0;
	return otd_db_query(db, "SELECT pool_id FROM payout_state", NULL, 0, wants, 1, take_turn,
			    arg, err);
}

/* Turn bad meets syncs that fail; then the power goes. */
static void one(uint64_t seed, int bad)
{
	static struct turn t;
	const struct sim_faults faults = {.sync_ppm = 1000000, .path = "otedama.db-wal"},
				none = {0};
	struct sim *s = sim_create(seed);
	struct otd_env *e = sim_env(s);
	unsigned sure = 0, unknown = 0, there = 0;
	struct life l;
	(void)!e->files->make_dir(e->files->ctx, "data");
	(void)!e->files->sync_dir(e->files->ctx, ".");
	begin(&l, s);
	for (int i = 0; i < TURNS; i++) {
		t.number = i;
		t.n = (size_t)sim_below(s, sizeof(t.bytes));
		sim_faults(s, i == bad ? &faults : &none);
		otd_rc rc = otd_store_do_now(l.store, true, write_turn, &t, &l.err);
		sure |= rc == OTD_OK ? 1u << i : 0;
		unknown |= rc == OTD_E_COMMIT_UNKNOWN ? 1u << i : 0;
		assert_true(rc == OTD_OK || (i == bad && rc == OTD_E_COMMIT_UNKNOWN));
	}
	sim_faults(s, &none);
	sim_crash_now(s);
	end(&l, s);
	sim_reboot(s);
	begin(&l, s);
	must(&l, otd_store_do_now(l.store, false, read_turns, &there, &l.err));
	if ((there & sure) != sure || (there & ~(sure | unknown)))
		fail_msg("seed %llu, turn %d: committed %x, unknown %x, after the power went %x",
			 (unsigned long long)seed, bad, sure, unknown, there);
	end(&l, s);
	sim_destroy(s);
}

static void a_failed_sync(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		for (int bad = 0; bad < TURNS; bad++)
			one(seed, bad);
}

/* The process dies at the n-th write, sync or name while it makes the database; the next one finds it
   and goes on; then the power goes. False: there were fewer. */
static bool made_and_killed(uint64_t n)
{
	static struct turn t;
	struct sim *s = sim_create(n);
	struct otd_env *e = sim_env(s);
	unsigned there = 0;
	struct life l;
	(void)!e->files->make_dir(e->files->ctx, "data");
	(void)!e->files->sync_dir(e->files->ctx, ".");
	sim_crash_in(s, n);
	otd_rc rc = try_begin(&l, s);
	bool died = sim_dead(s);
	assert_true(rc == OTD_OK || died);
	sim_crash_in(s, 0);
	if (died) {
		end(&l, s);
		sim_restart(s);
		begin(&l, s);
	}
	t.n = 100;
	must(&l, otd_store_do_now(l.store, true, write_turn, &t, &l.err));
	sim_crash_now(s);
	end(&l, s);
	sim_reboot(s);
	begin(&l, s);
	must(&l, otd_store_do_now(l.store, false, read_turns, &there, &l.err));
	if (there != 1)
		fail_msg("killed at %llu: what was committed is gone", (unsigned long long)n);
	end(&l, s);
	sim_destroy(s);
	return died;
}

static void killed_while_it_is_made(void **state)
{
	uint64_t n = 1;
	(void)state;
	while (made_and_killed(n))
		n++;
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_failed_sync),
					   cmocka_unit_test(killed_while_it_is_made)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
