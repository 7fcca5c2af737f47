/* A listening socket whose connections go through the gate to a reactor. */
#include "net/listener.h"
#include "base/log.h"
#include "net/bans.h"
#include "net/door.h"
#include <stdlib.h>
#include <string.h>

struct otd_listener {
	struct otd_loop *l;
	struct otd_gate *gate;
	struct otd_stream *s; /* NULL: drained */
	const struct otd_listener_ops *ops;
	void *arg;
	uint16_t port;
	struct otd_ban_net *proxies;
	size_t n_proxies;
	struct otd_doors *doors; /* NULL: there were no proxies yet */
};

/* host: who it is for gate and log. p: NULL where it came by no proxy. The stream is attached where it is
   NULL. */
static void enter(struct otd_listener *li, struct otd_stream *s, const char *host,
		  const struct otd_preface *p)
{
	const struct otd_env_ops *env = li->l->env->ops;
	struct otd_ticket ticket;
	const char *reason;
	if (otd_gate_enter(li->gate, &ticket, host, &reason)) {
		otd_log(OTD_LOG_INFO, "net", "connection.refused", "peer=%s port=%u reason=\"%s\"",
			host, li->port, reason);
		otd_gate_turn_away(li->gate, s, reason);
		if (li->ops->flood &&
		    (strcmp(reason, OTD_GATE_ADDRESS) == 0 || strcmp(reason, OTD_GATE_RATE) == 0))
			li->ops->flood(li->arg, host);
		return;
	}
	if (li->ops->choose)
		otd_gate_move(li->gate, &ticket, li->ops->choose(li->arg, &ticket));
	if (p) {
		li->ops->deliver_from(li->arg, s, &ticket, p);
		return;
	}
	env->stream_detach(s);
	li->ops->deliver(li->arg, s, &ticket);
}

/* --- proxies --- */

static void on_header(void *arg, void *item, struct otd_stream *s, const struct otd_preface *p)
{
	struct otd_listener *li = arg;
	char host[46];
	(void)item;
	li->l->env->ops->stream_peer(s, host, sizeof(host), NULL);
	enter(li, s, p->proxy.has_address ? p->proxy.host : host, p);
}

static void on_no_header(void *arg, void *item, const char *why)
{
	struct otd_listener *li = arg;
	(void)item;
	otd_log(OTD_LOG_WARN, "net", "proxy.refused", "port=%u reason=\"%s\"", li->port, why);
}

static bool is_proxy(const struct otd_listener *li, const char *host)
{
	for (size_t i = 0; i < li->n_proxies; i++) {
		if (otd_ban_net_has(&li->proxies[i], host))
			return true;
	}
	return false;
}

otd_rc otd_listener_proxies(struct otd_listener *l, const struct otd_ban_net *nets, size_t n,
			    int64_t time_ms, size_t max)
{
	static const struct otd_doors_ops ops = {.ready = on_header, .failed = on_no_header};
	const struct otd_doors_conf conf = {.time_ms = time_ms, .max = max};
	struct otd_ban_net *copy = NULL;
	if (n) {
		copy = calloc(n, sizeof(*copy));
		if (!copy)
			return OTD_E_NOMEM;
		memcpy(copy, nets, n * sizeof(*copy));
		if (!l->doors && otd_doors_create(&l->doors, l->l, &conf, &ops, l)) {
			free(copy);
			return OTD_E_NOMEM;
		}
		otd_doors_reconfigure(l->doors, &conf);
	}
	free(l->proxies);
	l->proxies = copy;
	l->n_proxies = n;
	return OTD_OK;
}

/* --- accepting --- */

static void on_accept(void *arg, struct otd_stream *s)
{
	struct otd_listener *li = arg;
	const struct otd_env_ops *env = li->l->env->ops;
	char host[46];
	env->stream_peer(s, host, sizeof(host), NULL);
	if (!li->n_proxies || !is_proxy(li, host)) {
		enter(li, s, host, NULL);
		return;
	}
	env->stream_detach(s);
	if (otd_doors_knock(li->doors, s, OTD_DOOR_PROXY, NULL))
		otd_log(OTD_LOG_WARN, "net", "proxy.refused", "peer=%s port=%u reason=\"%s\"", host,
			li->port, "too many proxies' connections without their headers");
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

otd_rc otd_listener_adopt(struct otd_listener **out, struct otd_loop *l, struct otd_gate *g, int fd,
			  const struct otd_listener_ops *ops, void *arg, struct otd_err *err)
{
	struct otd_listener *li = calloc(1, sizeof(*li));
	char own[46];
	otd_rc rc;
	*out = NULL;
	if (!li) {
		struct otd_stream *s;
		if (l->env->ops->stream_adopt(l->env, &s, fd) == OTD_OK)
			l->env->ops->stream_close(s);
		return otd_fail(err, OTD_E_NOMEM, "to listen: out of memory");
	}
	li->l = l;
	li->gate = g;
	li->ops = ops;
	li->arg = arg;
	rc = l->env->ops->listen_adopt(l, &li->s, fd, on_accept, li, err);
	if (rc) {
		free(li);
		return rc;
	}
	l->env->ops->stream_peer(li->s, own, sizeof(own), &li->port);
	*out = li;
	return OTD_OK;
}

void otd_listener_rest(struct otd_listener *l, bool rests)
{
	if (l->s)
		l->l->env->ops->stream_watch(l->s, rests ? 0 : OTD_READABLE);
	if (l->doors)
		otd_doors_rest(l->doors, rests);
}

bool otd_listener_leave(struct otd_listener *l, struct otd_door_left *out)
{
	return l->doors && otd_doors_leave(l->doors, out);
}

void otd_listener_knock_again(struct otd_listener *l, struct otd_stream *s, int64_t until_ms,
			      struct otd_span read)
{
	char host[46];
	l->l->env->ops->stream_peer(s, host, sizeof(host), NULL);
	/* It is trusted no more: what it has sent is no line of a miner. */
	if (!l->n_proxies || !is_proxy(l, host))
		l->l->env->ops->stream_close(s);
	else if (otd_doors_knock_again(l->doors, s, OTD_DOOR_PROXY, NULL, until_ms, read))
		otd_log(OTD_LOG_WARN, "net", "proxy.refused", "peer=%s port=%u reason=\"%s\"", host,
			l->port, OTD_DOOR_NO_MEMORY);
}

int otd_listener_release(struct otd_listener *l)
{
	int fd = l->s ? l->l->env->ops->stream_release(l->s) : -1;
	l->s = NULL;
	return fd;
}

uint16_t otd_listener_port(const struct otd_listener *l)
{
	return l->port;
}

void otd_listener_drain(struct otd_listener *l)
{
	if (l->doors)
		otd_doors_clear(l->doors);
	l->l->env->ops->stream_close(l->s);
	l->s = NULL;
}

void otd_listener_destroy(struct otd_listener *l)
{
	if (!l)
		return;
	otd_listener_drain(l);
	otd_doors_destroy(l->doors);
	free(l->proxies);
	free(l);
}
