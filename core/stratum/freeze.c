/*
 * A server that listens to nobody for a while: what came is answered, connections stay. Either it is thawed,
 * or its sessions go to another process (stratum/image.h).
 */
#include "net/door.h"
#include "stratum/session.h"

#define LOOK_MS 1

static bool is_quiet(const struct otd_session *s)
{
	return s->closing || (s->head == s->tail && !s->outstanding && !s->move);
}

/* Who is quiet stays so; but the last one takes the place of one that goes. */
static bool all_quiet(struct otd_stratum *st)
{
	while (st->freeze.cursor < st->n_open && is_quiet(st->open[st->freeze.cursor]))
		st->freeze.cursor++;
	if (st->freeze.cursor < st->n_open || atomic_load(&st->resume.leaving))
		return false;
	for (size_t i = 0; i < st->n_open; i++) {
		if (!is_quiet(st->open[i])) {
			st->freeze.cursor = i;
			return false;
		}
	}
	return true;
}

static void look(void *arg)
{
	struct otd_stratum *st = arg;

	if (!st->freeze.on || st->freeze.told || !all_quiet(st))
		return;
	st->freeze.told = true;
	st->env->ops->timer_stop(st->freeze.timer);
	otd_reactor_drained(st->conf.reactor);
}

void otd_stratum_freeze(void *arg, bool on)
{
	struct otd_stratum *st = arg;

	/* Without memory for a timer it is as if somebody never answered: the freeze is given up. */
	if (on && !st->freeze.timer &&
	    st->env->ops->timer_create(otd_reactor_loop(st->conf.reactor), &st->freeze.timer, look,
				       st))
		return;
	st->freeze.on = on;
	st->freeze.told = false;
	st->freeze.cursor = 0;
	if (st->doors)
		otd_doors_rest(st->doors, on);
	for (size_t i = 0; i < st->n_open; i++) {
		struct otd_session *s = st->open[i];
		if (s->conn && (on || (!s->paused && !s->leaving && !st->draining)))
			otd_conn_pause(s->conn, on);
	}
	if (on)
		st->env->ops->timer_start(st->freeze.timer, LOOK_MS, LOOK_MS);
	else if (st->freeze.timer)
		st->env->ops->timer_stop(st->freeze.timer);
}
