/* Frames between processes: order, descriptors, what waits, and an end that is no end of ours. */
#include "helper.h"
#include "loop/link.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX   (1u << 20)
#define WAITING_MAX (4u << 20)

struct side {
	struct link *l;
	struct otd_link *link;
	size_t got, bytes, fds;
	const char *ended;
};

struct link {
	struct bench b;
	struct side one, two;
	size_t wanted; /* frames that the second one waits for */
	bool destroy_at_end;
};

/* A frame's number stands at its start, its bytes follow from that. */
static void fill(uint8_t *p, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(number * 31 + i);
	if (n >= sizeof(number))
		memcpy(p, &number, sizeof(number));
}

static void on_frame(void *arg, struct otd_span payload, int fd)
{
	struct side *s = arg;
	uint8_t *want = malloc(payload.len + 1);
	assert_non_null(want);
	assert_int_equal((uintptr_t)payload.ptr % 8, 0);
	fill(want, payload.len, (uint32_t)s->got);
	assert_memory_equal(payload.ptr, want, payload.len);
	free(want);
	if (fd >= 0) {
		/* A file whose bytes say which frame it belongs to. */
		uint32_t number = 0;
		assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		assert_int_equal(pread(fd, &number, sizeof(number), 0), sizeof(number));
		assert_int_equal(number, s->got);
		s->fds++;
		close(fd);
	}
	s->got++;
	s->bytes += payload.len;
	if (s->l->wanted && s->got == s->l->wanted)
		bench_stop(&s->l->b);
}

static void on_ended(void *arg, const char *why)
{
	struct side *s = arg;
	assert_null(s->ended);
	s->ended = why;
	if (s->l->destroy_at_end) {
		otd_link_destroy(s->link);
		s->link = NULL;
	}
	bench_stop(&s->l->b);
}

static void open_side(struct link *l, struct side *s, int fd)
{
	struct otd_err err = {0};
	const struct otd_link_conf conf = {.frame_max = FRAME_MAX,
					   .waiting_max = WAITING_MAX,
					   .frame = on_frame,
					   .ended = on_ended,
					   .arg = s};
	s->l = l;
	assert_int_equal(otd_link_create(&s->link, l->b.loop, fd, &conf, &err), OTD_OK);
}

/* The second end's descriptor, where only the first is a link. */
static int open_one(struct link *l)
{
	int fd[2];
	*l = (struct link){0};
	bench_open(&l->b);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	open_side(l, &l->one, fd[0]);
	return fd[1];
}

static void open_both(struct link *l)
{
	open_side(l, &l->two, open_one(l));
}

static void close_both(struct link *l)
{
	otd_link_destroy(l->one.link);
	otd_link_destroy(l->two.link);
	bench_close(&l->b);
}

static void send_one(struct link *l, uint32_t number, size_t n, int fd)
{
	uint8_t *p = malloc(n + 1);
	assert_non_null(p);
	fill(p, n, number);
	assert_int_equal(otd_link_send(l->one.link, p, n, fd), OTD_OK);
	free(p);
}

static void frames_come_in_order(void **state)
{
	/* Around the padding, around what is read at once, and the longest. */
	static const size_t size[] = {0,     1,     7,     8,      9,         100,
				      65528, 65536, 65544, 200000, FRAME_MAX, 5};
	struct link l;
	(void)state;
	open_both(&l);
	l.wanted = sizeof(size) / sizeof(size[0]);
	for (uint32_t i = 0; i < l.wanted; i++)
		send_one(&l, i, size[i], -1);
	assert_true(otd_link_waiting(l.one.link) > FRAME_MAX);
	bench_run(&l.b);
	assert_int_equal(l.two.got, l.wanted);
	assert_int_equal(otd_link_waiting(l.one.link), 0);
	assert_null(l.one.ended);
	close_both(&l);
}

/* More than one call takes, among others of all sizes. */
static void descriptors_come_with_their_frames(void **state)
{
	enum { FRAMES = 1000 };
	struct link l;
	size_t fds = 0;
	(void)state;
	open_both(&l);
	l.wanted = FRAMES;
	for (uint32_t i = 0; i < FRAMES; i++) {
		int fd = -1;
		if (i % 3 != 1 && fds < 500) {
			FILE *f = tmpfile();
			assert_non_null(f);
			assert_int_equal(fwrite(&i, sizeof(i), 1, f), 1);
			fflush(f);
			fd = dup(fileno(f));
			fclose(f);
			assert_true(fd >= 0);
			fds++;
		}
		send_one(&l, i, i % 50 == 49 ? 70000 : 40, fd);
	}
	bench_run(&l.b);
	assert_int_equal(l.two.got, FRAMES);
	assert_int_equal(l.two.fds, fds);
	close_both(&l);
}

/* Who does not read is told of to who sends, and nothing blocks. */
static void what_waits_has_a_bound(void **state)
{
	struct link l;
	struct timespec began, end;
	uint8_t block[1000] = {0};
	int fd = open_one(&l);
	size_t n = 0;
	otd_rc rc;
	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &began);
	while ((rc = otd_link_send(l.one.link, block, sizeof(block), -1)) == OTD_OK)
		n++;
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_int_equal(rc, OTD_E_BUSY);
	assert_true(n > 4000 && n * 1008 <= WAITING_MAX);
	assert_true(end.tv_sec - began.tv_sec < 10);
	assert_int_equal(otd_link_send(l.one.link, block, FRAME_MAX + 1, -1), OTD_E_RANGE);
	/* The other side goes: told once, and nothing is taken from then on. */
	close(fd);
	bench_run(&l.b);
	assert_non_null(l.one.ended);
	assert_int_equal(otd_link_send(l.one.link, block, 1, -1), OTD_E_CLOSED);
	close_both(&l);
}

static void an_end_may_destroy_it(void **state)
{
	struct link l;
	int fd = open_one(&l);
	(void)state;
	l.destroy_at_end = true;
	send_one(&l, 0, 100, -1);
	close(fd);
	bench_run(&l.b);
	assert_non_null(l.one.ended);
	assert_null(l.one.link);
	bench_close(&l.b);
}

static void hostile(const void *bytes, size_t n, const char *why)
{
	struct link l;
	int fd = open_one(&l);
	assert_int_equal(write(fd, bytes, n), n);
	if (!why)
		close(fd); /* a frame that never becomes whole */
	bench_run(&l.b);
	assert_non_null(l.one.ended);
	assert_string_equal(l.one.ended, why ? why : "the other side is gone");
	assert_int_equal(l.one.got, 0);
	if (why)
		close(fd);
	otd_link_destroy(l.one.link);
	bench_close(&l.b);
}

static void what_is_no_frame_ends_it(void **state)
{
	static const uint32_t too_long[] = {FRAME_MAX + 1, 0}, flags[] = {8, 2, 0, 0},
			      no_fd[] = {0, OTD_LINK_WITH_FD}, part[] = {16, 0, 1};
	(void)state;
	hostile("GET / HTTP/1.0\r\n\r\n", 18, "it sent what is no frame");
	hostile(too_long, sizeof(too_long), "it sent what is no frame");
	hostile(flags, sizeof(flags), "it sent what is no frame");
	hostile(no_fd, sizeof(no_fd), "a frame came without its descriptor");
	hostile(part, sizeof(part), NULL);
	hostile(part, 3, NULL);
}

static void every_part_of_a_frame_is_not_whole(void **state)
{
	struct otd_link_frame f;
	_Alignas(8) uint8_t b[64] = {0};
	const uint32_t head[2] = {13, OTD_LINK_WITH_FD};
	(void)state;
	memcpy(b, head, sizeof(head));
	for (size_t n = 0; n < 24; n++)
		assert_int_equal(otd_link_parse(&f, b, n, 100), OTD_E_BUSY);
	assert_int_equal(otd_link_parse(&f, b, 24, 100), OTD_OK);
	assert_int_equal(f.size, 24);
	assert_int_equal(f.payload.len, 13);
	assert_ptr_equal(f.payload.ptr, b + 8);
	assert_true(f.with_fd);
	assert_int_equal(otd_link_parse(&f, b, 24, 12), OTD_E_INVALID);
}

/* A byte every round. */
struct pieces {
	struct link l;
	uint8_t frame[8 + 16];
	size_t at;
	int fd;
	struct otd_timer *timer;
};

static void on_piece(void *arg)
{
	struct pieces *p = arg;
	assert_int_equal(p->l.one.got, 0);
	assert_int_equal(write(p->fd, p->frame + p->at, 1), 1);
	if (++p->at == sizeof(p->frame))
		p->l.b.ops->timer_stop(p->timer);
}

static void frames_in_pieces(void **state)
{
	struct pieces p = {.fd = 0};
	uint32_t head[2] = {16, 0};
	(void)state;
	p.fd = open_one(&p.l);
	p.l.wanted = 1;
	memcpy(p.frame, head, sizeof(head));
	fill(p.frame + 8, 16, 0);
	assert_int_equal(p.l.b.ops->timer_create(p.l.b.loop, &p.timer, on_piece, &p), OTD_OK);
	p.l.b.ops->timer_start(p.timer, 1, 1);
	bench_run(&p.l.b);
	assert_int_equal(p.l.one.got, 1);
	close(p.fd);
	p.l.b.ops->timer_destroy(p.timer);
	otd_link_destroy(p.l.one.link);
	bench_close(&p.l.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_in_order),
		cmocka_unit_test(descriptors_come_with_their_frames),
		cmocka_unit_test(what_waits_has_a_bound),
		cmocka_unit_test(an_end_may_destroy_it),
		cmocka_unit_test(what_is_no_frame_ends_it),
		cmocka_unit_test(every_part_of_a_frame_is_not_whole),
		cmocka_unit_test(frames_in_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
