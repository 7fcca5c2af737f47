/* What stream.c, listen.c and connect.c share. */
#ifndef OTD_LOOP_STREAM_PRIV_H
#define OTD_LOOP_STREAM_PRIV_H

#include "loop/real.h"
#include <netinet/in.h>
#include <sys/socket.h>

/* The watcher is apart from the stream: libuv lets go of it a turn after the stream has left. */
struct real_poll {
	uv_poll_t handle;
	struct otd_stream *s; /* NULL: the stream has left */
};

union real_address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct real_listener;
struct real_connecting;

struct otd_stream {
	struct real_loop *loop; /* NULL: detached */
	struct real_poll *poll;
	otd_stream_fn fn;
	void *arg;
	struct real_listener *listener;     /* a listening socket's */
	struct real_connecting *connecting; /* until the connection stands or has failed */
	union real_address peer;            /* of the own end for a listener */
	int fd;                             /* -1: none yet, or none any more */
	int error;                          /* errno of the last failure, 0: none */
	uint8_t events;                     /* enum otd_stream_event asked for */
	bool attached, watched;             /* by watch.c: its loop's; for any event now */
};

socklen_t real_address_len(const union real_address *a);
void real_address_text(const union real_address *a, char *host, size_t cap, uint16_t *port);
/* Parses a numeric address; false where it is a name. */
bool real_address_numeric(union real_address *to, const char *host, uint16_t port);
struct otd_stream *real_stream_new(struct real_loop *l, int fd);
/* watch.c: of attached streams. forget before the descriptor is closed or goes elsewhere. */
otd_rc real_watch_open(struct real_loop *l);
void real_watch_set(struct otd_stream *s, unsigned events);
void real_watch_forget(struct otd_stream *s);
/* Starts to watch s->fd on s->loop by libuv, for nothing as yet: listeners, and who connects. */
otd_rc real_poll_open(struct otd_stream *s);
void real_poll_close(struct otd_stream *s);
/* Tells the watcher what is wanted now. */
void real_poll_update(struct otd_stream *s);
/* Nagle off, keep-alive on: of a connection. */
void real_socket_tune(int fd);

/* listen.c: the socket is readable; connect.c: it is writable; and on close. */
void real_listener_ready(struct otd_stream *s);
void real_listener_free(struct real_listener *li);
void real_connecting_ready(struct otd_stream *s);
void real_connecting_drop(struct otd_stream *s);

#endif
