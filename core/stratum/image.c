/* Sessions of a server to another process, and from one: see stratum/image.h. */
#include "stratum/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "stratum/policy.h"
#include "stratum/session.h"

/* --- out --- */

static bool fds_room(struct otd_image_fds *fds)
{
	if (fds->n < fds->cap)
		return true;
	size_t cap = fds->cap ? 2 * fds->cap : 256;
	int *p = realloc(fds->fd, cap * sizeof(*p));
	if (!p)
		return false;
	fds->fd = p;
	fds->cap = cap;
	return true;
}

static void describe(struct otd_session_record *r, const struct otd_session *s)
{
	r->pool = s->port->pool;
	r->port = s->port->number;
	(void)snprintf(r->host, sizeof(r->host), "%s", otd_conn_host(s->conn));
	r->peer_port = otd_conn_port(s->conn);
	r->flags = (s->subscribed ? OTD_SESSION_SUBSCRIBED : 0u) |
		   (s->has_extranonce1 ? OTD_SESSION_EXTRANONCE : 0u) |
		   (s->job_due ? OTD_SESSION_JOB_DUE : 0u) |
		   (s->line_ns ? OTD_SESSION_HAD_LINE : 0u) |
		   (s->policy_fixed ? OTD_SESSION_POLICY_FIXED : 0u) |
		   (s->vardiff.fixed ? OTD_SESSION_VARDIFF_FIXED : 0u);
	if (s->has_extranonce1)
		r->extranonce1 =
			(struct otd_span){s->extranonce1, otd_session_pool(s)->extranonce1_len};
	r->version_mask = s->version_mask;
	r->asked_mask = s->asked_mask;
	r->bad_lines = s->bad_lines;
	r->opened_ms = s->opened_ms;
	if (s->agent)
		r->agent = (struct otd_span){(const uint8_t *)s->agent, strlen(s->agent)};
	r->vardiff = s->vardiff;
	r->n_targets = (uint8_t)s->n_targets;
	for (size_t i = 0; i < s->n_targets; i++) {
		r->targets[i].from = s->targets[i].from;
		r->targets[i].target = s->targets[i].target;
	}
	r->sent_order = s->sent_order;
	r->sent_repeat = s->sent_repeat;
	r->sent_ms = s->sent_ms;
	r->n_workers = (uint16_t)s->n_workers;
	r->resume_id = s->resume_id;
}

static void describe_workers(struct otd_bytes *out, const struct otd_session *s)
{
	for (size_t i = 0; i < s->n_workers; i++) {
		const struct otd_session_worker *w = &s->workers[i];
		char user[OTD_SESSION_USER_MAX];
		const struct otd_session_record_worker r = {.user = otd_session_user(w, user),
							    .account =
								    otd_worker_account(w->worker),
							    .name = otd_worker_name(w->worker),
							    .accepted = w->accepted,
							    .refused = w->refused};
		otd_session_record_add_worker(out, &r);
	}
}

/* Buffers that one session after the other uses. */
struct scratch {
	struct otd_bytes in, out, workers;
};

static bool save_one(struct otd_session *s, struct otd_bytes *out, struct otd_image_fds *fds,
		     struct scratch *b)
{
	struct otd_session_record r = {0};
	if (!s->conn || s->closing || s->leaving || s->head != s->tail || s->outstanding ||
	    !fds_room(fds))
		return false;
	otd_bytes_clear(&b->in);
	otd_bytes_clear(&b->out);
	otd_bytes_clear(&b->workers);
	describe(&r, s);
	describe_workers(&b->workers, s);
	/* Room for the whole record first: once it is released there is no way back. */
	size_t most = sizeof(r) + b->workers.len + s->st->conf.limits.out_max +
		      4 * s->st->conf.limits.line_max + 65536;
	if (b->workers.failed || !otd_bytes_room(out, most))
		return false;
	struct otd_stream *stream = otd_conn_release(s->conn, &b->in, &b->out);
	if (!stream)
		return false;
	int fd = s->st->env->ops->stream_release(stream);
	if (fd < 0)
		return false;
	r.in = otd_bytes_span(&b->in);
	r.out = otd_bytes_span(&b->out);
	otd_session_record_write(out, &r, otd_bytes_span(&b->workers));
	fds->fd[fds->n++] = fd;
	s->resume_id = 0; /* it goes on there */
	return true;
}

/* TLS lies between, whose keys do not leave OpenSSL: its miner comes again at once, and by its ticket. It has had
   all answers. */
static void send_round(struct otd_session *s, struct otd_image_fds *told)
{
	if (!s->tls || !s->conn || s->closing || s->leaving || !fds_room(told))
		return;
	s->dialect->reconnect(s, "", 0, 0);
	struct otd_stream *stream = otd_conn_last_word(s->conn);
	int fd = stream ? s->st->env->ops->stream_release(stream) : -1;
	if (fd >= 0)
		told->fd[told->n++] = fd;
}

size_t otd_stratum_save(struct otd_stratum *st, struct otd_bytes *out, struct otd_image_fds *fds,
			struct otd_image_fds *told)
{
	struct scratch b;
	size_t n = 0;
	otd_bytes_init(&b.in, SIZE_MAX / 2);
	otd_bytes_init(&b.out, SIZE_MAX / 2);
	otd_bytes_init(&b.workers, SIZE_MAX / 2);
	/* Releasing only marks: the list stays as it is. */
	for (size_t i = 0; i < st->n_open; i++) {
		if (save_one(st->open[i], out, fds, &b))
			n++;
		else
			send_round(st->open[i], told);
	}
	otd_bytes_finish(&b.in);
	otd_bytes_finish(&b.out);
	otd_bytes_finish(&b.workers);
	return n;
}

/* --- in --- */

void otd_stratum_load_jobs(struct otd_stratum *st)
{
	for (uint32_t p = 0; p < otd_reactor_pools(st->conf.reactor); p++) {
		struct otd_jobs *jobs = otd_reactor_jobs(st->conf.reactor, p);
		for (size_t i = 0; i < OTD_JOB_RING; i++) {
			if (jobs->ring[i] && !jobs->ring[i]->front)
				jobs->ring[i]->front = otd_dialect_v1.job_render(jobs->ring[i]);
		}
	}
}

static otd_rc load_workers(struct otd_session *s, struct otd_session_record *r)
{
	struct otd_session_record_worker w;
	s->workers = calloc(r->n_workers ? r->n_workers : 1, sizeof(*s->workers));
	if (!s->workers)
		return OTD_E_NOMEM;
	for (size_t i = 0; i < r->n_workers; i++) {
		struct otd_session_worker *to = &s->workers[s->n_workers];
		if (!otd_session_record_worker(r, &w))
			return OTD_E_CORRUPT;
		otd_rc rc = otd_reactor_worker_open(s->st->conf.reactor, &to->worker, s->port->pool,
						    s->port->scheme ? s->port->scheme : "",
						    w.account, w.name);
		if (rc)
			return rc;
		rc = otd_session_set_user(to, w.user);
		if (rc) {
			otd_reactor_worker_close(s->st->conf.reactor, to->worker);
			return rc;
		}
		to->accepted = (uint32_t)w.accepted;
		to->refused = (uint32_t)w.refused;
		s->n_workers++;
	}
	return OTD_OK;
}

/* Whether the port still is as it was when this difficulty was steered. */
static bool same_port(const struct otd_vardiff *v, const struct otd_vardiff *of_port)
{
	return otd_u256_cmp(v->start, of_port->start) == 0 &&
	       otd_u256_cmp(v->max, of_port->max) == 0 && v->aim_ms == of_port->aim_ms &&
	       v->fixed == of_port->fixed &&
	       (!otd_u256_is_zero(v->floor) || otd_u256_cmp(v->min, of_port->min) == 0);
}

/* Behind a job that is not there any more comes whatever is newer. */
static uint64_t sending_now(const struct otd_job_orders *orders, uint64_t was)
{
	uint64_t order = was >> 8, now = otd_job_order_now(orders, order);
	if (!now)
		return 0;
	return now == otd_job_order_now(orders, order - 1) ? (now + 1) << 8
							   : now << 8 | (was & 0xff);
}

static void load_difficulty(struct otd_session *s, const struct otd_session_record *r,
			    const struct otd_job_orders *orders)
{
	struct otd_vardiff of_port = s->vardiff;
	s->vardiff = r->vardiff;
	if (!same_port(&r->vardiff, &of_port))
		s->port_revision--; /* the next tick moves it between the limits of now */
	/* What is more than we remember: the oldest go, and the next one is judged no harder. */
	size_t skip = r->n_targets > OTD_SESSION_TARGETS ? r->n_targets - OTD_SESSION_TARGETS : 0;
	for (size_t i = skip; i < r->n_targets; i++) {
		otd_session_target_add(s, sending_now(orders, r->targets[i].from),
				       r->targets[i].target);
	}
	for (size_t i = 0; i < skip && s->n_targets; i++) {
		if (otd_u256_cmp(r->targets[i].target, s->targets[0].target) > 0)
			s->targets[0].target = r->targets[i].target;
	}
	s->sent_order = otd_job_order_now(orders, r->sent_order);
	s->sent_repeat = r->sent_repeat;
	s->sent_ms = r->sent_ms;
}

static otd_rc load_session(struct otd_session *s, struct otd_session_record *r,
			   const struct otd_job_orders *orders)
{
	uint32_t length = otd_session_pool(s)->extranonce1_len;
	if (r->extranonce1.len && r->extranonce1.len != length)
		return OTD_E_INVALID;
	s->subscribed = (r->flags & OTD_SESSION_SUBSCRIBED) != 0;
	s->job_due = (r->flags & OTD_SESSION_JOB_DUE) != 0;
	s->policy_fixed = (r->flags & OTD_SESSION_POLICY_FIXED) != 0;
	if (r->extranonce1.len) {
		memcpy(s->extranonce1, r->extranonce1.ptr, length);
		s->has_extranonce1 = true;
	}
	s->resume_id = r->resume_id;
	s->version_mask = r->version_mask;
	s->asked_mask = r->asked_mask;
	s->bad_lines = r->bad_lines;
	int64_t now_ms = otd_session_now_ms(s);
	s->opened_ms = r->opened_ms < now_ms ? r->opened_ms : now_ms;
	if (r->agent.len) {
		s->agent = otd_agents_take(&s->st->agents, r->agent.ptr, r->agent.len);
	}
	load_difficulty(s, r, orders);
	return load_workers(s, r);
}

static otd_rc open_connection(struct otd_session *s, struct otd_stream *stream,
			      const struct otd_session_record *r)
{
	const struct otd_conn_origin from = {.host = *r->host ? r->host : NULL,
					     .port = r->peer_port,
					     .early = r->in,
					     .had_line = (r->flags & OTD_SESSION_HAD_LINE) != 0};
	otd_rc rc = otd_conn_open_as(s->st->conns, &s->conn, stream, s, &from);
	if (rc) {
		s->conn = NULL;
		return rc;
	}
	if (r->out.len)
		(void)otd_conn_write(s->conn, r->out.ptr,
				     r->out.len); /* closed() follows a failure */
	return OTD_OK;
}

otd_rc otd_stratum_load(struct otd_stratum *st, int fd, uint32_t port,
			const struct otd_ticket *ticket, struct otd_session_record *r,
			const struct otd_job_orders *orders)
{
	struct otd_stream *stream;
	struct otd_session *s = NULL;
	otd_rc rc = st->env->ops->stream_adopt(st->env, &stream, fd);
	if (rc)
		return rc;
	if (port < st->n_ports && !otd_stratum_open_room(st))
		s = otd_session_create(st, &st->ports[port]->conf, NULL);
	if (!s) {
		st->env->ops->stream_close(stream);
		return OTD_E_NOMEM;
	}
	otd_stratum_enlist(st, s);
	rc = load_session(s, r, orders);
	if (rc)
		st->env->ops->stream_close(stream);
	else
		rc = open_connection(s, stream, r); /* has closed it where it fails */
	if (rc) {
		otd_session_destroy(s);
		return rc;
	}
	if (ticket) {
		s->ticket = *ticket;
		s->has_ticket = true;
	}
	otd_stratum_open_one(st, s);
	otd_session_policy_loaded(s);
	return OTD_OK;
}
