/*
 * A load generator for Stratum V1 servers on this machine: one thread, epoll, every share really
 * mined. It refuses any address outside 127.0.0.0/8.
 *
 *   stratum_load [-m shares|idle|broadcast|hostile] [-n CONNECTIONS] [-w WINDOW] [-d SECONDS]
 *                [-H SECONDS] [-u USER] [-U USERS] [-i HANDSHAKES] [-e] [-P PID] [-t COMMAND]
 *                [-r ROUNDS] [-k KIND] [-b BAD] [-B RATE] [-s SHARES_A_SECOND]
 *                HOST PORT
 *
 * shares: each connection keeps WINDOW submits without an answer, for -d seconds. idle: all connect,
 * and stay for -H seconds. broadcast: as idle, then COMMAND (which must bring a new tip) is run ROUNDS
 * times, and the way of its job to every connection is timed. hostile: as shares, first alone and then
 * beside BAD clients of a KIND (common/hostile.h). -s paces all connections together: where answers are
 * late, submits still leave when they are due, as long as the window has room. "%d" in USER is the connection's number
 * modulo USERS. -e takes a new extranonce2 for every share. -P names the server, for its CPU time and
 * memory. Prints one JSON object. Exit status 1: a connection failed or was closed, or a submit had no
 * answer within 10 s of the end.
 */
#include "common/hostile.h"
#include "common/measure.h"
#include "common/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <otedama/sha256.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	ID_SUBSCRIBE = 1,
	ID_AUTHORIZE = 2,
	ID_FIRST_SUBMIT = 3,
	AN_ADDRESS = 8000, /* connections: the kernel's search for a free port gets slow past it */
	FOUND = 16,        /* nonces mined ahead */
	USER_MAX = 200,
	SUBMIT_MAX = 512, /* bytes of one submit */
	WINDOW_MAX = 4096,
	REASONS = 32,
	EVENTS = 512,
	READ_MAX = 256 << 10,
	READY_S = 900, /* all connections must be ready within this */
	TIP_S = 300,   /* and have a job within this */
	DRAIN_S = 10,  /* answers may take so long at the end */
	STEP_NS = 1000000
};

enum mode { SHARES, IDLE, BROADCAST, HOSTILE };

/* What mining needs; only in modes shares and hostile. */
struct miner {
	struct wire_job job;
	uint8_t en1[WIRE_EXTRANONCE_MAX], en2[WIRE_EXTRANONCE_MAX];
	size_t en1_len, en2_len;
	uint8_t header[80], target[32];
	uint64_t next_nonce; /* 2^32: none is left with this extranonce2 */
	uint64_t found[FOUND];
	uint32_t n_found, used;
	int64_t next_id;
	unsigned outstanding;
	int64_t sent_ns[]; /* by id modulo the window; 0: answered */
};

struct conn {
	int fd;
	uint32_t index;
	bool connected, subscribed, authorized, has_job, ready, wants_out;
	uint32_t round; /* of the last broadcast that came */
	int64_t began_ns;
	double difficulty;
	struct miner *m;
	char *in, *out; /* a part of a line; what the socket did not take */
	size_t in_len, in_cap, out_len, out_cap;
};

static struct {
	enum mode mode;
	unsigned n, window, users, handshakes, rounds, bad;
	const char *kind;
	unsigned bad_rate;
	struct hostile *hostile;
	double pace; /* shares a second of all; 0: as fast as they go */
	int64_t paced_from_ns;
	uint64_t paced;
	double seconds, hold_s;
	bool new_extranonce;
	const char *user, *trigger;
	pid_t pid;
	struct sockaddr_in to;

	int epoll;
	struct conn *conns;
	unsigned started, ready, lost;
	unsigned first_address;
	bool running; /* shares are sent */

	uint64_t accepted, refused, unexpected;
	struct {
		char text[80];
		uint64_t n;
	} reason[REASONS];
	size_t n_reasons;
	struct measure_hist latency, ready_ns;

	uint32_t round, arrived;
	int64_t trigger_real_ns, first_real_ns;
	struct measure_hist kernel_after_first, read_after_trigger;
} g;

static char scratch[WINDOW_MAX * SUBMIT_MAX];
static char read_buffer[READ_MAX];

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("stratum_load: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void random_bytes(void *to, size_t n)
{
	if (getrandom(to, n, 0) != (ssize_t)n)
		die("no random bytes: %s", strerror(errno));
}

static void lose(struct conn *c, const char *why)
{
	if (c->fd < 0)
		return;
	if (g.lost++ < 5)
		fprintf(stderr, "stratum_load: connection %u: %s\n", c->index, why);
	close(c->fd);
	c->fd = -1;
}

/* --- sending --- */

static void want_out(struct conn *c, bool on)
{
	struct epoll_event e = {.events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = c};
	c->wants_out = on;
	if (epoll_ctl(g.epoll, EPOLL_CTL_MOD, c->fd, &e) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void keep_for_later(struct conn *c, const char *p, size_t n)
{
	if (c->out_len + n > c->out_cap) {
		c->out_cap = (c->out_len + n) * 2;
		c->out = realloc(c->out, c->out_cap);
		if (!c->out)
			die("out of memory");
	}
	memcpy(c->out + c->out_len, p, n);
	c->out_len += n;
}

static void conn_send(struct conn *c, const char *p, size_t n)
{
	ssize_t sent = c->out_len ? 0 : send(c->fd, p, n, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN) {
		lose(c, strerror(errno));
		return;
	}
	if (sent < 0)
		sent = 0;
	if ((size_t)sent < n) {
		keep_for_later(c, p + sent, n - (size_t)sent);
		if (!c->wants_out)
			want_out(c, true);
	}
}

static void conn_writable(struct conn *c)
{
	ssize_t sent = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN) {
		lose(c, strerror(errno));
		return;
	}
	if (sent > 0) {
		c->out_len -= (size_t)sent;
		memmove(c->out, c->out + sent, c->out_len);
	}
	if (!c->out_len)
		want_out(c, false);
}

/* --- mining --- */

static size_t user_name(char *to, size_t cap, uint32_t index)
{
	const char *at = strstr(g.user, "%d");
	int n = at ? snprintf(to, cap, "%.*s%u%s", (int)(at - g.user), g.user, index % g.users,
			      at + 2)
		   : snprintf(to, cap, "%s", g.user);
	if (n < 0 || (size_t)n >= cap)
		die("-u: a user name is longer than %zu", cap - 1);
	return (size_t)n;
}

static void new_work(struct miner *m)
{
	uint32_t first;
	/* A server may hand an extranonce1 out again: what is random here repeats no share. */
	random_bytes(m->en2, m->en2_len);
	random_bytes(&first, sizeof(first));
	m->next_nonce = first;
	m->n_found = m->used = 0;
	wire_header(m->header, &m->job, m->en1, m->en1_len, m->en2, m->en2_len, m->job.ntime, 0);
}

/* The next solution. */
static uint32_t mine(struct miner *m)
{
	if (g.new_extranonce)
		new_work(m);
	while (m->used == m->n_found) {
		if (m->next_nonce > UINT32_MAX)
			new_work(m);
		m->used = m->n_found = 0;
		m->next_nonce += otd_sha256d_scan80(m->found, g.new_extranonce ? 1 : FOUND,
						    &m->n_found, m->header, m->next_nonce,
						    UINT64_C(1) << 32, m->target, NULL);
	}
	return (uint32_t)m->found[m->used++];
}

static char *put(char *to, const char *text)
{
	size_t n = strlen(text);
	memcpy(to, text, n);
	return to + n;
}

static char *put_submit(char *p, struct conn *c)
{
	struct miner *m = c->m;
	uint32_t nonce = mine(m);
	p += snprintf(p, 64, "{\"id\":%lld,\"method\":\"mining.submit\",\"params\":[\"",
		      (long long)m->next_id++);
	p += user_name(p, USER_MAX, c->index);
	p = put(p, "\",\"");
	memcpy(p, m->job.id, m->job.id_len);
	p = put(p + m->job.id_len, "\",\"");
	p = wire_hex(p, m->en2, m->en2_len);
	p = put(p, "\",\"");
	p = wire_hex_u32(p, m->job.ntime);
	p = put(p, "\",\"");
	p = wire_hex_u32(p, nonce);
	return put(p, "\"]}\n");
}

/* Fills the window; where there is a pace, pace_step() does. */
static void submit(struct conn *c)
{
	struct miner *m = c->m;
	char *p = scratch;
	int64_t first = m->next_id;
	if (c->fd < 0 || !m->job.coinbase || g.pace > 0)
		return;
	for (; m->outstanding < g.window; m->outstanding++)
		p = put_submit(p, c);
	if (p == scratch)
		return;
	int64_t now = measure_now_ns();
	for (int64_t id = first; id < m->next_id; id++)
		m->sent_ns[(uint64_t)id % g.window] = now;
	conn_send(c, scratch, (size_t)(p - scratch));
}

/* --- what the server says --- */

static void count_refused(struct wire_span error)
{
	struct wire_span text = error, item;
	char key[80];
	g.refused++;
	if (error.n && error.p[0] == '[' && wire_item(&item, error, 1))
		text = wire_text(item);
	snprintf(key, sizeof(key), "%.*s", (int)(text.n < 79 ? text.n : 79),
		 text.n ? text.p : "no reason");
	for (char *p = key; *p; p++) {
		if (*p == '"' || *p == '\\' || (unsigned char)*p < 0x20)
			*p = '\'';
	}
	size_t i = 0;
	while (i < g.n_reasons && strcmp(g.reason[i].text, key) != 0)
		i++;
	if (i == REASONS)
		i--;
	if (i == g.n_reasons) {
		snprintf(g.reason[i].text, sizeof(g.reason[i].text), "%s", key);
		g.n_reasons++;
	}
	g.reason[i].n++;
}

static void on_share_answer(struct conn *c, const struct wire_line *l, int64_t id, int64_t now_ns)
{
	struct miner *m = c->m;
	int64_t *sent = m && id < m->next_id ? &m->sent_ns[(uint64_t)id % g.window] : NULL;
	if (!sent || !*sent || id + g.window < m->next_id) {
		g.unexpected++;
		return;
	}
	if (g.running)
		measure_add(&g.latency, now_ns - *sent);
	*sent = 0;
	m->outstanding--;
	if (wire_is(l->result, "true"))
		g.accepted++;
	else
		count_refused(l->error);
}

static void on_subscribed(struct conn *c, const struct wire_line *l)
{
	struct wire_span items[3];
	struct miner *m = c->m;
	if (wire_items(items, 3, l->result) < 3) {
		lose(c, "mining.subscribe was refused");
		return;
	}
	c->subscribed = true;
	if (!m)
		return;
	int n = wire_unhex(m->en1, sizeof(m->en1), wire_text(items[1]));
	int64_t n2 = wire_number(items[2]);
	if (n < 0 || n2 < 1 || n2 > WIRE_EXTRANONCE_MAX) {
		lose(c, "its answer to mining.subscribe makes no sense");
		return;
	}
	m->en1_len = (size_t)n;
	m->en2_len = (size_t)n2;
}

static void on_notify(struct conn *c, const struct wire_line *l, int64_t kernel_ns)
{
	struct wire_span clean = {0};
	c->has_job = true;
	if (c->m) {
		/* The answer to subscribe comes first, by the protocol. */
		if (!c->m->en2_len || !wire_job_read(&c->m->job, l->params)) {
			lose(c, "a notify that makes no sense");
			return;
		}
		wire_target(c->m->target, c->difficulty);
		new_work(c->m);
	}
	if (g.mode == BROADCAST && g.round != c->round && wire_item(&clean, l->params, 8) &&
	    wire_is(clean, "true")) {
		c->round = g.round;
		if (!g.arrived++)
			g.first_real_ns = kernel_ns;
		measure_add(&g.kernel_after_first, kernel_ns - g.first_real_ns);
		measure_add(&g.read_after_trigger, measure_real_ns() - g.trigger_real_ns);
	}
}

static void on_method(struct conn *c, const struct wire_line *l, int64_t kernel_ns)
{
	struct wire_span v, method = wire_text(l->method);
	char number[64];
	if (wire_is(method, "mining.notify")) {
		on_notify(c, l, kernel_ns);
	} else if (wire_is(method, "mining.set_difficulty") && wire_item(&v, l->params, 0)) {
		snprintf(number, sizeof(number), "%.*s", (int)(v.n < 63 ? v.n : 63), v.p);
		c->difficulty = strtod(number, NULL);
	} else if (wire_is(method, "client.reconnect")) {
		lose(c, "the server asks to reconnect");
	}
}

static void on_line(struct conn *c, const char *p, size_t n, int64_t now_ns, int64_t kernel_ns)
{
	struct wire_line l;
	if (!wire_read_line(&l, p, n)) {
		lose(c, "a line that is no JSON object");
		return;
	}
	int64_t id = wire_number(l.id);
	if (l.method.n)
		on_method(c, &l, kernel_ns);
	else if (id >= ID_FIRST_SUBMIT)
		on_share_answer(c, &l, id, now_ns);
	else if (id == ID_SUBSCRIBE)
		on_subscribed(c, &l);
	else if (id == ID_AUTHORIZE && wire_is(l.result, "true"))
		c->authorized = true;
	else if (id == ID_AUTHORIZE)
		lose(c, "mining.authorize was refused");
	else
		g.unexpected++;
	if (!c->ready && c->fd >= 0 && c->subscribed && c->authorized && c->has_job) {
		c->ready = true;
		g.ready++;
		measure_add(&g.ready_ns, now_ns - c->began_ns);
	}
}

/* Keeps what is left of a line. */
static void keep_part(struct conn *c, const char *p, size_t n)
{
	if (n > c->in_cap) {
		c->in_cap = n < 4096 ? 4096 : 2 * n;
		c->in = realloc(c->in, c->in_cap);
		if (!c->in)
			die("out of memory");
	}
	if (n)
		memcpy(c->in, p, n);
	c->in_len = n;
}

static ssize_t receive(struct conn *c, char *to, size_t cap, int64_t *kernel_ns)
{
	char control[128];
	struct iovec v = {to, cap};
	struct msghdr h = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	if (g.mode != BROADCAST)
		return recv(c->fd, to, cap, 0);
	ssize_t n = recvmsg(c->fd, &h, 0);
	*kernel_ns = measure_real_ns();
	for (struct cmsghdr *m = CMSG_FIRSTHDR(&h); n > 0 && m; m = CMSG_NXTHDR(&h, m)) {
		struct timespec t;
		if (m->cmsg_level == SOL_SOCKET && m->cmsg_type == SCM_TIMESTAMPNS) {
			memcpy(&t, CMSG_DATA(m), sizeof(t));
			*kernel_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
		}
	}
	return n;
}

static void conn_readable(struct conn *c)
{
	int64_t kernel_ns = 0;
	size_t have = c->in_len;
	if (have > READ_MAX / 2) {
		lose(c, "a line without an end");
		return;
	}
	if (have)
		memcpy(read_buffer, c->in, have);
	ssize_t got = receive(c, read_buffer + have, READ_MAX - have, &kernel_ns);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		lose(c, got ? strerror(errno) : "the server closed it");
		return;
	}
	int64_t now = measure_now_ns();
	char *p = read_buffer, *end = read_buffer + have + got, *nl;
	while (c->fd >= 0 && (nl = memchr(p, '\n', (size_t)(end - p)))) {
		on_line(c, p, (size_t)(nl - p), now, kernel_ns);
		p = nl + 1;
	}
	keep_part(c, p, (size_t)(end - p));
	if (g.running)
		submit(c);
}

/* --- connecting --- */

static void conn_start(struct conn *c)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	int on = 1;
	/* 127.0.x.y, the next address after so many. */
	unsigned address = 2 + (g.first_address + c->index / AN_ADDRESS) % 60000;
	from.sin_addr.s_addr = htonl(0x7f000000u + address);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (g.mode == BROADCAST)
		setsockopt(c->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0)
		die("bind to 127.%u.%u.%u: %s", address >> 16, address >> 8 & 255, address & 255,
		    strerror(errno));
	c->began_ns = measure_now_ns();
	c->difficulty = 1;
	if (connect(c->fd, (struct sockaddr *)&g.to, sizeof(g.to)) != 0 && errno != EINPROGRESS) {
		lose(c, strerror(errno));
		return;
	}
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
	c->wants_out = true;
	if (epoll_ctl(g.epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void conn_connected(struct conn *c)
{
	char line[512], user[USER_MAX];
	int error = 0;
	socklen_t len = sizeof(error);
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		lose(c, strerror(error));
		return;
	}
	c->connected = true;
	want_out(c, false);
	user_name(user, sizeof(user), c->index);
	int n = snprintf(
		line, sizeof(line),
		"{\"id\":%d,\"method\":\"mining.subscribe\",\"params\":[\"otedama-bench\"]}\n"
		"{\"id\":%d,\"method\":\"mining.authorize\",\"params\":[\"%s\",\"x\"]}\n",
		ID_SUBSCRIBE, ID_AUTHORIZE, user);
	conn_send(c, line, (size_t)n);
}

static void poll_once(int timeout_ms)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(g.epoll, e, EVENTS, timeout_ms);
	if (n < 0 && errno != EINTR)
		die("epoll_wait: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		struct conn *c = e[i].data.ptr;
		if (c->fd >= 0 && !c->connected && (e[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			conn_connected(c);
		else if (c->fd >= 0 && (e[i].events & EPOLLOUT))
			conn_writable(c);
		if (c->fd >= 0 && c->connected && (e[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
			conn_readable(c);
	}
}

static void connect_all(void)
{
	int64_t until = measure_now_ns() + READY_S * INT64_C(1000000000);
	while (g.ready + g.lost < g.n) {
		while (g.started < g.n && g.started - g.ready - g.lost < g.handshakes)
			conn_start(&g.conns[g.started++]);
		poll_once(100);
		if (measure_now_ns() > until)
			die("%u of %u connections were not ready within %d s",
			    g.n - g.ready - g.lost, g.n, READY_S);
	}
	if (!g.ready)
		die("no connection to port %u came about", ntohs(g.to.sin_port));
}

/* Shares that the clock asks for, one a connection in turn. */
static void pace_step(int64_t now_ns)
{
	static unsigned next;
	uint64_t due = (uint64_t)((double)(now_ns - g.paced_from_ns) / 1e9 * g.pace);
	for (unsigned i = 0; i < g.n * g.window && g.paced < due; i++) {
		struct conn *c = &g.conns[next++ % g.n];
		struct miner *m = c->m;
		if (c->fd < 0 || m->outstanding >= g.window || !m->job.coinbase)
			continue;
		char *end = put_submit(scratch, c);
		m->sent_ns[(uint64_t)(m->next_id - 1) % g.window] = now_ns;
		m->outstanding++;
		g.paced++;
		conn_send(c, scratch, (size_t)(end - scratch));
	}
}

static void serve_for(double seconds)
{
	int64_t now = measure_now_ns(), until = now + (int64_t)(seconds * 1e9), stepped = 0;
	bool ticks = g.hostile || (g.running && g.pace > 0);
	for (; now < until; now = measure_now_ns()) {
		if (ticks && now - stepped >= STEP_NS) {
			if (g.hostile)
				hostile_step(g.hostile, now);
			if (g.running && g.pace > 0)
				pace_step(now);
			stepped = now;
		}
		poll_once(ticks ? 1 : (int)((until - now) / 1000000) + 1);
	}
}

/* --- the modes --- */

struct figures {
	double connect_s, connect_cpu_us, idle_cpu_ms, rss_before, rss_after, rss_end;
	double seconds, server_cpu_us, own_cpu_us;
	uint64_t counted, unanswered;
	double alone_per_s, alone_p50_ms, alone_p99_ms; /* hostile */
	struct hostile_figures bad;
};

/* Shares a second and CPU are taken over the same time: from the first submit until the clock ends.
   What is answered after it is still counted in the totals. */
static void measured_shares(struct figures *f, double length_s)
{
	int64_t cpu = measure_cpu_ns(g.pid), own = measure_own_cpu_ns(), start = measure_now_ns();
	uint64_t before = g.accepted;
	g.paced_from_ns = start;
	g.paced = 0;
	if (!g.running) {
		g.running = true;
		for (unsigned i = 0; i < g.n; i++)
			submit(&g.conns[i]);
	}
	serve_for(length_s);
	f->seconds = (double)(measure_now_ns() - start) / 1e9;
	f->counted = g.accepted - before;
	f->server_cpu_us = (double)(measure_cpu_ns(g.pid) - cpu) / 1e3;
	f->own_cpu_us = (double)(measure_own_cpu_ns() - own) / 1e3;
}

static void drain(struct figures *f)
{
	int64_t until = measure_now_ns() + DRAIN_S * INT64_C(1000000000);
	g.running = false;
	do {
		f->unanswered = 0;
		for (unsigned i = 0; i < g.n; i++) {
			if (g.conns[i].fd >= 0)
				f->unanswered += g.conns[i].m->outstanding;
		}
		if (f->unanswered)
			poll_once(20);
	} while (f->unanswered && measure_now_ns() < until);
}

static void run_shares(struct figures *f)
{
	measured_shares(f, g.seconds);
	drain(f);
}

/* A while alone, then beside the bad ones. */
static void run_hostile(struct figures *f)
{
	struct hostile_figures bad;
	measured_shares(f, g.seconds / 2);
	f->alone_per_s = (double)f->counted / f->seconds;
	f->alone_p50_ms = measure_ms(&g.latency, 50);
	f->alone_p99_ms = measure_ms(&g.latency, 99);
	memset(&g.latency, 0, sizeof(g.latency));
	g.hostile = hostile_start(g.kind, g.bad, g.bad_rate, g.to,
				  "bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d");
	if (!g.hostile)
		die("-k: '%s' is none of these kinds\n%s", g.kind, hostile_kinds);
	measured_shares(f, g.seconds);
	hostile_read(g.hostile, &bad);
	f->bad = bad;
	hostile_stop(g.hostile);
	g.hostile = NULL;
	drain(f);
}

static void run_broadcast(struct figures *f)
{
	int64_t cpu = measure_cpu_ns(g.pid);
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)g.trigger, NULL};
	extern char **environ;
	for (unsigned r = 1; r <= g.rounds; r++) {
		pid_t child;
		g.round = r;
		g.arrived = 0;
		g.trigger_real_ns = measure_real_ns();
		if (posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ) != 0)
			die("cannot run /bin/sh");
		int64_t until = measure_now_ns() + TIP_S * INT64_C(1000000000);
		while (g.arrived < g.n - g.lost && measure_now_ns() < until)
			poll_once(100);
		waitpid(child, NULL, 0);
		if (g.arrived < g.n - g.lost)
			die("broadcast %u: the job reached %u of %u connections", r, g.arrived,
			    g.n - g.lost);
		serve_for(0.5);
	}
	f->server_cpu_us = (double)(measure_cpu_ns(g.pid) - cpu) / 1e3 / g.rounds;
}

static void print_percentiles(const char *name, const struct measure_hist *h)
{
	printf(", \"%s_ms\": {\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}", name,
	       measure_ms(h, 50), measure_ms(h, 99), (double)h->max_ns / 1e6);
}

static void print_shares(const struct figures *f)
{
	double n = (double)f->counted;
	printf(", \"window\": %u, \"seconds\": %.3f, \"accepted\": %llu, \"refused\": %llu, "
	       "\"refused_by\": {",
	       g.window, f->seconds, (unsigned long long)g.accepted, (unsigned long long)g.refused);
	for (size_t i = 0; i < g.n_reasons; i++)
		printf("%s\"%s\": %llu", i ? ", " : "", g.reason[i].text,
		       (unsigned long long)g.reason[i].n);
	printf("}, \"unanswered\": %llu, \"unexpected\": %llu, \"accepted_per_s\": %.1f",
	       (unsigned long long)f->unanswered, (unsigned long long)g.unexpected, n / f->seconds);
	if (g.pid && n > 0)
		printf(", \"server_cpu_us_per_share\": %.3f, \"server_cores\": %.3f",
		       f->server_cpu_us / n, f->server_cpu_us / 1e6 / f->seconds);
	if (n > 0)
		printf(", \"generator_cpu_us_per_share\": %.3f", f->own_cpu_us / n);
	print_percentiles("latency", &g.latency);
}

static void print_hostile(const struct figures *f)
{
	double per_s = (double)f->counted / f->seconds;
	printf(", \"kind\": \"%s\", \"bad\": %u, \"bad_rate\": %u, \"alone_per_s\": %.1f, "
	       "\"alone_p50_ms\": %.3f, \"alone_p99_ms\": %.3f, \"beside_per_cent\": %.1f, "
	       "\"bad_connects\": %llu, \"bad_closed\": %llu, \"bad_lines\": %llu, "
	       "\"bad_bytes\": %llu, \"bad_open\": %u",
	       g.kind, g.bad, g.bad_rate, f->alone_per_s, f->alone_p50_ms, f->alone_p99_ms,
	       f->alone_per_s > 0 ? 100 * per_s / f->alone_per_s : 0.0,
	       (unsigned long long)f->bad.connects, (unsigned long long)f->bad.closed,
	       (unsigned long long)f->bad.lines, (unsigned long long)f->bad.bytes, f->bad.open);
}

static void print_all(const struct figures *f)
{
	static const char *const names[] = {"shares", "idle", "broadcast", "hostile"};
	printf("{\"mode\": \"%s\", \"connections\": %u, \"ready\": %u, \"lost\": %u, "
	       "\"connects_per_s\": %.1f",
	       names[g.mode], g.n, g.ready, g.lost, g.ready / f->connect_s);
	print_percentiles("ready", &g.ready_ns);
	if (g.pid)
		printf(", \"server_cpu_us_per_connect\": %.3f, \"server_idle_cpu_ms_per_s\": %.3f, "
		       "\"rss_before_kib\": %.0f, \"rss_after_kib\": %.0f, "
		       "\"rss_end_kib\": %.0f, \"bytes_per_connection\": %.1f",
		       f->connect_cpu_us / g.ready, g.hold_s > 0 ? f->idle_cpu_ms / g.hold_s : 0.0,
		       f->rss_before / 1024, f->rss_after / 1024, f->rss_end / 1024,
		       (f->rss_after - f->rss_before) / g.ready);
	if (g.mode == HOSTILE)
		print_hostile(f);
	if (g.mode == SHARES || g.mode == HOSTILE)
		print_shares(f);
	if (g.mode == BROADCAST) {
		if (g.pid)
			printf(", \"server_cpu_us_per_tip\": %.0f", f->server_cpu_us);
		print_percentiles("kernel_after_first", &g.kernel_after_first);
		print_percentiles("read_after_trigger", &g.read_after_trigger);
		/* Of the last round, since 1970: to set several generators beside each other. */
		printf(", \"first_real_ns\": %lld", (long long)g.first_real_ns);
	}
	printf("}\n");
}

/* --- options --- */

static void usage(void)
{
	fprintf(stderr,
		"usage: stratum_load [-m shares|idle|broadcast|hostile] [-n CONNECTIONS] "
		"[-w WINDOW] [-d SECONDS]\n"
		"  [-H HOLD_SECONDS] [-u USER_WITH_%%d] [-U USERS] [-i HANDSHAKES_AT_ONCE] "
		"[-e] [-P SERVER_PID]\n"
		"  [-t COMMAND] [-r ROUNDS] [-s SHARES_A_SECOND] [-k KIND] [-b BAD_CLIENTS]\n"
		"  [-B SUBMITS_A_SECOND_OF_EACH] HOST PORT\n"
		"kinds:\n%s",
		hostile_kinds);
	exit(2);
}

static void read_mode(const char *text)
{
	if (!strcmp(text, "shares"))
		g.mode = SHARES;
	else if (!strcmp(text, "idle"))
		g.mode = IDLE;
	else if (!strcmp(text, "broadcast"))
		g.mode = BROADCAST;
	else if (!strcmp(text, "hostile"))
		g.mode = HOSTILE;
	else
		usage();
}

static void read_target(const char *host, const char *port)
{
	g.to.sin_family = AF_INET;
	g.to.sin_port = htons((uint16_t)option_number(port, 1, 65535));
	if (inet_pton(AF_INET, host, &g.to.sin_addr) != 1 ||
	    ntohl(g.to.sin_addr.s_addr) >> 24 != 127) {
		fprintf(stderr,
			"stratum_load: %s is not in 127.0.0.0/8; it loads this machine only\n",
			host);
		exit(2);
	}
}

static void read_options(int argc, char **argv)
{
	int c;
	g.n = 100, g.window = 16, g.handshakes = 128, g.rounds = 1, g.seconds = 10, g.hold_s = 1;
	g.bad = 64, g.bad_rate = 5000;
	g.user = "bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d.w%d";
	while ((c = getopt(argc, argv, "m:n:w:d:H:u:U:i:eP:t:r:s:k:b:B:")) != -1) {
		switch (c) {
		case 'm': read_mode(optarg); break;
		case 'n': g.n = option_number(optarg, 1, 1000000); break;
		case 'w': g.window = option_number(optarg, 1, WINDOW_MAX); break;
		case 'd': g.seconds = option_seconds(optarg); break;
		case 'H': g.hold_s = option_seconds(optarg); break;
		case 'u': g.user = optarg; break;
		case 'U': g.users = option_number(optarg, 1, 1000000); break;
		case 'i': g.handshakes = option_number(optarg, 1, 100000); break;
		case 'e': g.new_extranonce = true; break;
		case 'P': g.pid = (pid_t)option_number(optarg, 1, 1u << 30); break;
		case 't': g.trigger = optarg; break;
		case 'r': g.rounds = option_number(optarg, 1, 1000); break;
		case 's': g.pace = option_number(optarg, 1, 10000000); break;
		case 'k': g.kind = optarg; break;
		case 'b': g.bad = option_number(optarg, 1, 10000); break;
		case 'B': g.bad_rate = option_number(optarg, 1, 1000000); break;
		default: usage();
		}
	}
	if (argc - optind != 2 || (g.mode == BROADCAST) != (g.trigger != NULL) ||
	    (g.mode == HOSTILE) != (g.kind != NULL))
		usage();
	read_target(argv[optind], argv[optind + 1]);
	if (!g.users)
		g.users = g.n;
}

static void prepare(void)
{
	struct rlimit r;
	uint16_t place;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
		if (r.rlim_max != RLIM_INFINITY && g.n + 16 > r.rlim_max)
			die("%u connections need more descriptors than the hard limit of %llu", g.n,
			    (unsigned long long)r.rlim_max);
	}
	/* Not where the run before left its ports waiting. */
	random_bytes(&place, sizeof(place));
	g.first_address = place;
	g.epoll = epoll_create1(EPOLL_CLOEXEC);
	g.conns = calloc(g.n, sizeof(*g.conns));
	if (g.epoll < 0 || !g.conns)
		die("cannot start: %s", strerror(errno));
	for (unsigned i = 0; i < g.n; i++) {
		struct conn *c = &g.conns[i];
		c->fd = -1;
		c->index = i;
		if (g.mode != SHARES && g.mode != HOSTILE)
			continue;
		c->m = calloc(1, sizeof(*c->m) + g.window * sizeof(c->m->sent_ns[0]));
		if (!c->m)
			die("out of memory");
		c->m->next_id = ID_FIRST_SUBMIT;
	}
	if (g.pid && measure_cpu_ns(g.pid) < 0)
		die("-P: there is no process %ld", (long)g.pid);
}

int main(int argc, char **argv)
{
	struct figures f = {0};
	read_options(argc, argv);
	prepare();
	f.rss_before = (double)measure_rss_bytes(g.pid);
	int64_t cpu = measure_cpu_ns(g.pid), start = measure_now_ns();
	connect_all();
	f.connect_s = (double)(measure_now_ns() - start) / 1e9;
	f.connect_cpu_us = (double)(measure_cpu_ns(g.pid) - cpu) / 1e3;
	cpu = measure_cpu_ns(g.pid);
	serve_for(g.hold_s);
	f.idle_cpu_ms = (double)(measure_cpu_ns(g.pid) - cpu) / 1e6;
	f.rss_after = (double)measure_rss_bytes(g.pid);
	if (g.mode == SHARES)
		run_shares(&f);
	else if (g.mode == HOSTILE)
		run_hostile(&f);
	else if (g.mode == BROADCAST)
		run_broadcast(&f);
	f.rss_end = (double)measure_rss_bytes(g.pid);
	print_all(&f);
	return g.lost || f.unanswered ? 1 : 0;
}
