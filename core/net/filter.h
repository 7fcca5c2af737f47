/*
 * What may lie between a socket and its lines: TLS. A filter moves bytes in memory and knows neither
 * socket nor loop; the connection reads and writes for it. One connection, one filter. [reactor]
 */
#ifndef OTD_NET_FILTER_H
#define OTD_NET_FILTER_H

#include "base/bytes.h"
#include "base/err.h"

struct otd_filter;

struct otd_filter_ops {
	/*
	 * Bytes that the socket brought. What they mean is added to plain, what must be answered (a
	 * handshake) to wire. OTD_E_CLOSED: the peer has ended in order; OTD_E_INVALID: it broke the
	 * rules, wire may hold an alert; OTD_E_NOMEM. None is called again after these.
	 */
	otd_rc (*take)(struct otd_filter *f, struct otd_span from_socket, struct otd_bytes *plain,
		       struct otd_bytes *wire);
	/* What is to be said to the peer, as it goes over the wire; before the handshake is done it is kept
	   and leaves with a later take. */
	otd_rc (*give)(struct otd_filter *f, struct otd_span plain, struct otd_bytes *wire);
	/* The last that goes over the wire (close_notify); the socket is closed behind it. */
	void (*end)(struct otd_filter *f, struct otd_bytes *wire);
	void (*destroy)(struct otd_filter *f);
};

/* Implementations embed it as their first member. */
struct otd_filter {
	const struct otd_filter_ops *ops;
	const char *name; /* "TLSv1.3" once known, for log and status; lives as long as f */
};

#endif
