/* The hash chain of the audit log. */
#include "ledger/audit.h"
#include <otedama/sha256.h>
#include <stdlib.h>
#include <string.h>

/* Sizes stand before texts, so that no two rows have the same bytes. */
static void row_hash(uint8_t out[32], const uint8_t prev[32], int64_t time_ms, struct otd_span what,
		     struct otd_span data)
{
	struct otd_sha256 s;
	uint8_t le[24];
	uint64_t v[3] = {(uint64_t)time_ms, what.len, data.len};
	for (size_t i = 0; i < sizeof(le); i++)
		le[i] = (uint8_t)(v[i / 8] >> (8 * (i % 8)));
	otd_sha256_init(&s);
	otd_sha256_update(&s, prev, 32);
	otd_sha256_update(&s, le, sizeof(le));
	otd_sha256_update(&s, what.ptr, what.len);
	otd_sha256_update(&s, data.ptr, data.len);
	otd_sha256_final(&s, out);
}

struct last {
	uint8_t hash[32]; /* zeros before the first row */
	bool wrong;
};

static otd_rc take_last(void *ctx, const struct otd_value *columns, size_t n)
{
	struct last *l = ctx;
	(void)n;
	if (columns[0].type != OTD_VALUE_BLOB || columns[0].bytes.len != 32)
		l->wrong = true;
	else
		memcpy(l->hash, columns[0].bytes.ptr, 32);
	return OTD_OK;
}

otd_rc otd_audit_add(struct otd_db *db, int64_t time_ms, const char *what, const char *data,
		     struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_BLOB};
	struct otd_span w = {(const uint8_t *)what, strlen(what)};
	struct otd_span d = {(const uint8_t *)data, strlen(data)};
	struct last last = {{0}, false};
	uint8_t hash[32];
	otd_rc rc;
	if (!w.len || w.len > OTD_AUDIT_WHAT_MAX || d.len > OTD_AUDIT_DATA_MAX)
		return otd_fail(err, OTD_E_RANGE, "audit: a row of %zu and %zu bytes", w.len,
				d.len);
	rc = otd_db_query(db, "SELECT hash FROM audit ORDER BY id DESC LIMIT 1", NULL, 0, wants, 1,
			  take_last, &last, err);
	if (rc)
		return rc;
	if (last.wrong)
		return otd_fail(err, OTD_E_CORRUPT,
				"audit: the last row has no hash: run 'otedama ledger verify'");
	row_hash(hash, last.hash, time_ms, w, d);
	struct otd_value v[] = {OTD_INT(time_ms), OTD_TEXT(what), OTD_TEXT(data),
				OTD_BLOB(last.hash, 32), OTD_BLOB(hash, 32)};
	return otd_db_exec(db,
			   "INSERT INTO audit(time_ms, what, data, prev, hash) VALUES(?,?,?,?,?)",
			   v, 5, NULL, NULL, err);
}

/* One row, copied: each() may ask the database while no other query is open. */
struct row {
	bool there, wrong;
	int64_t id;
	char what[OTD_AUDIT_WHAT_MAX + 1];
	char *data; /* OTD_AUDIT_DATA_MAX + 1 bytes */
};

struct walk {
	struct row row;
	uint8_t prev[32];
};

static bool same_hash(const struct otd_value *v, const uint8_t hash[32])
{
	return v->type == OTD_VALUE_BLOB && v->bytes.len == 32 &&
	       memcmp(v->bytes.ptr, hash, 32) == 0;
}

static otd_rc take_row(void *ctx, const struct otd_value *c, size_t n)
{
	struct walk *w = ctx;
	struct otd_span what = c[2].bytes, data = c[3].bytes;
	uint8_t hash[32];
	(void)n;
	w->row.there = true;
	w->row.id = c[0].i;
	if (what.len > OTD_AUDIT_WHAT_MAX || data.len > OTD_AUDIT_DATA_MAX) {
		w->row.wrong = true;
		return OTD_OK;
	}
	row_hash(hash, w->prev, c[1].i, what, data);
	w->row.wrong = !same_hash(&c[4], w->prev) || !same_hash(&c[5], hash);
	memcpy(w->prev, hash, 32);
	if (what.len)
		memcpy(w->row.what, what.ptr, what.len);
	w->row.what[what.len] = 0;
	if (data.len)
		memcpy(w->row.data, data.ptr, data.len);
	w->row.data[data.len] = 0;
	return OTD_OK;
}

otd_rc otd_audit_verify(struct otd_db *db, uint64_t *rows, otd_audit_fn each, void *arg,
			struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_TEXT,
					 OTD_VALUE_TEXT, OTD_VALUE_BLOB, OTD_VALUE_BLOB};
	struct walk w = {.row = {.id = INT64_MIN}};
	uint64_t count = 0;
	otd_rc rc = OTD_OK;
	w.row.data = malloc(OTD_AUDIT_DATA_MAX + 1);
	if (!w.row.data)
		return otd_fail(err, OTD_E_NOMEM, "audit: no memory");
	for (;;) {
		struct otd_value v[] = {OTD_INT(w.row.id)};
		w.row.there = false;
		rc = otd_db_query(db,
				  "SELECT id, time_ms, what, data, prev, hash FROM audit"
				  " WHERE id > ? ORDER BY id LIMIT 1",
				  v, 1, wants, 6, take_row, &w, err);
		if (rc || !w.row.there)
			break;
		if (w.row.wrong) {
			rc = otd_fail(err, OTD_E_CORRUPT,
				      "audit: row %lld or the one before was changed or taken out: "
				      "its hash does not follow; compare with a backup",
				      (long long)w.row.id);
			break;
		}
		count++;
		rc = each ? each(arg, w.row.id, w.row.what, w.row.data) : OTD_OK;
		if (rc)
			break;
	}
	free(w.row.data);
	if (rows)
		*rows = count;
	return rc;
}
