/* One node: probed until it is good, then polled; and the choice between them. */
#include "chain/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_OF_MS(ms) ((uint64_t)(ms)*1000000u)

static const char *const kind_names[OTD_CHAIN_KINDS] = {
	"",      "probe", "tip",  "template", "submit", "block", "wallet",
	"coins", "lock",  "sign", "send",     "tx",     "header"};
static const char *const outcome_names[OTD_CHAIN_OUTCOMES] = {"ok", "error", "timeout", "refused"};

static void on_timer(void *arg)
{
	struct otd_chain_node *n = arg;
	if (n->st.up)
		otd_chain_node_poll(n);
	else
		otd_chain_node_probe(n);
}

static void make_metrics(struct otd_chain_node *n)
{
	struct otd_metrics *m = n->c->conf.metrics;
	char labels[160];
	snprintf(labels, sizeof(labels), "node=\"%s\"", n->name);
	n->up = otd_metric(m, OTD_GAUGE, "otd_node_up", labels,
			   "Whether a node answers and is fit");
	for (int k = 1; k < OTD_CHAIN_KINDS; k++) {
		snprintf(labels, sizeof(labels), "node=\"%s\",call=\"%s\"", n->name, kind_names[k]);
		n->latency[k] = otd_metric(m, OTD_HISTOGRAM_NS, "otd_node_latency_seconds", labels,
					   "Time until a node answered, long polls apart");
		for (int o = 0; o < OTD_CHAIN_OUTCOMES; o++) {
			snprintf(labels, sizeof(labels), "node=\"%s\",call=\"%s\",outcome=\"%s\"",
				 n->name, kind_names[k], outcome_names[o]);
			n->requests[k][o] = otd_metric(m, OTD_COUNTER, "otd_node_requests_total",
						       labels, "Calls to nodes");
		}
	}
}

static bool copy(char **out, const char *s)
{
	*out = s ? strdup(s) : NULL;
	return *out || !s;
}

otd_rc otd_chain_node_create(struct otd_chain_node **out, struct otd_chain *c,
			     const struct otd_node_conf *conf, struct otd_err *err)
{
	struct otd_chain_node *n = calloc(1, sizeof(*n));
	*out = n;
	if (!n)
		return otd_fail(err, OTD_E_NOMEM, "nodes.%s: no memory", conf->name);
	n->c = c;
	n->roles = n->st.roles = conf->roles;
	snprintf(n->name, sizeof(n->name), "%s", conf->name);
	memcpy(n->st.name, n->name, sizeof(n->name));
	if (!copy(&n->url, conf->url) || !copy(&n->user, conf->user) ||
	    !copy(&n->password, conf->password) || !copy(&n->cookie_file, conf->cookie_file))
		return otd_fail(err, OTD_E_NOMEM, "nodes.%s: no memory", n->name);
	if (!c->ops->local && !n->url)
		return otd_fail(err, OTD_E_INVALID,
				"nodes.%s: no rpc; give it the URL of the node's RPC port",
				n->name);
	if (conf->wallet && *conf->wallet && n->url) {
		n->wallet_url = otd_chain_wallet_url(n->url, conf->wallet);
		if (!n->wallet_url)
			return otd_fail(err, OTD_E_NOMEM, "nodes.%s: no memory", n->name);
	}
	make_metrics(n);
	otd_chain_read_cookie(n);
	otd_rc rc = c->env->ops->timer_create(c->loop, &n->timer, on_timer, n);
	if (rc)
		return otd_fail(err, rc, "nodes.%s: no timer", n->name);
	return otd_chain_notice_init(n, conf->zmq, err);
}

void otd_chain_node_destroy(struct otd_chain_node *n)
{
	if (!n)
		return;
	if (n->timer)
		n->c->env->ops->timer_destroy(n->timer);
	otd_chain_notice_stop(n);
	free(n->zmq_url);
	free(n->url);
	free(n->wallet_url);
	free(n->user);
	if (n->password)
		memset(n->password, 0, strlen(n->password));
	free(n->password);
	free(n->cookie_file);
	free(n);
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

bool otd_chain_node_is(const struct otd_chain_node *n, const struct otd_node_conf *conf)
{
	char *wallet = conf->wallet && *conf->wallet && conf->url
			       ? otd_chain_wallet_url(conf->url, conf->wallet)
			       : NULL;
	bool same = same_text(n->name, conf->name) && same_text(n->url, conf->url) &&
		    same_text(n->wallet_url, wallet) && same_text(n->user, conf->user) &&
		    same_text(n->password, conf->password) && same_text(n->zmq_url, conf->zmq) &&
		    same_text(n->cookie_file, conf->cookie_file);
	free(wallet);
	return same;
}

static void forget(struct otd_chain_req **r)
{
	otd_chain_cancel(*r);
	*r = NULL;
}

static int64_t grow(int64_t pause_ms)
{
	int64_t next = pause_ms ? pause_ms * 2 : OTD_CHAIN_PAUSE_MIN_MS;
	return next > OTD_CHAIN_PAUSE_MAX_MS ? OTD_CHAIN_PAUSE_MAX_MS : next;
}

static void go_down(struct otd_chain_node *n, const char *why)
{
	bool news = n->st.up || strcmp(n->st.last_error, why) != 0;
	snprintf(n->st.last_error, sizeof(n->st.last_error), "%s", why);
	forget(&n->probe);
	forget(&n->tip);
	forget(&n->tmpl);
	forget(&n->longpoll);
	forget(&n->header);
	forget(&n->wait);
	n->st.up = n->again = n->has_tip = false;
	n->behind_since_ns = 0;
	otd_metric_set(n->up, 0);
	n->pause_ms = grow(n->pause_ms);
	if (news) {
		char q[300];
		otd_log(OTD_LOG_WARN, "chain", "node.down", "node=%s why=%s retry_ms=%lld", n->name,
			otd_log_quote(q, sizeof(q), why, strlen(why)), (long long)n->pause_ms);
	}
	n->c->env->ops->timer_start(n->timer, n->pause_ms, 0);
	otd_chain_choose(n->c);
}

void otd_chain_node_retire(struct otd_chain_node *n)
{
	forget(&n->probe);
	forget(&n->tip);
	forget(&n->tmpl);
	forget(&n->longpoll);
	forget(&n->header);
	forget(&n->wait);
	otd_chain_notice_stop(n);
	n->c->env->ops->timer_stop(n->timer);
	n->st.up = n->st.in_use = n->has_tip = false;
	n->roles = 0;
	otd_metric_set(n->up, 0);
	if (n->c->in_use == n)
		n->c->in_use = NULL;
	if (n->c->from == n)
		n->c->from = NULL;
}

/* --- probe --- */

otd_rc otd_chain_judge_probe(const struct otd_chain *c, const struct otd_chain_probe *p,
			     struct otd_err *err)
{
	if (c->network[0] && strcmp(p->network, c->network) != 0)
		return otd_fail(err, OTD_E_INVALID,
				"it is on network '%s', the pool on '%s'; give the pool a node of "
				"its network, or set the pool's network",
				p->network, c->network);
	if (p->syncing)
		return otd_fail(err, OTD_E_BUSY,
				"it is still syncing (block %llu of %llu); wait until it is done",
				(unsigned long long)p->height, (unsigned long long)p->headers);
	return OTD_OK;
}

static void probed(struct otd_chain_req *r, otd_rc rc, const struct otd_chain_result *res,
		   const char *why)
{
	struct otd_chain_node *n = r->node;
	struct otd_err err = {0};
	n->probe = NULL;
	n->st.syncing = false;
	if (rc == OTD_OK) {
		const struct otd_chain_probe *p = &res->u.probe;
		memcpy(n->st.software, p->software, sizeof(n->st.software));
		n->st.software[sizeof(n->st.software) - 1] = 0;
		n->st.height = p->height;
		n->st.syncing = p->syncing;
		rc = otd_chain_judge_probe(n->c, p, &err);
		why = err.text;
	}
	if (rc) {
		go_down(n, why);
		return;
	}
	n->st.up = true;
	n->st.last_error[0] = 0;
	otd_metric_set(n->up, 1);
	otd_log(OTD_LOG_INFO, "chain", "node.up", "node=%s height=%llu", n->name,
		(unsigned long long)n->st.height);
	n->c->env->ops->timer_start(n->timer, n->c->conf.poll_ms, n->c->conf.poll_ms);
	otd_chain_choose(n->c);
	otd_chain_node_poll(n);
}

void otd_chain_node_probe(struct otd_chain_node *n)
{
	struct otd_chain_call q = {.kind = OTD_CHAIN_PROBE};
	if (n->probe || n->st.up)
		return;
	otd_chain_notice_start(n);
	n->probe = otd_chain_ask(n, &q, n->c->conf.timeout_ms, probed, NULL);
	if (!n->probe)
		n->c->env->ops->timer_start(n->timer, OTD_CHAIN_PAUSE_MAX_MS, 0);
}

/* --- templates --- */

static void fetch(struct otd_chain_node *n);

/* A node that answers but gives no usable template: others first, and it again after a pause. */
static void no_template(struct otd_chain_node *n, otd_rc rc, const char *why)
{
	n->template_pause_ms = grow(n->template_pause_ms);
	n->template_not_before_ns = otd_mono_ns(n->c->env) + NS_OF_MS(n->template_pause_ms);
	if (rc == OTD_E_TIMEOUT || rc == OTD_E_IO || rc == OTD_E_CLOSED) {
		go_down(n, why);
		return;
	}
	if (strcmp(n->st.last_error, why) != 0) {
		char q[300];
		otd_log(OTD_LOG_WARN, "chain", "template.refused", "node=%s why=%s", n->name,
			otd_log_quote(q, sizeof(q), why, strlen(why)));
	}
	snprintf(n->st.last_error, sizeof(n->st.last_error), "%s", why);
	otd_chain_choose(n->c);
}

static void wait_for_news(struct otd_chain_node *n);

static void take(struct otd_chain_node *n, const struct otd_chain_template *t, bool *fresh)
{
	struct otd_err err = {0};
	*fresh = otd_chain_adopt(n, t, &err);
	if (err.rc) {
		no_template(n, err.rc, err.text);
		return;
	}
	n->template_pause_ms = 0;
	n->st.last_error[0] = 0;
}

static void got_template(struct otd_chain_req *r, otd_rc rc, const struct otd_chain_result *res,
			 const char *why)
{
	struct otd_chain_node *n = r->node;
	bool fresh;
	n->tmpl = NULL;
	if (rc) {
		no_template(n, rc, why);
		return;
	}
	n->asking = OTD_TIP_BY_POLL;
	take(n, &res->u.tmpl, &fresh);
	if (n->again && n->c->in_use == n)
		fetch(n);
	else if (n->c->in_use == n)
		wait_for_news(n);
}

static void fetch(struct otd_chain_node *n)
{
	struct otd_chain_call q = {.kind = OTD_CHAIN_TEMPLATE};
	if (n->tmpl) {
		n->again = true;
		return;
	}
	n->again = false;
	n->tmpl = otd_chain_ask(n, &q, n->c->conf.timeout_ms, got_template, NULL);
}

void otd_chain_node_fetch(struct otd_chain_node *n)
{
	fetch(n);
}

static void got_news(struct otd_chain_req *r, otd_rc rc, const struct otd_chain_result *res,
		     const char *why)
{
	struct otd_chain_node *n = r->node;
	bool fresh = false;
	n->longpoll = NULL;
	if (rc && rc != OTD_E_TIMEOUT) {
		no_template(n, rc, why);
		return;
	}
	n->asking = OTD_TIP_BY_LONGPOLL;
	if (rc == OTD_OK)
		take(n, &res->u.tmpl, &fresh);
	/* A node that answers at once with what we have is asked again by the next poll only. */
	if (n->c->in_use == n && (fresh || rc))
		wait_for_news(n);
}

static void wait_for_news(struct otd_chain_node *n)
{
	struct otd_chain *c = n->c;
	otd_chain_notice_wait(n);
	if (n->longpoll || !c->newest || c->from != n || !c->newest->t.longpoll_id[0] ||
	    otd_chain_notice_alone(n))
		return;
	struct otd_chain_call q = {.kind = OTD_CHAIN_TEMPLATE,
				   .longpoll_id = c->newest->t.longpoll_id};
	n->longpoll = otd_chain_ask(n, &q, OTD_CHAIN_LONGPOLL_MS, got_news, NULL);
}

void otd_chain_node_wait(struct otd_chain_node *n)
{
	wait_for_news(n);
}

/* --- tips --- */

static void mark_laggards(struct otd_chain *c)
{
	uint64_t now = otd_mono_ns(c->env), best = 0;
	for (size_t i = 0; i < c->n_nodes; i++) {
		if (c->nodes[i]->st.up && c->nodes[i]->has_tip && c->nodes[i]->best.height > best)
			best = c->nodes[i]->best.height;
	}
	for (size_t i = 0; i < c->n_nodes; i++) {
		struct otd_chain_node *n = c->nodes[i];
		if (!n->st.up || !n->has_tip || n->best.height >= best)
			n->behind_since_ns = 0;
		else if (!n->behind_since_ns)
			n->behind_since_ns = now;
	}
}

/* Whether what we have was made on another tip than this node's, and it would be taken. */
static bool wants_template(const struct otd_chain_node *n)
{
	const struct otd_chain *c = n->c;
	uint64_t now = otd_mono_ns(c->env);
	if (now < n->template_not_before_ns)
		return false;
	if (!c->newest)
		return true;
	if (memcmp(c->newest->t.prev, n->best.hash, 32) != 0 || c->newest->first)
		return true;
	return now - c->newest_ns >= NS_OF_MS(c->conf.refresh_ms);
}

static void got_tip(struct otd_chain_req *r, otd_rc rc, const struct otd_chain_result *res,
		    const char *why)
{
	struct otd_chain_node *n = r->node;
	struct otd_chain *c = n->c;
	n->tip = NULL;
	if (rc) {
		go_down(n, why);
		return;
	}
	/* The first answer says nothing about a template that is on its way. */
	bool moved = n->has_tip && memcmp(n->best.hash, res->u.tip.hash, 32) != 0;
	if (moved)
		(void)otd_chain_told(n, res->u.tip.hash, OTD_TIP_BY_POLL);
	n->best = res->u.tip;
	n->has_tip = true;
	n->st.height = n->best.height;
	n->pause_ms = 0;
	mark_laggards(c);
	otd_chain_choose(c);
	if (c->in_use != n) {
		/* Another node saw the block first: do not wait for the next poll. */
		if (moved && c->in_use && c->newest && n->best.height >= c->newest->t.height)
			otd_chain_node_poll(c->in_use);
		return;
	}
	if (wants_template(n) && (!n->tmpl || moved))
		otd_chain_news(n, n->best.hash);
	else
		wait_for_news(n);
}

void otd_chain_node_poll(struct otd_chain_node *n)
{
	struct otd_chain_call q = {.kind = OTD_CHAIN_TIP};
	if (!n->st.up || n->tip)
		return;
	n->tip = otd_chain_ask(n, &q, n->c->conf.timeout_ms, got_tip, NULL);
}

/* --- the choice --- */

static bool usable(const struct otd_chain_node *n, uint64_t now, bool even_behind)
{
	if (!n->st.up || !(n->roles & OTD_NODE_TEMPLATE) || now < n->template_not_before_ns)
		return false;
	return even_behind || !n->behind_since_ns ||
	       now - n->behind_since_ns < NS_OF_MS(OTD_CHAIN_LAG_MS);
}

static void say_none(struct otd_chain *c)
{
	char why[300];
	size_t len = 0;
	why[0] = 0;
	for (size_t i = 0; i < c->n_nodes && len < sizeof(why); i++) {
		const struct otd_chain_node *n = c->nodes[i];
		if (!(n->roles & OTD_NODE_TEMPLATE))
			continue;
		int k = snprintf(why + len, sizeof(why) - len, "%snode %s: %.100s", len ? "; " : "",
				 n->name, n->st.last_error[0] ? n->st.last_error : "not asked yet");
		len += k > 0 ? (size_t)k : 0;
	}
	otd_chain_say_trouble(c, why[0] ? why : "no node has the role template");
}

void otd_chain_choose(struct otd_chain *c)
{
	struct otd_chain_node *best = NULL;
	uint64_t now = otd_mono_ns(c->env);
	for (int even_behind = 0; even_behind < 2 && !best; even_behind++) {
		for (size_t i = 0; i < c->n_nodes && !best; i++)
			best = usable(c->nodes[i], now, even_behind) ? c->nodes[i] : NULL;
	}
	if (c->in_use != best) {
		if (c->in_use) {
			c->in_use->st.in_use = false;
			forget(&c->in_use->tmpl);
			forget(&c->in_use->longpoll);
			forget(&c->in_use->header);
			forget(&c->in_use->wait);
		}
		c->in_use = best;
		if (best) {
			best->st.in_use = true;
			otd_log(OTD_LOG_INFO, "chain", "node.in_use", "node=%s", best->name);
			fetch(best);
		}
	}
	if (!best && c->started)
		say_none(c);
}
