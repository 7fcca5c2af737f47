/* What goes to reactor processes and comes from them. See app/processes/processes.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/processes/processes_impl.h"
#include "base/log.h"
#include "stratum/budget.h"

#define CLIENTS_WAITING (1u << 20) /* bytes before a process: newcomers go elsewhere */

/* --- connections that they have --- */

static size_t place_of(const struct process *p, const struct otd_ticket *t)
{
	uint32_t h = 2166136261u ^ t->reactor;
	for (size_t i = 0; i < sizeof(t->address); i++)
		h = (h ^ t->address[i]) * 16777619u;
	size_t at = h & (p->cap_held - 1);
	while (p->held[at].n || p->held[at].ticket.connections) {
		const struct otd_ticket *o = &p->held[at].ticket;
		if (memcmp(o->address, t->address, sizeof(o->address)) == 0 &&
		    o->reactor == t->reactor && o->uncounted == t->uncounted)
			return at;
		at = (at + 1) & (p->cap_held - 1);
	}
	return at;
}

/* A place that was used and is empty keeps connections = 1, so that a search goes on behind it. */
static bool held_room(struct process *p)
{
	if (2 * (p->n_held + 1) <= p->cap_held)
		return true;
	struct process fresh = {.cap_held = 64};
	size_t live = 0;
	for (size_t i = 0; i < p->cap_held; i++)
		live += p->held[i].n != 0;
	while (fresh.cap_held < 4 * (live + 1))
		fresh.cap_held *= 2;
	fresh.held = calloc(fresh.cap_held, sizeof(*fresh.held));
	if (!fresh.held)
		return false;
	for (size_t i = 0; i < p->cap_held; i++) {
		if (p->held[i].n)
			fresh.held[place_of(&fresh, &p->held[i].ticket)] = p->held[i];
	}
	free(p->held);
	p->held = fresh.held;
	p->cap_held = fresh.cap_held;
	p->n_held = live;
	return true;
}

static bool hold(struct process *p, const struct otd_ticket *ticket)
{
	if (!held_room(p))
		return false;
	struct held *h = &p->held[place_of(p, ticket)];
	if (!h->n && !h->ticket.connections)
		p->n_held++;
	h->ticket = *ticket;
	h->ticket.connections = 1;
	h->n++;
	p->sessions++;
	return true;
}

/* False: it has none such. */
static bool unhold(struct process *p, const struct otd_ticket *ticket)
{
	struct held *h = p->cap_held ? &p->held[place_of(p, ticket)] : NULL;
	if (!h || !h->n)
		return false;
	h->n--;
	p->sessions--;
	return true;
}

static bool let_go(struct process *p, const struct otd_ticket *ticket)
{
	if (!unhold(p, ticket))
		return false;
	otd_gate_release(p->app->gate, ticket);
	return true;
}

void process_release_all(struct process *p)
{
	for (size_t i = 0; i < p->cap_held; i++) {
		for (; p->held[i].n; p->held[i].n--)
			otd_gate_release(p->app->gate, &p->held[i].ticket);
	}
	free(p->held);
	p->held = NULL;
	p->n_held = p->cap_held = p->sessions = 0;
}

/* --- metrics --- */

static void on_gauge(void *arg, struct otd_metric *s, int64_t n)
{
	struct process *p = arg;
	size_t i = 0;
	while (i < p->n_gauges && p->gauges[i].metric != s)
		i++;
	if (i == p->cap_gauges) {
		size_t cap = p->cap_gauges ? 2 * p->cap_gauges : 32;
		void *more = realloc(p->gauges, cap * sizeof(*p->gauges));
		if (!more)
			return;
		p->gauges = more;
		p->cap_gauges = cap;
	}
	if (i == p->n_gauges)
		p->gauges[p->n_gauges++] = (struct gauge){s, 0};
	p->gauges[i].n += n;
}

void process_gauges_back(struct process *p)
{
	for (size_t i = 0; i < p->n_gauges; i++)
		otd_metric_add(p->gauges[i].metric, -p->gauges[i].n);
	free(p->gauges);
	p->gauges = NULL;
	p->n_gauges = p->cap_gauges = 0;
}

/* --- to the coordinator --- */

static void inject(struct otd_app *app, enum otd_msg_type type, uint32_t index)
{
	struct otd_msg *m = otd_msg_create(type, index, sizeof(struct otd_msg_position), 0);
	if (otd_mailbox_send(otd_coordinator_mailbox(app->coordinator), m) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "app", "process.memory", "reactor=%u", index);
}

void process_say_drained(struct process *p)
{
	struct otd_app_processes *all = p->app->processes;
	for (size_t i = 0; i < all->reactors; i++) {
		struct seat *s = &all->seat[p->first + i];
		if (!s->drained)
			inject(p->app, OTD_MSG_DRAINED, s->index);
		s->drained = true;
	}
}

void process_on_message(void *arg, const struct otd_msg *m)
{
	struct seat *s = arg;
	struct process *p = s->process;
	if (p->state != PROCESS_UP) {
		/* Nobody is there. What is in force is told to the next one when it serves. */
		if (m->type == OTD_MSG_DRAIN)
			process_say_drained(p);
		return;
	}
	otd_rc rc = otd_link_send(p->link, m, m->size, -1);
	if (rc == OTD_E_BUSY || rc == OTD_E_NOMEM)
		process_kill(p, "it does not take what it is sent");
}

/* --- from a process --- */

static bool is_for_us(const struct process *p, const struct otd_msg *m)
{
	return m->type >= OTD_MSG_AUTH && m->reactor >= p->first &&
	       m->reactor < p->first + p->app->processes->reactors;
}

/* False: nothing that a reactor of now may say. */
static bool epoch_fits(const struct process *p, const struct otd_msg *m)
{
	const struct seat *s = &p->app->processes->seat[m->reactor];
	switch (m->type) {
	case OTD_MSG_SYNCED:
	case OTD_MSG_DRAINED: return ((const struct otd_msg_position *)m)->epoch == s->now.epoch;
	case OTD_MSG_BLOCK: return ((const struct otd_msg_block *)m)->epoch == s->now.epoch;
	case OTD_MSG_POOL_GONE: return ((const struct otd_msg_pool_gone *)m)->epoch == s->now.epoch;
	default: return true;
	}
}

static void on_metrics(struct process *p, const struct otd_msg_text *m)
{
	if (otd_metrics_add_changes(p->app->metrics, otd_msg_get(m, m->text), on_gauge, p))
		process_kill(p, "its figures are no figures");
}

static void on_ended(struct process *p, const struct otd_msg_client *m)
{
	struct otd_ticket ticket;
	memcpy(&ticket, m->ticket, sizeof(ticket));
	if (!let_go(p, &ticket))
		otd_log(OTD_LOG_WARN, "app", "process.ticket", "process=%u", p->number);
}

/* --- the budget of refused shares --- */

static void keep_word(struct process *p, const struct otd_msg_budget *m)
{
	struct otd_app_processes *all = p->app->processes;
	struct kept *k = &all->kept[all->n_kept % KEPT_MAX];
	struct otd_msg *word = m->kept_out_ms > 0 ? otd_msg_copy(m, m->head.size) : NULL;
	if (!word)
		return; /* it goes on to those that are there all the same */
	otd_msg_destroy(k->word);
	*k = (struct kept){word, processes_now_ms(p->app) + m->kept_out_ms};
	all->n_kept++;
	word->type = OTD_MSG_BUDGET_HEARD;
	((struct otd_msg_budget *)word)->from = m->head.reactor;
	/* Who else is good or bad at its address was told then, and is not said again. */
	((struct otd_msg_budget *)word)->flags = OTD_WORD_OVER | OTD_WORD_ANSWER;
}

void process_say_kept(struct process *p)
{
	struct otd_app_processes *all = p->app->processes;
	int64_t now = processes_now_ms(p->app);
	for (size_t i = 0; i < KEPT_MAX * all->reactors; i++) {
		struct kept *k = &all->kept[i / all->reactors];
		struct otd_msg *word =
			k->word && k->until_ms > now ? otd_msg_copy(k->word, k->word->size) : NULL;
		if (!word)
			continue;
		word->reactor = p->first + (uint32_t)(i % all->reactors);
		((struct otd_msg_budget *)word)->kept_out_ms = k->until_ms - now;
		if (p->link && otd_link_send(p->link, word, word->size, -1) != OTD_OK)
			process_kill(p, "it does not take what it is sent");
		otd_msg_destroy(word);
	}
}

void processes_kept_free(struct otd_app_processes *all)
{
	for (size_t i = 0; all->kept && i < KEPT_MAX; i++)
		otd_msg_destroy(all->kept[i].word);
	free(all->kept);
}

static bool text_of(char *to, size_t cap, struct otd_span s)
{
	if (s.len >= cap || (s.len && memchr(s.ptr, 0, s.len)))
		return false;
	if (s.len)
		memcpy(to, s.ptr, s.len);
	to[s.len] = '\0';
	return true;
}

static void on_ban_wish(struct process *p, const struct otd_msg_ban_wish *m)
{
	char by[OTD_POLICY_NAME_MAX + 1], text[OTD_BAN_WHAT_MAX + 1], what[OTD_BAN_WHAT_MAX + 1];
	char reason[OTD_BAN_REASON_MAX + 1];
	struct otd_span wanted = otd_msg_get(m, m->what), why = otd_msg_get(m, m->reason);
	const struct otd_policy_ban b = {.script = by,
					 .scope = (enum otd_policy_scope)m->scope,
					 .what = what,
					 .seconds = m->seconds,
					 .reason = reason};
	struct otd_err err = {0};
	if (m->scope < OTD_POLICY_WORKER || m->scope > OTD_POLICY_PREFIX || m->seconds < 1 ||
	    m->seconds > OTD_POLICY_BAN_S || !text_of(by, sizeof(by), otd_msg_get(m, m->by)) ||
	    !text_of(text, sizeof(text), wanted) || !text_of(reason, sizeof(reason), why))
		process_kill(p, "it wants a ban that is none");
	else if (otd_ban_what(what, (enum otd_ban_scope)m->scope, text, wanted.len, &err) ||
		 otd_ban_reason_check(reason, why.len, &err))
		otd_log(OTD_LOG_WARN, "policy", "ban.refused", "script=%s what=%s error=%s",
			OTD_Q(by), OTD_Q(text), OTD_Q(err.text));
	else
		otd_app_ban_by_policy(p->app, &b);
}

/* Takes m. */
static void on_whole(struct process *p, struct otd_msg *m)
{
	switch (m->type) {
	case OTD_MSG_READY: process_is_up(p); break;
	case OTD_MSG_ENDED: on_ended(p, (const struct otd_msg_client *)m); break;
	case OTD_MSG_METRICS: on_metrics(p, (const struct otd_msg_text *)m); break;
	case OTD_MSG_BAN_WISH: on_ban_wish(p, (const struct otd_msg_ban_wish *)m); break;
	case OTD_MSG_SWAP_READY:
		process_swap_answered(p, otd_msg_get(m, ((const struct otd_msg_text *)m)->text));
		break;
	case OTD_MSG_SWAP_TAKEN: process_swap_taken(p); break;
	case OTD_MSG_CHANGED: p->changing -= p->changing != 0; break;
	default:
		if (m->type == OTD_MSG_BUDGET)
			keep_word(p, (const struct otd_msg_budget *)m);
		if (m->type == OTD_MSG_DRAINED)
			p->app->processes->seat[m->reactor].drained = true;
		if (otd_mailbox_send(otd_coordinator_mailbox(p->app->coordinator), m) != OTD_OK)
			otd_log(OTD_LOG_ERROR, "app", "process.memory", "process=%u", p->number);
		return;
	}
	otd_msg_destroy(m);
}

static bool takes_more(const struct otd_app_processes *all, const struct process *p);

/* To the reactor of the session that it resumes; where that cannot have it, back to where it came from. */
static void on_move(struct process *p, struct otd_msg_move *m, int fd)
{
	struct otd_app_processes *all = p->app->processes;
	struct seat *to = m->to < all->n * all->reactors ? &all->seat[m->to] : NULL;
	uint8_t *at = (uint8_t *)m + m->moved.at;
	struct otd_stratum_moved moved;
	if (m->moved.len != sizeof(moved)) {
		(void)close(fd);
		process_kill(p, "it sent what is no connection");
		return;
	}
	memcpy(&moved, at, sizeof(moved));
	if (!unhold(p, &moved.ticket)) {
		(void)close(fd);
		return; /* it was released when its process was given up */
	}
	if (!to || !takes_more(all, to->process)) {
		to = &all->seat[m->head.reactor];
		moved.stays = 1;
	}
	otd_gate_move(p->app->gate, &moved.ticket, (uint16_t)to->index);
	memcpy(at, &moved, sizeof(moved));
	m->head.type = OTD_MSG_ARRIVE;
	m->head.reactor = to->index;
	if (hold(to->process, &moved.ticket)) {
		if (to->process->link &&
		    otd_link_send(to->process->link, m, m->head.size, fd) == OTD_OK)
			return;
		(void)let_go(to->process, &moved.ticket);
	} else {
		otd_gate_release(p->app->gate, &moved.ticket);
	}
	(void)close(fd);
}

void process_on_frame(void *arg, struct otd_span payload, int fd)
{
	struct process *p = arg;
	struct otd_msg *m = otd_msg_copy(payload.ptr, payload.len);
	bool moves = m && m->type == OTD_MSG_MOVE;
	p->heard_ms = processes_now_ms(p->app);
	if (m && moves == (fd >= 0) && is_for_us(p, m) && epoch_fits(p, m)) {
		if (!moves) {
			on_whole(p, m);
			return;
		}
		on_move(p, (struct otd_msg_move *)m, fd);
	} else {
		if (fd >= 0)
			(void)close(fd);
		process_kill(p, "it sent what is no message of a reactor");
	}
	otd_msg_destroy(m);
}

/* --- clients --- */

static bool takes_more(const struct otd_app_processes *all, const struct process *p)
{
	return p->state == PROCESS_UP && p->sessions < all->capacity &&
	       otd_link_waiting(p->link) < CLIENTS_WAITING;
}

/* The one that the gate has chosen, or another that has room. NULL: none has. */
static struct seat *seat_for(struct otd_app *app, struct otd_ticket *ticket)
{
	struct otd_app_processes *all = app->processes;
	size_t wish = ticket->reactor, n = all->n * all->reactors;
	for (size_t i = 0; i < n && wish < n; i++) {
		struct seat *s = &all->seat[(wish + i * all->reactors) % n];
		if (!takes_more(all, s->process))
			continue;
		if (s->index != ticket->reactor)
			otd_gate_move(app->gate, ticket, (uint16_t)s->index);
		return s;
	}
	return NULL;
}

static struct otd_msg *client_message(uint32_t index, uint32_t port,
				      const struct otd_ticket *ticket,
				      const struct otd_preface *pre)
{
	size_t early = pre ? pre->early.len : 0, proxy = pre ? sizeof(pre->proxy) : 0;
	struct otd_msg *head =
		otd_msg_create(OTD_MSG_CLIENT, index, sizeof(struct otd_msg_client), early + proxy);
	struct otd_msg_client *m = (struct otd_msg_client *)head;
	if (!m)
		return NULL;
	m->port = port;
	memcpy(m->ticket, ticket, sizeof(*ticket));
	if (pre) {
		m->proxy = otd_msg_put(head, &pre->proxy, proxy);
		m->early = otd_msg_put(head, pre->early.ptr, early);
	}
	return head;
}

static bool hand_over(struct seat *s, int fd, uint32_t port, const struct otd_ticket *ticket,
		      const struct otd_preface *pre)
{
	struct process *p = s->process;
	struct otd_msg *m = client_message(s->index, port, ticket, pre);
	bool ok = m && hold(p, ticket);
	if (ok && otd_link_send(p->link, m, m->size, fd) != OTD_OK) {
		(void)let_go(p, ticket); /* gives the ticket back, too */
		(void)close(fd);
		otd_msg_destroy(m);
		return true;
	}
	otd_msg_destroy(m);
	return ok;
}

static void turn_away(struct otd_app *app, struct otd_stream *s, const struct otd_ticket *ticket)
{
	otd_log(OTD_LOG_WARN, "app", "process.none",
		"why=\"no reactor process has room\" hint=\"otedama status tells of them\"");
	otd_metric_add(app->processes->m_refused, 1);
	app->env->ops->stream_close(s);
	otd_gate_release(app->gate, ticket);
}

/* False: none has room, and the stream is the caller's. */
static bool place(struct otd_app *app, struct otd_stream *s, uint32_t port,
		  const struct otd_ticket *from, const struct otd_preface *pre)
{
	struct otd_ticket ticket = *from;
	struct seat *seat = seat_for(app, &ticket);
	if (!seat)
		return false;
	int fd = app->env->ops->stream_release(s);
	if (fd >= 0 && hand_over(seat, fd, port, &ticket, pre))
		return true;
	if (fd >= 0)
		(void)close(fd);
	otd_gate_release(app->gate, &ticket);
	return true;
}

/* One may serve soon that does not now. */
static bool may_wait(const struct otd_app_processes *all)
{
	for (size_t i = 0; i < all->n; i++) {
		if (all->process[i].state != PROCESS_UP)
			return all->n_pending < PENDING_MAX;
	}
	return false;
}

static bool wait_for_one(struct otd_app *app, struct otd_stream *s, uint32_t port,
			 const struct otd_ticket *ticket, const struct otd_preface *pre)
{
	struct otd_app_processes *all = app->processes;
	struct pending *w = &all->pending[all->n_pending];
	*w = (struct pending){.stream = s,
			      .port = port,
			      .ticket = *ticket,
			      .has_preface = pre != NULL,
			      .since_ms = processes_now_ms(app)};
	if (pre) {
		w->proxy = pre->proxy;
		w->early_len = pre->early.len;
		w->early = malloc(w->early_len + 1);
		if (!w->early)
			return false;
		if (w->early_len)
			memcpy(w->early, pre->early.ptr, w->early_len);
	}
	all->n_pending++;
	return true;
}

void otd_app_processes_deliver(struct otd_app *app, struct otd_stream *s, uint32_t port,
			       const struct otd_ticket *ticket, const struct otd_preface *pre)
{
	if (place(app, s, port, ticket, pre))
		return;
	if (!may_wait(app->processes) || !wait_for_one(app, s, port, ticket, pre))
		turn_away(app, s, ticket);
}

void processes_admit(struct otd_app *app, int64_t before_ms)
{
	struct otd_app_processes *all = app->processes;
	size_t kept = 0;
	for (size_t i = 0; i < all->n_pending; i++) {
		struct pending *w = &all->pending[i];
		const struct otd_preface pre = {.proxy = w->proxy,
						.early = {w->early, w->early_len}};
		if (w->since_ms < before_ms) {
			turn_away(app, w->stream, &w->ticket);
		} else if (!place(app, w->stream, w->port, &w->ticket,
				  w->has_preface ? &pre : NULL)) {
			all->pending[kept++] = *w;
			continue;
		}
		free(w->early);
	}
	all->n_pending = kept;
}
