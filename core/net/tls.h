/*
 * TLS 1.2 and 1.3 for miners, with forward secrecy only (ECDHE), as a filter between socket and lines
 * (net/filter.h). Sockets stay with the connection: OpenSSL sees bytes in memory, and a connection at rest
 * keeps none of them.
 *
 * Certificates come as PEM text, which somebody else has read: a struct otd_tls is made of them whole or
 * not at all, and a fresh one takes the place of another without touching connections that stand.
 */
#ifndef OTD_NET_TLS_H
#define OTD_NET_TLS_H

#include "base/env.h"
#include "base/metrics.h"
#include "net/filter.h"
#include "net/tickets.h"

#define OTD_TLS_PEM_MAX 262144 /* bytes of a file */

struct otd_tls;

/* What a person wants to know of a certificate. */
struct otd_tls_facts {
	int64_t from_ms, until_ms; /* wall clock: its validity */
	char names[200];           /* "pool.example, *.pool.example", else its subject */
	char key[40];              /* "EC 256 bits" */
	char digest[65];           /* SHA-256 of the certificate, hex */
	unsigned chain;            /* certificates behind the first */
};

struct otd_tls_conf {
	const char *certificate_file, *key_file; /* for messages only */
	struct otd_span certificate;             /* PEM: the server's own first, then its chain */
	struct otd_span key;                     /* PEM, without a passphrase */
	struct otd_tls_tickets *tickets;         /* outlives it; NULL: no tickets */
	struct otd_metrics *metrics;             /* or NULL */
	struct otd_env *env;
};

/* err says which file, what is wrong with it and what to do. That it is not valid now is no error here:
   see otd_tls_validity(). Some milliseconds of work. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_tls_create(struct otd_tls **out, const struct otd_tls_conf *conf,
				      struct otd_err *err);
/* Handshakes from now on use what fresh has; fresh is destroyed. [any-thread] */
void otd_tls_replace(struct otd_tls *t, struct otd_tls *fresh);
/* No handshake from now on: its port is gone, and the key is wiped with its last connection. [any-thread] */
void otd_tls_retire(struct otd_tls *t);
/* Filters that stand keep what they need. Takes NULL. */
void otd_tls_destroy(struct otd_tls *t);
/* [any-thread] */
void otd_tls_facts(struct otd_tls *t, struct otd_tls_facts *out);
/* OTD_OK: valid at now_ms. OTD_E_RANGE: over, or not yet; err says so, with the mend. file is for the
   text. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_tls_validity(const struct otd_tls_facts *f, const char *file,
					int64_t now_ms, struct otd_err *err);

/* A filter for one new connection, which uses it on one loop. peer: its address, for the log where the handshake
   fails. OTD_E_CLOSED: retired. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_tls_filter(struct otd_tls *t, struct otd_filter **out, const char *peer);

/* The first byte of a TLS connection (a record of a handshake; RFC 8446, 5.1). No line begins so. */
#define OTD_TLS_FIRST_BYTE 0x16

#endif
