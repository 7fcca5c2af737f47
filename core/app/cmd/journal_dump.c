#include "app/cmd/journal_dump.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/text.h"
#include "pool/journal/record.h"

/* A line in the making: the same fields either way. */
struct line {
	json_t *o;
	bool failed;
};

static void put(struct line *l, const char *key, json_t *value)
{
	if (json_object_set_new(l->o, key, value) != 0)
		l->failed = true;
}

static void put_n(struct line *l, const char *key, uint64_t n)
{
	put(l, key, json_integer((json_int_t)n));
}

/* Texts were checked when they came; a journal may be from elsewhere: what is no UTF-8 is shown as hex. */
static void put_text(struct line *l, const char *key, const uint8_t *p, size_t n)
{
	json_t *s = json_stringn((const char *)p, n);
	char *hex = s ? NULL : malloc(2 * n + 1);
	if (!s && hex) {
		otd_hex_encode(hex, p, n);
		hex[2 * n] = '\0';
		s = json_string(hex);
	}
	free(hex);
	put(l, key, s);
}

static void put_hex(struct line *l, const char *key, const uint8_t *p, size_t n, bool reverse)
{
	char *hex = malloc(2 * n + 1);
	if (!hex) {
		l->failed = true;
		return;
	}
	(reverse ? otd_hex_encode_reverse : otd_hex_encode)(hex, p, n);
	hex[2 * n] = '\0';
	put(l, key, json_string(hex));
	free(hex);
}

static void put_wide(struct line *l, const char *key, const uint8_t le[16])
{
	char text[OTD_I128_TEXT];
	otd_u128 v = 0;
	for (int i = 15; i >= 0; i--)
		v = v << 8 | le[i];
	put(l, key, json_string(otd_format_i128(text, (otd_i128)v)));
}

static void put_time(struct line *l, int64_t ms)
{
	char text[64], day[40];
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	if (ms < 0 || !gmtime_r(&s, &tm) || !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm))
		snprintf(text, sizeof(text), "%" PRId64, ms);
	else
		snprintf(text, sizeof(text), "%s.%03dZ", day, (int)(ms % 1000));
	put(l, "time", json_string(text));
}

/* --- the records --- */

static void put_worker(struct line *l, struct otd_span p)
{
	struct otd_rec_worker r;
	memcpy(&r, p.ptr, sizeof(r));
	const uint8_t *text = p.ptr + sizeof(r);
	const struct {
		const char *key;
		size_t n;
	} part[] = {{"pool", r.pool_len},
		    {"account", r.account_len},
		    {"name", r.name_len},
		    {"scheme", r.scheme_len}};
	put_n(l, "worker", r.worker);
	for (int i = 0; i < 4; i++) {
		if (part[i].n || i < 3)
			put_text(l, part[i].key, text, part[i].n);
		text += part[i].n;
	}
}

static void put_job(struct line *l, struct otd_span p)
{
	struct otd_rec_job r;
	memcpy(&r, p.ptr, sizeof(r));
	put_n(l, "job", r.job);
	put_text(l, "pool", p.ptr + sizeof(r), r.pool_len);
	put_n(l, "height", r.height);
	put_wide(l, "network_work", r.network_work);
}

static void put_share(struct line *l, struct otd_span p)
{
	struct otd_rec_share r;
	memcpy(&r, p.ptr, sizeof(r));
	put_n(l, "worker", r.worker);
	put_n(l, "job", r.job);
	put_time(l, r.time_ms);
	put_wide(l, "work", r.work);
	put_hex(l, "hash_top", r.hash_le, sizeof(r.hash_le), true);
}

static void put_block(struct line *l, struct otd_span p)
{
	struct otd_rec_block r;
	memcpy(&r, p.ptr, sizeof(r));
	put_n(l, "worker", r.worker);
	put_n(l, "job", r.job);
	put_time(l, r.time_ms);
	put_n(l, "share", r.share_seq);
	put_n(l, "height", r.height);
	put_wide(l, "value", r.value);
	put_hex(l, "hash", r.hash, 32, true);
	put_hex(l, "prev", r.prev, 32, true);
	put_hex(l, "header", p.ptr + sizeof(r), r.header_len, false);
	put_n(l, "coinbase_bytes", r.coinbase_len);
}

static void put_refused(struct line *l, struct otd_span p)
{
	struct otd_rec_refused r;
	memcpy(&r, p.ptr, sizeof(r));
	put_n(l, "worker", r.worker);
	put(l, "reason", json_string(otd_share_verdict_name((enum otd_share_verdict)r.reason)));
	put_n(l, "count", r.count);
	put_time(l, r.time_ms);
}

static void put_batch(struct line *l, struct otd_span p)
{
	struct otd_rec_batch r;
	memcpy(&r, p.ptr, sizeof(r));
	put_n(l, "epoch", r.epoch);
	put_n(l, "first", r.first);
	put_n(l, "last", r.last);
}

static void put_verdict(struct line *l, struct otd_span p)
{
	struct otd_rec_verdict r;
	char share[48];
	memcpy(&r, p.ptr, sizeof(r));
	snprintf(share, sizeof(share), "%" PRIu64 "-%" PRIu64, r.epoch, r.share_seq);
	put(l, "block", json_string(share));
	put(l, "state", json_string(otd_block_state_name((enum otd_block_state)r.state)));
	put_n(l, "confirmations", r.confirmations);
	put_time(l, r.time_ms);
}

static void put_fee(struct line *l, uint32_t ppm)
{
	if (ppm == OTD_FEE_OF_POOL)
		put(l, "fee_ppm", json_string("the pool's"));
	else
		put_n(l, "fee_ppm", ppm);
}

static void put_terms(struct line *l, struct otd_span p)
{
	struct otd_rec_terms r;
	memcpy(&r, p.ptr, sizeof(r));
	put_text(l, "pool", p.ptr + sizeof(r), r.pool_len);
	put_fee(l, r.fee_ppm);
	put_time(l, r.time_ms);
}

/* Behind the texts, where there are any; one that is cut off is left out. */
static void put_recipients(struct line *l, struct otd_span p, size_t at)
{
	json_t *list = json_array();
	uint16_t n = 0, len;
	uint32_t ppm;
	if (p.len >= at + sizeof(n))
		memcpy(&n, p.ptr + at, sizeof(n));
	at += sizeof(n);
	for (size_t i = 0; i < n && p.len >= at + 6; i++) {
		memcpy(&ppm, p.ptr + at, 4);
		memcpy(&len, p.ptr + at + 4, 2);
		at += 6;
		if (p.len - at < len)
			break;
		(void)json_array_append_new(list, json_pack("{s:s%, s:I}", "address", p.ptr + at,
							    (size_t)len, "ppm", (json_int_t)ppm));
		at += len;
	}
	if (json_array_size(list))
		put(l, "recipients", list);
	else
		json_decref(list);
}

static void put_account_terms(struct line *l, struct otd_span p)
{
	struct otd_rec_account_terms r;
	memcpy(&r, p.ptr, sizeof(r));
	put_text(l, "pool", p.ptr + sizeof(r), r.pool_len);
	put_text(l, "account", p.ptr + sizeof(r) + r.pool_len, r.account_len);
	put_fee(l, r.fee_ppm);
	put_recipients(l, p, sizeof(r) + r.pool_len + r.account_len);
	put_time(l, r.time_ms);
}

/* Bytes that must be there: the struct's, and those of the texts whose lengths stand in it. */
static size_t need_worker(struct otd_span p)
{
	struct otd_rec_worker r;
	memcpy(&r, p.ptr, sizeof(r));
	return (size_t)r.pool_len + r.account_len + r.name_len + r.scheme_len;
}

static size_t need_job(struct otd_span p)
{
	struct otd_rec_job r;
	memcpy(&r, p.ptr, sizeof(r));
	return r.pool_len;
}

static size_t need_block(struct otd_span p)
{
	struct otd_rec_block r;
	memcpy(&r, p.ptr, sizeof(r));
	return (size_t)r.header_len + r.coinbase_len;
}

static size_t need_terms(struct otd_span p)
{
	struct otd_rec_terms r;
	memcpy(&r, p.ptr, sizeof(r));
	return r.pool_len;
}

static size_t need_account_terms(struct otd_span p)
{
	struct otd_rec_account_terms r;
	memcpy(&r, p.ptr, sizeof(r));
	return (size_t)r.pool_len + r.account_len;
}

static const struct kind {
	uint16_t type;
	const char *name;
	size_t bytes;
	void (*put)(struct line *l, struct otd_span p);
	size_t (*need)(struct otd_span p);
	/* where the worker's number and the time stand; -1: nowhere */
	int worker_at, time_at;
} kinds[] = {
	{OTD_REC_WORKER, "worker", sizeof(struct otd_rec_worker), put_worker, need_worker, 0, -1},
	{OTD_REC_JOB, "job", sizeof(struct otd_rec_job), put_job, need_job, -1, -1},
	{OTD_REC_SHARE, "share", sizeof(struct otd_rec_share), put_share, NULL, 0, 8},
	{OTD_REC_BLOCK, "block", sizeof(struct otd_rec_block), put_block, need_block, 0, 8},
	{OTD_REC_REFUSED, "refused", sizeof(struct otd_rec_refused), put_refused, NULL, 0, 16},
	{OTD_REC_BATCH, "batch", sizeof(struct otd_rec_batch), put_batch, NULL, -1, -1},
	{OTD_REC_VERDICT, "verdict", sizeof(struct otd_rec_verdict), put_verdict, NULL, -1, 24},
	{OTD_REC_TERMS, "terms", sizeof(struct otd_rec_terms), put_terms, need_terms, -1, 0},
	{OTD_REC_ACCOUNT_TERMS, "account-terms", sizeof(struct otd_rec_account_terms),
	 put_account_terms, need_account_terms, -1, 0},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* NULL: not one that this program knows, or too short for what it says. */
static const struct kind *kind_of(const struct otd_dump_record *r)
{
	for (size_t i = 0; i < N_KINDS; i++) {
		const struct kind *k = &kinds[i];
		if (k->type == r->type)
			return r->payload.len < k->bytes || (k->need && r->payload.len - k->bytes <
										k->need(r->payload))
				       ? NULL
				       : k;
	}
	return NULL;
}

uint16_t otd_dump_type(const char *name)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].type;
	return 0;
}

/* --- which are wanted --- */

static bool is(const char *want, size_t want_n, const uint8_t *p, size_t n)
{
	return want_n == n && memcmp(want, p, n) == 0;
}

/* A definition of the worker that is asked for: its number is kept. */
static otd_rc know_worker(struct otd_dump *d, struct otd_span p)
{
	struct otd_rec_worker r;
	memcpy(&r, p.ptr, sizeof(r));
	const uint8_t *account = p.ptr + sizeof(r) + r.pool_len, *name = account + r.account_len;
	size_t n = strlen(d->worker);
	uint64_t number;
	bool hit = is(d->worker, n, account, r.account_len) || is(d->worker, n, name, r.name_len) ||
		   (n == (size_t)r.account_len + 1 + r.name_len &&
		    is(d->worker, r.account_len, account, r.account_len) &&
		    d->worker[r.account_len] == '.' &&
		    is(d->worker + r.account_len + 1, r.name_len, name, r.name_len)) ||
		   (otd_parse_u64(&number, d->worker, n) == OTD_OK && number == r.worker);
	return hit ? otd_map_put(d->wanted, &r.worker, sizeof(r.worker), 1) : OTD_OK;
}

static bool in_time(const struct otd_dump *d, const struct kind *k, const uint8_t *p)
{
	int64_t ms;
	if (d->from_ms == 0 && d->to_ms == INT64_MAX)
		return true;
	if (!k || k->time_at < 0)
		return false;
	memcpy(&ms, p + k->time_at, sizeof(ms));
	return ms >= d->from_ms && ms <= d->to_ms;
}

static bool wanted(const struct otd_dump *d, const struct kind *k, const struct otd_dump_record *r)
{
	uint32_t worker;
	uint64_t one;
	if (r->seq < d->from_seq || r->seq > d->to_seq)
		return false;
	if (d->types && (r->type > 63 || !(d->types >> r->type & 1)))
		return false;
	if (!in_time(d, k, r->payload.ptr))
		return false;
	if (!d->worker)
		return true;
	if (!k || k->worker_at < 0)
		return false;
	memcpy(&worker, r->payload.ptr + k->worker_at, sizeof(worker));
	return otd_map_get(d->wanted, &worker, sizeof(worker), &one);
}

/* --- out --- */

static void print_text(const struct otd_dump *d, const struct otd_dump_record *r, const char *name,
		       json_t *fields)
{
	const char *slash = strrchr(r->path, '/'), *key;
	char quoted[600];
	json_t *value;
	if (d->epoch)
		printf("%" PRIu64 "-%" PRIu64 " %s", d->epoch, r->seq, name);
	else
		printf("coordinator-%" PRIu64 " %s", r->seq, name);
	json_object_foreach(fields, key, value)
	{
		const char *s = json_string_value(value);
		if (s)
			printf(" %s=%s", key,
			       strlen(s) > 256
				       ? s
				       : otd_log_quote(quoted, sizeof(quoted), s, strlen(s)));
		else
			printf(" %s=%" JSON_INTEGER_FORMAT, key, json_integer_value(value));
	}
	printf("%s group=%u at=%s:%" PRIu64 "\n", r->restated ? " restated" : "", r->group,
	       slash ? slash + 1 : r->path, r->offset);
}

static void print_json(const struct otd_dump *d, const struct otd_dump_record *r, const char *name,
		       json_t *fields)
{
	json_t *o = json_pack("{s:I, s:I, s:s, s:O, s:b, s:i, s:s, s:I}", "epoch",
			      (json_int_t)d->epoch, "sequence", (json_int_t)r->seq, "type", name,
			      "record", fields, "restated", (int)r->restated, "group",
			      (int)r->group, "file", r->path, "offset", (json_int_t)r->offset);
	char *s = json_dumps(o, JSON_COMPACT);
	printf("%s\n", s ? s : "{}");
	free(s);
	json_decref(o);
}

otd_rc otd_dump_begin(struct otd_dump *d, uint64_t epoch, struct otd_err *err)
{
	static const uint8_t seed[16]; /* numbers of our own: nobody chooses them */
	d->epoch = epoch;
	otd_map_destroy(d->wanted);
	d->wanted = otd_map_create(seed, 1u << 24);
	return d->wanted ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
}

otd_rc otd_dump_record(struct otd_dump *d, const struct otd_dump_record *r, struct otd_err *err)
{
	const struct kind *k = kind_of(r);
	char unknown[32];
	if (k && d->worker && r->type == OTD_REC_WORKER && know_worker(d, r->payload) != OTD_OK)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (!wanted(d, k, r))
		return OTD_OK;
	struct line l = {.o = json_object()};
	snprintf(unknown, sizeof(unknown), "type-%u", r->type);
	if (k)
		k->put(&l, r->payload);
	else
		put_hex(&l, "payload", r->payload.ptr, r->payload.len, false);
	if (l.failed) {
		json_decref(l.o);
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	}
	(d->json ? print_json : print_text)(d, r, k ? k->name : unknown, l.o);
	json_decref(l.o);
	return ferror(stdout) ? otd_fail(err, OTD_E_IO, "cannot write the output") : OTD_OK;
}

void otd_dump_finish(struct otd_dump *d)
{
	otd_map_destroy(d->wanted);
	d->wanted = NULL;
}
