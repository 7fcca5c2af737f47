/* Line framing and the manners of connections, over loopback with a plain socket as the peer. */
#include "conn_net.h"

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

/* --- text for many --- */

#define TEXT_LEN (3 << 20) /* more than two sockets take at once */

static size_t drain_fd(int fd, char *to, size_t cap)
{
	ssize_t got = recv(fd, to, cap, 0);
	return got > 0 ? (size_t)got : 0;
}

/* Each gets all of it in order, with what was written before and behind it, however slowly it reads. */
static void a_text_for_many_reaches_each(void **state)
{
	struct otd_conn_conf conf = {.out_max = 16 << 20};
	static char text[TEXT_LEN], got[PEERS][TEXT_LEN + 16];
	struct otd_span parts[2] = {{(uint8_t *)text, TEXT_LEN / 2},
				    {(uint8_t *)text + TEXT_LEN / 2, TEXT_LEN / 2}};
	struct otd_conn_text *t;
	size_t len[PEERS] = {0};
	(void)state;
	for (size_t i = 0; i < TEXT_LEN; i++)
		text[i] = (char)(i * 2654435761u >> 24);
	net_open(&conf);
	for (int i = 0; i < PEERS; i++)
		dial();
	while (net->n_conns < PEERS)
		turn();
	assert_int_equal(otd_conn_text_create(&t, parts, 2), OTD_OK);
	assert_int_equal(otd_conn_write(net->conn[0], "first", 5), OTD_OK); /* copied behind it */
	for (int i = 0; i < PEERS; i++) {
		assert_int_equal(otd_conn_write_text(net->conn[i], t), OTD_OK);
		assert_int_equal(otd_conn_pending(net->conn[i]), TEXT_LEN + (i ? 0 : 5));
	}
	assert_int_equal(otd_conn_write(net->conn[1], "after", 5), OTD_OK);
	otd_conn_text_drop(t); /* they hold it */
	otd_conn_close(net->conn[2], "kicked");
	for (int rounds = 0;
	     rounds < 2000 && (len[0] < TEXT_LEN + 5 || len[1] < TEXT_LEN + 5 || len[3] < TEXT_LEN);
	     rounds++) {
		turn();
		for (int i = 0; i < PEERS; i++)
			len[i] += drain_fd(net->fd[i], got[i] + len[i], 200000 / (i + 1));
	}
	assert_int_equal(len[0], TEXT_LEN + 5);
	assert_memory_equal(got[0], "first", 5);
	assert_memory_equal(got[0] + 5, text, TEXT_LEN);
	assert_int_equal(len[1], TEXT_LEN + 5);
	assert_memory_equal(got[1], text, TEXT_LEN);
	assert_memory_equal(got[1] + TEXT_LEN, "after", 5);
	assert_int_equal(len[3], TEXT_LEN);
	assert_memory_equal(got[3], text, TEXT_LEN);
	net_close();
}

static void a_text_that_waits_is_handed_over(void **state)
{
	struct otd_conn_conf conf = {0};
	struct otd_span part = {(const uint8_t *)"a job", 5};
	struct otd_conn_text *t;
	struct otd_bytes in, out;
	(void)state;
	otd_bytes_init(&in, 1000);
	otd_bytes_init(&out, 1000);
	net_open(&conf);
	dial();
	while (!net->conn[0])
		turn();
	assert_int_equal(otd_conn_text_create(&t, &part, 1), OTD_OK);
	assert_int_equal(otd_conn_write_text(net->conn[0], t), OTD_OK);
	assert_int_equal(otd_conn_write(net->conn[0], ", more", 6), OTD_OK);
	otd_conn_text_drop(t);
	net->ops->stream_close(otd_conn_release(net->conn[0], &in, &out));
	assert_int_equal(out.len, 11);
	assert_memory_equal(out.ptr, "a job, more", 11);
	net_close();
	otd_bytes_finish(&in);
	otd_bytes_finish(&out);
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
		cmocka_unit_test(a_text_for_many_reaches_each),
		cmocka_unit_test(a_text_that_waits_is_handed_over),
		cmocka_unit_test(flooder_does_not_starve_the_quiet),
		cmocka_unit_test(paused_hears_nothing),
		cmocka_unit_test(paused_amid_a_batch_goes_on_where_it_was),
		cmocka_unit_test(silent_and_idle_are_closed),
		cmocka_unit_test(each_may_close),
		cmocka_unit_test(close_within_a_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
