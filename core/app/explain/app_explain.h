/*
 * explain and account show: the inside. Each finds what it is asked for, reads journals where they
 * say more, and then the ledger. See app/explain/ask.h.
 */
#ifndef OTD_APP_APP_EXPLAIN_H
#define OTD_APP_APP_EXPLAIN_H

#include "app/app_ban.h"
#include "app/explain/ask.h"
#include "app/explain/journal_look.h"
#include "ledger/ledger.h"

extern const struct otd_topic otd_topic_explain;  /* words: "[share|block|payment|ban] ID [all]" */
extern const struct otd_topic otd_topic_account;  /* words: "[POOL] ADDRESS" */
extern const struct otd_topic otd_topic_accounts; /* words: "AFTER [POOL]" */

void otd_app_explain_request(struct otd_app *app, struct otd_control_request *r, const char *words);
void otd_app_account_request(struct otd_app *app, struct otd_control_request *r, const char *words);

#define OTD_EXPLAIN_TOP 20 /* entries of a posting that are shown without "all" */

enum otd_explain_kind {
	OTD_EXPLAIN_SHARE = 1,
	OTD_EXPLAIN_BLOCK,
	OTD_EXPLAIN_PAYMENT,
	OTD_EXPLAIN_BAN
};

struct otd_explain_verdict {
	uint32_t state, confirmations;
	int64_t time_ms;
	uint64_t seq; /* of the coordinator's journal */
};
#define OTD_EXPLAIN_VERDICTS 64

/* What is found out on the way. */
struct otd_explain {
	enum otd_explain_kind kind;
	bool all;
	uint64_t epoch, seq; /* of the share, which is the block's name too */
	uint64_t payment;
	struct otd_look_share share;
	struct otd_look_coordinator order;
	uint64_t batch; /* of the coordinator's journal, by which it was merged; 0: not there */
	struct otd_explain_verdict verdicts[OTD_EXPLAIN_VERDICTS];
	size_t n_verdicts;
};

/* --- app_explain_find.c: which of them is meant. [store] --- */
otd_rc otd_explain_find(struct otd_question *q, struct otd_db *db, struct otd_err *err);

/* --- what each says. [store] --- */
otd_rc otd_explain_share(struct otd_question *q, struct otd_db *db, struct otd_err *err);
otd_rc otd_explain_block(struct otd_question *q, struct otd_db *db, struct otd_err *err);
otd_rc otd_explain_payment(struct otd_question *q, struct otd_db *db, struct otd_err *err);
otd_rc otd_explain_ban(struct otd_question *q, struct otd_db *db, struct otd_err *err);
/* Without the word "ban": only an address of the network, a prefix or POOL/ADDRESS can mean one. */
bool otd_explain_is_ban(const char *id, size_t n);

/* What the journals say of x's share, into o; true: its record is still there. */
bool otd_explain_record(const struct otd_question *q, json_t *o);

/* --- app_explain_ledger.c --- */
/* A text of the database into a buffer. False: it does not fit. */
bool otd_explain_take_text(char *to, size_t cap, const struct otd_value *v);
/*
 * Every posting whose key begins with prefix ("block/1-24/"), oldest first, with its entries: those
 * with most first, at most top of them, and how many there are. Owners are addresses where the
 * account is a miner's.
 */
otd_rc otd_explain_postings(struct otd_db *db, json_t *to, const char *prefix, size_t top,
			    const struct otd_question_pool *coin, struct otd_err *err);
/* Whether owner numbers of this kind are accounts (else pools). */
bool otd_explain_of_account(enum otd_account_kind kind);

#endif
