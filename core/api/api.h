/*
 * The HTTP side: GET requests answered from a table of routes, on a thread of its own
 * (libmicrohttpd), so that no loop waits for a browser. One otd_api an address and port.
 */
#ifndef OTD_API_API_H
#define OTD_API_API_H

#include "base/bytes.h"
#include "base/err.h"

struct otd_api;

struct otd_api_route {
	const char *path; /* "/metrics", exact */
	const char *type; /* "text/plain; version=0.0.4" */
	/* Appends the answer to out and returns the HTTP status. [any-thread], several at once. */
	int (*get)(void *arg, struct otd_bytes *out);
	void *arg;
};

struct otd_api_conf {
	const char *host; /* numeric */
	uint16_t port;
	const struct otd_api_route *routes; /* the caller's, until destroy */
	size_t n_routes;
	size_t max_answer;        /* bytes; 0: 64 MiB */
	unsigned max_connections; /* 0: 64 */
};

/* OTD_E_EXISTS: the port is taken; OTD_E_INVALID: host is not a numeric address. */
otd_rc otd_api_create(struct otd_api **out, const struct otd_api_conf *conf, struct otd_err *err);
/* Answers what runs, then ends. Takes NULL. */
void otd_api_destroy(struct otd_api *a);

#endif
