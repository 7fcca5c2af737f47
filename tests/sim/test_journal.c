/* The journal over a disk that forgets: what was acknowledged is there, in order, once. */
#include "pool/journal/journal.h"
#include "pool/journal/journal_format.h"
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIR   "j"
#define EPOCH 7
#define MOST  200000

struct writer {
	struct sim *sim;
	struct otd_loop *loop;
	struct otd_journal *j;
	uint64_t acked; /* the largest sequence ever acknowledged */
	uint64_t released;
	unsigned failures, defined;
	uint32_t *payload; /* by sequence: what was appended under it in the life before or now */
	bool no_restate;
};

static void on_synced(void *arg, uint64_t seq)
{
	struct writer *w = arg;
	if (sim_dead(w->sim))
		return;
	assert_true(seq > w->acked);
	w->acked = seq;
}

static void on_failed(void *arg, const struct otd_err *err)
{
	struct writer *w = arg;
	assert_int_not_equal(err->rc, OTD_OK);
	assert_true(err->text[0] != '\0');
	w->failures++;
}

static void restate(void *arg, struct otd_journal *j)
{
	struct writer *w = arg;
	uint32_t n = w->defined;
	if (!w->no_restate)
		assert_int_equal(otd_journal_append(j, 100, &n, sizeof(n), NULL), OTD_OK);
}

static otd_rc open_(struct writer *w, struct otd_err *err)
{
	struct otd_journal_conf c = {.dir = DIR,
				     .epoch = EPOCH,
				     .segment_bytes = 2000,
				     .max_bytes = 1 << 20,
				     .synced = on_synced,
				     .failed = on_failed,
				     .restate = restate,
				     .arg = w};
	struct otd_env *e = sim_env(w->sim);
	assert_int_equal(e->ops->loop_create(e, &w->loop, "t", err), OTD_OK);
	return otd_journal_open(&w->j, w->loop, &c, err);
}

static void close_(struct writer *w)
{
	otd_journal_close(w->j);
	w->j = NULL;
	w->loop->env->ops->loop_destroy(w->loop);
	w->loop = NULL;
}

static uint32_t make(uint64_t seq, uint32_t salt)
{
	return (uint32_t)(seq * 2654435761u) ^ salt << 20;
}

/* Appends one record of some length whose bytes follow from its number. */
static bool add(struct writer *w, uint32_t salt)
{
	uint8_t bytes[600];
	uint64_t seq = 0, want = otd_journal_last(w->j) + 1;
	uint32_t v = make(want, salt);
	size_t n = 4 + v % (v % 31 == 0 ? 590 : 60);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(v >> (8 * (i % 4)));
	otd_rc rc = otd_journal_append(w->j, (uint16_t)(1 + v % 5), bytes, n, &seq);
	if (rc) {
		assert_int_equal(rc, OTD_E_BUSY);
		return false;
	}
	assert_int_equal(seq, want);
	assert_true(seq < MOST);
	w->payload[seq] = v;
	return true;
}

/* Everything from sequence from on up to limit, checked; the last sequence seen. */
static uint64_t read_all(struct writer *w, uint64_t from, uint64_t limit, unsigned *defs)
{
	struct otd_journal_reader *r;
	struct otd_record rec;
	struct otd_err err = {0};
	uint64_t next = from;
	otd_rc rc = otd_journal_reader_open(&r, sim_env(w->sim), DIR, from, &err);
	assert_int_equal(rc, OTD_OK);
	while ((rc = otd_journal_read(r, &rec, limit, &err)) == OTD_OK) {
		if (rec.type == 100) {
			if (defs)
				(*defs)++;
			continue;
		}
		if (rec.seq < from)
			continue;
		assert_int_equal(rec.seq, next);
		uint32_t v;
		memcpy(&v, rec.payload.ptr, 4);
		assert_int_equal(v, w->payload[rec.seq]);
		assert_int_equal(rec.payload.len, 4 + v % (v % 31 == 0 ? 590 : 60));
		assert_int_equal(rec.payload.ptr[rec.payload.len - 1],
				 (uint8_t)(v >> (8 * ((rec.payload.len - 1) % 4))));
		next++;
	}
	if (rc != OTD_E_NOT_FOUND)
		print_message("%s\n", err.text);
	assert_int_equal(rc, OTD_E_NOT_FOUND);
	otd_journal_reader_close(r);
	return next - 1;
}

static void life(struct writer *w, uint32_t salt)
{
	struct sim *s = w->sim;
	uint64_t steps = 50 + sim_below(s, 1500);
	struct sim_faults f = {0};
	if (sim_chance(s, 300000))
		f = (struct sim_faults){.write_ppm = 50000, .sync_ppm = 50000};
	sim_faults(s, &f);
	if (sim_chance(s, 800000))
		sim_crash_in(s, 1 + sim_below(s, 300));
	for (uint64_t i = 0; i < steps && !sim_dead(s); i++) {
		for (uint64_t n = sim_below(s, 4); n > 0 && !sim_dead(s); n--)
			(void)add(w, salt);
		if (sim_chance(s, 2000))
			sim_disk_full(s, 3000);
		(void)sim_step(s);
		if (sim_chance(s, 20000) && w->acked > 20 && !sim_dead(s)) {
			w->released = w->acked - 10;
			otd_journal_release(w->j, w->released);
		}
		if (sim_chance(s, 5000) && w->acked > w->released)
			assert_true(read_all(w, w->released + 1, w->acked, NULL) == w->acked);
	}
	sim_faults(s, &(struct sim_faults){0});
	if (sim_dead(s) || sim_chance(s, 500000)) {
		sim_crash_now(s);
		close_(w);
		if (sim_chance(s, 400000))
			sim_restart(s);
		else
			sim_reboot(s);
	} else {
		uint64_t last = otd_journal_last(w->j);
		sim_crash_in(s, 0);
		sim_run(s, 5000, NULL, NULL); /* a failing disk has recovered */
		assert_int_equal(w->acked, last);
		if (add(w, salt))
			last++;
		close_(w);
		w->acked = last; /* close syncs what is appended */
	}
}

static void seeded(uint64_t seed)
{
	struct writer w = {.sim = sim_create(seed), .payload = calloc(MOST, 4)};
	struct otd_err err = {0};
	for (uint32_t i = 0; i < 6; i++) {
		otd_rc rc = open_(&w, &err);
		if (rc)
			print_message("seed %llu life %u: %s\n", (unsigned long long)seed, i,
				      err.text);
		assert_int_equal(rc, OTD_OK);
		uint64_t last = otd_journal_last(w.j);
		if (last < w.acked)
			print_message("seed %llu life %u: acknowledged %llu, found %llu\n",
				      (unsigned long long)seed, i, (unsigned long long)w.acked,
				      (unsigned long long)last);
		assert_true(last >= w.acked);
		w.acked = last; /* what open kept is durable */
		if (last > w.released) {
			unsigned defs = 0;
			assert_true(read_all(&w, w.released + 1, last, &defs) == last);
			assert_true(defs > 0);
			assert_true(read_all(&w, last, UINT64_MAX, NULL) == last);
		}
		life(&w, i);
	}
	free(w.payload);
	sim_destroy(w.sim);
}

static void crashes(void **state)
{
	(void)state;
	const char *first = getenv("OTEDAMA_SIM_FIRST"), *n = getenv("OTEDAMA_SIM_SEEDS");
	uint64_t from = first ? strtoull(first, NULL, 10) : 1;
	uint64_t count = n ? strtoull(n, NULL, 10) : 40;
	for (uint64_t seed = from; seed < from + count; seed++) {
		print_message("journal seed %llu\r", (unsigned long long)seed);
		seeded(seed);
	}
}

/* A journal of 200 records in several segments and groups, closed well. */
static void filled(struct writer *w, struct sim *s)
{
	struct otd_err err = {0};
	*w = (struct writer){.sim = s, .payload = calloc(MOST, 4)};
	assert_int_equal(open_(w, &err), OTD_OK);
	for (int i = 0; i < 200; i++) {
		assert_true(add(w, 1));
		if (i % 3 == 0)
			sim_run(s, 10, NULL, NULL);
	}
	close_(w);
}

static void flipped_byte_is_refused(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 40; seed++) {
		struct sim *s = sim_create(seed);
		struct writer w;
		struct otd_err err = {0};
		char path[64];
		size_t n = 0;
		filled(&w, s);
		assert_true(otd_journal_path(path, sizeof(path), DIR, 2));
		uint8_t *p = sim_file(s, path, &n);
		assert_non_null(p);
		/* Anywhere in the middle of what was synced long ago. */
		p[60 + sim_below(s, 1000)] ^= (uint8_t)(1u << sim_below(s, 8));
		otd_rc rc = open_(&w, &err);
		assert_int_equal(rc, OTD_E_CORRUPT);
		assert_non_null(strstr(err.text, "00000002.otj"));
		assert_non_null(strstr(err.text, "offset"));
		assert_non_null(strstr(err.text, "sequences"));
		close_(&w);
		free(w.payload);
		sim_destroy(s);
	}
}

static void torn_tail_is_cut(void **state)
{
	(void)state;
	struct sim *s = sim_create(5);
	struct otd_env *e = sim_env(s);
	struct otd_journal_range range;
	struct otd_journal_ids ids;
	struct writer w;
	struct otd_err err = {0};
	struct otd_file *f;
	char path[64];
	uint8_t junk[100];
	filled(&w, s);
	assert_int_equal(otd_journal_recover(e, DIR, &range, &err), OTD_OK);
	assert_int_equal(range.last, 200);
	assert_int_equal(range.first, 1);
	assert_int_equal(range.epoch, EPOCH);
	assert_int_equal(otd_journal_ids(&ids, e, DIR, &err), OTD_OK);
	assert_true(otd_journal_path(path, sizeof(path), DIR, ids.id[ids.n - 1]));
	otd_journal_ids_finish(&ids);
	uint64_t end;
	assert_int_equal(e->files->open(e->files->ctx, &f, path, OTD_OPEN_WRITE), OTD_OK);
	assert_int_equal(e->files->length(e->files->ctx, f, &end), OTD_OK);
	/* Half of a frame that a crash kept. */
	otd_journal_frame_put(junk, 400, 201, 3);
	memset(junk + OTD_JOURNAL_FRAME, 9, sizeof(junk) - OTD_JOURNAL_FRAME);
	assert_int_equal(e->files->write(e->files->ctx, f, junk, sizeof(junk), end), OTD_OK);
	e->files->close(e->files->ctx, f);
	assert_int_equal(open_(&w, &err), OTD_OK);
	assert_int_equal(otd_journal_last(w.j), 200);
	assert_true(add(&w, 2));
	close_(&w);
	assert_true(read_all(&w, 1, 201, NULL) == 201);
	free(w.payload);
	sim_destroy(s);
}

/*
 * A sync fails, the process is killed, and the next one finds what only the kernel's memory holds:
 * once it has been taken for durable, it must be.
 */
static void what_a_failed_sync_left_is_written_again(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 60; seed++) {
		struct sim *s = sim_create(seed);
		struct writer w;
		struct otd_err err = {0};
		filled(&w, s);
		assert_int_equal(open_(&w, &err), OTD_OK);
		assert_true(add(&w, 1));
		uint64_t before = w.acked;
		while (w.acked == before)
			assert_true(sim_step(s));
		sim_faults(s, &(struct sim_faults){.sync_ppm = 1000000});
		assert_true(add(&w, 1));
		uint64_t syncs = sim_syncs(s);
		while (sim_syncs(s) == syncs)
			assert_true(sim_step(s));
		sim_crash_now(s);
		close_(&w);
		sim_restart(s);
		sim_faults(s, &(struct sim_faults){0});
		assert_int_equal(open_(&w, &err), OTD_OK);
		uint64_t last = otd_journal_last(w.j);
		assert_int_equal(last, 202);
		sim_crash_now(s);
		close_(&w);
		sim_reboot(s);
		assert_int_equal(open_(&w, &err), OTD_OK);
		assert_true(otd_journal_last(w.j) >= last);
		assert_true(read_all(&w, 1, last, NULL) == last);
		close_(&w);
		free(w.payload);
		sim_destroy(s);
	}
}

static void lost_segment_is_refused(void **state)
{
	(void)state;
	struct sim *s = sim_create(6);
	struct otd_env *e = sim_env(s);
	struct otd_journal_reader *r;
	struct otd_record rec;
	struct otd_err err = {0};
	struct writer w;
	filled(&w, s);
	assert_int_equal(e->files->remove(e->files->ctx, DIR "/00000002.otj"), OTD_OK);
	assert_int_equal(open_(&w, &err), OTD_E_CORRUPT);
	assert_non_null(strstr(err.text, "missing"));
	close_(&w);
	assert_int_equal(otd_journal_reader_open(&r, e, DIR, 1, &err), OTD_OK);
	otd_rc rc;
	while ((rc = otd_journal_read(r, &rec, 200, &err)) == OTD_OK)
		continue;
	assert_int_equal(rc, OTD_E_CORRUPT);
	assert_non_null(strstr(err.text, "missing"));
	otd_journal_reader_close(r);
	free(w.payload);
	sim_destroy(s);
}

static void bound_and_full_disk(void **state)
{
	(void)state;
	struct sim *s = sim_create(8);
	struct writer w = {.sim = s, .payload = calloc(MOST, 4), .no_restate = true};
	struct otd_err err = {0};
	assert_int_equal(open_(&w, &err), OTD_OK);
	/* The bound: at some time nothing more is taken; a release makes room again. */
	while (add(&w, 1))
		sim_run(s, 20, NULL, NULL);
	assert_true(otd_journal_bytes(w.j) <= (1 << 20) + OTD_JOURNAL_HEADER);
	assert_true(otd_journal_bytes(w.j) > (1 << 20) - 700);
	/* But for what must not be lost, a little further. */
	otd_journal_allow(w.j, 2000);
	assert_true(add(&w, 1));
	otd_journal_allow(w.j, 0);
	assert_false(add(&w, 1));
	sim_run(s, 20, NULL, NULL);
	otd_journal_release(w.j, w.acked - 1);
	sim_run(s, 5000, NULL, NULL);
	assert_true(otd_journal_bytes(w.j) < 8000);
	assert_true(add(&w, 1));
	sim_run(s, 3000, NULL, NULL);
	/* A full disk: refused after the first failure, kept, durable once there is room. */
	uint64_t before = w.acked;
	sim_disk_full(s, 20000);
	for (int i = 0; i < 100 && w.failures == 0; i++) {
		(void)add(&w, 1);
		sim_run(s, 20, NULL, NULL);
	}
	if (w.failures) {
		assert_false(add(&w, 1));
		otd_journal_allow(w.j, 2000);
		assert_true(add(&w, 1));
		otd_journal_allow(w.j, 0);
		assert_false(add(&w, 1));
		sim_run(s, 30000, NULL, NULL);
	}
	assert_true(w.failures == 1);
	assert_int_equal(w.acked, otd_journal_last(w.j));
	assert_true(w.acked > before);
	assert_true(add(&w, 1));
	close_(&w);
	free(w.payload);
	sim_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(torn_tail_is_cut),
		cmocka_unit_test(flipped_byte_is_refused),
		cmocka_unit_test(what_a_failed_sync_left_is_written_again),
		cmocka_unit_test(lost_segment_is_refused),
		cmocka_unit_test(bound_and_full_disk),
		cmocka_unit_test(crashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
