/*
 * config check: each node is asked what a pool would ask it, all of them at once: who it is, for work,
 * whether it waits with an answer until there is news (long poll), and what its wallet holds.
 */
#include "app/check/config_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "chain/zmq.h"

#define NODES_MAX    16   /* of one pool */
#define NEWS_MS      5000 /* a long poll that is out of date is answered at once */
#define HOLD_MS      1500 /* one that is not is held for longer */
#define CLOCK_WARN_S 120
#define CLOCK_BAD_S  3600

struct otd_check_node {
	struct otd_check *c;
	const struct otd_check_pool *pool;        /* the first that uses it */
	const struct otd_settings_node *settings; /* NULL: the chain is its own node */
	const char *name;
	size_t index; /* in the pool's chain */
	bool faulty, first;
	bool no_peers;
	struct otd_chain_probe probe;
	char longpoll[160];
	int64_t template_ms, template_time_s; /* our clock, and the node's */
	struct otd_zmq *zmq;                  /* asked last */
	bool zmq_said;
};

/* --- saying --- */

static const struct otd_yaml *node_at(const struct otd_check_node *n, const char *key)
{
	const struct otd_settings *s = n->c->app.settings;
	if (!n->settings)
		return n->pool->settings->at;
	return otd_settings_at(s, "nodes", n->name, key);
}

static const char *node_key(const struct otd_check_node *n, const char *key)
{
	if (!n->settings)
		return otd_check_key(n->c, "pools.%s", n->pool->settings->name);
	return otd_check_key(n->c, "nodes.%s%s%s", n->name, *key ? "." : "", key);
}

static void fault(struct otd_check_node *n, const char *key, const char *text)
{
	n->faulty = true;
	otd_check_say(n->c, OTD_CHECK_FAULT, node_at(n, key), node_key(n, key), "%s", text);
}

static void warn(struct otd_check_node *n, const char *key, const char *text)
{
	otd_check_say(n->c, OTD_CHECK_WARNING, node_at(n, key), node_key(n, key), "%s", text);
}

/* Nobody answered, or not in HTTP. */
static void say_silent(struct otd_check_node *n, const struct otd_chain_answer *a)
{
	char text[500];
	bool tls = n->settings && strncmp(n->settings->rpc, "https:", 6) == 0;
	const char *what;
	switch (a->rc) {
	case OTD_E_REFUSED:
		what = "nothing listens there: is the node running with server=1, and is this its "
		       "rpcport and rpcbind?";
		break;
	case OTD_E_NOT_FOUND: what = "check the name of the host, or write its address"; break;
	case OTD_E_TIMEOUT:
		what = "no answer in time: is a firewall between, or is the node overloaded?";
		break;
	default:
		what = tls ? "it does not speak TLS as asked: nodes speak plain HTTP, write "
			     "http:// "
			     "unless a TLS proxy with a good certificate stands there"
			   : "this is not the RPC port of a node: take its rpcport, not its P2P "
			     "port; where a TLS proxy stands there write https://";
		break;
	}
	snprintf(text, sizeof(text), "%.300s; %s", a->why, what);
	fault(n, "rpc", text);
}

/* What a node that answered did not like. */
static void say_refused(struct otd_check_node *n, const struct otd_chain_answer *a,
			const char *question)
{
	char text[400];
	const char *key = "rpc";
	bool no_login = n->settings && !*n->settings->cookie && !*n->settings->user;
	if (a->status == 401 && n->settings && !no_login)
		key = *n->settings->cookie     ? "cookie"
		      : *n->settings->password ? "password"
					       : "user";
	if (a->status == 401 && no_login)
		snprintf(text, sizeof(text),
			 "it wants a user and a password; write cookie: FILE, or user: and "
			 "password:");
	else
		snprintf(text, sizeof(text), "%s%.300s%s", question, a->why,
			 a->rc == OTD_E_BUSY && !strchr(a->why, ';')
				 ? "; wait until it is ready, and check again"
				 : "");
	fault(n, key, text);
}

static void say_failed(struct otd_check_node *n, const struct otd_chain_answer *a,
		       const char *question)
{
	if (a->spoke)
		say_refused(n, a, question);
	else
		say_silent(n, a);
}

/* --- the questions, one after the other --- */

static bool zmq_ends(struct otd_check_node *n);

static void node_done(struct otd_check_node *n)
{
	if (!zmq_ends(n))
		return;
	struct otd_check *c = n->c;
	const struct otd_chain_probe *p = &n->probe;
	json_t *j = json_pack("{s:s, s:b, s:s, s:s, s:I, s:I, s:s}", "name", n->name, "ok",
			      !n->faulty, "software", p->software, "network", p->network, "height",
			      (json_int_t)p->height, "peers", (json_int_t)p->peers, "warning",
			      p->warning);
	if (!j || json_array_append_new(c->nodes, j) != 0)
		otd_check_say(c, OTD_CHECK_FAULT, NULL, NULL, "out of memory");
	if (!n->faulty)
		otd_check_note(c, "node %s: ok, %s, network %s, height %" PRIu64 "%s%s", n->name,
			       p->software, p->network, p->height, *p->warning ? "; it says: " : "",
			       p->warning);
	if (--c->n_open == 0)
		c->app.env->ops->loop_stop(c->app.loop);
}

static void ask(struct otd_check_node *n, const struct otd_chain_call *q, int64_t timeout_ms,
		otd_chain_answer_fn fn)
{
	if (otd_chain_ask_node(n->pool->chain, n->index, q, timeout_ms, fn, n) == OTD_OK)
		return;
	fault(n, "", "out of memory");
	node_done(n);
}

static void on_wallet(void *arg, const struct otd_chain_answer *a)
{
	struct otd_check_node *n = arg;
	const struct otd_settings_pool *p = n->pool->settings;
	char text[300];
	if (a->rc == OTD_E_UNSUPPORTED) {
		node_done(n);
		return;
	}
	if (a->rc != OTD_OK) {
		if (a->spoke)
			fault(n, *n->settings->wallet ? "wallet" : "roles", a->why);
		else
			say_silent(n, a);
		node_done(n);
		return;
	}
	const struct otd_chain_wallet *w = &a->result->u.wallet;
	if (w->locked) {
		snprintf(text, sizeof(text),
			 "its wallet%s%.63s is locked: payments wait until it can sign; unlock it "
			 "when they are due (walletpassphrase PASSPHRASE SECONDS)",
			 *w->name ? " " : "", w->name);
		warn(n, "roles", text);
	}
	if (w->owns == OTD_CHAIN_OWNS_NOT) {
		n->faulty = true;
		otd_check_say(n->c, OTD_CHECK_FAULT,
			      otd_settings_at(n->c->app.settings, "pools", p->name, "coinbase"),
			      otd_check_key(n->c, "pools.%s.coinbase.address", p->name),
			      "%.100s is not of the wallet%s%.63s of node %s, which has the role "
			      "wallet: rewards would come where payments cannot be made from; take "
			      "an address of it (getnewaddress)",
			      p->address, *w->name ? " " : "", w->name, n->name);
	}
	node_done(n);
}

static void ask_wallet(struct otd_check_node *n)
{
	struct otd_chain_call q = {.kind = OTD_CHAIN_WALLET, .address = n->pool->settings->address};
	if (!n->settings || !(n->settings->role_bits & OTD_SETTINGS_WALLET) || n->faulty)
		node_done(n);
	else
		ask(n, &q, n->pool->settings->timeout_ms, on_wallet);
}

#define POLLS "; new blocks are noticed by asking every `poll` instead"

static void on_held(void *arg, const struct otd_chain_answer *a)
{
	struct otd_check_node *n = arg;
	char text[400];
	if (a->rc == OTD_OK && strcmp(a->result->u.tmpl.longpoll_id, n->longpoll) == 0) {
		warn(n, "rpc",
		     "answers a long poll at once instead of waiting for news: is a proxy between "
		     "that drops longpollid?" POLLS);
	} else if (a->rc != OTD_OK && a->rc != OTD_E_TIMEOUT) {
		snprintf(text, sizeof(text), "fails a long poll: %.220s" POLLS, a->why);
		warn(n, "rpc", text);
	}
	ask_wallet(n);
}

static void on_news(void *arg, const struct otd_chain_answer *a)
{
	struct otd_check_node *n = arg;
	struct otd_chain_call q = {.kind = OTD_CHAIN_TEMPLATE, .longpoll_id = n->longpoll};
	if (a->rc == OTD_E_TIMEOUT) {
		warn(n, "rpc",
		     "is silent when a long poll should bring news: is a proxy between that holds "
		     "answers back?" POLLS);
		ask_wallet(n);
		return;
	}
	/* A node cannot see that we have gone: a call that it holds keeps one of its threads until
	   its next block. So one node a pool is asked, and none while a pool of ours waits there. */
	if (!n->first || n->c->running)
		ask_wallet(n);
	else
		ask(n, &q, HOLD_MS, on_held);
}

static void ask_news(struct otd_check_node *n)
{
	char old[sizeof(n->longpoll)];
	struct otd_chain_call q = {.kind = OTD_CHAIN_TEMPLATE, .longpoll_id = old};
	if (!n->settings) {
		ask_wallet(n);
		return;
	}
	if (!n->longpoll[0]) {
		warn(n, "rpc", "knows no long poll (no longpollid in its template)" POLLS);
		ask_wallet(n);
		return;
	}
	/* The id begins with the hash of the best block: another first digit is another block. */
	memcpy(old, n->longpoll, sizeof(old));
	old[0] = old[0] == '0' ? '1' : '0';
	ask(n, &q, NEWS_MS, on_news);
}

/* --- its publisher --- */

static void on_zmq_notice(void *arg, const uint8_t *hash)
{
	(void)arg;
	(void)hash;
}

static void on_zmq_state(void *arg)
{
	struct otd_check_node *n = arg;
	struct otd_zmq_status st;
	char text[400];
	if (n->zmq_said)
		return;
	n->zmq_said = true;
	otd_zmq_look(n->zmq, &st);
	if (!st.connected) {
		snprintf(text, sizeof(text),
			 "%.220s" POLLS "; the node's zmqpubhashblock says where it publishes",
			 st.why);
		warn(n, "zmq", text);
	}
	node_done(n);
}

/* Whether nothing is to be waited for: it has none, or that was said. Whether blocks come by it only a
   block can tell; the running pool says so of itself (node list). */
static bool zmq_ends(struct otd_check_node *n)
{
	struct otd_check *c = n->c;
	struct otd_zmq_conf conf = {.on_notice = on_zmq_notice, .on_state = on_zmq_state, .arg = n};
	struct otd_err err = {0};
	if (!n->settings || !*n->settings->zmq || n->zmq_said)
		return true;
	n->zmq_said = otd_zmq_address_parse(&conf.at, n->settings->zmq, &err) != OTD_OK ||
		      otd_zmq_create(&n->zmq, c->app.loop, c->app.env, &conf, &err) != OTD_OK;
	if (n->zmq_said)
		fault(n, "zmq", err.text);
	return n->zmq_said;
}

static void check_clock(struct otd_check_node *n)
{
	int64_t off = n->template_time_s - n->template_ms / 1000;
	int64_t by = off < 0 ? -off : off;
	char text[300];
	if (by < CLOCK_WARN_S)
		return;
	snprintf(text, sizeof(text),
		 "its clock and this machine's differ by %lld minutes (%s): others refuse blocks "
		 "with a wrong time; set the wrong one right, as by timedatectl set-ntp true",
		 (long long)(by / 60), off > 0 ? "the node is ahead" : "the node is behind");
	if (by >= CLOCK_BAD_S)
		fault(n, "rpc", text);
	else
		warn(n, "rpc", text);
}

static void on_template(void *arg, const struct otd_chain_answer *a)
{
	struct otd_check_node *n = arg;
	if (a->rc != OTD_OK) {
		/* That it has no peers was said already. */
		if (!n->no_peers || a->rc != OTD_E_BUSY)
			say_failed(n, a, "it gives no work: ");
		n->faulty = true;
		ask_wallet(n);
		return;
	}
	const struct otd_chain_template *t = &a->result->u.tmpl;
	n->template_ms = otd_wall_ms(n->c->app.env);
	n->template_time_s = t->time_s;
	memcpy(n->longpoll, t->longpoll_id, sizeof(n->longpoll));
	n->longpoll[sizeof(n->longpoll) - 1] = 0;
	if (n->settings)
		check_clock(n);
	ask_news(n);
}

/* false: nothing more is worth asking. */
static bool judge(struct otd_check_node *n)
{
	const struct otd_settings_pool *p = n->pool->settings;
	struct otd_err err = {0};
	otd_rc rc = otd_chain_judge_probe(n->pool->chain, &n->probe, &err);
	if (rc != OTD_OK) {
		fault(n, rc == OTD_E_BUSY ? "rpc" : "network", err.text);
		return false;
	}
	if (n->settings && n->probe.peers == 0 && p->main_network) {
		n->no_peers = true;
		fault(n, "rpc",
		      "it has no peers: blocks that are found would reach nobody; see its network "
		      "and firewall, or give it some with addnode");
	}
	return true;
}

static void on_probe(void *arg, const struct otd_chain_answer *a)
{
	struct otd_check_node *n = arg;
	struct otd_chain_call q = {.kind = OTD_CHAIN_TEMPLATE};
	if (a->rc != OTD_OK) {
		say_failed(n, a, "");
		node_done(n);
		return;
	}
	n->probe = a->result->u.probe;
	if (!judge(n))
		node_done(n);
	else if (n->settings && !(n->settings->role_bits & OTD_SETTINGS_TEMPLATE))
		ask_wallet(n);
	else
		ask(n, &q, n->pool->settings->timeout_ms, on_template);
}

/* --- which nodes --- */

static bool is_asked(const struct otd_check *c, const struct otd_settings_node *s)
{
	for (size_t i = 0; i < c->n_asked; i++) {
		if (c->asked[i].settings == s)
			return true;
	}
	return false;
}

/* A cookie that cannot be read was said already. */
static bool fit(const struct otd_check *c, const struct otd_settings_node *n)
{
	const struct otd_settings *s = c->app.settings;
	int why;
	if (!n->whole || otd_settings_faulty(s, otd_settings_at(s, "nodes", n->name, "")))
		return false;
	return !*n->cookie || otd_check_cookie_good(n->cookie, &why);
}

static void add_node(struct otd_check *c, const struct otd_check_pool *p,
		     const struct otd_settings_node *s, size_t index)
{
	struct otd_check_node *n = &c->asked[c->n_asked++];
	*n = (struct otd_check_node){.c = c,
				     .pool = p,
				     .settings = s,
				     .name = s ? s->name : p->settings->coin_id,
				     .index = index,
				     .first = index == 0};
}

static void make_chain(struct otd_check *c, struct otd_check_pool *p)
{
	const struct otd_settings_pool *s = p->settings;
	struct otd_node_conf nodes[NODES_MAX];
	const struct otd_settings_node *of[NODES_MAX];
	struct otd_err err = {0};
	bool local = otd_instance_chain(p->plugin)->local != NULL;
	size_t n = 0;
	for (size_t i = 0; i < s->n_nodes && n < NODES_MAX; i++) {
		const struct otd_settings_node *node = s->nodes[i];
		if (is_asked(c, node) || !fit(c, node))
			continue;
		of[n] = node;
		nodes[n++] =
			(struct otd_node_conf){.name = node->name,
					       .url = node->rpc,
					       .user = *node->user ? node->user : NULL,
					       .password = *node->user ? node->password : NULL,
					       .cookie_file = *node->cookie ? node->cookie : NULL,
					       .wallet = *node->wallet ? node->wallet : NULL,
					       .zmq = *node->zmq ? node->zmq : NULL,
					       .roles = node->role_bits};
	}
	if (s->n_nodes == 0 && !local)
		otd_check_say(c, OTD_CHECK_FAULT,
			      otd_settings_at(c->app.settings, "pools", s->name, "nodes"),
			      otd_check_key(c, "pools.%s.nodes", s->name),
			      "there are none; describe one under nodes: and name it here");
	if (n == 0 && !(local && s->n_nodes == 0))
		return;
	struct otd_chain_conf conf = {.coin = s->coin_id,
				      .network = s->network,
				      .plugin = p->plugin,
				      .nodes = n ? nodes : NULL,
				      .n_nodes = n,
				      .timeout_ms = s->timeout_ms,
				      .maturity = (uint32_t)s->coin->maturity,
				      .metrics = c->app.metrics};
	if (otd_chain_create(&p->chain, c->app.loop, &conf, &err) != OTD_OK) {
		otd_check_take(c, OTD_CHECK_FAULT, &err);
		return;
	}
	for (size_t i = 0; i < n; i++)
		add_node(c, p, of[i], i);
	if (n == 0)
		add_node(c, p, NULL, 0);
}

static void say_unused(struct otd_check *c)
{
	const struct otd_settings *s = c->app.settings;
	for (size_t i = 0; i < s->n_nodes; i++) {
		bool used = false;
		for (size_t k = 0; k < s->n_pools && !used; k++) {
			for (size_t j = 0; j < s->pools[k].n_nodes; j++)
				used = used || s->pools[k].nodes[j] == &s->nodes[i];
		}
		if (!used)
			otd_check_say(
				c, OTD_CHECK_WARNING, s->nodes[i].at,
				otd_check_key(c, "nodes.%s", s->nodes[i].name),
				"no pool names it, so it was not asked; add it to the nodes of "
				"one, or remove it");
	}
}

void otd_check_nodes(struct otd_check *c)
{
	const struct otd_settings *s = c->app.settings;
	say_unused(c);
	c->asked = calloc(s->n_nodes + s->n_pools + 1, sizeof(*c->asked));
	for (size_t i = 0; c->asked && i < c->n_pools; i++) {
		if (c->pools[i].plugin)
			make_chain(c, &c->pools[i]);
	}
	c->n_open = c->n_asked;
	for (size_t i = 0; i < c->n_asked; i++) {
		struct otd_chain_call q = {.kind = OTD_CHAIN_PROBE};
		ask(&c->asked[i], &q, c->asked[i].pool->settings->timeout_ms, on_probe);
	}
	if (c->n_open)
		c->app.env->ops->loop_run(c->app.loop);
}

void otd_check_nodes_finish(struct otd_check *c)
{
	for (size_t i = 0; i < c->n_asked; i++)
		otd_zmq_destroy(c->asked[i].zmq);
	c->n_asked = 0;
	free(c->asked);
	c->asked = NULL;
}
