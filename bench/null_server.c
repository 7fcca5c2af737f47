/*
 * The floor that a pool is measured against, and no pool: one epoll thread, one job, no accounts, no
 * journal, no ledger. With -V every share is validated in full (coinbase, 12 branches, header, target,
 * duplicate table); without it every submit is answered "true", which is the ceiling of the generator.
 *
 * On SIGUSR1 every client that has authorized is sent the job again, as that of a new tip.
 *
 *   null_server [-V] [-d DIFFICULTY] [PORT]     prints "PORT" on a line when it listens
 */
#include "common/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <otedama/sha256.h>
#include <otedama/u256.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_MAX = 64 << 10, OUT_MAX = 1 << 20, EVENTS = 256, BRANCHES = 12, EN2 = 4 };

static const char coinb1[] = "020000000100000000000000000000000000000000000000000000000000000000000"
			     "00000ffffffff2503a0860100"
			     "04b0c1d2e308";
static const char coinb2[] = "0d2f6f746564616d612f62656e6368ffffffff0200f90295000000001600148c84238"
			     "2922a6699f5d9e233afc0d2c7"
			     "63670df60000000000000000266a24aa21a9ede2f61c3f71d1defd3fa999dfa369537"
			     "55c690689799962b48bebd836"
			     "974e8cf900000000";

struct client {
	struct client *prev, *next;
	int fd;
	bool authorized;
	uint32_t en1;
	char *in, *out;
	size_t in_len, in_cap, out_len;
};

/* Shares are told apart by 128 bits of their hash. */
struct seen {
	uint64_t key[2];
};

static int epoll_fd, listener;
static bool validate;
static double difficulty = 1e-9;
static struct wire_job job;
static uint8_t target[32];
static struct seen *table;
static size_t table_cap, table_n;
static char job_line[8192], reply[OUT_MAX], buffer[READ_MAX];
static size_t job_line_len, notify_at, reply_len;
static struct client *clients;
static volatile sig_atomic_t new_tip;
static uint32_t next_en1 = 0x01000000;

static void fail(const char *what)
{
	fprintf(stderr, "null_server: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void make_job(void)
{
	struct wire_line l;
	char *p = job_line, *end = job_line + sizeof(job_line);
	uint8_t branch[32];
	p += snprintf(p, (size_t)(end - p),
		      "{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[%g]}\n",
		      difficulty);
	char *notify = p;
	notify_at = (size_t)(p - job_line);
	p += snprintf(p, (size_t)(end - p),
		      "{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"0000000100\","
		      "\"%064x\",\"%s\",\"%s\",[",
		      0x1234, coinb1, coinb2);
	for (int i = 0; i < BRANCHES; i++) {
		otd_sha256(branch, &i, sizeof(i));
		p += snprintf(p, (size_t)(end - p), "%s\"", i ? "," : "");
		p = wire_hex(p, branch, 32);
		*p++ = '"';
	}
	p += snprintf(p, (size_t)(end - p), "],\"20000000\",\"1703ffff\",\"6560f3b0\",true]}\n");
	job_line_len = (size_t)(p - job_line);
	if (!wire_read_line(&l, notify, (size_t)(p - notify - 1)) || !wire_job_read(&job, l.params))
		fail("its own job");
	/* Two readers of one decimal may differ in its last digit. */
	wire_target(target, difficulty * (1 - 1e-9));
}

static void grow(void)
{
	size_t cap = table_cap ? 2 * table_cap : 1 << 16;
	struct seen *t = calloc(cap, sizeof(*t));
	if (!t)
		fail("memory");
	for (size_t i = 0; i < table_cap; i++) {
		if (!table[i].key[0])
			continue;
		size_t at = table[i].key[0] & (cap - 1);
		while (t[at].key[0])
			at = (at + 1) & (cap - 1);
		t[at] = table[i];
	}
	free(table);
	table = t;
	table_cap = cap;
}

/* False: it was there. */
static bool remember(const uint8_t hash[32])
{
	struct seen s;
	memcpy(s.key, hash, sizeof(s.key));
	s.key[0] |= 1;
	if (2 * table_n >= table_cap)
		grow();
	size_t at = s.key[0] & (table_cap - 1);
	for (; table[at].key[0]; at = (at + 1) & (table_cap - 1)) {
		if (table[at].key[0] == s.key[0] && table[at].key[1] == s.key[1])
			return false;
	}
	table[at] = s;
	table_n++;
	return true;
}

static const char *judge(const struct client *c, struct wire_span params)
{
	struct wire_span v[6], id;
	uint8_t en1[4], en2[EN2], field[4], header[80], hash[32];
	uint32_t u[2];
	if (wire_items(v, 6, params) < 5)
		return "[20,\"Malformed share\",null]";
	id = wire_text(v[1]);
	if (id.n != job.id_len || memcmp(id.p, job.id, id.n) != 0)
		return "[21,\"Job not found\",null]";
	if (wire_unhex(en2, EN2, wire_text(v[2])) != EN2)
		return "[20,\"Malformed share\",null]";
	for (int i = 0; i < 2; i++) {
		if (wire_unhex(field, 4, wire_text(v[3 + i])) != 4)
			return "[20,\"Malformed share\",null]";
		u[i] = (uint32_t)field[0] << 24 | (uint32_t)field[1] << 16 |
		       (uint32_t)field[2] << 8 | field[3];
	}
	for (int i = 0; i < 4; i++)
		en1[i] = (uint8_t)(c->en1 >> (24 - 8 * i));
	wire_header(header, &job, en1, 4, en2, EN2, u[0], u[1]);
	otd_sha256d_80(hash, 32, header, 80, 1);
	if (otd_u256_cmp(otd_u256_from_le(hash), otd_u256_from_le(target)) > 0)
		return "[23,\"Low difficulty share\",null]";
	return remember(hash) ? NULL : "[22,\"Duplicate share\",null]";
}

static void add(const char *p, size_t n)
{
	if (reply_len + n > sizeof(reply)) {
		errno = ENOBUFS;
		fail("answers of one read");
	}
	memcpy(reply + reply_len, p, n);
	reply_len += n;
}

static void add_text(const char *text)
{
	add(text, strlen(text));
}

static void answer(struct wire_span id, const char *error)
{
	add_text("{\"id\":");
	add(id.p, id.n);
	if (!error) {
		add_text(",\"result\":true,\"error\":null}\n");
		return;
	}
	add_text(",\"result\":false,\"error\":");
	add_text(error);
	add_text("}\n");
}

static bool on_line(struct client *c, const char *p, size_t n)
{
	struct wire_line l;
	char text[160];
	if (!wire_read_line(&l, p, n))
		return false;
	struct wire_span method = wire_text(l.method);
	if (wire_is(method, "mining.submit")) {
		answer(l.id, validate ? judge(c, l.params) : NULL);
	} else if (wire_is(method, "mining.subscribe")) {
		snprintf(text, sizeof(text),
			 "{\"id\":%.*s,\"result\":[[[\"mining.notify\",\"1\"]],\"%08x\",%d],"
			 "\"error\":null}\n",
			 (int)(l.id.n < 20 ? l.id.n : 20), l.id.p, c->en1, EN2);
		add_text(text);
	} else if (wire_is(method, "mining.authorize")) {
		answer(l.id, NULL);
		add(job_line, job_line_len);
		c->authorized = true;
	} else {
		answer(l.id, "[20,\"Method not found\",null]");
	}
	return true;
}

static void drop(struct client *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

static void watch(struct client *c, int op, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = c};
	if (epoll_ctl(epoll_fd, op, c->fd, &e) != 0)
		fail("epoll_ctl");
}

/* What the socket does not take waits; a client that never reads is dropped. */
static bool put_out(struct client *c, const char *p, size_t n)
{
	ssize_t sent = c->out_len ? 0 : send(c->fd, p, n, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		return false;
	if (sent < 0)
		sent = 0;
	n -= (size_t)sent;
	if (n == 0)
		return true;
	if (c->out_len + n > OUT_MAX)
		return false;
	if (!c->out && !(c->out = malloc(OUT_MAX)))
		return false;
	if (!c->out_len)
		watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	memcpy(c->out + c->out_len, p + sent, n);
	c->out_len += n;
	return true;
}

static bool on_writable(struct client *c)
{
	ssize_t sent = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN;
	c->out_len -= (size_t)sent;
	memmove(c->out, c->out + sent, c->out_len);
	if (!c->out_len)
		watch(c, EPOLL_CTL_MOD, EPOLLIN);
	return true;
}

static bool on_readable(struct client *c)
{
	char *p = buffer, *end, *nl;
	if (c->in_len)
		memcpy(buffer, c->in, c->in_len);
	ssize_t got = recv(c->fd, buffer + c->in_len, sizeof(buffer) - c->in_len, 0);
	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	end = buffer + c->in_len + got;
	reply_len = 0;
	while ((nl = memchr(p, '\n', (size_t)(end - p)))) {
		if (!on_line(c, p, (size_t)(nl - p)))
			return false;
		p = nl + 1;
	}
	size_t left = (size_t)(end - p);
	if (left > READ_MAX / 2)
		return false;
	if (left > c->in_cap) {
		free(c->in);
		c->in_cap = 2 * left;
		c->in = malloc(c->in_cap);
		if (!c->in)
			return false;
	}
	if (left)
		memcpy(c->in, p, left);
	c->in_len = left;
	return put_out(c, reply, reply_len);
}

static void accept_all(void)
{
	int fd, on = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *c = calloc(1, sizeof(*c));
		if (!c)
			fail("memory");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		c->fd = fd;
		c->next = clients;
		if (c->next)
			c->next->prev = c;
		clients = c;
		c->en1 = next_en1++;
		watch(c, EPOLL_CTL_ADD, EPOLLIN);
	}
}

static void on_signal(int signum)
{
	(void)signum;
	new_tip = 1;
}

static void broadcast(void)
{
	struct client *next;
	new_tip = 0;
	for (struct client *c = clients; c; c = next) {
		next = c->next;
		if (c->authorized && !put_out(c, job_line + notify_at, job_line_len - notify_at))
			drop(c);
	}
}

static void listen_on(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	socklen_t len = sizeof(a);
	struct epoll_event e = {.events = EPOLLIN};
	int on = 1;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (listener < 0 || epoll_fd < 0)
		fail("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(listener, 4096) != 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) != 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e) != 0)
		fail("listen");
	printf("%u\n", ntohs(a.sin_port));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct epoll_event e[EVENTS];
	struct rlimit r;
	int c;
	while ((c = getopt(argc, argv, "Vd:")) != -1) {
		if (c == 'V') {
			validate = true;
		} else if (c == 'd') {
			difficulty = strtod(optarg, NULL);
		} else {
			fprintf(stderr, "usage: null_server [-V] [-d DIFFICULTY] [PORT]\n");
			return 2;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, on_signal);
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	make_job();
	listen_on(optind < argc ? (unsigned)strtoul(argv[optind], NULL, 10) : 0);
	for (;;) {
		int n = epoll_wait(epoll_fd, e, EVENTS, new_tip ? 0 : 1000);
		if (new_tip)
			broadcast();
		for (int i = 0; i < n; i++) {
			struct client *cl = e[i].data.ptr;
			bool fine = true;
			if (!cl) {
				accept_all();
				continue;
			}
			if (e[i].events & EPOLLOUT)
				fine = on_writable(cl);
			if (fine && (e[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
				fine = on_readable(cl);
			if (!fine)
				drop(cl);
		}
	}
}
