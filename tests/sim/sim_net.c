/* Listeners, streams and their peers. See sim_net.h. */
#include "sim_net.h"
#include "sim_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 16384 /* bytes on the way to a peer */

struct piece {
	struct piece *next;
	uint64_t due_ns;
	size_t n, at; /* bytes, and how many were taken; n 0: the end */
	uint8_t bytes[];
};

struct pipe {
	struct piece *first, **end;
	size_t bytes;
	uint64_t last_ns; /* nothing overtakes */
};

/* A connection; freed when both ends are gone. */
struct link {
	struct link *next; /* of all */
	struct sim *sim;
	struct otd_stream *stream; /* NULL: the pool's end is closed */
	struct sim_peer *peer;     /* NULL: the other one is */
	struct pipe in, out;       /* to the pool, from it */
	bool reset, lost, pumping, died, closing;
	char from[46];
	uint16_t from_port;
};

struct sim_peer {
	struct sim_peer *next; /* of those on their way */
	struct link *link;     /* NULL: on its way to the listener */
	struct sim *sim;
	const struct sim_peer_ops *ops;
	void *arg;
	uint16_t port;
	bool deaf, gone; /* gone: closed while it was on its way */
	char from[46];
};

struct otd_stream {
	struct sim *sim;
	struct otd_stream *next;
	struct otd_loop *loop; /* NULL: attached to none */
	otd_stream_fn fn;
	otd_accept_fn accept; /* a listener */
	void *arg;
	unsigned events;
	struct link *link;
	uint16_t port;
	struct link *backlog[64];
	size_t n_backlog;
};

struct sim_net {
	struct sim_net_conf conf;
	uint64_t fired[SIM_NET_FAULTS];
	struct otd_stream *streams;
	struct link *links;
	struct sim_peer *coming;
	uint16_t ports;
};

static struct sim_net *net_of(struct sim *s)
{
	if (!s->net)
		s->net = sim_new(1, sizeof(*s->net));
	return s->net;
}

/* --- pipes --- */

static void put_piece(struct sim *s, struct pipe *p, const void *bytes, size_t n)
{
	struct sim_net *net = net_of(s);
	struct piece *k = sim_mem(sizeof(*k) + n);
	uint64_t at = s->now_ns + 50000 + sim_below(s, 3000000);
	if (sim_chance(s, net->conf.delay_ppm)) {
		at += sim_below(s, 4000) * 1000000;
		net->fired[SIM_NET_DELAYED]++;
	}
	k->next = NULL;
	k->due_ns = at > p->last_ns ? at : p->last_ns;
	k->n = n;
	k->at = 0;
	if (n)
		memcpy(k->bytes, bytes, n);
	p->last_ns = k->due_ns;
	p->bytes += n;
	if (!p->end)
		p->end = &p->first;
	*p->end = k;
	p->end = &k->next;
}

static void drop_first(struct pipe *p)
{
	struct piece *k = p->first;
	p->first = k->next;
	if (!p->first)
		p->end = &p->first;
	p->bytes -= k->n - k->at;
	free(k);
}

static void empty(struct pipe *p)
{
	while (p->first)
		drop_first(p);
}

static void free_link(struct link *l)
{
	struct link **at = &net_of(l->sim)->links;
	if (l->stream || l->peer || l->pumping)
		return;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	empty(&l->in);
	empty(&l->out);
	free(l);
}

/* --- towards the peer --- */

static void end_peer(struct link *l)
{
	struct sim_peer *p = l->peer;
	l->peer = NULL;
	p->ops->closed(p->arg);
	free(p);
}

static int64_t pump(void *arg);

static void start_pump(struct link *l, uint64_t due_ns)
{
	struct sim *s = l->sim;
	if (l->pumping)
		return;
	l->pumping = true;
	sim_outside(s, due_ns > s->now_ns ? (int64_t)((due_ns - s->now_ns) / 1000000) : 0, pump, l);
}

/* What is due at the peer, in order. */
static int64_t pump(void *arg)
{
	struct link *l = arg;
	struct sim *s = l->sim;
	while (l->peer && l->reset)
		end_peer(l);
	while (l->peer && !l->peer->deaf && l->out.first && l->out.first->due_ns <= s->now_ns) {
		struct piece *k = l->out.first;
		if (k->n == 0) {
			end_peer(l);
			break;
		}
		if (l->died)
			net_of(s)->fired[SIM_NET_LATE]++;
		sim_note(s, k->bytes, k->n);
		l->peer->ops->data(l->peer->arg, k->bytes, k->n);
		if (l->out.first == k)
			drop_first(&l->out);
	}
	if (l->peer && !l->peer->deaf && l->out.first)
		return 1 + (int64_t)((l->out.first->due_ns - s->now_ns) / 1000000);
	l->pumping = false;
	free_link(l);
	return 0;
}

static void reset(struct link *l)
{
	l->reset = true;
	empty(&l->in);
	empty(&l->out);
	if (l->peer)
		start_pump(l, l->sim->now_ns + 1000000);
}

/* True: this piece does not arrive, whoever sent it does not know. */
static bool on_the_way(struct link *l)
{
	struct sim *s = l->sim;
	struct sim_net *net = net_of(s);
	if (!l->lost && sim_chance(s, net->conf.lost_ppm)) {
		net->fired[SIM_NET_LOST]++;
		l->lost = true;
	}
	if (!l->lost && sim_chance(s, net->conf.reset_ppm)) {
		net->fired[SIM_NET_RESET]++;
		reset(l);
		return true;
	}
	return l->lost;
}

/* --- peers --- */

static int64_t arrive(void *arg)
{
	struct sim_peer *p = arg;
	struct sim *s = p->sim;
	struct otd_stream *li = net_of(s)->streams;
	struct sim_peer **at = &net_of(s)->coming;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	while (li && (!li->accept || li->port != p->port))
		li = li->next;
	if (p->gone || !li || s->dead || li->n_backlog == 64) {
		net_of(s)->fired[SIM_NET_REFUSED] += !p->gone;
		if (!p->gone)
			p->ops->closed(p->arg);
		free(p);
		return 0;
	}
	struct link *l = sim_new(1, sizeof(*l));
	l->next = net_of(s)->links;
	net_of(s)->links = l;
	l->sim = s;
	l->peer = p;
	l->from_port = (uint16_t)(20000 + net_of(s)->ports++ % 40000);
	(void)snprintf(l->from, sizeof(l->from), "%s", p->from);
	p->link = l;
	l->stream = sim_new(1, sizeof(*l->stream));
	l->stream->sim = s;
	l->stream->link = l;
	li->backlog[li->n_backlog++] = l;
	p->ops->open(p->arg);
	return 0;
}

struct sim_peer *sim_peer_connect(struct sim *s, const char *from, uint16_t port,
				  const struct sim_peer_ops *ops, void *arg)
{
	struct sim_peer *p = sim_new(1, sizeof(*p));
	p->sim = s;
	p->ops = ops;
	p->arg = arg;
	p->port = port;
	(void)snprintf(p->from, sizeof(p->from), "%s", from);
	p->next = net_of(s)->coming;
	net_of(s)->coming = p;
	sim_outside(s, 1 + (int64_t)sim_below(s, 30), arrive, p);
	return p;
}

void sim_peer_send(struct sim_peer *p, const void *bytes, size_t n)
{
	struct link *l = p->link;
	if (!l || n == 0 || l->reset || !l->stream || on_the_way(l))
		return;
	put_piece(p->sim, &l->in, bytes, n);
}

void sim_peer_read(struct sim_peer *p, bool on)
{
	p->deaf = !on;
	if (on && p->link && (p->link->out.first || p->link->reset))
		start_pump(p->link, p->sim->now_ns);
}

void sim_peer_close(struct sim_peer *p, enum sim_bye how)
{
	struct link *l = p->link;
	if (!l) {
		p->gone = true; /* arrive() frees it */
		return;
	}
	l->peer = NULL;
	if (how == SIM_BYE_VANISH)
		l->lost = true;
	else if (how == SIM_BYE_RESET)
		reset(l);
	else if (l->stream && !l->lost)
		put_piece(p->sim, &l->in, NULL, 0);
	if (how != SIM_BYE_VANISH)
		empty(&l->out);
	free(p);
	free_link(l);
}

/* --- the pool's side --- */

static struct sim *sim_of(struct otd_loop *l)
{
	return (struct sim *)(void *)l->env;
}

static void take_in(struct otd_stream *st, struct sim *s)
{
	st->next = net_of(s)->streams;
	net_of(s)->streams = st;
}

static void take_out(struct otd_stream *st)
{
	struct otd_stream **at = &net_of(st->sim)->streams;
	while (*at && *at != st)
		at = &(*at)->next;
	if (*at)
		*at = st->next;
}

static otd_rc net_listen(struct otd_loop *l, struct otd_stream **out, const char *host,
			 uint16_t port, bool reuse_port, otd_accept_fn fn, void *arg,
			 struct otd_err *err)
{
	struct otd_stream *st = sim_new(1, sizeof(*st));
	(void)host;
	(void)reuse_port;
	(void)err;
	st->sim = sim_of(l);
	st->loop = l;
	st->accept = fn;
	st->arg = arg;
	st->port = port;
	take_in(st, st->sim);
	*out = st;
	return OTD_OK;
}

static otd_rc net_connect(struct otd_loop *l, struct otd_stream **out, const char *host,
			  uint16_t port, otd_stream_fn fn, void *arg, struct otd_err *err)
{
	(void)l;
	(void)port;
	(void)fn;
	(void)arg;
	*out = NULL;
	return otd_fail(err, OTD_E_REFUSED, "connect to %s: nobody is there in the simulation",
			host);
}

static void stream_detach(struct otd_stream *st)
{
	st->loop = NULL;
	st->events = 0;
	take_out(st);
}

static otd_rc stream_attach(struct otd_loop *l, struct otd_stream *st, otd_stream_fn fn, void *arg)
{
	take_out(st);
	st->loop = l;
	st->fn = fn;
	st->arg = arg;
	st->events = 0;
	take_in(st, st->sim);
	return OTD_OK;
}

static void stream_watch(struct otd_stream *st, unsigned events)
{
	st->events = events;
}

static otd_rc stream_read(struct otd_stream *st, size_t *n, void *to, size_t cap)
{
	struct link *l = st->link;
	struct sim *s = st->sim;
	struct piece *k = l->in.first;
	*n = 0;
	if (l->reset || s->dead)
		return OTD_E_CLOSED;
	if (!k || k->due_ns > s->now_ns)
		return OTD_E_BUSY;
	if (k->n == 0)
		return OTD_E_CLOSED;
	if (cap > 1 && sim_chance(s, net_of(s)->conf.short_ppm)) {
		cap = 1 + sim_below(s, cap < k->n ? cap : k->n);
		net_of(s)->fired[SIM_NET_SHORT_IN]++;
	}
	while (k && k->n && k->due_ns <= s->now_ns && *n < cap) {
		size_t take = k->n - k->at < cap - *n ? k->n - k->at : cap - *n;
		memcpy((uint8_t *)to + *n, k->bytes + k->at, take);
		*n += take;
		k->at += take;
		l->in.bytes -= take;
		if (k->at < k->n)
			break;
		drop_first(&l->in);
		k = l->in.first;
	}
	sim_note(s, to, *n);
	return OTD_OK;
}

static otd_rc stream_write(struct otd_stream *st, size_t *n, const struct otd_span *parts,
			   size_t n_parts)
{
	struct link *l = st->link;
	struct sim *s = st->sim;
	size_t want = 0, room = l->out.bytes < WINDOW ? WINDOW - l->out.bytes : 0, left;
	*n = 0;
	if (l->reset || s->dead)
		return OTD_E_CLOSED;
	for (size_t i = 0; i < n_parts; i++)
		want += parts[i].len;
	if (room == 0) {
		net_of(s)->fired[SIM_NET_FULL]++;
		return OTD_E_BUSY;
	}
	left = want < room ? want : room;
	if (left > 1 && sim_chance(s, net_of(s)->conf.short_ppm)) {
		left = 1 + sim_below(s, left);
		net_of(s)->fired[SIM_NET_SHORT_OUT]++;
	}
	for (size_t i = 0; i < n_parts && left; i++) {
		size_t take = parts[i].len < left ? parts[i].len : left;
		if (take) /* nothing is how the end is written */
			put_piece(s, &l->out, parts[i].ptr, take);
		*n += take;
		left -= take;
	}
	if (on_the_way(l)) {
		if (!l->lost) /* it was reset */
			return OTD_E_CLOSED;
		return OTD_OK; /* it stays in the pipe, which nobody empties any more */
	}
	if (l->peer)
		start_pump(l, l->out.first->due_ns);
	else
		empty(&l->out);
	return OTD_OK;
}

static otd_rc stream_error(struct otd_stream *st, struct otd_err *err)
{
	return st->link && st->link->reset ? otd_fail(err, OTD_E_CLOSED, "connection reset")
					   : OTD_OK;
}

static void stream_peer(struct otd_stream *st, char *host, size_t cap, uint16_t *port)
{
	if (cap)
		(void)snprintf(host, cap, "%s", st->link ? st->link->from : "0.0.0.0");
	if (port)
		*port = st->link ? st->link->from_port : st->port;
}

static int stream_release(struct otd_stream *st)
{
	(void)st;
	return -1;
}

static otd_rc stream_adopt(struct otd_env *e, struct otd_stream **out, int fd)
{
	(void)e;
	(void)fd;
	*out = NULL;
	return OTD_E_UNSUPPORTED;
}

static otd_rc listen_adopt(struct otd_loop *l, struct otd_stream **out, int fd, otd_accept_fn fn,
			   void *arg, struct otd_err *err)
{
	(void)l;
	(void)fd;
	(void)fn;
	(void)arg;
	*out = NULL;
	return otd_fail(err, OTD_E_UNSUPPORTED, "the simulation hands nothing over");
}

static void close_link(struct otd_stream *st)
{
	struct link *l = st->link;
	struct sim *s = st->sim;
	l->stream = NULL;
	l->died = s->dead;
	if (s->dead && sim_chance(s, 300000))
		l->lost = true; /* with the power the whole machine went: nobody says good-bye */
	empty(&l->in);
	if (l->peer && !l->lost && !l->reset) {
		if (s->dead && sim_chance(s, 300000))
			reset(l);
		else
			put_piece(s, &l->out, NULL, 0);
		start_pump(l, s->now_ns);
	}
	free_link(l);
}

static void stream_close(struct otd_stream *st)
{
	if (!st)
		return;
	take_out(st);
	for (size_t i = 0; i < st->n_backlog; i++) {
		struct link *l = st->backlog[i];
		struct otd_stream *waiting = l->stream;
		close_link(waiting);
		free(waiting);
	}
	if (st->link)
		close_link(st);
	free(st);
}

/* --- what the simulation runs --- */

void sim_net_ops(struct otd_env_ops *to)
{
	to->listen = net_listen;
	to->connect = net_connect;
	to->stream_detach = stream_detach;
	to->stream_attach = stream_attach;
	to->stream_watch = stream_watch;
	to->stream_read = stream_read;
	to->stream_write = stream_write;
	to->stream_error = stream_error;
	to->stream_peer = stream_peer;
	to->stream_release = stream_release;
	to->stream_adopt = stream_adopt;
	to->listen_adopt = listen_adopt;
	to->stream_close = stream_close;
}

struct otd_stream *sim_net_first(struct sim *s)
{
	return s->net ? s->net->streams : NULL;
}

struct otd_stream *sim_net_next(const struct otd_stream *st)
{
	return st->next;
}

uint64_t sim_net_due(const struct otd_stream *st)
{
	const struct link *l = st->link;
	if (st->accept)
		return st->n_backlog ? 0 : UINT64_MAX;
	if (!st->loop || !st->events)
		return UINT64_MAX;
	if (l->reset || ((st->events & OTD_WRITABLE) && l->out.bytes < WINDOW))
		return 0;
	return (st->events & OTD_READABLE) && l->in.first ? l->in.first->due_ns : UINT64_MAX;
}

void sim_net_run(struct otd_stream *st)
{
	struct sim *s = st->sim;
	if (st->accept) {
		struct link *l = st->backlog[0];
		memmove(st->backlog, st->backlog + 1, --st->n_backlog * sizeof(l));
		l->stream->loop = st->loop;
		take_in(l->stream, s);
		sim_pool_runs = true;
		st->accept(st->arg, l->stream);
		sim_pool_runs = false;
		return;
	}
	struct link *l = st->link;
	unsigned what = 0;
	if (l->reset || (l->in.first && l->in.first->due_ns <= s->now_ns))
		what |= OTD_READABLE;
	if (l->reset || l->out.bytes < WINDOW)
		what |= OTD_WRITABLE;
	what &= st->events;
	sim_pool_runs = true;
	if (what)
		st->fn(st->arg, what);
	sim_pool_runs = false;
}

void sim_net_faults(struct sim *s, const struct sim_net_conf *f)
{
	net_of(s)->conf = *f;
}

uint64_t sim_net_fired(struct sim *s, enum sim_net_fault f)
{
	return net_of(s)->fired[f];
}

const char *sim_net_fault_name(enum sim_net_fault f)
{
	static const char *const names[SIM_NET_FAULTS] = {
		"a connection refused", "a short read",         "a short write",
		"a full socket",        "a connection reset",   "a connection half open",
		"bytes seconds late",   "bytes of a dead pool",
	};
	return names[f];
}

size_t sim_net_open(struct sim *s)
{
	size_t n = 0;
	for (struct otd_stream *st = net_of(s)->streams; st; st = st->next)
		n += !st->accept;
	return n;
}

void sim_net_free(struct sim *s)
{
	struct sim_net *net = s->net;
	while (net && net->links) {
		struct link *l = net->links;
		net->links = l->next;
		empty(&l->in);
		empty(&l->out);
		free(l->peer);
		free(l);
	}
	while (net && net->coming) {
		struct sim_peer *p = net->coming;
		net->coming = p->next;
		free(p);
	}
	free(net);
}
