/*
 * Notices of a node's publisher (zmqpubhashblock): the subscriber's half of ZMTP 3.0, mechanism NULL, over
 * a stream of base/env.h. RFC 23/ZMTP of rfc.zeromq.org; what a message holds: Bitcoin Core, doc/zmq.md.
 * First a reader of bytes that does no input or output, then the connection with its pauses.
 */
#ifndef OTD_CHAIN_ZMQ_H
#define OTD_CHAIN_ZMQ_H

#include "base/bytes.h"
#include "base/env.h"
#include "base/err.h"

#define OTD_ZMQ_TOPIC     "hashblock"
#define OTD_ZMQ_FRAME_MAX 8192 /* bytes: what we ask for has 9, 32 and 4 */
#define OTD_ZMQ_GREETING  64

/* --- what comes --- */

struct otd_zmq_notice {
	uint8_t hash[32]; /* of the block, least significant byte first */
	bool numbered;
	uint32_t number; /* of this topic, of this publisher; it wraps */
};
typedef void (*otd_zmq_notice_fn)(void *arg, const struct otd_zmq_notice *n);

struct otd_zmq_reader {
	struct otd_bytes in; /* what is not whole yet */
	bool greeted, ready; /* their greeting, their READY */
	unsigned part;       /* of the message: 0 is the topic */
	bool ours;           /* its topic is the one that we asked for */
	bool whole;          /* notice is filled in as far as the message goes */
	struct otd_zmq_notice notice;
};

void otd_zmq_reader_init(struct otd_zmq_reader *r);
void otd_zmq_reader_finish(struct otd_zmq_reader *r);
/* All that n bytes bring; fn may be called several times, and must not touch r. An error ends the
   connection: err says what the peer is instead of a publisher. */
OTD_WARN_UNUSED otd_rc otd_zmq_read(struct otd_zmq_reader *r, const void *bytes, size_t n,
				    otd_zmq_notice_fn fn, void *arg, struct otd_err *err);

/* What is sent: at once, and once the peer is READY. */
void otd_zmq_greeting(uint8_t out[OTD_ZMQ_GREETING]);
otd_rc otd_zmq_hello(struct otd_bytes *out);     /* READY, as SUB */
otd_rc otd_zmq_subscribe(struct otd_bytes *out); /* to OTD_ZMQ_TOPIC */

/* "tcp://HOST:PORT" of a node's zmqpubhashblock. [any-thread] */
struct otd_zmq_address {
	char host[256];
	uint16_t port;
};
OTD_WARN_UNUSED otd_rc otd_zmq_address_parse(struct otd_zmq_address *out, const char *url,
					     struct otd_err *err);

/* --- the connection; all on its loop --- */

struct otd_zmq;
struct otd_zmq_conf {
	struct otd_zmq_address at;
	/* A block; and, with NULL, that some may have been missed: the connection is new, or numbers
	   have a gap. Not from within create; not to destroy it from within: of both. */
	void (*on_notice)(void *arg, const uint8_t *hash);
	void (*on_state)(void *arg); /* it stands, or is left; or NULL */
	void *arg;
};
struct otd_zmq_status {
	bool connected;        /* and subscribed */
	char why[200];         /* it is not; "" where nothing was wrong yet */
	uint64_t notices;      /* of blocks */
	uint64_t missed;       /* gaps in their numbers */
	uint64_t connects;     /* how often it stood */
	uint64_t connected_ns; /* monotonic: since when */
};

otd_rc otd_zmq_create(struct otd_zmq **out, struct otd_loop *l, struct otd_env *e,
		      const struct otd_zmq_conf *conf, struct otd_err *err);
void otd_zmq_destroy(struct otd_zmq *z); /* takes NULL */
void otd_zmq_look(const struct otd_zmq *z, struct otd_zmq_status *out);

#endif
