#include "app/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES    65536
#define IO_TIMEOUT_S  5
#define ANSWER_WAIT_S 10

struct otd_control {
	struct otd_loop *loop;
	otd_control_fn fn;
	void *arg;
	char *path;
	int listener, wake[2];
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* guards the three below */
	bool ending;
	int client;                         /* being served; -1: none */
	struct otd_control_request *asking; /* whose answer is waited for */
};

/* Held by the waiting thread and by the loop until it has answered; whoever is last frees it. */
struct otd_control_request {
	struct otd_control *owner;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	int holders;
	bool done, ending;
	bool kept;  /* the client is somebody else's now */
	int client; /* -1: it was not waited for any more */
	struct otd_err err;
	struct otd_bytes payload;
	char line[];
};

static void let_go(struct otd_control_request *r)
{
	pthread_mutex_lock(&r->lock);
	bool last = --r->holders == 0;
	pthread_mutex_unlock(&r->lock);
	if (!last)
		return;
	pthread_cond_destroy(&r->answered);
	pthread_mutex_destroy(&r->lock);
	otd_bytes_finish(&r->payload);
	free(r);
}

void otd_control_answer(struct otd_control_request *r, const struct otd_err *err,
			const struct otd_bytes *payload)
{
	pthread_mutex_lock(&r->lock);
	if (err)
		r->err = *err;
	if (payload && otd_bytes_add(&r->payload, payload->ptr, payload->len) != OTD_OK)
		otd_fail(&r->err, OTD_E_NOMEM, "the answer is too long");
	r->done = true;
	pthread_cond_signal(&r->answered);
	pthread_mutex_unlock(&r->lock);
	let_go(r);
}

static void on_loop(void *arg)
{
	struct otd_control_request *r = arg;
	r->owner->fn(r->owner->arg, r, r->line);
}

static void send_all(int fd, const void *p, size_t n)
{
	const uint8_t *at = p;
	while (n > 0) {
		ssize_t w = send(fd, at, n, MSG_NOSIGNAL);
		if (w <= 0)
			return; /* the asker has gone: nobody to tell */
		at += w;
		n -= (size_t)w;
	}
}

static void answer_error(int fd, const char *text)
{
	send_all(fd, "error ", 6);
	send_all(fd, text, strlen(text));
	send_all(fd, "\n", 1);
}

/* From now on an end of the pool ends the wait for this answer; c->lock is taken before r->lock. */
static void set_asking(struct otd_control *c, struct otd_control_request *r)
{
	pthread_mutex_lock(&c->lock);
	c->asking = r;
	if (r)
		r->ending = c->ending;
	pthread_mutex_unlock(&c->lock);
}

/* False: no more clients. */
static bool set_client(struct otd_control *c, int fd)
{
	pthread_mutex_lock(&c->lock);
	c->client = fd;
	bool go_on = !c->ending;
	pthread_mutex_unlock(&c->lock);
	return go_on;
}

/* The pool ends: whoever is served now is not waited for. */
static void end_client(struct otd_control *c)
{
	pthread_mutex_lock(&c->lock);
	c->ending = true;
	if (c->client >= 0)
		(void)shutdown(c->client, SHUT_RD);
	if (c->asking) {
		pthread_mutex_lock(&c->asking->lock);
		c->asking->ending = true;
		pthread_cond_signal(&c->asking->answered);
		pthread_mutex_unlock(&c->asking->lock);
	}
	pthread_mutex_unlock(&c->lock);
}

int otd_control_keep(struct otd_control_request *r)
{
	pthread_mutex_lock(&r->lock);
	int fd = r->client;
	r->kept = fd >= 0;
	r->done = true;
	pthread_cond_signal(&r->answered);
	pthread_mutex_unlock(&r->lock);
	let_go(r);
	return fd;
}

static void send_answer(int fd, const struct otd_err *err, const struct otd_bytes *payload)
{
	if (err && err->rc != OTD_OK) {
		answer_error(fd, err->text);
		return;
	}
	send_all(fd, "ok\n", 3);
	if (payload)
		send_all(fd, payload->ptr, payload->len);
}

void otd_control_answer_kept(int client, const struct otd_err *err, const struct otd_bytes *payload)
{
	if (client < 0)
		return;
	send_answer(client, err, payload);
	close(client);
}

/* True: the client is not ours any more. */
static bool ask_loop(struct otd_control *c, int fd, const char *line, size_t n)
{
	struct otd_control_request *r = calloc(1, sizeof(*r) + n + 1);
	struct timespec until;
	if (!r) {
		answer_error(fd, "out of memory");
		return false;
	}
	memcpy(r->line, line, n);
	r->owner = c;
	r->client = fd;
	r->holders = 2;
	otd_bytes_init(&r->payload, 64u << 20);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->answered, NULL);
	if (otd_loop_post(c->loop, on_loop, r) != OTD_OK) {
		r->holders = 1;
		let_go(r);
		answer_error(fd, "the pool is ending");
		return false;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ANSWER_WAIT_S;
	set_asking(c, r);
	pthread_mutex_lock(&r->lock);
	int waited = 0;
	while (!r->done && !r->ending && waited == 0)
		waited = pthread_cond_timedwait(&r->answered, &r->lock, &until);
	bool done = r->done, ending = r->ending, kept = r->kept;
	if (!kept)
		r->client = -1;
	pthread_mutex_unlock(&r->lock);
	set_asking(c, NULL);
	if (!done && ending)
		answer_error(fd, "the pool is ending");
	else if (!done)
		answer_error(fd, "the pool did not answer within 10 s; see its log");
	else if (!kept)
		send_answer(fd, &r->err, &r->payload);
	let_go(r);
	return kept;
}

/* True: the client is not ours any more. */
static bool serve_one(struct otd_control *c, int fd, char *line)
{
	struct timeval timeout = {.tv_sec = IO_TIMEOUT_S};
	size_t n = 0;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	while (n < LINE_BYTES) {
		ssize_t got = recv(fd, line + n, LINE_BYTES - n, 0);
		if (got <= 0)
			return false;
		char *end = memchr(line + n, '\n', (size_t)got);
		n += (size_t)got;
		if (end) {
			return ask_loop(c, fd, line, (size_t)(end - line));
		}
	}
	answer_error(fd, "the request is too long");
	return false;
}

static void *run(void *arg)
{
	struct otd_control *c = arg;
	char *line = malloc(LINE_BYTES);
	while (line) {
		struct pollfd p[2] = {{.fd = c->listener, .events = POLLIN},
				      {.fd = c->wake[0], .events = POLLIN}};
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			break;
		int fd = p[0].revents ? accept4(c->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
		if (fd < 0)
			continue;
		bool kept = set_client(c, fd) && serve_one(c, fd, line);
		(void)set_client(c, -1);
		if (!kept)
			close(fd);
	}
	free(line);
	return NULL;
}

static otd_rc fill_address(struct sockaddr_un *a, const char *path, struct otd_err *err)
{
	size_t n = strlen(path);
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (n >= sizeof(a->sun_path))
		return otd_fail(
			err, OTD_E_RANGE,
			"%s: a socket's path has at most %zu bytes; set 'socket' to a shorter one",
			path, sizeof(a->sun_path) - 1);
	memcpy(a->sun_path, path, n);
	return OTD_OK;
}

otd_rc otd_control_create(struct otd_control **out, struct otd_loop *l, const char *path,
			  otd_control_fn fn, void *arg, struct otd_err *err)
{
	struct sockaddr_un a;
	struct otd_control *c = calloc(1, sizeof(*c));
	otd_rc rc = c ? fill_address(&a, path, err) : otd_fail(err, OTD_E_NOMEM, "out of memory");
	*out = NULL;
	if (rc != OTD_OK) {
		free(c);
		return rc;
	}
	*c = (struct otd_control){
		.loop = l, .fn = fn, .arg = arg, .listener = -1, .wake = {-1, -1}, .client = -1};
	pthread_mutex_init(&c->lock, NULL);
	c->path = strdup(path);
	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The data folder is locked by now: a socket that lies there is left over. */
	(void)unlink(path);
	mode_t mask = umask(0177);
	bool ok = c->path && c->listener >= 0 &&
		  bind(c->listener, (struct sockaddr *)&a, sizeof(a)) == 0 &&
		  listen(c->listener, 16) == 0 && pipe(c->wake) == 0;
	umask(mask);
	if (ok && pthread_create(&c->thread, NULL, run, c) == 0) {
		c->started = true;
		*out = c;
		return OTD_OK;
	}
	rc = otd_fail(err, OTD_E_IO, "cannot listen on the control socket %s: %s", path,
		      strerror(errno));
	otd_control_destroy(c);
	return rc;
}

void otd_control_destroy(struct otd_control *c)
{
	if (!c)
		return;
	if (c->started) {
		/* A pipe with room takes one byte; a failure would only mean it is full already. */
		ssize_t n = write(c->wake[1], "", 1);
		(void)n;
		end_client(c);
		pthread_join(c->thread, NULL);
	}
	if (c->listener >= 0) {
		close(c->listener);
		(void)unlink(c->path);
	}
	if (c->wake[0] >= 0) {
		close(c->wake[0]);
		close(c->wake[1]);
	}
	pthread_mutex_destroy(&c->lock);
	free(c->path);
	free(c);
}

static otd_rc read_answer(int fd, struct otd_bytes *out, const char *path, struct otd_err *err)
{
	size_t start = out->len;
	for (;;) {
		uint8_t *to = otd_bytes_room(out, 16384);
		if (!to)
			return otd_fail(err, OTD_E_NOMEM, "the answer of %s is too long", path);
		ssize_t n = recv(fd, to, 16384, 0);
		if (n < 0)
			return otd_fail(err, OTD_E_TIMEOUT, "%s does not answer: %s", path,
					strerror(errno));
		if (n == 0)
			break;
		out->len += (size_t)n;
	}
	uint8_t *head = out->ptr + start, *end = memchr(head, '\n', out->len - start);
	if (!end)
		return otd_fail(err, OTD_E_CLOSED, "%s closed without an answer", path);
	*end = '\0';
	if (strcmp((char *)head, "ok") != 0) {
		const char *text = (char *)head;
		return otd_fail(err, OTD_E_REFUSED, "%s",
				strncmp(text, "error ", 6) == 0 ? text + 6 : text);
	}
	memmove(head, end + 1, out->len - (size_t)(end + 1 - out->ptr));
	out->len -= (size_t)(end + 1 - head);
	return OTD_OK;
}

otd_rc otd_control_call(const char *path, const char *line, struct otd_bytes *out,
			int64_t timeout_ms, struct otd_err *err)
{
	struct sockaddr_un a;
	struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	otd_rc rc = fill_address(&a, path, err);
	if (rc == OTD_OK && strchr(line, '\n'))
		rc = otd_fail(err, OTD_E_INVALID, "the words go over several lines; write one");
	if (rc != OTD_OK)
		return rc;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return otd_fail(err, OTD_E_IO, "cannot make a socket: %s", strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		rc = otd_fail(err, OTD_E_CLOSED,
			      "no pool answers at %s (%s); start one, or name its socket with "
			      "--socket or its configuration with -c",
			      path, strerror(errno));
	} else {
		send_all(fd, line, strlen(line));
		send_all(fd, "\n", 1);
		rc = read_answer(fd, out, path, err);
	}
	close(fd);
	return rc;
}
