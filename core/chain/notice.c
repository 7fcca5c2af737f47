/* How a node says that there is a new block (ZMQ, long poll, the best hash asked for), and what is done first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/impl.h"

#define SILENT  2                    /* tips in a row that came otherwise */
#define SOON_NS UINT64_C(1000000000) /* an answer that a node has not held */
#define LATE_NS UINT64_C(5000000000) /* so long a notice may take, behind another's word */

const char *otd_tip_by_name(enum otd_tip_by by)
{
	static const char *const names[OTD_TIP_BYS] = {"poll", "longpoll", "zmq", "wait"};
	return by < OTD_TIP_BYS ? names[by] : "";
}

static bool knows(const struct otd_chain *c, const uint8_t hash[32])
{
	return c->newest && memcmp(c->newest->t.prev, hash, 32) == 0;
}

static bool is_silent(const struct otd_chain_node *n)
{
	return n->zmq_misses >= SILENT;
}

/* Its publisher stands, and has not said the tip before this one either. */
static void owes(struct otd_chain_node *n)
{
	struct otd_zmq_status st;
	if (!n->zmq)
		return;
	uint64_t now = otd_mono_ns(n->c->env);
	otd_zmq_look(n->zmq, &st);
	if (!st.connected) {
		n->zmq_misses = 0;
		n->zmq_owes_ns = 0;
		return;
	}
	if (n->zmq_owes_ns && now - n->zmq_owes_ns < LATE_NS)
		return; /* it may come yet */
	n->zmq_misses += n->zmq_owes_ns != 0;
	n->zmq_owes_ns = now;
	if (n->zmq_misses == SILENT)
		otd_log(OTD_LOG_WARN, "chain", "zmq.silent",
			"node=%s at=%s hint=\"blocks come, but not by ZMQ: does the node publish "
			"hashblock there (zmqpubhashblock)?\"",
			n->name, n->zmq_url);
}

bool otd_chain_told(struct otd_chain_node *n, const uint8_t hash[32], enum otd_tip_by by)
{
	struct otd_chain *c = n->c;
	for (size_t i = 0; i < OTD_CHAIN_TOLD && i < c->n_told; i++)
		if (memcmp(c->told[i], hash, 32) == 0)
			return false;
	memcpy(c->told[c->n_told++ % OTD_CHAIN_TOLD], hash, 32);
	n->st.tips[by]++;
	otd_log(OTD_LOG_DEBUG, "chain", "tip.new", "node=%s by=%s", n->name, otd_tip_by_name(by));
	if (by != OTD_TIP_BY_ZMQ)
		owes(n);
	return true;
}

static bool makes_first(const struct otd_chain *c)
{
	return c->conf.first_jobs && c->ops->template_first;
}

bool otd_chain_notice_alone(const struct otd_chain_node *n)
{
	struct otd_zmq_status st;
	if (makes_first(n->c) && n->wait)
		return true;
	if (!n->zmq || !makes_first(n->c) || is_silent(n))
		return false;
	otd_zmq_look(n->zmq, &st);
	return st.connected;
}

/* --- first jobs --- */

/* The block that we worked at is there, by whomever: the next one stands on it. */
static bool may_follow(const struct otd_chain *c, const struct otd_chain_header *h,
		       const uint8_t hash[32])
{
	const struct otd_chain_held *from = c->newest;
	return from && !from->first && memcmp(h->hash, hash, 32) == 0 && h->confirmations == 1 &&
	       h->height == from->t.height && memcmp(h->prev, from->t.prev, 32) == 0;
}

static bool wants_first(const struct otd_chain *c, const uint8_t hash[32])
{
	return makes_first(c) && c->newest && !c->newest->first && !knows(c, hash);
}

static void first_job(struct otd_chain_node *n, const struct otd_chain_header *h)
{
	struct otd_chain *c = n->c;
	struct otd_chain_template t = {0};
	struct otd_err err = {0};
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(c->conf.plugin);
	if (c->ops->template_first(c->self, c->newest->t.handle, h, otd_wall_ms(c->env) / 1000,
				   &t) != OTD_OK) {
		otd_log(OTD_LOG_DEBUG, "chain", "first_job.not", "node=%s why=%s", n->name,
			OTD_Q(otd_instance_error(c->conf.plugin)));
		return;
	}
	/* What is on its way was asked for before this block. */
	if (n->tmpl)
		otd_chain_cancel(n->tmpl);
	n->tmpl = NULL;
	otd_log(OTD_LOG_DEBUG, "chain", "first_job", "node=%s height=%llu", n->name,
		(unsigned long long)t.height);
	if (!otd_chain_adopt_first(n, &t, &err) && err.rc)
		otd_log(OTD_LOG_WARN, "chain", "first_job.refused", "node=%s why=%s", n->name,
			OTD_Q(err.text));
}

static void got_header(struct otd_chain_req *r, otd_rc rc, const struct otd_chain_result *res,
		       const char *why)
{
	struct otd_chain_node *n = r->node;
	struct otd_chain *c = n->c;
	(void)why;
	n->header = NULL;
	if (c->in_use != n)
		return;
	if (rc == OTD_OK && may_follow(c, &res->u.header, r->call.hash))
		first_job(n, &res->u.header);
	/* A long poll may have brought it meanwhile. */
	if (!knows(c, r->call.hash) || c->newest->first)
		otd_chain_node_fetch(n);
}

void otd_chain_news(struct otd_chain_node *n, const uint8_t hash[32])
{
	struct otd_chain *c = n->c;
	struct otd_chain_call q = {.kind = OTD_CHAIN_HEADER};
	if (n->header && memcmp(n->header->call.hash, hash, 32) == 0)
		return; /* its template is asked for behind it */
	otd_chain_cancel(n->header);
	n->header = NULL;
	if (wants_first(c, hash)) {
		memcpy(q.hash, hash, 32);
		n->header = otd_chain_ask(n, &q, c->conf.timeout_ms, got_header, NULL);
	}
	if (!n->header)
		otd_chain_node_fetch(n);
}

/* --- waiting for a height --- */

static void got_height(struct otd_chain_req *r, otd_rc rc, const struct otd_chain_result *res,
		       const char *why)
{
	struct otd_chain_node *n = r->node;
	struct otd_chain *c = n->c;
	n->wait = NULL;
	bool there = rc == OTD_OK && res->u.tip.height >= r->call.height;
	uint64_t ns = otd_mono_ns(c->env) - r->began_ns;
	/* One that answers at once with what it has, or does not know the question, is not asked again. */
	n->no_wait = rc == OTD_E_REFUSED || rc == OTD_E_INVALID || rc == OTD_E_UNSUPPORTED ||
		     (rc == OTD_OK && !there && ns < SOON_NS);
	if (n->no_wait)
		otd_log(OTD_LOG_INFO, "chain", "wait.not", "node=%s why=%s", n->name, OTD_Q(why));
	if (there)
		(void)otd_chain_told(n, res->u.tip.hash, OTD_TIP_BY_WAIT);
	if (there && c->in_use == n && !knows(c, res->u.tip.hash))
		otd_chain_news(n, res->u.tip.hash);
	else if (c->in_use == n && (rc == OTD_OK || rc == OTD_E_TIMEOUT || n->no_wait))
		otd_chain_node_wait(n); /* after other failures the next poll does it */
}

void otd_chain_notice_wait(struct otd_chain_node *n)
{
	struct otd_chain *c = n->c;
	struct otd_chain_call q = {.kind = OTD_CHAIN_TIP};
	if (!makes_first(c) || n->no_wait || n->wait || n->header || c->in_use != n || !c->newest)
		return;
	q.height = c->newest->t.height;
	n->wait =
		otd_chain_ask(n, &q, OTD_CHAIN_TIP_WAIT_MS + c->conf.timeout_ms, got_height, NULL);
	if (n->wait && n->longpoll) {
		otd_chain_cancel(n->longpoll);
		n->longpoll = NULL;
	}
}

void otd_chain_set_first_jobs(struct otd_chain *c, bool on)
{
	c->conf.first_jobs = on;
}

/* --- ZMQ --- */

static void on_notice(void *arg, const uint8_t *hash)
{
	struct otd_chain_node *n = arg;
	struct otd_chain *c = n->c;
	bool old = false;
	if (hash) {
		n->zmq_misses = 0;
		n->zmq_owes_ns = 0;
		old = !otd_chain_told(n, hash, OTD_TIP_BY_ZMQ);
	}
	if (!n->st.up) {
		otd_chain_node_probe(n); /* it lives again */
		return;
	}
	if (hash && c->in_use && (old || knows(c, hash)))
		return;
	/* What may have been missed is asked for; another node's block by the one in use. */
	if (!hash)
		otd_chain_node_poll(n);
	else if (c->in_use == n)
		otd_chain_news(n, hash);
	else
		otd_chain_node_poll(c->in_use ? c->in_use : n);
}

static void on_state(void *arg)
{
	struct otd_chain_node *n = arg;
	if (otd_chain_notice_alone(n)) {
		otd_chain_cancel(n->longpoll);
		n->longpoll = NULL;
	} else if (n->st.up && n->c->in_use == n) {
		otd_chain_node_wait(n);
	}
}

otd_rc otd_chain_notice_init(struct otd_chain_node *n, const char *zmq_url, struct otd_err *err)
{
	struct otd_zmq_address at;
	if (!zmq_url || !*zmq_url)
		return OTD_OK;
	otd_rc rc = otd_zmq_address_parse(&at, zmq_url, err);
	if (rc) {
		otd_fail_prefix(err, "nodes.%s.zmq", n->name);
		return rc;
	}
	n->zmq_url = strdup(zmq_url);
	return n->zmq_url ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "nodes.%s: no memory", n->name);
}

void otd_chain_notice_start(struct otd_chain_node *n)
{
	struct otd_chain *c = n->c;
	struct otd_zmq_conf conf = {.on_notice = on_notice, .on_state = on_state, .arg = n};
	struct otd_err err = {0};
	if (n->zmq || !n->zmq_url || otd_zmq_address_parse(&conf.at, n->zmq_url, &err) != OTD_OK)
		return;
	if (otd_zmq_create(&n->zmq, c->loop, c->env, &conf, &err) != OTD_OK)
		otd_log(OTD_LOG_WARN, "chain", "zmq.not_made", "node=%s why=%s", n->name,
			OTD_Q(err.text));
}

void otd_chain_notice_stop(struct otd_chain_node *n)
{
	otd_zmq_destroy(n->zmq);
	n->zmq = NULL;
}

void otd_chain_notice_status(const struct otd_chain_node *n, struct otd_node_status *out)
{
	struct otd_zmq_status st = {0};
	out->zmq = n->zmq_url ? "down" : "";
	if (!n->zmq)
		return;
	otd_zmq_look(n->zmq, &st);
	if (st.connected)
		out->zmq = is_silent(n) ? "silent" : "up";
	snprintf(out->zmq_why, sizeof(out->zmq_why), "%s", st.why);
	out->zmq_notices = st.notices;
	out->zmq_missed = st.missed;
	out->zmq_connects = st.connects;
}
