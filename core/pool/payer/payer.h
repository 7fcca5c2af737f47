/*
 * The payer: turns balances into confirmed transactions, once. It drives payment intents
 * (ledger/payment.h) through a wallet (chain/chain.h), one step at a time; each step is in SQL before
 * the next one begins, and each begins by reading where it stands, so that it goes on from any kill
 * point. All [coordinator].
 *
 *     every `every_ms`, where the operator has confirmed a dry run:
 *     plan, reserve  ->  coins, fund, lock  ->  build, sign, check, store txid  ->  send  ->  watch
 *
 * On doubt it looks the transaction up and sends the same bytes again; it makes another one only from
 * the same coins (a higher fee, where the node refused the first for its fee), or when the chain has
 * spent one of its coins otherwise, `confirmations` deep. What it cannot decide it holds, and says so
 * in trouble().
 */
#ifndef OTD_POOL_PAYER_H
#define OTD_POOL_PAYER_H

#include "base/env.h"
#include "base/metrics.h"
#include "chain/chain.h"
#include "ledger/payment.h"
#include "policy/hooks.h"
#include "store/store.h"

struct otd_payer;

struct otd_payer_pool {
	const char *name; /* as in SQL; texts and arrays are copied */
	const char *asset;
	unsigned decimals;
	struct otd_chain *chain; /* outlives the payer, or its next configure() */
	bool on; /* the settings have payments; else what is on its way is still finished */
	otd_i128 minimum, cap;
	size_t max_parts;
	int64_t every_ms;
	bool fee_by_miners;
	uint32_t confirmations; /* after which a payment is final, and a conflict */
	/* Base units per 1000 virtual bytes: fixed (0: as the node advises), and the most ever. */
	otd_i128 fee_rate, max_fee_rate;
	uint32_t max_fee_ppm; /* of a batch's total: a higher network fee waits for a person */
	uint32_t coin_confirmations; /* coins with fewer are not used */
	const char *change;          /* address of the wallet */
	const struct otd_pay_recipient *fee;
	size_t n_fee;
};

/*
 * Who is asked about payments: see policy/hooks.h. Called while a round is planned and for a dry run,
 * never from within a transaction; none may call back. What was decided is stored with the payment, in
 * the audit log ("payment.review").
 */
struct otd_payer_policy {
	bool (*wants)(void *arg, enum otd_policy_hook h, const char *pool); /* cheap */
	void (*terms)(void *arg, struct otd_policy_terms_out *out,
		      const struct otd_policy_terms *in);
	void (*review)(void *arg, struct otd_policy_payment_out *out,
		       const struct otd_policy_payment *in);
	void *arg;
};

struct otd_payer_conf {
	struct otd_loop *loop;
	struct otd_store *store;
	struct otd_metrics *metrics; /* or NULL */
	int64_t tick_ms;             /* how often it looks whether something can go on; 0: 1000 */
	int64_t watch_ms;            /* between two looks at a sent transaction; 0: 15000 */
	int64_t retry_ms; /* first pause after a failure, doubled up to 40 times it; 0: 1000 */
	const struct otd_payer_policy *policy; /* outlives the payer; NULL: nobody is asked */
};

otd_rc otd_payer_create(struct otd_payer **out, const struct otd_payer_conf *conf,
			struct otd_err *err);
/* What is on its way stays where it is, in SQL. Takes NULL. */
void otd_payer_destroy(struct otd_payer *p);
/* The pools, at the start and at each reload; payments of a pool that is not among them stand still
   (and trouble() says so). Callable while it runs. */
otd_rc otd_payer_configure(struct otd_payer *p, const struct otd_payer_pool *pools, size_t n,
			   struct otd_err *err);
/* From now on things move. First everything that is on its way is read, its coins locked again. */
void otd_payer_start(struct otd_payer *p);
/* The chain has a new best block: what was sent is looked at soon. */
void otd_payer_tip(struct otd_payer *p, const struct otd_chain *chain);
/* Whether a payment of this pool is on its way and not final: its chain is still needed. */
bool otd_payer_has(const struct otd_payer *p, const char *pool);
/* No new step begins; done(arg) when none is under way. */
void otd_payer_drain(struct otd_payer *p, otd_fn done, void *arg);

/*
 * What a person asks for, as words: "list [POOL] [--all]", "show ID", "plan POOL", "start POOL CODE",
 * "stop POOL", "run POOL", "hold ID REASON..", "hold POOL/ADDRESS REASON..", "release ID",
 * "release POOL/ADDRESS", "resolve ID --paid TXID REASON..", "resolve ID --unpaid REASON..".
 * fn is called once, later: err, or an answer in JSON. Amounts are decimal strings in the coin's unit,
 * beside each KEY a KEY_units in base units.
 */
typedef void (*otd_payer_answer_fn)(void *arg, const struct otd_err *err,
				    const struct otd_bytes *json);
void otd_payer_ask(struct otd_payer *p, const char *words, otd_payer_answer_fn fn, void *arg);

/* The i-th thing that needs a person; NULL: there are no more. Lives until the loop goes on. */
const char *otd_payer_trouble(struct otd_payer *p, size_t i);

#endif
