/* Those who stand at a door while their process changes: with what they have said, and the time that is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "net/door.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct hall {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_timer *guard;
	struct otd_doors *d;
	char came[64], early[64];
	const char *why;
	int failed;
};

static void ready(void *arg, void *item, struct otd_stream *s, const struct otd_preface *p)
{
	struct hall *h = arg;
	(void)item;
	snprintf(h->came, sizeof(h->came), "%s", p->proxy.has_address ? p->proxy.host : "-");
	snprintf(h->early, sizeof(h->early), "%.*s", (int)p->early.len, (const char *)p->early.ptr);
	h->env->ops->stream_close(s);
	h->env->ops->loop_stop(h->loop);
}

static void failed(void *arg, void *item, const char *why)
{
	struct hall *h = arg;
	(void)item;
	h->why = why;
	h->failed++;
	h->env->ops->loop_stop(h->loop);
}

static const struct otd_doors_ops ops = {.ready = ready, .failed = failed};

static void on_guard(void *arg)
{
	struct hall *h = arg;
	h->env->ops->loop_stop(h->loop);
}

static void hall_open(struct hall *h, int64_t time_ms)
{
	struct otd_err err = {0};
	const struct otd_doors_conf conf = {.time_ms = time_ms};
	*h = (struct hall){0};
	assert_int_equal(otd_env_real_create(&h->env, NULL, &err), OTD_OK);
	assert_int_equal(h->env->ops->loop_create(h->env, &h->loop, "door", &err), OTD_OK);
	assert_int_equal(h->env->ops->timer_create(h->loop, &h->guard, on_guard, h), OTD_OK);
	assert_int_equal(otd_doors_create(&h->d, h->loop, &conf, &ops, h), OTD_OK);
}

static void hall_close(struct hall *h)
{
	otd_doors_clear(h->d);
	otd_doors_destroy(h->d);
	h->env->ops->timer_destroy(h->guard);
	h->env->ops->loop_destroy(h->loop);
	otd_env_real_destroy(h->env);
}

static void run(struct hall *h, int64_t ms)
{
	h->env->ops->timer_start(h->guard, ms, 0);
	h->env->ops->loop_run(h->loop);
	h->env->ops->timer_stop(h->guard);
}

/* A stream whose other end is *fd. */
static struct otd_stream *pair(struct hall *h, int *fd)
{
	struct otd_stream *s;
	int both[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, both), 0);
	assert_int_equal(h->env->ops->stream_adopt(h->env, &s, both[0]), OTD_OK);
	*fd = both[1];
	return s;
}

static void say(int fd, const char *s)
{
	assert_int_equal(send(fd, s, strlen(s), MSG_NOSIGNAL), (ssize_t)strlen(s));
}

static int64_t now_ms(const struct hall *h)
{
	return (int64_t)(otd_mono_ns(h->env) / 1000000);
}

/* From one hall to the other, as from process to process. */
static void hand_over(struct hall *from, struct hall *to, size_t had_read)
{
	struct otd_door_left left;
	struct otd_stream *s;
	assert_true(otd_doors_leave(from->d, &left));
	assert_int_equal(left.read.len, had_read);
	int fd = from->env->ops->stream_release(left.s);
	assert_true(fd >= 0);
	assert_int_equal(to->env->ops->stream_adopt(to->env, &s, fd), OTD_OK);
	assert_int_equal(otd_doors_knock_again(to->d, s, left.kind, left.item, left.until_ms,
					       otd_bytes_span(&left.read)),
			 OTD_OK);
	otd_bytes_finish(&left.read);
}

static void half_a_header_goes_on(void **state)
{
	struct hall a, b;
	struct otd_door_left none;
	int fd[2];
	(void)state;
	hall_open(&a, 60000);
	hall_open(&b, 60000);
	assert_int_equal(otd_doors_knock(a.d, pair(&a, &fd[0]), OTD_DOOR_PROXY, NULL), OTD_OK);
	assert_int_equal(otd_doors_knock(a.d, pair(&a, &fd[1]), OTD_DOOR_FIRST_BYTE, NULL), OTD_OK);
	say(fd[0], "PROXY TCP4 192.0.");
	run(&a, 50);
	hand_over(&a, &b, 17);
	hand_over(&a, &b, 0);
	assert_false(otd_doors_leave(a.d, &none));
	assert_int_equal(otd_doors_count(b.d), 2);
	hall_close(&a);
	assert_int_equal(a.failed, 0);
	say(fd[0], "2.7 127.0.0.1 1 2\r\nline");
	run(&b, 60000);
	assert_string_equal(b.came, "192.0.2.7");
	assert_string_equal(b.early, "line");
	say(fd[1], "first");
	run(&b, 60000);
	assert_string_equal(b.came, "-");
	assert_string_equal(b.early, "first");
	close(fd[0]);
	close(fd[1]);
	hall_close(&b);
}

/* Their time is what is left of it, not a whole one; whose time has passed on the way is heard first. */
static void the_time_is_what_is_left(void **state)
{
	struct hall a, b;
	int fd[3];
	(void)state;
	hall_open(&a, 60000);
	hall_open(&b, 3600000);
	for (int i = 0; i < 3; i++)
		assert_int_equal(otd_doors_knock_again(a.d, pair(&a, &fd[i]), OTD_DOOR_FIRST_BYTE,
						       NULL, now_ms(&a) + (i ? 1 : 3600000),
						       (struct otd_span){NULL, 0}),
				 OTD_OK);
	otd_doors_rest(a.d, true);
	run(&a, 400); /* a tick looks at the clock within it: nobody is late while it rests */
	assert_int_equal(a.failed, 0);
	assert_int_equal(otd_doors_count(a.d), 3);
	say(fd[2], "late, but there");
	for (int i = 0; i < 3; i++)
		hand_over(&a, &b, 0);
	run(&b, 60000);
	assert_string_equal(b.early, "late, but there");
	if (!b.failed)
		run(&b, 60000);
	assert_int_equal(b.failed, 1);
	assert_string_equal(b.why, OTD_DOOR_TOO_LATE);
	/* The first one still has as much as was left: of the hour of this door less than it had at the other. */
	assert_int_equal(otd_doors_count(b.d), 1);
	struct otd_door_left left;
	assert_true(otd_doors_leave(b.d, &left));
	assert_true(left.until_ms - now_ms(&b) <= 60000);
	b.env->ops->stream_close(left.s);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	hall_close(&a);
	hall_close(&b);
}

/* Resting is taken back: what came meanwhile is read. */
static void who_rested_is_heard(void **state)
{
	struct hall a;
	int fd[2];
	(void)state;
	hall_open(&a, 60000);
	assert_int_equal(otd_doors_knock(a.d, pair(&a, &fd[0]), OTD_DOOR_FIRST_BYTE, NULL), OTD_OK);
	otd_doors_rest(a.d, true);
	assert_int_equal(otd_doors_knock(a.d, pair(&a, &fd[1]), OTD_DOOR_FIRST_BYTE, NULL), OTD_OK);
	say(fd[0], "one");
	say(fd[1], "two");
	run(&a, 50);
	assert_string_equal(a.came, "");
	otd_doors_rest(a.d, false);
	run(&a, 60000);
	if (otd_doors_count(a.d))
		run(&a, 60000);
	assert_int_equal(otd_doors_count(a.d), 0);
	assert_int_equal(a.failed, 0);
	close(fd[0]);
	close(fd[1]);
	hall_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_a_header_goes_on),
		cmocka_unit_test(the_time_is_what_is_left),
		cmocka_unit_test(who_rested_is_heard),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
