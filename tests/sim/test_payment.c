/*
 * Payments, killed everywhere. The node is the judge: what it has in its best chain is what the ledger
 * says was paid, each payment once.
 *   straight  three rounds to twelve accounts, nothing goes wrong
 *   walk      the same, killed at each write, sync, request and commit in turn: nothing stands
 *   seeds     faults of all kinds; every kind must have happened
 *
 *   OTEDAMA_SIM_POINT=N                            one kill point of the walk
 *   OTEDAMA_SIM_FIRST=1 OTEDAMA_SIM_SEEDS=20       seeds
 *   OTEDAMA_SIM_LOG=1                              with the log
 */
#include "base/log.h"
#include "pay_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define WALK_SEED  7
#define ROUNDS     3
#define HOUR_MS    3600000LL
#define PATIENCE   (6 * HOUR_MS)
#define AFTERWARDS (HOUR_MS / 2)
#define CHILDREN   2 /* at once */

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);
	return v ? strtoull(v, NULL, 10) : otherwise;
}

static double real_s(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void drained(void *arg)
{
	*(bool *)arg = true;
}

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

static bool is_idle(void *arg)
{
	return !((struct pay_world *)arg)->busy;
}

/* What a person would see. */
static const char *trouble_of(struct pay_world *w)
{
	const char *t = w->payer ? otd_payer_trouble(w->payer, 0) : NULL;
	return t ? t : "no trouble is told";
}

_Noreturn static void not_settled(struct pay_world *w)
{
	pay_fail(w, "not all is paid: round %u of %u, %lld on their way, %lld held, %lld due; %s",
		 w->fed, w->rounds, (long long)w->look.live, (long long)w->look.held,
		 (long long)w->look.due, trouble_of(w));
}

/* The end of the last life: books and chain are compared. */
static void close_books(struct pay_world *w)
{
	bool done = false;
	(void)sim_run(w->sim, HOUR_MS, is_idle, w);
	otd_payer_drain(w->payer, drained, &done);
	if (!sim_run(w->sim, HOUR_MS, is_true, &done))
		pay_fail(w, "the payer does not come to an end");
	otd_payer_destroy(w->payer);
	w->payer = NULL;
	pay_check(w);
	pay_end(w);
}

static void settle(struct pay_world *w)
{
	if (!sim_run(w->sim, PATIENCE, pay_settled, w))
		not_settled(w);
	close_books(w);
}

/* --- straight --- */

static void straight(void **state)
{
	struct pay_world w;
	(void)state;
	pay_world_init(&w, WALK_SEED, ROUNDS);
	uint64_t before = sim_node_calls(w.node);
	assert_true(pay_start(&w));
	settle(&w);
	assert_true(w.payments >= 2 * ROUNDS);
	assert_int_equal(w.versions, w.payments);
	(void)printf("straight: %llu payments, %llu calls of the node, %lld virtual seconds\n",
		     (unsigned long long)w.payments,
		     (unsigned long long)(sim_node_calls(w.node) - before),
		     (long long)(sim_now_ms(w.sim) / 1000));
	pay_world_finish(&w);
}

/* --- the walk --- */

/* What comes after the kill at point n. */
static void recover(struct pay_world *w, uint64_t n)
{
	if (!sim_dead(w->sim))
		pay_fail(w, "not all is paid, and nobody was killed; %s", trouble_of(w));
	pay_end(w);
	if (n % 2)
		sim_restart(w->sim);
	else
		sim_reboot(w->sim);
	/* Sometimes at once, sometimes when the payment is long confirmed. */
	sim_sleep(w->sim, (int64_t)sim_below(w->sim, n % 3 ? 5000 : 600000));
	if (!pay_start(w))
		pay_fail(w, "no start: %s", w->err.text);
	settle(w);
	if (sim_node_locked_coins(w->node))
		pay_fail(w, "coins are still locked though nothing is on its way");
}

/* The story goes on; at each kill point a child of it dies there and has to recover. */
struct walk {
	struct pay_world w;
	uint64_t only, at, walked, kinds[SIM_POINTS];
	unsigned children;
	bool failed;
};

static void wait_for_one(struct walk *k)
{
	int status;
	if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		k->failed = true;
	k->children--;
}

static bool at_point(void *arg, enum sim_point kind)
{
	struct walk *k = arg;
	k->at++;
	if (k->only ? k->at != k->only : k->failed)
		return false;
	k->w.point = k->at;
	if (k->only)
		return true;
	while (k->children >= CHILDREN)
		wait_for_one(k);
	(void)fflush(NULL);
	pid_t child = fork();
	if (child < 0)
		pay_fail(&k->w, "no fork");
	if (child == 0) {
		k->only = k->at;
		return true;
	}
	k->w.point = 0;
	k->children++;
	k->walked++;
	k->kinds[kind]++;
	return false;
}

static void walk(void **state)
{
	static struct walk k;
	double begin = real_s();
	(void)state;
	k = (struct walk){.only = number("OTEDAMA_SIM_POINT", 0)};
	pay_world_init(&k.w, WALK_SEED, ROUNDS);
	sim_at_points(k.w.sim, at_point, &k);
	bool ended = pay_start(&k.w) && sim_run(k.w.sim, PATIENCE, pay_settled, &k.w);
	if (ended)
		pay_end(&k.w); /* it can be killed in that too */
	if (k.w.point) {
		sim_at_points(k.w.sim, NULL, NULL);
		recover(&k.w, k.at);
		pay_world_finish(&k.w);
		if (number("OTEDAMA_SIM_POINT", 0))
			return;
		_exit(0);
	}
	while (k.children)
		wait_for_one(&k);
	if (!ended)
		not_settled(&k.w);
	pay_world_finish(&k.w);
	(void)printf("walk: %llu kill points in %.1f s\n", (unsigned long long)k.walked,
		     real_s() - begin);
	for (int i = 0; i < SIM_POINTS; i++)
		(void)printf("walk: %6llu %s\n", (unsigned long long)k.kinds[i],
			     sim_point_name((enum sim_point)i));
	assert_false(k.failed);
	for (int i = 0; i < SIM_POINTS; i++)
		assert_true(k.kinds[i] > 0);
}

/* --- seeds --- */

enum site {
	REORG_1,
	REORG_2,
	REORG_3,
	REORG_DROPS,
	NODE_FORGETS_POOL,
	NODE_FORGETS_WALLET,
	NODE_BREAKS_IN,
	WALLET_LOCKED,
	FEES_RISE,
	NO_ADVICE,
	NO_ROOM_IN_BLOCKS,
	OPERATOR_WAITS,
	OPERATOR_IN_BLOCK,
	WALLET_EMPTY,
	POWER_LOST,
	PROCESS_DIED,
	SITES
};
static const char *const site_names[SITES] = {"a block replaced",
					      "two blocks replaced",
					      "three blocks replaced",
					      "a reorganisation that drops transactions",
					      "the node forgets what waits",
					      "the node forgets its wallet's transactions too",
					      "the node dies in a batch",
					      "the wallet is locked",
					      "fees rise",
					      "no advice about fees",
					      "blocks take nothing",
					      "the operator's own transaction waits",
					      "the operator's own transaction is in a block",
					      "the operator takes all coins",
					      "power lost",
					      "process died"};
static uint64_t fired[SITES];
static uint64_t http_fired[SIM_HTTP_FAULTS], orphans, kill_fired[SIM_POINTS], unknown_fired[2];
static struct sim_fired disk_fired;

struct story {
	struct pay_world w;
	bool calm;    /* no more trouble */
	bool by_hand; /* the operator may spend by hand */
	unsigned resolved;
};

static void reorganise(struct story *t)
{
	struct sim *s = t->w.sim;
	uint32_t depth = 1 + (uint32_t)sim_below(s, 3);
	bool drop = sim_chance(s, 300000);
	sim_node_reorg(t->w.node, depth, drop);
	fired[REORG_1 + depth - 1]++;
	fired[REORG_DROPS] += drop;
}

static void spend_by_hand(struct story *t)
{
	struct sim *s = t->w.sim;
	bool in_block = sim_chance(s, 500000);
	if (!t->by_hand)
		return;
	if (sim_chance(s, 200000)) {
		/* Coins of a payment too, where the node has forgotten that they were locked. */
		bool any = sim_node_empty_wallet(t->w.node);
		t->w.by_hand = t->w.by_hand || any;
		fired[WALLET_EMPTY] += any;
	} else if (sim_node_conflict(t->w.node, in_block)) {
		t->w.by_hand = true;
		fired[in_block ? OPERATOR_IN_BLOCK : OPERATOR_WAITS]++;
	}
}

static void change_fees(struct story *t)
{
	struct sim *s = t->w.sim;
	int64_t least = sim_chance(s, 500000) ? 1000 : 1000 + (int64_t)sim_below(s, 40000);
	int64_t advised = sim_chance(s, 200000) ? 0 : 1000 + (int64_t)sim_below(s, 20000);
	sim_node_fees(t->w.node, least, advised);
	fired[FEES_RISE] += least > 1000;
	fired[NO_ADVICE] += advised == 0;
}

static void restart_node(struct story *t)
{
	struct sim *s = t->w.sim;
	bool pool = sim_chance(s, 600000), wallet = pool && sim_chance(s, 500000);
	sim_node_restart(t->w.node, (int64_t)sim_below(s, 60000), pool, wallet);
	fired[NODE_FORGETS_POOL] += pool;
	fired[NODE_FORGETS_WALLET] += wallet;
}

static int64_t make_trouble(void *arg)
{
	struct story *t = arg;
	struct sim *s = t->w.sim;
	bool on = sim_chance(s, 400000);
	if (t->calm)
		return 0;
	switch (sim_below(s, 8)) {
	case 0: reorganise(t); break;
	case 1: restart_node(t); break;
	case 2:
		sim_node_break_in(t->w.node, 1 + (uint32_t)sim_below(s, 6),
				  1000 + (int64_t)sim_below(s, 20000));
		fired[NODE_BREAKS_IN]++;
		break;
	case 3:
		sim_node_lock_wallet(t->w.node, on);
		fired[WALLET_LOCKED] += on;
		break;
	case 4: change_fees(t); break;
	case 5:
		sim_node_starve(t->w.node, on);
		fired[NO_ROOM_IN_BLOCKS] += on;
		break;
	default: spend_by_hand(t); break;
	}
	return 5000 + (int64_t)sim_below(s, 120000);
}

static void set_faults(struct story *t)
{
	struct sim *s = t->w.sim;
	struct sim_faults f = {0};
	sim_http_faults(s, sim_chance(s, 300000) ? 0 : (uint32_t)sim_below(s, 250000));
	t->w.unknown_ppm = sim_chance(s, 500000) ? 0 : 60000;
	if (sim_chance(s, 400000))
		f = (struct sim_faults){.write_ppm = 3000, .sync_ppm = 6000, .path = NULL};
	sim_faults(s, &f);
	if (sim_chance(s, 500000))
		sim_crash_at(s, (enum sim_point)sim_below(s, SIM_POINTS), 1 + sim_below(s, 60));
	else
		sim_crash_in(s, 1 + sim_below(s, 800));
}

static void one_life(struct story *t)
{
	struct sim *s = t->w.sim;
	set_faults(t);
	t->w.may_refuse = true;
	if (pay_start(&t->w)) {
		int64_t left = 60000 + (int64_t)sim_below(s, 2400000);
		while (left > 0 && !sim_dead(s)) {
			if (sim_chance(s, 30000))
				sim_disk_full(s, 3000);
			if (sim_run(s, 10000, pay_settled, &t->w))
				break;
			left -= 10000;
		}
	}
	t->w.may_refuse = false;
	sim_faults(s, &(struct sim_faults){0});
	sim_http_faults(s, 0);
	t->w.unknown_ppm = 0;
	sim_crash_now(s);
	pay_end(&t->w);
	bool process = sim_chance(s, 500000);
	otd_log(OTD_LOG_INFO, "sim", "life.end", "life=%u power=%d", t->w.life, !process);
	if (process) {
		sim_restart(s);
		fired[PROCESS_DIED]++;
	} else {
		sim_reboot(s);
		fired[POWER_LOST]++;
	}
	sim_sleep(s, (int64_t)sim_below(s, sim_chance(s, 500000) ? 10000 : 900000));
}

static void be_calm(struct story *t)
{
	struct sim *s = t->w.sim;
	t->calm = true;
	sim_node_lock_wallet(t->w.node, false);
	sim_node_starve(t->w.node, false);
	sim_node_fees(t->w.node, 1000, 5000);
	sim_node_break_in(t->w.node, 0, 0);
	sim_sleep(s, 300000);
}

static void count_fired(struct sim *s, const struct pay_world *w)
{
	struct sim_fired d;
	for (int f = 0; f < SIM_HTTP_FAULTS; f++)
		http_fired[f] += sim_http_fired(s, (enum sim_http_fault)f);
	for (int k = 0; k < SIM_POINTS; k++)
		kill_fired[k] += sim_kills(s, (enum sim_point)k);
	orphans += sim_http_orphans(s);
	sim_disk_fired(s, &d);
	disk_fired.write += d.write;
	disk_fired.sync += d.sync;
	disk_fired.full += d.full;
	unknown_fired[0] += w->unknown[0];
	unknown_fired[1] += w->unknown[1];
}

/* --- where a person has to decide --- */

struct said {
	bool done;
	struct otd_err err;
};

static void on_said(void *arg, const struct otd_err *err, const struct otd_bytes *json)
{
	struct said *a = arg;
	(void)json;
	a->done = true;
	a->err = *err;
}

static bool is_said(void *arg)
{
	return ((struct said *)arg)->done;
}

/*
 * Payments that the payer leaves to people, resolved by what the chain shows. That is allowed where
 * the operator spent by hand, and where the chain has undone what was deep enough to be final, or the
 * transaction that made a coin.
 */
static unsigned resolve(struct story *t)
{
	struct pay_open open[64];
	struct pay_world *w = &t->w;
	unsigned resolved = 0;
	size_t n = pay_list_open(w, open, 64);
	for (size_t i = 0; i < n; i++) {
		struct said a = {0};
		if (open[i].held && !w->by_hand)
			pay_fail(w, "payment %llu is held, and nobody did anything by hand; %s",
				 (unsigned long long)open[i].id, trouble_of(w));
		otd_payer_ask(w->payer, open[i].words, on_said, &a);
		if (!sim_run(w->sim, HOUR_MS, is_said, &a))
			pay_fail(w, "no answer to '%s'", open[i].words);
		otd_log(OTD_LOG_INFO, "sim", "resolve", "words=%s answer=%s", OTD_Q(open[i].words),
			OTD_Q(a.err.rc ? a.err.text : "yes"));
		resolved += a.err.rc == OTD_OK;
	}
	return resolved;
}

static void seed_run(uint64_t seed, int64_t *virtual_ms, uint64_t *resolved)
{
	struct story t = {0};
	struct pay_open open[1];
	pay_world_init(&t.w, seed, 2 + (unsigned)seed % 3);
	t.by_hand = seed % 2;
	sim_outside(t.w.sim, 30000, make_trouble, &t);
	for (uint64_t n = 3 + sim_below(t.w.sim, 4); n > 0; n--)
		one_life(&t);
	be_calm(&t);
	if (!pay_start(&t.w))
		pay_fail(&t.w, "no start: %s", t.w.err.text);
	(void)sim_run(t.w.sim, AFTERWARDS, NULL, NULL);
	for (int tries = 0; tries < 8; tries++) {
		bool settled = sim_run(t.w.sim, PATIENCE, pay_settled, &t.w);
		(void)sim_run(t.w.sim, AFTERWARDS, NULL, NULL);
		if (settled && !pay_list_open(&t.w, open, 1))
			break;
		t.resolved += resolve(&t);
	}
	if (!sim_run(t.w.sim, PATIENCE, pay_settled, &t.w))
		not_settled(&t.w);
	close_books(&t.w);
	count_fired(t.w.sim, &t.w);
	*virtual_ms += sim_now_ms(t.w.sim);
	*resolved += t.resolved;
	(void)printf("seed %llu: %u lives, %llu payments, %llu versions, %llu made anew, "
		     "%u resolved\n",
		     (unsigned long long)seed, t.w.life, (unsigned long long)t.w.payments,
		     (unsigned long long)t.w.versions,
		     (unsigned long long)(t.w.generations - t.w.payments), t.resolved);
	(void)fflush(stdout);
	pay_world_finish(&t.w);
}

static bool say_fired(const char *what, uint64_t n)
{
	(void)printf("fired: %6llu %s\n", (unsigned long long)n, what);
	return n > 0;
}

static bool all_fired(void)
{
	bool all = true;
	for (int i = 0; i < SITES; i++)
		all = say_fired(site_names[i], fired[i]) && all;
	for (int f = 1; f < SIM_HTTP_FAULTS; f++)
		all = say_fired(sim_http_fault_name((enum sim_http_fault)f), http_fired[f]) && all;
	for (int k = 0; k < SIM_POINTS; k++)
		if (k != SIM_POINT_NAME)
			all = say_fired(sim_point_name((enum sim_point)k), kill_fired[k]) && all;
	all = say_fired("done when nobody waited any more", orphans) && all;
	all = say_fired("a write failed", disk_fired.write) && all;
	all = say_fired("a sync failed", disk_fired.sync) && all;
	all = say_fired("the disk was full", disk_fired.full) && all;
	all = say_fired("a commit's fate unknown, undone", unknown_fired[0]) && all;
	return say_fired("a commit's fate unknown, done", unknown_fired[1]) && all;
}

static void seeds(void **state)
{
	uint64_t first = number("OTEDAMA_SIM_FIRST", 1), n = number("OTEDAMA_SIM_SEEDS", 20);
	int64_t virtual_ms = 0;
	uint64_t resolved = 0;
	double begin = real_s();
	(void)state;
	for (uint64_t seed = first; seed < first + n; seed++)
		seed_run(seed, &virtual_ms, &resolved);
	double took = real_s() - begin;
	(void)printf("seeds: %llu in %.1f s, %.0f times faster than real time; %llu payments were "
		     "resolved by a person\n",
		     (unsigned long long)n, took, (double)virtual_ms / 1000 / took,
		     (unsigned long long)resolved);
	if (n >= 20 && !all_fired())
		fail_msg("a kind of fault never happened");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(straight), cmocka_unit_test(walk),
					   cmocka_unit_test(seeds)};
	pay_log_init(number("OTEDAMA_SIM_LOG", 0));
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_REACTOR | OTD_THREAD_STORE |
		      OTD_THREAD_COMPUTE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
