/* The plugin over real files and a disk that fails at every place in turn. */
#include "fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define I128_MAX ((otd_i128)(~(otd_u128)0 >> 1))
#define I128_MIN (-I128_MAX - 1)

struct plug {
	struct fixture f;
	struct otd_plugin_instance *in;
	const struct otd_store_ops *ops;
	struct otd_instance *self;
};

static void plug_init(struct plug *p)
{
	fixture_init(&p->f);
	p->in = fixture_instance(&p->f);
	p->ops = otd_instance_store(p->in);
	p->self = otd_instance_self(p->in);
}

static void plug_finish(struct plug *p)
{
	otd_instance_destroy(p->in);
	fixture_finish(&p->f);
}

static otd_rc exec(struct plug *p, const char *sql, const struct otd_value *v, size_t n)
{
	return p->ops->exec(p->self, sql, v, sizeof(*v), n, NULL, NULL);
}

static otd_rc sql(struct plug *p, const char *text)
{
	return exec(p, text, NULL, 0);
}

struct got {
	struct otd_value v[4]; /* of the last row; bytes are copied */
	uint8_t bytes[4][64];
	int rows;
};

static otd_rc take(void *ctx, const struct otd_value *c, size_t n)
{
	struct got *g = ctx;
	g->rows++;
	for (size_t i = 0; i < n; i++) {
		g->v[i] = c[i];
		if (c[i].bytes.len && c[i].bytes.len <= sizeof(g->bytes[i]))
			memcpy(g->bytes[i], c[i].bytes.ptr, c[i].bytes.len);
	}
	return OTD_OK;
}

static otd_rc ask(struct plug *p, struct got *g, const char *text, uint32_t want)
{
	memset(g, 0, sizeof(*g));
	return p->ops->query(p->self, text, NULL, 0, 0, &want, 1, take, g);
}

static void test_wide_integers(void **state)
{
	const otd_i128 values[] = {I128_MIN, I128_MIN + 1, -((otd_i128)1 << 64), -256,    -1, 0,
				   1,        255,          (otd_i128)1 << 64,    I128_MAX};
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_WIDE};
	struct plug p;
	struct got g;
	(void)state;
	plug_init(&p);
	assert_int_equal(p.ops->open(p.self), OTD_OK);
	assert_int_equal(sql(&p, "CREATE TABLE t(id {key}, w {wide}, UNIQUE(w))"), OTD_OK);
	for (size_t i = 10; i-- > 0;) {
		struct otd_value v[] = {OTD_INT(i), OTD_WIDE(values[i])};
		assert_int_equal(exec(&p, "INSERT INTO t VALUES(?, ?)", v, 2), OTD_OK);
	}
	for (size_t i = 0; i < 10; i++) {
		struct otd_value v[] = {OTD_INT(i), OTD_WIDE(values[i])};
		memset(&g, 0, sizeof(g));
		assert_int_equal(p.ops->query(p.self, "SELECT id, w FROM t WHERE w = ?", &v[1],
					      sizeof(*v), 1, wants, 2, take, &g),
				 OTD_OK);
		assert_int_equal(g.rows, 1);
		assert_int_equal(g.v[0].i, (int64_t)i);
		assert_true(g.v[1].wide == values[i]);
		/* Bytes sort as numbers do. */
		assert_int_equal(p.ops->query(p.self, "SELECT COUNT(*), MAX(w) FROM t WHERE w <= ?",
					      &v[1], sizeof(*v), 1, wants, 2, take, &g),
				 OTD_OK);
		assert_int_equal(g.v[0].i, (int64_t)i + 1);
		assert_true(g.v[1].wide == values[i]);
	}
	plug_finish(&p);
}

static void test_types_and_errors(void **state)
{
	struct plug p;
	struct got g;
	int64_t changed = -1, key = -1;
	(void)state;
	plug_init(&p);
	assert_int_equal(sql(&p, "SELECT 1"), OTD_E_CLOSED);
	assert_int_equal(p.ops->open(p.self), OTD_OK);
	assert_int_equal(sql(&p, "CREATE TABLE t(id {key}, x {text} UNIQUE, b {blob} NOT NULL)"),
			 OTD_OK);
	struct otd_value v[] = {OTD_TEXT("it''s {int}"), OTD_BLOB("", 0)};
	assert_int_equal(p.ops->exec(p.self, "INSERT INTO t(x, b) VALUES(?, ?)", v, sizeof(*v), 2,
				     &changed, &key),
			 OTD_OK);
	assert_int_equal(changed, 1);
	assert_int_equal(key, 1);
	assert_int_equal(exec(&p, "INSERT INTO t(x, b) VALUES(?, ?)", v, 2), OTD_E_EXISTS);
	assert_int_equal(sql(&p, "INSERT INTO t(id, b) VALUES(1, x'00')"), OTD_E_EXISTS);
	assert_int_equal(sql(&p, "INSERT INTO t(x) VALUES('y')"), OTD_E_INVALID);
	assert_int_equal(sql(&p, "SELECT 1; SELECT 2"), OTD_E_INVALID);
	assert_int_equal(sql(&p, ""), OTD_E_INVALID);
	assert_int_equal(sql(&p, "INSERT INTO t(x, b) VALUES(?, ?)"), OTD_E_INVALID);
	assert_int_equal(sql(&p, "INSERT INTO t(x, b) VALUES('{wide}', x'00')"), OTD_OK);
	assert_int_equal(ask(&p, &g, "SELECT x FROM t WHERE id = 2", OTD_VALUE_TEXT), OTD_OK);
	assert_int_equal(g.v[0].bytes.len, 6);
	assert_memory_equal(g.bytes[0], "{wide}", 6);
	assert_int_equal(ask(&p, &g, "SELECT x FROM t", OTD_VALUE_INT), OTD_E_CORRUPT);
	assert_int_equal(ask(&p, &g, "SELECT b FROM t", OTD_VALUE_WIDE), OTD_E_CORRUPT);
	assert_int_equal(ask(&p, &g, "SELECT NULL", OTD_VALUE_WIDE), OTD_OK);
	assert_int_equal(g.v[0].type, OTD_VALUE_NULL);
	assert_int_equal(p.ops->commit(p.self), OTD_E_INVALID);
	p.ops->rollback(p.self);
	plug_finish(&p);
}

static otd_rc again(void *ctx, const struct otd_value *c, size_t n)
{
	struct plug *p = ctx;
	struct got g;
	(void)n;
	assert_int_equal(ask(p, &g, "SELECT id FROM t ORDER BY id", OTD_VALUE_INT), OTD_OK);
	assert_int_equal(g.rows, 3);
	return c[0].i == 2 ? OTD_E_STALE : OTD_OK;
}

static void test_statements(void **state)
{
	static const uint32_t wants[] = {OTD_VALUE_INT};
	struct plug p;
	(void)state;
	plug_init(&p);
	assert_int_equal(p.ops->open(p.self), OTD_OK);
	assert_int_equal(sql(&p, "CREATE TABLE t(id {key})"), OTD_OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sql(&p, "INSERT INTO t DEFAULT VALUES"), OTD_OK);
	/* The same text within its own rows, and a row that ends the query. */
	assert_int_equal(p.ops->query(p.self, "SELECT id FROM t ORDER BY id", NULL, 0, 0, wants, 1,
				      again, &p),
			 OTD_E_STALE);
	/* More than are kept, several times round. */
	for (int i = 0; i < 400; i++) {
		char text[60];
		struct got g;
		snprintf(text, sizeof(text), "SELECT id + %d FROM t WHERE id = 1", i % 150);
		assert_int_equal(ask(&p, &g, text, OTD_VALUE_INT), OTD_OK);
		assert_int_equal(g.v[0].i, 1 + i % 150);
	}
	size_t held = otd_instance_memory(p.in);
	for (int i = 0; i < 150; i++) {
		char text[60];
		struct got g;
		snprintf(text, sizeof(text), "SELECT id + %d FROM t WHERE id = 1", i + 200);
		assert_int_equal(ask(&p, &g, text, OTD_VALUE_INT), OTD_OK);
	}
	assert_true(otd_instance_memory(p.in) < held + 4096);
	plug_finish(&p);
}

static void test_second_opener(void **state)
{
	struct plug p;
	struct fixture *f = &p.f;
	(void)state;
	plug_init(&p);
	assert_int_equal(p.ops->open(p.self), OTD_OK);
	assert_int_equal(sql(&p, "CREATE TABLE t(id {key})"), OTD_OK);
	struct otd_plugin_instance *other = fixture_instance(f);
	assert_int_equal(p.ops->open(otd_instance_self(other)), OTD_E_BUSY);
	assert_non_null(strstr(otd_instance_error(other), "another process"));
	p.ops->close(p.self);
	assert_int_equal(p.ops->open(otd_instance_self(other)), OTD_OK);
	assert_int_equal(p.ops->open(p.self), OTD_E_BUSY);
	otd_instance_destroy(other);
	assert_int_equal(p.ops->open(p.self), OTD_OK);
	plug_finish(&p);
}

static void put_file(struct plug *p, const void *data, size_t n, uint64_t at)
{
	const struct otd_files *files = p->f.files;
	struct otd_file *f = NULL;
	assert_int_equal(files->open(files->ctx, &f, "otedama.db",
				     OTD_OPEN_READ | OTD_OPEN_WRITE | OTD_OPEN_CREATE),
			 OTD_OK);
	assert_int_equal(files->write(files->ctx, f, data, n, at), OTD_OK);
	files->close(files->ctx, f);
}

static void test_damaged_files(void **state)
{
	struct plug p;
	uint8_t junk[4096];
	(void)state;
	plug_init(&p);
	memset(junk, 'x', sizeof(junk));
	put_file(&p, junk, sizeof(junk), 0);
	assert_int_equal(p.ops->open(p.self), OTD_E_CORRUPT);
	assert_non_null(strstr(otd_instance_error(p.in), "restore a backup"));
	plug_finish(&p);

	plug_init(&p);
	assert_int_equal(p.ops->open(p.self), OTD_OK);
	assert_int_equal(sql(&p, "CREATE TABLE t(id {key})"), OTD_OK);
	assert_int_equal(sql(&p, "INSERT INTO t DEFAULT VALUES"), OTD_OK);
	p.ops->close(p.self);
	put_file(&p, junk, sizeof(junk), 4096);
	struct got g;
	assert_int_equal(p.ops->open(p.self), OTD_OK);
	assert_int_equal(ask(&p, &g, "SELECT id FROM t", OTD_VALUE_INT), OTD_E_CORRUPT);
	plug_finish(&p);
}

/* After an error that ended the transaction nothing may slip in on its own. */
static void test_lost_transaction(void **state)
{
	struct plug p;
	struct got g;
	(void)state;
	plug_init(&p);
	assert_int_equal(p.ops->open(p.self), OTD_OK);
	assert_int_equal(sql(&p, "CREATE TABLE t(id {key})"), OTD_OK);
	assert_int_equal(p.ops->begin(p.self), OTD_OK);
	assert_int_equal(p.ops->begin(p.self), OTD_E_INVALID);
	assert_int_equal(sql(&p, "INSERT INTO t DEFAULT VALUES"), OTD_OK);
	assert_int_equal(sql(&p, "ROLLBACK"), OTD_OK);
	assert_int_equal(sql(&p, "INSERT INTO t DEFAULT VALUES"), OTD_E_IO);
	assert_int_equal(p.ops->commit(p.self), OTD_E_IO);
	p.ops->rollback(p.self);
	assert_int_equal(ask(&p, &g, "SELECT COUNT(*) FROM t", OTD_VALUE_INT), OTD_OK);
	assert_int_equal(g.v[0].i, 0);
	plug_finish(&p);
}

/* A failed commit: in memory it has not happened, and it says that nobody knows. */
static void test_failed_commit(void **state)
{
	struct plug p;
	struct got g;
	(void)state;
	plug_init(&p);
	assert_int_equal(p.ops->open(p.self), OTD_OK);
	assert_int_equal(sql(&p, "CREATE TABLE t(id {key})"), OTD_OK);
	assert_int_equal(p.ops->begin(p.self), OTD_OK);
	assert_int_equal(sql(&p, "INSERT INTO t DEFAULT VALUES"), OTD_OK);
	disk.with = OTD_E_NOMEM;
	disk.fail_at = disk.ops + 1;
	assert_int_equal(p.ops->commit(p.self), OTD_E_COMMIT_UNKNOWN);
	assert_non_null(strstr(otd_instance_error(p.in), "disk space"));
	disk.fail_at = 0;
	/* What was not synced is not committed, though every byte of it was written. */
	disk.no_sync = true;
	assert_int_equal(p.ops->begin(p.self), OTD_OK);
	assert_int_equal(sql(&p, "INSERT INTO t DEFAULT VALUES"), OTD_OK);
	assert_int_equal(p.ops->commit(p.self), OTD_E_COMMIT_UNKNOWN);
	assert_non_null(strstr(otd_instance_error(p.in), "cannot sync"));
	disk.no_sync = false;
	assert_int_equal(ask(&p, &g, "SELECT COUNT(*) FROM t", OTD_VALUE_INT), OTD_OK);
	assert_int_equal(g.v[0].i, 0);
	assert_int_equal(p.ops->begin(p.self), OTD_OK);
	assert_int_equal(sql(&p, "INSERT INTO t DEFAULT VALUES"), OTD_OK);
	assert_int_equal(p.ops->commit(p.self), OTD_OK);
	plug_finish(&p);
}

#define TURNS 8

/* A posting, and a blob that makes the log grow beyond what one write holds. */
static otd_rc work_turn(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint8_t filler[20000];
	int turn = *(int *)arg;
	char key[16];
	struct otd_entry e[] = {{OTD_ACC_REWARD, 1, -(otd_i128)(turn + 1)},
				{OTD_ACC_MINER, 1, turn + 1}};
	struct otd_posting p = {key, "BTC", "", turn, e, 2};
	struct otd_value v[] = {OTD_INT(turn), OTD_BLOB(filler, sizeof(filler))};
	snprintf(key, sizeof(key), "t/%d", turn);
	otd_rc rc = otd_ledger_post(db, &p, err);
	if (rc == OTD_E_EXISTS)
		return OTD_OK;
	return rc ? rc
		  : otd_db_exec(db,
				"INSERT INTO payout_state(pool_id, scheme, seq, state) VALUES(1, "
				"'s', ?, ?) ON CONFLICT(pool_id, scheme) DO UPDATE SET seq = "
				"excluded.seq, state = excluded.state",
				v, 2, NULL, NULL, err);
}

static otd_rc take_ok(void *ctx, const struct otd_value *c, size_t n)
{
	(void)n;
	*(bool *)ctx = c[0].bytes.len == 2 && memcmp(c[0].bytes.ptr, "ok", 2) == 0;
	return OTD_OK;
}

struct result {
	bool ok;
	uint64_t postings;
	int64_t turns; /* bit by bit */
};

static otd_rc take_turn(void *ctx, const struct otd_value *c, size_t n)
{
	(void)n;
	*(int64_t *)ctx |= INT64_C(1) << c[0].i;
	return OTD_OK;
}

static otd_rc work_check(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t text[] = {OTD_VALUE_TEXT}, number[] = {OTD_VALUE_INT};
	struct result *r = arg;
	otd_rc rc =
		otd_db_query(db, "PRAGMA integrity_check", NULL, 0, text, 1, take_ok, &r->ok, err);
	if (!rc)
		rc = otd_ledger_verify(db, &r->postings, err);
	if (!rc)
		rc = otd_db_query(db, "SELECT time_ms FROM postings", NULL, 0, number, 1, take_turn,
				  &r->turns, err);
	return rc;
}

/* Fails the n-th change of the disk; false: there were fewer. */
static bool fail_at(long n, bool once, otd_rc with)
{
	struct fixture f;
	struct otd_store *s = NULL;
	struct result r = {0};
	int64_t acknowledged = 0, unknown = 0;
	bool reached;
	fixture_init(&f);
	struct otd_plugin_instance *in = fixture_instance(&f);
	disk = (struct disk){.fail_at = n, .once = once, .with = with};
	otd_rc rc = otd_store_create(&s, f.loop, in, &f.err);
	assert_true(rc == OTD_OK || f.err.text[0]);
	for (int turn = 0; !rc && turn < TURNS; turn++) {
		otd_rc t = otd_store_do_now(s, true, work_turn, &turn, &f.err);
		if (!t)
			acknowledged |= INT64_C(1) << turn;
		else if (t == OTD_E_COMMIT_UNKNOWN)
			unknown |= INT64_C(1) << turn;
		assert_true(!t || disk.ops >= n);
		assert_true(!t || t == OTD_E_IO || t == OTD_E_NOMEM || t == OTD_E_COMMIT_UNKNOWN);
	}
	reached = disk.ops >= n;
	otd_store_destroy(s);
	otd_instance_destroy(in);
	memset(&disk, 0, sizeof(disk));
	in = fixture_instance(&f);
	s = fixture_store(&f, in);
	must(&f, s, false, work_check, &r);
	assert_true(r.ok);
	if ((r.turns & acknowledged) != acknowledged || (r.turns & ~(acknowledged | unknown)))
		fail_msg("op %ld: acknowledged %llx, unknown %llx, there %llx", n,
			 (unsigned long long)acknowledged, (unsigned long long)unknown,
			 (unsigned long long)r.turns);
	/* Life goes on. */
	for (int turn = 0; turn < TURNS; turn++)
		must(&f, s, true, work_turn, &turn);
	memset(&r, 0, sizeof(r));
	must(&f, s, false, work_check, &r);
	assert_int_equal(r.postings, TURNS);
	otd_store_destroy(s);
	otd_instance_destroy(in);
	fixture_finish(&f);
	return reached;
}

static void test_disk_full_at_every_place(void **state)
{
	long n = 1;
	(void)state;
	while (fail_at(n, false, OTD_E_NOMEM))
		n++;
	assert_true(n > 60);
	print_message("the disk filled up at each of %ld places\n", n - 1);
}

static void test_one_failure_at_every_place(void **state)
{
	long n = 1;
	(void)state;
	while (fail_at(n, true, OTD_E_IO))
		n++;
	assert_true(n > 60);
	print_message("one failure at each of %ld places\n", n - 1);
}

/* --- a copy while it is in use --- */

/* Steps until the copy is whole; between two of them a turn of work, as a pool does. */
static otd_rc copy_all(struct fixture *f, struct otd_plugin_instance *in, struct otd_store *s,
		       const struct otd_files *to, uint32_t pages, int *turn, int *steps)
{
	const struct otd_store_ops *ops = otd_instance_store(in);
	uint32_t left = 1;
	otd_rc rc = OTD_OK;
	for (*steps = 0; !rc && left; ++*steps) {
		rc = ops->backup_step(otd_instance_self(in), to, pages, &left);
		if (!rc && left && *turn < 60) {
			must(f, s, true, work_turn, turn);
			++*turn;
		}
	}
	return rc;
}

static struct otd_files *copy_folder(struct fixture *f, const struct otd_files *base)
{
	struct otd_files *to = NULL;
	char path[300];
	snprintf(path, sizeof(path), "%s-copy", f->dir);
	assert_int_equal(base->make_dir(base->ctx, path), OTD_OK);
	assert_int_equal(otd_files_rooted_create(&to, base, path), OTD_OK);
	return to;
}

static void remove_copy(struct fixture *f, struct otd_files *to)
{
	char path[300];
	snprintf(path, sizeof(path), "%s-copy", f->dir);
	(void)to->remove(to->ctx, "otedama.db");
	(void)to->remove(to->ctx, "otedama.db-wal");
	otd_files_rooted_destroy(to);
	assert_int_equal(otd_files_real()->remove(NULL, path), OTD_OK);
}

/* Opens the copy as a database of its own and looks at all of it. */
static void check_copy(struct fixture *f, struct otd_files *to, int turns)
{
	const struct otd_files *own = f->files;
	struct result r = {0};
	f->files = to;
	struct otd_plugin_instance *in = fixture_instance(f);
	struct otd_store *s = fixture_store(f, in);
	must(f, s, false, work_check, &r);
	assert_true(r.ok);
	assert_int_equal(r.postings, turns);
	assert_int_equal(r.turns, (INT64_C(1) << turns) - 1);
	otd_store_destroy(s);
	otd_instance_destroy(in);
	f->files = (struct otd_files *)own;
}

static void test_copy_in_use(void **state)
{
	const uint32_t sizes[] = {1, 7, 1u << 30};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct fixture f;
		int turn = 0, steps = 0;
		fixture_init(&f);
		struct otd_plugin_instance *in = fixture_instance(&f);
		struct otd_store *s = fixture_store(&f, in);
		struct otd_files *to = copy_folder(&f, otd_files_real());
		for (; turn < 10; turn++)
			must(&f, s, true, work_turn, &turn);
		assert_int_equal(copy_all(&f, in, s, to, sizes[i], &turn, &steps), OTD_OK);
		assert_true(i < 2 ? steps > 5 && turn > 10 : steps == 1 && turn == 10);
		/* What comes after the last step is not in it, and harms nothing. */
		int after = turn;
		must(&f, s, true, work_turn, &after);
		check_copy(&f, to, turn);
		/* A name that is taken is not written over. */
		uint32_t left = 0;
		assert_int_equal(
			otd_instance_store(in)->backup_step(otd_instance_self(in), to, 5, &left),
			OTD_E_EXISTS);
		otd_store_destroy(s);
		otd_instance_destroy(in);
		remove_copy(&f, to);
		fixture_finish(&f);
	}
}

/* A copy that was begun and given up, by words and by the end of the database. */
static void test_copy_given_up(void **state)
{
	struct fixture f;
	uint32_t left = 0;
	int turn = 0;
	(void)state;
	fixture_init(&f);
	struct otd_plugin_instance *in = fixture_instance(&f);
	const struct otd_store_ops *ops = otd_instance_store(in);
	struct otd_instance *self = otd_instance_self(in);
	struct otd_files *to = copy_folder(&f, otd_files_real());
	assert_int_equal(ops->backup_step(self, to, 1, &left), OTD_E_CLOSED);
	struct otd_store *s = fixture_store(&f, in);
	for (; turn < 10; turn++)
		must(&f, s, true, work_turn, &turn);
	assert_int_equal(ops->backup_step(self, to, 1, &left), OTD_OK);
	assert_true(left > 0);
	assert_int_equal(ops->backup_step(self, NULL, 0, &left), OTD_OK);
	assert_int_equal(to->remove(to->ctx, "otedama.db"), OTD_OK);
	assert_int_equal(ops->backup_step(self, to, 1, &left), OTD_OK);
	otd_store_destroy(s);
	otd_instance_destroy(in);
	remove_copy(&f, to);
	fixture_finish(&f);
}

/* The copy's disk fails at its n-th change; the database itself lies on one that does not. */
static bool copy_fails_at(long n, otd_rc with)
{
	struct fixture f;
	int turn = 0, steps = 0;
	struct result r = {0};
	fixture_init(&f);
	struct otd_files *own = f.files;
	struct otd_files *sound = NULL;
	assert_int_equal(otd_files_rooted_create(&sound, otd_files_real(), f.dir), OTD_OK);
	f.files = sound;
	struct otd_plugin_instance *in = fixture_instance(&f);
	struct otd_store *s = fixture_store(&f, in);
	struct otd_files *to = copy_folder(&f, &disk_files);
	for (; turn < 10; turn++)
		must(&f, s, true, work_turn, &turn);
	disk = (struct disk){.fail_at = n, .with = with};
	otd_rc rc = copy_all(&f, in, s, to, 5, &turn, &steps);
	bool reached = disk.ops >= n;
	memset(&disk, 0, sizeof(disk));
	assert_true(reached ? rc == with : rc == OTD_OK);
	if (reached)
		assert_true(otd_instance_error(in)[0] != 0);
	else
		check_copy(&f, to, turn);
	/* The database knows nothing of it. */
	must(&f, s, true, work_turn, &turn);
	must(&f, s, false, work_check, &r);
	assert_true(r.ok);
	assert_int_equal(r.postings, turn + 1);
	otd_store_destroy(s);
	otd_instance_destroy(in);
	remove_copy(&f, to);
	f.files = own;
	otd_files_rooted_destroy(sound);
	fixture_finish(&f);
	return reached;
}

static void test_copy_onto_a_full_disk(void **state)
{
	long n = 1;
	(void)state;
	while (copy_fails_at(n, OTD_E_NOMEM))
		n++;
	assert_true(n > 20);
	print_message("the copy's disk was full at each of %ld places\n", n - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wide_integers),
		cmocka_unit_test(test_types_and_errors),
		cmocka_unit_test(test_statements),
		cmocka_unit_test(test_second_opener),
		cmocka_unit_test(test_damaged_files),
		cmocka_unit_test(test_lost_transaction),
		cmocka_unit_test(test_failed_commit),
		cmocka_unit_test(test_disk_full_at_every_place),
		cmocka_unit_test(test_one_failure_at_every_place),
		cmocka_unit_test(test_copy_in_use),
		cmocka_unit_test(test_copy_given_up),
		cmocka_unit_test(test_copy_onto_a_full_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
