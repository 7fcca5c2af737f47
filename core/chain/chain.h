/*
 * Chains: one otd_chain a coin and network in use, with its nodes. It keeps a fresh template,
 * notices new tips (long poll, and the best hash each second), fails over between nodes, submits
 * blocks to all of them at once and says what became of a block by its hash at its height.
 * It knows no shares and no money. All [coordinator].
 */
#ifndef OTD_CHAIN_CHAIN_H
#define OTD_CHAIN_CHAIN_H

#include "base/env.h"
#include "base/metrics.h"
#include <otedama/chain.h>

struct otd_chain;
struct otd_plugin_instance; /* plugin/plugin.h */

enum otd_node_role {
	OTD_NODE_TEMPLATE = 1u << 0,
	OTD_NODE_SUBMIT = 1u << 1,
	OTD_NODE_WALLET = 1u << 2
};

struct otd_node_conf {
	const char *name;            /* the YAML's */
	const char *url;             /* NULL for a chain that is its own node */
	const char *user, *password; /* or NULL */
	const char *cookie_file;     /* read at each connection; or NULL */
	const char *wallet;          /* which of the node's wallets; NULL: its only one */
	unsigned roles;
	const char *zmq; /* tcp://HOST:PORT of its zmqpubhashblock; NULL: none */
};

/* How a new tip is known. */
enum otd_tip_by {
	OTD_TIP_BY_POLL = 0,
	OTD_TIP_BY_LONGPOLL,
	OTD_TIP_BY_ZMQ,
	OTD_TIP_BY_WAIT, /* a question for a block of the next height, which the node holds */
	OTD_TIP_BYS
};
const char *otd_tip_by_name(enum otd_tip_by by); /* "poll", "longpoll", "zmq", "wait" */

struct otd_chain_conf {
	const char *coin, *network;
	struct otd_plugin_instance *plugin;
	const struct otd_node_conf *nodes;
	size_t n_nodes;
	int64_t poll_ms;    /* best hash; 1000 */
	int64_t refresh_ms; /* a fresh template at least this often; 30000 */
	int64_t timeout_ms; /* of a request but long polls; 10000 */
	uint32_t maturity;  /* confirmations after which a block is final */
	/* A first job of a tip, without transactions, before the node's own template is there; see
	   template_first of otedama/chain.h. Where the plugin cannot, it waits as ever. */
	bool first_jobs;
	/* A new template; new_tip where its prev differs from the last one's. The chain keeps the
	   template alive for as long as jobs of it may come (see otd_chain_keep). */
	void (*on_template)(void *arg, const struct otd_chain_template *t, bool new_tip);
	/* No node gives templates (why), or one does again (why empty). */
	void (*on_trouble)(void *arg, const char *why);
	void *arg;
	struct otd_metrics *metrics;
};

struct otd_node_status {
	char name[32], software[96];
	char last_error[240];   /* why it is down or of no use now; "" where it is not */
	char last_failure[240]; /* of a request, ever */
	bool up, in_use, syncing;
	uint64_t height;
	int64_t last_ok_ms, last_failure_ms; /* wall clock; 0: never */
	uint64_t latency_us;                 /* of the last answer, long polls aside */
	unsigned roles;                      /* enum otd_node_role */
	uint64_t errors, requests;
	const char
		*zmq; /* "": it has none; "up", "down", "silent" (up, and blocks come otherwise) */
	char zmq_why[200]; /* of "down" */
	uint64_t zmq_notices, zmq_missed, zmq_connects;
	uint64_t tips[OTD_TIP_BYS]; /* new tips that it was the first to say, by how */
};

otd_rc otd_chain_create(struct otd_chain **out, struct otd_loop *l,
			const struct otd_chain_conf *conf, struct otd_err *err);
/*
 * Other nodes, and other times, while it runs. Nodes that are described as before go on undisturbed, in
 * the new order and with the new roles; others are asked nothing more, but what is on its way to them
 * ends by itself. Prepared first, where it may fail; then taken or discarded.
 */
struct otd_chain_nodes_change;
otd_rc otd_chain_prepare_nodes(struct otd_chain *c, struct otd_chain_nodes_change **out,
			       const struct otd_node_conf *nodes, size_t n, struct otd_err *err);
void otd_chain_take_nodes(struct otd_chain *c, struct otd_chain_nodes_change *change);
void otd_chain_discard_nodes(struct otd_chain_nodes_change *change); /* takes NULL */
void otd_chain_set_times(struct otd_chain *c, int64_t poll_ms, int64_t refresh_ms,
			 int64_t timeout_ms);
/* Takes NULL. Nobody is called back for what was on its way. Not from within a callback of c's. */
void otd_chain_destroy(struct otd_chain *c);
/* Starts probing and polling; nodes that are down are tried again for ever, with a growing pause.
 */
void otd_chain_start(struct otd_chain *c);
/* What came of one question to one node. */
struct otd_chain_answer {
	otd_rc rc;
	bool spoke;      /* it answered, be it with a no; else nobody did, or not in HTTP */
	int status;      /* of HTTP, where it spoke */
	const char *why; /* in words where rc is not OTD_OK; never NULL, no secret in it */
	const struct otd_chain_result *result; /* where rc is OTD_OK; for the length of the call */
};
typedef void (*otd_chain_answer_fn)(void *arg, const struct otd_chain_answer *a);
/*
 * Asks node i, started or not, for "config check": fn is called once, later. call's longpoll_id is
 * copied, what else it points to must live until then. A template is given back behind fn.
 * OTD_E_NOMEM: fn is not called.
 */
otd_rc otd_chain_ask_node(struct otd_chain *c, size_t i, const struct otd_chain_call *call,
			  int64_t timeout_ms, otd_chain_answer_fn fn, void *arg);
/* What is wrong with what a node says of itself; OTD_OK: nothing. */
otd_rc otd_chain_judge_probe(const struct otd_chain *c, const struct otd_chain_probe *p,
			     struct otd_err *err);

otd_rc otd_chain_address(struct otd_chain *c, const char *text, size_t n, uint8_t *script,
			 size_t cap, size_t *len, struct otd_err *err);
/* coinbase parts and branches of a template into growing buffers. */
struct otd_job_parts {
	struct otd_bytes coinbase1, coinbase2, branches;
};
otd_rc otd_chain_job(struct otd_chain *c, struct otd_template *t,
		     const struct otd_chain_coinbase *cb, struct otd_job_parts *out,
		     struct otd_err *err);
/* Counts a user of the template more or less; it is freed when unused and not the newest. */
void otd_chain_keep(struct otd_chain *c, struct otd_template *t);
void otd_chain_drop(struct otd_chain *c, struct otd_template *t);
/*
 * A template to another process: its bytes, added to head and body (which equal ones share). OTD_E_UNSUPPORTED:
 * this chain's plugin cannot. And there: it is known as if a node had given it, with no user yet; newest: no
 * node has given a better one so far. It is freed where nobody keeps it.
 */
/* What its node said of a template that somebody keeps. */
const struct otd_chain_template *otd_chain_template_of(struct otd_chain *c,
						       const struct otd_template *t);
bool otd_chain_can_save(const struct otd_chain *c);
otd_rc otd_chain_save(struct otd_chain *c, struct otd_template *t, struct otd_bytes *head,
		      struct otd_bytes *body, struct otd_err *err);
otd_rc otd_chain_load(struct otd_chain *c, struct otd_template **out, struct otd_span head,
		      struct otd_span body, bool newest, struct otd_err *err);
/* The whole block into out. */
otd_rc otd_chain_assemble(struct otd_chain *c, struct otd_template *t, struct otd_span header,
			  struct otd_span coinbase, struct otd_bytes *out, struct otd_err *err);

/* One node's verdict; node NULL: all have answered or failed. */
typedef void (*otd_submit_fn)(void *arg, const char *node, const struct otd_chain_submit *verdict);
/*
 * Hands the block to every node with the role, at once, up or not, and to each again until it has
 * said yes or no; copies block. hash: its identity. OTD_E_NOT_FOUND: no node has the role (then fn is
 * not called).
 */
otd_rc otd_chain_submit(struct otd_chain *c, struct otd_span block, const uint8_t hash[32],
			otd_submit_fn fn, void *arg);

/*
 * What is at height. Asks every node that is up; OTHER needs all that answer to agree, and where some
 * say MAIN and some OTHER the error is OTD_E_BUSY: ask again later. OTD_E_CLOSED at once: no node is
 * up (then fn is not called).
 */
typedef void (*otd_place_fn)(void *arg, const struct otd_err *err, const struct otd_chain_block *b);
otd_rc otd_chain_place(struct otd_chain *c, uint64_t height, const uint8_t hash[32],
		       otd_place_fn fn, void *arg);
/* The same of the best block of the node whose wallet pays: whether all are on one chain with it.
   OTD_E_UNSUPPORTED: it is the only node, nobody else can be asked. OTD_E_CLOSED: it is down. */
otd_rc otd_chain_place_wallet(struct otd_chain *c, otd_place_fn fn, void *arg);
/* Nobody is called back for what was asked with this arg. */
void otd_chain_place_forget(struct otd_chain *c, void *arg);

/* --- the wallet: the first node with the role; all by the kinds from OTD_CHAIN_WALLET on --- */

/* Whether the chain can pay at all, and a node has the role. why (may be NULL) says what is
   missing, in constant words. */
bool otd_chain_can_pay(struct otd_chain *c, const char **why);
/*
 * fn is called once, later, on the loop. err.rc OTD_OK: res and out (what the plugin wrote into
 * call.out) are there for the length of the call. OTD_E_CLOSED: it was never sent; OTD_E_TIMEOUT:
 * no answer that we understand, it may have happened or not; OTD_E_REFUSED: the node said no, in
 * words; OTD_E_BUSY: it did nothing, ask again later. No other codes. Everything in call is copied;
 * call->out is not looked at, and COINS come with a stride of sizeof(struct otd_chain_coin).
 *
 * The node that is asked is the first with the role, and no other: another one has another wallet.
 * Where it is down the answer is OTD_E_CLOSED without trying. One call is sent once, but whoever is
 * answered OTD_E_TIMEOUT may ask again: a transaction that a node has already is SENT_KNOWN.
 *
 * Anything but OTD_OK (kind that is none of a wallet's, a chain that cannot pay, no memory): fn is
 * not called.
 */
typedef void (*otd_wallet_fn)(void *arg, const struct otd_err *err,
			      const struct otd_chain_result *res, struct otd_span out);
otd_rc otd_chain_wallet(struct otd_chain *c, const struct otd_chain_call *call, otd_wallet_fn fn,
			void *arg, struct otd_err *err);
/* Nobody is called back for what was asked with this arg. */
void otd_chain_wallet_forget(struct otd_chain *c, void *arg);
/* pay_build, pay_check and dust of the plugin; at once, without a node. raw is cleared first. */
otd_rc otd_chain_pay_build(struct otd_chain *c, const struct otd_chain_pay *p,
			   struct otd_bytes *raw, struct otd_chain_pay_info *info,
			   struct otd_err *err);
otd_rc otd_chain_pay_check(struct otd_chain *c, const struct otd_chain_pay *p, struct otd_span raw,
			   struct otd_chain_pay_info *info, struct otd_err *err);
otd_rc otd_chain_dust(struct otd_chain *c, struct otd_span script, otd_i128 *least,
		      struct otd_err *err);
/* The one text of an address, into out (cap bytes and a zero); it may be longer than text was.
   OTD_E_INVALID: no address; OTD_E_RANGE: longer than cap. */
otd_rc otd_chain_canonical(struct otd_chain *c, const char *text, size_t n, char *out, size_t cap,
			   struct otd_err *err);

otd_rc otd_chain_command(struct otd_chain *c, struct otd_span words, struct otd_bytes *answer,
			 struct otd_err *err);
size_t otd_chain_nodes(struct otd_chain *c);
void otd_chain_node_status(struct otd_chain *c, size_t i, struct otd_node_status *out);
const struct otd_chain_template *otd_chain_template(struct otd_chain *c); /* newest, or NULL */
/* Whether this one, which somebody keeps or is the newest, is a first job: its tip's own comes soon. */
bool otd_chain_is_first(struct otd_chain *c, const struct otd_template *t);
void otd_chain_set_first_jobs(struct otd_chain *c, bool on);

#endif
