/* Reactor processes: their life. See app/processes/processes.h. */
#include "app/processes/processes.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/app_limits.h"
#include "app/app_tls.h"
#include "app/processes/processes_impl.h"
#include "app/processes/reactor_process.h"
#include "base/log.h"
#include "pool/acct/epochs.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   30000
#define WELL_MS          60000  /* who has lived so long begins again at once */
#define SILENT_MS        60000  /* one that does not say that it lives is killed */
#define START_MS         120000 /* it measures algorithms first */
#define REAP_MS          20
#define WATCH_MS         1000
#define STOP_MS          1000
#define PENDING_MS       10000 /* a newcomer waits so long for one that serves */

int64_t processes_now_ms(const struct otd_app *app)
{
	return (int64_t)(otd_mono_ns(app->env) / 1000000);
}

bool otd_app_processes_wanted(const struct otd_settings *s)
{
	return s->threads.processes > 0;
}

uint16_t otd_app_reactors(const struct otd_app *app)
{
	const struct otd_settings_threads *t = &app->settings->threads;
	return (uint16_t)(t->processes ? t->processes * t->reactors : t->reactors);
}

otd_rc otd_app_processes_policy(const struct otd_settings *s, const struct otd_policy_set *scripts,
				struct otd_err *err)
{
	if (!otd_app_processes_wanted(s))
		return OTD_OK;
	for (size_t i = 0; i < otd_policy_set_count(scripts); i++) {
		struct otd_policy_script_status st;
		otd_policy_set_status(scripts, i, &st);
		for (int h = OTD_HOOK_CONNECT; h <= OTD_HOOK_OFFENCE; h++) {
			if (st.hook[h].has)
				return otd_fail(
					err, OTD_E_UNSUPPORTED,
					"%s: %s is asked by reactors of the pool's own "
					"process; set threads.processes to 0 and restart, or "
					"do without it",
					st.file, otd_policy_hook_name((enum otd_policy_hook)h));
		}
	}
	return OTD_OK;
}

otd_rc otd_app_processes_fit(const struct otd_settings_threads *t, struct otd_err *err)
{
	if (t->processes == 0)
		return OTD_OK;
	if (t->processes * t->reactors > OTD_PROCESSES_REACTORS)
		return otd_fail(err, OTD_E_RANGE,
				"threads.processes: %" PRId64 " of %" PRId64
				" reactors are more than %d reactors in all",
				t->processes, t->reactors, OTD_PROCESSES_REACTORS);
	return OTD_OK;
}

/* --- starting one --- */

static void start_soon(struct process *p, int64_t ms);

static void failed(struct process *p, const char *why)
{
	char quoted[400];
	snprintf(p->trouble, sizeof(p->trouble), "reactor process %u does not start: %s", p->number,
		 why);
	otd_log(OTD_LOG_ERROR, "app", "process.start_failed", "process=%u why=%s", p->number,
		otd_log_quote(quoted, sizeof(quoted), why, strlen(why)));
	p->state = PROCESS_DOWN;
	p->backoff_ms = p->backoff_ms ? 2 * p->backoff_ms : BACKOFF_FIRST_MS;
	p->backoff_ms = p->backoff_ms < BACKOFF_MAX_MS ? p->backoff_ms : BACKOFF_MAX_MS;
	start_soon(p, p->backoff_ms);
}

static void on_link_ended(void *arg, const char *why);

static otd_rc spawn(struct process *p, struct otd_err *err)
{
	struct otd_app_processes *all = p->app->processes;
	struct otd_process_reactor r[OTD_NET_REACTORS_MAX];
	char name[32];
	const char *argv[] = {"otedama", OTD_REACTOR_VERB, name, NULL};
	const struct otd_link_conf conf = {.frame_max = OTD_PROCESS_FRAME_MAX,
					   .waiting_max = OTD_PROCESS_WAITING_MAX,
					   .frame = process_on_frame,
					   .ended = on_link_ended,
					   .arg = p};
	int fd = -1;
	for (size_t i = 0; i < all->reactors; i++)
		r[i] = all->seat[p->first + i].now;
	snprintf(name, sizeof(name), "%u", p->number);
	json_t *setup = otd_process_setup_make(p->app, p->first, r, all->reactors, err);
	char *text = setup ? json_dumps(setup, JSON_COMPACT) : NULL;
	json_decref(setup);
	if (!text)
		return err->rc ? err->rc : otd_fail(err, OTD_E_NOMEM, "out of memory");
	otd_rc rc = otd_process_start(&p->pid, &fd, argv,
				      (struct otd_span){(const uint8_t *)text, strlen(text)},
				      p->app->lock_fd, err);
	explicit_bzero(text, strlen(text)); /* keys of tickets are in it */
	free(text);
	if (rc != OTD_OK)
		return rc;
	rc = otd_link_create(&p->link, p->app->loop, fd, &conf, err);
	if (rc != OTD_OK) { /* it sees its end of the link closed, and goes */
		otd_process_kill(p->pid);
		p->state = PROCESS_ENDING;
	}
	return rc;
}

static void begin(struct process *p)
{
	struct otd_err err = {0};
	if (p->app->processes->swap.preparing) {
		start_soon(p, REAP_MS); /* it begins with the image that is decided on */
		return;
	}
	p->killed = false;
	p->changing = 0;
	p->began_ms = p->heard_ms = processes_now_ms(p->app);
	p->state = PROCESS_STARTING;
	if (spawn(p, &err) == OTD_OK)
		return;
	if (p->state == PROCESS_ENDING)
		start_soon(p, REAP_MS);
	else
		failed(p, err.text);
}

/* --- journals for it --- */

static void on_epoch(void *arg, uint64_t epoch, const char *dir, const struct otd_err *err)
{
	struct process *p = arg;
	struct otd_app_processes *all = p->app->processes;
	if (all->stopping)
		return;
	if (epoch == 0) {
		failed(p, err->text);
		return;
	}
	struct otd_process_reactor *r = &all->seat[p->first + p->n_epochs++].now;
	r->epoch = epoch;
	snprintf(r->dir, sizeof(r->dir), "%s", dir);
	start_soon(p, 0);
}

static void next_epoch(struct process *p)
{
	p->state = PROCESS_EPOCHS;
	if (p->n_epochs == p->app->processes->reactors) {
		begin(p);
		return;
	}
	otd_rc rc = otd_accounting_begin_epoch(p->app->accounting, on_epoch, p);
	if (rc == OTD_E_BUSY)
		start_soon(p, REAP_MS); /* another one is asking */
	else if (rc != OTD_OK)
		failed(p, otd_rc_name(rc));
}

/* --- the end of one --- */

static void on_over(void *arg, uint64_t epoch, uint64_t last, const struct otd_err *err)
{
	struct seat *s = arg;
	struct otd_app *app = s->process->app;
	(void)err; /* accounting tells of it */
	/* Of pools that were taken out nothing comes from there any more. */
	for (size_t i = 0; i < app->n_pools; i++) {
		struct otd_msg *head = NULL;
		if (!app->pools[i].settings)
			head = otd_msg_create(OTD_MSG_POOL_GONE, s->index,
					      sizeof(struct otd_msg_pool_gone), 0);
		if (!head)
			continue;
		struct otd_msg_pool_gone *m = (struct otd_msg_pool_gone *)head;
		m->pool = (uint32_t)i;
		m->epoch = epoch;
		m->seq = last;
		(void)otd_mailbox_send(otd_coordinator_mailbox(app->coordinator), head);
	}
}

static void journals_over(struct process *p)
{
	struct otd_app_processes *all = p->app->processes;
	for (size_t i = 0; i < all->reactors; i++) {
		struct seat *s = &all->seat[p->first + i];
		if (i < p->n_epochs && otd_accounting_epoch_over(p->app->accounting, s->now.epoch,
								 on_over, s) != OTD_OK)
			otd_log(OTD_LOG_WARN, "app", "process.journal",
				"process=%u epoch=%" PRIu64
				" why=\"out of memory\" hint=\"the next "
				"start merges it\"",
				p->number, s->now.epoch);
		s->now.epoch = 0;
	}
	p->n_epochs = 0;
}

/* It is gone for good: its number is free. */
static void gone(struct process *p, const char *how)
{
	struct otd_app_processes *all = p->app->processes;
	int64_t lived = processes_now_ms(p->app) - p->began_ms;
	otd_log(OTD_LOG_ERROR, "app", "process.gone",
		"process=%u pid=%ld how=\"%s\" connections=%zu lived_ms=%" PRId64, p->number,
		(long)p->pid, how, p->sessions, lived);
	if (!p->killed || !p->trouble[0])
		snprintf(p->trouble, sizeof(p->trouble),
			 "reactor process %u ended (%s); its miners connect again, what they were "
			 "told is accepted is kept, and a new process begins",
			 p->number, how);
	p->pid = 0;
	p->deaths++;
	otd_metric_add(all->m_deaths, 1);
	process_release_all(p);
	journals_over(p);
	if (p->app->draining)
		process_say_drained(p);
	p->state = PROCESS_DOWN;
	if (lived > WELL_MS)
		p->backoff_ms = 0;
	p->backoff_ms = p->backoff_ms ? 2 * p->backoff_ms : BACKOFF_FIRST_MS;
	p->backoff_ms = p->backoff_ms < BACKOFF_MAX_MS ? p->backoff_ms : BACKOFF_MAX_MS;
	if (!all->stopping && !p->app->draining)
		start_soon(p, p->backoff_ms);
}

static void on_link_ended(void *arg, const char *why)
{
	struct process *p = arg;
	if (p->state == PROCESS_UP)
		otd_metric_add(p->app->processes->m_up, -1);
	otd_log(OTD_LOG_WARN, "app", "process.link_ended", "process=%u why=\"%s\"", p->number, why);
	process_gauges_back(p);
	otd_link_destroy(p->link);
	p->link = NULL;
	p->state = PROCESS_ENDING;
	p->heard_ms = processes_now_ms(p->app);
	start_soon(p, 0);
	process_swap_gone(p);
}

static void reap(struct process *p)
{
	char how[80] = "";
	if (otd_process_ended(p->pid, how, sizeof(how))) {
		gone(p, how);
		return;
	}
	/* It syncs, as it should where its link ends; but not for ever. */
	if (processes_now_ms(p->app) - p->heard_ms > STOP_MS)
		otd_process_kill(p->pid);
	start_soon(p, REAP_MS);
}

void process_kill(struct process *p, const char *why)
{
	if (p->killed || !p->pid)
		return;
	p->killed = true;
	snprintf(p->trouble, sizeof(p->trouble), "reactor process %u was ended: %s", p->number,
		 why);
	otd_log(OTD_LOG_ERROR, "app", "process.killed", "process=%u pid=%ld why=\"%s\"", p->number,
		(long)p->pid, why);
	otd_process_kill(p->pid); /* its end of the link is closed then */
}

static void on_timer(void *arg)
{
	struct process *p = arg;
	if (p->app->processes->stopping)
		return;
	switch (p->state) {
	case PROCESS_ENDING: reap(p); break;
	case PROCESS_DOWN:
	case PROCESS_EPOCHS:
		if (!p->app->draining)
			next_epoch(p);
		break;
	case PROCESS_STARTING:
	case PROCESS_UP: break;
	}
}

static void start_soon(struct process *p, int64_t ms)
{
	p->app->env->ops->timer_start(p->timer, ms, 0);
}

/* --- it serves --- */

struct telling {
	struct otd_app *app;
	uint32_t index;
};

static void send_ban(struct otd_app *app, uint32_t index, const struct otd_ban *ban, bool undo)
{
	size_t what_n = strlen(ban->what), reason_n = strlen(ban->reason);
	struct otd_msg *head =
		otd_msg_create(OTD_MSG_BAN, index, sizeof(struct otd_msg_ban), what_n + reason_n);
	struct otd_msg_ban *m = (struct otd_msg_ban *)head;
	if (m) {
		m->scope = ban->scope;
		m->undo = undo;
		m->id = ban->id;
		m->until_ms = ban->until_ms;
		m->what = otd_msg_put(head, ban->what, what_n);
		m->reason = otd_msg_put(head, ban->reason, reason_n);
	}
	if (otd_mailbox_send(app->processes->seat[index].mailbox, head) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "app", "ban.lost", "reactor=%u ban=%" PRIu64, index,
			ban->id);
}

static void tell_one(void *arg, const struct otd_ban *ban)
{
	struct telling *t = arg;
	send_ban(t->app, t->index, ban, false);
}

void process_is_up(struct process *p)
{
	struct otd_app *app = p->app;
	struct otd_app_processes *all = app->processes;
	if (p->state != PROCESS_STARTING) {
		process_kill(p, "it said twice that it serves");
		return;
	}
	p->state = PROCESS_UP;
	otd_metric_add(all->m_up, 1);
	if (app->draining)
		return; /* it was counted as drained, and gets nobody */
	for (size_t i = 0; i < all->reactors; i++) {
		struct telling t = {app, p->first + (uint32_t)i};
		struct seat *s = &all->seat[t.index];
		s->drained = false;
		if (app->bans)
			otd_bans_each(app->bans, tell_one, &t);
		/* The jobs of now. */
		if (otd_coordinator_add_reactor(app->coordinator, s->index, s->mailbox) != OTD_OK)
			process_kill(p, "out of memory");
	}
	process_say_kept(p);
	otd_log(OTD_LOG_INFO, "app", "process.serves", "process=%u pid=%ld reactors=%zu", p->number,
		(long)p->pid, all->reactors);
	processes_admit(app, INT64_MIN);
}

/* Others since they were told last: tickets of one process are good at another. */
static void tell_tickets(struct otd_app *app)
{
	struct otd_app_processes *all = app->processes;
	struct otd_tls_tickets *tickets = otd_app_tls_tickets(app);
	struct otd_bytes b;
	otd_bytes_init(&b, OTD_PROCESS_TICKETS_MAX);
	if (!tickets || otd_tls_tickets_export(tickets, &b) != OTD_OK ||
	    (b.len == all->tickets_len && memcmp(b.ptr, all->tickets, b.len) == 0)) {
		otd_bytes_finish(&b);
		return;
	}
	memcpy(all->tickets, b.ptr, b.len);
	all->tickets_len = b.len;
	for (size_t i = 0; i < all->n; i++) {
		struct process *p = &all->process[i];
		struct otd_msg *head = otd_msg_create(OTD_MSG_TICKETS, p->first,
						      sizeof(struct otd_msg_text), b.len);
		if (head) {
			((struct otd_msg_text *)head)->text = otd_msg_put(head, b.ptr, b.len);
			if (p->link && otd_link_send(p->link, head, head->size, -1) != OTD_OK)
				process_kill(p, "it does not take what it is sent");
			explicit_bzero(head + 1, head->size - sizeof(*head));
		}
		otd_msg_destroy(head);
	}
	explicit_bzero(b.ptr, b.cap);
	otd_bytes_finish(&b);
}

/* One that stands still (stopped, or in a loop without end) serves nobody, and its miners wait. */
static void on_watch(void *arg)
{
	struct otd_app *app = arg;
	struct otd_app_processes *all = app->processes;
	int64_t now = processes_now_ms(app);
	for (size_t i = 0; i < all->n; i++) {
		struct process *p = &all->process[i];
		if (p->state == PROCESS_UP && now - p->heard_ms > SILENT_MS)
			process_kill(p, "it said nothing for a minute");
		if (p->state == PROCESS_STARTING && now - p->began_ms > START_MS)
			process_kill(p, "it did not begin to serve within two minutes");
		if (p->state == PROCESS_UP && now - p->began_ms > WELL_MS)
			p->trouble[0] = '\0';
	}
	processes_admit(app, now - PENDING_MS);
	tell_tickets(app);
}

/* --- all of them --- */

static otd_rc make_seat(struct otd_app *app, uint32_t index, struct otd_err *err)
{
	struct otd_app_processes *all = app->processes;
	struct seat *s = &all->seat[index];
	*s = (struct seat){.process = &all->process[index / all->reactors], .index = index};
	otd_rc rc = otd_mailbox_create(&s->mailbox, app->loop, process_on_message, s);
	if (rc == OTD_OK)
		rc = otd_coordinator_add_reactor(app->coordinator, index, s->mailbox);
	return rc ? otd_fail(err, rc, "reactor process: %s", otd_rc_name(rc)) : OTD_OK;
}

static otd_rc make_all(struct otd_app *app, struct otd_err *err)
{
	struct otd_app_processes *all = app->processes;
	otd_rc rc = OTD_OK;
	for (uint32_t i = 0; i < all->n; i++)
		all->process[i] = (struct process){
			.app = app, .number = i, .first = i * (uint32_t)all->reactors};
	for (uint32_t i = 0; rc == OTD_OK && i < all->n * all->reactors; i++)
		rc = make_seat(app, i, err);
	for (uint32_t i = 0; rc == OTD_OK && i < all->n; i++)
		rc = app->env->ops->timer_create(app->loop, &all->process[i].timer, on_timer,
						 &all->process[i]);
	if (rc == OTD_OK)
		rc = app->env->ops->timer_create(app->loop, &all->watch, on_watch, app);
	return rc && !err->rc ? otd_fail(err, rc, "out of memory") : rc;
}

/* The first epochs come without waiting, as those of threads: a disk that fails ends the start. */
static otd_rc first_epochs(struct otd_app *app, struct otd_err *err)
{
	struct otd_app_processes *all = app->processes;
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < all->n * all->reactors; i++) {
		struct otd_process_reactor *r = &all->seat[i].now;
		rc = otd_accounting_new_epoch(app->accounting, &r->epoch, r->dir, sizeof(r->dir),
					      err);
		all->seat[i].process->n_epochs += rc == OTD_OK;
	}
	return rc;
}

otd_rc otd_app_processes_start(struct otd_app *app, struct otd_err *err)
{
	const struct otd_settings_threads *t = &app->settings->threads;
	static const struct otd_app_ports none;
	struct otd_app_processes *all = calloc(1, sizeof(*all));
	size_t room = otd_app_files_left(app->settings);
	if (!all)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	app->processes = all;
	all->reactors = (size_t)t->reactors;
	all->capacity = room == SIZE_MAX ? room : room / (size_t)t->processes;
	all->process = calloc((size_t)t->processes, sizeof(*all->process));
	all->seat = calloc((size_t)t->processes * all->reactors, sizeof(*all->seat));
	all->pending = calloc(PENDING_MAX, sizeof(*all->pending));
	all->kept = calloc(KEPT_MAX, sizeof(*all->kept));
	if (!all->process || !all->seat || !all->pending || !all->kept)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	all->n = (size_t)t->processes;
	all->m_up = otd_metric(app->metrics, OTD_GAUGE, "otd_reactor_processes", "",
			       "Reactor processes that serve");
	all->m_deaths = otd_metric(app->metrics, OTD_COUNTER, "otd_reactor_process_deaths_total",
				   "", "Reactor processes that ended while the pool ran");
	all->m_refused = otd_metric(app->metrics, OTD_COUNTER, "otd_reactor_process_refused_total",
				    "", "Connections that no reactor process had room for");
	otd_rc rc = otd_app_processes_fit(t, err);
	if (rc == OTD_OK)
		rc = otd_app_ports_make(app, &app->ports, &none, app->pools, app->n_pools, err);
	if (rc == OTD_OK)
		rc = make_all(app, err);
	if (rc == OTD_OK)
		rc = first_epochs(app, err);
	for (size_t i = 0; rc == OTD_OK && i < all->n; i++) {
		all->process[i].state = PROCESS_EPOCHS;
		start_soon(&all->process[i], 0);
	}
	if (rc == OTD_OK)
		app->env->ops->timer_start(all->watch, WATCH_MS, WATCH_MS);
	return rc;
}

static void wait_for_end(struct process *p, int64_t until)
{
	char how[80];
	const struct timespec pause = {0, 5000000};
	if (!p->pid)
		return;
	while (!otd_process_ended(p->pid, how, sizeof(how))) {
		if (processes_now_ms(p->app) > until)
			otd_process_kill(p->pid);
		(void)nanosleep(&pause, NULL);
	}
	p->pid = 0;
}

void otd_app_processes_stop(struct otd_app *app)
{
	struct otd_app_processes *all = app->processes;
	if (!all)
		return;
	all->stopping = true;
	if (all->n_pending)
		processes_admit(app, INT64_MAX);
	/* All ends first, so that they sync at the same time. */
	for (size_t i = 0; i < all->n; i++) {
		otd_link_destroy(all->process[i].link);
		all->process[i].link = NULL;
	}
	int64_t until = processes_now_ms(app) + STOP_MS;
	for (size_t i = 0; i < all->n; i++) {
		struct process *p = &all->process[i];
		wait_for_end(p, until);
		if (p->timer)
			app->env->ops->timer_destroy(p->timer);
		free(p->held);
		free(p->gauges);
	}
	if (all->watch)
		app->env->ops->timer_destroy(all->watch);
	for (size_t i = 0; i < all->n * all->reactors; i++)
		otd_mailbox_destroy(all->seat[i].mailbox);
	explicit_bzero(all->tickets, sizeof(all->tickets));
	processes_kept_free(all);
	free(all->pending);
	free(all->process);
	free(all->seat);
	free(all);
	app->processes = NULL;
}

void otd_app_processes_release(struct otd_app *app, uint64_t epoch, uint64_t seq)
{
	struct otd_app_processes *all = app->processes;
	for (size_t i = 0; all && i < all->n * all->reactors; i++) {
		if (all->seat[i].now.epoch == epoch)
			otd_coordinator_release(app->coordinator, (uint32_t)i, epoch, seq);
	}
}

void otd_app_processes_ban(struct otd_app *app, const struct otd_ban *ban, bool undo)
{
	struct otd_app_processes *all = app->processes;
	/* One that is not up yet is told when it is. */
	for (size_t i = 0; all && i < all->n * all->reactors; i++) {
		if (all->seat[i].process->state == PROCESS_UP)
			send_ban(app, (uint32_t)i, ban, undo);
	}
}

static void send_text(struct process *p, struct otd_msg *m)
{
	if (m && p->link && otd_link_send(p->link, m, m->size, -1) != OTD_OK)
		process_kill(p, "it does not take what it is sent");
	otd_msg_destroy(m);
}

void otd_app_processes_say(struct otd_app *app, const char *text, bool reconnect)
{
	struct otd_app_processes *all = app->processes;
	size_t n = reconnect ? 0 : strlen(text);
	for (size_t i = 0; all && i < all->n; i++) {
		struct process *p = &all->process[i];
		struct otd_msg *head =
			otd_msg_create(OTD_MSG_SAY, p->first, sizeof(struct otd_msg_say), n);
		struct otd_msg_say *m = (struct otd_msg_say *)head;
		if (m) {
			m->reconnect = reconnect;
			m->text = otd_msg_put(head, text, n);
		}
		send_text(p, head);
	}
}

void otd_app_processes_renew(struct otd_app *app)
{
	struct otd_app_processes *all = app->processes;
	for (size_t i = 0; all && i < all->n; i++) {
		struct process *p = &all->process[i];
		send_text(p, otd_msg_create(OTD_MSG_RENEW, p->first, sizeof(struct otd_msg), 0));
	}
}

void otd_app_processes_reopen(struct otd_app *app)
{
	struct otd_app_processes *all = app->processes;
	for (size_t i = 0; all && i < all->n; i++) {
		if (all->process[i].pid)
			otd_process_signal(all->process[i].pid, SIGUSR1);
	}
}

size_t otd_app_processes_sessions(const struct otd_app *app)
{
	const struct otd_app_processes *all = app->processes;
	size_t n = 0;
	for (size_t i = 0; all && i < all->n; i++)
		n += all->process[i].sessions;
	return n;
}

/* --- a reload --- */

otd_rc otd_app_processes_change(const struct otd_app_plan *p, char **out, struct otd_err *err)
{
	*out = NULL;
	if (!p->app->processes)
		return OTD_OK;
	json_t *change = otd_process_change_make(p, err);
	*out = change ? json_dumps(change, JSON_COMPACT) : NULL;
	json_decref(change);
	if (*out)
		return OTD_OK;
	return err->rc ? err->rc : otd_fail(err, OTD_E_NOMEM, "out of memory");
}

void otd_app_processes_tell(struct otd_app *app, char *change)
{
	struct otd_app_processes *all = app->processes;
	size_t n = change ? strlen(change) : 0;
	for (size_t i = 0; all && change && i < all->n; i++) {
		struct process *p = &all->process[i];
		if (!p->link)
			continue; /* the next one begins with all of it */
		struct otd_msg *head =
			otd_msg_create(OTD_MSG_CHANGE, p->first, sizeof(struct otd_msg_text), n);
		if (head)
			((struct otd_msg_text *)head)->text = otd_msg_put(head, change, n);
		else
			process_kill(p, "out of memory");
		p->changing++;
		send_text(p, head);
	}
	free(change);
}

bool otd_app_processes_have_it(const struct otd_app *app)
{
	const struct otd_app_processes *all = app->processes;
	for (size_t i = 0; all && i < all->n; i++) {
		const struct process *p = &all->process[i];
		if (p->link && p->changing)
			return false;
	}
	return true;
}

/* --- for people --- */

const char *otd_app_processes_trouble(struct otd_app *app, size_t i)
{
	struct otd_app_processes *all = app->processes;
	size_t up = 0;
	for (size_t k = 0; all && k < all->n; k++) {
		up += all->process[k].state == PROCESS_UP;
		if (all->process[k].trouble[0] && i-- == 0)
			return all->process[k].trouble;
	}
	if (!all || up || i || app->draining)
		return NULL;
	snprintf(all->none, sizeof(all->none), "no reactor process serves: miners are turned away");
	return all->none;
}

void otd_app_processes_status(struct otd_app *app, struct otd_bytes *out)
{
	static const char *const names[] = {"down", "starting", "starting", "up", "ending"};
	struct otd_app_processes *all = app->processes;
	if (!all)
		return;
	(void)otd_bytes_text(out, ",\"processes\":[");
	for (size_t i = 0; i < all->n; i++) {
		const struct process *p = &all->process[i];
		(void)otd_bytes_format(
			out,
			"%s{\"number\":%u,\"state\":\"%s\",\"pid\":%ld"
			",\"sessions\":%zu,\"waiting_bytes\":%zu,\"deaths\":%" PRIu64 "}",
			i ? "," : "", p->number, names[p->state], (long)p->pid, p->sessions,
			p->link ? otd_link_waiting(p->link) : 0, p->deaths);
	}
	(void)otd_bytes_text(out, "]");
}
