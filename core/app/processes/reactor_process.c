/*
 * A process with reactors and nothing else: no chain, no database, no control socket. Its settings come
 * over a descriptor, jobs and clients over a link (loop/link.h) as messages of pool/msg.h; what its
 * reactors say goes back the same way. The link ends: the journals are synced, and it ends.
 */
#include "app/processes/reactor_process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app_tls.h"
#include "app/cmd/args.h"
#include "app/processes/process_setup.h"
#include "app/processes/processes.h"
#include "app/processes/reactor_process_impl.h"
#include "base/log.h"
#include "loop/link.h"
#include "loop/loop.h"
#include "loop/process.h"
#include "net/door.h"

#define SECOND_MS   1000
#define END_S       10         /* it has so long to sync, once the pool is gone */
#define CHANGES_MAX (4u << 20) /* bytes of one report of metrics */
#define SETUP_MAX   (64u << 20)

void process_give_up(struct process *p, const char *why)
{
	char quoted[400];
	if (p->ending)
		return;
	p->ending = true;
	p->status = OTD_EXIT_FAILED;
	otd_log(OTD_LOG_ERROR, "app", "process.failed", "pid=%ld why=%s", (long)getpid(),
		otd_log_quote(quoted, sizeof(quoted), why, strlen(why)));
	p->env->ops->loop_stop(p->loop);
}

/* --- to the pool --- */

/* The pool takes what it is sent, or is as good as gone. */
void process_send(struct process *p, const struct otd_msg *m)
{
	otd_rc rc = p->link ? otd_link_send(p->link, m, m->size, -1) : OTD_E_CLOSED;
	if (rc != OTD_OK && rc != OTD_E_CLOSED)
		process_give_up(p, "the pool does not take what it is sent");
}

static void on_to_pool(void *arg, const struct otd_msg *m)
{
	process_send(arg, m);
}

void process_send_head(struct process *p, enum otd_msg_type type)
{
	struct otd_msg *m = otd_msg_create(type, p->first, sizeof(*m), 0);
	if (m)
		process_send(p, m);
	otd_msg_destroy(m);
}

static void session_ended(void *arg, const struct otd_ticket *ticket) /* [reactor] */
{
	struct one *o = arg;
	_Static_assert(sizeof(*ticket) == OTD_MSG_TICKET, "a ticket has another size now");
	struct otd_msg *m =
		otd_msg_create(OTD_MSG_ENDED, o->index, sizeof(struct otd_msg_client), 0);
	if (!m)
		return; /* one place less at the gate, until this process ends */
	memcpy(((struct otd_msg_client *)m)->ticket, ticket, sizeof(*ticket));
	(void)otd_mailbox_send(o->process->to_pool, m);
}

static void on_second(void *arg)
{
	struct process *p = arg;
	struct otd_bytes b;
	otd_bytes_init(&b, CHANGES_MAX);
	/* What does not fit comes in a second. Sent also where nothing has changed: it says that we live. */
	(void)otd_metrics_changes(p->metrics, &b);
	struct otd_msg *m =
		otd_msg_create(OTD_MSG_METRICS, p->first, sizeof(struct otd_msg_text), b.len);
	if (m) {
		((struct otd_msg_text *)m)->text = otd_msg_put(m, b.ptr, b.len);
		process_send(p, m);
	}
	otd_msg_destroy(m);
	otd_bytes_finish(&b);
}

/* A connection that leaves for another process. */
struct leaving {
	struct process *process;
	struct otd_msg *m;
	int fd;
};

static void on_leaving(void *arg)
{
	struct leaving *l = arg;
	struct process *p = l->process;
	if (!p->link || otd_link_send(p->link, l->m, l->m->size, l->fd) != OTD_OK) {
		(void)close(l->fd);
		process_give_up(p, "the pool does not take what it is sent");
	}
	otd_msg_destroy(l->m);
	free(l);
}

static bool move(void *arg, uint32_t index, const struct otd_stratum_moved *moved,
		 struct otd_stream *s, struct otd_span early) /* [reactor] */
{
	struct one *o = arg;
	struct process *p = o->process;
	struct leaving *l = calloc(1, sizeof(*l));
	struct otd_msg *head = otd_msg_create(OTD_MSG_MOVE, o->index, sizeof(struct otd_msg_move),
					      sizeof(*moved) + early.len);
	struct otd_msg_move *m = (struct otd_msg_move *)head;
	if (!l || !m) {
		free(l);
		otd_msg_destroy(head);
		return false;
	}
	m->to = index;
	m->moved = otd_msg_put(head, moved, sizeof(*moved));
	m->early = otd_msg_put(head, early.ptr, early.len);
	*l = (struct leaving){p, head, p->env->ops->stream_release(s)};
	if (l->fd >= 0 && otd_loop_post(p->loop, on_leaving, l) == OTD_OK)
		return true;
	/* The stream is gone: so is its connection. */
	if (l->fd >= 0)
		(void)close(l->fd);
	session_ended(o, &moved->ticket);
	otd_msg_destroy(head);
	free(l);
	return true;
}

/* --- from the pool --- */

static struct one *one_of(struct process *p, uint32_t index)
{
	return index >= p->first && index - p->first < p->n_ones ? &p->ones[index - p->first]
								 : NULL;
}

static void on_client(struct process *p, const struct otd_msg_client *m, int fd)
{
	struct one *o = one_of(p, m->head.reactor);
	struct otd_span proxy = otd_msg_get(m, m->proxy);
	struct otd_preface preface = {.early = otd_msg_get(m, m->early)};
	struct otd_stream *s = NULL;
	struct otd_ticket ticket;
	memcpy(&ticket, m->ticket, sizeof(ticket));
	if (proxy.len == sizeof(preface.proxy))
		memcpy(&preface.proxy, proxy.ptr, proxy.len);
	if (!o || p->env->ops->stream_adopt(p->env, &s, fd) != OTD_OK) {
		if (o)
			session_ended(o, &ticket);
		else
			(void)close(fd);
		return;
	}
	if (otd_stratum_accept_from_post(o->stratum, s, m->port, &ticket,
					 proxy.len ? &preface : NULL) == OTD_OK)
		return;
	p->env->ops->stream_close(s);
	session_ended(o, &ticket);
}

static void on_arrive(struct process *p, const struct otd_msg_move *m, int fd)
{
	struct one *o = one_of(p, m->head.reactor);
	struct otd_span moved = otd_msg_get(m, m->moved);
	struct otd_stratum_moved how;
	struct otd_stream *s = NULL;
	if (!o || moved.len != sizeof(how)) {
		(void)close(fd);
		process_give_up(p, "the pool sent a connection for nobody");
		return;
	}
	memcpy(&how, moved.ptr, sizeof(how));
	if (p->env->ops->stream_adopt(p->env, &s, fd) == OTD_OK &&
	    otd_stratum_arrive_post(o->stratum, s, &how, otd_msg_get(m, m->early)) == OTD_OK)
		return;
	p->env->ops->stream_close(s);
	session_ended(o, &how.ticket);
}

static void on_say(struct process *p, const struct otd_msg_say *m)
{
	for (size_t i = 0; i < p->n_ones; i++)
		(void)otd_stratum_say_post(p->ones[i].stratum, otd_msg_get(m, m->text),
					   m->reconnect);
}

static void on_change(struct process *p, struct otd_span text);
static void take_tickets(struct process *p, struct otd_span keys);
static void renew(struct process *p);

static void on_frame(void *arg, struct otd_span payload, int fd)
{
	struct process *p = arg;
	struct otd_msg *m = otd_msg_copy(payload.ptr, payload.len);
	if (!m || (m->type == OTD_MSG_CLIENT || m->type == OTD_MSG_ARRIVE) != (fd >= 0)) {
		if (fd >= 0)
			(void)close(fd);
		otd_msg_destroy(m);
		process_give_up(p, "the pool sent what is no message, or memory ran out");
		return;
	}
	struct one *o = one_of(p, m->reactor);
	switch (m->type) {
	case OTD_MSG_CLIENT: on_client(p, (const struct otd_msg_client *)m, fd); break;
	case OTD_MSG_ARRIVE: on_arrive(p, (const struct otd_msg_move *)m, fd); break;
	case OTD_MSG_SAY: on_say(p, (const struct otd_msg_say *)m); break;
	case OTD_MSG_CHANGE:
		on_change(p, otd_msg_get(m, ((const struct otd_msg_text *)m)->text));
		break;
	case OTD_MSG_SWAP:
		process_swap_prepare(p, otd_msg_get(m, ((const struct otd_msg_text *)m)->text));
		break;
	case OTD_MSG_SWAP_COMMIT: process_swap_commit(p); break;
	case OTD_MSG_SWAP_DROP: process_swap_drop(p); break;
	case OTD_MSG_RENEW: renew(p); break;
	case OTD_MSG_TICKETS:
		take_tickets(p, otd_msg_get(m, ((const struct otd_msg_text *)m)->text));
		explicit_bzero(m + 1, m->size - sizeof(*m));
		break;
	default:
		if (o && otd_mailbox_send(otd_reactor_mailbox(o->reactor), m) != OTD_OK)
			process_give_up(p, "out of memory");
		if (o)
			return; /* it is the mailbox' now */
	}
	otd_msg_destroy(m);
}

static void on_link_ended(void *arg, const char *why)
{
	struct process *p = arg;
	if (p->ending)
		return;
	p->ending = true;
	/* A disk or a plugin that hangs: what was acknowledged is durable, and the next pool waits for us. */
	(void)alarm(END_S);
	otd_log(OTD_LOG_INFO, "app", "process.end", "pid=%ld why=\"%s\"", (long)getpid(), why);
	p->env->ops->loop_stop(p->loop);
}

/* --- certificates --- */

static bool same(const char *a, const char *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static struct certificate *certificate_of(struct process *p, const struct otd_settings_tls *files)
{
	for (size_t i = 0; i < p->n_certificates; i++) {
		if (same(p->certificates[i].certificate, files->certificate) &&
		    same(p->certificates[i].key, files->key))
			return &p->certificates[i];
	}
	return NULL;
}

static otd_rc add_certificate(struct process *p, const struct otd_settings_tls *files,
			      struct otd_tls *fresh)
{
	struct certificate *c = realloc(p->certificates, (p->n_certificates + 1) * sizeof(*c));
	if (!c)
		return OTD_E_NOMEM;
	p->certificates = c;
	c += p->n_certificates;
	*c = (struct certificate){strdup(files->certificate), strdup(files->key), fresh};
	if (!c->certificate || !c->key) {
		free(c->certificate);
		free(c->key);
		return OTD_E_NOMEM;
	}
	p->n_certificates++;
	return OTD_OK;
}

/* The files are read (again): handshakes from now on use what is in them. */
static otd_rc certificates_read(struct process *p, struct otd_process_ports *ports,
				const json_t *json, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < ports->n; i++) {
		struct otd_settings_tls files;
		struct otd_tls *fresh = NULL;
		if (!otd_process_tls_read(&files, json, i))
			continue;
		rc = otd_app_tls_read(&fresh, p->env, &files, p->tickets, p->metrics, err);
		struct certificate *c = rc == OTD_OK ? certificate_of(p, &files) : NULL;
		if (c) {
			otd_tls_replace(c->tls, fresh);
		} else if (rc == OTD_OK && add_certificate(p, &files, fresh) != OTD_OK) {
			otd_tls_destroy(fresh);
			rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
		}
		if (rc == OTD_OK)
			ports->conf[i].tls = certificate_of(p, &files)->tls;
	}
	return rc;
}

/* Those of now again. Where one cannot be read any more, what is there stays. */
static void renew(struct process *p)
{
	for (size_t i = 0; i < p->n_certificates; i++) {
		struct certificate *c = &p->certificates[i];
		const struct otd_settings_tls files = {c->certificate, c->key, NULL};
		struct otd_tls *fresh = NULL;
		struct otd_err err = {0};
		if (otd_app_tls_read(&fresh, p->env, &files, p->tickets, p->metrics, &err))
			otd_log(OTD_LOG_ERROR, "app", "process.certificate", "pid=%ld error=%s",
				(long)getpid(), OTD_Q(err.text));
		else
			otd_tls_replace(c->tls, fresh);
	}
}

static void take_tickets(struct process *p, struct otd_span keys)
{
	struct otd_err err = {0};
	otd_rc rc = otd_tls_tickets_import(p->tickets, keys, &err);
	if (rc != OTD_OK && rc != OTD_E_NOT_FOUND)
		otd_log(OTD_LOG_WARN, "app", "process.tickets", "error=%s", OTD_Q(err.text));
}

static otd_rc make_tickets(struct process *p, struct otd_err *err)
{
	uint8_t keys[OTD_PROCESS_TICKETS_MAX];
	otd_rc rc = otd_tls_tickets_create(&p->tickets, p->env, err);
	size_t n = otd_process_tickets_read(keys, sizeof(keys), p->setup);
	if (rc == OTD_OK && n)
		take_tickets(p, (struct otd_span){keys, n});
	explicit_bzero(keys, sizeof(keys));
	return rc;
}

/* --- a reload --- */

static void on_reactor_has_it(void *arg)
{
	struct process *p = arg;
	if (p->changing && --p->changing == 0)
		process_send_head(p, OTD_MSG_CHANGED);
}

static void on_applied(void *arg) /* [reactor] */
{
	struct process *p = arg;
	/* Where memory for this runs out the pool waits until we are started anew. */
	if (otd_loop_post(p->loop, on_reactor_has_it, p) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "app", "process.memory", "pid=%ld", (long)getpid());
}

static otd_rc change_reactors(struct process *p, const struct otd_stratum_change_conf *conf,
			      struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	p->changing = p->n_ones;
	for (size_t i = 0; rc == OTD_OK && i < p->n_ones; i++) {
		struct otd_stratum_change *c = NULL;
		rc = otd_stratum_change_create(&c, p->ones[i].stratum, conf, err);
		if (rc == OTD_OK)
			rc = otd_stratum_change_post(c);
		if (rc != OTD_OK)
			otd_stratum_change_destroy(c);
	}
	return rc;
}

static otd_rc change(struct process *p, const json_t *json, struct otd_err *err)
{
	const json_t *gone = json_object_get(json, "gone");
	const json_t *gone_ports = json_object_get(json, "gone_ports");
	size_t n_gone = json_array_size(gone), n_gone_ports = json_array_size(gone_ports), n = 0;
	uint32_t *numbers = calloc(n_gone + 1, sizeof(*numbers));
	struct otd_stratum_gone_port *closed = calloc(n_gone_ports + 1, sizeof(*closed));
	struct otd_reactor_pool *pools = NULL;
	struct otd_process_ports ports = {0};
	struct otd_stratum_limits limits = {0};
	struct otd_log_conf log;
	otd_rc rc = numbers && closed ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < n_gone; i++)
		numbers[i] = (uint32_t)json_integer_value(json_array_get(gone, i));
	for (size_t i = 0; rc == OTD_OK && i < n_gone_ports; i++) {
		const json_t *o = json_array_get(gone_ports, i);
		closed[i].port = (uint32_t)json_integer_value(json_object_get(o, "port"));
		closed[i].text = json_string_value(json_object_get(o, "text"));
	}
	if (rc == OTD_OK)
		rc = process_pools_make(p, json, &pools, &n, err);
	if (rc == OTD_OK)
		rc = otd_process_ports_read(&ports, json, err);
	if (rc == OTD_OK)
		rc = certificates_read(p, &ports, json, err);
	if (rc == OTD_OK)
		rc = otd_process_limits_read(&limits, json, err);
	const struct otd_stratum_change_conf conf = {.pools = pools,
						     .n_pools = n,
						     .gone = numbers,
						     .n_gone = n_gone,
						     .gone_ports = closed,
						     .n_gone_ports = n_gone_ports,
						     .ports = ports.conf,
						     .n_ports = ports.n,
						     .limits = limits,
						     .applied = on_applied,
						     .arg = p};
	if (rc == OTD_OK)
		rc = change_reactors(p, &conf, err);
	if (rc == OTD_OK) {
		otd_process_log_read(&log, json);
		otd_log_levels(&log);
	}
	free(numbers);
	free(closed);
	free(pools);
	otd_process_ports_free(&ports);
	return rc;
}

/* The pool has made all of it itself before: where it fails here, a new process has it from the start. */
static void on_change(struct process *p, struct otd_span text)
{
	struct otd_err err = {0};
	json_t *json = json_loadb((const char *)text.ptr, text.len, 0, NULL);
	otd_rc rc = json ? change(p, json, &err)
			 : otd_fail(&err, OTD_E_INVALID, "the change cannot be read");
	json_decref(json);
	if (rc != OTD_OK)
		process_give_up(p, err.text);
}

/* --- life --- */

static otd_rc read_setup(struct process *p, struct otd_err *err)
{
	struct otd_bytes b;
	json_error_t why;
	otd_bytes_init(&b, SETUP_MAX);
	otd_rc rc = otd_process_settings(&b, err);
	if (rc == OTD_OK) {
		p->setup = json_loadb((const char *)b.ptr, b.len, 0, &why);
		if (!p->setup)
			rc = otd_fail(err, OTD_E_INVALID, "what the pool gave is not JSON: %s",
				      why.text);
	}
	otd_bytes_finish(&b);
	p->first = (uint32_t)json_integer_value(json_object_get(p->setup, "first"));
	return rc;
}

static int64_t log_clock(void *arg)
{
	return otd_wall_ms(arg);
}

static otd_rc make_env(struct process *p, struct otd_err *err)
{
	struct otd_log_conf log;
	struct otd_env_real_conf conf = {.compute_threads = (uint32_t)json_integer_value(
						 json_object_get(p->setup, "compute")),
					 .lag_warn_ms = 200,
					 .metrics = p->metrics = otd_metrics_create()};
	char name[32];
	if (!p->metrics)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	otd_rc rc = otd_env_real_create(&p->env, &conf, err);
	otd_process_log_read(&log, p->setup);
	if (rc == OTD_OK)
		rc = otd_log_init(&log, log_clock, p->env, err);
	snprintf(name, sizeof(name), "process-%u", p->first);
	if (rc == OTD_OK)
		rc = p->env->ops->loop_create(p->env, &p->loop, name, err);
	return rc;
}

static otd_rc make_plugins(struct process *p, struct otd_err *err)
{
	const json_t *o = json_object_get(p->setup, "plugins");
	size_t n_dirs, n_enable, n_digests;
	const char **dirs = otd_process_texts(json_object_get(o, "dirs"), &n_dirs);
	const char **enable = otd_process_texts(json_object_get(o, "enable"), &n_enable);
	const char **digests = otd_process_texts(json_object_get(o, "digests"), &n_digests);
	struct otd_plugins_conf conf = {.dirs = dirs,
					.n_dirs = n_dirs,
					.enable = enable,
					.n_enable = n_enable,
					.digests = digests,
					.n_digests = n_digests,
					.safe_mode = json_is_true(json_object_get(o, "safe_mode"))};
	otd_rc rc =
		dirs && enable && digests ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (rc == OTD_OK)
		rc = otd_plugins_create(&p->plugins, p->env, &conf, err);
	free(dirs);
	free(enable);
	free(digests);
	p->instances = calloc(INSTANCES_MAX, sizeof(*p->instances));
	if (rc == OTD_OK && !p->instances)
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	return rc;
}

static struct otd_stratum *peer(void *arg, uint32_t index) /* [any-thread] */
{
	const struct one *o = arg, *other = one_of(o->process, index);
	return other ? other->stratum : NULL;
}

static otd_rc make_one(struct process *p, struct one *o, const json_t *json,
		       const struct otd_reactor_pool *pools, size_t n_pools, struct otd_err *err)
{
	const json_t *journal = json_object_get(p->setup, "journal");
	const char *dir = json_string_value(json_object_get(json, "journal"));
	struct otd_stratum_limits limits = {0};
	char name[24];
	o->process = p;
	process_ask_init(o);
	o->index = p->first + (uint32_t)(o - p->ones);
	snprintf(name, sizeof(name), "reactor-%u", o->index);
	otd_rc rc = dir ? p->env->ops->loop_create(p->env, &o->loop, name, err)
			: otd_fail(err, OTD_E_INVALID, "the pool gave no folder for a journal");
	struct otd_reactor_conf conf = {
		.env = p->env,
		.loop = o->loop,
		.index = o->index,
		.epoch = (uint64_t)json_integer_value(json_object_get(json, "epoch")),
		.journal_dir = dir,
		.segment_bytes =
			(uint64_t)json_integer_value(json_object_get(journal, "segment_bytes")),
		.max_bytes = (uint64_t)json_integer_value(json_object_get(journal, "max_bytes")),
		.archive = json_is_true(json_object_get(journal, "archive")),
		.pools = pools,
		.n_pools = n_pools,
		.coordinator = p->to_pool,
		.metrics = p->metrics};
	if (rc == OTD_OK)
		rc = otd_process_limits_read(&limits, p->setup, err);
	conf.names_an_account = limits.names_an_account;
	if (rc == OTD_OK)
		rc = otd_reactor_create(&o->reactor, &conf, err);
	struct otd_stratum_conf stratum = {.reactor = o->reactor,
					   .ports = p->ports.conf,
					   .n_ports = p->ports.n,
					   .metrics = p->metrics,
					   .limits = limits,
					   .ended = session_ended,
					   .arg = o,
					   .policy = &o->ask,
					   .index = o->index,
					   .reactors = (uint32_t)json_integer_value(
						   json_object_get(p->setup, "reactors_in_all")),
					   .peer = peer,
					   .move = move};
	return rc ? rc : otd_stratum_create(&o->stratum, &stratum, err);
}

static otd_rc make_reactors(struct process *p, struct otd_err *err)
{
	const json_t *list = json_object_get(p->setup, "reactors");
	size_t n = json_array_size(list), n_pools = 0;
	struct otd_reactor_pool *pools = NULL;
	p->ones = calloc(n + 1, sizeof(*p->ones));
	otd_rc rc = p->ones ? process_pools_make(p, p->setup, &pools, &n_pools, err)
			    : otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (rc == OTD_OK)
		rc = otd_process_ports_read(&p->ports, p->setup, err);
	if (rc == OTD_OK)
		rc = make_tickets(p, err);
	if (rc == OTD_OK)
		rc = certificates_read(p, &p->ports, p->setup, err);
	for (; rc == OTD_OK && p->n_ones < n; p->n_ones++)
		rc = make_one(p, &p->ones[p->n_ones], json_array_get(list, p->n_ones), pools,
			      n_pools, err);
	free(pools);
	return rc;
}

static void run_reactor(void *arg)
{
	struct one *o = arg;
	otd_thread_is(OTD_THREAD_REACTOR | OTD_THREAD_COMPUTE);
	o->process->env->ops->loop_run(o->loop);
}

static void on_reopen_signal(void *arg)
{
	struct otd_err err = {0};
	(void)arg;
	if (otd_log_reopen(&err) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "app", "log.reopen_failed", "error=\"%s\"", err.text);
}

static otd_rc run_reactors(struct process *p, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < p->n_ones; i++)
		rc = p->env->ops->thread_start(p->env, &p->ones[i].thread, p->ones[i].loop->name,
					       run_reactor, &p->ones[i], err);
	if (rc == OTD_OK)
		rc = p->env->ops->timer_create(p->loop, &p->second, on_second, p);
	if (rc == OTD_OK)
		rc = otd_loop_signal(p->loop, SIGUSR1, on_reopen_signal, p);
	if (rc == OTD_OK)
		p->env->ops->timer_start(p->second, SECOND_MS, SECOND_MS);
	return rc;
}

static otd_rc start(struct process *p, struct otd_err *err)
{
	otd_rc rc = read_setup(p, err);
	if (rc == OTD_OK)
		rc = make_env(p, err);
	if (rc == OTD_OK)
		rc = otd_mailbox_create(&p->to_pool, p->loop, on_to_pool, p);
	if (rc == OTD_OK)
		rc = make_plugins(p, err);
	if (rc == OTD_OK)
		rc = make_reactors(p, err);
	if (rc == OTD_OK)
		rc = run_reactors(p, err);
	struct otd_link_conf link = {.frame_max = OTD_PROCESS_FRAME_MAX,
				     .waiting_max = OTD_PROCESS_WAITING_MAX,
				     .frame = on_frame,
				     .ended = on_link_ended,
				     .arg = p};
	if (rc == OTD_OK)
		rc = otd_link_create(&p->link, p->loop, OTD_PROCESS_LINK_FD, &link, err);
	return rc;
}

static void stop_thread(struct process *p, struct one *o)
{
	if (o->thread) {
		p->env->ops->loop_stop(o->loop);
		p->env->ops->thread_join(p->env, o->thread);
	}
	o->thread = NULL;
}

static void stop_one(struct process *p, struct one *o)
{
	if (o->stratum)
		otd_stratum_destroy(o->stratum);
	otd_reactor_destroy(o->reactor);
	if (o->loop)
		p->env->ops->loop_destroy(o->loop);
}

static void stop(struct process *p)
{
	atomic_store(&p->stopping, true);
	for (size_t i = 0; p->ones && i <= p->n_ones; i++)
		stop_thread(p, &p->ones[i]);
	process_swap_drop(p);
	/* One that was not made whole is behind those that were. */
	for (size_t i = 0; p->ones && i <= p->n_ones; i++)
		stop_one(p, &p->ones[i]);
	otd_link_destroy(p->link);
	otd_mailbox_destroy(p->to_pool);
	if (p->second)
		p->env->ops->timer_destroy(p->second);
	process_algos_free(p);
	if (p->plugins)
		otd_plugins_destroy(p->plugins);
	for (size_t i = 0; i < p->n_certificates; i++) {
		otd_tls_destroy(p->certificates[i].tls);
		free(p->certificates[i].certificate);
		free(p->certificates[i].key);
	}
	free(p->certificates);
	otd_tls_tickets_destroy(p->tickets);
	if (p->loop)
		p->env->ops->loop_destroy(p->loop);
	otd_log_finish();
	free(p->ones);
	otd_process_ports_free(&p->ports);
	otd_env_real_destroy(p->env);
	otd_metrics_destroy(p->metrics);
	json_decref(p->setup);
}

int otd_reactor_process_main(void)
{
	struct process p = {0};
	struct otd_err err = {0};
	/* Signals that end a pool go to all processes of a terminal or a service: the pool ends us. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGUSR1, SIG_IGN);
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_COMPUTE);
	otd_rc rc = start(&p, &err);
	if (rc == OTD_OK) {
		process_send_head(&p, OTD_MSG_READY);
		p.env->ops->loop_run(p.loop);
	} else {
		char quoted[700];
		p.status = OTD_EXIT_FAILED;
		otd_log(OTD_LOG_ERROR, "app", "process.failed", "pid=%ld why=%s", (long)getpid(),
			otd_log_quote(quoted, sizeof(quoted), err.text, strlen(err.text)));
	}
	stop(&p);
	return p.status;
}
