/* A real env with one loop that runs until the test stops it, with a net under it: 20 s. */
#ifndef TEST_LOOP_HELPER_H
#define TEST_LOOP_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "loop/loop.h"

struct bench {
	struct otd_env *env;
	const struct otd_env_ops *ops;
	struct otd_loop *loop;
	struct otd_timer *guard;
	bool timed_out;
};

void bench_open(struct bench *b);
void bench_run(struct bench *b); /* fails the test where nobody stops the loop */
void bench_stop(struct bench *b);
void bench_close(struct bench *b);

#endif
