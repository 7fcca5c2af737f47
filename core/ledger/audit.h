/*
 * The audit log: rows that each bear the SHA-256 of the row before, so that nothing in the middle
 * can be changed or taken out without every later hash being wrong. What moves money or decides
 * about it goes here in the transaction that does it. [store], inside the caller's transaction.
 */
#ifndef OTD_LEDGER_AUDIT_H
#define OTD_LEDGER_AUDIT_H

#include "store/store.h"

#define OTD_AUDIT_WHAT_MAX 64u    /* bytes */
#define OTD_AUDIT_DATA_MAX 65536u /* bytes */

/* what: a short stable name ("posting", "fee.change"); data: text, for people and for checks. */
otd_rc otd_audit_add(struct otd_db *db, int64_t time_ms, const char *what, const char *data,
		     struct otd_err *err);

/*
 * Walks the whole chain; each(arg, what, data), where it is not NULL, may use db, and ends the walk
 * by anything but OTD_OK. OTD_E_CORRUPT names the first row that is wrong. *rows may be NULL.
 */
typedef otd_rc (*otd_audit_fn)(void *arg, int64_t id, const char *what, const char *data);
otd_rc otd_audit_verify(struct otd_db *db, uint64_t *rows, otd_audit_fn each, void *arg,
			struct otd_err *err);

#endif
