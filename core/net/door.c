/* Streams that have not said yet what they are, the oldest first. */
#include "net/door.h"
#include "base/log.h"
#include <stdlib.h>

#define TICK_MS 250
#define CHUNK   4096
/* First bytes looked at before others on the loop have their turn: behind them is mostly a TLS handshake,
   which costs a quarter of a millisecond at once. The rest is still there in the next round. */
#define FIRST_BYTES_A_ROUND 8

struct knock {
	struct otd_doors *d;
	struct otd_stream *s;
	void *item;
	struct knock *prev, *next;
	struct otd_bytes in; /* what came of a header that is not whole; nothing else waits */
	int64_t until_ms;
	enum otd_door_kind kind;
};

struct otd_doors {
	struct otd_loop *l;
	const struct otd_env_ops *env;
	struct otd_doors_conf conf;
	const struct otd_doors_ops *ops;
	void *arg;
	struct otd_timer *timer;
	struct knock *first, *last;
	size_t n;
	bool ticking, scheduled, rests;
	unsigned looked; /* in this round */
};

static int64_t now_ms(const struct otd_doors *d)
{
	return (int64_t)(otd_mono_ns(d->l->env) / 1000000);
}

/* Out of the list; what is left of it is freed. */
static void forget(struct knock *k)
{
	struct otd_doors *d = k->d;
	*(k->prev ? &k->prev->next : &d->first) = k->next;
	*(k->next ? &k->next->prev : &d->last) = k->prev;
	d->n--;
	otd_bytes_finish(&k->in);
	free(k);
}

static void send_away(struct knock *k, const char *why)
{
	struct otd_doors *d = k->d;
	void *item = k->item;
	d->env->stream_close(k->s);
	forget(k);
	d->ops->failed(d->arg, item, why);
}

/* The stream goes on; rest is what it brought behind its preface. */
static void let_in(struct knock *k, const struct otd_proxy *proxy, struct otd_span rest)
{
	struct otd_doors *d = k->d;
	struct otd_preface p = {.early = rest};
	struct otd_stream *s = k->s;
	struct otd_bytes in = k->in; /* rest may lie in it */
	void *item = k->item;
	if (proxy)
		p.proxy = *proxy;
	otd_bytes_init(&k->in, 0);
	d->env->stream_watch(s, 0);
	d->env->stream_detach(s);
	forget(k);
	d->ops->ready(d->arg, item, s, &p);
	otd_bytes_finish(&in);
}

/* Whether it waits no more: it was whole, or is none. */
static bool header_comes(struct knock *k, struct otd_span got)
{
	struct otd_proxy proxy;
	size_t used;
	/* Mostly it comes whole, and is looked at where it lies. */
	if (k->in.len) {
		if (otd_bytes_add(&k->in, got.ptr, got.len)) {
			send_away(k, OTD_DOOR_NO_MEMORY);
			return true;
		}
		got = otd_bytes_span(&k->in);
	}
	otd_rc rc = otd_proxy_parse(&proxy, &used, got);
	if (rc == OTD_OK)
		let_in(k, &proxy, (struct otd_span){got.ptr + used, got.len - used});
	else if (rc != OTD_E_BUSY)
		send_away(k, OTD_DOOR_NO_HEADER);
	else if (!k->in.len && otd_bytes_add(&k->in, got.ptr, got.len))
		send_away(k, OTD_DOOR_NO_MEMORY);
	else
		return false;
	return true;
}

static void round_over(void *arg)
{
	struct otd_doors *d = arg;
	d->looked = 0;
	d->scheduled = false;
}

/* Whether there is room for one more in this round. */
static bool has_turn(struct otd_doors *d)
{
	if (d->looked >= FIRST_BYTES_A_ROUND)
		return false;
	if (!d->scheduled)
		d->scheduled = d->env->defer(d->l, round_over, d) == OTD_OK;
	d->looked += d->scheduled; /* without memory for the end of a round none is counted */
	return true;
}

/* What it says, if anything. True: it waits no more, or for its turn. */
static bool hear(struct knock *k)
{
	uint8_t some[CHUNK];
	size_t got = 0;
	if (k->kind == OTD_DOOR_FIRST_BYTE && !has_turn(k->d))
		return true;
	otd_rc rc = k->d->env->stream_read(k->s, &got, some, sizeof(some));
	if (rc == OTD_E_BUSY || (rc == OTD_OK && !got))
		return false;
	if (rc == OTD_OK && k->kind == OTD_DOOR_PROXY)
		return header_comes(k, (struct otd_span){some, got});
	if (rc)
		send_away(k, OTD_DOOR_GONE);
	else
		let_in(k, NULL, (struct otd_span){some, got});
	return true;
}

static void on_stream(void *arg, unsigned events)
{
	struct knock *k = arg;
	(void)events;
	if (!k->d->rests)
		(void)hear(k);
}

/* Times of one setting end in the order of their beginning; after a shorter setting a tick later. Whoever has
   spoken in time is heard, also where it is we who come late. */
static void on_tick(void *arg)
{
	struct otd_doors *d = arg;
	int64_t now = now_ms(d);
	struct knock *k, *next;
	for (k = d->rests ? NULL : d->first; k && k->until_ms <= now; k = next) {
		next = k->next;
		if (!hear(k))
			send_away(k, OTD_DOOR_TOO_LATE);
	}
	if (!d->first) {
		d->env->timer_stop(d->timer);
		d->ticking = false;
	}
}

void otd_doors_reconfigure(struct otd_doors *d, const struct otd_doors_conf *conf)
{
	d->conf = *conf;
	d->conf.time_ms = conf->time_ms > 0 ? conf->time_ms : 10000;
	d->conf.max = conf->max ? conf->max : 4096;
}

otd_rc otd_doors_create(struct otd_doors **out, struct otd_loop *l,
			const struct otd_doors_conf *conf, const struct otd_doors_ops *ops,
			void *arg)
{
	struct otd_doors *d = calloc(1, sizeof(*d));
	*out = NULL;
	if (!d)
		return OTD_E_NOMEM;
	d->l = l;
	d->env = l->env->ops;
	d->ops = ops;
	d->arg = arg;
	otd_doors_reconfigure(d, conf);
	otd_rc rc = d->env->timer_create(l, &d->timer, on_tick, d);
	if (rc) {
		free(d);
		return rc;
	}
	*out = d;
	return OTD_OK;
}

void otd_doors_clear(struct otd_doors *d)
{
	while (d->first)
		send_away(d->first, OTD_DOOR_CLOSED);
}

static void free_late(void *arg)
{
	free(arg);
}

void otd_doors_destroy(struct otd_doors *d)
{
	if (!d)
		return;
	otd_doors_clear(d);
	d->env->timer_destroy(d->timer);
	/* The end of a round still looks at it; without memory to wait for that, rather lose these bytes. */
	if (!d->scheduled)
		free(d);
	else if (d->env->defer(d->l, free_late, d))
		otd_log(OTD_LOG_ERROR, "net", "memory.lost", "bytes=%zu", sizeof(*d));
}

/* Behind those whose time ends before. */
static void enlist(struct otd_doors *d, struct knock *k)
{
	struct knock *after = d->last;
	while (after && after->until_ms > k->until_ms)
		after = after->prev;
	k->prev = after;
	k->next = after ? after->next : d->first;
	*(k->prev ? &k->prev->next : &d->first) = k;
	*(k->next ? &k->next->prev : &d->last) = k;
	d->n++;
}

static void tick(struct otd_doors *d)
{
	if (d->ticking)
		return;
	d->env->timer_start(d->timer, TICK_MS, TICK_MS);
	d->ticking = true;
}

otd_rc otd_doors_knock_again(struct otd_doors *d, struct otd_stream *s, enum otd_door_kind kind,
			     void *item, int64_t until_ms, struct otd_span read)
{
	struct knock *k = d->n < d->conf.max ? calloc(1, sizeof(*k)) : NULL;
	int64_t latest_ms = now_ms(d) + d->conf.time_ms;
	otd_rc rc = d->n < d->conf.max ? OTD_E_NOMEM : OTD_E_RANGE;
	if (k) {
		otd_bytes_init(&k->in, OTD_PROXY_MAX + CHUNK);
		rc = read.len ? otd_bytes_add(&k->in, read.ptr, read.len) : OTD_OK;
	}
	if (k && !rc)
		rc = d->env->stream_attach(d->l, s, on_stream, k);
	if (rc) {
		if (k)
			otd_bytes_finish(&k->in);
		free(k);
		d->env->stream_close(s);
		return rc;
	}
	k->d = d;
	k->s = s;
	k->item = item;
	k->kind = kind;
	k->until_ms = until_ms && until_ms < latest_ms ? until_ms : latest_ms;
	enlist(d, k);
	d->env->stream_watch(s, d->rests ? 0 : OTD_READABLE);
	tick(d);
	return OTD_OK;
}

otd_rc otd_doors_knock(struct otd_doors *d, struct otd_stream *s, enum otd_door_kind kind,
		       void *item)
{
	return otd_doors_knock_again(d, s, kind, item, 0, (struct otd_span){NULL, 0});
}

void otd_doors_rest(struct otd_doors *d, bool rests)
{
	d->rests = rests;
	for (struct knock *k = d->first; k; k = k->next)
		d->env->stream_watch(k->s, rests ? 0 : OTD_READABLE);
}

bool otd_doors_leave(struct otd_doors *d, struct otd_door_left *out)
{
	struct knock *k = d->first;
	if (!k)
		return false;
	*out = (struct otd_door_left){.s = k->s,
				      .item = k->item,
				      .kind = k->kind,
				      .until_ms = k->until_ms,
				      .read = k->in};
	otd_bytes_init(&k->in, 0);
	d->env->stream_watch(k->s, 0);
	d->env->stream_detach(k->s);
	forget(k);
	return true;
}

size_t otd_doors_count(const struct otd_doors *d)
{
	return d->n;
}
