/* The journal on the real disk, loop and threads. What crashes do to it: tests/sim/test_journal.c. */
#include "loop/loop.h"
#include "pool/journal/journal.h"
#include "pool/journal/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RECORDS 20000

struct rig {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_journal *j;
	char dir[64], path[96];
	uint64_t appended, synced;
	unsigned commits;
};

static void append_some(void *arg)
{
	struct rig *r = arg;
	struct otd_rec_share s = {.worker = 7};
	for (int i = 0; i < 100 && r->appended < RECORDS; i++) {
		uint64_t seq;
		s.time_ms = (int64_t)++r->appended;
		assert_int_equal(otd_journal_append(r->j, OTD_REC_SHARE, &s, sizeof(s), &seq),
				 OTD_OK);
		assert_int_equal(seq, r->appended);
	}
	if (r->appended < RECORDS)
		assert_int_equal(otd_loop_post(r->loop, append_some, r), OTD_OK);
}

static void on_synced(void *arg, uint64_t seq)
{
	struct rig *r = arg;
	assert_true(seq > r->synced && seq <= r->appended);
	r->synced = seq;
	r->commits++;
	if (seq == RECORDS)
		r->env->ops->loop_stop(r->loop);
}

static void open_rig(struct rig *r)
{
	struct otd_err err = {0};
	const struct otd_journal_conf c = {.dir = r->path,
					   .epoch = 3,
					   .segment_bytes = 256 << 10,
					   .max_bytes = 64 << 20,
					   .synced = on_synced,
					   .arg = r};
	assert_int_equal(otd_env_real_create(&r->env, NULL, &err), OTD_OK);
	assert_int_equal(r->env->ops->loop_create(r->env, &r->loop, "test", &err), OTD_OK);
	otd_rc rc = otd_journal_open(&r->j, r->loop, &c, &err);
	if (rc)
		print_message("%s\n", err.text);
	assert_int_equal(rc, OTD_OK);
}

static void close_rig(struct rig *r)
{
	otd_journal_close(r->j);
	r->env->ops->loop_destroy(r->loop);
	otd_env_real_destroy(r->env);
}

static bool remove_one(void *arg, const char *name)
{
	char path[200];
	(void)snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
	(void)unlink(path);
	return true;
}

static void on_the_real_disk(void **state)
{
	(void)state;
	struct rig r = {0};
	struct otd_journal_reader *reader;
	struct otd_record rec;
	struct otd_err err = {0};
	const struct otd_files *f = otd_files_real();
	(void)snprintf(r.dir, sizeof(r.dir), "journal-test-XXXXXX");
	assert_non_null(mkdtemp(r.dir));
	(void)snprintf(r.path, sizeof(r.path), "%s/r-3", r.dir);
	open_rig(&r);
	assert_int_equal(otd_loop_post(r.loop, append_some, &r), OTD_OK);
	r.env->ops->loop_run(r.loop);
	assert_int_equal(r.synced, RECORDS);
	/* Group commits: many records share one. */
	assert_true(r.commits < RECORDS / 10);
	assert_int_equal(otd_journal_reader_open(&reader, r.env, r.path, 1, &err), OTD_OK);
	for (uint64_t i = 1; i <= RECORDS; i++) {
		struct otd_rec_share s;
		assert_int_equal(otd_journal_read(reader, &rec, RECORDS, &err), OTD_OK);
		assert_int_equal(rec.seq, i);
		memcpy(&s, rec.payload.ptr, sizeof(s));
		assert_int_equal(s.time_ms, i);
	}
	assert_int_equal(otd_journal_read(reader, &rec, RECORDS, &err), OTD_E_NOT_FOUND);
	otd_journal_reader_close(reader);
	/* What was appended last and not waited for is there after close. */
	assert_int_equal(otd_journal_append(r.j, OTD_REC_REFUSED, "x", 1, NULL), OTD_OK);
	close_rig(&r);
	open_rig(&r);
	assert_int_equal(otd_journal_last(r.j), RECORDS + 1);
	assert_int_equal(otd_journal_synced(r.j), RECORDS + 1);
	close_rig(&r);
	assert_int_equal(f->list(f->ctx, r.path, remove_one, r.path), OTD_OK);
	assert_int_equal(rmdir(r.path), 0);
	assert_int_equal(rmdir(r.dir), 0);
}

static void names_of_verdicts_and_states(void **state)
{
	(void)state;
	assert_string_equal(otd_share_verdict_name(OTD_SHARE_ACCEPTED), "accepted");
	assert_string_equal(otd_share_verdict_name(OTD_SHARE_UNAVAILABLE), "unavailable");
	assert_string_equal(otd_share_verdict_name(OTD_SHARE_VERDICTS), "unknown");
	for (int v = 0; v < OTD_SHARE_VERDICTS; v++)
		for (int u = 0; u < v; u++)
			assert_string_not_equal(otd_share_verdict_name(v),
						otd_share_verdict_name(u));
	assert_string_equal(otd_block_state_name(OTD_BLOCK_CANDIDATE), "candidate");
	assert_string_equal(otd_block_state_name(OTD_BLOCK_ORPHANED), "orphaned");
	assert_string_equal(otd_block_state_name(0), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_the_real_disk),
		cmocka_unit_test(names_of_verdicts_and_states),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
