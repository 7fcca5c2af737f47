/* The subscriber's half of ZMTP: what a publisher sends, cut at every place, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chain/zmq.h"

static unsigned notices;
static struct otd_zmq_notice last;

static void on_notice(void *arg, const struct otd_zmq_notice *n)
{
	(void)arg;
	notices++;
	last = *n;
}

/* As libzmq 4.3 greets a peer of 3.0, and what Bitcoin Core publishes. */
static size_t greeting(uint8_t *to)
{
	static const uint8_t ready[] = {4,   26,  5,   'R', 'E', 'A', 'D', 'Y', 11,  'S',
					'o', 'c', 'k', 'e', 't', '-', 'T', 'y', 'p', 'e',
					0,   0,   0,   4,   'X', 'P', 'U', 'B'};
	memset(to, 0, OTD_ZMQ_GREETING);
	to[0] = 0xff;
	to[9] = 0x7f;
	to[10] = 3;
	to[11] = 1;
	memcpy(to + 12, "NULL", 4);
	memcpy(to + OTD_ZMQ_GREETING, ready, sizeof(ready));
	return OTD_ZMQ_GREETING + sizeof(ready);
}

static size_t block(uint8_t *to, uint8_t first, uint32_t number, bool wide)
{
	size_t n = 0;
	to[n++] = 1;
	to[n++] = 9;
	memcpy(to + n, "hashblock", 9);
	n += 9;
	to[n++] = wide ? 3 : 1;
	for (int i = 0; wide && i < 7; i++)
		to[n++] = 0;
	to[n++] = 32;
	for (unsigned i = 0; i < 32; i++)
		to[n++] = (uint8_t)(first + i);
	to[n++] = 0;
	to[n++] = 4;
	for (int i = 0; i < 4; i++)
		to[n++] = (uint8_t)(number >> (8 * i));
	return n;
}

static otd_rc feed(struct otd_zmq_reader *r, const uint8_t *p, size_t n, size_t step)
{
	struct otd_err err = {0};
	otd_rc rc = OTD_OK;
	for (size_t i = 0; i < n && rc == OTD_OK; i += step)
		rc = otd_zmq_read(r, p + i, n - i < step ? n - i : step, on_notice, NULL, &err);
	assert_true(rc == OTD_OK || (rc == err.rc && err.text[0]));
	return rc;
}

static void test_cut_everywhere(void **state)
{
	uint8_t bytes[1024];
	(void)state;
	size_t n = greeting(bytes);
	n += block(bytes + n, 1, 7, false);
	n += block(bytes + n, 0xa0, 0x80000008, true);
	for (size_t step = 1; step <= n; step++) {
		struct otd_zmq_reader r;
		otd_zmq_reader_init(&r);
		notices = 0;
		assert_int_equal(feed(&r, bytes, n, step), OTD_OK);
		assert_true(r.ready);
		assert_int_equal(notices, 2);
		assert_int_equal(last.hash[31], 0xa0); /* the wire has the last byte first */
		assert_int_equal(last.hash[0], 0xa0 + 31);
		assert_true(last.numbered);
		assert_int_equal(last.number, 0x80000008);
		otd_zmq_reader_finish(&r);
	}
}

/* Byte `at` of a good conversation made `to`: refused with words. */
static void spoilt(size_t at, uint8_t to, otd_rc want)
{
	uint8_t bytes[256];
	struct otd_zmq_reader r;
	size_t n = greeting(bytes);
	n += block(bytes + n, 1, 1, false);
	bytes[at] = to;
	otd_zmq_reader_init(&r);
	assert_int_equal(feed(&r, bytes, n, 16), want);
	otd_zmq_reader_finish(&r);
}

static void test_what_is_no_publisher(void **state)
{
	uint8_t bytes[OTD_ZMQ_GREETING + 64];
	struct otd_zmq_reader r;
	(void)state;
	spoilt(0, 'H', OTD_E_INVALID);           /* not ZMQ */
	spoilt(9, 0, OTD_E_INVALID);             /* nor this */
	spoilt(10, 1, OTD_E_UNSUPPORTED);        /* of 2012 */
	spoilt(12, 'C', OTD_E_UNSUPPORTED);      /* CURVE and its kin */
	spoilt(64, 0x40, OTD_E_INVALID);         /* flags that there are not */
	spoilt(64 + 24, 'Q', OTD_E_INVALID);     /* QPUB */
	spoilt(64 + 20, 0xff, OTD_E_INVALID);    /* a property longer than the frame */
	spoilt(64 + 2, 0, OTD_E_INVALID);        /* a command without a name */
	spoilt(64, 0, OTD_E_INVALID);            /* a message before READY */
	spoilt(64 + 28 + 12, 200, OTD_OK);       /* a frame that is still to come */
	spoilt(64 + 28 + 12, 31, OTD_E_INVALID); /* a hash of 31 bytes */
	/* An HTTP server is known by its first bytes. */
	otd_zmq_reader_init(&r);
	assert_int_equal(feed(&r, (const uint8_t *)"HTTP/1.1 400\r\n", 14, 14), OTD_E_INVALID);
	otd_zmq_reader_finish(&r);
	/* Frames are bounded, whatever they say. */
	size_t n = greeting(bytes);
	memcpy(bytes + n, "\x02\x7f\xff\xff\xff\xff\xff\xff\xff", 9);
	otd_zmq_reader_init(&r);
	assert_int_equal(feed(&r, bytes, n + 9, 99), OTD_E_RANGE);
	otd_zmq_reader_finish(&r);
	/* An ERROR tells its words. */
	n = OTD_ZMQ_GREETING;
	memcpy(bytes + n,
	       "\x04\x0a\x05"
	       "ERROR"
	       "\x03"
	       "no!",
	       12);
	struct otd_err err = {0};
	otd_zmq_reader_init(&r);
	assert_int_equal(otd_zmq_read(&r, bytes, n + 12, on_notice, NULL, &err), OTD_E_REFUSED);
	assert_non_null(strstr(err.text, "no!"));
	otd_zmq_reader_finish(&r);
}

static void test_other_topics(void **state)
{
	uint8_t bytes[512];
	struct otd_zmq_reader r;
	(void)state;
	size_t n = greeting(bytes);
	size_t at = n;
	n += block(bytes + n, 1, 1, false);
	memcpy(bytes + at + 2, "hashblocx", 9);
	otd_zmq_reader_init(&r);
	notices = 0;
	assert_int_equal(feed(&r, bytes, n, 64), OTD_OK);
	assert_int_equal(notices, 0);
	/* A topic alone, and one without a number. */
	assert_int_equal(feed(&r, (const uint8_t *)"\x00\x09hashblock", 11, 11), OTD_OK);
	assert_int_equal(notices, 0);
	n = block(bytes, 5, 1, false);
	bytes[11] = 0; /* the hash is its last part */
	assert_int_equal(feed(&r, bytes, n - 6, 64), OTD_OK);
	assert_int_equal(notices, 1);
	assert_false(last.numbered);
	otd_zmq_reader_finish(&r);
}

static void test_what_we_say(void **state)
{
	struct otd_bytes out;
	uint8_t hello[OTD_ZMQ_GREETING];
	(void)state;
	otd_bytes_init(&out, 256);
	otd_zmq_greeting(hello);
	assert_memory_equal(hello, "\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL", 16);
	assert_int_equal(otd_zmq_hello(&out), OTD_OK);
	assert_int_equal(out.len, 27);
	assert_int_equal(out.ptr[1], 25);
	otd_bytes_clear(&out);
	assert_int_equal(otd_zmq_subscribe(&out), OTD_OK);
	assert_int_equal(out.len, 12);
	assert_memory_equal(out.ptr, "\x00\x0a\x01hashblock", 12);
	otd_bytes_finish(&out);
}

static void test_addresses(void **state)
{
	static const char *const bad[] = {
		"",           "127.0.0.1:1",   "ipc:///tmp/x",     "tcp://",
		"tcp://:1",   "tcp://a",       "tcp://a:0",        "tcp://a:65536",
		"tcp://a:1x", "tcp://*:28332", "tcp://[::1]28332", "tcp://u@h:1",
		"tcp://a/b:1"};
	struct otd_zmq_address a;
	struct otd_err err = {0};
	(void)state;
	assert_int_equal(otd_zmq_address_parse(&a, "tcp://127.0.0.1:28332", &err), OTD_OK);
	assert_string_equal(a.host, "127.0.0.1");
	assert_int_equal(a.port, 28332);
	assert_int_equal(otd_zmq_address_parse(&a, "tcp://[::1]:5", &err), OTD_OK);
	assert_string_equal(a.host, "::1");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = (struct otd_err){0};
		assert_int_not_equal(otd_zmq_address_parse(&a, bad[i], &err), OTD_OK);
		assert_true(err.text[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_everywhere), cmocka_unit_test(test_what_is_no_publisher),
		cmocka_unit_test(test_other_topics),   cmocka_unit_test(test_what_we_say),
		cmocka_unit_test(test_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
