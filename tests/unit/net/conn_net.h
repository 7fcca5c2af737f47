/* A loop with connections on a listener, and plain sockets as their peers: for tests of conn.h. */
#ifndef OTD_TEST_CONN_NET_H
#define OTD_TEST_CONN_NET_H

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
	struct otd_filter *(*filter)(void);
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

static void on_accept(void *arg, struct otd_stream *s)
{
	struct net *n = arg;
	struct otd_conn_origin from = n->origin;
	n->ops->stream_detach(s);
	from.filter = n->filter ? n->filter() : NULL;
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

static inline bool answer_twice(struct net *n, struct otd_conn *c, struct otd_span line)
{
	(void)n;
	(void)otd_conn_write(c, line.ptr, line.len);
	(void)otd_conn_write(c, "!\n", 2);
	if (line.len == 3 && !memcmp(line.ptr, "bye", 3))
		otd_conn_close_after_flush(c, "told to");
	return true;
}

#endif
