/* See stratum/policy.h. */
#include "stratum/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define REASON_POLICY "policy"
#define PREFIX_IPV4   24
#define PREFIX_IPV6   48

/* --- whether a script is asked --- */

static const char *pool_name(const struct otd_session *s)
{
	return otd_session_pool(s)->name;
}

static bool has_hook(const struct otd_session *s, enum otd_policy_hook h)
{
	const struct otd_stratum_policy *p = s->st->conf.policy;

	return p && p->wants(p->arg, h, pool_name(s));
}

/* Whether there is time for a question; asked() follows where there is. */
static bool has_time(struct otd_stratum *st)
{
	uint64_t now = otd_mono_ns(st->env);

	if (now - st->policy.second_ns >= 1000000000u) {
		st->policy.second_ns = now;
		st->policy.spent_ns = 0;
	}
	if (st->policy.spent_ns < OTD_POLICY_SHARE_MS * UINT64_C(1000000)) {
		st->policy.began_ns = now;
		return true;
	}
	otd_metric_add(st->m_policy_skipped, 1);
	return false;
}

static bool wants(struct otd_session *s, enum otd_policy_hook h)
{
	return has_hook(s, h) && has_time(s->st);
}

static void asked(struct otd_stratum *st)
{
	st->policy.spent_ns += otd_mono_ns(st->env) - st->policy.began_ns;
}

/* --- what they are told --- */

/* Texts that end with a zero, of a worker's names. */
struct names {
	char account[OTD_WORKER_ACCOUNT_MAX + 1], worker[OTD_WORKER_NAME_MAX + 1];
	bool any;
};

static void put(char *to, size_t cap, struct otd_span s)
{
	size_t n = s.len < cap - 1 ? s.len : cap - 1;

	if (n)
		memcpy(to, s.ptr, n);
	to[n] = '\0';
}

static void names_of(struct names *n, const struct otd_session_worker *w)
{
	n->any = w != NULL;
	n->account[0] = n->worker[0] = '\0';
	if (w) {
		put(n->account, sizeof(n->account), otd_worker_account(w->worker));
		put(n->worker, sizeof(n->worker), otd_worker_name(w->worker));
	}
}

static const char *host_of(const struct otd_session *s)
{
	return s->host ? s->host->text : s->conn ? otd_conn_host(s->conn) : "";
}

static int64_t connections(const struct otd_session *s)
{
	int64_t here = s->host ? s->host->sessions : 1;

	return s->ticket.connections > here ? s->ticket.connections : here;
}

static void tell(struct otd_session *s, const char *text)
{
	if (s->conn && !s->closing && *text)
		s->dialect->show_message(s, text);
}

static void log_said(const struct otd_session *s, const char *event,
		     const struct otd_policy_said *said)
{
	otd_log(OTD_LOG_INFO, "stratum", event, "peer=%s pool=%s script=%s reason=%s", host_of(s),
		pool_name(s), said->script, OTD_Q(said->reason));
}

/* --- on_connect --- */

bool otd_session_policy_connect(struct otd_session *s)
{
	const struct otd_stratum_policy *p = s->st->conf.policy;
	struct otd_policy_connect_out out = {0};

	if (!p)
		return true;
	s->host = otd_hosts_enter(&s->st->policy.hosts, otd_conn_host(s->conn));
	s->policy_revision = s->st->policy.revision;
	if (!wants(s, OTD_HOOK_CONNECT))
		return true;
	const struct otd_policy_connect in = {.pool = pool_name(s),
					      .host = host_of(s),
					      .port = s->port->number,
					      .connections = connections(s),
					      .sessions = (int64_t)s->st->n_open,
					      .tls = s->tls};
	p->connect(p->arg, &out, &in);
	asked(s->st);
	if (!out.refuse)
		return true;
	log_said(s, "policy.refused_connection", &out.said);
	tell(s, out.said.reason);
	otd_session_close(s, REASON_POLICY);
	return false;
}

void otd_session_policy_loaded(struct otd_session *s)
{
	if (!s->st->conf.policy)
		return;
	s->host = otd_hosts_enter(&s->st->policy.hosts, otd_conn_host(s->conn));
	s->policy_revision = s->st->policy.revision;
	for (size_t i = 0; s->host && i < s->n_workers; i++)
		s->host->workers += s->workers[i].accepted > 0;
}

void otd_session_policy_end(struct otd_session *s)
{
	for (size_t i = 0; i < s->n_workers; i++) {
		if (s->host)
			s->host->workers -= s->workers[i].accepted > 0;
		otd_budget_leave(s->workers[i].rig);
	}
	otd_hosts_leave(&s->st->policy.hosts, s->host);
	s->host = NULL;
}

/* --- on_authorize --- */

bool otd_session_policy_authorize(struct otd_session *s, struct otd_span account,
				  struct otd_span name, char why[OTD_POLICY_REASON_MAX + 1])
{
	const struct otd_stratum_policy *p = s->st->conf.policy;
	struct otd_policy_authorize_out out = {0};
	struct names n;

	if (otd_session_kept_out(s, account, name, why, OTD_POLICY_REASON_MAX + 1))
		return false;
	if (!wants(s, OTD_HOOK_AUTHORIZE))
		return true;
	put(n.account, sizeof(n.account), account);
	put(n.worker, sizeof(n.worker), name);
	const struct otd_policy_authorize in = {
		.pool = pool_name(s),
		.host = host_of(s),
		.port = s->port->number,
		.account = n.account,
		.worker = n.worker,
		.agent = s->agent,
		.scheme = s->port->scheme && *s->port->scheme ? s->port->scheme : NULL,
		.connections = connections(s),
		.workers = (int64_t)otd_reactor_workers_online(
			s->st->conf.reactor, s->port->pool, s->port->scheme ? s->port->scheme : "",
			account, name),
		.diff1 = otd_session_diff1(s),
		.start = s->port->start,
		.min = s->port->min,
		.max = s->port->max};
	p->authorize(p->arg, &out, &in);
	asked(s->st);
	if (out.refuse) {
		log_said(s, "policy.refused_worker", &out.said);
		(void)snprintf(why, OTD_POLICY_REASON_MAX + 1, "%s", out.said.reason);
		return false;
	}
	if (out.has_target) {
		otd_vardiff_suggest(&s->vardiff, out.target, otd_session_now_ms(s));
		otd_session_target_changed(s);
	}
	return true;
}

/* --- difficulty --- */

/* before is in force; what the host wants stands in vardiff.target. */
static void ask_difficulty(struct otd_session *s, struct otd_u256 before, struct otd_u256 suggested,
			   int64_t shares, int64_t window_ms)
{
	const struct otd_stratum_policy *p = s->st->conf.policy;
	struct otd_policy_difficulty_out out = {0};
	int64_t now_ms = otd_session_now_ms(s);
	struct names n;

	names_of(&n, s->n_workers ? &s->workers[0] : NULL);
	const struct otd_policy_difficulty in = {.pool = pool_name(s),
						 .host = host_of(s),
						 .port = s->port->number,
						 .account = n.account,
						 .worker = n.worker,
						 .agent = s->agent,
						 .diff1 = otd_session_diff1(s),
						 .min = s->vardiff.min,
						 .max = s->vardiff.max,
						 .start = s->vardiff.start,
						 .current = before,
						 .wanted = s->vardiff.target,
						 .suggested = suggested,
						 .aim_ms = s->vardiff.aim_ms,
						 .shares = shares,
						 .window_ms = window_ms,
						 .connected_s = (now_ms - s->opened_ms) / 1000};
	p->difficulty(p->arg, &out, &in);
	asked(s->st);
	s->difficulty_ms = now_ms;
	if (!out.set)
		return;
	s->vardiff.target = before;
	otd_vardiff_suggest(&s->vardiff, out.target, now_ms);
	if (out.fixed && !s->vardiff.fixed)
		s->policy_fixed = s->vardiff.fixed = true;
	else if (!out.fixed && s->policy_fixed)
		s->policy_fixed = s->vardiff.fixed = false;
}

void otd_session_policy_start(struct otd_session *s)
{
	struct otd_u256 none = {0};

	if (!wants(s, OTD_HOOK_DIFFICULTY))
		return;
	ask_difficulty(s, s->vardiff.target, none, 0, 0);
	otd_session_target_changed(s);
}

void otd_session_policy_steer(struct otd_session *s, struct otd_u256 before,
			      struct otd_u256 suggested)
{
	bool wish = !otd_u256_is_zero(suggested);
	int64_t now_ms = otd_session_now_ms(s);

	if (!s->n_workers || !otd_u256_cmp(before, s->vardiff.target) ||
	    !has_hook(s, OTD_HOOK_DIFFICULTY))
		return;
	/* The answer of a moment ago holds; what the miner wishes is asked each time, for a miner may
	   wish but once. */
	if ((!wish && s->difficulty_ms && now_ms - s->difficulty_ms < OTD_POLICY_PAUSE_MS) ||
	    !has_time(s->st))
		s->vardiff.target = before;
	else
		ask_difficulty(s, before, suggested, s->steer_shares, s->steer_ms);
}

void otd_session_policy_follow(struct otd_session *s)
{
	struct otd_u256 before = s->vardiff.target, none = {0};

	if (!s->st->conf.policy || s->policy_revision == s->st->policy.revision || !s->n_workers)
		return;
	s->policy_revision = s->st->policy.revision;
	if (s->policy_fixed) {
		s->policy_fixed = false;
		s->vardiff.fixed = !s->port->vardiff;
		s->vardiff.target = s->vardiff.start;
	}
	s->difficulty_ms = 0;
	if (wants(s, OTD_HOOK_DIFFICULTY))
		ask_difficulty(s, before, none, 0, 0);
	otd_session_target_changed(s);
}

/* --- on_offence --- */

/* The address, or the prefix round it, as a person would write it. */
static bool ban_net(const char *host, enum otd_policy_scope scope, char out[OTD_BAN_WHAT_MAX + 1])
{
	struct otd_ban_net net;
	const uint8_t *a = net.address;

	if (scope == OTD_POLICY_IP) {
		(void)snprintf(out, OTD_BAN_WHAT_MAX + 1, "%s", host);
		return *out != '\0';
	}
	if (scope != OTD_POLICY_PREFIX || !otd_ban_host(&net, host))
		return false;
	otd_ban_net_cut(&net, net.family == 4 ? PREFIX_IPV4 : PREFIX_IPV6);
	if (net.family == 4)
		(void)snprintf(out, OTD_BAN_WHAT_MAX + 1, "%u.%u.%u.0/%d", a[0], a[1], a[2],
			       PREFIX_IPV4);
	else
		(void)snprintf(out, OTD_BAN_WHAT_MAX + 1, "%x:%x:%x::/%d", a[0] << 8 | a[1],
			       a[2] << 8 | a[3], a[4] << 8 | a[5], PREFIX_IPV6);
	return true;
}

/* What is banned; false: this scope has nothing to stand on. */
static bool ban_what(const struct otd_session *s, const struct names *n,
		     enum otd_policy_scope scope, char out[OTD_BAN_WHAT_MAX + 1])
{
	int len = 0;

	if (scope == OTD_POLICY_WORKER)
		len = snprintf(out, OTD_BAN_WHAT_MAX + 1, "%s/%s.%s", pool_name(s), n->account,
			       n->worker);
	else if (scope == OTD_POLICY_ACCOUNT)
		len = snprintf(out, OTD_BAN_WHAT_MAX + 1, "%s/%s", pool_name(s), n->account);
	else
		return ban_net(host_of(s), scope, out);
	return n->any && len <= OTD_BAN_WHAT_MAX;
}

static void ban(struct otd_session *s, const struct names *n,
		const struct otd_policy_offence_out *out)
{
	const struct otd_stratum_policy *p = s->st->conf.policy;
	char what[OTD_BAN_WHAT_MAX + 1], text[OTD_BAN_TEXT];
	int64_t until_ms = otd_wall_ms(s->st->env) + out->seconds * 1000;

	if (ban_what(s, n, out->scope, what) && p->ban)
		p->ban(p->arg, out->said.script, out->scope, what, out->seconds, out->said.reason);
	tell(s, otd_ban_text(text, out->said.reason, until_ms));
	otd_session_close(s, REASON_POLICY);
}

static void raise_difficulty(struct otd_session *s)
{
	otd_vardiff_suggest(&s->vardiff, otd_u256_shr(s->vardiff.target, 1), otd_session_now_ms(s));
	s->difficulty_ms = otd_session_now_ms(s);
	otd_session_target_changed(s);
}

static void act(struct otd_session *s, const struct names *n,
		const struct otd_policy_offence_out *out)
{
	if (out->said.from != OTD_POLICY_SCRIPT || out->action == OTD_ACTION_NONE)
		return;
	log_said(s,
		 out->action == OTD_ACTION_BAN    ? "policy.ban"
		 : out->action == OTD_ACTION_DROP ? "policy.drop"
						  : "policy.offence",
		 &out->said);
	if (out->action == OTD_ACTION_BAN) {
		ban(s, n, out);
		return;
	}
	tell(s, out->said.reason);
	if (out->action == OTD_ACTION_RAISE && s->n_workers)
		raise_difficulty(s);
	if (out->action == OTD_ACTION_DROP)
		otd_session_close(s, REASON_POLICY);
}

/* One more of this kind; true: it is time to ask. */
static bool count(struct otd_tally *t, enum otd_policy_offence_kind kind, int64_t now_ms)
{
	if (now_ms - t->since_ms >= OTD_POLICY_WINDOW_MS) {
		memset(t, 0, sizeof(*t));
		t->since_ms = now_ms;
	}
	uint32_t n = ++t->count[kind];
	return kind == OTD_OFFENCE_HANDSHAKE || (n >= OTD_POLICY_FIRST && !(n & (n - 1)));
}

/* Made at the first offence; NULL where memory is out. */
static struct otd_tally *tally_of(struct otd_tally **t)
{
	if (!*t)
		*t = calloc(1, sizeof(**t));
	return *t;
}

static void offence(struct otd_session *s, struct otd_session_worker *w,
		    enum otd_policy_offence_kind kind)
{
	const struct otd_stratum_policy *p = s->st->conf.policy;
	struct otd_policy_offence_out out = {0};
	struct otd_tally *t = p && !s->closing ? tally_of(w ? &w->tally : &s->tally) : NULL;
	struct names n;

	if (!t || !count(t, kind, otd_session_now_ms(s)) || !wants(s, OTD_HOOK_OFFENCE))
		return;
	names_of(&n, w);
	const struct otd_policy_offence in = {
		.kind = kind,
		.pool = pool_name(s),
		.host = host_of(s),
		.port = s->port->number,
		.account = w ? n.account : NULL,
		.worker = w ? n.worker : NULL,
		.agent = s->agent,
		.count = t->count[kind],
		.window_s = OTD_POLICY_WINDOW_MS / 1000,
		.accepted = w ? (int64_t)w->accepted : 0,
		.refused = w ? (int64_t)w->refused : 0,
		.host_workers = s->host ? s->host->workers - (w && w->accepted ? 1 : 0) : 0,
		.host_accepted = s->host ? (int64_t)s->host->accepted : 0,
		.connections = connections(s)};
	p->offence(p->arg, &out, &in);
	asked(s->st);
	/* Who is judged by a script is not judged by the host, too. */
	if (out.said.from == OTD_POLICY_SCRIPT && w && w->rig)
		w->rig->excused = true;
	act(s, &n, &out);
}

void otd_session_policy_offence(struct otd_session *s, enum otd_policy_offence_kind kind)
{
	offence(s, s->n_workers ? &s->workers[0] : NULL, kind);
}

static bool kind_of(enum otd_policy_offence_kind *out, enum otd_share_verdict v)
{
	static const struct {
		enum otd_share_verdict verdict;
		enum otd_policy_offence_kind kind;
	} row[] = {{OTD_SHARE_STALE, OTD_OFFENCE_STALE},
		   {OTD_SHARE_DUPLICATE, OTD_OFFENCE_DUPLICATE},
		   {OTD_SHARE_LOW_DIFFICULTY, OTD_OFFENCE_LOW_DIFFICULTY},
		   {OTD_SHARE_UNAUTHORIZED, OTD_OFFENCE_UNAUTHORIZED},
		   {OTD_SHARE_NOT_SUBSCRIBED, OTD_OFFENCE_UNAUTHORIZED},
		   {OTD_SHARE_MALFORMED, OTD_OFFENCE_MALFORMED},
		   {OTD_SHARE_TIME, OTD_OFFENCE_INVALID},
		   {OTD_SHARE_VERSION, OTD_OFFENCE_INVALID}};
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		*out = row[i].kind;
		if (row[i].verdict == v)
			return true;
	}
	return false;
}

void otd_session_policy_verdict(struct otd_session *s, const struct otd_pool_worker *worker,
				enum otd_share_verdict v)
{
	enum otd_policy_offence_kind kind;
	struct otd_session_worker *w = NULL;

	for (size_t i = 0; worker && i < s->n_workers && !w; i++)
		w = s->workers[i].worker == worker ? &s->workers[i] : NULL;
	if (v == OTD_SHARE_ACCEPTED) {
		if (s->host) {
			s->host->accepted++;
			s->host->workers += w && !w->accepted;
		}
		if (w)
			w->accepted++;
		if (w && w->rig)
			otd_budget_good(w->rig);
		return;
	}
	if (w)
		w->refused++;
	if (!s->conn || !kind_of(&kind, v))
		return;
	otd_session_budget(s, w, v);
	offence(s, w, kind);
}

void otd_stratum_flood(struct otd_stratum *st, uint32_t port, const char *host, int64_t count,
		       int64_t window_s)
{
	const struct otd_stratum_policy *p = st->conf.policy;
	struct otd_policy_offence_out out = {0};
	char what[OTD_BAN_WHAT_MAX + 1];
	uint64_t at;

	if (!p || port >= st->n_ports)
		return;
	const struct otd_stratum_port *conf = &st->ports[port]->conf;
	const char *pool = otd_reactor_pool(st->conf.reactor, conf->pool)->name;
	const struct otd_host *known = otd_map_get(st->policy.hosts.map, host, strlen(host), &at)
					       ? (const struct otd_host *)(uintptr_t)at
					       : NULL;
	if (!p->wants(p->arg, OTD_HOOK_OFFENCE, pool) || !has_time(st))
		return;
	const struct otd_policy_offence in = {.kind = OTD_OFFENCE_FLOOD,
					      .pool = pool,
					      .host = host,
					      .port = conf->number,
					      .count = count,
					      .window_s = window_s,
					      .refused = count,
					      .host_workers = known ? known->workers : 0,
					      .host_accepted = known ? (int64_t)known->accepted : 0,
					      .connections = known ? known->sessions : 0};
	p->offence(p->arg, &out, &in);
	asked(st);
	if (out.said.from != OTD_POLICY_SCRIPT || out.action != OTD_ACTION_BAN ||
	    !ban_net(host, out.scope, what) || !p->ban)
		return;
	otd_log(OTD_LOG_INFO, "stratum", "policy.ban", "peer=%s pool=%s script=%s reason=%s", host,
		pool, out.said.script, OTD_Q(out.said.reason));
	p->ban(p->arg, out.said.script, out.scope, what, out.seconds, out.said.reason);
}
