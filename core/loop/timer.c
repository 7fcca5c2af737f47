/* Timers whose next run is due by the clock. */
#include "loop/real.h"
#include "loop/timer_next.h"
#include <stdlib.h>

struct otd_timer {
	uv_timer_t handle;
	struct real_loop *loop;
	otd_fn fn;
	void *arg;
	uint64_t due_ms, repeat_ms; /* by the loop's clock */
};

static void free_timer(uv_handle_t *h)
{
	free(h->data);
}

static void on_timer(uv_timer_t *h)
{
	struct otd_timer *t = h->data;
	struct real_loop *l = t->loop;
	if (t->repeat_ms) {
		uint64_t now = uv_now(&l->uv);
		t->due_ms = real_timer_next(t->due_ms, t->repeat_ms, now);
		/* Before the call: it may stop, restart or destroy the timer. */
		uv_timer_start(h, on_timer, t->due_ms - now, 0);
	}
	t->fn(t->arg);
	uv_update_time(&l->uv);
}

otd_rc real_timer_create(struct otd_loop *l, struct otd_timer **out, otd_fn fn, void *arg)
{
	struct otd_timer *t = calloc(1, sizeof(*t));
	*out = t;
	if (!t)
		return OTD_E_NOMEM;
	t->loop = real_loop_of(l);
	t->fn = fn;
	t->arg = arg;
	uv_timer_init(&t->loop->uv, &t->handle);
	t->handle.data = t;
	return OTD_OK;
}

void real_timer_start(struct otd_timer *t, int64_t delay_ms, int64_t repeat_ms)
{
	uint64_t now, delay = delay_ms > 0 ? (uint64_t)delay_ms : 0;
	uv_update_time(&t->loop->uv);
	now = uv_now(&t->loop->uv);
	/* The loop counts whole milliseconds: one more, so that it is never early. */
	t->due_ms = now + delay + (delay ? 1 : 0);
	t->repeat_ms = repeat_ms > 0 ? (uint64_t)repeat_ms : 0;
	uv_timer_start(&t->handle, on_timer, t->due_ms - now, 0);
}

void real_timer_stop(struct otd_timer *t)
{
	uv_timer_stop(&t->handle);
}

void real_timer_destroy(struct otd_timer *t)
{
	if (t)
		uv_close((uv_handle_t *)&t->handle, free_timer);
}
