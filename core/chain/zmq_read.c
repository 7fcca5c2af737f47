/* ZMTP 3.0 as a subscriber reads and writes it. See chain/zmq.h. */
#include "chain/zmq.h"

#include <string.h>

#include "base/text.h"

enum { FLAG_MORE = 1, FLAG_LONG = 2, FLAG_COMMAND = 4, FLAGS = 7 };

#define READ_MAX (2 * OTD_ZMQ_FRAME_MAX + OTD_ZMQ_GREETING)

/* --- what we say --- */

void otd_zmq_greeting(uint8_t out[OTD_ZMQ_GREETING])
{
	memset(out, 0, OTD_ZMQ_GREETING);
	out[0] = 0xff; /* signature: ff, eight of padding, 7f */
	out[9] = 0x7f;
	out[10] = 3; /* version 3.0: a peer that knows more comes down to it */
	memcpy(out + 12, "NULL", 4);
}

otd_rc otd_zmq_hello(struct otd_bytes *out)
{
	static const uint8_t frame[] = {FLAG_COMMAND, 25,  5,   'R', 'E', 'A', 'D', 'Y', 11,
					'S',          'o', 'c', 'k', 'e', 't', '-', 'T', 'y',
					'p',          'e', 0,   0,   0,   3,   'S', 'U', 'B'};
	return otd_bytes_add(out, frame, sizeof(frame));
}

otd_rc otd_zmq_subscribe(struct otd_bytes *out)
{
	/* In 3.0 it is a message: one byte 1, then the topic. */
	const uint8_t head[] = {0, sizeof(OTD_ZMQ_TOPIC), 1};
	otd_rc rc = otd_bytes_add(out, head, sizeof(head));
	return rc ? rc : otd_bytes_add(out, OTD_ZMQ_TOPIC, sizeof(OTD_ZMQ_TOPIC) - 1);
}

/* --- what they say --- */

void otd_zmq_reader_init(struct otd_zmq_reader *r)
{
	*r = (struct otd_zmq_reader){0};
	otd_bytes_init(&r->in, READ_MAX);
}

void otd_zmq_reader_finish(struct otd_zmq_reader *r)
{
	otd_bytes_finish(&r->in);
}

static otd_rc read_greeting(const uint8_t *p, struct otd_err *err)
{
	static const uint8_t null[20] = "NULL";
	if (p[0] != 0xff || p[9] != 0x7f)
		return otd_fail(err, OTD_E_INVALID,
				"what answers there does not speak ZMQ; is this the port of "
				"zmqpubhashblock, and not of RPC?");
	if (p[10] < 3)
		return otd_fail(err, OTD_E_UNSUPPORTED,
				"it speaks version %u of ZMQ's protocol, from before libzmq 4; we "
				"need 3",
				p[10]);
	if (memcmp(p + 12, null, sizeof(null)) != 0)
		return otd_fail(err, OTD_E_UNSUPPORTED,
				"it wants a security mechanism, which nodes do not use");
	return OTD_OK;
}

/* The value of a property of READY: NAME, value; lengths of 1 and 4 bytes before them. */
static bool property(struct otd_span *value, const uint8_t *p, size_t n, const char *name)
{
	while (n >= 1) {
		size_t name_len = p[0];
		if (n < 1 + name_len + 4)
			return false;
		const uint8_t *v = p + 1 + name_len;
		size_t len = (size_t)v[0] << 24 | (size_t)v[1] << 16 | (size_t)v[2] << 8 | v[3];
		if (len > n - 1 - name_len - 4)
			return false;
		if (name_len == strlen(name) && memcmp(p + 1, name, name_len) == 0) {
			*value = (struct otd_span){v + 4, len};
			return true;
		}
		p = v + 4 + len;
		n -= 1 + name_len + 4 + len;
	}
	return false;
}

static bool is(struct otd_span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

/* What is printable of them. */
static void words_of(char *out, size_t cap, const uint8_t *p, size_t n)
{
	size_t i = 0;
	for (; i < n && i + 1 < cap; i++)
		out[i] = p[i] >= ' ' && p[i] <= '~' ? (char)p[i] : '?';
	out[i] = 0;
}

static otd_rc read_command(struct otd_zmq_reader *r, const uint8_t *p, size_t n,
			   struct otd_err *err)
{
	struct otd_span type = {0};
	if (n < 1 || p[0] == 0 || (size_t)p[0] + 1 > n)
		return otd_fail(err, OTD_E_INVALID, "it sends a command without a name");
	struct otd_span name = {p + 1, p[0]};
	const uint8_t *rest = p + 1 + p[0];
	size_t left = n - 1 - p[0];
	if (is(name, "ERROR")) {
		char words[120] = "no words";
		if (left >= 1 && rest[0] && (size_t)rest[0] + 1 <= left)
			words_of(words, sizeof(words), rest + 1, rest[0]);
		return otd_fail(err, OTD_E_REFUSED, "it refuses us: %s", words);
	}
	if (!is(name, "READY") || r->ready)
		return OTD_OK; /* of a later version */
	if (!property(&type, rest, left, "Socket-Type") || (!is(type, "PUB") && !is(type, "XPUB")))
		return otd_fail(err, OTD_E_INVALID,
				"it is no publisher; give the address of zmqpubhashblock");
	r->ready = true;
	return OTD_OK;
}

static void message_ends(struct otd_zmq_reader *r, otd_zmq_notice_fn fn, void *arg)
{
	if (r->ours && r->whole)
		fn(arg, &r->notice);
	r->part = 0;
	r->ours = r->whole = false;
}

static otd_rc read_part(struct otd_zmq_reader *r, const uint8_t *p, size_t n, bool more,
			otd_zmq_notice_fn fn, void *arg, struct otd_err *err)
{
	if (!r->ready)
		return otd_fail(err, OTD_E_INVALID, "it sends messages before it is ready");
	if (r->part == 0) {
		r->ours = is((struct otd_span){p, n}, OTD_ZMQ_TOPIC);
		r->notice = (struct otd_zmq_notice){0};
	} else if (r->part == 1 && r->ours) {
		if (n != 32)
			return otd_fail(err, OTD_E_INVALID,
					"its '" OTD_ZMQ_TOPIC "' has %zu bytes, a hash has 32", n);
		/* On this wire as people write it. */
		for (size_t i = 0; i < 32; i++)
			r->notice.hash[i] = p[31 - i];
		r->whole = true;
	} else if (r->part == 2 && r->ours && n == 4) {
		r->notice.numbered = true;
		r->notice.number = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
				   (uint32_t)p[3] << 24;
	}
	r->part += r->part < 3;
	if (!more)
		message_ends(r, fn, arg);
	return OTD_OK;
}

/* One frame of p; *used 0: it is not whole yet. */
static otd_rc read_frame(struct otd_zmq_reader *r, size_t *used, const uint8_t *p, size_t n,
			 otd_zmq_notice_fn fn, void *arg, struct otd_err *err)
{
	size_t head = n && (p[0] & FLAG_LONG) ? 9 : 2;
	uint64_t len = 0;
	*used = 0;
	if (n && ((p[0] & ~FLAGS) || ((p[0] & FLAG_COMMAND) && (p[0] & FLAG_MORE))))
		return otd_fail(err, OTD_E_INVALID, "it sends a frame of no kind that there is");
	if (n < head)
		return OTD_OK;
	for (size_t i = 1; i < head; i++)
		len = len << 8 | p[i];
	if (len > OTD_ZMQ_FRAME_MAX)
		return otd_fail(err, OTD_E_RANGE,
				"it sends %llu bytes in one frame; a notice of a block has 32",
				(unsigned long long)len);
	if (n - head < len)
		return OTD_OK;
	*used = head + (size_t)len;
	if (p[0] & FLAG_COMMAND)
		return read_command(r, p + head, (size_t)len, err);
	return read_part(r, p + head, (size_t)len, p[0] & FLAG_MORE, fn, arg, err);
}

/* What is whole in r->in. */
static otd_rc read_whole(struct otd_zmq_reader *r, otd_zmq_notice_fn fn, void *arg,
			 struct otd_err *err)
{
	size_t at = 0, used = 1;
	otd_rc rc = OTD_OK;
	if (!r->greeted && r->in.len >= OTD_ZMQ_GREETING) {
		rc = read_greeting(r->in.ptr, err);
		r->greeted = rc == OTD_OK;
		at = OTD_ZMQ_GREETING;
	} else if (!r->greeted && r->in.len && r->in.ptr[0] != 0xff) {
		rc = read_greeting((const uint8_t[OTD_ZMQ_GREETING]){0}, err);
	}
	while (rc == OTD_OK && r->greeted && used) {
		rc = read_frame(r, &used, r->in.ptr + at, r->in.len - at, fn, arg, err);
		at += used;
	}
	if (rc == OTD_OK && r->greeted)
		otd_bytes_drop(&r->in, at);
	return rc;
}

otd_rc otd_zmq_read(struct otd_zmq_reader *r, const void *bytes, size_t n, otd_zmq_notice_fn fn,
		    void *arg, struct otd_err *err)
{
	const uint8_t *p = bytes;
	while (n) {
		/* What stays is less than a frame, so that there is always room for some. */
		size_t some = n < OTD_ZMQ_FRAME_MAX ? n : OTD_ZMQ_FRAME_MAX;
		if (otd_bytes_add(&r->in, p, some) != OTD_OK)
			return otd_fail(err, OTD_E_NOMEM, "no memory for what it sends");
		p += some;
		n -= some;
		otd_rc rc = read_whole(r, fn, arg, err);
		if (rc)
			return rc;
	}
	return OTD_OK;
}

/* --- addresses --- */

otd_rc otd_zmq_address_parse(struct otd_zmq_address *out, const char *url, struct otd_err *err)
{
	static const char scheme[] = "tcp://";
	const char *host = url + sizeof(scheme) - 1, *end;
	uint64_t port = 0;
	if (strncmp(url, scheme, sizeof(scheme) - 1) != 0)
		return otd_fail(err, OTD_E_UNSUPPORTED,
				"'%.100s' is not tcp://HOST:PORT; give what the node's "
				"zmqpubhashblock says (ipc:// is not spoken here)",
				url);
	bool v6 = *host == '[';
	host += v6;
	end = v6 ? strchr(host, ']') : strrchr(host, ':');
	const char *number = !end ? NULL : v6 ? end + 1 + (end[1] == ':') : end + 1;
	if (!number || end == host || (v6 && end[1] != ':') ||
	    otd_parse_u64(&port, number, strlen(number)) || port == 0 || port > 65535)
		return otd_fail(err, OTD_E_INVALID,
				"'%.100s' is not tcp://HOST:PORT, such as tcp://127.0.0.1:28332",
				url);
	size_t n = (size_t)(end - host);
	if (n >= sizeof(out->host) || (n == 1 && *host == '*') || strpbrk(host, " \t/@\"'"))
		return otd_fail(err, OTD_E_INVALID,
				"'%.100s': this is no host to connect to, such as 127.0.0.1", url);
	memcpy(out->host, host, n);
	out->host[n] = 0;
	out->port = (uint16_t)port;
	return OTD_OK;
}
