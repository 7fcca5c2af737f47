/* Databases: what is committed is there, exactly; what is rolled back is not; bad SQL is an error. */
#include "app/check/plugin_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROWS 100

struct store {
	const struct otd_store_ops *ops;
	struct otd_pcheck_instance in;
};

static const char create_table[] = "CREATE TABLE check_values(id {key}, n {int} NOT NULL, w {wide} "
				   "NOT NULL, t {text} NOT NULL,"
				   " b {blob} NOT NULL, UNIQUE(n))";
static const char insert_row[] = "INSERT INTO check_values(n, w, t, b) VALUES(?, ?, ?, ?)";
static const char select_rows[] = "SELECT n, w, t, b FROM check_values ORDER BY n";
static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_WIDE, OTD_VALUE_TEXT, OTD_VALUE_BLOB};

static const char text_value[] = "a 'quoted' text; \xc3\xa9, and -- no comment";
static const uint8_t blob_value[] = {0, 1, 0xff, 0, 0x7f, 0};

static otd_i128 wide_of(int64_t i)
{
	otd_i128 v = ((otd_i128)i << 90) + i;
	return i % 3 ? v : -v;
}

static void row_of(struct otd_value v[4], int64_t i)
{
	memset(v, 0, 4 * sizeof(*v));
	v[0].type = OTD_VALUE_INT;
	v[0].i = i % 2 ? i : INT64_MAX - i;
	v[1].type = OTD_VALUE_WIDE;
	v[1].wide = wide_of(i);
	v[2].type = OTD_VALUE_TEXT;
	v[2].bytes = (struct otd_span){(const uint8_t *)text_value, (size_t)i % sizeof(text_value)};
	v[3].type = OTD_VALUE_BLOB;
	v[3].bytes = (struct otd_span){blob_value, (size_t)i % sizeof(blob_value)};
}

static otd_rc exec(struct store *s, const char *sql, const struct otd_value *v, size_t n)
{
	otd_pcheck_at("exec() '%.80s'", sql);
	return s->ops->exec(s->in.self, sql, v, sizeof(*v), n, NULL, NULL);
}

/* Says what failed. */
static bool must(struct store *s, const char *what, otd_rc rc)
{
	if (rc)
		otd_pcheck_fail("%s fails: %s%s", what, otd_rc_name(rc), otd_pcheck_words(&s->in));
	return !rc;
}

struct seen {
	int64_t rows, wrong;
};

static otd_rc look_at_row(void *ctx, const struct otd_value *c, size_t n)
{
	struct seen *seen = ctx;
	struct otd_value want[4];
	bool right = false;
	/* Odd numbers stand first, in order; the even ones behind, from the greatest down. */
	for (int64_t i = 0; i < ROWS && !right && n == 4; i++) {
		row_of(want, i);
		right = c[0].i == want[0].i && c[1].wide == want[1].wide &&
			c[2].bytes.len == want[2].bytes.len &&
			c[3].bytes.len == want[3].bytes.len &&
			(!c[2].bytes.len ||
			 memcmp(c[2].bytes.ptr, want[2].bytes.ptr, c[2].bytes.len) == 0) &&
			(!c[3].bytes.len ||
			 memcmp(c[3].bytes.ptr, want[3].bytes.ptr, c[3].bytes.len) == 0);
	}
	seen->rows++;
	seen->wrong += !right;
	return OTD_OK;
}

static bool rows_are(struct store *s, int64_t want, const char *when)
{
	struct seen seen = {0};
	otd_rc rc;
	otd_pcheck_at("query() '%s' %s", select_rows, when);
	rc = s->ops->query(s->in.self, select_rows, NULL, 0, 0, wants, 4, look_at_row, &seen);
	if (!must(s, "query()", rc))
		return false;
	if (seen.rows == want && !seen.wrong)
		return true;
	otd_pcheck_fail("%s there are %" PRId64 " rows of %" PRId64 ", %" PRId64
			" of them not as they were written",
			when, seen.rows, want, seen.wrong);
	return false;
}

static bool write_rows(struct store *s)
{
	struct otd_value v[4];
	if (!must(s, "begin()", s->ops->begin(s->in.self)) ||
	    !must(s, "CREATE TABLE", exec(s, create_table, NULL, 0)))
		return false;
	for (int64_t i = 0; i < ROWS; i++) {
		row_of(v, i);
		if (!must(s, "INSERT", exec(s, insert_row, v, 4)))
			return false;
	}
	return must(s, "commit()", s->ops->commit(s->in.self));
}

static bool roll_back(struct store *s)
{
	if (!must(s, "begin()", s->ops->begin(s->in.self)) ||
	    !must(s, "DELETE", exec(s, "DELETE FROM check_values", NULL, 0)))
		return false;
	otd_pcheck_at("rollback()");
	s->ops->rollback(s->in.self);
	otd_pcheck_at("rollback() where nothing is open");
	s->ops->rollback(s->in.self);
	return rows_are(s, ROWS, "after a rollback");
}

static bool refuse(struct store *s)
{
	struct otd_value v[4];
	otd_rc rc;
	row_of(v, 1);
	if (!must(s, "begin()", s->ops->begin(s->in.self)))
		return false;
	rc = exec(s, insert_row, v, 4);
	if (rc != OTD_E_EXISTS)
		otd_pcheck_fail("a row whose key is there already gives %s, not OTD_E_EXISTS",
				rc ? otd_rc_name(rc) : "success");
	s->ops->rollback(s->in.self);
	if (!exec(s, "SELEKT nothing", NULL, 0))
		otd_pcheck_fail("exec() of what is no SQL succeeds");
	if (!exec(s, insert_row, v, 2))
		otd_pcheck_fail("exec() with two of four values succeeds");
	s->ops->rollback(s->in.self);
	return !otd_pcheck_failed() && rows_are(s, ROWS, "after what was refused");
}

static otd_rc add_row(void *ctx, const struct otd_value *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		otd_pcheck_sum(ctx, &c[i].i, sizeof(c[i].i));
		otd_pcheck_sum(ctx, &c[i].wide, sizeof(c[i].wide));
		otd_pcheck_sum(ctx, c[i].bytes.ptr, c[i].bytes.len);
	}
	return OTD_OK;
}

otd_rc otd_pcheck_walk_store(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w)
{
	const struct otd_store_ops *ops = otd_pcheck_plugin(false)->ops.store;
	struct otd_value v[4];
	otd_rc rc;
	w->at = "open()";
	rc = ops->open(in->self);
	if (rc)
		return rc;
	w->at = "exec()";
	rc = ops->begin(in->self);
	if (!rc)
		rc = ops->exec(in->self, create_table, NULL, 0, 0, NULL, NULL);
	for (int64_t i = 0; i < 3 && !rc; i++) {
		row_of(v, i);
		rc = ops->exec(in->self, insert_row, v, sizeof(v[0]), 4, NULL, NULL);
	}
	if (!rc)
		rc = ops->commit(in->self);
	if (!rc)
		rc = ops->query(in->self, select_rows, NULL, 0, 0, wants, 4, add_row, w);
	ops->close(in->self);
	return rc;
}

void otd_pcheck_database(void)
{
	struct store s = {0};
	otd_rc rc;
	if (!otd_pcheck_plugin(false) || !otd_pcheck_options() || !otd_pcheck_create_or_say(&s.in))
		return;
	s.ops = otd_pcheck_plugin(false)->ops.store;
	otd_pcheck_at("open()");
	rc = s.ops->open(s.in.self);
	if (rc) {
		otd_pcheck_skip("open() fails: %s%s; --options can say which database to take",
				otd_rc_name(rc), otd_pcheck_words(&s.in));
		return;
	}
	if (!write_rows(&s) || !rows_are(&s, ROWS, "after a commit") || !roll_back(&s) ||
	    !refuse(&s))
		return;
	otd_pcheck_at("close()");
	s.ops->close(s.in.self);
	otd_pcheck_at("open() again");
	if (!must(&s, "open() again", s.ops->open(s.in.self)) ||
	    !rows_are(&s, ROWS, "after close() and open()"))
		return;
	(void)must(&s, "DROP TABLE", exec(&s, "DROP TABLE check_values", NULL, 0));
	otd_pcheck_at("close()");
	s.ops->close(s.in.self);
	otd_pcheck_at("destroy()");
	otd_pcheck_destroy(&s.in);
	(void)otd_pcheck_leftovers(&s.in, "after close() and destroy()");
	otd_pcheck_ok("%d rows of every type committed, rolled back, refused, and read again",
		      ROWS);
}
