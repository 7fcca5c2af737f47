/* Inside core/chain only: nodes, calls to them, and what the files share. */
#ifndef OTD_CHAIN_IMPL_H
#define OTD_CHAIN_IMPL_H

#include "base/log.h"
#include "chain/chain.h"
#include "chain/zmq.h"
#include "plugin/plugin.h"

#define OTD_CHAIN_KINDS         13 /* enum otd_chain_call_kind, counted from 1 */
#define OTD_CHAIN_PAUSE_MIN_MS  1000
#define OTD_CHAIN_PAUSE_MAX_MS  30000
#define OTD_CHAIN_LONGPOLL_MS   300000
#define OTD_CHAIN_LAG_MS        10000 /* behind another node for so long: it is not used */
#define OTD_CHAIN_STEP_BACK_MS  60000 /* without any better: a lower template is taken */
#define OTD_CHAIN_SUBMIT_TRIES  6
#define OTD_CHAIN_SUBMIT_MAX_MS 4000
#define OTD_CHAIN_MAX_ANSWER    (64u << 20)
#define OTD_CHAIN_TOLD          16    /* a notice may come late, behind some others */
#define OTD_CHAIN_WALLET_MS     60000 /* of calls in which a wallet goes through all its coins */

enum otd_chain_outcome {
	OTD_CHAIN_OUT_OK,
	OTD_CHAIN_OUT_ERROR,
	OTD_CHAIN_OUT_TIMEOUT,
	OTD_CHAIN_OUT_REFUSED,
	OTD_CHAIN_OUTCOMES
};

struct otd_chain_node;
struct otd_chain_req;
/* res is set where rc is OTD_OK; why is never NULL. The request is freed afterwards. */
typedef void (*otd_chain_done)(struct otd_chain_req *r, otd_rc rc,
			       const struct otd_chain_result *res, const char *why);

/* One call to one node, on its way. */
struct otd_chain_req {
	struct otd_chain *c;
	struct otd_chain_node *node;
	struct otd_chain_req *next, *prev; /* of the chain's list */
	struct otd_chain_call call;
	char longpoll_id[160];
	struct otd_bytes body;
	struct otd_http *http; /* NULL: waits in the chain's queue */
	otd_rc failed;         /* it could not even be sent */
	char failed_why[160];
	int64_t timeout_ms;
	uint64_t began_ns;
	bool second;          /* with a cookie that was read again */
	bool unanswered;      /* failed by env's HTTP, before the plugin saw anything */
	bool unsent;          /* no byte of it left, for sure */
	int status;           /* of the answer in HTTP */
	struct otd_bytes out; /* what the plugin writes to call.out */
	otd_chain_done done;
	void *arg;
	void *owned; /* freed with the request */
};

struct otd_chain_node {
	struct otd_chain *c;
	struct otd_chain_node *next_gone;
	char name[32], *url, *wallet_url, *user, *password, *cookie_file;
	char cookie_user[64], cookie_password[192];
	unsigned roles;
	struct otd_timer *timer; /* up: the poll; down: the next probe */
	struct otd_chain_req *probe, *tip, *tmpl, *longpoll, *header, *wait;
	/* notice.c: how it says that there is a new block */
	char *zmq_url;
	struct otd_zmq *zmq;
	unsigned zmq_misses;  /* tips in a row that it has not said by ZMQ */
	uint64_t zmq_owes_ns; /* since when it owes one; 0: none */
	bool no_wait;         /* it does not know how to wait for a height */
	enum otd_tip_by asking;
	bool again;       /* the tip moved while a template was on its way */
	int64_t pause_ms; /* before the next probe */
	int64_t template_pause_ms;
	uint64_t template_not_before_ns;
	bool has_tip;
	struct otd_chain_tip best;
	uint64_t behind_since_ns; /* 0: it is not */
	struct otd_node_status st;
	struct otd_metric *up, *latency[OTD_CHAIN_KINDS];
	struct otd_metric *requests[OTD_CHAIN_KINDS][OTD_CHAIN_OUTCOMES];
};

/* A template that somebody may still use. */
struct otd_chain_held {
	struct otd_chain_held *next;
	bool first; /* made by the plugin before the node's was there */
	struct otd_chain_template t;
	uint64_t users;
};

struct otd_chain {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_chain_conf conf;
	char coin[32], network[32];
	const struct otd_chain_ops *ops;
	struct otd_instance *self;
	struct otd_chain_node **nodes; /* the preferred one first */
	size_t n_nodes;
	struct otd_chain_node *gone; /* out of the settings; calls of them may be on their way */
	struct otd_chain_node *in_use, *from; /* who is asked; who gave the newest template */
	struct otd_chain_held *held, *newest;
	uint64_t newest_ns; /* when a template last came, be it the same */
	uint64_t lower_since_ns;
	uint8_t told[OTD_CHAIN_TOLD]
		    [32]; /* tips that somebody has said, the newest at n_told - 1 */
	uint64_t n_told;
	bool started, in_trouble;
	char trouble[300];
	struct otd_chain_req *reqs;
	struct otd_timer *queue; /* runs what must not answer from within the call */
	struct otd_chain_submission *submissions;
	struct otd_chain_asking *askings;
	struct otd_metric *height;
	struct otd_metrics *own_metrics; /* where the host counts nothing */
};

/* --- request.c --- */
/* NULL where memory ran out. q's pointers but longpoll_id must live until done. */
struct otd_chain_req *otd_chain_ask(struct otd_chain_node *n, const struct otd_chain_call *q,
				    int64_t timeout_ms, otd_chain_done done, void *arg);
/* The same, but that it is not sent: done is called with rc and why, later. */
struct otd_chain_req *otd_chain_ask_not(struct otd_chain_node *n, const struct otd_chain_call *q,
					otd_rc rc, const char *why, otd_chain_done done, void *arg);
/* No callback then. Takes NULL. */
void otd_chain_cancel(struct otd_chain_req *r);
void otd_chain_run_queue(void *chain);
void otd_chain_read_cookie(struct otd_chain_node *n);

/* --- node.c --- */
/* *out is set where it fails too: to be destroyed. */
otd_rc otd_chain_node_create(struct otd_chain_node **out, struct otd_chain *c,
			     const struct otd_node_conf *conf, struct otd_err *err);
void otd_chain_node_destroy(struct otd_chain_node *n); /* takes NULL */
/* It is asked nothing more; what is on its way (a block, a payment) ends by itself. */
void otd_chain_node_retire(struct otd_chain_node *n);
/* Whether this is a node as conf describes it, but for its roles. */
bool otd_chain_node_is(const struct otd_chain_node *n, const struct otd_node_conf *conf);
void otd_chain_node_probe(struct otd_chain_node *n);
void otd_chain_node_poll(struct otd_chain_node *n); /* nothing where it is down */
/* Which node gives templates now; asks it where that changed. */
void otd_chain_choose(struct otd_chain *c);

/* News is waited for by long poll, where that is not left to ZMQ. */
void otd_chain_node_wait(struct otd_chain_node *n);
/* Something new to mine is asked for; at once, or again once what is on its way is there. */
void otd_chain_node_fetch(struct otd_chain_node *n);

/* --- notice.c --- */
otd_rc otd_chain_notice_init(struct otd_chain_node *n, const char *zmq_url, struct otd_err *err);
void otd_chain_notice_start(struct otd_chain_node *n); /* more than once is no harm */
void otd_chain_notice_stop(struct otd_chain_node *n);
/* Where first jobs are wanted the node in use is asked for the next height, and holds the answer. */
void otd_chain_notice_wait(struct otd_chain_node *n);
/* Whether tips are left to these two: a node that makes a template for a long poll tells nobody the header meanwhile. */
bool otd_chain_notice_alone(const struct otd_chain_node *n);
/* This block is the best one now, by this node's word. The first to say so is counted; false: somebody was before. */
bool otd_chain_told(struct otd_chain_node *n, const uint8_t hash[32], enum otd_tip_by by);
/* A new tip of the node in use: a first job where that is wanted and can be, then its template. */
void otd_chain_news(struct otd_chain_node *n, const uint8_t hash[32]);
void otd_chain_notice_status(const struct otd_chain_node *n, struct otd_node_status *out);

/* --- template.c --- */
/* Takes t's handle. False where it is nothing new or was refused (then the node is told why). */
bool otd_chain_adopt(struct otd_chain_node *n, const struct otd_chain_template *t,
		     struct otd_err *err);
/* The same of one that the plugin has made of a header. */
bool otd_chain_adopt_first(struct otd_chain_node *n, const struct otd_chain_template *t,
			   struct otd_err *err);
void otd_chain_free_templates(struct otd_chain *c);
/* One that came from another process. Takes t's handle, also where it fails. */
otd_rc otd_chain_hold(struct otd_chain *c, const struct otd_chain_template *t, bool newest);
/* why "": there is none. */
void otd_chain_say_trouble(struct otd_chain *c, const char *why);

/* --- wallet.c --- */
/* url with "/wallet/NAME" behind it; NULL where memory ran out. The caller frees it. */
char *otd_chain_wallet_url(const char *url, const char *wallet);

/* --- submit.c, place.c --- */
void otd_chain_free_submissions(struct otd_chain *c);
bool otd_chain_submits_to(const struct otd_chain *c, const struct otd_chain_node *n);
void otd_chain_free_askings(struct otd_chain *c);

#endif
