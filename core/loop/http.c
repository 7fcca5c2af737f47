/* The HTTP client: one libcurl multi a loop, driven by the loop's watchers and one timer. */
#include "base/bytes.h"
#include "loop/real.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TIMEOUT_MS 60000
#define DEFAULT_ANSWER     ((size_t)16 << 20)
#define CONNECT_MS         10000
#define KEPT_CONNECTIONS   64L

struct real_http_multi {
	CURLM *curl;
	struct real_loop *loop;
	uv_timer_t *timer;
	struct otd_http *first; /* requests under way */
};

struct watch {
	uv_poll_t handle;
	struct real_http_multi *m;
	curl_socket_t fd;
};

struct otd_http {
	struct otd_http *next, *prev;
	struct real_http_multi *m;
	CURL *easy;
	struct curl_slist *headers;
	struct otd_bytes answer;
	bool too_long;
	otd_http_fn fn;
	void *arg;
	char *where; /* scheme://host:port of the request, for messages */
	char *secret;
	char error[CURL_ERROR_SIZE];
};

static void free_handle(uv_handle_t *h)
{
	free(h->data);
}

/* --- messages --- */

/* The URL up to its path, without user and password. */
static char *where_of(const char *url)
{
	const char *host = strstr(url, "://");
	size_t scheme = host ? (size_t)(host - url) + 3 : 0, n;
	const char *at;
	char *out;
	host = url + scheme;
	n = strcspn(host, "/?#");
	at = memchr(host, '@', n);
	while (at) {
		n -= (size_t)(at + 1 - host);
		host = at + 1;
		at = memchr(host, '@', n);
	}
	out = calloc(1, scheme + n + 1);
	if (out) {
		memcpy(out, url, scheme);
		memcpy(out + scheme, host, n);
	}
	return out;
}

static otd_rc code_of(const struct otd_http *h, CURLcode c)
{
	if (h->too_long)
		return OTD_E_RANGE;
	switch (c) {
	case CURLE_OK: return OTD_OK;
	case CURLE_OPERATION_TIMEDOUT: return OTD_E_TIMEOUT;
	case CURLE_COULDNT_CONNECT: return OTD_E_REFUSED;
	case CURLE_COULDNT_RESOLVE_HOST: return OTD_E_NOT_FOUND;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT: return OTD_E_INVALID;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR: return OTD_E_CLOSED;
	case CURLE_WRITE_ERROR: /* on_body() found no memory */
	case CURLE_OUT_OF_MEMORY: return OTD_E_NOMEM;
	default: return OTD_E_IO;
	}
}

static void say_error(struct otd_err *err, const struct otd_http *h, otd_rc rc, CURLcode c)
{
	const char *why = h->error[0] ? h->error : curl_easy_strerror(c);
	if (rc == OTD_E_RANGE) {
		otd_fail(err, rc, "%s: the answer is longer than %zu bytes", h->where,
			 h->answer.max);
		return;
	}
	/* libcurl quotes parts of the URL in some messages. */
	if (rc == OTD_E_INVALID || (h->secret && *h->secret && strstr(why, h->secret)))
		why = curl_easy_strerror(c);
	otd_fail(err, rc, "%s: %s", h->where, why);
}

/* --- life of a request --- */

static void http_free(struct otd_http *h)
{
	if (h->next)
		h->next->prev = h->prev;
	if (h->prev)
		h->prev->next = h->next;
	else if (h->m && h->m->first == h)
		h->m->first = h->next;
	if (h->easy) {
		if (h->m)
			curl_multi_remove_handle(h->m->curl, h->easy);
		curl_easy_cleanup(h->easy);
	}
	curl_slist_free_all(h->headers);
	otd_bytes_finish(&h->answer);
	free(h->where);
	free(h->secret);
	free(h);
}

static void finish(struct otd_http *h, CURLcode result)
{
	struct otd_http_answer a = {.rc = code_of(h, result)};
	otd_http_fn fn = h->fn;
	struct otd_err err;
	long status = 0;
	if (a.rc) {
		say_error(&err, h, a.rc, result);
		a.error = err.text;
	} else {
		curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
		a.status = (int)status;
		a.body = otd_bytes_span(&h->answer);
	}
	/* Off the multi first: fn may ask for more, or end others. */
	curl_multi_remove_handle(h->m->curl, h->easy);
	curl_easy_cleanup(h->easy);
	h->easy = NULL;
	fn(h->arg, &a);
	http_free(h);
}

static void take_finished(struct real_http_multi *m)
{
	CURLMsg *msg;
	int left;
	while ((msg = curl_multi_info_read(m->curl, &left))) {
		struct otd_http *h = NULL;
		CURLcode result = msg->data.result;
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&h);
		finish(h, result); /* msg is gone with the handle */
	}
}

/* --- libcurl's wishes --- */

static void on_timer(uv_timer_t *t)
{
	struct real_http_multi *m = ((struct watch *)t->data)->m;
	int running;
	curl_multi_socket_action(m->curl, CURL_SOCKET_TIMEOUT, 0, &running);
	take_finished(m);
}

static int want_timer(CURLM *curl, long ms, void *arg)
{
	struct real_http_multi *m = arg;
	(void)curl;
	if (ms < 0) {
		uv_timer_stop(m->timer);
	} else {
		uv_update_time(&m->loop->uv);
		uv_timer_start(m->timer, on_timer, (uint64_t)ms, 0);
	}
	return 0;
}

static void on_socket(uv_poll_t *p, int status, int events)
{
	struct watch *w = p->data;
	struct real_http_multi *m = w->m;
	int flags = 0, running;
	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(m->curl, w->fd, flags, &running);
	take_finished(m);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct real_http_multi *m = arg;
	struct watch *w = socket_arg;
	int events = 0;
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w) {
			curl_multi_assign(m->curl, fd, NULL);
			uv_close((uv_handle_t *)&w->handle, free_handle);
		}
		return 0;
	}
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -1;
		if (uv_poll_init_socket(&m->loop->uv, &w->handle, fd)) {
			free(w);
			return -1;
		}
		w->handle.data = w;
		w->m = m;
		w->fd = fd;
		curl_multi_assign(m->curl, fd, w);
	}
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	return uv_poll_start(&w->handle, events, on_socket) ? -1 : 0;
}

static struct real_http_multi *multi_create(struct real_loop *l)
{
	struct real_http_multi *m = calloc(1, sizeof(*m));
	struct timer_watch {
		struct watch w;
		uv_timer_t timer;
	} *t = calloc(1, sizeof(*t));
	if (m && t)
		m->curl = curl_multi_init();
	if (!m || !t || !m->curl) {
		free(m);
		free(t);
		return NULL;
	}
	m->loop = l;
	m->timer = &t->timer;
	t->w.m = m;
	uv_timer_init(&l->uv, m->timer);
	m->timer->data = t;
	curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
	curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
	curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
	return m;
}

void real_http_multi_destroy(struct real_http_multi *m)
{
	if (!m)
		return;
	while (m->first)
		http_free(m->first);
	curl_multi_cleanup(m->curl);
	uv_close((uv_handle_t *)m->timer, free_handle);
	free(m);
}

/* --- a request --- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct otd_http *h = arg;
	n *= size;
	if (n > h->answer.max - h->answer.len) {
		h->too_long = true;
		return 0;
	}
	return otd_bytes_add(&h->answer, p, n) ? 0 : n;
}

static bool set_up(struct otd_http *h, const struct otd_http_request *r)
{
	CURL *c = h->easy;
	long timeout = r->timeout_ms > 0 ? (long)r->timeout_ms : DEFAULT_TIMEOUT_MS;
	bool ok = true;
#define SET(option, value) (ok = ok && curl_easy_setopt(c, option, value) == CURLE_OK)
	SET(CURLOPT_URL, r->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NOPROXY, "*"); /* credentials of nodes go to nodes only */
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_TIMEOUT_MS, timeout);
	SET(CURLOPT_CONNECTTIMEOUT_MS, timeout < CONNECT_MS ? timeout : (long)CONNECT_MS);
	SET(CURLOPT_ERRORBUFFER, h->error);
	SET(CURLOPT_PRIVATE, (void *)h);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, (void *)h);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_FRESH_CONNECT, r->once ? 1L : 0L);
	SET(CURLOPT_FORBID_REUSE, r->once ? 1L : 0L);
	if (r->user) {
		SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		SET(CURLOPT_USERNAME, r->user);
		SET(CURLOPT_PASSWORD, r->password ? r->password : "");
	}
	if (r->body.len) {
		h->headers = curl_slist_append(NULL, "Content-Type: application/json");
		ok = ok && h->headers;
		/* Else libcurl waits a second for "100 Continue" before a large body. */
		ok = ok && curl_slist_append(h->headers, "Expect:");
		SET(CURLOPT_HTTPHEADER, h->headers);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
		SET(CURLOPT_COPYPOSTFIELDS, (const char *)r->body.ptr);
	}
#undef SET
	return ok;
}

otd_rc real_http(struct otd_loop *base, struct otd_http **out, const struct otd_http_request *r,
		 otd_http_fn fn, void *arg)
{
	struct real_loop *l = real_loop_of(base);
	struct otd_http *h;
	*out = NULL;
	if (!l->multi)
		l->multi = multi_create(l);
	h = l->multi ? calloc(1, sizeof(*h)) : NULL;
	if (!h)
		return OTD_E_NOMEM;
	otd_bytes_init(&h->answer, r->max_answer ? r->max_answer : DEFAULT_ANSWER);
	h->fn = fn;
	h->arg = arg;
	h->where = where_of(r->url);
	h->secret = r->password ? strdup(r->password) : NULL;
	h->easy = curl_easy_init();
	if (!h->where || !h->easy || (r->password && !h->secret) || !set_up(h, r) ||
	    curl_multi_add_handle(l->multi->curl, h->easy)) {
		http_free(h);
		return OTD_E_NOMEM;
	}
	h->m = l->multi;
	h->next = h->m->first;
	if (h->next)
		h->next->prev = h;
	h->m->first = h;
	*out = h;
	return OTD_OK;
}

void real_http_cancel(struct otd_http *h)
{
	if (h)
		http_free(h);
}
