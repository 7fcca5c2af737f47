/* The budget of refused shares, where sessions are: who is told, closed, kept out. */
#include "base/log.h"
#include "stratum/policy.h"
#include <stdio.h>
#include <string.h>

#define RULE   "limits.invalid" /* who has banned, for people */
#define CLOSED "invalid shares"

static const char *const did[] = {[OTD_BUDGET_TELL] = "told",
				  [OTD_BUDGET_CLOSE] = "closed",
				  [OTD_BUDGET_REFUSE] = "kept_out",
				  [OTD_BUDGET_BAN] = "address_banned"};

otd_rc otd_stratum_budget_init(struct otd_stratum *st)
{
	char label[48];

	for (int i = OTD_BUDGET_TELL; st->conf.metrics && i <= OTD_BUDGET_BAN; i++) {
		snprintf(label, sizeof(label), "did=\"%s\"", did[i]);
		st->m_budget[i] = otd_metric(
			st->conf.metrics, OTD_COUNTER, "otd_workers_over_budget_total", label,
			"Workers whose shares are mostly refused, by what was done");
	}
	otd_rc rc = otd_budget_init(&st->budget, st->env, &st->conf.limits.invalid);
	st->budget.reactors = st->conf.reactors;
	return rc;
}

static const char *host_of(const struct otd_session *s)
{
	return s->conn ? otd_conn_host(s->conn) : "";
}

bool otd_session_kept_out(struct otd_session *s, struct otd_span account, struct otd_span name,
			  char *why, size_t cap)
{
	int64_t until = otd_budget_until(&s->st->budget, host_of(s), s->port->pool, account, name);

	if (!until)
		return false;
	snprintf(why, cap,
		 "too many shares of this worker were refused: it is let in again in %lld s",
		 (long long)((until - otd_session_now_ms(s) + 999) / 1000));
	return true;
}

/* Another worker of this connection that has done good work: it does not suffer. */
static bool has_good_one(const struct otd_session *s, const struct otd_session_worker *but)
{
	for (size_t i = 0; i < s->n_workers; i++) {
		if (&s->workers[i] != but && s->workers[i].accepted)
			return true;
	}
	return false;
}

static void words(const struct otd_session *s, enum otd_budget_step step, char *to, size_t cap)
{
	const struct otd_budget_conf *f = &s->st->budget.conf;
	long long ban_s = (long long)(f->ban_ms / 1000);

	if (step == OTD_BUDGET_TELL)
		snprintf(to, cap,
			 "most shares of this worker are refused: check the miner; it is closed if "
			 "it "
			 "goes on");
	else if (step == OTD_BUDGET_CLOSE)
		snprintf(to, cap, "too many shares of this worker were refused: connect again");
	else
		snprintf(
			to, cap,
			"too many shares of this worker were refused: it is let in again in %lld s",
			ban_s);
}

static void ban_address(struct otd_session *s)
{
	const struct otd_stratum_policy *p = s->st->conf.policy;
	int64_t seconds = s->st->budget.conf.ban_ms / 1000;

	if (p && p->ban && seconds)
		p->ban(p->arg, RULE, OTD_POLICY_IP, host_of(s), seconds,
		       "most workers of this address send shares that are refused");
}

static void act(struct otd_session *s, const struct otd_session_worker *w,
		enum otd_budget_step step)
{
	bool alone = !has_good_one(s, w);
	char text[160];

	otd_metric_add(s->st->m_budget[step], 1);
	otd_log(OTD_LOG_INFO, "stratum", "budget.spent", "peer=%s pool=%s did=%s connection=%s",
		host_of(s), otd_session_pool(s)->name, did[step],
		step > OTD_BUDGET_TELL && alone ? "closed" : "stays");
	words(s, step, text, sizeof(text));
	s->dialect->show_message(s, text);
	if (step == OTD_BUDGET_BAN)
		ban_address(s);
	if (step > OTD_BUDGET_TELL && alone)
		otd_session_close(s, CLOSED);
}

/* Kept out, and not only for what others of its address send under its name. */
bool otd_session_out_of_budget(const struct otd_session *s, const struct otd_session_worker *w)
{
	return w->rig && w->refused >= w->accepted && otd_budget_refused(&s->st->budget, w->rig);
}

/* Whoever is left on this connection is kept out: by what it sent on another one, or at another reactor. */
static bool all_are_out(const struct otd_session *s)
{
	for (size_t i = 0; i < s->n_workers; i++) {
		if (!otd_session_out_of_budget(s, &s->workers[i]))
			return false;
	}
	return s->n_workers != 0;
}

static void tell_others(struct otd_session *s, struct otd_rig *rig, enum otd_budget_step step,
			uint32_t good)
{
	struct otd_budget_word word;
	const char *host = host_of(s);

	if (!otd_budget_say(&s->st->budget, rig, step, good, &word))
		return;
	word.host = (struct otd_span){(const uint8_t *)host, strlen(host)};
	otd_reactor_budget_tell(s->st->conf.reactor, &word);
}

void otd_stratum_budget_heard(struct otd_stratum *st, uint32_t from,
			      const struct otd_budget_word *w)
{
	struct otd_budget_word answer;
	struct otd_hosts *hosts = &st->policy.hosts;
	const struct otd_host *host = NULL;
	uint64_t at;

	if (hosts->map && otd_map_get(hosts->map, w->host.ptr, w->host.len, &at))
		host = (const struct otd_host *)(uintptr_t)at;
	if (!otd_budget_hear(&st->budget, from, w, host ? host->workers : 0, &answer))
		return;
	answer.host = w->host;
	otd_reactor_budget_tell(st->conf.reactor, &answer);
}

void otd_session_budget(struct otd_session *s, struct otd_session_worker *w,
			enum otd_share_verdict v)
{
	struct otd_budget *b = &s->st->budget;
	struct otd_span none = {0};
	struct otd_rig *rig;

	if (!b->conf.shares || !s->conn || s->closing)
		return;
	if (all_are_out(s)) {
		otd_session_close(s, CLOSED);
		return;
	}
	/* What nobody here may send is charged to nobody's name. */
	if (v == OTD_SHARE_UNAUTHORIZED || v == OTD_SHARE_NOT_SUBSCRIBED)
		w = NULL;
	if (w && !w->rig)
		w->rig =
			otd_budget_enter(b, host_of(s), s->port->pool,
					 otd_worker_account(w->worker), otd_worker_name(w->worker));
	rig = w ? w->rig : otd_budget_enter(b, host_of(s), s->port->pool, none, none);
	if (!rig)
		return;
	uint32_t good = s->host ? s->host->workers - (w && w->accepted) : 0;
	enum otd_budget_step step = otd_budget_bad(b, rig, v == OTD_SHARE_STALE, good);
	if (!w) {
		/* Who has no name cannot be kept out by it. */
		rig->until_ms = 0;
		step = step == OTD_BUDGET_REFUSE ? OTD_BUDGET_CLOSE : step;
		otd_budget_leave(rig);
	}
	tell_others(s, rig, step, good);
	if (step != OTD_BUDGET_FINE)
		act(s, w, step);
}
