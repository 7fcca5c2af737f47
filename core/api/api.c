#include "api/api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_S 30

struct otd_api {
	struct otd_api_conf conf;
	struct MHD_Daemon *daemon;
};

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *text)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, "Content-Type", "text/plain; charset=utf-8");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, "Allow", "GET, HEAD");
	enum MHD_Result ok = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result send_route(struct otd_api *a, struct MHD_Connection *c,
				  const struct otd_api_route *route)
{
	struct otd_bytes out;
	otd_bytes_init(&out, a->conf.max_answer ? a->conf.max_answer : 64u << 20);
	int status = route->get(route->arg, &out);
	if (out.failed) {
		otd_bytes_finish(&out);
		return send_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "the answer is too long\n");
	}
	/* The response takes the buffer over and frees it. */
	struct MHD_Response *r = MHD_create_response_from_buffer(
		out.len, out.ptr, out.ptr ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (!r) {
		otd_bytes_finish(&out);
		return MHD_NO;
	}
	MHD_add_response_header(r, "Content-Type", route->type);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	enum MHD_Result ok = MHD_queue_response(c, (unsigned)status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	static int seen; /* its address marks a request whose headers we have seen */
	struct otd_api *a = arg;
	(void)version, (void)upload;
	if (!*state) {
		*state = &seen;
		return MHD_YES;
	}
	if (*upload_size) {
		*upload_size = 0; /* a body is read and dropped */
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return send_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is answered here\n");
	for (size_t i = 0; i < a->conf.n_routes; i++) {
		if (strcmp(url, a->conf.routes[i].path) == 0)
			return send_route(a, c, &a->conf.routes[i]);
	}
	return send_text(c, MHD_HTTP_NOT_FOUND, "nothing is here; try /health or /metrics\n");
}

otd_rc otd_api_create(struct otd_api **out, const struct otd_api_conf *conf, struct otd_err *err)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(conf->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(conf->port)};
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD;
	const void *address = &v4;
	*out = NULL;
	if (inet_pton(AF_INET, conf->host, &v4.sin_addr) != 1) {
		if (inet_pton(AF_INET6, conf->host, &v6.sin6_addr) != 1)
			return otd_fail(err, OTD_E_INVALID,
					"'%s' is not a numeric address; write 127.0.0.1 or ::1",
					conf->host);
		flags |= MHD_USE_IPv6;
		address = &v6;
	}
	struct otd_api *a = calloc(1, sizeof(*a));
	if (!a)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	a->conf = *conf;
	errno = 0;
	a->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, a, MHD_OPTION_SOCK_ADDR, address,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_LIMIT,
		conf->max_connections ? conf->max_connections : 64u, MHD_OPTION_END);
	if (!a->daemon) {
		int why = errno;
		free(a);
		return otd_fail(err, why == EADDRINUSE ? OTD_E_EXISTS : OTD_E_IO,
				"cannot listen on %s:%u: %s", conf->host, conf->port,
				why ? strerror(why) : "the address is not usable");
	}
	*out = a;
	return OTD_OK;
}

void otd_api_destroy(struct otd_api *a)
{
	if (!a)
		return;
	MHD_stop_daemon(a->daemon);
	free(a);
}
