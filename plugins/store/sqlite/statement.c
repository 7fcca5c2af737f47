/* Prepared statements: kept by the text that the host wrote, bound, and read. */
#include "sqlite.h"
#include <string.h>

static const struct {
	const char *word, *type;
} words[] = {
	{"{wide}", "BLOB"}, {"{blob}", "BLOB"},   {"{key}", "INTEGER PRIMARY KEY"},
	{"{text}", "TEXT"}, {"{int}", "INTEGER"},
};

static uint64_t hash_of(const char *s)
{
	uint64_t h = UINT64_C(14695981039346656037);
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
	return h;
}

/* Column types as SQLite says them. What stands in quotes is left alone. NULL: too long. */
static char *rewrite(struct otd_instance *in, const char *sql)
{
	size_t n = strlen(sql), at = 0;
	char *out, quote = 0;
	if (n > SQLITE_SQL_MAX)
		return NULL;
	/* The longest replacement is four times as long as its word at most. */
	out = in->core->alloc(in->host, 4 * n + 1);
	while (out && *sql) {
		size_t w = 0, len = 0;
		if (quote ? *sql == quote : *sql == '\'' || *sql == '"')
			quote = quote ? 0 : *sql;
		for (; !quote && *sql == '{' && w < sizeof(words) / sizeof(words[0]); w++) {
			len = strlen(words[w].word);
			if (strncmp(sql, words[w].word, len) == 0)
				break;
			len = 0;
		}
		if (len) {
			size_t t = strlen(words[w].type);
			memcpy(out + at, words[w].type, t);
			at += t;
			sql += len;
		} else {
			out[at++] = *sql++;
		}
	}
	return out;
}

static otd_rc prepare(struct otd_instance *in, sqlite3_stmt **out, const char *sql)
{
	const char *tail = NULL;
	char *text = rewrite(in, sql);
	otd_rc rc = OTD_OK;
	if (!text) {
		in->core->set_error(in->host, "no memory for a statement of %zu bytes",
				    strlen(sql));
		return OTD_E_NOMEM;
	}
	if (sqlite3_prepare_v3(in->db, text, -1, SQLITE_PREPARE_PERSISTENT, out, &tail)) {
		rc = store_failed(in, sql);
	} else if (!*out || tail[strspn(tail, " \t\n;")]) {
		in->core->set_error(in->host, "not exactly one statement: %.100s", sql);
		(void)sqlite3_finalize(*out);
		*out = NULL;
		rc = OTD_E_INVALID;
	}
	in->core->free(in->host, text);
	return rc;
}

static void drop(struct otd_instance *in, struct store_statement *st)
{
	(void)sqlite3_finalize(st->stmt);
	in->core->free(in->host, st->sql);
	memset(st, 0, sizeof(*st));
}

/* The place that was free or unused for longest; NULL: all are being stepped. */
static struct store_statement *oldest(struct otd_instance *in)
{
	struct store_statement *best = NULL;
	for (size_t i = 0; i < SQLITE_STATEMENTS; i++) {
		struct store_statement *st = &in->statements[i];
		if (!st->busy && (!best || st->used < best->used))
			best = st;
	}
	return best;
}

otd_rc store_prepare(struct otd_instance *in, struct store_statement *out,
		     struct store_statement **cached, const char *sql)
{
	uint64_t hash = hash_of(sql);
	size_t n = strlen(sql);
	struct store_statement *place;
	otd_rc rc;
	memset(out, 0, sizeof(*out));
	*cached = NULL;
	for (size_t i = 0; i < SQLITE_STATEMENTS; i++) {
		struct store_statement *st = &in->statements[i];
		if (!st->stmt || st->hash != hash || strcmp(st->sql, sql) != 0)
			continue;
		if (st->busy) /* asked for within its own rows: one more, for this once */
			return prepare(in, &out->stmt, sql);
		st->busy = true;
		st->used = ++in->uses;
		*out = *st;
		*cached = st;
		return OTD_OK;
	}
	rc = prepare(in, &out->stmt, sql);
	place = rc ? NULL : oldest(in);
	if (!place)
		return rc;
	drop(in, place);
	place->sql = in->core->alloc(in->host, n + 1);
	if (!place->sql)
		return OTD_OK;
	memcpy(place->sql, sql, n + 1);
	place->stmt = out->stmt;
	place->hash = hash;
	place->used = ++in->uses;
	place->busy = true;
	*cached = place;
	return OTD_OK;
}

void store_release(struct otd_instance *in, struct store_statement *st,
		   struct store_statement *cached)
{
	(void)in;
	if (!cached) {
		(void)sqlite3_finalize(st->stmt);
		return;
	}
	(void)sqlite3_reset(st->stmt);
	(void)sqlite3_clear_bindings(st->stmt);
	cached->busy = false;
}

void store_statements_finish(struct otd_instance *in)
{
	for (size_t i = 0; i < SQLITE_STATEMENTS; i++)
		drop(in, &in->statements[i]);
}

/* Big-endian with the sign bit flipped: bytes then sort as the numbers do. */
static void wide_to_bytes(uint8_t out[16], otd_i128 v)
{
	otd_u128 u = (otd_u128)v ^ (otd_u128)1 << 127;
	for (int i = 0; i < 16; i++)
		out[i] = (uint8_t)(u >> (8 * (15 - i)));
}

static otd_i128 wide_from_bytes(const uint8_t *p)
{
	otd_u128 u = 0;
	for (int i = 0; i < 16; i++)
		u = u << 8 | p[i];
	return (otd_i128)(u ^ (otd_u128)1 << 127);
}

static int bind_one(sqlite3_stmt *stmt, int at, const struct otd_value *v)
{
	/* A NULL pointer would bind NULL where an empty value is meant. */
	const void *p = v->bytes.ptr ? (const void *)v->bytes.ptr : "";
	uint8_t wide[16];
	switch (v->type) {
	case OTD_VALUE_NULL: return sqlite3_bind_null(stmt, at);
	case OTD_VALUE_INT: return sqlite3_bind_int64(stmt, at, v->i);
	case OTD_VALUE_WIDE:
		wide_to_bytes(wide, v->wide);
		return sqlite3_bind_blob(stmt, at, wide, sizeof(wide), SQLITE_TRANSIENT);
	case OTD_VALUE_TEXT:
		return sqlite3_bind_text64(stmt, at, p, v->bytes.len, SQLITE_TRANSIENT,
					   SQLITE_UTF8);
	case OTD_VALUE_BLOB:
		return sqlite3_bind_blob64(stmt, at, p, v->bytes.len, SQLITE_TRANSIENT);
	default: return SQLITE_MISUSE;
	}
}

otd_rc store_bind(struct otd_instance *in, sqlite3_stmt *stmt, const struct otd_value *values,
		  size_t stride, size_t n)
{
	int wanted = sqlite3_bind_parameter_count(stmt);
	if (n != (size_t)wanted || (n && stride < sizeof(struct otd_value))) {
		in->core->set_error(in->host, "%zu values for %d places: %.100s", n, wanted,
				    sqlite3_sql(stmt));
		return OTD_E_INVALID;
	}
	for (size_t i = 0; i < n; i++) {
		const void *v = (const uint8_t *)values + i * stride;
		if (bind_one(stmt, (int)i + 1, v))
			return store_failed(in, sqlite3_sql(stmt));
	}
	return OTD_OK;
}

static bool column(sqlite3_stmt *stmt, int at, uint32_t want, struct otd_value *out)
{
	int type = sqlite3_column_type(stmt, at);
	memset(out, 0, sizeof(*out));
	if (type == SQLITE_NULL)
		return true;
	out->type = want;
	switch (want) {
	case OTD_VALUE_INT: out->i = sqlite3_column_int64(stmt, at); return type == SQLITE_INTEGER;
	case OTD_VALUE_WIDE:
		if (type != SQLITE_BLOB || sqlite3_column_bytes(stmt, at) != 16)
			return false;
		out->wide = wide_from_bytes(sqlite3_column_blob(stmt, at));
		return true;
	case OTD_VALUE_TEXT: out->bytes.ptr = sqlite3_column_text(stmt, at); break;
	case OTD_VALUE_BLOB: out->bytes.ptr = sqlite3_column_blob(stmt, at); break;
	default: return false;
	}
	out->bytes.len = (size_t)sqlite3_column_bytes(stmt, at);
	return type == (want == OTD_VALUE_TEXT ? SQLITE_TEXT : SQLITE_BLOB) &&
	       (out->bytes.ptr || !out->bytes.len);
}

otd_rc store_columns(struct otd_instance *in, sqlite3_stmt *stmt, const uint32_t *wants, size_t n,
		     struct otd_value *out)
{
	for (size_t i = 0; i < n; i++) {
		if (column(stmt, (int)i, wants[i], &out[i]))
			continue;
		in->core->set_error(in->host,
				    "%s: column %zu holds what it should not (wanted type %u) in "
				    "the answer to: %.100s",
				    in->opt->path, i + 1, wants[i], sqlite3_sql(stmt));
		return OTD_E_CORRUPT;
	}
	return OTD_OK;
}
