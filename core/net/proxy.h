/*
 * The PROXY header, versions 1 and 2: what a proxy says in front of a connection of whom it is. See
 * https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt
 */
#ifndef OTD_NET_PROXY_H
#define OTD_NET_PROXY_H

#include "base/bytes.h"
#include "base/err.h"

#define OTD_PROXY_MAX 2048 /* bytes of a header; HAProxy's own have some hundred at most */

struct otd_proxy {
	bool has_address; /* false: LOCAL or UNKNOWN: the proxy speaks for itself (a health check) */
	char host[46];    /* numeric; an IPv4 address in IPv6 clothes is IPv4 */
	uint16_t port;
};

/*
 * OTD_OK: *used bytes at the beginning of in were a header. OTD_E_BUSY: more of it has to come.
 * OTD_E_INVALID: it is none, or a broken one: a checksum (CRC-32C) that is there must be right. Never reads
 * behind in. [any-thread]
 */
OTD_WARN_UNUSED otd_rc otd_proxy_parse(struct otd_proxy *out, size_t *used, struct otd_span in);

#endif
