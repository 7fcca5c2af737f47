/* What posting and verification share. */
#ifndef OTD_LEDGER_POSTING_H
#define OTD_LEDGER_POSTING_H

#include "base/bytes.h"
#include "ledger/ledger.h"

#define OTD_LEDGER_REVERSED "/reversed"
#define OTD_LEDGER_KEY_MAX  120u
#define OTD_LEDGER_ROW_KEY  (OTD_LEDGER_KEY_MAX + sizeof(OTD_LEDGER_REVERSED))
#define OTD_LEDGER_ASSET    32u
#define OTD_LEDGER_MEMO     512u
#define OTD_LEDGER_AUDIT    "posting" /* the word in the audit log */
/* Bytes of the audit text of a posting. */
#define OTD_LEDGER_AUDIT_TEXT 1024u

/* A posting as it is stored. */
struct otd_ledger_row {
	int64_t id, time_ms, reversed;
	char key[OTD_LEDGER_ROW_KEY], asset[OTD_LEDGER_ASSET + 1], memo[OTD_LEDGER_MEMO + 1];
	struct otd_entry *entries; /* free() it */
	size_t n;
};

/* By key, or by id where key is NULL. OTD_E_NOT_FOUND: there is none. Free by row_finish. */
otd_rc otd_ledger_load(struct otd_db *db, struct otd_ledger_row *out, const char *key, int64_t id,
		       struct otd_err *err);
void otd_ledger_row_finish(struct otd_ledger_row *r);
/* What the audit log says of a posting: its texts and the SHA-256 of its entries. */
void otd_ledger_audit_text(char out[OTD_LEDGER_AUDIT_TEXT], int64_t id,
			   const struct otd_posting *p);
/* OTD_E_OVERFLOW, or the sum of the amounts. */
otd_rc otd_ledger_sum(otd_i128 *out, const struct otd_entry *entries, size_t n);
bool otd_ledger_may_be_negative(enum otd_account_kind kind);

#endif
