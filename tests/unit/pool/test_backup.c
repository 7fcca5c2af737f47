/* The pieces of a backup: its manifest, and a journal that is copied while it is written. What the
   whole is worth: tests/e2e/test_backup.py. */
#include "loop/loop.h"
#include "pool/backup/copy.h"
#include "pool/backup/manifest.h"
#include "pool/journal/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- the manifest --- */

static void fill(struct otd_manifest *m)
{
	const struct otd_manifest_pool p = {3, "my pool", "BTC"};
	uint8_t sha[32];
	memset(sha, 0xab, sizeof(sha));
	m->about = (struct otd_manifest_about){.version = "1.2.3",
					       .schema = 2,
					       .time_ms = 1700000000123,
					       .position = 77,
					       .running = true,
					       .block_height = 101,
					       .block_ms = 1699999999999,
					       .block_pool = "my pool"};
	memset(m->about.block_hash, 'c', 64);
	assert_int_equal(otd_manifest_add_pool(m, &p), OTD_OK);
	assert_int_equal(otd_manifest_add_sum(m, 1, "BTC", -(((otd_i128)1) << 100)), OTD_OK);
	assert_int_equal(otd_manifest_add_sum(m, 3, "BTC", 40), OTD_OK);
	assert_int_equal(otd_manifest_add_sum(m, 3, "BTC", 2), OTD_OK);
	assert_int_equal(otd_manifest_add_file(m, "data/otedama.db", 4096, sha), OTD_OK);
	assert_int_equal(otd_manifest_add_file(m, "data/a file", 0, sha), OTD_OK);
	assert_int_equal(otd_manifest_add_file(m, "configuration.yaml", 12, sha), OTD_OK);
	otd_manifest_sort(m);
}

static void a_manifest_comes_back(void **state)
{
	struct otd_manifest m = {0}, back = {0};
	struct otd_bytes text;
	struct otd_err err = {0};
	(void)state;
	fill(&m);
	otd_bytes_init(&text, 1 << 20);
	otd_manifest_write(&m, &text);
	assert_int_equal(otd_manifest_read(&back, otd_bytes_span(&text), &err), OTD_OK);
	assert_string_equal(back.about.version, "1.2.3");
	assert_int_equal(back.about.schema, 2);
	assert_int_equal(back.about.time_ms, 1700000000123);
	assert_int_equal(back.about.position, 77);
	assert_true(back.about.running);
	assert_int_equal(back.about.n_pools, 1);
	assert_string_equal(back.about.pools[0].name, "my pool");
	assert_int_equal(back.about.block_height, 101);
	assert_int_equal(back.about.n_sums, 2);
	assert_true(back.about.sums[0].units == -(((otd_i128)1) << 100));
	assert_true(back.about.sums[1].units == 42);
	assert_int_equal(back.n_files, 3);
	assert_string_equal(back.files[0].path, "configuration.yaml");
	assert_string_equal(back.files[1].path, "data/a file");
	assert_int_equal(back.files[2].bytes, 4096);
	assert_int_equal(otd_manifest_bytes(&back), 4108);
	otd_manifest_finish(&back);
	otd_manifest_finish(&m);
	otd_bytes_finish(&text);
}

/* Cut anywhere, or one bit turned anywhere: it is noticed. */
static void a_damaged_manifest_is_refused(void **state)
{
	struct otd_manifest m = {0};
	struct otd_bytes text;
	(void)state;
	fill(&m);
	otd_bytes_init(&text, 1 << 20);
	otd_manifest_write(&m, &text);
	for (size_t i = 0; i < text.len; i++) {
		struct otd_manifest back = {0};
		struct otd_err err = {0};
		const struct otd_span cut = {text.ptr, i};
		otd_rc rc = otd_manifest_read(&back, cut, &err);
		assert_int_equal(rc, OTD_E_CORRUPT);
		assert_true(err.text[0]);
		otd_manifest_finish(&back);
		for (unsigned bit = 0; bit < 8; bit++) {
			text.ptr[i] ^= (uint8_t)(1u << bit);
			rc = otd_manifest_read(&back, otd_bytes_span(&text), &err);
			/* Hex digits may be written large. */
			bool same = bit == 5 && text.ptr[i] >= 'A' && text.ptr[i] <= 'F' &&
				    i + 66 > text.len;
			assert_int_equal(rc == OTD_OK, same);
			otd_manifest_finish(&back);
			text.ptr[i] ^= (uint8_t)(1u << bit);
		}
	}
	otd_manifest_finish(&m);
	otd_bytes_finish(&text);
}

/* Whoever makes a manifest anew, hash and all, still cannot name a file outside. */
static void paths_stay_inside(void **state)
{
	static const char *const bad[] = {
		"/etc/passwd", "../x", "data/../../x", "data//x", "./x",
		"data/",       "..",   "data/x\ny",    "",        "data/."};
	uint8_t sha[32] = {0};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct otd_manifest m = {.about = {.version = "1", .schema = 1}}, back = {0};
		struct otd_bytes text;
		struct otd_err err = {0};
		otd_bytes_init(&text, 1 << 20);
		assert_int_equal(otd_manifest_add_file(&m, bad[i], 0, sha), OTD_OK);
		otd_manifest_write(&m, &text);
		assert_int_equal(otd_manifest_read(&back, otd_bytes_span(&text), &err),
				 OTD_E_CORRUPT);
		otd_manifest_finish(&back);
		otd_manifest_finish(&m);
		otd_bytes_finish(&text);
	}
}

/* --- a journal that is being written --- */

#define COPIES 8

struct rig {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_journal *j;
	struct otd_worker *worker;
	char dir[64], from[96], to[96];
	uint64_t appended, synced;
	/* of the copy that runs */
	uint64_t durable;
	otd_rc rc;
	struct otd_err err;
	unsigned copies; /* that ran while the journal grew */
	bool release, copying;
	struct otd_timer *timer;
};

static void copy_run(void *arg) /* [worker] */
{
	struct rig *r = arg;
	r->rc = otd_copy_journal(r->env, r->from, r->to, r->durable, NULL, &r->err);
}

static void give_copy(struct rig *r);

/* Every record from the first that is there to the durable one is in it, and it opens. */
static void check_copy(struct rig *r)
{
	struct otd_journal_range range;
	struct otd_journal_reader *reader;
	struct otd_record rec;
	/* Segments went faster than they were copied: said, and nothing to look at. */
	if (r->release && r->rc == OTD_E_BUSY) {
		otd_remove_tree(r->env->files, r->to);
		return;
	}
	if (r->rc)
		fail_msg("%s", r->err.text);
	assert_int_equal(otd_journal_recover(r->env, r->to, &range, &r->err), OTD_OK);
	assert_true(range.last >= r->durable);
	assert_int_equal(otd_journal_reader_open(&reader, r->env, r->to, range.first, &r->err),
			 OTD_OK);
	for (uint64_t seq = range.first; seq <= range.last; seq++) {
		struct otd_rec_share s;
		assert_int_equal(otd_journal_read(reader, &rec, range.last, &r->err), OTD_OK);
		assert_int_equal(rec.seq, seq);
		memcpy(&s, rec.payload.ptr, sizeof(s));
		assert_int_equal(s.time_ms, seq);
	}
	otd_journal_reader_close(reader);
	otd_remove_tree(r->env->files, r->to);
	r->copies += r->synced > r->durable && r->durable > 0;
}

static void copy_done(void *arg)
{
	struct rig *r = arg;
	r->copying = false;
	check_copy(r);
	if (r->copies == COPIES)
		r->env->ops->loop_stop(r->loop);
	else
		give_copy(r);
}

static void give_copy(struct rig *r)
{
	r->durable = r->synced;
	r->copying = true;
	assert_int_equal(r->env->ops->worker_give(r->worker, copy_run, copy_done, r), OTD_OK);
}

static void append_some(void *arg)
{
	struct rig *r = arg;
	struct otd_rec_share s = {.worker = 7};
	/* Not much faster than it is copied, whatever the machine: else the journal fills up. */
	if (r->appended > r->durable + 4000)
		return;
	for (int i = 0; i < 500; i++) {
		s.time_ms = (int64_t)r->appended + 1;
		otd_rc rc = otd_journal_append(r->j, OTD_REC_SHARE, &s, sizeof(s), NULL);
		if (rc == OTD_E_BUSY) /* a slow disk, or a sanitizer */
			return;
		assert_int_equal(rc, OTD_OK);
		r->appended++;
	}
}

static void on_synced(void *arg, uint64_t seq)
{
	struct rig *r = arg;
	r->synced = seq;
	if (r->release && seq > 3000)
		otd_journal_release(r->j, seq - 3000);
	if (!r->copying)
		give_copy(r);
}

static void copy_live(bool release)
{
	struct rig r = {.release = release};
	(void)snprintf(r.dir, sizeof(r.dir), "backup-test-XXXXXX");
	assert_non_null(mkdtemp(r.dir));
	(void)snprintf(r.from, sizeof(r.from), "%s/from", r.dir);
	(void)snprintf(r.to, sizeof(r.to), "%s/to", r.dir);
	const struct otd_journal_conf c = {.dir = r.from,
					   .epoch = 3,
					   .segment_bytes = 64 << 10,
					   .max_bytes = 64 << 20,
					   .synced = on_synced,
					   .arg = &r};
	assert_int_equal(otd_env_real_create(&r.env, NULL, &r.err), OTD_OK);
	assert_int_equal(r.env->ops->loop_create(r.env, &r.loop, "test", &r.err), OTD_OK);
	assert_int_equal(r.env->ops->worker_create(r.loop, &r.worker, "copy", &r.err), OTD_OK);
	assert_int_equal(otd_journal_open(&r.j, r.loop, &c, &r.err), OTD_OK);
	assert_int_equal(r.env->ops->timer_create(r.loop, &r.timer, append_some, &r), OTD_OK);
	r.env->ops->timer_start(r.timer, 1, 1);
	r.env->ops->loop_run(r.loop);
	assert_int_equal(r.copies, COPIES);
	print_message("%u copies while %llu records were written\n", r.copies,
		      (unsigned long long)r.appended);
	r.env->ops->timer_destroy(r.timer);
	r.env->ops->worker_destroy(r.worker);
	otd_journal_close(r.j);
	r.env->ops->loop_destroy(r.loop);
	otd_remove_tree(r.env->files, r.dir);
	otd_env_real_destroy(r.env);
	assert_int_equal(access(r.dir, F_OK), -1);
}

static void a_journal_is_copied_while_it_is_written(void **state)
{
	(void)state;
	copy_live(false);
}

static void a_journal_is_copied_while_it_is_released(void **state)
{
	(void)state;
	copy_live(true);
}

/* What does not reach the durable sequence is damaged. */
static void a_journal_that_ends_too_early_is_told(void **state)
{
	struct otd_env *env = NULL;
	struct otd_loop *loop = NULL;
	struct otd_journal *j = NULL;
	struct otd_err err = {0};
	const struct otd_journal_conf c = {.dir = "backup-test-short",
					   .epoch = 1,
					   .segment_bytes = 1 << 20,
					   .max_bytes = 1 << 20};
	(void)state;
	assert_int_equal(otd_env_real_create(&env, NULL, &err), OTD_OK);
	otd_remove_tree(env->files, c.dir);
	assert_int_equal(env->ops->loop_create(env, &loop, "test", &err), OTD_OK);
	assert_int_equal(otd_journal_open(&j, loop, &c, &err), OTD_OK);
	assert_int_equal(otd_journal_append(j, OTD_REC_REFUSED, "x", 1, NULL), OTD_OK);
	otd_journal_close(j);
	assert_int_equal(otd_copy_journal(env, c.dir, "backup-test-copy", 1, NULL, &err), OTD_OK);
	assert_int_equal(otd_copy_journal(env, c.dir, "backup-test-copy", 2, NULL, &err),
			 OTD_E_CORRUPT);
	assert_non_null(strstr(err.text, "up to sequence 1 and was durable up to 2"));
	otd_remove_tree(env->files, c.dir);
	otd_remove_tree(env->files, "backup-test-copy");
	env->ops->loop_destroy(loop);
	otd_env_real_destroy(env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_manifest_comes_back),
		cmocka_unit_test(a_damaged_manifest_is_refused),
		cmocka_unit_test(paths_stay_inside),
		cmocka_unit_test(a_journal_is_copied_while_it_is_written),
		cmocka_unit_test(a_journal_is_copied_while_it_is_released),
		cmocka_unit_test(a_journal_that_ends_too_early_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
