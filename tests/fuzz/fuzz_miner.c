/*
 * What a pool says to our miner: the first byte cuts the stream in two reads, the rest is lines. A job
 * that was taken can be worked on.
 */
#include "algo/sha256d/sha256d.c"
#include "miner/internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct timer {
	char unused;
};

static struct {
	const uint8_t *p;
	size_t left, cut;
	otd_stream_fn fn;
	void *arg;
	uint64_t now_ns;
} net;

static uint64_t mono_ns(struct otd_env *e)
{
	(void)e;
	return net.now_ns += 1000000;
}

static int64_t wall_ms(struct otd_env *e)
{
	(void)e;
	return 1700000000000;
}

static void fill(struct otd_env *e, void *to, size_t n)
{
	(void)e;
	memset(to, 7, n);
}

static otd_rc new_timer(struct otd_loop *l, struct otd_timer **out, otd_fn fn, void *arg)
{
	static struct timer one;
	(void)l, (void)fn, (void)arg;
	*out = (struct otd_timer *)(void *)&one;
	return OTD_OK;
}

static void timer_start(struct otd_timer *t, int64_t delay_ms, int64_t repeat_ms)
{
	(void)t, (void)repeat_ms;
	if (delay_ms < 0)
		abort();
}

static void timer_nothing(struct otd_timer *t)
{
	(void)t;
}

static otd_rc connect_to(struct otd_loop *l, struct otd_stream **out, const char *host,
			 uint16_t port, otd_stream_fn fn, void *arg, struct otd_err *err)
{
	(void)l, (void)host, (void)port, (void)err;
	*out = (struct otd_stream *)(void *)&net;
	net.fn = fn;
	net.arg = arg;
	return OTD_OK;
}

static otd_rc stream_read(struct otd_stream *s, size_t *n, void *to, size_t cap)
{
	(void)s;
	size_t most = net.cut ? net.cut : net.left;
	*n = most < net.left ? most : net.left;
	*n = *n < cap ? *n : cap;
	net.cut = 0;
	if (!*n)
		return OTD_E_BUSY;
	memcpy(to, net.p, *n);
	net.p += *n;
	net.left -= *n;
	return OTD_OK;
}

static otd_rc stream_write(struct otd_stream *s, size_t *n, const struct otd_span *parts,
			   size_t n_parts)
{
	(void)s;
	*n = 0;
	for (size_t i = 0; i < n_parts; i++)
		*n += parts[i].len;
	return OTD_OK;
}

static otd_rc stream_error(struct otd_stream *s, struct otd_err *err)
{
	(void)s, (void)err;
	return OTD_OK;
}

static void stream_watch(struct otd_stream *s, unsigned events)
{
	(void)s, (void)events;
}

static void stream_peer(struct otd_stream *s, char *host, size_t cap, uint16_t *port)
{
	(void)s;
	host[0] = 0;
	*port = cap > 0;
}

static void stream_close(struct otd_stream *s)
{
	(void)s;
}

static const struct otd_env_ops env_ops = {.mono_ns = mono_ns,
					   .wall_ms = wall_ms,
					   .random = fill,
					   .timer_create = new_timer,
					   .timer_start = timer_start,
					   .timer_stop = timer_nothing,
					   .timer_destroy = timer_nothing,
					   .connect = connect_to,
					   .stream_read = stream_read,
					   .stream_write = stream_write,
					   .stream_error = stream_error,
					   .stream_watch = stream_watch,
					   .stream_peer = stream_peer,
					   .stream_close = stream_close};
static struct otd_env env = {.ops = &env_ops};
static struct otd_loop loop = {.env = &env, .name = "fuzz"};
static struct otd_plugin_instance *algo;

static void set_up(void)
{
	struct otd_plugins *plugins;
	struct otd_plugins_conf conf = {.skip_vectors = true};
	struct otd_plugin *pl;
	struct otd_err err = {0};
	if (otd_plugins_create(&plugins, &env, &conf, &err) ||
	    otd_plugins_add_builtin(plugins, otd_plugin_v1(), &err) ||
	    !(pl = otd_plugins_get(plugins, "algo", "sha256d", &err)) ||
	    otd_instance_create(&algo, pl, NULL, "algo", NULL, &err))
		abort();
}

static void on_event(void *arg, const struct otd_miner_event *ev)
{
	(void)arg;
	/* One line of printable text, whatever the pool wrote. */
	for (const char *c = ev->text; *c; c++) {
		if (*c < ' ' || *c > '~')
			abort();
	}
}

static void work(struct otd_miner *m)
{
	struct otd_miner_work w = {0};
	if (!m->job)
		return;
	if (otd_miner_work_begin(&w, m->job) == OTD_OK)
		(void)otd_miner_work_next(&w, m->job);
	otd_miner_work_finish(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const urls[] = {"stratum+tcp://pool.example.org:3333",
					   "b.example.org:1"};
	const struct otd_miner_conf conf = {
		.algo = algo, .urls = urls, .n_urls = 2, .user = "x.y", .event = on_event};
	struct otd_miner *m;
	struct otd_err err = {0};
	if (!algo) {
		set_up();
		return 0;
	}
	if (n < 1)
		return 0;
	net.p = data + 1;
	net.left = n - 1;
	net.cut = data[0];
	if (otd_miner_create(&m, &loop, &conf, &err))
		abort();
	otd_miner_connect(m);
	net.fn(net.arg, OTD_WRITABLE);
	for (int i = 0; i < 64 && m->stream && net.left; i++)
		net.fn(net.arg, OTD_READABLE);
	work(m);
	otd_miner_destroy(m);
	return 0;
}
