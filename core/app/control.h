/*
 * The control socket: how status and other commands talk to a running pool. A Unix socket, mode 0600;
 * one line in, "ok\n" or "error TEXT\n" and then a payload out, end of file. A thread of its own takes
 * requests and waits; they are answered on the coordinator's loop.
 */
#ifndef OTD_APP_CONTROL_H
#define OTD_APP_CONTROL_H

#include "base/bytes.h"
#include "base/env.h"

struct otd_control;
struct otd_control_request;

/* [coordinator] line is NUL-terminated. Ends, now or later, with one otd_control_answer(). */
typedef void (*otd_control_fn)(void *arg, struct otd_control_request *r, const char *line);

otd_rc otd_control_create(struct otd_control **out, struct otd_loop *l, const char *path,
			  otd_control_fn fn, void *arg, struct otd_err *err);
/* Removes the socket. Takes NULL. */
void otd_control_destroy(struct otd_control *c);
/* err NULL or rc OTD_OK: payload follows. The request is gone after it. [coordinator] */
void otd_control_answer(struct otd_control_request *r, const struct otd_err *err,
			const struct otd_bytes *payload);

/*
 * The request is gone, its client stays: a descriptor, the caller's, which is answered later and from anywhere,
 * also when the control socket is gone. -1: it has gone. [coordinator]
 */
int otd_control_keep(struct otd_control_request *r);
/* Answers and closes it; -1: nobody is there. [any-thread] */
void otd_control_answer_kept(int client, const struct otd_err *err,
			     const struct otd_bytes *payload);

/* The client's side: sends line to the pool behind path and appends its payload to out. Blocks up to
   timeout_ms. OTD_E_CLOSED: nobody listens there. */
otd_rc otd_control_call(const char *path, const char *line, struct otd_bytes *out,
			int64_t timeout_ms, struct otd_err *err);

#endif
