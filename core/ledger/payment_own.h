/* What the files of payments share. */
#ifndef OTD_LEDGER_PAYMENT_OWN_H
#define OTD_LEDGER_PAYMENT_OWN_H

#include "ledger/payment.h"

#define OTD_PAY_KEY  64u   /* bytes of a posting's key */
#define OTD_PAY_TEXT 1024u /* bytes of a row in the audit log */

/* The row of payments, without parts, coins and transactions. OTD_E_NOT_FOUND. */
otd_rc otd_pay_head(struct otd_db *db, uint64_t id, struct otd_payment *out, struct otd_err *err);
/* Writes now where the row still has state, generation and version of was; else OTD_E_STALE. */
otd_rc otd_pay_swap(struct otd_db *db, const struct otd_payment *was, const struct otd_payment *now,
		    struct otd_err *err);
/* OTD_E_STALE in words: what it is instead of what it must be. */
otd_rc otd_pay_stale(const struct otd_payment *p, const char *wanted, struct otd_err *err);
/* Rows of one query as an array: room for one more, or NULL. */
struct otd_pay_rows {
	void *items;
	size_t n, cap, size;
};
void *otd_pay_room(struct otd_pay_rows *r);
/* Text of a column with its end; false: too long. */
bool otd_pay_take_text(char *to, size_t cap, const struct otd_value *v);
/* One line, cut at cap - 1 bytes, never within a character. */
void otd_pay_line(char *to, size_t cap, const char *from);
otd_rc otd_pay_audit(struct otd_db *db, int64_t time_ms, const char *what, struct otd_err *err,
		     const char *fmt, ...) OTD_PRINTF(5, 6);

/* *yes: it is older than the last restore (otd_pay_restored()). The pool that was lost may have gone on with
   it after the backup was made, so that what this database knows of it is not all there is. */
otd_rc otd_pay_was_restored(struct otd_db *db, const struct otd_payment *p, bool *yes,
			    struct otd_err *err);

/* Parts with what arrives by the version of the generation (0: by none). */
otd_rc otd_pay_load_parts(struct otd_db *db, struct otd_payment *p, uint32_t generation,
			  uint32_t version, struct otd_err *err);
/* Transactions of one generation (below: of all before it), oldest first. */
otd_rc otd_pay_load_txs(struct otd_db *db, uint64_t id, uint32_t generation, bool below,
			bool with_raw, struct otd_pay_tx **txs, size_t *n, struct otd_err *err);
otd_rc otd_pay_load_coins(struct otd_db *db, uint64_t id, uint32_t generation,
			  struct otd_pay_coin **coins, size_t *n, struct otd_err *err);
/* One transaction, without its bytes. OTD_E_NOT_FOUND. */
otd_rc otd_pay_load_tx(struct otd_db *db, uint64_t id, uint32_t generation, uint32_t version,
		       struct otd_pay_tx *out, struct otd_err *err);

/* Of all that is sent by one version, and the sum of coins up to a version. */
otd_rc otd_pay_sum_sent(otd_i128 *out, const struct otd_pay_part *parts, size_t n);
otd_rc otd_pay_sum_coins(otd_i128 *out, const struct otd_pay_coin *coins, size_t n,
			 uint32_t version);

/* Keys of postings. */
void otd_pay_key_reserve(char key[OTD_PAY_KEY], uint64_t id);
void otd_pay_key_paid(char key[OTD_PAY_KEY], uint64_t id, uint32_t generation);
void otd_pay_key_lost(char key[OTD_PAY_KEY], uint64_t id, uint32_t generation);

/* What the audit log says of parts and of a version: computed from what is stored, so that a change by
   hand does not fit any more. */
void otd_pay_reserve_text(char out[OTD_PAY_TEXT], const struct otd_payment *p);
void otd_pay_sign_text(char out[OTD_PAY_TEXT], const struct otd_payment *p,
		       const struct otd_pay_tx *tx);

/* --- payment_verify.c, for otd_ledger_verify() --- */

struct otd_pay_audited {
	uint64_t reserved, txs; /* rows of the audit log so far */
};
/* A row of the audit log, against what is stored. */
otd_rc otd_pay_verify_row(struct otd_db *db, struct otd_pay_audited *seen, int64_t row_id,
			  const char *what, const char *data, struct otd_err *err);
/* After all rows: payments against postings, balances and one another. */
otd_rc otd_pay_verify(struct otd_db *db, const struct otd_pay_audited *seen, struct otd_err *err);

/* SQL: payments p that hold their coins. */
#define OTD_PAY_HOLDS_COINS "(p.state BETWEEN 2 AND 4 OR (p.state = 5 AND p.height = 0))"

static inline bool otd_pay_fallen(const struct otd_payment *p)
{
	return p->state == OTD_PAY_PAID && p->height == 0;
}

#endif
