/* Segments that nothing needs any more: moved, packed, bounded, read again. */
#include "base/text.h"
#include "loop/loop.h"
#include "pool/backup/copy.h"
#include "pool/journal/archive.h"
#include "pool/journal/archive_file.h"
#include "pool/journal/journal.h"
#include "pool/journal/journal_check.h"
#include "pool/journal/journal_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define EPOCH   5
#define RECORDS 100 /* a segment */

struct rig {
	char dir[64], journal[128];
	struct otd_env env;
	struct otd_env_ops ops;
	struct otd_files files;
};

static int64_t now_ms;
static uint64_t room;

static int64_t wall_ms(struct otd_env *e)
{
	(void)e;
	return now_ms;
}

static otd_rc free_bytes(void *ctx, const char *path, uint64_t *out)
{
	(void)ctx;
	(void)path;
	*out = room;
	return OTD_OK;
}

static void put_file(const char *path, const uint8_t *p, size_t n)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	fclose(f);
}

/* Segment id with RECORDS records, in groups of ten. */
static void put_segment(const struct rig *r, uint64_t id)
{
	uint8_t *p = calloc(1, 1 << 16), *group;
	size_t at = OTD_JOURNAL_HEADER;
	uint64_t first = (id - 1) * RECORDS + 1;
	const struct otd_journal_header h = {id, EPOCH, first};
	char path[256];
	assert_non_null(p);
	otd_journal_header_put(p, &h);
	group = p + at;
	for (uint64_t i = 0; i < RECORDS; i++) {
		otd_journal_frame_put(p + at, 8, first + i, 3);
		memcpy(p + at + OTD_JOURNAL_FRAME, &i, 8);
		at += OTD_JOURNAL_FRAME + 8;
		if (i % 10 == 9) {
			otd_journal_frames_seal(group, (size_t)(p + at - group), id,
						(uint16_t)(i / 10), true);
			group = p + at;
		}
	}
	snprintf(path, sizeof(path), "%s/%08llu.otj", r->journal, (unsigned long long)id);
	put_file(path, p, at + 1000); /* room that was reserved */
	free(p);
}

static void open_rig(struct rig *r, uint64_t segments)
{
	char path[128];
	struct otd_env *real;
	struct otd_err err = {0};
	memset(r, 0, sizeof(*r));
	memcpy(r->dir, "/tmp/otd-archive-XXXXXX", 24);
	assert_non_null(mkdtemp(r->dir));
	assert_int_equal(otd_env_real_create(&real, NULL, &err), OTD_OK);
	r->ops = *real->ops;
	otd_env_real_destroy(real);
	r->ops.wall_ms = wall_ms;
	r->files = *otd_files_real();
	r->files.free_bytes = free_bytes;
	r->env = (struct otd_env){.ops = &r->ops, .files = &r->files};
	now_ms = 1000000;
	room = 1ull << 40;
	snprintf(path, sizeof(path), "%s/journal", r->dir);
	assert_int_equal(r->files.make_dir(r->files.ctx, path), OTD_OK);
	snprintf(r->journal, sizeof(r->journal), "%s/journal/r-5", r->dir);
	assert_int_equal(r->files.make_dir(r->files.ctx, r->journal), OTD_OK);
	for (uint64_t id = 1; id <= segments; id++)
		put_segment(r, id);
}

static void close_rig(struct rig *r)
{
	otd_remove_tree(&r->files, r->dir);
}

static struct otd_archive_sum look(struct rig *r, struct otd_archive_conf conf)
{
	struct otd_archive_sum sum;
	struct otd_err err = {0};
	conf.data_dir = r->dir;
	assert_int_equal(otd_archive_look(&conf, &r->env, &sum, &err), OTD_OK);
	return sum;
}

/* All records from 1 on, in order, wherever they lie. */
static void reads_all(struct rig *r, uint64_t last)
{
	struct otd_journal_reader *reader;
	struct otd_journal_report report;
	struct otd_record rec;
	struct otd_err err = {0};
	assert_int_equal(otd_journal_reader_open_all(&reader, &r->env, r->journal, 1, &err),
			 OTD_OK);
	for (uint64_t i = 1; i <= last; i++) {
		assert_int_equal(otd_journal_read(reader, &rec, last, &err), OTD_OK);
		assert_int_equal(rec.seq, i);
	}
	assert_int_equal(otd_journal_read(reader, &rec, last, &err), OTD_E_NOT_FOUND);
	otd_journal_reader_close(reader);
	assert_int_equal(otd_journal_check(&report, &r->env, r->journal, false, &err), OTD_OK);
	assert_int_equal(report.first, 1);
	assert_int_equal(report.last, last);
	assert_int_equal(report.epoch, EPOCH);
	assert_int_equal(report.groups, last / 10);
	assert_int_equal(report.torn_bytes, 0);
}

static void moved_packed_and_read(void **state)
{
	const struct otd_archive_conf conf = {.keep_ms = 60000, .compress = true};
	struct rig r;
	struct otd_archive_sum s;
	struct otd_journal_ids ids;
	struct otd_err err = {0};
	(void)state;
	open_rig(&r, 4);
	reads_all(&r, 400);
	s = look(&r, conf); /* no archive yet */
	assert_int_equal(s.segments, 0);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(otd_archive_move(&r.env, r.journal, id), OTD_OK);
	assert_int_equal(otd_archive_move(&r.env, r.journal, 9), OTD_E_NOT_FOUND);
	reads_all(&r, 400); /* moved, not packed */
	for (int i = 0; i < 3; i++) {
		s = look(&r, conf);
		assert_int_equal(s.packed, 1);
		assert_int_equal(s.more, i < 2);
		reads_all(&r, 400);
	}
	s = look(&r, conf);
	assert_int_equal(s.packed, 0);
	assert_int_equal(s.segments, 3);
	assert_true(s.bytes < 3 * 2000); /* of 3 x 3,848 */
	/* The pool itself sees only what is in its folder. */
	assert_int_equal(otd_journal_ids(&ids, &r.env, r.journal, &err), OTD_OK);
	assert_int_equal(ids.n, 1);
	otd_journal_ids_finish(&ids);
	close_rig(&r);
}

static void bounds(void **state)
{
	struct otd_archive_conf conf = {.keep_ms = 60000};
	struct rig r;
	struct otd_archive_sum s;
	(void)state;
	open_rig(&r, 6);
	for (uint64_t id = 1; id <= 5; id++) {
		now_ms += 10000;
		assert_int_equal(otd_archive_move(&r.env, r.journal, id), OTD_OK);
		assert_int_equal(look(&r, conf).packed, 1);
	}
	s = look(&r, conf);
	assert_int_equal(s.segments, 5);
	uint64_t one = s.bytes / 5;
	now_ms += 60001 - 40000; /* the first is too old, the second is not */
	s = look(&r, conf);
	assert_int_equal(s.removed, 1);
	assert_int_equal(s.segments, 4);
	conf.keep_bytes = 3 * one;
	s = look(&r, conf);
	assert_int_equal(s.removed, 1);
	assert_int_equal(s.dropped, 0);
	assert_int_equal(s.bytes, 3 * one);
	/* The disk gets full: all of it goes before shares do. */
	conf.free_bytes = 1 << 20;
	room = 1 << 20;
	assert_int_equal(look(&r, conf).removed, 0);
	room--;
	s = look(&r, conf);
	assert_int_equal(s.dropped, 3);
	assert_int_equal(s.segments, 0);
	close_rig(&r);
}

static void what_a_crash_leaves(void **state)
{
	const struct otd_archive_conf conf = {.keep_ms = 60000, .compress = true};
	struct rig r;
	char path[256];
	bool there = true;
	(void)state;
	open_rig(&r, 3);
	assert_int_equal(otd_archive_move(&r.env, r.journal, 1), OTD_OK);
	assert_int_equal(otd_archive_move(&r.env, r.journal, 2), OTD_OK);
	/* Died while it packed; and between the packing and the removal. */
	snprintf(path, sizeof(path), "%s/archive/r-5/00000002.new", r.dir);
	put_file(path, (const uint8_t *)"half", 4);
	char raw[256], packed[256];
	struct otd_err err = {0};
	snprintf(raw, sizeof(raw), "%s/archive/r-5/00000001.otj", r.dir);
	snprintf(packed, sizeof(packed), "%s/archive/r-5/00000001.otz", r.dir);
	assert_int_equal(otd_archive_file_pack(&r.env, raw, packed, 1, true, now_ms, &err), OTD_OK);
	reads_all(&r, 300);
	while (look(&r, conf).packed) {}
	assert_int_equal(r.files.exists(r.files.ctx, path, &there), OTD_OK);
	assert_false(there);
	assert_int_equal(look(&r, conf).segments, 2);
	reads_all(&r, 300);
	close_rig(&r);
}

static void damage_is_told(void **state)
{
	struct rig r;
	char raw[256], packed[256];
	struct otd_err err = {0};
	struct otd_archive_head h;
	uint8_t *out;
	size_t n;
	(void)state;
	open_rig(&r, 1);
	snprintf(raw, sizeof(raw), "%s/00000001.otj", r.journal);
	snprintf(packed, sizeof(packed), "%s/x.otz", r.dir);
	for (int compress = 0; compress < 2; compress++) {
		assert_int_equal(otd_archive_file_pack(&r.env, raw, packed, 1, compress, 77, &err),
				 OTD_OK);
		assert_int_equal(otd_archive_file_head(&r.env, packed, &h, &err), OTD_OK);
		assert_int_equal(h.time_ms, 77);
		assert_int_equal(h.id, 1);
		assert_int_equal(otd_archive_file_read(&r.env, packed, &out, &n, &err), OTD_OK);
		assert_int_equal(n, h.bytes);
		free(out);
		for (long at = 0; at < (long)(OTD_ARCHIVE_HEAD + h.packed); at += 1 + at / 8) {
			FILE *f = fopen(packed, "r+b");
			assert_non_null(f);
			fseek(f, at, SEEK_SET);
			int c = fgetc(f);
			fseek(f, at, SEEK_SET);
			fputc(c ^ 0x20, f);
			fclose(f);
			err = (struct otd_err){0};
			assert_int_equal(otd_archive_file_read(&r.env, packed, &out, &n, &err),
					 OTD_E_CORRUPT);
			assert_non_null(strstr(err.text, packed));
			f = fopen(packed, "r+b");
			assert_non_null(f);
			fseek(f, at, SEEK_SET);
			fputc(c, f);
			fclose(f);
		}
		assert_int_equal(truncate(packed, (off_t)(OTD_ARCHIVE_HEAD + h.packed - 1)), 0);
		assert_int_equal(otd_archive_file_read(&r.env, packed, &out, &n, &err),
				 OTD_E_CORRUPT);
	}
	assert_int_equal(otd_archive_file_read(&r.env, "/tmp/otd-none.otz", &out, &n, &err),
			 OTD_E_NOT_FOUND);
	close_rig(&r);
}

static void where_the_archive_lies(void **state)
{
	char to[64];
	(void)state;
	assert_true(otd_journal_archive_dir(to, sizeof(to), "/data/journal/r-5"));
	assert_string_equal(to, "/data/archive/r-5");
	assert_true(otd_journal_archive_dir(to, sizeof(to), "d/journal/coordinator"));
	assert_string_equal(to, "d/archive/coordinator");
	assert_false(otd_journal_archive_dir(to, sizeof(to), "journal"));
	assert_false(otd_journal_archive_dir(to, sizeof(to), "a/journal"));
	assert_false(otd_journal_archive_dir(to, sizeof(to), "/journal/"));
	assert_false(otd_journal_archive_dir(to, 10, "/data/journal/r-5"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moved_packed_and_read),  cmocka_unit_test(bounds),
		cmocka_unit_test(what_a_crash_leaves),    cmocka_unit_test(damage_is_told),
		cmocka_unit_test(where_the_archive_lies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
