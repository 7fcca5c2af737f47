/* Line framing and the manners of connections, over loopback with a plain socket as the peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "net/conn.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS 4

struct net {
	struct otd_env *env;
	const struct otd_env_ops *ops;
	struct otd_loop *loop;
	struct otd_timer *guard, *step;
	struct otd_stream *listener;
	struct otd_conns *g;
	struct otd_metrics *metrics;
	struct otd_conn *conn[PEERS];
	int n_conns, fd[PEERS], n_fds;
	uint16_t port;
	char lines[4096]; /* all that came, each with a '|' */
	size_t n_lines, stop_at;
	char reason[64];
	int closed, stop_at_closed;
	bool timed_out;
	size_t longest, in_now; /* lines of one peer in a row */
	struct otd_conn *last_from;
	size_t quiet_after; /* of the flooder's lines */
	/* what accepted connections are opened with; the filter is made for each */
	struct otd_conn_origin origin;
	bool filtered;
	void (*on_step)(struct net *n);
	bool (*on_line)(struct net *n, struct otd_conn *c, struct otd_span line);
};

static struct net *net; /* of the test that runs */

static void stop(struct net *n)
{
	n->ops->loop_stop(n->loop);
}

static void on_guard(void *arg)
{
	net->timed_out = true;
	stop(arg);
}

static void on_line(struct otd_conn *c, struct otd_span line)
{
	size_t used = strlen(net->lines);
	struct net *n = otd_conn_arg(c);
	n->n_lines++;
	n->in_now = n->last_from == c ? n->in_now + 1 : 1;
	n->last_from = c;
	n->longest = n->in_now > n->longest ? n->in_now : n->longest;
	if (n->on_line && !n->on_line(n, c, line))
		return;
	if (line.len + used + 2 < sizeof(n->lines)) {
		memcpy(n->lines + used, line.ptr, line.len);
		memcpy(n->lines + used + line.len, "|", 2);
	}
	if (n->stop_at && n->n_lines >= n->stop_at)
		stop(n);
}

static void on_closed(struct otd_conn *c, const char *reason)
{
	struct net *n = otd_conn_arg(c);
	snprintf(n->reason, sizeof(n->reason), "%s", reason);
	n->closed++;
	for (int i = 0; i < n->n_conns; i++) {
		if (n->conn[i] == c)
			n->conn[i] = NULL;
	}
	if (n->stop_at_closed && n->closed >= n->stop_at_closed)
		stop(n);
}

static const struct otd_conn_ops ops = {on_line, on_closed};

/*
 * A toy filter. The peer begins with "HELLO" and is told "WORLD". From then on there are chunks both
 * ways: a length of 1 to 99, then as many bytes xor 0x5a. Length 0 is the end in order, length 255
 * breaks the rules and is answered by "ALERT".
 */
struct toy {
	struct otd_filter base;
	struct otd_bytes raw,
		kept; /* not yet a whole chunk; written before the handshake was done */
	bool shaken;
};

static int toys;

static void toy_chunks(struct otd_bytes *wire, const uint8_t *p, size_t n)
{
	while (n) {
		uint8_t chunk[100] = {(uint8_t)(n < 99 ? n : 99)};
		for (size_t i = 0; i < chunk[0]; i++)
			chunk[1 + i] = p[i] ^ 0x5a;
		assert_int_equal(otd_bytes_add(wire, chunk, 1 + (size_t)chunk[0]), OTD_OK);
		p += chunk[0];
		n -= chunk[0];
	}
}

static otd_rc toy_chunk(struct toy *t, struct otd_bytes *plain, struct otd_bytes *wire)
{
	size_t len = t->raw.ptr[0];
	if (len == 255) {
		assert_int_equal(otd_bytes_text(wire, "ALERT"), OTD_OK);
		return OTD_E_INVALID;
	}
	if (len == 0)
		return OTD_E_CLOSED;
	for (size_t i = 1; i <= len; i++)
		t->raw.ptr[i] ^= 0x5a;
	assert_int_equal(otd_bytes_add(plain, t->raw.ptr + 1, len), OTD_OK);
	otd_bytes_drop(&t->raw, len + 1);
	return OTD_OK;
}

static otd_rc toy_take(struct otd_filter *f, struct otd_span came, struct otd_bytes *plain,
		       struct otd_bytes *wire)
{
	struct toy *t = (struct toy *)f;
	otd_rc rc = OTD_OK;
	assert_int_equal(otd_bytes_add(&t->raw, came.ptr, came.len), OTD_OK);
	if (!t->shaken) {
		if (t->raw.len < 5)
			return OTD_OK;
		if (memcmp(t->raw.ptr, "HELLO", 5) != 0) {
			assert_int_equal(otd_bytes_text(wire, "ALERT"), OTD_OK);
			return OTD_E_INVALID;
		}
		otd_bytes_drop(&t->raw, 5);
		t->shaken = true;
		assert_int_equal(otd_bytes_text(wire, "WORLD"), OTD_OK);
		toy_chunks(wire, t->kept.ptr, t->kept.len);
		otd_bytes_finish(&t->kept);
	}
	while (!rc && t->raw.len && (t->raw.ptr[0] == 255 || t->raw.len > t->raw.ptr[0]))
		rc = toy_chunk(t, plain, wire);
	return rc;
}

static otd_rc toy_give(struct otd_filter *f, struct otd_span plain, struct otd_bytes *wire)
{
	struct toy *t = (struct toy *)f;
	if (!t->shaken)
		return otd_bytes_add(&t->kept, plain.ptr, plain.len);
	toy_chunks(wire, plain.ptr, plain.len);
	return OTD_OK;
}

static void toy_end(struct otd_filter *f, struct otd_bytes *wire)
{
	(void)f;
	assert_int_equal(otd_bytes_add(wire, "", 1), OTD_OK);
}

static void toy_destroy(struct otd_filter *f)
{
	struct toy *t = (struct toy *)f;
	otd_bytes_finish(&t->raw);
	otd_bytes_finish(&t->kept);
	free(t);
	toys--;
}

static struct otd_filter *toy_create(void)
{
	static const struct otd_filter_ops toy_ops = {toy_take, toy_give, toy_end, toy_destroy};
	struct toy *t = calloc(1, sizeof(*t));
	assert_non_null(t);
	t->base.ops = &toy_ops;
	t->base.name = "toy";
	otd_bytes_init(&t->raw, 1 << 20);
	otd_bytes_init(&t->kept, 1 << 20);
	toys++;
	return &t->base;
}

static void on_accept(void *arg, struct otd_stream *s)
{
	struct net *n = arg;
	struct otd_conn_origin from = n->origin;
	n->ops->stream_detach(s);
	from.filter = n->filtered ? toy_create() : NULL;
	assert_int_equal(otd_conn_open_as(n->g, &n->conn[n->n_conns++], s, n, &from), OTD_OK);
}

static void on_timer(void *arg)
{
	struct net *n = arg;
	n->on_step(n);
}

static void net_open(const struct otd_conn_conf *conf)
{
	struct net *n = calloc(1, sizeof(*n));
	struct otd_err err = {0};
	char host[64];
	net = n;
	n->metrics = otd_metrics_create();
	assert_int_equal(otd_env_real_create(&n->env, NULL, &err), OTD_OK);
	n->ops = n->env->ops;
	assert_int_equal(n->ops->loop_create(n->env, &n->loop, "test", &err), OTD_OK);
	assert_int_equal(n->ops->timer_create(n->loop, &n->guard, on_guard, n), OTD_OK);
	assert_int_equal(n->ops->timer_create(n->loop, &n->step, on_timer, n), OTD_OK);
	assert_int_equal(otd_conns_create(&n->g, n->loop, conf, &ops, n->metrics), OTD_OK);
	assert_int_equal(
		n->ops->listen(n->loop, &n->listener, "127.0.0.1", 0, false, on_accept, n, &err),
		OTD_OK);
	n->ops->stream_peer(n->listener, host, sizeof(host), &n->port);
}

/* A peer's socket: connected at once, the kernel accepts for us. */
static int dial(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(net->port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	net->fd[net->n_fds++] = fd;
	return fd;
}

static void say(int fd, const char *text, size_t n)
{
	assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
}

static void net_run(void)
{
	net->ops->timer_start(net->guard, 60000, 0);
	net->ops->loop_run(net->loop);
	net->ops->timer_stop(net->guard);
	assert_false(net->timed_out);
}

static void net_close(void)
{
	struct net *n = net;
	n->stop_at_closed = 0;
	n->ops->timer_destroy(n->guard);
	n->ops->timer_destroy(n->step);
	n->ops->stream_close(n->listener);
	otd_conns_destroy(n->g);
	assert_int_equal(n->closed, n->n_conns);
	n->ops->loop_destroy(n->loop);
	otd_env_real_destroy(n->env);
	otd_metrics_destroy(n->metrics);
	for (int i = 0; i < n->n_fds; i++)
		close(n->fd[i]);
	free(n);
}

static void end_of_wait(void *arg)
{
	stop(arg);
}

/* Lets the loop take in what was sent: as many turns as post and poll need. */
static void turn(void)
{
	struct otd_timer *t;
	assert_int_equal(net->ops->timer_create(net->loop, &t, end_of_wait, net), OTD_OK);
	net->ops->timer_start(t, 5, 0);
	net_run();
	net->ops->timer_destroy(t);
}

/* --- framing --- */

static void lines_come_whole_wherever_they_are_split(void **state)
{
	static const char text[] = "one\r\ntwo\n\nfo\rur\r\n\r\nsix six six\n";
	size_t n = sizeof(text) - 1;
	(void)state;
	for (size_t at = 0; at <= n; at++) {
		struct otd_conn_conf conf = {0};
		net_open(&conf);
		int fd = dial();
		if (at)
			say(fd, text, at);
		if (at && at < n)
			turn();
		if (at < n)
			say(fd, text + at, n - at);
		if (net->n_lines < 6) {
			net->stop_at = 6;
			net_run();
		}
		assert_string_equal(net->lines, "one|two||fo\rur||six six six|");
		net_close();
	}
}

static void byte_by_byte(void **state)
{
	static const char text[] = "{\"id\":1}\n{\"id\":2}\r\n";
	struct otd_conn_conf conf = {.line_max = 8};
	int fd;
	(void)state;
	net_open(&conf);
	fd = dial();
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		say(fd, text + i, 1);
		turn();
	}
	while (net->n_lines < 2)
		turn();
	assert_string_equal(net->lines, "{\"id\":1}|{\"id\":2}|");
	net_close();
}

static void lines_before_the_end_still_count(void **state)
{
	struct otd_conn_conf conf = {.lines_a_round = 2};
	int fd;
	(void)state;
	net_open(&conf);
	fd = dial();
	say(fd, "a\nb\nc\nd\ne\nrest", 14);
	shutdown(fd, SHUT_WR);
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->lines, "a|b|c|d|e|");
	assert_string_equal(net->reason, OTD_CONN_PEER_CLOSED);
	net_close();
}

static void line_of_exactly_the_limit(void **state)
{
	struct otd_conn_conf conf = {.line_max = 10};
	int fd;
	(void)state;
	net_open(&conf);
	fd = dial();
	say(fd, "0123456789\n0123456789\r\n", 23);
	net->stop_at = 2;
	net_run();
	assert_string_equal(net->lines, "0123456789|0123456789|");
	say(fd, "0123456789x\n", 12);
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->reason, OTD_CONN_LINE_TOO_LONG);
	assert_int_equal(net->n_lines, 2);
	net_close();
}

/* --- an endless line --- */

static long resident_kib(void)
{
	char text[128] = "";
	int fd = open("/proc/self/statm", O_RDONLY);
	long pages = 0;
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_int_equal(sscanf(text, "%*d %ld", &pages), 1);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

struct pouring {
	int fd;
	size_t left;
};

static struct pouring pour;

static void on_pour(struct net *n)
{
	static char block[65536];
	memset(block, 'x', sizeof(block));
	while (pour.left) {
		ssize_t put = send(pour.fd, block, sizeof(block), MSG_NOSIGNAL);
		if (put < 0)
			return;
		pour.left -= (size_t)put < pour.left ? (size_t)put : pour.left;
	}
	(void)n;
}

static void endless_line_is_cut_off(void **state)
{
	struct otd_conn_conf conf = {0};
	long before;
	(void)state;
	net_open(&conf);
	pour = (struct pouring){dial(), (size_t)100 << 20};
	net->on_step = on_pour;
	net->ops->timer_start(net->step, 1, 1);
	before = resident_kib();
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->reason, OTD_CONN_LINE_TOO_LONG);
	assert_true(resident_kib() - before < 8192);
	assert_int_equal(net->n_lines, 0);
	net_close();
}

/* --- output --- */

static bool answer_twice(struct net *n, struct otd_conn *c, struct otd_span line)
{
	(void)n;
	(void)otd_conn_write(c, line.ptr, line.len);
	(void)otd_conn_write(c, "!\n", 2);
	if (line.len == 3 && !memcmp(line.ptr, "bye", 3))
		otd_conn_close_after_flush(c, "told to");
	return true;
}

static void answers_leave_and_close_waits_for_them(void **state)
{
	struct otd_conn_conf conf = {0};
	char buf[64] = "";
	int fd;
	(void)state;
	net_open(&conf);
	net->on_line = answer_twice;
	fd = dial();
	say(fd, "hello\nbye\nlate\n", 15);
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->reason, "told to");
	assert_string_equal(net->lines, "hello|bye|"); /* nothing after the farewell */
	assert_int_equal(recv(fd, buf, sizeof(buf) - 1, 0), 12);
	assert_string_equal(buf, "hello!\nbye!\n");
	net_close();
}

static char block[8192];

static void on_feed(struct net *n)
{
	if (n->conn[0])
		(void)otd_conn_write(n->conn[0], block, sizeof(block));
}

static void never_reading_client_is_closed_at_the_limit(void **state)
{
	struct otd_conn_conf conf = {.out_max = 100000};
	(void)state;
	net_open(&conf);
	dial();
	turn();
	net->on_step = on_feed;
	net->ops->timer_start(net->step, 1, 1);
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->reason, OTD_CONN_OUTPUT_FULL);
	net_close();
}

static void on_feed_a_little(struct net *n)
{
	/* Never to the limit of output: as much as the sockets take, and one block that waits. */
	if (n->conn[0] && !otd_conn_pending(n->conn[0]))
		(void)otd_conn_write(n->conn[0], block, sizeof(block));
}

static void stalled_client_is_closed_in_time(void **state)
{
	struct otd_conn_conf conf = {.stall_ms = 1};
	(void)state;
	net_open(&conf);
	dial();
	turn();
	net->on_step = on_feed_a_little;
	net->ops->timer_start(net->step, 1, 1);
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->reason, OTD_CONN_STALLED);
	net_close();
}

/* A peer that sends on and on but does not read our answers waits; once it reads, it gets all. */
static size_t sent, received;

static void on_send_only(struct net *n)
{
	char some[4096];
	(void)n;
	if (sent < 200000) {
		ssize_t put =
			send(net->fd[0], "0123456789abcde\n0123456789abcde\n", 32, MSG_NOSIGNAL);
		while (put == 32 && (sent += 32) < 200000)
			put = send(net->fd[0], "0123456789abcde\n0123456789abcde\n", 32,
				   MSG_NOSIGNAL);
		assert_true(put == 32 || put < 0);
		if (put > 0)
			return;
	}
	for (ssize_t got; (got = recv(net->fd[0], some, sizeof(some), 0)) > 0;)
		received += (size_t)got;
	if (sent >= 200000 && received >= sent * 20)
		stop(net);
}

static bool answer_much(struct net *n, struct otd_conn *c, struct otd_span line)
{
	static const char much[320];
	(void)line;
	assert_int_equal(otd_conn_write(c, much, sizeof(much)), OTD_OK);
	assert_true(otd_conn_pending(c) <= 20000);
	(void)n;
	return false;
}

static void much_asking_little_reading_waits(void **state)
{
	struct otd_conn_conf conf = {.out_max = 20000};
	(void)state;
	sent = received = 0;
	net_open(&conf);
	net->on_line = answer_much;
	dial();
	net->on_step = on_send_only;
	net->ops->timer_start(net->step, 1, 1);
	net_run();
	assert_int_equal(net->n_lines, sent / 16);
	assert_int_equal(net->closed, 0);
	net_close();
}

/* --- fairness --- */

#define FLOOD 100000

static int quiet_fd, flood_fd;

/* The flooder's first line wakes the quiet one; its line must come soon after. */
static bool flooded(struct net *n, struct otd_conn *c, struct otd_span line)
{
	(void)c;
	if (line.len == 5) {
		n->quiet_after = n->n_lines;
		stop(n);
	} else if (n->n_lines == 1000) {
		say(quiet_fd, "quiet\n", 6);
	}
	return false;
}

static void on_flood(struct net *n)
{
	static char lines[2 * FLOOD];
	static size_t at;
	ssize_t put;
	if (!lines[0]) {
		for (size_t i = 0; i < sizeof(lines); i++)
			lines[i] = i % 2 ? '\n' : 'f';
	}
	while (at < sizeof(lines) &&
	       (put = send(flood_fd, lines + at, sizeof(lines) - at, MSG_NOSIGNAL)) > 0)
		at += (size_t)put;
	(void)n;
}

static void flooder_does_not_starve_the_quiet(void **state)
{
	struct otd_conn_conf conf = {0};
	(void)state;
	net_open(&conf);
	net->on_line = flooded;
	quiet_fd = dial();
	flood_fd = dial();
	turn();
	on_flood(net);
	net->on_step = on_flood;
	net->ops->timer_start(net->step, 1, 1);
	net_run();
	/* A turn of the flooder has 64 lines, and a round has at most one of its turns out of the
	   buffer and one out of the socket: within some few rounds. */
	assert_true(net->quiet_after > 1000);
	assert_true(net->quiet_after < 1000 + 64 * 8);
	net_close();
}

/* --- pauses and clocks --- */

static void paused_hears_nothing(void **state)
{
	struct otd_conn_conf conf = {0};
	int fd;
	(void)state;
	net_open(&conf);
	fd = dial();
	say(fd, "a\n", 2);
	net->stop_at = 1;
	net_run();
	otd_conn_pause(net->conn[0], true);
	say(fd, "b\nc\n", 4);
	turn();
	assert_int_equal(net->n_lines, 1);
	otd_conn_pause(net->conn[0], false);
	net->stop_at = 3;
	net_run();
	assert_string_equal(net->lines, "a|b|c|");
	net_close();
}

static bool pause_at_first(struct net *n, struct otd_conn *c, struct otd_span line)
{
	(void)line;
	if (n->n_lines == 1)
		otd_conn_pause(c, true);
	return true;
}

static void paused_amid_a_batch_goes_on_where_it_was(void **state)
{
	struct otd_conn_conf conf = {0};
	(void)state;
	net_open(&conf);
	net->on_line = pause_at_first;
	say(dial(), "a\nb\nc\npart", 10);
	net->stop_at = 1;
	net_run();
	turn();
	assert_string_equal(net->lines, "a|");
	otd_conn_pause(net->conn[0], false);
	say(net->fd[0], "ial\n", 4);
	net->stop_at = 4;
	net_run();
	assert_string_equal(net->lines, "a|b|c|partial|");
	net_close();
}

static void silent_and_idle_are_closed(void **state)
{
	struct otd_conn_conf conf = {.first_line_ms = 1, .idle_ms = -1};
	(void)state;
	net_open(&conf);
	dial();
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->reason, OTD_CONN_NO_LINE);
	net_close();

	conf = (struct otd_conn_conf){.first_line_ms = -1, .idle_ms = 1};
	net_open(&conf);
	dial();
	say(dial(), "x\n", 2);
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->reason, OTD_CONN_IDLE);
	assert_int_equal(net->closed, 1); /* the one that never spoke may stay */
	assert_int_equal(otd_conns_count(net->g), 1);
	net_close();
}

static void close_them(struct otd_conn *c, void *arg)
{
	(void)arg;
	otd_conn_close(c, "kicked");
	otd_conn_close(c, "twice");
}

static void each_may_close(void **state)
{
	struct otd_conn_conf conf = {0};
	struct otd_metric *m;
	(void)state;
	net_open(&conf);
	for (int i = 0; i < PEERS; i++)
		dial();
	while (net->n_conns < PEERS)
		turn();
	assert_int_equal(otd_conns_count(net->g), PEERS);
	assert_string_equal(otd_conn_host(net->conn[0]), "127.0.0.1");
	assert_int_not_equal(otd_conn_port(net->conn[0]), 0);
	otd_conns_each(net->g, close_them, NULL);
	assert_int_equal(net->closed, 0); /* not from within the call */
	assert_int_equal(otd_conn_write(net->conn[0], "x", 1), OTD_E_CLOSED);
	net->stop_at_closed = PEERS;
	net_run();
	assert_string_equal(net->reason, "kicked");
	assert_int_equal(otd_conns_count(net->g), 0);
	m = otd_metric(net->metrics, OTD_COUNTER, "otd_connections_closed_total",
		       "reason=\"kicked\"", "");
	assert_int_equal(otd_metric_get(m), PEERS);
	net_close();
}

/* Whoever closes a peer as it writes must not touch what is freed. */
static bool close_now(struct net *n, struct otd_conn *c, struct otd_span line)
{
	(void)line;
	(void)otd_conn_write(c, "x", 1);
	otd_conn_close(c, "now");
	(void)n;
	return true;
}

static void close_within_a_line(void **state)
{
	struct otd_conn_conf conf = {0};
	(void)state;
	net_open(&conf);
	net->on_line = close_now;
	say(dial(), "a\nb\nc\n", 6);
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->lines, "a|");
	net_close();
}

/* --- filters --- */

/* A peer's words as chunks of the toy; each LF ends one. */
static void say_chunks(int fd, const char *text)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 1 << 20);
	toy_chunks(&b, (const uint8_t *)text, strlen(text));
	say(fd, (const char *)b.ptr, b.len);
	otd_bytes_finish(&b);
}

/* What the peer was sent, its chunks undone: "WORLD", text, then '.' for the end. */
static void heard(int fd, char *to, size_t cap)
{
	uint8_t raw[4096];
	ssize_t n = recv(fd, raw, sizeof(raw), 0);
	size_t at = 0, used = 0;
	if (n >= 5 && (!memcmp(raw, "WORLD", 5) || !memcmp(raw, "ALERT", 5))) {
		memcpy(to, raw, 5);
		at = used = 5;
	}
	while (n > 0 && at < (size_t)n) {
		size_t len = raw[at++];
		if (len == 'A') { /* no chunk is so long here */
			at += 4;
			len = 0;
			to[used++] = '!';
		} else if (len == 0) {
			to[used++] = '.';
		}
		for (; len; len--)
			to[used++] = (char)(raw[at++] ^ 0x5a);
		assert_true(at <= (size_t)n && used < cap);
	}
	to[used] = 0;
}

static void net_open_filtered(void)
{
	struct otd_conn_conf conf = {0};
	net_open(&conf);
	net->filtered = true;
}

static void a_filter_turns_bytes_into_lines_and_back(void **state)
{
	char text[256];
	int fd;
	(void)state;
	net_open_filtered();
	net->on_line = answer_twice;
	fd = dial();
	say(fd, "HEL", 3);
	turn();
	say(fd, "LO", 2);
	say_chunks(fd, "one\ntw");
	turn();
	say_chunks(fd, "o\n");
	net->stop_at = 2;
	net_run();
	turn();
	assert_string_equal(net->lines, "one|two|");
	heard(fd, text, sizeof(text));
	assert_string_equal(text, "WORLDone!\ntwo!\n");
	say_chunks(fd, "bye\nlate\n");
	net->stop_at_closed = 1;
	net_run();
	heard(fd, text, sizeof(text));
	assert_string_equal(text, "bye!\n."); /* the end stands behind all else */
	assert_string_equal(net->reason, "told to");
	assert_string_equal(net->lines, "one|two|bye|");
	net_close();
	assert_int_equal(toys, 0);
}

static void chunks_split_anywhere(void **state)
{
	static const char text[] = "a line that fills more than one chunk, for it has some more "
				   "than ninety-nine bytes: one hundred and some few\nsecond\n";
	uint8_t raw[512] = "HELLO";
	struct otd_bytes b;
	(void)state;
	otd_bytes_init(&b, 1 << 20);
	toy_chunks(&b, (const uint8_t *)text, strlen(text));
	memcpy(raw + 5, b.ptr, b.len);
	for (size_t at = 1, n = 5 + b.len; at < n; at += 3) {
		net_open_filtered();
		int fd = dial();
		say(fd, (char *)raw, at);
		turn();
		say(fd, (char *)raw + at, n - at);
		if (net->n_lines < 2) {
			net->stop_at = 2;
			net_run();
		}
		assert_int_equal(net->n_lines, 2);
		assert_memory_equal(net->lines, text, strchr(text, '\n') - text);
		net_close();
	}
	otd_bytes_finish(&b);
}

static void what_is_said_before_the_handshake_waits(void **state)
{
	char text[64];
	int fd;
	(void)state;
	net_open_filtered();
	fd = dial();
	while (!net->conn[0])
		turn();
	assert_int_equal(otd_conn_write(net->conn[0], "job\n", 4), OTD_OK);
	turn();
	assert_int_equal(recv(fd, text, sizeof(text), 0), -1);
	say(fd, "HELLO", 5);
	turn();
	heard(fd, text, sizeof(text));
	assert_string_equal(text, "WORLDjob\n");
	otd_conn_close(net->conn[0], "kicked");
	net->stop_at_closed = 1;
	net_run();
	heard(fd, text, sizeof(text));
	assert_string_equal(text, ".");
	net_close();
}

static void a_refusing_filter_closes_behind_its_alert(void **state)
{
	char text[64];
	int fd;
	(void)state;
	net_open_filtered();
	fd = dial();
	say(fd, "GET / HTTP/1.1\n", 15);
	net->stop_at_closed = 1;
	net_run();
	heard(fd, text, sizeof(text));
	assert_string_equal(text, "ALERT"); /* and nothing behind it */
	assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
	assert_string_equal(net->reason, OTD_CONN_TLS);
	assert_int_equal(net->n_lines, 0);
	net_close();
	assert_int_equal(toys, 0);

	/* Later on, with answers that wait: they are given up, what came before does not count. */
	net_open_filtered();
	net->on_line = answer_twice;
	fd = dial();
	say(fd, "HELLO", 5);
	turn();
	say(fd, "\x02\x3b\x50\xff", 4); /* "a\n", then the broken rule */
	net->stop_at_closed = 1;
	net_run();
	heard(fd, text, sizeof(text));
	assert_string_equal(text, "WORLD!");
	assert_string_equal(net->reason, OTD_CONN_TLS);
	assert_int_equal(net->n_lines, 0);
	net_close();
}

static void lines_before_the_filters_end_count(void **state)
{
	char text[64];
	int fd;
	(void)state;
	net_open_filtered();
	net->on_line = answer_twice;
	fd = dial();
	say(fd, "HELLO\x02\x3b\x50", 9); /* with the end: length 0 */
	net->stop_at_closed = 1;
	net_run();
	heard(fd, text, sizeof(text));
	assert_string_equal(text, "WORLDa!\n.");
	assert_string_equal(net->reason, OTD_CONN_PEER_CLOSED);
	net_close();
}

/* --- from elsewhere, and to elsewhere --- */

static struct otd_span span_of(const char *text, size_t n)
{
	return (struct otd_span){(const uint8_t *)text, n};
}

static void early_bytes_come_first(void **state)
{
	struct otd_conn_conf conf = {.first_line_ms = 1, .idle_ms = -1};
	(void)state;
	net_open(&conf);
	net->origin = (struct otd_conn_origin){.host = "192.0.2.7",
					       .port = 4711,
					       .early = span_of("one\ntwo\nthr", 11),
					       .had_line = true};
	say(dial(), "ee\n", 3);
	net->stop_at = 3;
	net_run();
	assert_string_equal(net->lines, "one|two|three|");
	assert_string_equal(otd_conn_host(net->conn[0]), "192.0.2.7");
	assert_int_equal(otd_conn_port(net->conn[0]), 4711);
	net_close();

	/* Raw bytes, where there is a filter; and early ones alone. */
	net_open_filtered();
	net->origin.early = span_of("HELLO\x02\x3b\x50", 8);
	dial();
	net->stop_at = 1;
	net_run();
	assert_string_equal(net->lines, "a|");
	net_close();

	/* Those that break the rules. */
	net_open_filtered();
	net->origin.early = span_of("JELLO", 5);
	dial();
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->reason, OTD_CONN_TLS);
	net_close();
	assert_int_equal(toys, 0);
}

static void one_that_had_its_line_is_idle_not_silent(void **state)
{
	struct otd_conn_conf conf = {.first_line_ms = -1, .idle_ms = 1};
	(void)state;
	net_open(&conf);
	net->origin.had_line = true;
	dial();
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->reason, OTD_CONN_IDLE);
	net_close();
}

static bool release_from_line(struct net *n, struct otd_conn *c, struct otd_span line)
{
	struct otd_bytes in, out;
	(void)line;
	(void)n;
	otd_bytes_init(&in, 1000);
	otd_bytes_init(&out, 1000);
	assert_null(otd_conn_release(c, &in, &out));
	assert_int_equal(in.len + out.len, 0);
	return true;
}

static void released_between_two_halves_it_goes_on_elsewhere(void **state)
{
	struct otd_conn_conf conf = {0};
	struct otd_bytes in, out;
	struct otd_stream *s;
	char text[64] = "";
	int fd;
	(void)state;
	otd_bytes_init(&in, 1 << 20);
	otd_bytes_init(&out, 1 << 20);
	net_open(&conf);
	fd = dial();
	say(fd, "one\ntw", 6);
	net->on_line = release_from_line;
	net->stop_at = 1;
	net_run();
	assert_int_equal(otd_conn_write(net->conn[0], "pending\n", 8), OTD_OK);
	s = otd_conn_release(net->conn[0], &in, &out);
	assert_non_null(s);
	assert_int_equal(otd_conn_write(net->conn[0], "x", 1), OTD_E_CLOSED);
	assert_null(otd_conn_release(net->conn[0], &in, &out));
	assert_int_equal(in.len, 2);
	assert_memory_equal(in.ptr, "tw", 2);
	assert_int_equal(out.len, 8);
	say(fd, "o\n", 2);
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->reason, OTD_CONN_HANDED_OVER);
	assert_int_equal(recv(fd, text, sizeof(text), 0), -1); /* not sent, not closed */

	struct otd_conn_origin from = {.early = otd_bytes_span(&in), .had_line = true};
	net->on_line = NULL;
	net->n_conns = 2;
	assert_int_equal(otd_conn_open_as(net->g, &net->conn[1], s, net, &from), OTD_OK);
	assert_int_equal(otd_conn_write(net->conn[1], out.ptr, out.len), OTD_OK);
	net->stop_at = 2;
	net_run();
	turn();
	assert_string_equal(net->lines, "one|two|");
	assert_int_equal(recv(fd, text, sizeof(text), 0), 8);
	assert_string_equal(text, "pending\n");
	net_close();
	otd_bytes_finish(&in);
	otd_bytes_finish(&out);
}

static void one_with_a_filter_is_not_released(void **state)
{
	struct otd_bytes in, out;
	(void)state;
	otd_bytes_init(&in, 1000);
	otd_bytes_init(&out, 1000);
	net_open_filtered();
	say(dial(), "HELLO", 5);
	while (!net->conn[0])
		turn();
	assert_null(otd_conn_release(net->conn[0], &in, &out));
	net_close();
	otd_bytes_finish(&in);
	otd_bytes_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_whole_wherever_they_are_split),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(lines_before_the_end_still_count),
		cmocka_unit_test(line_of_exactly_the_limit),
		cmocka_unit_test(endless_line_is_cut_off),
		cmocka_unit_test(answers_leave_and_close_waits_for_them),
		cmocka_unit_test(never_reading_client_is_closed_at_the_limit),
		cmocka_unit_test(stalled_client_is_closed_in_time),
		cmocka_unit_test(much_asking_little_reading_waits),
		cmocka_unit_test(flooder_does_not_starve_the_quiet),
		cmocka_unit_test(paused_hears_nothing),
		cmocka_unit_test(paused_amid_a_batch_goes_on_where_it_was),
		cmocka_unit_test(silent_and_idle_are_closed),
		cmocka_unit_test(each_may_close),
		cmocka_unit_test(close_within_a_line),
		cmocka_unit_test(a_filter_turns_bytes_into_lines_and_back),
		cmocka_unit_test(chunks_split_anywhere),
		cmocka_unit_test(what_is_said_before_the_handshake_waits),
		cmocka_unit_test(a_refusing_filter_closes_behind_its_alert),
		cmocka_unit_test(lines_before_the_filters_end_count),
		cmocka_unit_test(early_bytes_come_first),
		cmocka_unit_test(one_that_had_its_line_is_idle_not_silent),
		cmocka_unit_test(released_between_two_halves_it_goes_on_elsewhere),
		cmocka_unit_test(one_with_a_filter_is_not_released),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
