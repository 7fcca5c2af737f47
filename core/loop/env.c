/* The table of the real env: clock, randomness, and where each of the rest is. */
#include "loop/real.h"
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t real_mono_ns(struct otd_env *e)
{
	(void)e;
	return uv_hrtime();
}

static int64_t real_wall_ms(struct otd_env *e)
{
	struct timespec t;
	(void)e;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void real_random(struct otd_env *e, void *to, size_t n)
{
	uint8_t *p = to;
	(void)e;
	while (n) {
		ssize_t got = getrandom(p, n, 0);
		/* Only an interruption can fail it: arguments are ours, the call is from 2014. */
		OTD_ASSERT(got > 0 || errno == EINTR);
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
}

static const struct otd_env_ops real_ops = {
	.mono_ns = real_mono_ns,
	.wall_ms = real_wall_ms,
	.random = real_random,
	.loop_create = real_loop_create,
	.loop_run = real_loop_run,
	.loop_stop = real_loop_stop,
	.loop_destroy = real_loop_destroy,
	.post = real_post,
	.defer = real_defer,
	.thread_start = real_thread_start,
	.thread_join = real_thread_join,
	.timer_create = real_timer_create,
	.timer_start = real_timer_start,
	.timer_stop = real_timer_stop,
	.timer_destroy = real_timer_destroy,
	.worker_create = real_worker_create,
	.worker_give = real_worker_give,
	.worker_destroy = real_worker_destroy,
	.compute = real_compute,
	.listen = real_listen,
	.connect = real_connect,
	.stream_detach = real_stream_detach,
	.stream_attach = real_stream_attach,
	.stream_watch = real_stream_watch,
	.stream_read = real_stream_read,
	.stream_write = real_stream_write,
	.stream_error = real_stream_error,
	.stream_peer = real_stream_peer,
	.stream_release = real_stream_release,
	.stream_adopt = real_stream_adopt,
	.listen_adopt = real_listen_adopt,
	.stream_close = real_stream_close,
	.http = real_http,
	.http_cancel = real_http_cancel,
};

otd_rc otd_env_real_create(struct otd_env **out, const struct otd_env_real_conf *conf,
			   struct otd_err *err)
{
	struct real_env *e = calloc(1, sizeof(*e));
	otd_rc rc = OTD_E_NOMEM;
	*out = NULL;
	if (!e)
		return otd_fail(err, rc, "out of memory");
	if (conf)
		e->conf = *conf;
	if (e->conf.backlog <= 0)
		e->conf.backlog = 4096;
	e->base.ops = &real_ops;
	e->base.files = otd_files_real();
	if (real_pool_create(&e->pool, e->conf.compute_threads)) {
		free(e);
		return otd_fail(err, rc, "out of memory");
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
		real_pool_destroy(e->pool);
		free(e);
		return otd_fail(err, OTD_E_UNSUPPORTED, "libcurl does not start");
	}
	signal(SIGPIPE, SIG_IGN);
	*out = &e->base;
	return OTD_OK;
}

void otd_env_real_destroy(struct otd_env *env)
{
	struct real_env *e = real_env_of(env);
	if (!e)
		return;
	real_pool_destroy(e->pool);
	curl_global_cleanup();
	free(e);
}
