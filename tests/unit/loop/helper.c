#include "helper.h"

static void on_guard(void *arg)
{
	struct bench *b = arg;
	b->timed_out = true;
	bench_stop(b);
}

void bench_open(struct bench *b)
{
	struct otd_err err = {0};
	*b = (struct bench){0};
	assert_int_equal(otd_env_real_create(&b->env, NULL, &err), OTD_OK);
	b->ops = b->env->ops;
	assert_int_equal(b->ops->loop_create(b->env, &b->loop, "test", &err), OTD_OK);
	assert_int_equal(b->ops->timer_create(b->loop, &b->guard, on_guard, b), OTD_OK);
}

void bench_run(struct bench *b)
{
	b->ops->timer_start(b->guard, 120000, 0);
	b->ops->loop_run(b->loop);
	b->ops->timer_stop(b->guard);
	assert_false(b->timed_out);
}

void bench_stop(struct bench *b)
{
	b->ops->loop_stop(b->loop);
}

void bench_close(struct bench *b)
{
	b->ops->timer_destroy(b->guard);
	b->ops->loop_destroy(b->loop);
	otd_env_real_destroy(b->env);
}
