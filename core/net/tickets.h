/*
 * The keys of TLS session tickets (RFC 5077; for TLS 1.3 RFC 8446, 4.6.1): who has a ticket comes back
 * without a signature of ours. One ring of keys a process, for all certificates and reactors, so that a
 * ticket of one is good at another; exported, it goes to the next process and over a restart.
 *
 * A new key comes every hour, and three are kept: a ticket is good for at least two hours and never for
 * more than three. Keys are random and none follows from another, so that who steals today's cannot read
 * a TLS 1.2 connection of yesterday.
 */
#ifndef OTD_NET_TICKETS_H
#define OTD_NET_TICKETS_H

#include "base/bytes.h"
#include "base/env.h"

#define OTD_TLS_TICKET_TURN_MS 3600000
#define OTD_TLS_TICKETS_KEPT   3

struct otd_tls_tickets;

struct otd_tls_ticket_key {
	int64_t created_ms; /* wall clock */
	uint8_t name[16];   /* says in a ticket which key it is of */
	uint8_t aes[32];    /* AES-256-CBC */
	uint8_t mac[32];    /* HMAC-SHA256 */
};

/* With one key. Outlives everything that uses it. */
OTD_WARN_UNUSED otd_rc otd_tls_tickets_create(struct otd_tls_tickets **out, struct otd_env *e,
					      struct otd_err *err);
void otd_tls_tickets_destroy(struct otd_tls_tickets *t); /* takes NULL; wipes the keys */
/* To be called now and then: makes a new key where the newest is an hour old (or of the future: the clock
   was put back) and drops those that are over. True: they are others now. [any-thread] */
bool otd_tls_tickets_turn(struct otd_tls_tickets *t);
/* All keys as flat bytes for another process or a file of ours (version 1). They are secrets: wipe
   them after use. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_tls_tickets_export(struct otd_tls_tickets *t, struct otd_bytes *out);
/* Takes the keys of such bytes that are not over in the place of those that are there. Where none is, the
   own ones stay, and it is OTD_E_NOT_FOUND. OTD_E_INVALID: no such bytes, OTD_E_CORRUPT: damaged, OTD_E_VERSION: of another
   version; nothing has changed. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_tls_tickets_import(struct otd_tls_tickets *t, struct otd_span from,
					      struct otd_err *err);

/* For a new ticket. [any-thread] */
void otd_tls_tickets_newest(struct otd_tls_tickets *t, struct otd_tls_ticket_key *out);
/* Of this name. False: none, or it is over. *newest: it is the one that new tickets get. [any-thread] */
bool otd_tls_tickets_find(struct otd_tls_tickets *t, struct otd_tls_ticket_key *out,
			  const uint8_t name[16], bool *newest);

#endif
