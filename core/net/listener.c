/* A listening socket whose connections go through the gate to a reactor. */
#include "net/listener.h"
#include "base/log.h"
#include <stdlib.h>
#include <string.h>

struct otd_listener {
	struct otd_loop *l;
	struct otd_gate *gate;
	struct otd_stream *s; /* NULL: drained */
	const struct otd_listener_ops *ops;
	void *arg;
	uint16_t port;
};

static void on_accept(void *arg, struct otd_stream *s)
{
	struct otd_listener *li = arg;
	const struct otd_env_ops *env = li->l->env->ops;
	struct otd_ticket ticket;
	const char *reason;
	char host[46];
	env->stream_peer(s, host, sizeof(host), NULL);
	if (otd_gate_enter(li->gate, &ticket, host, &reason)) {
		otd_log(OTD_LOG_INFO, "net", "connection.refused", "peer=%s port=%u reason=\"%s\"",
			host, li->port, reason);
		env->stream_close(s);
		if (li->ops->flood &&
		    (strcmp(reason, OTD_GATE_ADDRESS) == 0 || strcmp(reason, OTD_GATE_RATE) == 0))
			li->ops->flood(li->arg, host);
		return;
	}
	if (li->ops->choose)
		otd_gate_move(li->gate, &ticket, li->ops->choose(li->arg, &ticket));
	env->stream_detach(s);
	li->ops->deliver(li->arg, s, &ticket);
}

otd_rc otd_listener_create(struct otd_listener **out, struct otd_loop *l, struct otd_gate *g,
			   const char *host, uint16_t port, bool reuse_port,
			   const struct otd_listener_ops *ops, void *arg, struct otd_err *err)
{
	struct otd_listener *li = calloc(1, sizeof(*li));
	char own[46];
	otd_rc rc;
	*out = NULL;
	if (!li)
		return otd_fail(err, OTD_E_NOMEM, "listen on port %u: out of memory", port);
	li->l = l;
	li->gate = g;
	li->ops = ops;
	li->arg = arg;
	rc = l->env->ops->listen(l, &li->s, host, port, reuse_port, on_accept, li, err);
	if (rc) {
		free(li);
		return rc;
	}
	l->env->ops->stream_peer(li->s, own, sizeof(own), &li->port);
	*out = li;
	return OTD_OK;
}

uint16_t otd_listener_port(const struct otd_listener *l)
{
	return l->port;
}

void otd_listener_drain(struct otd_listener *l)
{
	l->l->env->ops->stream_close(l->s);
	l->s = NULL;
}

void otd_listener_destroy(struct otd_listener *l)
{
	if (!l)
		return;
	otd_listener_drain(l);
	free(l);
}
