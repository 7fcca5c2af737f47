/* A call to a node: written by the plugin, sent by env's HTTP, read by the plugin. */
#include "chain/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void unlink_req(struct otd_chain_req *r)
{
	if (r->prev)
		r->prev->next = r->next;
	else
		r->c->reqs = r->next;
	if (r->next)
		r->next->prev = r->prev;
}

static void free_req(struct otd_chain_req *r)
{
	unlink_req(r);
	otd_bytes_finish(&r->body);
	otd_bytes_finish(&r->out);
	free(r->owned);
	free(r);
}

void otd_chain_cancel(struct otd_chain_req *r)
{
	if (!r)
		return;
	if (r->http)
		r->c->env->ops->http_cancel(r->http);
	free_req(r);
}

static enum otd_chain_outcome outcome_of(otd_rc rc)
{
	switch (rc) {
	case OTD_OK: return OTD_CHAIN_OUT_OK;
	case OTD_E_TIMEOUT: return OTD_CHAIN_OUT_TIMEOUT;
	case OTD_E_REFUSED:
	case OTD_E_BUSY: return OTD_CHAIN_OUT_REFUSED;
	default: return OTD_CHAIN_OUT_ERROR;
	}
}

/* Held by the node until there is news: how long it takes says nothing of it. */
static bool waits(const struct otd_chain_req *r)
{
	return r->longpoll_id[0] || (r->call.kind == OTD_CHAIN_TIP && r->call.height);
}

/* Counts, tells whoever asked, frees. */
static void finish(struct otd_chain_req *r, otd_rc rc, const struct otd_chain_result *res,
		   const char *why)
{
	struct otd_chain_node *n = r->node;
	uint64_t now = otd_mono_ns(r->c->env);
	n->st.requests++;
	/* A long poll that ran into its time is how long polls end. */
	if (rc && !(rc == OTD_E_TIMEOUT && r->longpoll_id[0])) {
		n->st.errors++;
		n->st.last_failure_ms = otd_wall_ms(r->c->env);
		snprintf(n->st.last_failure, sizeof(n->st.last_failure), "%s",
			 why && *why ? why : otd_rc_name(rc));
	}
	if (r->call.kind < OTD_CHAIN_KINDS) {
		otd_metric_add(n->requests[r->call.kind][outcome_of(rc)], 1);
		if (!waits(r))
			otd_metric_observe_ns(n->latency[r->call.kind], now - r->began_ns);
	}
	if (rc == OTD_OK)
		n->st.last_ok_ms = otd_wall_ms(r->c->env);
	if (rc == OTD_OK && !waits(r))
		n->st.latency_us = (now - r->began_ns) / 1000;
	r->done(r, rc, res, why && *why ? why : otd_rc_name(rc));
	free_req(r);
}

void otd_chain_read_cookie(struct otd_chain_node *n)
{
	const struct otd_files *f = n->c->env->files;
	struct otd_file *file = NULL;
	char text[256];
	size_t got = 0;
	n->cookie_user[0] = n->cookie_password[0] = 0;
	if (!n->cookie_file || f->open(f->ctx, &file, n->cookie_file, OTD_OPEN_READ))
		return;
	otd_rc rc = f->read(f->ctx, file, &got, text, sizeof(text) - 1, 0);
	f->close(f->ctx, file);
	if (rc)
		return;
	while (got && (text[got - 1] == '\n' || text[got - 1] == '\r'))
		got--;
	text[got] = 0;
	char *colon = strchr(text, ':');
	size_t user = colon ? (size_t)(colon - text) : 0, password = colon ? got - user - 1 : 0;
	if (!colon || user >= sizeof(n->cookie_user) || password >= sizeof(n->cookie_password))
		return;
	memcpy(n->cookie_user, text, user);
	n->cookie_user[user] = 0;
	memcpy(n->cookie_password, colon + 1, password + 1);
}

static void on_http(void *arg, const struct otd_http_answer *a);

static otd_rc send_http(struct otd_chain_req *r)
{
	struct otd_chain_node *n = r->node;
	bool cookie = n->cookie_file != NULL,
	     wallet = r->call.kind >= OTD_CHAIN_WALLET && r->call.kind <= OTD_CHAIN_TX;
	struct otd_http_request q = {.url = wallet && n->wallet_url ? n->wallet_url : n->url,
				     .user = cookie ? n->cookie_user : n->user,
				     .password = cookie ? n->cookie_password : n->password,
				     .body = otd_bytes_span(&r->body),
				     .timeout_ms = r->timeout_ms,
				     .max_answer = OTD_CHAIN_MAX_ANSWER,
				     .once = wallet};
	return r->c->env->ops->http(r->c->loop, &r->http, &q, on_http, r);
}

/* Has the plugin answer r (from body, or by itself), with call.out as long as it asks for. */
static otd_rc ask_plugin(struct otd_chain_req *r, struct otd_chain_result *res, int status,
			 struct otd_span body)
{
	struct otd_chain *c = r->c;
	bool writes = r->call.kind == OTD_CHAIN_COINS || r->call.kind == OTD_CHAIN_SIGN;
	size_t room = writes ? 4096 : 0;
	for (int i = 0; i < 3; i++) {
		struct otd_buf out = {.cap = room};
		if (writes) {
			out.ptr = otd_bytes_room(&r->out, room);
			if (!out.ptr)
				return OTD_E_NOMEM;
			r->call.out = &out;
		}
		*res = (struct otd_chain_result){.size = sizeof(*res), .kind = r->call.kind};
		OTD_ON(OTD_THREAD_COORDINATOR);
		otd_instance_clear_error(c->conf.plugin);
		otd_rc rc = c->ops->local ? c->ops->local(c->self, &r->call, res)
					  : c->ops->answer(c->self, &r->call, status, body, res);
		r->call.out = NULL;
		if (rc == OTD_OK && out.len > room)
			return OTD_E_INVALID;
		r->out.len = rc == OTD_OK ? out.len : 0;
		if (rc != OTD_E_RANGE || out.len <= room)
			return rc;
		room = out.len;
	}
	return OTD_E_RANGE;
}

static void on_http(void *arg, const struct otd_http_answer *a)
{
	struct otd_chain_req *r = arg;
	struct otd_chain *c = r->c;
	struct otd_chain_result res;
	r->http = NULL;
	if (a->rc) {
		r->unanswered = true;
		finish(r, a->rc, NULL, a->error);
		return;
	}
	r->status = a->status;
	/* A node makes a new cookie each time that it starts. */
	if (a->status == 401 && r->node->cookie_file && !r->second) {
		r->second = true;
		otd_chain_read_cookie(r->node);
		otd_rc rc = send_http(r);
		if (rc) {
			r->unsent = true;
			finish(r, rc, NULL, "");
		}
		return;
	}
	otd_rc rc = ask_plugin(r, &res, a->status, a->body);
	finish(r, rc, rc ? NULL : &res, rc ? otd_instance_error(c->conf.plugin) : "");
}

/* The plugin's own text, in a buffer that is made as long as it asks for. */
static otd_rc write_body(struct otd_chain_req *r)
{
	struct otd_chain *c = r->c;
	size_t room = 1024;
	for (int i = 0; i < 3; i++) {
		struct otd_buf b = {.ptr = otd_bytes_room(&r->body, room), .cap = room};
		if (!b.ptr)
			return OTD_E_NOMEM;
		OTD_ON(OTD_THREAD_COORDINATOR);
		otd_instance_clear_error(c->conf.plugin);
		otd_rc rc = c->ops->request(c->self, &r->call, &b);
		if (rc == OTD_OK)
			r->body.len = b.len;
		if (rc != OTD_E_RANGE || b.len <= room)
			return rc;
		room = b.len;
	}
	return OTD_E_RANGE;
}

static void answer_local(struct otd_chain_req *r)
{
	struct otd_chain *c = r->c;
	struct otd_chain_result res;
	otd_rc rc = ask_plugin(r, &res, 0, (struct otd_span){0});
	finish(r, rc, rc ? NULL : &res, rc ? otd_instance_error(c->conf.plugin) : "");
}

void otd_chain_run_queue(void *chain)
{
	struct otd_chain *c = chain;
	/* Only what waits now: an answer may lead to another question. Oldest first. */
	size_t n = 0;
	for (struct otd_chain_req *r = c->reqs; r; r = r->next)
		n += !r->http;
	for (; n > 0; n--) {
		struct otd_chain_req *oldest = NULL;
		for (struct otd_chain_req *r = c->reqs; r; r = r->next)
			oldest = r->http ? oldest : r;
		if (!oldest)
			return;
		if (oldest->failed)
			finish(oldest, oldest->failed, NULL, oldest->failed_why);
		else
			answer_local(oldest);
	}
	for (struct otd_chain_req *r = c->reqs; r; r = r->next) {
		if (!r->http) {
			c->env->ops->timer_start(c->queue, 0, 0);
			return;
		}
	}
}

static struct otd_chain_req *make_req(struct otd_chain_node *n, const struct otd_chain_call *q,
				      otd_chain_done done, void *arg)
{
	struct otd_chain *c = n->c;
	struct otd_chain_req *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->c = c;
	r->node = n;
	r->call = *q;
	r->call.size = sizeof(r->call);
	r->done = done;
	r->arg = arg;
	r->began_ns = otd_mono_ns(c->env);
	if (q->longpoll_id) {
		snprintf(r->longpoll_id, sizeof(r->longpoll_id), "%s", q->longpoll_id);
		r->call.longpoll_id = r->longpoll_id;
	}
	otd_bytes_init(&r->body, OTD_CHAIN_MAX_ANSWER);
	otd_bytes_init(&r->out, OTD_CHAIN_MAX_ANSWER);
	r->next = c->reqs;
	if (r->next)
		r->next->prev = r;
	c->reqs = r;
	return r;
}

static void fail_later(struct otd_chain_req *r, otd_rc rc, const char *why)
{
	r->failed = rc;
	r->unsent = true;
	snprintf(r->failed_why, sizeof(r->failed_why), "%s", why);
}

struct otd_chain_req *otd_chain_ask(struct otd_chain_node *n, const struct otd_chain_call *q,
				    int64_t timeout_ms, otd_chain_done done, void *arg)
{
	struct otd_chain *c = n->c;
	struct otd_chain_req *r = make_req(n, q, done, arg);
	if (!r)
		return NULL;
	r->timeout_ms = timeout_ms;
	if (!c->ops->local) {
		otd_rc rc = write_body(r);
		if (rc == OTD_OK)
			rc = send_http(r);
		if (rc)
			fail_later(r, rc, otd_instance_error(c->conf.plugin));
	}
	if (!r->http)
		c->env->ops->timer_start(c->queue, 0, 0);
	return r;
}

struct otd_chain_req *otd_chain_ask_not(struct otd_chain_node *n, const struct otd_chain_call *q,
					otd_rc rc, const char *why, otd_chain_done done, void *arg)
{
	struct otd_chain_req *r = make_req(n, q, done, arg);
	if (!r)
		return NULL;
	fail_later(r, rc, why);
	n->c->env->ops->timer_start(n->c->queue, 0, 0);
	return r;
}
