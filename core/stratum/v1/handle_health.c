/*
 * health []: whether this pool serves, in one word, for a load balancer's check (deploy/haproxy.cfg). The
 * answer comes from the reactor's own loop, so that one that hangs does not answer.
 */
#include "stratum/v1/v1.h"

#define DISK_MS 5000 /* shares wait for the disk, and it has taken none */

/* Looks at what became of the journal since somebody asked last. */
static bool disk_stands(struct otd_stratum *st, int64_t now_ms)
{
	uint64_t appended, durable;

	otd_reactor_durable(st->conf.reactor, &appended, &durable);
	if (appended == durable || durable != st->health.durable) {
		st->health.durable = durable;
		st->health.since_ms = now_ms;
	}
	return appended != durable && now_ms - st->health.since_ms > DISK_MS;
}

void otd_v1_handle_health(struct otd_session *s, const struct otd_v1_request *q)
{
	struct otd_stratum *st = s->st;
	const struct otd_broadcast *b = &st->broadcasts[s->port->pool];
	int64_t now_ms = otd_session_now_ms(s), work_ms = s->port->work_ms;
	const char *is = "\"serving\"";

	if (st->draining || b->gone)
		is = "\"draining\"";
	else if (!otd_jobs_newest(otd_reactor_jobs(st->conf.reactor, s->port->pool)))
		is = "\"no work\"";
	else if (work_ms && now_ms - b->began_ns / 1000000 > work_ms)
		is = "\"old work\"";
	else if (disk_stands(st, now_ms))
		is = "\"disk\"";
	otd_v1_answer(s, q->id, is, "null");
}
