#include "pool/backup/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <otedama/sha256.h>

#include "base/text.h"

#define FORMAT    1
#define FILES_MAX 1000000
#define SHA_TEXT  64

void otd_manifest_finish(struct otd_manifest *m)
{
	for (size_t i = 0; i < m->n_files; i++)
		free(m->files[i].path);
	free(m->files);
	free(m->about.pools);
	free(m->about.sums);
	*m = (struct otd_manifest){0};
}

otd_rc otd_manifest_add_pool(struct otd_manifest *m, const struct otd_manifest_pool *p)
{
	if (m->about.n_pools == OTD_MANIFEST_POOLS)
		return OTD_E_RANGE;
	struct otd_manifest_pool *more =
		realloc(m->about.pools, (m->about.n_pools + 1) * sizeof(*more));
	if (!more)
		return OTD_E_NOMEM;
	m->about.pools = more;
	more[m->about.n_pools++] = *p;
	return OTD_OK;
}

otd_rc otd_manifest_add_sum(struct otd_manifest *m, uint32_t kind, const char *asset,
			    otd_i128 units)
{
	for (size_t i = 0; i < m->about.n_sums; i++) {
		struct otd_manifest_sum *s = &m->about.sums[i];
		if (s->kind == kind && strcmp(s->asset, asset) == 0)
			return __builtin_add_overflow(s->units, units, &s->units) ? OTD_E_OVERFLOW
										  : OTD_OK;
	}
	if (m->about.n_sums == OTD_MANIFEST_SUMS || strlen(asset) >= sizeof(m->about.sums->asset))
		return OTD_E_RANGE;
	struct otd_manifest_sum *more =
		realloc(m->about.sums, (m->about.n_sums + 1) * sizeof(*more));
	if (!more)
		return OTD_E_NOMEM;
	m->about.sums = more;
	more += m->about.n_sums++;
	*more = (struct otd_manifest_sum){.kind = kind, .units = units};
	memcpy(more->asset, asset, strlen(asset) + 1);
	return OTD_OK;
}

otd_rc otd_manifest_add_file(struct otd_manifest *m, const char *path, uint64_t bytes,
			     const uint8_t sha256[32])
{
	size_t n = strlen(path) + 1;
	if (m->n_files == FILES_MAX || n > OTD_MANIFEST_PATH)
		return OTD_E_RANGE;
	if (m->n_files == m->cap_files) {
		size_t cap = m->cap_files ? 2 * m->cap_files : 64;
		struct otd_manifest_file *more = realloc(m->files, cap * sizeof(*more));
		if (!more)
			return OTD_E_NOMEM;
		m->files = more;
		m->cap_files = cap;
	}
	struct otd_manifest_file *f = &m->files[m->n_files];
	f->path = malloc(n);
	if (!f->path)
		return OTD_E_NOMEM;
	memcpy(f->path, path, n);
	f->bytes = bytes;
	memcpy(f->sha256, sha256, 32);
	m->n_files++;
	return OTD_OK;
}

uint64_t otd_manifest_bytes(const struct otd_manifest *m)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < m->n_files; i++)
		sum += m->files[i].bytes;
	return sum;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct otd_manifest_file *)a)->path,
		      ((const struct otd_manifest_file *)b)->path);
}

void otd_manifest_sort(struct otd_manifest *m)
{
	if (m->n_files)
		qsort(m->files, m->n_files, sizeof(*m->files), by_path);
}

void otd_manifest_write(const struct otd_manifest *m, struct otd_bytes *out)
{
	const struct otd_manifest_about *a = &m->about;
	size_t start = out->len;
	uint8_t sha[32];
	char number[OTD_I128_TEXT];
	(void)otd_bytes_format(out,
			       "otedama-backup %d\nversion %s\nschema %" PRId64 "\ntime_ms %" PRId64
			       "\nposition %" PRIu64 "\nrunning %s\n",
			       FORMAT, a->version, a->schema, a->time_ms, a->position,
			       a->running ? "yes" : "no");
	for (size_t i = 0; i < a->n_pools; i++)
		(void)otd_bytes_format(out, "pool %" PRIu64 " %s %s\n", a->pools[i].id,
				       a->pools[i].asset, a->pools[i].name);
	if (a->block_hash[0])
		(void)otd_bytes_format(out, "block %" PRIu64 " %s %" PRId64 " %s\n",
				       a->block_height, a->block_hash, a->block_ms, a->block_pool);
	for (size_t i = 0; i < a->n_sums; i++)
		(void)otd_bytes_format(out, "sum %u %s %s\n", a->sums[i].kind,
				       otd_format_i128(number, a->sums[i].units), a->sums[i].asset);
	(void)otd_bytes_text(out, "secrets no\n");
	for (size_t i = 0; i < m->n_files; i++) {
		(void)otd_bytes_format(out, "file %" PRIu64 " ", m->files[i].bytes);
		(void)otd_bytes_hex(out, m->files[i].sha256, 32);
		(void)otd_bytes_format(out, " %s\n", m->files[i].path);
	}
	if (out->failed)
		return;
	otd_sha256(sha, out->ptr + start, out->len - start);
	(void)otd_bytes_text(out, "end ");
	(void)otd_bytes_hex(out, sha, 32);
	(void)otd_bytes_text(out, "\n");
}

/* --- reading --- */

struct reader {
	const char *at, *end; /* of the line that is read; end is its newline */
	bool bad;
};

/* The next word of the line, "" where there is none; one blank between words. */
static struct otd_span word(struct reader *r)
{
	const char *s = r->at;
	size_t left = (size_t)(r->end - r->at);
	const char *blank = memchr(s, ' ', left);
	size_t n = blank ? (size_t)(blank - s) : left;
	r->bad = r->bad || n == 0;
	r->at += blank ? n + 1 : n;
	r->bad = r->bad || (blank && r->at == r->end);
	return (struct otd_span){(const uint8_t *)s, n};
}

static uint64_t number(struct reader *r)
{
	uint64_t v = 0;
	struct otd_span w = word(r);
	if (otd_parse_u64(&v, (const char *)w.ptr, w.len) != OTD_OK)
		r->bad = true;
	return v;
}

static int64_t positive(struct reader *r)
{
	uint64_t v = number(r);
	r->bad = r->bad || v > INT64_MAX;
	return (int64_t)(v & INT64_MAX);
}

static void take_text(struct reader *r, char *to, size_t cap, struct otd_span w)
{
	if (w.len >= cap || memchr(w.ptr, 0, w.len)) {
		r->bad = true;
		to[0] = '\0';
		return;
	}
	memcpy(to, w.ptr, w.len);
	to[w.len] = '\0';
}

static struct otd_span rest(struct reader *r)
{
	struct otd_span w = {(const uint8_t *)r->at, (size_t)(r->end - r->at)};
	r->bad = r->bad || w.len == 0;
	r->at = r->end;
	return w;
}

static void sha(struct reader *r, uint8_t to[32])
{
	struct otd_span w = word(r);
	size_t n = 0;
	if (w.len != SHA_TEXT || otd_hex_decode(to, 32, &n, (const char *)w.ptr, w.len) != OTD_OK)
		r->bad = true;
}

/* Stays below the folder that it is put in, and is printable. */
static bool path_ok(const char *path)
{
	if (path[0] == '\0' || path[0] == '/')
		return false;
	for (const char *p = path; *p; p++) {
		bool start = p == path || p[-1] == '/';
		if ((unsigned char)*p < 0x20 || *p == 0x7f || (start && *p == '/'))
			return false;
		if (start && p[0] == '.' && (p[1] == '/' || p[1] == '\0'))
			return false;
		if (start && p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0'))
			return false;
	}
	return path[strlen(path) - 1] != '/';
}

static bool is(struct otd_span w, const char *text)
{
	return w.len == strlen(text) && memcmp(w.ptr, text, w.len) == 0;
}

static otd_rc read_file(struct otd_manifest *m, struct reader *r)
{
	char path[OTD_MANIFEST_PATH];
	uint8_t hash[32] = {0};
	uint64_t bytes = number(r);
	sha(r, hash);
	take_text(r, path, sizeof(path), rest(r));
	r->bad = r->bad || !path_ok(path);
	/* Sorted by bytes, so that none is there twice. */
	r->bad = r->bad || (m->n_files && strcmp(m->files[m->n_files - 1].path, path) >= 0);
	return r->bad ? OTD_OK : otd_manifest_add_file(m, path, bytes, hash);
}

static otd_rc read_sum(struct otd_manifest *m, struct reader *r)
{
	char asset[32] = "";
	otd_i128 units = 0;
	uint64_t kind = number(r);
	struct otd_span w = word(r);
	if (otd_parse_i128(&units, (const char *)w.ptr, w.len) != OTD_OK || kind > UINT32_MAX)
		r->bad = true;
	take_text(r, asset, sizeof(asset), rest(r));
	return r->bad ? OTD_OK : otd_manifest_add_sum(m, (uint32_t)kind, asset, units);
}

static otd_rc read_pool(struct otd_manifest *m, struct reader *r)
{
	struct otd_manifest_pool p = {.id = number(r)};
	take_text(r, p.asset, sizeof(p.asset), word(r));
	take_text(r, p.name, sizeof(p.name), rest(r));
	return r->bad ? OTD_OK : otd_manifest_add_pool(m, &p);
}

static otd_rc read_line(struct otd_manifest *m, struct reader *r)
{
	struct otd_manifest_about *a = &m->about;
	struct otd_span key = word(r);
	if (is(key, "file"))
		return read_file(m, r);
	if (is(key, "sum"))
		return read_sum(m, r);
	if (is(key, "pool"))
		return read_pool(m, r);
	if (is(key, "version")) {
		take_text(r, a->version, sizeof(a->version), rest(r));
	} else if (is(key, "schema")) {
		a->schema = positive(r);
	} else if (is(key, "time_ms")) {
		a->time_ms = positive(r);
	} else if (is(key, "position")) {
		a->position = number(r);
	} else if (is(key, "running")) {
		a->running = is(rest(r), "yes");
	} else if (is(key, "block")) {
		a->block_height = number(r);
		take_text(r, a->block_hash, sizeof(a->block_hash), word(r));
		a->block_ms = positive(r);
		take_text(r, a->block_pool, sizeof(a->block_pool), rest(r));
	} else if (is(key, "secrets")) {
		r->bad = r->bad || !is(rest(r), "no");
	} else {
		r->bad = true;
	}
	r->bad = r->bad || r->at != r->end;
	return OTD_OK;
}

static otd_rc cut_short(struct otd_err *err)
{
	return otd_fail(
		err, OTD_E_CORRUPT,
		"MANIFEST: cut short or changed: it does not end with the hash of itself; take "
		"another backup");
}

/* The last line, and that it is the hash of the rest. */
static otd_rc check_end(struct otd_span *text, struct otd_err *err)
{
	const size_t n = 4 + SHA_TEXT + 1;
	uint8_t is_sha[32], want[32];
	size_t len = 0;
	if (text->len < n || memcmp(text->ptr + text->len - n, "end ", 4) != 0 ||
	    text->ptr[text->len - 1] != '\n' ||
	    otd_hex_decode(want, 32, &len, (const char *)text->ptr + text->len - n + 4, SHA_TEXT))
		return cut_short(err);
	text->len -= n;
	otd_sha256(is_sha, text->ptr, text->len);
	return memcmp(is_sha, want, 32) == 0 ? OTD_OK : cut_short(err);
}

otd_rc otd_manifest_read(struct otd_manifest *m, struct otd_span text, struct otd_err *err)
{
	static const char head[] = "otedama-backup ";
	if (text.len < sizeof(head) || memcmp(text.ptr, head, sizeof(head) - 1) != 0)
		return otd_fail(err, OTD_E_CORRUPT, "MANIFEST: not that of a backup by otedama");
	otd_rc rc = check_end(&text, err);
	size_t line = 1;
	for (const char *at = (const char *)text.ptr, *end = at + text.len;
	     rc == OTD_OK && at < end; line++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		struct reader r = {at, newline, false};
		if (!newline)
			return otd_fail(err, OTD_E_CORRUPT, "MANIFEST:%zu: not ended", line);
		if (line == 1) {
			(void)word(&r);
			uint64_t format = number(&r);
			if (r.bad || format != FORMAT)
				return otd_fail(
					err, OTD_E_VERSION,
					"MANIFEST: of another format than %d: this backup was "
					"made by a newer otedama; update otedama",
					FORMAT);
		} else {
			rc = read_line(m, &r);
		}
		if (r.bad)
			return otd_fail(err, OTD_E_CORRUPT, "MANIFEST:%zu: not understood: %.60s",
					line, "made by something else, or changed by hand");
		if (rc)
			return otd_fail(err, rc, "MANIFEST:%zu: %s", line, otd_rc_name(rc));
		at = newline + 1;
	}
	if (rc == OTD_OK && (!m->about.version[0] || m->about.schema <= 0 || m->n_files == 0))
		rc = otd_fail(err, OTD_E_CORRUPT,
			      "MANIFEST: no version, no schema or no file in it");
	return rc;
}
