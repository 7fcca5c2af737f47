/*
 * The miner's side of TLS 1.2 and 1.3 (stratum+ssl://): one connection at a time, in memory; the socket
 * stays with client.c. Certificates are checked as the conf says, and tickets kept for the way back.
 */
#ifndef OTD_MINER_TLS_H
#define OTD_MINER_TLS_H

#include "base/bytes.h"
#include "miner/miner.h"

#define OTD_MINER_TLS_SLOTS 16u
#define OTD_MINER_NO_SLOT   OTD_MINER_TLS_SLOTS

struct otd_miner_tls;

/* Copies what it needs of trust. err: which of it is wrong, and what to do. */
OTD_WARN_UNUSED otd_rc otd_miner_tls_create(struct otd_miner_tls **out,
					    const struct otd_miner_trust *trust,
					    struct otd_err *err);
void otd_miner_tls_destroy(struct otd_miner_tls *t); /* takes NULL */

/* A new connection to host, a name or a numeric address; its hello is added to wire. slot: tickets of the
   same server stay together; OTD_MINER_NO_SLOT: none are used or kept. */
OTD_WARN_UNUSED otd_rc otd_miner_tls_begin(struct otd_miner_tls *t, const char *host, uint32_t slot,
					   struct otd_bytes *wire);
/* Bytes that the socket brought. */
OTD_WARN_UNUSED otd_rc otd_miner_tls_feed(struct otd_miner_tls *t, struct otd_span from_socket);
/*
 * Up to cap bytes of what they mean; what must be answered (a handshake) is added to wire. OTD_E_BUSY: more
 * must be fed first. OTD_E_CLOSED: the pool has ended in order; another: otd_miner_tls_why() says why.
 */
OTD_WARN_UNUSED otd_rc otd_miner_tls_read(struct otd_miner_tls *t, uint8_t *to, size_t cap,
					  size_t *n, struct otd_bytes *wire);
/* Moves what is to be said from plain to wire; leaves it where the handshake is not through. */
OTD_WARN_UNUSED otd_rc otd_miner_tls_give(struct otd_miner_tls *t, struct otd_bytes *plain,
					  struct otd_bytes *wire);
/* The handshake is through, and the pool is who it should be. */
bool otd_miner_tls_is_up(const struct otd_miner_tls *t);
/* For people, once it is up: "TLSv1.3, resumed". */
const char *otd_miner_tls_name(const struct otd_miner_tls *t);
/* What went wrong with this connection and what to do; "" where nothing did. */
const char *otd_miner_tls_why(const struct otd_miner_tls *t);
/* The last words, an alert or a farewell, are added to wire; the connection is over. */
void otd_miner_tls_end(struct otd_miner_tls *t, struct otd_bytes *wire);

#endif
