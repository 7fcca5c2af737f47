/* Single situations of accounting, on the simulated env without faults of its own. */
#include "ledger/ledger.h"
#include "ledger/payment.h"
#include "tally.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct got {
	size_t n;
	otd_i128 sum, immature, spendable, fee, paying, paid, risk;
	bool called;
};

static void on_balances(void *arg, const struct otd_err *err, const struct otd_acct_balance *rows,
			size_t n)
{
	struct got *g = arg;
	assert_int_equal(err->rc, OTD_OK);
	*g = (struct got){.n = n, .called = true};
	for (size_t i = 0; i < n; i++) {
		g->sum += rows[i].amount;
		g->immature += rows[i].kind == OTD_ACC_IMMATURE ? rows[i].amount : 0;
		g->spendable += rows[i].kind == OTD_ACC_MINER ? rows[i].amount : 0;
		g->fee += rows[i].kind == OTD_ACC_FEE ? rows[i].amount : 0;
		g->paying += rows[i].kind == OTD_ACC_PAYING ? rows[i].amount : 0;
		g->paid += rows[i].kind == OTD_ACC_PAID ? rows[i].amount : 0;
		g->risk += rows[i].kind == OTD_ACC_RISK ? rows[i].amount : 0;
		/* The pools' own first, each with the largest first. */
		if (i > 0 && !rows[i].account[0] == !rows[i - 1].account[0])
			assert_true(rows[i].amount <= rows[i - 1].amount);
		else
			assert_true(i == 0 || !rows[i - 1].account[0]);
		assert_true(!rows[i].account[0] ==
			    (rows[i].kind != OTD_ACC_IMMATURE && rows[i].kind != OTD_ACC_MINER &&
			     rows[i].kind != OTD_ACC_PAYING));
	}
}

static bool balances_came(void *arg)
{
	return ((struct got *)arg)->called;
}

static void start(struct world *w, uint64_t seed)
{
	*w = (struct world){.seed = seed, .sim = sim_create(seed), .certain = true};
	assert_true(world_start(w));
}

static void finish(struct world *w)
{
	world_end(w);
	world_free(w);
	sim_destroy(w->sim);
	tally_wrong_by = 0;
}

static void on_flush(void *arg)
{
	*(bool *)arg = true;
}

static bool is_set(void *arg)
{
	return *(bool *)arg;
}

static void flush(struct world *w)
{
	bool done = false;
	sim_run(w->sim, 3000, NULL, NULL); /* the reactors' journals */
	otd_accounting_flush(w->acct, on_flush, &done);
	assert_true(sim_run(w->sim, 20000, is_set, &done));
}

/* Shares of both schemes, then a block by ident. */
static void mine(struct world *w, int shares, uint32_t ident)
{
	for (int i = 0; i < shares; i++)
		world_share(&w->reactor[i % REACTORS], (uint32_t)i % IDENTS, 10);
	world_share(&w->reactor[0], ident, 10);
	world_block(&w->reactor[0], ident, 5000000000);
	flush(w);
}

static void mine_only(struct world *w, int shares)
{
	for (int i = 0; i < shares; i++) {
		world_share(&w->reactor[i % REACTORS], (uint32_t)i % IDENTS, 10);
		sim_run(w->sim, 200, NULL, NULL);
	}
}

static struct otd_acct_status *status(struct world *w)
{
	struct otd_acct_status *st = NULL;
	assert_int_equal(otd_accounting_status(w->acct, &st, 100, 100), OTD_OK);
	return st;
}

static void block_through_its_life(void **state)
{
	(void)state;
	struct world w;
	struct got g = {0};
	start(&w, 1);
	mine(&w, 60, 0);
	struct otd_acct_status *st = status(&w);
	assert_int_equal(st->n_pools, 2);
	assert_string_equal(st->pools[0].name, "alpha");
	assert_int_equal(st->pools[0].accepted + st->pools[1].accepted, 61);
	assert_true(st->pools[0].work_10min == (otd_u128)st->pools[0].accepted * 10);
	assert_true(st->pools[0].work_1h == st->pools[0].work_10min);
	assert_int_equal(st->pools[0].blocks, 1);
	assert_true(st->pools[0].luck_ppm > 0);
	assert_int_equal(st->n_workers, 12);
	assert_true(st->workers[0].work_10min >= st->workers[11].work_10min);
	assert_int_equal(st->n_blocks, 1);
	assert_int_equal(st->n_alerts, 0);
	assert_int_equal(st->waiting, 0);
	const struct otd_acct_block b = st->blocks[0];
	assert_int_equal(b.state, OTD_BLOCK_CANDIDATE);
	assert_true(b.value == 5000000000);
	/* 12345 ppm of it, rounded up. */
	assert_true(b.fee == 61725000);
	assert_true(b.effort_ppm > 0);
	assert_false(b.held);
	otd_accounting_status_destroy(st);
	assert_int_equal(
		otd_accounting_verdict(w.acct, b.epoch, b.share_seq + 1, OTD_BLOCK_ACCEPTED, 1),
		OTD_E_NOT_FOUND);
	assert_int_equal(
		otd_accounting_verdict(w.acct, b.epoch, b.share_seq, OTD_BLOCK_CONFIRMING, 1),
		OTD_OK);
	flush(&w);
	assert_int_equal(otd_accounting_balances(w.acct, 100, on_balances, &g), OTD_OK);
	assert_true(sim_run(w.sim, 5000, balances_came, &g));
	assert_true(g.sum == 0);
	assert_true(g.immature == 5000000000 - 61725000);
	assert_true(g.spendable == 0);
	assert_int_equal(
		otd_accounting_verdict(w.acct, b.epoch, b.share_seq, OTD_BLOCK_MATURE, 100),
		OTD_OK);
	flush(&w);
	g.called = false;
	assert_int_equal(otd_accounting_balances(w.acct, 100, on_balances, &g), OTD_OK);
	assert_true(sim_run(w.sim, 5000, balances_came, &g));
	assert_true(g.sum == 0 && g.immature == 0);
	assert_true(g.spendable == 5000000000 - 61725000);
	assert_true(g.fee == 61725000);
	assert_int_equal(
		otd_accounting_verdict(w.acct, b.epoch, b.share_seq, OTD_BLOCK_ACCEPTED, 1),
		OTD_E_INVALID);
	/* A deep reorganisation takes it all back. */
	assert_int_equal(
		otd_accounting_verdict(w.acct, b.epoch, b.share_seq, OTD_BLOCK_ORPHANED, 0),
		OTD_OK);
	flush(&w);
	g.called = false;
	assert_int_equal(otd_accounting_balances(w.acct, 100, on_balances, &g), OTD_OK);
	assert_true(sim_run(w.sim, 5000, balances_came, &g));
	assert_int_equal(g.n, 0);
	assert_int_equal(otd_accounting_verdict(w.acct, b.epoch, b.share_seq, OTD_BLOCK_MATURE, 1),
			 OTD_E_INVALID);
	st = status(&w);
	assert_int_equal(st->pools[0].blocks_orphaned, 1);
	assert_int_equal(st->blocks[0].state, OTD_BLOCK_ORPHANED);
	otd_accounting_status_destroy(st);
	finish(&w);
}

/* --- a block that is orphaned after it was paid --- */

struct spend {
	struct otd_pay_terms terms;
	size_t n; /* so many of those due */
	uint64_t id;
	otd_i128 fee, total;
	unsigned number;
};

static otd_rc put_aside(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct spend *s = arg;
	struct otd_pay_part *parts = NULL;
	size_t n = 0;
	otd_rc rc = otd_pay_pool_id(db, "alpha", &s->terms.pool_id, err);
	if (rc == OTD_OK)
		rc = otd_pay_pool_set(db, s->terms.pool_id, true, 1, err);
	if (rc == OTD_OK)
		rc = otd_pay_plan(db, &s->terms, &parts, &n, err);
	if (rc == OTD_OK && n < s->n)
		rc = OTD_E_NOT_FOUND;
	s->total = 0;
	for (size_t i = 0; rc == OTD_OK && i < s->n; i++)
		s->total += parts[i].amount;
	if (rc == OTD_OK)
		rc = otd_pay_reserve(db, &s->terms, parts, s->n, s->number, &s->id, err);
	free(parts);
	return rc;
}

static otd_rc pay(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct spend *s = arg;
	uint8_t raw = 1;
	const struct otd_pay_coin coin = {.txid = {1}, .value = s->total + s->fee};
	const struct otd_pay_tx tx = {.generation = 1,
				      .version = 1,
				      .txid = {2},
				      .fee = s->fee,
				      .raw = &raw,
				      .raw_len = 1};
	struct otd_payment p;
	otd_i128 *sent = NULL;
	otd_rc rc = otd_pay_load(db, s->id, false, &p, err);
	if (rc == OTD_OK)
		sent = calloc(p.n_parts, sizeof(*sent));
	for (size_t i = 0; sent && i < p.n_parts; i++)
		sent[i] = p.parts[i].amount;
	otd_payment_finish(&p);
	if (rc == OTD_OK)
		rc = otd_pay_fund(db, s->id, 1, &coin, 1, 2, err);
	if (rc == OTD_OK)
		rc = otd_pay_sign(db, s->id, &tx, sent, NULL, 0, 3, err);
	if (rc == OTD_OK)
		rc = otd_pay_paid(db, s->id, 1, 1, 6, 200, NULL, 4, err);
	free(sent);
	return rc;
}

static void must_do(struct world *w, otd_store_work work, void *arg)
{
	if (otd_store_do_now(w->store, true, work, arg, &w->err) != OTD_OK)
		fail_msg("%s", w->err.text);
}

static otd_rc verify(void *arg, struct otd_db *db, struct otd_err *err)
{
	return otd_ledger_verify(db, arg, err);
}

/* A wallet paid some, others are put aside, the network fee came out of the pool's fee; then the block
   is gone. Miners keep what they got, and the pool's risk account has the rest. */
static void a_paid_block_is_orphaned(void **state)
{
	(void)state;
	struct world w;
	struct got g = {0};
	struct spend paid = {.terms = {.asset = "BTC", .minimum = 1, .max_parts = 100},
			     .n = 2,
			     .fee = 1000,
			     .number = 1},
		     aside = paid;
	uint64_t postings = 0;
	start(&w, 1);
	mine(&w, 60, 0);
	struct otd_acct_status *st = status(&w);
	const struct otd_acct_block b = st->blocks[0];
	paid.terms.asset = aside.terms.asset = strdup(b.asset);
	otd_accounting_status_destroy(st);
	assert_int_equal(
		otd_accounting_verdict(w.acct, b.epoch, b.share_seq, OTD_BLOCK_MATURE, 100),
		OTD_OK);
	flush(&w);
	must_do(&w, put_aside, &paid);
	must_do(&w, pay, &paid);
	aside.n = 1;
	aside.number = 2;
	must_do(&w, put_aside, &aside);
	assert_int_equal(
		otd_accounting_verdict(w.acct, b.epoch, b.share_seq, OTD_BLOCK_ORPHANED, 0),
		OTD_OK);
	flush(&w);
	assert_int_equal(otd_accounting_balances(w.acct, 100, on_balances, &g), OTD_OK);
	assert_true(sim_run(w.sim, 5000, balances_came, &g));
	assert_true(g.sum == 0 && g.spendable == 0 && g.immature == 0 && g.fee == 0);
	assert_true(g.paid == paid.total && g.paying == aside.total);
	assert_true(g.risk == -(paid.total + aside.total + paid.fee));
	st = status(&w);
	assert_false(st->blocks[0].held);
	assert_int_equal(st->blocks[0].state, OTD_BLOCK_ORPHANED);
	assert_int_equal(st->n_alerts, 1);
	assert_non_null(strstr(st->alerts[0], "the pool's risk account bears them"));
	otd_accounting_status_destroy(st);
	must_do(&w, verify, &postings);
	free((void *)(uintptr_t)paid.terms.asset);
	finish(&w);
}

/* A scheme whose credits do not sum to the amount: nothing of it is paid, all else goes on. */
static void wrong_sum_is_held(void **state)
{
	(void)state;
	for (int wrong = -1; wrong <= 1; wrong += 2) {
		struct world w;
		struct got g = {0};
		start(&w, 2);
		tally_wrong_by = wrong;
		mine(&w, 40, 2); /* of the scheme "second" */
		struct otd_acct_status *st = status(&w);
		assert_int_equal(st->n_blocks, 1);
		assert_true(st->blocks[0].held);
		assert_int_equal(st->n_alerts, 1);
		assert_non_null(strstr(st->alerts[0], "do not sum"));
		otd_accounting_status_destroy(st);
		mine(&w, 20, 0);
		st = status(&w);
		assert_int_equal(st->n_blocks, 2);
		assert_false(st->blocks[0].held);
		uint64_t epoch = st->blocks[1].epoch, seq = st->blocks[1].share_seq;
		otd_accounting_status_destroy(st);
		/* A held block has nothing to move. */
		assert_int_equal(otd_accounting_verdict(w.acct, epoch, seq, OTD_BLOCK_MATURE, 100),
				 OTD_OK);
		flush(&w);
		assert_int_equal(otd_accounting_balances(w.acct, 100, on_balances, &g), OTD_OK);
		assert_true(sim_run(w.sim, 5000, balances_came, &g));
		assert_true(g.immature == 5000000000 - 61725000);
		assert_true(g.spendable == 0 && g.sum == 0);
		finish(&w);
	}
}

/* While the database fails shares go on being taken; status says so; then all of it gets there. */
static void database_fails_for_a_while(void **state)
{
	(void)state;
	struct world w;
	start(&w, 3);
	mine(&w, 20, 0);
	sim_faults(w.sim, &(struct sim_faults){.write_ppm = 1000000, .path = "otedama.db"});
	for (int i = 0; i < 200; i++) {
		world_share(&w.reactor[0], 1, 10);
		sim_run(w.sim, 20, NULL, NULL);
	}
	assert_int_equal(w.reactor[0].m->acked, w.reactor[0].m->n);
	struct otd_acct_status *st = status(&w);
	assert_true(st->n_alerts > 0);
	assert_non_null(strstr(st->alerts[0], "database"));
	uint64_t position = st->position;
	otd_accounting_status_destroy(st);
	sim_faults(w.sim, &(struct sim_faults){0});
	flush(&w);
	st = status(&w);
	assert_int_equal(st->n_alerts, 0);
	assert_true(st->position > position);
	assert_int_equal(st->waiting, 0);
	otd_accounting_status_destroy(st);
	finish(&w);
}

/* The database of one time and the journals of another: refused in words. */
static void database_and_journal_of_two_times(void **state)
{
	(void)state;
	struct world w;
	char path[128];
	start(&w, 4);
	mine(&w, 20, 0);
	world_end(&w);
	const struct otd_files *f = sim_env(w.sim)->files;
	for (int i = 1; i < 16; i++) {
		(void)snprintf(path, sizeof(path), "data/journal/coordinator/%08d.otj", i);
		(void)f->remove(f->ctx, path);
	}
	w.may_refuse = true;
	assert_false(world_start(&w));
	assert_int_equal(w.err.rc, OTD_E_CORRUPT);
	assert_non_null(strstr(w.err.text, "not of one time"));
	finish(&w);
}

/* Many small places, so that the coordinator's journal goes on without what was before. */
static void move_on(struct world *w)
{
	for (int i = 0; i < 150; i++) {
		world_share(&w->reactor[i % REACTORS], i % 2 ? 0 : 4, 10);
		sim_run(w->sim, 100, NULL, NULL);
	}
	flush(w);
	sim_run(w->sim, 2000, NULL, NULL);
}

/* A scheme or pool that was out of the settings for long comes back with what it knew. */
static void scheme_comes_back(void **state)
{
	(void)state;
	for (int pool = 0; pool < 2; pool++) {
		struct world w;
		start(&w, 5);
		mine(&w, 60, 0);
		sim_run(w.sim, 2000, NULL, NULL);
		world_end(&w);
		w.no_second = !pool;
		w.no_beta = pool;
		assert_true(world_start(&w));
		move_on(&w);
		world_end(&w);
		w.no_second = w.no_beta = false;
		w.may_refuse = true;
		if (!world_start(&w))
			fail_msg("%s", w.err.text);
		mine(&w, 60, 2);
		mine(&w, 60, 3);
		struct otd_acct_status *st = status(&w);
		assert_int_equal(st->n_alerts, 0);
		assert_int_equal(st->n_blocks, 3);
		assert_false(st->blocks[0].held);
		assert_false(st->blocks[1].held);
		otd_accounting_status_destroy(st);
		/* And once more, after a start that had not saved it yet. */
		world_end(&w);
		assert_true(world_start(&w));
		finish(&w);
	}
}

/* Shares that are not in SQL yet are not dropped because somebody edited the settings. */
static void owners_of_shares_are_gone(void **state)
{
	(void)state;
	for (int pool = 0; pool < 2; pool++) {
		struct world w;
		start(&w, 6);
		mine(&w, 30, 0);
		sim_faults(w.sim, &(struct sim_faults){.write_ppm = 1000000, .path = "otedama.db"});
		for (int i = 0; i < 10; i++) {
			world_share(&w.reactor[0], pool ? 3 : 2, 10);
			sim_run(w.sim, 20, NULL, NULL);
		}
		assert_int_equal(w.reactor[0].m->acked, w.reactor[0].m->n);
		world_end(&w);
		sim_faults(w.sim, &(struct sim_faults){0});
		w.may_refuse = true;
		w.no_second = !pool;
		w.no_beta = pool;
		assert_false(world_start(&w));
		assert_int_equal(w.err.rc, OTD_E_INVALID);
		assert_non_null(strstr(w.err.text, pool ? "pool beta" : "scheme second"));
		assert_non_null(strstr(w.err.text, "drop_unknown"));
		world_end(&w);
		/* They are still there for who brings it back. */
		w.no_second = w.no_beta = false;
		assert_true(world_start(&w));
		flush(&w);
		struct otd_acct_status *st = status(&w);
		assert_int_equal(st->n_alerts, 0);
		assert_int_equal(st->pools[0].accepted + st->pools[1].accepted, 10);
		otd_accounting_status_destroy(st);
		world_end(&w);
		/* In SQL they are no reason to refuse. */
		w.no_second = !pool;
		w.no_beta = pool;
		assert_true(world_start(&w));
		finish(&w);
	}
}

/* Whoever says so gives them up, and is told. */
static void shares_are_given_up(void **state)
{
	(void)state;
	struct world w;
	start(&w, 7);
	mine(&w, 30, 0);
	sim_faults(w.sim, &(struct sim_faults){.write_ppm = 1000000, .path = "otedama.db"});
	for (int i = 0; i < 10; i++) {
		world_share(&w.reactor[0], 3, 10);
		sim_run(w.sim, 20, NULL, NULL);
	}
	world_end(&w);
	sim_faults(w.sim, &(struct sim_faults){0});
	w.no_beta = w.drop_unknown = true;
	assert_true(world_start(&w));
	flush(&w);
	struct otd_acct_status *st = status(&w);
	assert_int_equal(st->n_alerts, 1);
	assert_non_null(strstr(st->alerts[0], "not credited"));
	otd_accounting_status_destroy(st);
	finish(&w);
}

/*
 * A sync of the database's log fails and the process is killed: the next one reads from the kernel's
 * memory what may never have reached the disk, and goes on from there. Then the power goes.
 */
static void log_of_the_database_is_written_again(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 20; seed++) {
		struct world w;
		start(&w, seed);
		mine(&w, 30, 0);
		sim_faults(w.sim, &(struct sim_faults){.sync_ppm = 1000000, .path = "otedama.db"});
		mine_only(&w, 10);
		sim_crash_now(w.sim);
		world_end(&w);
		sim_restart(w.sim);
		sim_faults(w.sim, &(struct sim_faults){0});
		assert_true(world_start(&w));
		mine(&w, 30, 0);
		struct otd_acct_status *st = status(&w);
		uint64_t position = st->position;
		otd_accounting_status_destroy(st);
		sim_crash_now(w.sim);
		world_end(&w);
		sim_reboot(w.sim);
		w.may_refuse = true;
		if (!world_start(&w))
			fail_msg("seed %d: %s", (int)seed, w.err.text);
		st = status(&w);
		if (st->position < position)
			fail_msg("seed %d: the database was at %d, is at %d", (int)seed,
				 (int)position, (int)st->position);
		otd_accounting_status_destroy(st);
		finish(&w);
	}
}

/* Found and on the reactor's disk, but not merged: the coordinator's journal takes nothing. */
static void found_not_merged(struct world *w, uint32_t ident)
{
	struct sim_faults stuck = {.write_ppm = 1000000, .path = "coordinator"};
	struct model_epoch *m = w->reactor[0].m;
	sim_run(w->sim, 3000, NULL, NULL);
	sim_faults(w->sim, &stuck);
	world_share(&w->reactor[0], ident, 10);
	world_block(&w->reactor[0], ident, 1000000000);
	sim_run(w->sim, 3000, NULL, NULL);
	assert_int_equal(m->acked, m->n);
}

static void crash(struct world *w)
{
	sim_crash_now(w->sim);
	world_end(w);
	sim_reboot(w->sim);
	sim_faults(w->sim, &(struct sim_faults){0});
	sim_run(w->sim, 1000, NULL, NULL);
}

static bool fees_are_durable(void *arg)
{
	return otd_accounting_fees_durable(((struct world *)arg)->acct);
}

static bool block_with_fee(const struct otd_acct_status *st, otd_i128 fee)
{
	for (size_t i = 0; i < st->n_blocks; i++)
		if (st->blocks[i].fee == fee)
			return true;
	return false;
}

/* A fee counts for blocks that are found after it, however late those before it are merged. */
static void fee_change_across_a_crash(void **state)
{
	(void)state;
	struct world w;
	start(&w, 11);
	mine(&w, 20, 0);
	found_not_merged(&w, 0);
	crash(&w);
	w.fee_ppm = 500000; /* the settings were edited before the start */
	assert_true(world_start(&w));
	sim_run(w.sim, 3000, NULL, NULL); /* times of shares may be 2 s back */
	mine(&w, 20, 0);
	struct otd_acct_status *st = status(&w);
	assert_int_equal(st->n_blocks, 3);
	assert_int_equal(st->pools[0].fee_ppm, 500000);
	assert_true(block_with_fee(st, 61725000));   /* 5000000000 at 12345 ppm */
	assert_true(block_with_fee(st, 12345000));   /* 1000000000 before the edit */
	assert_true(block_with_fee(st, 2500000000)); /* 5000000000 after it */
	otd_accounting_status_destroy(st);
	/* While it runs: the one that waits was found before. */
	found_not_merged(&w, 0);
	world_fee(&w, 250000);
	assert_false(otd_accounting_fees_durable(w.acct));
	sim_faults(w.sim, &(struct sim_faults){0});
	assert_true(sim_run(w.sim, 20000, fees_are_durable, &w));
	/* Durable, and applied nowhere: the crash keeps the mark. */
	crash(&w);
	assert_true(world_start(&w));
	sim_run(w.sim, 3000, NULL, NULL);
	mine(&w, 20, 0);
	st = status(&w);
	assert_int_equal(st->n_blocks, 5);
	assert_true(block_with_fee(st, 1250000000));
	assert_true(block_with_fee(st, 500000000));
	otd_accounting_status_destroy(st);
	finish(&w);
}

static otd_rc make_tally(void *arg, struct otd_plugin_instance **out, struct otd_err *err)
{
	return world_scheme(arg, "main", out, err);
}

struct prepared {
	struct otd_acct_addition *add;
	struct otd_err err;
	bool called;
};

static void on_prepared(void *arg, struct otd_acct_addition *add, const struct otd_err *err)
{
	*(struct prepared *)arg = (struct prepared){add, *err, true};
}

static bool was_prepared(void *arg)
{
	return ((struct prepared *)arg)->called;
}

static void add_pool(struct world *w, const char *name, const char *asset, bool take)
{
	const struct otd_acct_scheme main_scheme = {"main", make_tally, w};
	const struct otd_acct_pool pool = {.name = name,
					   .asset = asset,
					   .fee_ppm = 7,
					   .slot = 5,
					   .schemes = &main_scheme,
					   .n_schemes = 1};
	struct prepared p = {0};
	assert_int_equal(otd_accounting_prepare(w->acct, &pool, 1, on_prepared, &p, &w->err),
			 OTD_OK);
	assert_true(sim_run(w->sim, 5000, was_prepared, &p));
	assert_int_equal(p.err.rc, OTD_OK);
	if (take)
		otd_accounting_add(w->acct, p.add, otd_wall_ms(sim_env(w->sim)));
	else
		otd_accounting_discard(p.add);
}

/* A pool that comes while it runs: the one that was out, with its accounts; and a new one. */
static void pools_come_and_go(void **state)
{
	(void)state;
	struct world w;
	struct otd_err err = {0};
	start(&w, 12);
	mine(&w, 60, 3); /* a block of beta, with a verdict to come */
	world_end(&w);
	w.no_beta = true;
	assert_true(world_start(&w));
	add_pool(&w, "beta", "BBB", false);
	w.n_watched = 0;
	add_pool(&w, "beta", "BBB", true);
	sim_run(w.sim, 3000, NULL, NULL); /* times of shares may be 2 s back */
	assert_int_equal(w.n_watched, 1); /* its block is named again, now that it can be watched */
	mine(&w, 60, 3);
	struct otd_acct_status *st = status(&w);
	assert_int_equal(st->n_alerts, 0);
	assert_int_equal(st->n_pools, 2);
	assert_int_equal(st->pools[1].slot, 5);
	assert_int_equal(st->n_blocks, 2);
	assert_int_equal(st->blocks[0].pool, 5);
	assert_true(st->blocks[0].fee == 35000);
	assert_false(st->blocks[0].held);
	uint64_t epoch = st->blocks[0].epoch, seq = st->blocks[0].share_seq;
	const struct otd_acct_block older = st->blocks[1]; /* its numbers */
	otd_accounting_status_destroy(st);
	/* Out again: its blocks go on, shares count; and the same pool comes back. */
	uint64_t merged = 0;
	otd_accounting_remove(w.acct, "beta");
	assert_false(otd_accounting_is_done(w.acct, "beta", epoch, seq, &merged));
	assert_int_equal(otd_accounting_verdict(w.acct, epoch, seq, OTD_BLOCK_MATURE, 100), OTD_OK);
	mine(&w, 60, 0);
	flush(&w);
	/* The older one waits for its verdict still. */
	assert_false(otd_accounting_is_done(w.acct, "beta", epoch, seq, &merged));
	assert_int_equal(
		otd_accounting_verdict(w.acct, older.epoch, older.share_seq, OTD_BLOCK_MATURE, 100),
		OTD_OK);
	flush(&w);
	assert_true(otd_accounting_is_done(w.acct, "beta", epoch, seq, &merged));
	st = status(&w);
	assert_int_equal(st->n_pools, 1);
	assert_int_equal(st->n_alerts, 0);
	otd_accounting_status_destroy(st);
	add_pool(&w, "beta", "BBB", true);
	mine(&w, 60, 3);
	/* Another coin under the same name is refused; a new name is not. */
	const struct otd_acct_scheme main_scheme = {"main", make_tally, &w};
	const struct otd_acct_pool wrong = {
		.name = "beta", .asset = "CCC", .schemes = &main_scheme, .n_schemes = 1};
	assert_int_equal(otd_accounting_prepare(w.acct, &wrong, 1, on_prepared, NULL, &err),
			 OTD_E_INVALID);
	add_pool(&w, "gamma", "CCC", true);
	flush(&w);
	st = status(&w);
	assert_int_equal(st->n_pools, 3);
	assert_int_equal(st->n_alerts, 0);
	otd_accounting_status_destroy(st);
	world_end(&w);
	w.no_beta = false;
	assert_true(world_start(&w));
	finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(block_through_its_life),
		cmocka_unit_test(a_paid_block_is_orphaned),
		cmocka_unit_test(wrong_sum_is_held),
		cmocka_unit_test(database_fails_for_a_while),
		cmocka_unit_test(database_and_journal_of_two_times),
		cmocka_unit_test(scheme_comes_back),
		cmocka_unit_test(owners_of_shares_are_gone),
		cmocka_unit_test(shares_are_given_up),
		cmocka_unit_test(log_of_the_database_is_written_again),
		cmocka_unit_test(fee_change_across_a_crash),
		cmocka_unit_test(pools_come_and_go),
	};
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_REACTOR | OTD_THREAD_STORE |
		      OTD_THREAD_COMPUTE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
