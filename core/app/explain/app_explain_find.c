/* What a person means by an id: EPOCH-SEQUENCE, a height, a payment's number, a hash or the begin of one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/explain/app_explain.h"
#include "base/text.h"

#define PREFIX_MIN 8 /* hex digits of a hash that are enough to look for */

struct wish {
	bool share, block, payment; /* what it may be; all where no word says */
	bool ban;
	const char *id;
	size_t n;
};

/* What fits so far. More than one: it has to be said more exactly. */
struct match {
	size_t blocks, payments;
	uint64_t epoch, seq, height, payment;
	/* of a hash */
	const char *hex;
	size_t hex_n;
};

static bool word(const char **at, const char *w)
{
	size_t n = strlen(w);
	if (strncmp(*at, w, n) != 0 || ((*at)[n] != ' ' && (*at)[n] != '\0'))
		return false;
	*at += n + ((*at)[n] == ' ');
	return true;
}

static struct wish read_words(const char *at, bool *all)
{
	struct wish w = {0};
	w.share = word(&at, "share");
	w.block = !w.share && word(&at, "block");
	w.payment = !w.share && !w.block && word(&at, "payment");
	w.ban = !w.share && !w.block && !w.payment && word(&at, "ban");
	w.id = at;
	w.n = strcspn(at, " ");
	if (!w.share && !w.block && !w.payment && !w.ban) {
		w.ban = otd_explain_is_ban(w.id, w.n);
		w.share = w.block = w.payment = !w.ban;
	}
	at += w.n + (at[w.n] == ' ');
	*all = word(&at, "all");
	return w;
}

static bool is_pair(const struct wish *w, uint64_t *epoch, uint64_t *seq)
{
	const char *dash = memchr(w->id, '-', w->n);
	size_t left = dash ? (size_t)(dash - w->id) : 0;
	return dash && otd_parse_u64(epoch, w->id, left) == OTD_OK &&
	       otd_parse_u64(seq, dash + 1, w->n - left - 1) == OTD_OK && *seq > 0 &&
	       *epoch <= INT64_MAX && *seq <= INT64_MAX;
}

static bool is_hex(const struct wish *w)
{
	for (size_t i = 0; i < w->n; i++) {
		char c = w->id[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
			return false;
	}
	return w->n >= PREFIX_MIN && w->n <= 64;
}

static otd_rc take_block(void *ctx, const struct otd_value *c, size_t n)
{
	struct match *m = ctx;
	(void)n;
	m->blocks++;
	m->epoch = (uint64_t)c[0].i;
	m->seq = (uint64_t)c[1].i;
	return OTD_OK;
}

static otd_rc take_payment(void *ctx, const struct otd_value *c, size_t n)
{
	struct match *m = ctx;
	(void)n;
	if (m->payments && m->payment == (uint64_t)c[0].i)
		return OTD_OK; /* two versions of one */
	m->payments++;
	m->payment = (uint64_t)c[0].i;
	return OTD_OK;
}

static bool begins_so(const struct match *m, const struct otd_value *v)
{
	char hex[65];
	if (v->type != OTD_VALUE_BLOB || v->bytes.len != 32)
		return false;
	otd_hex_encode_reverse(hex, v->bytes.ptr, 32);
	for (size_t i = 0; i < m->hex_n; i++) {
		char c = m->hex[i];
		if (hex[i] != (c >= 'A' && c <= 'F' ? c + 32 : c))
			return false;
	}
	return true;
}

static otd_rc take_block_hash(void *ctx, const struct otd_value *c, size_t n)
{
	return begins_so(ctx, &c[2]) ? take_block(ctx, c, n) : OTD_OK;
}

static otd_rc take_payment_hash(void *ctx, const struct otd_value *c, size_t n)
{
	return begins_so(ctx, &c[1]) ? take_payment(ctx, c, n) : OTD_OK;
}

static otd_rc by_number(struct match *m, const struct wish *w, uint64_t number, struct otd_db *db,
			struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	const struct otd_value v[] = {OTD_INT(number)};
	otd_rc rc = OTD_OK;
	m->height = number;
	if (number > INT64_MAX)
		return OTD_OK;
	if (w->block)
		rc = otd_db_query(db, "SELECT epoch, share_seq FROM blocks WHERE height = ?", v, 1,
				  wants, 2, take_block, m, err);
	if (rc == OTD_OK && w->payment)
		rc = otd_db_query(db, "SELECT id FROM payments WHERE id = ?", v, 1, wants, 1,
				  take_payment, m, err);
	return rc;
}

static otd_rc by_whole_hash(struct match *m, const struct wish *w, const uint8_t hash[32],
			    struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	const struct otd_value v[] = {OTD_BLOB(hash, 32)};
	otd_rc rc = OTD_OK;
	if (w->block)
		rc = otd_db_query(db, "SELECT epoch, share_seq FROM blocks WHERE hash = ?", v, 1,
				  wants, 2, take_block, m, err);
	if (rc == OTD_OK && w->payment)
		rc = otd_db_query(db, "SELECT payment_id FROM payment_txs WHERE txid = ?", v, 1,
				  wants, 1, take_payment, m, err);
	return rc;
}

/* A hash is shown last byte first, so that its begin is the end of what is stored: all are looked at. */
static otd_rc by_hash(struct match *m, const struct wish *w, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t block[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_BLOB};
	static const uint32_t tx[] = {OTD_VALUE_INT, OTD_VALUE_BLOB};
	otd_rc rc = OTD_OK;
	uint8_t whole[32];
	m->hex = w->id;
	m->hex_n = w->n;
	if (w->n == 64 && otd_hex_decode_reverse(whole, 32, w->id, 64) == OTD_OK)
		return by_whole_hash(m, w, whole, db, err);
	if (w->block)
		rc = otd_db_query(db, "SELECT epoch, share_seq, hash FROM blocks", NULL, 0, block,
				  3, take_block_hash, m, err);
	if (rc == OTD_OK && w->payment)
		rc = otd_db_query(db, "SELECT payment_id, txid FROM payment_txs", NULL, 0, tx, 2,
				  take_payment_hash, m, err);
	return rc;
}

/* --- what to say where it is not found --- */

struct newest {
	uint64_t epoch, seq, block_epoch, block_seq, height, payment;
};

static otd_rc take_newest_share(void *ctx, const struct otd_value *c, size_t n)
{
	struct newest *x = ctx;
	(void)n;
	x->epoch = (uint64_t)c[0].i;
	x->seq = (uint64_t)c[1].i - 1;
	return OTD_OK;
}

static otd_rc take_newest_block(void *ctx, const struct otd_value *c, size_t n)
{
	struct newest *x = ctx;
	(void)n;
	x->block_epoch = (uint64_t)c[0].i;
	x->block_seq = (uint64_t)c[1].i;
	x->height = (uint64_t)c[2].i;
	return OTD_OK;
}

static otd_rc unknown(const struct wish *w, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_INT};
	struct newest x = {0};
	struct otd_err ignored = {0};
	char share[64] = "none yet", block[96] = "none yet", payment[32] = "none yet";
	int64_t last = 0;
	(void)otd_db_query(db,
			   "SELECT epoch, next_seq FROM epochs WHERE next_seq > 1 ORDER BY epoch"
			   " DESC LIMIT 1",
			   NULL, 0, wants, 2, take_newest_share, &x, &ignored);
	(void)otd_db_query(db,
			   "SELECT epoch, share_seq, height FROM blocks ORDER BY id DESC LIMIT 1",
			   NULL, 0, wants, 3, take_newest_block, &x, &ignored);
	(void)otd_db_int(db, "SELECT coalesce(max(id), 0) FROM payments", NULL, 0, &last, &ignored);
	if (x.seq)
		snprintf(share, sizeof(share), "%" PRIu64 "-%" PRIu64, x.epoch, x.seq);
	if (x.block_seq)
		snprintf(block, sizeof(block), "%" PRIu64 "-%" PRIu64 " at height %" PRIu64,
			 x.block_epoch, x.block_seq, x.height);
	if (last)
		snprintf(payment, sizeof(payment), "%lld", (long long)last);
	return otd_fail(err, OTD_E_NOT_FOUND,
			"nothing is known by '%.*s'; say EPOCH-SEQUENCE for a share or block, a "
			"height or hash for a block, a number or txid for a payment (of a hash %d "
			"digits do), 'ban ID' for a ban; newest record: %s; block: %s; payment: %s",
			(int)(w->n < 70 ? w->n : 70), w->id, PREFIX_MIN, share, block, payment);
}

static otd_rc several(const struct wish *w, const struct match *m, struct otd_err *err)
{
	if (m->blocks && m->payments)
		return otd_fail(err, OTD_E_INVALID,
				"'%.*s' is a block and a payment: say 'explain block' or 'explain "
				"payment' before it",
				(int)w->n, w->id);
	return otd_fail(err, OTD_E_INVALID,
			"%zu %s are meant by '%.*s': say its id EPOCH-SEQUENCE, or more of its "
			"hash ('otedama status' shows them)",
			m->blocks + m->payments, m->blocks ? "blocks" : "payments", (int)w->n,
			w->id);
}

/* Whether the block of this share is in SQL, or the epoch is one that has been. */
static otd_rc find_pair(struct otd_explain *x, const struct wish *w, struct otd_db *db,
			struct otd_err *err)
{
	int64_t id = 0, last = 0;
	const struct otd_value v[] = {OTD_INT(x->epoch), OTD_INT(x->seq)};
	otd_rc rc = OTD_E_NOT_FOUND;
	if (w->block)
		rc = otd_db_int(db, "SELECT id FROM blocks WHERE epoch = ? AND share_seq = ?", v, 2,
				&id, err);
	x->kind = rc == OTD_OK ? OTD_EXPLAIN_BLOCK : OTD_EXPLAIN_SHARE;
	if (rc != OTD_E_NOT_FOUND)
		return rc;
	if (!w->share)
		return unknown(w, db, err);
	rc = otd_db_int(db, "SELECT coalesce(max(epoch), 0) FROM epochs", NULL, 0, &last, err);
	/* Epochs of this run that SQL has not heard of yet are a few more at most. */
	if (rc == OTD_OK && (int64_t)x->epoch > last + 256)
		rc = unknown(w, db, err);
	return rc;
}

otd_rc otd_explain_find(struct otd_question *q, struct otd_db *db, struct otd_err *err)
{
	struct otd_explain *x = q->state ? q->state : calloc(1, sizeof(*x));
	struct match m = {0};
	uint64_t number;
	otd_rc rc = OTD_OK;
	if (!x)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	q->state = x;
	struct wish w = read_words(q->words, &x->all);
	if (w.ban) {
		x->kind = OTD_EXPLAIN_BAN;
		return OTD_OK;
	}
	if ((w.share || w.block) && is_pair(&w, &x->epoch, &x->seq))
		return find_pair(x, &w, db, err);
	if (w.n && otd_parse_u64(&number, w.id, w.n) == OTD_OK)
		rc = by_number(&m, &w, number, db, err);
	if (rc == OTD_OK && !m.blocks && !m.payments && is_hex(&w))
		rc = by_hash(&m, &w, db, err);
	if (rc != OTD_OK)
		return rc;
	if (m.blocks + m.payments == 0)
		return unknown(&w, db, err);
	if (m.blocks + m.payments > 1)
		return several(&w, &m, err);
	x->kind = m.blocks ? OTD_EXPLAIN_BLOCK : OTD_EXPLAIN_PAYMENT;
	x->epoch = m.epoch;
	x->seq = m.seq;
	x->payment = m.payment;
	return OTD_OK;
}
