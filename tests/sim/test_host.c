/*
 * The whole pool in virtual time, seed by seed (host.h): miners come and go, tips change, chains are
 * reorganised, nodes lie and hang, disks tear, fill up, fail and flip bits, packets are late, the process dies at any
 * step and starts again. What it must never do is checked after every step that can do it, and in full at
 * the end, when everything has to be settled.
 *   OTEDAMA_SIM_FIRST=1 OTEDAMA_SIM_SEEDS=200   seeds; a failing one says how to have it again
 *   OTEDAMA_SIM_LOG=1                           with the pool's log
 *   OTEDAMA_SIM_ONLY_SEEDS=1                    and not whether a seed replays
 *   OTEDAMA_SIM_DIGESTS=FILE                    the digest of every step goes there
 */
#include "base/log.h"
#include "base/text.h"
#include "host.h"
#include "pool/journal/journal_format.h"

#include <fcntl.h>
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

#define LIVES     4     /* at least; each but the last ends badly */
#define SHARES    10000 /* acknowledged, at least */
#define REORGS    1
#define PAYMENTS  2
#define PATIENCE  3600000LL
#define ALL_SEEDS 100 /* from so many on every kind of fault must have happened */

enum site {
	REORG,
	REORG_DROPS,
	NODE_RESTARTS,
	NODE_BREAKS_IN,
	WALLET_LOCKED,
	FEES_RISE,
	NO_ROOM_IN_BLOCKS,
	SECOND_BEHIND,
	SECOND_MUTE,
	SECOND_LIES,
	SECOND_OFF,
	AT_A_STEP,
	POWER_LOST,
	PROCESS_DIED,
	DRAINED,
	DISK_FULL,
	START_REFUSED,
	BIT_FLIPPED,
	FOUND_AND_KILLED,
	SITES
};
static const char *const site_names[] = {"a reorganisation",
					 "a reorganisation that drops transactions",
					 "the node restarts",
					 "the node dies in a batch",
					 "the wallet is locked",
					 "fees rise",
					 "blocks take nothing",
					 "the second node is behind",
					 "the second node hangs",
					 "the second node lies about blocks",
					 "the second node is off",
					 "an end at some step",
					 "power lost",
					 "process died",
					 "an orderly end",
					 "no room on the disk",
					 "a start refused for the disk",
					 "a bit of a journal flipped",
					 "killed with a block in the journal only"};
_Static_assert(sizeof(site_names) / sizeof(site_names[0]) == SITES, "a name each");
static uint64_t fired[SITES], miner_fired[MINER_SITES], net_fired[SIM_NET_FAULTS];
static uint64_t http_fired[SIM_HTTP_FAULTS], kill_fired[SIM_POINTS], unknown_fired[2];
static struct sim_fired disk_fired;

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

/* --- trouble --- */

struct story {
	struct host h;
	bool calm;
	unsigned crashes;
	uint64_t die_at; /* step; 0: not at one */
	bool hunting;    /* it is killed with the next block that only a journal has */
	bool caught;     /* that was so */
};

static void reorganise(struct story *t)
{
	struct sim *s = t->h.sim;
	bool drop = sim_chance(s, 200000);
	sim_node_reorg(t->h.node, 1 + (uint32_t)sim_below(s, 3), drop);
	t->h.reorgs++;
	fired[REORG]++;
	fired[REORG_DROPS] += drop;
}

static void restart_node(struct story *t)
{
	struct sim *s = t->h.sim;
	sim_node_restart(t->h.node, (int64_t)sim_below(s, 40000), false, false);
	fired[NODE_RESTARTS]++;
}

static void change_second(struct story *t)
{
	struct sim *s = t->h.sim;
	uint64_t what = sim_below(s, 6);
	sim_view_set(t->h.second, what == 0 ? 1 + (uint32_t)sim_below(s, 2) : 0, what == 1,
		     what == 2, what == 3);
	fired[SECOND_BEHIND] += what == 0;
	fired[SECOND_MUTE] += what == 1;
	fired[SECOND_LIES] += what == 2;
	fired[SECOND_OFF] += what == 3;
}

static int64_t make_trouble(void *arg)
{
	struct story *t = arg;
	struct sim *s = t->h.sim;
	bool on = sim_chance(s, 400000);
	if (t->calm)
		return 0;
	switch (sim_below(s, 10)) {
	case 0:
	case 1: reorganise(t); break;
	case 2: restart_node(t); break;
	case 3:
		sim_node_break_in(t->h.node, 1 + (uint32_t)sim_below(s, 6),
				  1000 + (int64_t)sim_below(s, 20000));
		fired[NODE_BREAKS_IN]++;
		break;
	case 4:
		sim_node_lock_wallet(t->h.node, on);
		fired[WALLET_LOCKED] += on;
		break;
	case 5:
		sim_node_fees(t->h.node, on ? 1000 + (int64_t)sim_below(s, 20000) : 1000, 5000);
		fired[FEES_RISE] += on;
		break;
	case 6:
		sim_node_starve(t->h.node, on);
		fired[NO_ROOM_IN_BLOCKS] += on;
		break;
	default: change_second(t); break;
	}
	return 10000 + (int64_t)sim_below(s, 120000);
}

static void set_faults(struct story *t)
{
	struct sim *s = t->h.sim;
	static const char *const where[] = {"journal", "otedama.db", "blocks", NULL};
	struct sim_faults f = {0};
	struct sim_net_conf net = {0};
	bool disk = sim_chance(s, 300000);
	if (disk)
		f = (struct sim_faults){
			.write_ppm = 2000, .sync_ppm = 3000, .path = where[sim_below(s, 4)]};
	if (sim_chance(s, 700000))
		net = (struct sim_net_conf){.short_ppm = (uint32_t)sim_below(s, 300000),
					    .reset_ppm = (uint32_t)sim_below(s, 300),
					    .lost_ppm = (uint32_t)sim_below(s, 300),
					    .delay_ppm = (uint32_t)sim_below(s, 10000)};
	sim_faults(s, &f);
	sim_net_faults(s, &net);
	sim_http_faults(s, sim_chance(s, 400000) ? 0 : (uint32_t)sim_below(s, 120000));
	t->h.unknown_ppm = sim_chance(s, 600000) ? 0 : 20000;
	t->h.may_refuse = disk;
	sim_miners_bad_disk(t->h.miners, true);
}

static void no_faults(struct story *t)
{
	struct sim *s = t->h.sim;
	sim_faults(s, &(struct sim_faults){0});
	sim_net_faults(s, &(struct sim_net_conf){0});
	sim_http_faults(s, 0);
	t->h.unknown_ppm = 0;
	t->h.may_refuse = false;
}

/* --- a bit of a journal that the disk has lost --- */

struct flip {
	struct sim *sim;
	uint64_t seen, bit;
	char path[256];
};

static uint16_t last_group(const uint8_t *p, size_t len, uint64_t id)
{
	struct otd_journal_frame frame;
	size_t need;
	uint16_t group = 0;
	for (size_t at = OTD_JOURNAL_HEADER;
	     otd_journal_frame_get(&frame, &need, p + at, len - at, id) == OTD_JOURNAL_GOOD;
	     at += need)
		group = frame.group & OTD_JOURNAL_GROUP_MASK;
	return group;
}

/* One of all frames but those of a file's last group, which may be torn and is cut then. */
static void look_for_frames(void *arg, const char *path, size_t n)
{
	struct flip *f = arg;
	struct otd_journal_frame frame;
	const char *file = strrchr(path, '/');
	size_t need, len;
	if (!strstr(path, "/journal/") || !strstr(path, ".otj") || n < OTD_JOURNAL_HEADER)
		return;
	uint64_t id = strtoull(file + 1, NULL, 10);
	const uint8_t *p = sim_file(f->sim, path, &len);
	uint16_t last = last_group(p, len, id);
	for (size_t at = OTD_JOURNAL_HEADER;
	     otd_journal_frame_get(&frame, &need, p + at, len - at, id) == OTD_JOURNAL_GOOD;
	     at += need) {
		if ((frame.group & OTD_JOURNAL_GROUP_MASK) == last || frame.n == 0 ||
		    sim_below(f->sim, ++f->seen))
			continue;
		f->bit = 8 * (at + OTD_JOURNAL_FRAME + sim_below(f->sim, frame.n)) +
			 sim_below(f->sim, 8);
		(void)snprintf(f->path, sizeof(f->path), "%s", path);
	}
}

/* The pool must not start over it, and say where it is; then a copy of the file is put back. */
static void flip_a_bit(struct story *t)
{
	struct sim *s = t->h.sim;
	struct flip f = {.sim = s};
	sim_list(s, look_for_frames, &f);
	if (!f.seen)
		return;
	sim_flip(s, f.path, f.bit);
	t->h.may_refuse = true;
	if (host_start(&t->h))
		host_fail(&t->h, "it starts though bit %llu of %s is another",
			  (unsigned long long)f.bit, f.path);
	t->h.may_refuse = false;
	if (!strstr(t->h.err.text, strrchr(f.path, '/') + 1))
		host_fail(&t->h, "it refuses bit %llu of %s without naming the file: %s",
			  (unsigned long long)f.bit, f.path, t->h.err.text);
	host_end(&t->h);
	sim_restart(s);
	sim_flip(s, f.path, f.bit);
	fired[BIT_FLIPPED]++;
}

/* --- a block that a journal has, and nobody else --- */

struct traces {
	char hash[65], prev[65];
	bool block_file, template_file;
};

static void look_for_traces(void *arg, const char *path, size_t n)
{
	struct traces *k = arg;
	size_t len = strlen(path);
	(void)n;
	k->block_file |= strstr(path, "/blocks/") && strstr(path, k->hash);
	k->template_file |= strstr(path, "/templates/") && strstr(path, k->prev) &&
			    strcmp(path + len - 4, ".new") != 0;
}

/* Killed now: the block is in a journal and the tip's transactions are in files, but no block file was begun and
   no node was asked. */
static bool is_only_in_the_journal(void *arg, enum sim_point kind)
{
	struct story *t = arg;
	struct host *h = &t->h;
	struct traces k = {0};
	if (!t->hunting || !h->wrote_block || kind == SIM_POINT_WRITE)
		return false;
	h->wrote_block = false;
	otd_hex_encode_reverse(k.hash, h->block_hash, 32);
	otd_hex_encode_reverse(k.prev, h->block_prev, 32);
	sim_list(h->sim, look_for_traces, &k);
	if (k.block_file || !k.template_file || sim_node_has_block(h->node, h->block_hash))
		return false;
	t->hunting = false;
	t->caught = true;
	fired[FOUND_AND_KILLED]++;
	return true;
}

struct arrival {
	struct host *h;
	uint8_t hash[32];
};

static bool has_arrived(void *arg)
{
	struct arrival *a = arg;
	return sim_node_has_block(a->h->node, a->hash);
}

/* The next life hands it in, whatever nodes and network do meanwhile. */
static void recover_block(struct story *t)
{
	struct arrival a = {.h = &t->h};
	t->caught = false;
	memcpy(a.hash, t->h.block_hash, 32);
	if (!host_start(a.h))
		host_fail(a.h, "no start: %s", a.h->err.text);
	if (!has_arrived(&a) && !sim_run(a.h->sim, PATIENCE, has_arrived, &a))
		host_fail(a.h, "a block that was in the journal never came to a node");
}

/* --- lives --- */

static void die(struct story *t)
{
	struct sim *s = t->h.sim;
	no_faults(t);
	t->die_at = 0;
	sim_crash_now(s);
	host_end(&t->h);
	bool process = sim_chance(s, 500000) || t->caught;
	t->hunting = false;
	otd_log(OTD_LOG_INFO, "sim", "life.end", "life=%u power=%d", t->h.life, !process);
	fired[process ? PROCESS_DIED : POWER_LOST]++;
	if (process)
		sim_restart(s);
	else
		sim_reboot(s);
	t->crashes++;
	sim_sleep(s, (int64_t)sim_below(s, sim_chance(s, 700000) ? 8000 : 120000));
	if (sim_chance(s, 100000) && !t->caught)
		flip_a_bit(t);
	if (!t->caught)
		return;
	recover_block(t);
	die(t);
}

static void leave(struct story *t)
{
	struct sim *s = t->h.sim;
	no_faults(t);
	t->die_at = 0;
	sim_crash_in(s, 0);
	for (int k = 0; k < SIM_POINTS; k++)
		sim_crash_at(s, (enum sim_point)k, 0);
	if (!host_drain(&t->h))
		host_fail(&t->h, "an orderly end takes too long");
	if (sim_net_open(s))
		host_fail(&t->h, "%zu connections stand after an orderly end", sim_net_open(s));
	host_end(&t->h);
	fired[DRAINED]++;
	sim_restart(s);
	sim_sleep(s, (int64_t)sim_below(s, 5000));
}

static void one_life(struct story *t)
{
	struct sim *s = t->h.sim;
	int64_t left = 60000 + (int64_t)sim_below(s, 300000);
	bool orderly = t->crashes >= LIVES - 1 && sim_chance(s, 500000);
	set_faults(t);
	t->hunting = !t->h.may_refuse && sim_chance(s, 300000);
	t->h.wrote_block = false;
	if (!t->hunting && sim_chance(s, 300000))
		t->die_at = sim_steps(s) + 1 + sim_below(s, 30000);
	else if (!t->hunting && sim_chance(s, 500000))
		sim_crash_at(s, (enum sim_point)sim_below(s, SIM_POINTS), 1 + sim_below(s, 400));
	else if (!t->hunting && sim_chance(s, 700000))
		sim_crash_in(s, 1 + sim_below(s, sim_chance(s, 200000) ? 60 : 6000));
	if (!host_start(&t->h)) {
		fired[START_REFUSED] += !sim_dead(s);
		die(t);
		return;
	}
	while (left > 0 && !sim_dead(s)) {
		if (sim_chance(s, 20000) && !t->hunting) {
			sim_disk_full(s, 3000);
			fired[DISK_FULL]++;
		}
		(void)sim_run(s, 5000, NULL, NULL);
		left -= 5000;
	}
	if (orderly && !sim_dead(s))
		leave(t);
	else
		die(t);
}

/* --- the end --- */

static bool has_enough(void *arg)
{
	struct story *t = arg;
	return t->h.model.acked >= SHARES;
}

static void be_calm(struct story *t)
{
	t->calm = true;
	no_faults(t);
	sim_miners_calm(t->h.miners, true, false);
	sim_node_lock_wallet(t->h.node, false);
	sim_node_starve(t->h.node, false);
	sim_node_fees(t->h.node, 1000, 5000);
	sim_node_break_in(t->h.node, 0, 0);
	sim_view_set(t->h.second, 0, false, false, false);
}

static void last_life(struct story *t)
{
	struct host *h = &t->h;
	if (!host_start(h))
		host_fail(h, "no start: %s", h->err.text);
	(void)sim_run(h->sim, 120000, NULL,
		      NULL); /* miners come back, half-open ones are noticed */
	sim_miners_bad_disk(h->miners, false);
	if (h->reorgs < REORGS)
		reorganise(t);
	if (!sim_run(h->sim, PATIENCE, has_enough, t))
		host_fail(h, "only %llu shares are accepted", (unsigned long long)h->model.acked);
	host_settle(h);
	host_end(h);
	if (h->payments < PAYMENTS || t->crashes < LIVES - 1)
		host_fail(h, "a dull story: %llu payments, %u crashes",
			  (unsigned long long)h->payments, t->crashes);
}

static void count_fired(struct story *t)
{
	struct sim *s = t->h.sim;
	struct sim_fired d;
	for (int f = 0; f < SIM_HTTP_FAULTS; f++)
		http_fired[f] += sim_http_fired(s, (enum sim_http_fault)f);
	for (int f = 0; f < SIM_NET_FAULTS; f++)
		net_fired[f] += sim_net_fired(s, (enum sim_net_fault)f);
	for (int k = 0; k < SIM_POINTS; k++)
		kill_fired[k] += sim_kills(s, (enum sim_point)k);
	for (int m = 0; m < MINER_SITES; m++)
		miner_fired[m] += sim_miners_fired(t->h.miners, (enum miner_site)m);
	sim_disk_fired(s, &d);
	disk_fired.write += d.write;
	disk_fired.sync += d.sync;
	disk_fired.full += d.full;
	disk_fired.torn += d.torn;
	unknown_fired[0] += t->h.unknown[0];
	unknown_fired[1] += t->h.unknown[1];
}

struct total {
	int64_t virtual_ms;
	uint64_t steps, digest;
};

/* --- the digest of every step --- */

static FILE *digests; /* NULL: nobody wants them */

static void on_step(void *arg)
{
	struct story *t = arg;
	struct host *h = &t->h;
	uint64_t digest = sim_digest(h->sim);
	host_on_step(h);
	if (t->die_at && sim_steps(h->sim) >= t->die_at) {
		t->die_at = 0;
		fired[AT_A_STEP]++;
		sim_crash_now(h->sim);
	}
	if (digests && fwrite(&digest, sizeof(digest), 1, digests) != 1)
		host_fail(h, "a digest cannot be written");
}

static void seed_run(uint64_t seed, struct total *sum)
{
	struct story *t = calloc(1, sizeof(*t));
	struct host *h = &t->h;
	uint64_t taken, refused, side;
	assert_non_null(t);
	host_init(h, seed, false);
	sim_each_step(h->sim, on_step, t);
	sim_outside(h->sim, 20000, make_trouble, t);
	sim_at_points(h->sim, is_only_in_the_journal, t);
	for (uint64_t n = LIVES - 1 + sim_below(h->sim, 3);
	     n > 0 || t->crashes<LIVES - 1; n -= n> 0)
		one_life(t);
	be_calm(t);
	last_life(t);
	count_fired(t);
	sim_node_handed_in(h->node, &taken, &refused, &side);
	if (refused)
		host_fail(h, "the node has refused %llu blocks", (unsigned long long)refused);
	sum->virtual_ms += sim_now_ms(h->sim);
	sum->steps += sim_steps(h->sim);
	sum->digest = sim_digest(h->sim);
	(void)printf(
		"seed %llu: %u lives, %u crashes, %llu reorganisations, %llu shares accepted of "
		"%zu, %llu blocks (%llu taken, %llu beside), %llu payments, %lld s, digest "
		"%016llx\n",
		(unsigned long long)seed, h->life, t->crashes, (unsigned long long)h->reorgs,
		(unsigned long long)h->model.acked, h->model.n, (unsigned long long)h->blocks,
		(unsigned long long)taken, (unsigned long long)side,
		(unsigned long long)h->payments, (long long)sim_now_ms(h->sim) / 1000,
		(unsigned long long)sum->digest);
	(void)fflush(stdout);
	host_finish(h);
	free(t);
}

/* --- all seeds --- */

static bool say_fired(const char *what, uint64_t n)
{
	(void)printf("fired: %8llu %s\n", (unsigned long long)n, what);
	return n > 0;
}

static bool all_fired(void)
{
	bool all = true;
	for (int i = 0; i < SITES; i++)
		all = say_fired(site_names[i], fired[i]) && all;
	for (int i = 0; i < MINER_SITES; i++)
		all = say_fired(sim_miner_site_name((enum miner_site)i), miner_fired[i]) && all;
	for (int f = 0; f < SIM_NET_FAULTS; f++)
		all = say_fired(sim_net_fault_name((enum sim_net_fault)f), net_fired[f]) && all;
	for (int f = 1; f < SIM_HTTP_FAULTS; f++)
		all = say_fired(sim_http_fault_name((enum sim_http_fault)f), http_fired[f]) && all;
	for (int k = 0; k < SIM_POINTS; k++)
		all = say_fired(sim_point_name((enum sim_point)k), kill_fired[k]) && all;
	all = say_fired("a write failed", disk_fired.write) && all;
	all = say_fired("a sync failed", disk_fired.sync) && all;
	all = say_fired("no room for a write", disk_fired.full) && all;
	all = say_fired("a write torn by a crash", disk_fired.torn) && all;
	all = say_fired("a commit's fate unknown, undone", unknown_fired[0]) && all;
	return say_fired("a commit's fate unknown, done", unknown_fired[1]) && all;
}

/* A seed once more, in a process of its own with other addresses of everything. */
static pid_t again(const char *file, const char *seed)
{
	pid_t child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_WRONLY);
		(void)dup2(null, 1);
		(void)setenv("OTEDAMA_SIM_DIGESTS", file, 1);
		(void)setenv("OTEDAMA_SIM_FIRST", seed, 1);
		(void)setenv("OTEDAMA_SIM_SEEDS", "1", 1);
		(void)execl("/proc/self/exe", "test_sim_host", (char *)NULL);
		_exit(127);
	}
	return child;
}

static void replays(void **state)
{
	char file[2][64], seed[24];
	uint64_t a, b, n = 0;
	int status;
	(void)state;
	if (digests || getenv("OTEDAMA_SIM_ONLY_SEEDS"))
		skip();
	(void)snprintf(seed, sizeof(seed), "%llu",
		       (unsigned long long)number("OTEDAMA_SIM_FIRST", 1));
	for (int i = 0; i < 2; i++) {
		(void)snprintf(file[i], sizeof(file[i]), "sim-digests-%ld-%d", (long)getpid(), i);
		pid_t child = again(file[i], seed);
		assert_true(child > 0 && waitpid(child, &status, 0) == child);
		assert_int_equal(status, 0);
	}
	FILE *one = fopen(file[0], "r"), *two = fopen(file[1], "r");
	assert_true(one && two);
	while (fread(&a, sizeof(a), 1, one) == 1) {
		n++;
		if (fread(&b, sizeof(b), 1, two) != 1 || a != b)
			fail_msg("seed %s does not replay: step %llu differs", seed,
				 (unsigned long long)n);
	}
	assert_int_equal(fread(&b, sizeof(b), 1, two), 0);
	(void)fclose(one);
	(void)fclose(two);
	for (int i = 0; i < 2; i++)
		(void)unlink(file[i]);
	(void)printf("seed %s has the same digest at each of %llu steps, twice\n", seed,
		     (unsigned long long)n);
	assert_true(n > 10000);
}

static void seeds(void **state)
{
	uint64_t first = number("OTEDAMA_SIM_FIRST", 1), n = number("OTEDAMA_SIM_SEEDS", 200);
	struct total sum = {0};
	double begin = real_s();
	(void)state;
	for (uint64_t seed = first; seed < first + n; seed++)
		seed_run(seed, &sum);
	double took = real_s() - begin, times = (double)sum.virtual_ms / 1000 / took;
	(void)printf("seeds: %llu, %lld virtual seconds and %llu steps in %.1f s: %.0f times "
		     "faster than "
		     "real time\n",
		     (unsigned long long)n, (long long)sum.virtual_ms / 1000,
		     (unsigned long long)sum.steps, took, times);
	if (n >= ALL_SEEDS && !all_fired())
		fail_msg("a kind of fault never happened");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(replays), cmocka_unit_test(seeds)};
	const char *to = getenv("OTEDAMA_SIM_DIGESTS");
	if (to)
		digests = fopen(to, "w");
	host_log_init(number("OTEDAMA_SIM_LOG", 0));
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_REACTOR | OTD_THREAD_STORE |
		      OTD_THREAD_COMPUTE);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return digests && fclose(digests) ? 1 : failed;
}
