/*
 * Frames between two processes of ours over one unix stream socket, some with a descriptor. A frame is a
 * head of 8 bytes (length of the payload, flags; the machine's byte order: both ends are one program on
 * one machine), the payload, and zeros up to a multiple of 8. Nothing blocks: what the other side does
 * not take waits here, up to a maximum, and the caller is told.
 */
#ifndef OTD_LOOP_LINK_H
#define OTD_LOOP_LINK_H

#include "base/env.h"

#define OTD_LINK_HEAD      8u
#define OTD_LINK_WITH_FD   1u   /* flag: a descriptor came with it */
#define OTD_LINK_FDS_AHEAD 512u /* descriptors that may come before their frames */

struct otd_link;

struct otd_link_conf {
	size_t frame_max;   /* bytes of a payload; a longer one ends the link */
	size_t waiting_max; /* bytes that may wait for the other side */
	/* A payload, aligned to 8, for the length of the call; fd is the callee's, -1: none came with
	   it. It may not destroy the link. */
	void (*frame)(void *arg, struct otd_span payload, int fd);
	/* The other side is gone, or broke the rules: why says which. Once; nothing follows, and the
	   link may be destroyed from within. */
	void (*ended)(void *arg, const char *why);
	void *arg;
};

/* Takes fd, also on failure. [l] */
OTD_WARN_UNUSED otd_rc otd_link_create(struct otd_link **out, struct otd_loop *l, int fd,
				       const struct otd_link_conf *conf, struct otd_err *err);
/* Closes it; what still waits is lost. Takes NULL. [l] */
void otd_link_destroy(struct otd_link *k);
/*
 * It leaves at the end of this round of the loop, in order. fd (-1: none) is taken where this is OTD_OK.
 * OTD_E_BUSY: too much waits already; OTD_E_CLOSED: it has ended; OTD_E_RANGE: longer than frame_max. [l]
 */
OTD_WARN_UNUSED otd_rc otd_link_send(struct otd_link *k, const void *payload, size_t n, int fd);
/* Bytes that wait for the other side. [l] */
size_t otd_link_waiting(const struct otd_link *k);
/* Blocks until all is sent or ms are over: for a process that is about to end. [l] */
void otd_link_flush(struct otd_link *k, int ms);

struct otd_link_frame {
	struct otd_span payload;
	bool with_fd;
	size_t size; /* of the whole frame */
};
/* The frame at the start of n bytes. OTD_E_BUSY: it is not whole yet; OTD_E_INVALID: it is none. */
otd_rc otd_link_parse(struct otd_link_frame *out, const uint8_t *p, size_t n, size_t frame_max);

#endif
