/* The HTTP client against a small server made of the stream seam. */
#include "helper.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct peer;

struct web {
	struct bench b;
	struct otd_stream *listener;
	struct peer *peers[16];
	size_t n_peers; /* connections ever accepted */
	size_t n_requests;
	uint16_t port;
	char request[4096]; /* the last one, headers and body */
	struct otd_http *h;
	int answers;
	otd_rc rc;
	int status;
	char body[256], error[512];
	bool cancel_all;
};

struct peer {
	struct web *w;
	struct otd_stream *s;
	char buf[4096];
	size_t n;
};

static void send_text(struct peer *p, const char *text)
{
	struct otd_span part = {(const uint8_t *)text, strlen(text)};
	size_t n;
	assert_int_equal(p->w->b.ops->stream_write(p->s, &n, &part, 1), OTD_OK);
	assert_int_equal(n, part.len);
}

static void answer(struct peer *p)
{
	char text[2048], fill[1024];
	p->w->n_requests++;
	snprintf(p->w->request, sizeof(p->w->request), "%s", p->buf);
	if (strstr(p->buf, " /silent")) {
		return;
	} else if (strstr(p->buf, " /close")) {
		p->w->b.ops->stream_close(p->s);
		p->s = NULL;
	} else if (strstr(p->buf, " /long")) {
		memset(fill, 'x', sizeof(fill));
		snprintf(text, sizeof(text),
			 "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n%.1024s", fill);
		send_text(p, text);
	} else if (strstr(p->buf, " /endless")) {
		memset(fill, 'x', 1000);
		snprintf(text, sizeof(text),
			 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n%.1000s\r\n",
			 fill);
		send_text(p, text);
	} else if (strstr(p->buf, " /moved")) {
		send_text(p, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n"
			     "Content-Length: 0\r\n\r\n");
	} else if (strstr(p->buf, " /500")) {
		send_text(p, "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops");
	} else {
		send_text(p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	}
}

static void on_peer(void *arg, unsigned events)
{
	struct peer *p = arg;
	size_t n;
	otd_rc rc;
	char *end, *length;
	(void)events;
	rc = p->w->b.ops->stream_read(p->s, &n, p->buf + p->n, sizeof(p->buf) - 1 - p->n);
	if (rc == OTD_E_BUSY)
		return;
	if (rc) {
		p->w->b.ops->stream_close(p->s);
		p->s = NULL;
		return;
	}
	p->n += n;
	p->buf[p->n] = 0;
	end = strstr(p->buf, "\r\n\r\n");
	if (!end)
		return;
	length = strstr(p->buf, "Content-Length: ");
	if (length && strlen(end + 4) < strtoul(length + 16, NULL, 10))
		return;
	answer(p);
	p->n = 0;
}

static void on_accept(void *arg, struct otd_stream *s)
{
	struct web *w = arg;
	struct peer *p = calloc(1, sizeof(*p));
	p->w = w;
	p->s = s;
	assert_true(w->n_peers < 16);
	w->peers[w->n_peers++] = p;
	assert_int_equal(w->b.ops->stream_attach(w->b.loop, s, on_peer, p), OTD_OK);
	w->b.ops->stream_watch(s, OTD_READABLE);
}

static void on_answer(void *arg, const struct otd_http_answer *a)
{
	struct web *w = arg;
	w->answers++;
	w->rc = a->rc;
	w->status = a->status;
	snprintf(w->body, sizeof(w->body), "%.*s", (int)a->body.len,
		 a->body.len ? (const char *)a->body.ptr : "");
	snprintf(w->error, sizeof(w->error), "%s", a->error ? a->error : "");
	bench_stop(&w->b);
}

static int setup(void **state)
{
	struct web *w = calloc(1, sizeof(*w));
	char host[64];
	*state = w;
	bench_open(&w->b);
	assert_int_equal(w->b.ops->listen(w->b.loop, &w->listener, "127.0.0.1", 0, false, on_accept,
					  w, NULL),
			 OTD_OK);
	w->b.ops->stream_peer(w->listener, host, sizeof(host), &w->port);
	return 0;
}

static int teardown(void **state)
{
	struct web *w = *state;
	for (size_t i = 0; i < w->n_peers; i++) {
		w->b.ops->stream_close(w->peers[i]->s);
		free(w->peers[i]);
	}
	w->b.ops->stream_close(w->listener);
	bench_close(&w->b);
	free(w);
	return 0;
}

static void start(struct web *w, const char *path, struct otd_http_request r)
{
	char url[128];
	snprintf(url, sizeof(url), "http://user:hunter2@127.0.0.1:%u%s", w->port, path);
	if (!r.url)
		r.url = url;
	if (!r.timeout_ms)
		r.timeout_ms = 10000;
	assert_int_equal(w->b.ops->http(w->b.loop, &w->h, &r, on_answer, w), OTD_OK);
}

static void ask(struct web *w, const char *path, struct otd_http_request r)
{
	start(w, path, r);
	bench_run(&w->b);
	assert_null(strstr(w->error, "hunter2"));
}

static void post_with_password_on_one_connection(void **state)
{
	struct web *w = *state;
	struct otd_http_request r = {.user = "pool", .password = "hunter2"};
	char big[2000];
	r.body = (struct otd_span){(const uint8_t *)"{\"id\":1}", 8};
	ask(w, "/rpc", r);
	assert_int_equal(w->rc, OTD_OK);
	assert_int_equal(w->status, 200);
	assert_string_equal(w->body, "hello");
	assert_non_null(strstr(w->request, "POST /rpc HTTP/1.1\r\n"));
	assert_non_null(strstr(w->request, "Authorization: Basic cG9vbDpodW50ZXIy\r\n"));
	assert_non_null(strstr(w->request, "Content-Type: application/json\r\n"));
	assert_non_null(strstr(w->request, "\r\n\r\n{\"id\":1}"));
	memset(big, ' ', sizeof(big));
	r.body = (struct otd_span){(const uint8_t *)big, sizeof(big)};
	ask(w, "/rpc", r);
	assert_null(strstr(w->request, "Expect:"));
	r.body.len = 0;
	ask(w, "/health", r);
	assert_non_null(strstr(w->request, "GET /health HTTP/1.1\r\n"));
	assert_int_equal(w->n_peers, 1); /* three requests, one connection */
}

/* A request that may not happen twice: whoever closes without a word has got it one time. */
static void once_is_once(void **state)
{
	struct web *w = *state;
	struct otd_http_request r = {.body = {(const uint8_t *)"{}", 2}};
	ask(w, "/rpc", r);
	ask(w, "/close", r); /* on the kept connection: it is sent again on another */
	assert_int_equal(w->rc, OTD_E_CLOSED);
	assert_int_equal(w->n_requests, 3);
	ask(w, "/rpc", r);
	w->n_requests = w->n_peers;
	r.once = true;
	ask(w, "/close", r);
	assert_int_equal(w->rc, OTD_E_CLOSED);
	assert_int_equal(w->n_requests, w->n_peers); /* one more of both */
	ask(w, "/rpc", r);
	assert_int_equal(w->rc, OTD_OK);
	ask(w, "/rpc", r);
	assert_int_equal(w->n_requests, w->n_peers); /* and it is not kept */
}

static void any_status_is_an_answer(void **state)
{
	struct web *w = *state;
	ask(w, "/500", (struct otd_http_request){0});
	assert_int_equal(w->rc, OTD_OK);
	assert_int_equal(w->status, 500);
	assert_string_equal(w->body, "oops");
	ask(w, "/moved", (struct otd_http_request){0});
	assert_int_equal(w->status, 302); /* not followed */
}

static void timeout_ends_it(void **state)
{
	struct web *w = *state;
	ask(w, "/silent", (struct otd_http_request){.timeout_ms = 50});
	assert_int_equal(w->rc, OTD_E_TIMEOUT);
	assert_non_null(strstr(w->error, "http://127.0.0.1:"));
	assert_int_equal(w->answers, 1);
}

static void long_answers_are_refused(void **state)
{
	struct web *w = *state;
	ask(w, "/long", (struct otd_http_request){.max_answer = 1024});
	assert_int_equal(w->rc, OTD_OK);
	ask(w, "/long", (struct otd_http_request){.max_answer = 1023});
	assert_int_equal(w->rc, OTD_E_RANGE);
	assert_non_null(strstr(w->error, "longer than 1023 bytes"));
	ask(w, "/endless", (struct otd_http_request){.max_answer = 999});
	assert_int_equal(w->rc, OTD_E_RANGE);
}

static void failures_say_what(void **state)
{
	struct web *w = *state;
	struct otd_http_request r = {0};
	ask(w, "/close", r);
	assert_int_equal(w->rc, OTD_E_CLOSED);
	r.url = "file:///etc/passwd";
	ask(w, NULL, r);
	assert_int_equal(w->rc, OTD_E_INVALID);
	/* A label of more than 63 bytes is asked of no name server, which might take its time. */
	r.url = "http://no-such-host-of-this-name-nor-of-any-other-for-it-is-longer-than-63-bytes"
		".invalid/";
	ask(w, NULL, r);
	assert_int_equal(w->rc, OTD_E_NOT_FOUND);
	w->b.ops->stream_close(w->listener);
	w->listener = NULL;
	ask(w, "/x", (struct otd_http_request){.password = "hunter2", .user = "u"});
	assert_int_equal(w->rc, OTD_E_REFUSED);
	assert_non_null(strstr(w->error, "http://127.0.0.1:"));
}

static void end_after(void *arg)
{
	bench_stop(arg);
}

static void cancelled_is_never_answered(void **state)
{
	struct web *w = *state;
	struct otd_timer *t;
	start(w, "/silent", (struct otd_http_request){0});
	w->b.ops->http_cancel(w->h);
	start(w, "/silent", (struct otd_http_request){.timeout_ms = 20});
	w->b.ops->http_cancel(w->h);
	start(w, "/rpc", (struct otd_http_request){0}); /* not cancelled: goes with the loop */
	assert_int_equal(w->b.ops->timer_create(w->b.loop, &t, end_after, &w->b), OTD_OK);
	w->b.ops->timer_start(t, 100, 0);
	bench_run(&w->b);
	assert_true(w->answers <= 1);
	w->b.ops->timer_destroy(t);
	start(w, "/silent", (struct otd_http_request){0});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(post_with_password_on_one_connection, setup,
						teardown),
		cmocka_unit_test_setup_teardown(once_is_once, setup, teardown),
		cmocka_unit_test_setup_teardown(any_status_is_an_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(timeout_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(long_answers_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(failures_say_what, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled_is_never_answered, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
