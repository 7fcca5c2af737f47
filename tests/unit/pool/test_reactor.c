/* A reactor on a real loop and a real disk: verdicts, records, blocks, costly hashes, drain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "reactor_rig.h"
#include <cmocka.h>
#include <stdatomic.h>
#include <unistd.h>

struct front {
	struct rig rig;
	struct otd_verdict got[4096];
	unsigned n_got, n_jobs, n_clean, n_gone, n_auth;
	otd_rc auth_rc;
	char account[128], reason[128];
	struct otd_pool_worker *worker;
};

static struct front f;

static void on_job(void *arg, struct otd_job *job, uint32_t flags)
{
	(void)arg;
	(void)job;
	f.n_jobs++;
	f.n_clean += (flags & OTD_JOB_CLEAN) != 0;
}

static void on_job_gone(void *arg, struct otd_job *job)
{
	(void)arg;
	(void)job;
	f.n_gone++;
}

static void on_verdict(void *arg, const struct otd_verdict *v)
{
	(void)arg;
	pthread_mutex_lock(&f.rig.lock);
	f.got[f.n_got++] = *v;
	pthread_cond_broadcast(&f.rig.changed);
	pthread_mutex_unlock(&f.rig.lock);
}

static void on_auth(void *arg, void *client, uint64_t request, otd_rc rc, struct otd_span account,
		    struct otd_span reason)
{
	(void)arg;
	assert_ptr_equal(client, &f);
	assert_int_equal(request, 5);
	pthread_mutex_lock(&f.rig.lock);
	f.auth_rc = rc;
	snprintf(f.account, sizeof(f.account), "%.*s", (int)account.len, (const char *)account.ptr);
	snprintf(f.reason, sizeof(f.reason), "%.*s", (int)reason.len, (const char *)reason.ptr);
	f.n_auth++;
	pthread_cond_broadcast(&f.rig.changed);
	pthread_mutex_unlock(&f.rig.lock);
}

static void on_drain(void *arg)
{
	(void)arg;
	otd_reactor_drained(f.rig.reactor);
}

static struct otd_span text(const char *s)
{
	return (struct otd_span){(const uint8_t *)s, strlen(s)};
}

static void begin(void (*tweak)(struct otd_reactor_conf *))
{
	const struct otd_reactor_front front = {on_job,  on_job_gone, on_verdict,
						on_auth, on_drain,    NULL};
	memset(&f, 0, sizeof(f));
	rig_init(&f.rig, tweak);
	otd_reactor_set_front(f.rig.reactor, &front);
	assert_int_equal(otd_reactor_worker_open(f.rig.reactor, &f.worker, 0, "solo", text("goodA"),
						 text("rig1")),
			 OTD_OK);
	rig_start(&f.rig);
}

static void end(void)
{
	rig_stop(&f.rig);
	otd_reactor_worker_close(f.rig.reactor, f.worker);
	otd_reactor_set_front(f.rig.reactor, NULL);
	rig_finish(&f.rig);
}

static struct otd_submit submit_of(uint32_t job, uint32_t nonce)
{
	struct otd_submit s = {.client = &f,
			       .request = nonce,
			       .job = job,
			       .worker = f.worker,
			       .extranonce1 = {8, 0, 0, 2},
			       .extranonce2 = {0, 0, 0, 1},
			       .ntime = 0x504e86ed,
			       .nonce = nonce,
			       .target = otd_u256_max()};
	return s;
}

static void submit(void *arg)
{
	otd_reactor_submit(f.rig.reactor, arg);
}

/* Reads what is on disk; the loop has stopped and everything is durable. */
static unsigned count_records(uint16_t type, uint8_t *last, size_t cap)
{
	struct otd_journal_reader *reader;
	struct otd_record rec;
	struct otd_err err = {0};
	unsigned n = 0;
	otd_rc rc;

	assert_int_equal(otd_journal_reader_open(&reader, f.rig.env, f.rig.dir, 1, &err), OTD_OK);
	while (!(rc = otd_journal_read(reader, &rec, f.rig.synced, &err))) {
		if (rec.type != type)
			continue;
		n++;
		if (last)
			memcpy(last, rec.payload.ptr,
			       rec.payload.len < cap ? rec.payload.len : cap);
	}
	assert_int_equal(rc, OTD_E_NOT_FOUND);
	otd_journal_reader_close(reader);
	return n;
}

static void accepted_means_on_disk(void **state)
{
	const struct job_spec job = {.job = 5, .block_target = target_of("1e6")};
	struct otd_rec_worker worker;
	struct otd_rec_share share;
	uint8_t buf[256];

	(void)state;
	begin(NULL);
	rig_job(&f.rig, &job);
	for (uint32_t i = 0; i < 200; i++) {
		struct otd_submit s = submit_of(5, i);
		rig_call(&f.rig, submit, &s);
	}
	assert_true(rig_wait(&f.rig, &f.n_got, 200));
	rig_stop(&f.rig);
	assert_int_equal(f.n_jobs, 1);
	for (uint32_t i = 0; i < 200; i++) {
		assert_int_equal(f.got[i].verdict, OTD_SHARE_ACCEPTED);
		assert_int_equal(f.got[i].request, i); /* in order */
		assert_true(f.got[i].seq <= f.rig.synced);
		assert_false(f.got[i].block);
	}
	assert_int_equal(count_records(OTD_REC_SHARE, buf, sizeof(buf)), 200);
	memcpy(&share, buf, sizeof(share));
	assert_int_equal(share.job, 5);
	assert_int_equal(share.worker, f.worker->number);
	otd_u128 work = otd_target_work(otd_u256_max());
	assert_memory_equal(share.work, &work, 16);
	/* Said once for the share, and where a segment began. */
	assert_in_range(count_records(OTD_REC_JOB, buf, sizeof(buf)), 1, 2);
	assert_in_range(count_records(OTD_REC_WORKER, buf, sizeof(buf)), 1, 2);
	memcpy(&worker, buf, sizeof(worker));
	assert_int_equal(worker.worker, f.worker->number);
	assert_memory_equal(buf + sizeof(worker), "testgoodArig1solo", 17);
	end();
}

static void refused_at_once_and_on_record(void **state)
{
	const struct job_spec job = {.job = 5, .block_target = target_of("1e6")};
	struct otd_submit s;
	uint8_t buf[64];
	struct otd_rec_refused refused;

	(void)state;
	begin(NULL);
	s = submit_of(6, 1);
	rig_job(&f.rig, &job);
	rig_call(&f.rig, submit, &s); /* job unknown */
	s = submit_of(5, 1);
	s.target = target_of("1e3");
	rig_call(&f.rig, submit, &s);
	rig_call(&f.rig, submit, &s);
	s.target = otd_u256_max();
	rig_call(&f.rig, submit, &s);
	assert_true(rig_wait(&f.rig, &f.n_got, 4));
	rig_call(&f.rig, submit, &s);
	assert_true(rig_wait(&f.rig, &f.n_got, 5));
	assert_int_equal(f.got[0].verdict, OTD_SHARE_STALE);
	assert_int_equal(f.got[1].verdict, OTD_SHARE_LOW_DIFFICULTY);
	assert_int_equal(f.got[2].verdict, OTD_SHARE_LOW_DIFFICULTY);
	assert_int_equal(f.got[3].verdict, OTD_SHARE_ACCEPTED);
	assert_int_equal(f.got[4].verdict, OTD_SHARE_DUPLICATE);
	/* The counts go on record, at the latest at the end. */
	assert_int_equal(
		otd_mailbox_send(otd_reactor_mailbox(f.rig.reactor),
				 otd_msg_create(OTD_MSG_DRAIN, 0, sizeof(struct otd_msg), 0)),
		OTD_OK);
	assert_true(rig_wait(&f.rig, &f.rig.n_drained, 1));
	rig_stop(&f.rig);
	assert_int_equal(count_records(OTD_REC_SHARE, NULL, 0), 1);
	assert_int_equal(count_records(OTD_REC_REFUSED, buf, sizeof(buf)), 3);
	memcpy(&refused, buf, sizeof(refused));
	assert_int_equal(refused.reason, OTD_SHARE_LOW_DIFFICULTY);
	assert_int_equal(refused.count, 2);
	end();
}

static void a_block_goes_out_with_all_that_is_needed(void **state)
{
	const struct job_spec job = {.job = 5, .block_target = target_of("1")};
	const struct job_spec next = {.job = 6, .block_target = target_of("1"), .prev_salt = 1};
	struct otd_submit s;
	struct otd_rec_block block;
	uint8_t buf[1024];
	char hex[65];

	(void)state;
	begin(NULL);
	s = submit_of(5, 0xb2957c02);
	rig_job(&f.rig, &job);
	rig_job(&f.rig, &next); /* it is stale by now */
	rig_call(&f.rig, submit, &s);
	assert_true(rig_wait(&f.rig, &f.n_got, 1));
	assert_true(rig_wait(&f.rig, &f.rig.n_blocks, 1));
	/* The same again is no second block. */
	rig_call(&f.rig, submit, &s);
	assert_true(rig_wait(&f.rig, &f.n_got, 2));
	rig_stop(&f.rig);
	assert_int_equal(f.n_clean, 2);
	assert_int_equal(f.rig.n_blocks, 1);
	otd_hex_encode_reverse(hex, f.rig.block_hash, 32);
	assert_string_equal(hex, SLUSH_HASH);
	otd_sha256d(buf, f.rig.block_header, 80);
	assert_memory_equal(buf, f.rig.block_hash, 32);
	assert_string_equal(f.rig.block_worker, "rig1");
	assert_int_equal(f.rig.block_coinbase_len,
			 (strlen(SLUSH_COINBASE1) + strlen(SLUSH_COINBASE2)) / 2 + 8);
	/* Before its record was durable. */
	assert_true(f.rig.synced_at_block < f.rig.block_share);
	assert_int_equal(f.got[0].verdict, OTD_SHARE_ACCEPTED);
	assert_true(f.got[0].block);
	assert_int_equal(f.got[1].verdict, OTD_SHARE_STALE);
	assert_int_equal(count_records(OTD_REC_SHARE, NULL, 0), 1);
	assert_int_equal(count_records(OTD_REC_BLOCK, buf, sizeof(buf)), 1);
	memcpy(&block, buf, sizeof(block));
	assert_int_equal(block.share_seq, f.got[0].seq);
	assert_int_equal(block.height, 1234);
	assert_int_equal(block.coinbase_len, f.rig.block_coinbase_len);
	assert_memory_equal(buf + sizeof(block), f.rig.block_header, 80);
	end();
}

static void small_segments(struct otd_reactor_conf *c)
{
	c->segment_bytes = 4096;
}

/* Whatever segment a share stands in, its worker and job are said before it in that segment. */
static void segments_say_what_they_speak_of(void **state)
{
	const struct job_spec job = {.job = 5, .block_target = target_of("1e6")};

	(void)state;
	begin(small_segments);
	rig_job(&f.rig, &job);
	for (uint32_t i = 0; i < 1000; i++) {
		struct otd_submit s = submit_of(5, i);
		rig_call(&f.rig, submit, &s);
	}
	assert_true(rig_wait(&f.rig, &f.n_got, 1000));
	rig_stop(&f.rig);
	assert_int_equal(count_records(OTD_REC_SHARE, NULL, 0), 1000);
	for (uint64_t from = 1; from < f.rig.synced; from += 37) {
		struct otd_journal_reader *reader;
		struct otd_record rec;
		struct otd_err err = {0};
		bool worker = false, job_said = false;

		assert_int_equal(otd_journal_reader_open(&reader, f.rig.env, f.rig.dir, from, &err),
				 OTD_OK);
		while (!otd_journal_read(reader, &rec, f.rig.synced, &err)) {
			worker |= rec.type == OTD_REC_WORKER;
			job_said |= rec.type == OTD_REC_JOB;
			if (rec.type == OTD_REC_SHARE)
				assert_true(worker && job_said);
		}
		otd_journal_reader_close(reader);
	}
	end();
}

static void all_is_costly(struct otd_reactor_conf *c)
{
	c->inline_cost_ns = 1;
	c->compute_tasks = 3;
	c->compute_max = 100000;
}

static void costly_hashes_come_back_from_the_compute_pool(void **state)
{
	const struct job_spec job = {.job = 5, .block_target = target_of("1e6"), .n_branches = 12};
	static struct otd_submit many[1000];
	unsigned seen[1000] = {0};

	(void)state;
	begin(all_is_costly);
	rig_job(&f.rig, &job);
	for (uint32_t i = 0; i < 1000; i++) {
		many[i] = submit_of(5, i);
		if (i % 10 == 9)
			rig_call(&f.rig, submit, &many[i]);
		else if (otd_loop_post(f.rig.loop, submit, &many[i]))
			fail();
	}
	assert_true(rig_wait(&f.rig, &f.n_got, 1000));
	rig_stop(&f.rig);
	for (uint32_t i = 0; i < 1000; i++) {
		assert_int_equal(f.got[i].verdict, OTD_SHARE_ACCEPTED);
		seen[f.got[i].request]++;
	}
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(count_records(OTD_REC_SHARE, NULL, 0), 1000);
	end();
}

static struct {
	struct otd_files table;
	const struct otd_files *real;
	atomic_bool fails;
} disk;

static otd_rc disk_write(void *ctx, struct otd_file *file, const void *p, size_t n, uint64_t at)
{
	return atomic_load(&disk.fails) ? OTD_E_NOMEM : disk.real->write(ctx, file, p, n, at);
}

static void on_bad_disk(struct otd_reactor_conf *c)
{
	disk.real = c->env->files;
	disk.table = *disk.real;
	disk.table.write = disk_write;
	c->env->files = &disk.table;
}

static int64_t gauge(const char *name)
{
	return otd_metric_get(otd_metric(f.rig.metrics, OTD_GAUGE, name, "", ""));
}

/* Until it has that value; the test fails where that takes 120 s. */
static void wait_gauge(const char *name, int64_t value)
{
	for (int i = 0; i < 120000 && gauge(name) != value; i++)
		usleep(1000);
	assert_int_equal(gauge(name), value);
}

/* Nobody knows whether what was appended has come to the disk: its miner is told when it has, and nothing else. */
static void a_disk_that_fails_leaves_no_wrong_answer(void **state)
{
	const struct job_spec job = {.job = 5, .block_target = target_of("1")};
	struct otd_submit s;

	(void)state;
	begin(on_bad_disk);
	rig_job(&f.rig, &job);
	atomic_store(&disk.fails, true);
	s = submit_of(5, 1);
	rig_call(&f.rig, submit, &s);
	wait_gauge("otd_journals_failing", 1);
	wait_gauge("otd_shares_unanswered", 1);
	s = submit_of(5, 2);
	rig_call(&f.rig, submit, &s);
	assert_true(rig_wait(&f.rig, &f.n_got, 1));
	assert_int_equal(f.got[0].verdict, OTD_SHARE_UNAVAILABLE);
	assert_int_equal(f.got[0].request, s.request);
	assert_int_equal(gauge("otd_shares_unanswered"), 1);
	atomic_store(&disk.fails, false);
	assert_true(rig_wait(&f.rig, &f.n_got, 2));
	assert_int_equal(f.got[1].verdict, OTD_SHARE_ACCEPTED);
	wait_gauge("otd_journals_failing", 0);
	wait_gauge("otd_shares_unanswered", 0);
	rig_stop(&f.rig);
	assert_int_equal(count_records(OTD_REC_SHARE, NULL, 0), 1);
	f.rig.env->files = disk.real;
	end();
}

static void one_waits(struct otd_reactor_conf *c)
{
	c->max_bytes = 1; /* nothing may wait for the disk */
	c->segment_bytes = 1 << 20;
}

static void what_cannot_be_kept_is_refused(void **state)
{
	const struct job_spec job = {.job = 5, .block_target = target_of("1")};
	struct otd_submit s;

	(void)state;
	begin(one_waits);
	s = submit_of(5, 1);
	rig_job(&f.rig, &job);
	rig_call(&f.rig, submit, &s);
	assert_true(rig_wait(&f.rig, &f.n_got, 1));
	assert_int_equal(f.got[0].verdict, OTD_SHARE_UNAVAILABLE);
	/* A block goes to the nodes in any case: there is room for it, or nobody would be credited. */
	s = submit_of(5, 0xb2957c02);
	rig_call(&f.rig, submit, &s);
	assert_true(rig_wait(&f.rig, &f.n_got, 2));
	assert_int_equal(f.got[1].verdict, OTD_SHARE_ACCEPTED);
	assert_true(rig_wait(&f.rig, &f.rig.n_blocks, 1));
	assert_int_equal(f.rig.block_share, f.got[1].seq);
	s = submit_of(5, 2);
	rig_call(&f.rig, submit, &s);
	assert_true(rig_wait(&f.rig, &f.n_got, 3));
	assert_int_equal(f.got[2].verdict, OTD_SHARE_UNAVAILABLE);
	rig_stop(&f.rig);
	assert_int_equal(count_records(OTD_REC_SHARE, NULL, 0), 1);
	assert_int_equal(count_records(OTD_REC_BLOCK, NULL, 0), 1);
	end();
}

static void ask(void *arg)
{
	assert_int_equal(otd_reactor_auth(f.rig.reactor, &f, 5, 0, text(arg)), OTD_OK);
}

static void addresses_are_asked_once(void **state)
{
	(void)state;
	begin(NULL);
	rig_call(&f.rig, ask, "Good1");
	assert_true(rig_wait(&f.rig, &f.n_auth, 1));
	assert_int_equal(f.auth_rc, OTD_OK);
	assert_string_equal(f.account, "good1");
	rig_call(&f.rig, ask, "Good1");
	assert_int_equal(f.n_auth, 2);
	assert_int_equal(f.rig.n_auth, 1);
	rig_call(&f.rig, ask, "bad");
	assert_true(rig_wait(&f.rig, &f.n_auth, 3));
	assert_int_equal(f.auth_rc, OTD_E_INVALID);
	assert_non_null(strstr(f.reason, "not an address"));
	rig_call(&f.rig, ask, "bad");
	assert_int_equal(f.n_auth, 4);
	assert_int_equal(f.rig.n_auth, 2);
	end();
}

static void workers_are_bounded(void **state)
{
	struct otd_workers ws;
	struct otd_pool_worker *w, *again;
	const uint8_t seed[16] = {1};
	char name[80];

	(void)state;
	assert_int_equal(otd_workers_init(&ws, seed, 50, 10), OTD_OK);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		assert_int_equal(otd_workers_open(&ws, &w, 0, "", text("a"), text(name)), OTD_OK);
		assert_int_equal(w->number, i + 1);
	}
	assert_int_equal(otd_workers_open(&ws, &again, 0, "", text("a"), text("w9")), OTD_OK);
	assert_ptr_equal(again, w);
	assert_int_equal(otd_workers_open(&ws, &w, 0, "", text("a"), text("w10")), OTD_E_NOMEM);
	/* Another pool, scheme or account is another worker. */
	assert_int_equal(otd_workers_open(&ws, &w, 0, "solo", text("b"), text("w9")), OTD_OK);
	assert_int_equal(otd_workers_open(&ws, &again, 0, "", text("b"), text("w9")), OTD_OK);
	assert_ptr_not_equal(again, w);
	memset(name, 'x', 65);
	name[65] = 0;
	assert_int_equal(otd_workers_open(&ws, &again, 0, "", text("b"), text(name)), OTD_E_RANGE);
	/* Full: those without a session make room, and numbers do not come again. */
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		assert_int_equal(otd_workers_open(&ws, &w, 0, "", text(name), text("")), OTD_OK);
		assert_int_equal(w->number, i + 13);
		otd_workers_close(&ws, w);
	}
	assert_true(ws.n <= 50);
	otd_workers_finish(&ws);
}

static size_t online(const struct otd_workers *ws, uint32_t pool, const char *scheme,
		     const char *account, const char *name)
{
	return otd_workers_online(ws, pool, scheme, text(account), text(name));
}

static void workers_with_a_session_are_counted(void **state)
{
	struct otd_workers ws;
	struct otd_pool_worker *w[4], *again, *more;
	const uint8_t seed[16] = {1};
	char name[80];

	(void)state;
	assert_int_equal(otd_workers_init(&ws, seed, 50, 100), OTD_OK);
	assert_int_equal(online(&ws, 0, "", "a", "w0"), 1); /* itself */
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		assert_int_equal(otd_workers_open(&ws, &w[i], 0, i == 3 ? "solo" : "", text("a"),
						  text(name)),
				 OTD_OK);
	}
	assert_int_equal(online(&ws, 0, "", "a", "w0"), 4);
	assert_int_equal(online(&ws, 0, "", "a", "w3"), 5); /* of another scheme: another one */
	assert_int_equal(online(&ws, 0, "", "a", "new"), 5);
	assert_int_equal(online(&ws, 1, "", "a", "w0"), 1);
	assert_int_equal(online(&ws, 0, "", "b", "w0"), 1);
	/* Two sessions of one worker are one. */
	assert_int_equal(otd_workers_open(&ws, &again, 0, "", text("a"), text("w1")), OTD_OK);
	assert_int_equal(online(&ws, 0, "", "a", "w1"), 4);
	otd_workers_close(&ws, again);
	assert_int_equal(online(&ws, 0, "", "a", "w1"), 4);
	otd_workers_close(&ws, w[1]);
	assert_int_equal(online(&ws, 0, "", "a", "w1"), 4);
	assert_int_equal(online(&ws, 0, "", "a", "w0"), 3);
	assert_int_equal(otd_workers_open(&ws, &again, 0, "", text("a"), text("w1")), OTD_OK);
	assert_int_equal(online(&ws, 0, "", "a", "w0"), 4);
	otd_workers_close(&ws, again);
	/* Forgotten ones are of the names, and were counted no more. */
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		assert_int_equal(
			otd_workers_open(&ws, &more, 0, "", text(i & 1 ? "a" : name), text(name)),
			OTD_OK);
		assert_int_equal(online(&ws, 0, "", "a", "w0"), i & 1 ? 4 : 3);
		otd_workers_close(&ws, more);
	}
	assert_true(ws.n <= 50);
	for (int i = 0; i < 4; i++)
		otd_workers_close(&ws, i == 1 ? NULL : w[i]);
	assert_int_equal(online(&ws, 0, "", "a", "w0"), 1);
	otd_workers_finish(&ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted_means_on_disk),
		cmocka_unit_test(refused_at_once_and_on_record),
		cmocka_unit_test(a_block_goes_out_with_all_that_is_needed),
		cmocka_unit_test(segments_say_what_they_speak_of),
		cmocka_unit_test(costly_hashes_come_back_from_the_compute_pool),
		cmocka_unit_test(what_cannot_be_kept_is_refused),
		cmocka_unit_test(a_disk_that_fails_leaves_no_wrong_answer),
		cmocka_unit_test(addresses_are_asked_once),
		cmocka_unit_test(workers_are_bounded),
		cmocka_unit_test(workers_with_a_session_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
