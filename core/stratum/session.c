/* Sessions: their answers in order, their workers, their end. See stratum/session.h. */
#include "stratum/policy.h"

#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most miners ask one thing at a time, and there may be very many of them. */
#define ANSWERS_FIRST 2
#define SPARE_ANSWERS 256
/* Points of net/conn.h: for a line that jansson reads, and one more for so many bytes of it. */
#define POINTS_PARSED  4
#define PARSED_A_POINT 64
#define MANY_WORKERS   "too many workers on one connection"

int64_t otd_session_now_ms(const struct otd_session *s)
{
	return (int64_t)(otd_mono_ns(s->st->env) / 1000000);
}

struct otd_u256 otd_session_diff1(const struct otd_session *s)
{
	return otd_u256_from_be(otd_session_pool(s)->algo_info->diff1);
}

struct otd_session *otd_session_create(struct otd_stratum *st, const struct otd_stratum_port *port,
				       const struct otd_ticket *ticket)
{
	struct otd_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->st = st;
	s->port = port;
	s->port_revision = ((const struct otd_port *)port)->revision;
	st->broadcasts[port->pool].sessions++;
	s->dialect = &otd_dialect_v1;
	if (ticket) {
		s->ticket = *ticket;
		s->has_ticket = true;
	}
	s->opened_ms = otd_session_now_ms(s);
	otd_vardiff_init(&s->vardiff, port->start, port->min, port->max, port->aim_ms,
			 !port->vardiff, s->opened_ms);
	return s;
}

void otd_session_destroy(struct otd_session *s)
{
	struct otd_reactor *r = s->st->conf.reactor;

	otd_session_policy_end(s);
	/* While all of it is there: what is kept is read from it. */
	if (s->has_extranonce1 && !otd_session_keep(s))
		otd_reactor_extranonce_give(r, s->port->pool, s->extranonce1);
	for (size_t i = 0; i < s->n_workers; i++) {
		otd_reactor_worker_close(r, s->workers[i].worker);
		free(s->workers[i].user);
		free(s->workers[i].tally);
	}
	free(s->workers);
	free(s->tally);
	free(s->targets);
	for (uint64_t i = s->head; i < s->tail; i++)
		free(s->answers[i & (s->answers_cap - 1)].text);
	free(s->answers);
	otd_session_move_end(s);
	otd_agents_drop(&s->st->agents, s->agent);
	otd_stratum_forget(s->st, s);
	free(s);
}

static void release_if_done(struct otd_session *s)
{
	if (!s->conn && !s->outstanding)
		otd_session_destroy(s);
}

void otd_session_gone(struct otd_session *s)
{
	s->conn = NULL;
	s->closing = true;
	release_if_done(s);
}

void otd_session_close(struct otd_session *s, const char *reason)
{
	s->closing = true;
	if (s->conn)
		otd_conn_close_after_flush(s->conn, reason);
}

/* --- what lines were worth --- */

void otd_session_parsed(struct otd_session *s, size_t n)
{
	if (s->conn)
		otd_conn_wasted(s->conn, POINTS_PARSED + (unsigned)(n / PARSED_A_POINT));
}

static void worth(struct otd_session *s, enum otd_share_verdict v)
{
	if (!s->conn || v == OTD_SHARE_UNAVAILABLE)
		return;
	if (v == OTD_SHARE_ACCEPTED)
		otd_conn_useful(s->conn);
	else
		otd_conn_wasted(s->conn, OTD_CONN_VAIN);
}

bool otd_session_bad_line(struct otd_session *s, uint32_t times)
{
	if (s->conn)
		otd_conn_wasted(s->conn, 2 * OTD_CONN_VAIN);
	otd_metric_add(s->st->m_malformed, 1);
	otd_session_policy_offence(s, OTD_OFFENCE_MALFORMED);
	if (s->closing)
		return false;
	s->bad_lines += times;
	if (s->bad_lines < s->st->conf.limits.bad_lines)
		return true;
	otd_log(OTD_LOG_INFO, "stratum", "session.malformed", "peer=%s lines=%u",
		s->conn ? otd_conn_host(s->conn) : "", s->bad_lines);
	otd_session_close(s, "malformed lines");
	return false;
}

void otd_session_notice(struct otd_session *s, const void *text, size_t n)
{
	if (s->conn)
		(void)otd_conn_write(s->conn, text, n);
}

/* --- answers --- */

static struct otd_answer *answer_at(struct otd_session *s, uint64_t i)
{
	return &s->answers[i & (s->answers_cap - 1)];
}

/* Most sessions wait for nothing most of the time: the small rings go round among those who do. */
static struct otd_answer *ring_take(struct otd_stratum *st, uint32_t cap)
{
	struct otd_answer *ring = st->spare_answers;

	if (cap != ANSWERS_FIRST || !ring)
		return malloc(cap * sizeof(*ring));
	memcpy(&st->spare_answers, &ring->text, sizeof(ring->text));
	st->n_spare_answers--;
	return ring;
}

static void ring_give(struct otd_stratum *st, struct otd_answer *ring, uint32_t cap)
{
	if (!ring || cap != ANSWERS_FIRST || st->n_spare_answers >= SPARE_ANSWERS) {
		free(ring);
		return;
	}
	memcpy(&ring->text, &st->spare_answers, sizeof(ring->text));
	st->spare_answers = ring;
	st->n_spare_answers++;
}

void otd_session_ring_idle(struct otd_session *s, bool of_any_size)
{
	if (s->head != s->tail || !s->answers || (!of_any_size && s->answers_cap > ANSWERS_FIRST))
		return;
	ring_give(s->st, s->answers, s->answers_cap);
	s->answers = NULL;
	s->answers_cap = 0;
}

void otd_stratum_rings_finish(struct otd_stratum *st)
{
	while (st->spare_answers)
		free(ring_take(st, ANSWERS_FIRST));
}

static struct otd_answer *answer_begin(struct otd_session *s, struct otd_span id, uint64_t *number)
{
	if (s->tail - s->head == s->answers_cap) {
		uint32_t cap = s->answers_cap ? 2 * s->answers_cap : ANSWERS_FIRST;
		struct otd_answer *at = ring_take(s->st, cap);
		if (!at)
			return NULL;
		for (uint64_t i = s->head; i < s->tail; i++)
			at[i & (cap - 1)] = *answer_at(s, i);
		ring_give(s->st, s->answers, s->answers_cap);
		s->answers = at;
		s->answers_cap = cap;
	}
	*number = s->tail++;
	struct otd_answer *a = answer_at(s, *number);
	a->since_ns = s->line_ns;
	a->text = NULL;
	a->text_len = 0;
	a->state = OTD_ANSWER_WAITS;
	a->verdict = 0;
	a->is_share = 0;
	a->id_len = (uint8_t)(id.len <= sizeof(a->id) ? id.len : 0);
	memcpy(a->id, id.ptr, a->id_len);
	if (s->tail - s->head >= s->st->conf.limits.outstanding && !s->paused && s->conn) {
		s->paused = true;
		otd_conn_pause(s->conn, true);
	}
	return a;
}

static struct otd_span answer_id(const struct otd_answer *a)
{
	struct otd_span none = {(const uint8_t *)"null", 4},
			id = {(const uint8_t *)a->id, a->id_len};
	return a->id_len ? id : none;
}

/* Writes what is ready from the oldest on. */
static void answers_flush(struct otd_session *s)
{
	uint64_t now_ns = 0;

	while (s->head < s->tail) {
		struct otd_answer *a = answer_at(s, s->head);
		if (a->state == OTD_ANSWER_WAITS)
			break;
		if (a->state == OTD_ANSWER_TEXT) {
			otd_session_notice(s, a->text, a->text_len);
			free(a->text);
			a->text = NULL;
		} else if (s->conn) {
			struct otd_bytes *b = &s->st->scratch;
			otd_bytes_clear(b);
			s->dialect->verdict(b, answer_id(a), (enum otd_share_verdict)a->verdict);
			otd_session_notice(s, b->ptr, b->len);
		}
		if (a->is_share) {
			now_ns = now_ns ? now_ns : otd_mono_ns(s->st->env);
			otd_metric_observe_ns(s->st->m_latency, now_ns - a->since_ns);
		}
		s->head++;
	}
	if (s->paused && s->tail - s->head <= s->st->conf.limits.outstanding / 2 && s->conn &&
	    !s->st->draining && !s->st->freeze.on && !s->leaving) {
		s->paused = false;
		otd_conn_pause(s->conn, false);
	}
	if (s->head < s->tail)
		return;
	otd_session_ring_idle(s, false);
	if (s->job_due)
		otd_session_first_job(s);
	if ((s->st->draining || s->leaving) && !s->closing)
		otd_session_close(s, OTD_CONN_SHUTDOWN);
}

void otd_session_answer(struct otd_session *s, const void *text, size_t n)
{
	struct otd_span id = {(const uint8_t *)"", 0};
	uint64_t number;

	if (s->head == s->tail) {
		otd_session_notice(s, text, n);
		return;
	}
	struct otd_answer *a = answer_begin(s, id, &number);
	uint8_t *copy = malloc(n ? n : 1);
	if (!a || !copy) {
		free(copy);
		otd_session_close(s, OTD_CONN_NO_MEMORY);
		return;
	}
	memcpy(copy, text, n);
	a->text = copy;
	a->text_len = (uint32_t)n;
	a->state = OTD_ANSWER_TEXT;
}

void otd_session_verdict(struct otd_session *s, const struct otd_verdict *v)
{
	struct otd_answer *a = answer_at(s, v->request);

	s->outstanding--;
	a->state = OTD_ANSWER_VERDICT;
	a->verdict = (uint8_t)v->verdict;
	worth(s, (enum otd_share_verdict)v->verdict);
	answers_flush(s);
	if (v->verdict == OTD_SHARE_ACCEPTED && s->conn)
		otd_session_paced(s, v->target);
	otd_session_policy_verdict(s, v->worker, v->verdict);
	release_if_done(s);
}

/* --- logging in --- */

otd_rc otd_session_subscribe(struct otd_session *s, struct otd_span agent)
{
	if (!s->has_extranonce1) {
		otd_rc rc = otd_reactor_extranonce_take(s->st->conf.reactor, s->port->pool,
							s->extranonce1);
		if (rc)
			return rc;
		s->has_extranonce1 = true;
	}
	if (!s->agent && agent.len) {
		size_t n = agent.len < OTD_SESSION_AGENT_MAX ? agent.len : OTD_SESSION_AGENT_MAX;
		s->agent = otd_agents_take(&s->st->agents, agent.ptr, n);
	}
	s->job_due = !s->subscribed;
	s->subscribed = true;
	return OTD_OK;
}

void otd_session_first_job(struct otd_session *s)
{
	struct otd_jobs *jobs = otd_reactor_jobs(s->st->conf.reactor, s->port->pool);
	struct otd_job *job = otd_jobs_newest(jobs);

	if (!s->job_due || s->head != s->tail)
		return;
	s->job_due = false;
	/* One that resumes has had it: it gets it as another. */
	if (job && s->sent_order >= job->order)
		otd_session_send_again(s);
	else if (job)
		otd_session_send_job(s, job, !s->resumed);
}

/* Whether user is ACCOUNT or ACCOUNT.NAME of w. */
static bool is_name_of(const struct otd_pool_worker *w, struct otd_span user)
{
	struct otd_span account = otd_worker_account(w), name = otd_worker_name(w);

	if (user.len < account.len || memcmp(user.ptr, account.ptr, account.len) != 0)
		return false;
	if (!name.len)
		return user.len == account.len;
	return user.len == account.len + 1 + name.len && user.ptr[account.len] == '.' &&
	       !memcmp(user.ptr + account.len + 1, name.ptr, name.len);
}

otd_rc otd_session_set_user(struct otd_session_worker *w, struct otd_span user)
{
	w->user = NULL;
	if (is_name_of(w->worker, user))
		return OTD_OK;
	w->user = calloc(1, user.len + 1);
	if (!w->user)
		return OTD_E_NOMEM;
	memcpy(w->user, user.ptr, user.len);
	return OTD_OK;
}

struct otd_span otd_session_user(const struct otd_session_worker *w, char buf[OTD_SESSION_USER_MAX])
{
	struct otd_span account = otd_worker_account(w->worker), name = otd_worker_name(w->worker);
	size_t n = account.len;

	if (w->user)
		return (struct otd_span){(const uint8_t *)w->user, strlen(w->user)};
	memcpy(buf, account.ptr, n);
	if (name.len) {
		buf[n++] = '.';
		memcpy(buf + n, name.ptr, name.len);
		n += name.len;
	}
	return (struct otd_span){(const uint8_t *)buf, n};
}

struct otd_pool_worker *otd_session_worker(const struct otd_session *s, struct otd_span user)
{
	for (size_t i = 0; i < s->n_workers; i++) {
		const struct otd_session_worker *w = &s->workers[i];
		if (w->user ? strlen(w->user) == user.len && !memcmp(w->user, user.ptr, user.len)
			    : is_name_of(w->worker, user))
			return otd_session_out_of_budget(s, w) ? NULL : w->worker;
	}
	return NULL;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Some firmware percent-encodes what is not a letter or digit: "addr%2Ename". */
static size_t percent_decode(uint8_t *to, struct otd_span from)
{
	size_t n = 0;

	for (size_t i = 0; i < from.len; i++) {
		int hi = -1, lo = -1;
		if (from.ptr[i] == '%' && i + 2 < from.len) {
			hi = hex_digit(from.ptr[i + 1]);
			lo = hex_digit(from.ptr[i + 2]);
		}
		if (hi >= 0 && lo >= 0) {
			to[n++] = (uint8_t)(hi << 4 | lo);
			i += 2;
		} else {
			to[n++] = from.ptr[i];
		}
	}
	return n;
}

/* ACCOUNT[.NAME] in parts that point into store. */
static otd_rc split_user(uint8_t *store, struct otd_span user, size_t name_max,
			 struct otd_span *account, struct otd_span *name)
{
	if (user.len == 0 || user.len > OTD_WORKER_ACCOUNT_MAX + OTD_WORKER_NAME_MAX + 1)
		return OTD_E_RANGE;
	size_t n = percent_decode(store, user);
	const uint8_t *dot = memchr(store, '.', n);
	*account = (struct otd_span){store, dot ? (size_t)(dot - store) : n};
	*name = (struct otd_span){store + n, 0};
	if (dot)
		*name = (struct otd_span){dot + 1, n - account->len - 1};
	for (size_t i = 0; i < n; i++) {
		if (store[i] < 0x20 || store[i] == 0x7f)
			return OTD_E_INVALID;
	}
	if (!account->len || account->len > OTD_WORKER_ACCOUNT_MAX || name->len > name_max)
		return OTD_E_RANGE;
	return OTD_OK;
}

/* d=N or diff=N among what commas, semicolons or blanks separate. */
static void read_password(struct otd_session *s, struct otd_span password)
{
	const char *p = (const char *)password.ptr, *end = p + password.len;

	while (p < end) {
		size_t n = 0, skip = 0;
		while (p + n < end && !strchr(",; ", p[n]))
			n++;
		if (n > 2 && !memcmp(p, "d=", 2))
			skip = 2;
		else if (n > 5 && !memcmp(p, "diff=", 5))
			skip = 5;
		struct otd_u256 target;
		if (skip &&
		    !otd_difficulty_parse(&target, p + skip, n - skip, otd_session_diff1(s))) {
			otd_session_suggest(s, target);
			otd_session_floor(s, target);
		}
		p += n + 1;
	}
}

static void authorize_end(struct otd_session *s, struct otd_answer *a, otd_rc rc,
			  struct otd_span reason)
{
	struct otd_bytes *b = &s->st->scratch;

	otd_bytes_clear(b);
	s->dialect->authorized(b, answer_id(a), rc, reason);
	a->text = malloc(b->len ? b->len : 1);
	a->state = OTD_ANSWER_TEXT;
	if (a->text) {
		memcpy(a->text, b->ptr, b->len);
		a->text_len = (uint32_t)b->len;
	}
	answers_flush(s);
}

static struct otd_span words(const char *text)
{
	return (struct otd_span){(const uint8_t *)text, strlen(text)};
}

void otd_session_authorize(struct otd_session *s, struct otd_span id, struct otd_span user,
			   struct otd_span password)
{
	uint8_t store[OTD_WORKER_ACCOUNT_MAX + OTD_WORKER_NAME_MAX + 2];
	struct otd_span account, name;
	uint64_t number;
	struct otd_answer *a = answer_begin(s, id, &number);

	if (!a) {
		otd_session_close(s, OTD_CONN_NO_MEMORY);
		return;
	}
	if (otd_session_worker(s, user)) {
		read_password(s, password);
		authorize_end(s, a, OTD_OK, words(""));
		return;
	}
	otd_rc rc = split_user(store, user, s->st->conf.limits.name_max, &account, &name);
	if (rc) {
		char why[80];
		(void)snprintf(why, sizeof(why),
			       "the user is ADDRESS.NAME, the name of at most %zu characters",
			       s->st->conf.limits.name_max);
		authorize_end(s, a, rc, words(why));
		return;
	}
	if (s->n_workers >= OTD_SESSION_WORKERS) {
		authorize_end(s, a, OTD_E_NOMEM, words(MANY_WORKERS));
		return;
	}
	/* Until the answer comes, what was asked stands in the answer's text. */
	a->text = malloc(user.len);
	if (a->text) {
		memcpy(a->text, user.ptr, user.len);
		a->text_len = (uint32_t)user.len;
		s->outstanding++;
		read_password(s, password);
		rc = otd_reactor_auth(s->st->conf.reactor, s, number, s->port->pool, account);
		if (!rc)
			return;
		s->outstanding--;
		free(a->text);
	}
	a = answer_at(s, number);
	a->text = NULL;
	authorize_end(s, a, OTD_E_BUSY, words("the pool is busy, try again"));
}

_Static_assert(OTD_BAN_TEXT > OTD_POLICY_REASON_MAX, "room for the reason of a policy");

/* banned: room for the words of a ban, or of a policy. */
static otd_rc add_worker(struct otd_session *s, struct otd_span user, struct otd_span account,
			 const char **why, char banned[OTD_BAN_TEXT])
{
	uint8_t store[OTD_WORKER_ACCOUNT_MAX + OTD_WORKER_NAME_MAX + 2];
	struct otd_span written, name;
	struct otd_session_worker *all;
	otd_rc rc;

	*why = "the pool is busy, try again";
	if (otd_session_worker(s, user))
		return OTD_OK;                     /* asked twice before the first answer */
	if (s->n_workers >= OTD_SESSION_WORKERS) { /* asked many before the first answer */
		*why = MANY_WORKERS;
		return OTD_E_NOMEM;
	}
	rc = split_user(store, user, s->st->conf.limits.name_max, &written, &name);
	if (rc)
		return rc;
	if (otd_session_banned(s, account, name, banned)) {
		*why = banned;
		return OTD_E_REFUSED;
	}
	if (!otd_session_policy_authorize(s, account, name, banned)) {
		*why = banned;
		return OTD_E_REFUSED;
	}
	all = realloc(s->workers, (s->n_workers + 1) * sizeof(*all));
	if (!all)
		return OTD_E_NOMEM;
	s->workers = all;
	all = &all[s->n_workers];
	*all = (struct otd_session_worker){0};
	rc = otd_reactor_worker_open(s->st->conf.reactor, &all->worker, s->port->pool,
				     s->port->scheme ? s->port->scheme : "", account, name);
	if (rc) {
		*why = "this account has too many worker names: use one of them";
		return rc;
	}
	rc = otd_session_set_user(all, user);
	if (rc) {
		otd_reactor_worker_close(s->st->conf.reactor, all->worker);
		return rc;
	}
	if (!s->n_workers++)
		otd_session_policy_start(s);
	return OTD_OK;
}

void otd_session_auth_answer(struct otd_session *s, uint64_t request, otd_rc rc,
			     struct otd_span account, struct otd_span reason)
{
	struct otd_answer *a = answer_at(s, request);
	char banned[OTD_BAN_TEXT]; /* the reason may lie in it until the answer is written */
	uint8_t *user = a->text;
	size_t user_len = a->text_len;

	s->outstanding--;
	a->text = NULL;
	a->text_len = 0;
	if (!rc && s->conn) {
		const char *why;
		rc = add_worker(s, (struct otd_span){user, user_len}, account, &why, banned);
		if (rc)
			reason = words(why);
	}
	free(user);
	authorize_end(s, a, rc, reason);
	if (rc == OTD_E_INVALID && s->conn)
		otd_session_policy_offence(s, OTD_OFFENCE_UNAUTHORIZED);
	release_if_done(s);
}

/* --- shares --- */

void otd_session_refuse(struct otd_session *s, struct otd_span id, struct otd_pool_worker *w,
			enum otd_share_verdict v)
{
	uint64_t number;
	struct otd_answer *a = answer_begin(s, id, &number);

	otd_reactor_refused(s->st->conf.reactor, s->port->pool, w, v);
	if (!a) {
		otd_session_close(s, OTD_CONN_NO_MEMORY);
		return;
	}
	a->state = OTD_ANSWER_VERDICT;
	a->verdict = (uint8_t)v;
	worth(s, v);
	answers_flush(s);
	otd_session_policy_verdict(s, w, v);
}

void otd_session_submit(struct otd_session *s, struct otd_span id, struct otd_submit *sub,
			uint8_t repeat)
{
	struct otd_reactor *r = s->st->conf.reactor;
	const struct otd_job *job = otd_jobs_find(otd_reactor_jobs(r, s->port->pool), sub->job);
	uint64_t number;
	struct otd_answer *a = answer_begin(s, id, &number);

	if (!a) {
		otd_session_close(s, OTD_CONN_NO_MEMORY);
		return;
	}
	a->is_share = 1;
	sub->client = s;
	sub->request = number;
	sub->since_ns = s->line_ns;
	sub->pool = s->port->pool;
	memcpy(sub->extranonce1, s->extranonce1, sizeof(sub->extranonce1));
	/* Work of before a change of the mask may use the bits of then. */
	sub->version_mask = job ? s->asked_mask & job->version_mask : s->version_mask;
	sub->target = otd_session_target(s, job ? job->order << 8 | repeat : 0);
	s->outstanding++;
	otd_reactor_submit(r, sub);
}
