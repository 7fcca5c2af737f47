#include "common/hostile.h"
#include "common/measure.h"
#include "common/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <otedama/sha256.h>
#include <otedama/u256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RECONNECT_MS = 25, /* between two connections of one client */
	BURST = 64 << 10,  /* bytes handed to a socket at once */
	DEEP = 30000,      /* brackets of one line */
	NESTED = 4900,     /* the same, within the limit of a line */
	GENTLE = 100,      /* submits a second */
	LINES = 256,       /* ready made */
	LINE_MAX = 512,
	IN_MAX = 16 << 10
};

enum kind {
	GARBAGE,
	ENDLESS,
	DEEP_JSON,
	NESTED_JSON,
	HALF_OPEN,
	LORIS,
	FLOOD,
	GENTLE_FLOOD,
	CHURN,
	DUPLICATE,
	LOW,
	STALE,
	N_KINDS
};

static const char *const names[N_KINDS] = {"garbage",   "endless",   "deep",  "nested",
					   "half-open", "loris",     "flood", "gentle",
					   "churn",     "duplicate", "low",   "stale"};

const char hostile_kinds[] = "  garbage     random bytes, as fast as they go\n"
			     "  endless     a line without an end\n"
			     "  deep        JSON of 30,000 brackets\n"
			     "  nested      JSON as deep as the limit of a line lets it be\n"
			     "  half-open   connects and says nothing\n"
			     "  loris       one byte a second\n"
			     "  flood       submits of no job, and never reads\n"
			     "  gentle      the same, 100 a second\n"
			     "  churn       connects and resets\n"
			     "  duplicate   one good share again and again\n"
			     "  low         one share below the difficulty again and again\n"
			     "  stale       submits of no job\n";

struct client {
	int fd; /* -1: none */
	bool connected, ready;
	int64_t next_ns; /* when it connects again; when its next byte is due */
	int64_t due_from_ns;
	uint64_t sent_lines; /* of those due */
	size_t rest;         /* bytes of the line under way that are not sent */
	const char *rest_at;
	uint8_t en1[WIRE_EXTRANONCE_MAX];
	size_t en1_len, en2_len;
	struct wire_job job;
	double difficulty;
	char line[LINE_MAX];
	size_t line_len, in_len;
	char in[IN_MAX];
};

struct hostile {
	enum kind kind;
	unsigned n, rate, address;
	struct sockaddr_in to;
	const char *user;
	struct hostile_figures f;
	char block[BURST]; /* bytes of the kind, where they are always the same */
	size_t block_len;
	struct client c[];
};

/* --- what they say --- */

static void make_block(struct hostile *h)
{
	size_t n = BURST;
	switch (h->kind) {
	case GARBAGE:
		if (getrandom(h->block, 256, 0) != 256)
			abort();
		for (size_t i = 256; i < n; i++)
			h->block[i] = (char)(h->block[i - 256] * 5 + 1);
		for (size_t i = 63; i < n; i += 64)
			h->block[i] = '\n';
		break;
	case DEEP_JSON:
	case NESTED_JSON:
		n = h->kind == DEEP_JSON ? DEEP : NESTED;
		memset(h->block, '[', n);
		h->block[n++] = '\n';
		break;
	default: memset(h->block, 'x', n); break;
	}
	h->block_len = n;
}

static size_t greeting(const struct hostile *h, char *to, size_t cap)
{
	int n = snprintf(
		to, cap,
		"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"bad\"]}\n"
		"{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"%s.bad\",\"x\"]}\n",
		h->user);
	return (size_t)n;
}

/* The submit that it will repeat. */
static void make_submit(const struct hostile *h, struct client *c)
{
	uint8_t en2[WIRE_EXTRANONCE_MAX] = {0}, header[80], hash[32], target[32];
	char digits[2 * WIRE_EXTRANONCE_MAX + 1] = "";
	uint32_t nonce = 0;
	bool mined = h->kind == DUPLICATE || h->kind == LOW;
	if (mined) {
		if (getrandom(en2, c->en2_len, 0) != (ssize_t)c->en2_len)
			abort();
		wire_target(target, c->difficulty);
		for (bool good = h->kind == LOW; good == (h->kind == LOW); nonce++) {
			wire_header(header, &c->job, c->en1, c->en1_len, en2, c->en2_len,
				    c->job.ntime, nonce);
			otd_sha256d_80(hash, 32, header, 80, 1);
			good = otd_u256_cmp(otd_u256_from_le(hash), otd_u256_from_le(target)) <= 0;
		}
		nonce--;
	}
	*wire_hex(digits, en2, mined ? c->en2_len : 4) = 0;
	c->line_len = (size_t)snprintf(
		c->line, sizeof(c->line),
		"{\"id\":7,\"method\":\"mining.submit\",\"params\":[\"%s.bad\",\"%.*s\",\"%s\","
		"\"%08x\",\"%08x\"]}\n",
		h->user, mined ? (int)c->job.id_len : 10, mined ? c->job.id : "ffffffff00", digits,
		mined ? c->job.ntime : 0x6560f3b0, nonce);
}

/* --- their sockets --- */

static void lose(struct hostile *h, struct client *c, int64_t now_ns)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	c->connected = c->ready = false;
	c->in_len = c->rest = 0;
	c->sent_lines = 0;
	c->next_ns = now_ns + RECONNECT_MS * INT64_C(1000000);
	wire_job_finish(&c->job);
	h->f.closed++;
	h->f.open--;
}

static void dial(struct hostile *h, struct client *c, unsigned index, int64_t now_ns)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	int on = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return;
	h->f.open++;
	/* Four clients an address, so that limits by address are met too. */
	from.sin_addr.s_addr = htonl(0x7f800000u + h->address + index / 4);
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
	    (connect(c->fd, (struct sockaddr *)&h->to, sizeof(h->to)) != 0 &&
	     errno != EINPROGRESS)) {
		lose(h, c, now_ns);
		return;
	}
	h->f.connects++;
	c->next_ns = now_ns;
	c->due_from_ns = now_ns;
}

/* Bytes that the socket took; those of a broken one are none. */
static size_t put(struct hostile *h, struct client *c, const char *p, size_t n, int64_t now_ns)
{
	ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
	if (sent < 0) {
		if (errno != EAGAIN && errno != ENOTCONN)
			lose(h, c, now_ns);
		return 0;
	}
	h->f.bytes += (uint64_t)sent;
	return (size_t)sent;
}

/* A line goes out whole, maybe in several steps. */
static void put_line(struct hostile *h, struct client *c, const char *p, size_t n, int64_t now_ns)
{
	size_t sent = put(h, c, p, n, now_ns);
	c->rest = c->fd < 0 ? 0 : n - sent;
	c->rest_at = p + sent;
}

static void hear_line(struct hostile *h, struct client *c, const char *p, size_t n)
{
	struct wire_span items[3], v;
	struct wire_line l;
	char text[64];
	if (!wire_read_line(&l, p, n))
		return;
	if (wire_number(l.id) == 1 && wire_items(items, 3, l.result) == 3) {
		int got = wire_unhex(c->en1, sizeof(c->en1), wire_text(items[1]));
		int64_t n2 = wire_number(items[2]);
		c->en1_len = got > 0 ? (size_t)got : 0;
		c->en2_len = n2 > 0 && n2 <= WIRE_EXTRANONCE_MAX ? (size_t)n2 : 4;
	} else if (wire_is(wire_text(l.method), "mining.set_difficulty") &&
		   wire_item(&v, l.params, 0)) {
		snprintf(text, sizeof(text), "%.*s", (int)(v.n < 63 ? v.n : 63), v.p);
		c->difficulty = strtod(text, NULL);
	} else if (wire_is(wire_text(l.method), "mining.notify") && c->en2_len) {
		if (wire_job_read(&c->job, l.params)) {
			make_submit(h, c);
			c->ready = true;
		}
	}
}

/* Reads until it knows what to send, and what comes afterwards for nothing. */
static void hear(struct hostile *h, struct client *c, int64_t now_ns)
{
	ssize_t got = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, 0);
	char *p = c->in, *nl;
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != ENOTCONN)) {
		lose(h, c, now_ns);
		return;
	}
	if (got < 0)
		return;
	c->in_len += (size_t)got;
	while (!c->ready && (nl = memchr(p, '\n', c->in_len - (size_t)(p - c->in)))) {
		hear_line(h, c, p, (size_t)(nl - p));
		p = nl + 1;
	}
	c->in_len -= (size_t)(p - c->in);
	if (c->ready || c->in_len == sizeof(c->in))
		c->in_len = 0;
	memmove(c->in, p, c->in_len);
}

/* --- what is due --- */

static void flood(struct hostile *h, struct client *c, int64_t now_ns)
{
	char many[BURST];
	uint64_t rate = h->kind == GENTLE_FLOOD ? GENTLE : h->rate;
	uint64_t due = (uint64_t)(now_ns - c->due_from_ns) * rate / 1000000000;
	size_t n = 0, lines = 0, sent;
	if (c->rest) {
		put_line(h, c, c->rest_at, c->rest, now_ns);
		if (c->rest || c->fd < 0)
			return;
	}
	for (; c->sent_lines + lines < due && n + c->line_len <= sizeof(many); lines++) {
		memcpy(many + n, c->line, c->line_len);
		n += c->line_len;
	}
	if (!n)
		return;
	sent = put(h, c, many, n, now_ns);
	if (c->fd < 0)
		return;
	/* What the socket does not take now is not asked for again: it was offered. */
	c->rest = sent % c->line_len ? c->line_len - sent % c->line_len : 0;
	c->rest_at = c->line + c->line_len - c->rest;
	h->f.lines += (sent + c->rest) / c->line_len;
	c->sent_lines = due;
}

static void pour(struct hostile *h, struct client *c, int64_t now_ns)
{
	if (c->rest) {
		put_line(h, c, c->rest_at, c->rest, now_ns);
		return;
	}
	put_line(h, c, h->block, h->block_len, now_ns);
	h->f.lines++;
}

static void say_hello(struct hostile *h, struct client *c, int64_t now_ns)
{
	char text[LINE_MAX];
	size_t n = greeting(h, text, sizeof(text));
	int error = 0;
	socklen_t len = sizeof(error);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error) {
		lose(h, c, now_ns);
		return;
	}
	if (put(h, c, text, n, now_ns) != n)
		return; /* not connected yet */
	c->connected = true;
	c->due_from_ns = now_ns;
	if (h->kind == FLOOD ||
	    h->kind == GENTLE_FLOOD) { /* it never reads, not even this answer */
		make_submit(h, c);
		c->ready = true;
	}
}

static void reset(struct hostile *h, struct client *c, int64_t now_ns)
{
	struct linger now = {1, 0};
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	lose(h, c, now_ns);
}

static void loris(struct hostile *h, struct client *c, int64_t now_ns)
{
	static const char text[] = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}";
	if (now_ns < c->next_ns)
		return;
	c->next_ns = now_ns + 1000000000;
	put(h, c, text + c->sent_lines++ % (sizeof(text) - 1), 1, now_ns);
}

static bool closed_by_peer(struct client *c)
{
	char byte;
	ssize_t got = recv(c->fd, &byte, 1, MSG_PEEK);
	return got == 0 || (got < 0 && errno != EAGAIN && errno != ENOTCONN);
}

static void step(struct hostile *h, struct client *c, int64_t now_ns)
{
	switch (h->kind) {
	case CHURN: reset(h, c, now_ns); break;
	case HALF_OPEN:
	case LORIS:
		if (closed_by_peer(c))
			lose(h, c, now_ns);
		else if (h->kind == LORIS)
			loris(h, c, now_ns);
		break;
	case GARBAGE:
	case ENDLESS:
	case DEEP_JSON:
	case NESTED_JSON:
		if (closed_by_peer(c))
			lose(h, c, now_ns);
		else
			pour(h, c, now_ns);
		break;
	default:
		if (!c->connected)
			say_hello(h, c, now_ns);
		else if (h->kind != FLOOD && h->kind != GENTLE_FLOOD)
			hear(h, c, now_ns);
		if (c->fd >= 0 && c->ready)
			flood(h, c, now_ns);
		break;
	}
}

void hostile_step(struct hostile *h, int64_t now_ns)
{
	for (unsigned i = 0; i < h->n; i++) {
		if (h->c[i].fd >= 0)
			step(h, &h->c[i], now_ns);
		else if (now_ns >= h->c[i].next_ns)
			dial(h, &h->c[i], i, now_ns);
	}
}

/* --- life --- */

struct hostile *hostile_start(const char *kind, unsigned n, unsigned rate, struct sockaddr_in to,
			      const char *user)
{
	unsigned k = 0;
	uint16_t place;
	struct hostile *h;
	while (k < N_KINDS && strcmp(names[k], kind) != 0)
		k++;
	if (k == N_KINDS)
		return NULL;
	h = calloc(1, sizeof(*h) + n * sizeof(h->c[0]));
	if (!h || getrandom(&place, sizeof(place), 0) != sizeof(place))
		abort();
	h->kind = (enum kind)k;
	h->n = n;
	h->rate = rate;
	h->to = to;
	h->user = user;
	h->address = 2 + place;
	for (unsigned i = 0; i < n; i++) {
		h->c[i].fd = -1;
		h->c[i].difficulty = 1;
	}
	make_block(h);
	return h;
}

void hostile_read(const struct hostile *h, struct hostile_figures *f)
{
	*f = h->f;
}

void hostile_stop(struct hostile *h)
{
	for (unsigned i = 0; h && i < h->n; i++) {
		if (h->c[i].fd >= 0)
			lose(h, &h->c[i], 0);
	}
	free(h);
}
