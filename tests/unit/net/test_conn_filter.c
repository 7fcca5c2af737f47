/* Connections through a filter, from elsewhere and to elsewhere. */
#include "conn_net.h"

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
	net->filter = toy_create;
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
