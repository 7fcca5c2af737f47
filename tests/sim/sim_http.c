/* Requests to other machines, and what may become of them on their way. */
#include "base/bytes.h"
#include "sim_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ANSWER (8u << 20)
#define HOLD_NS    500000000u

/* All that the other machine sees; it may see it when nobody waits for the answer any more. */
struct asked {
	struct sim *sim;
	char *url, *user, *password;
	uint8_t *body;
	size_t len;
};

struct otd_http {
	struct sim *sim;
	struct otd_http *next;
	struct asked *asked;
	otd_http_fn fn;
	void *arg;
	enum sim_http_fault fault;
	bool held;          /* the other machine has not answered yet */
	uint64_t done_ns;   /* the other machine does it; 0: it has, or never will */
	uint64_t answer_ns; /* we are told */
	uint64_t timeout_ns;
	size_t max_answer;
	otd_rc rc;
	int status;
	struct otd_bytes answer;
};

static char *text(const char *s)
{
	return sim_text(s ? s : "");
}

static void asked_free(struct asked *a)
{
	free(a->url);
	free(a->user);
	free(a->password);
	free(a->body);
	free(a);
}

void sim_serve(struct sim *s, const char *url, sim_server_fn fn, bool (*up)(void *arg), void *arg)
{
	struct server *v = sim_new(1, sizeof(*v));
	(void)snprintf(v->url, sizeof(v->url), "%s", url);
	v->fn = fn;
	v->up = up;
	v->arg = arg;
	v->next = s->servers;
	s->servers = v;
}

void sim_http_free_servers(struct sim *s)
{
	while (s->servers) {
		struct server *v = s->servers;
		s->servers = v->next;
		free(v);
	}
}

/* NULL: nobody listens there. */
static struct server *server_of(struct sim *s, const char *url)
{
	for (struct server *v = s->servers; v; v = v->next) {
		size_t n = strlen(v->url);
		if (strncmp(url, v->url, n) == 0 && (url[n] == '/' || url[n] == '\0'))
			return !v->up || v->up(v->arg) ? v : NULL;
	}
	return NULL;
}

/* The other machine does it; false: nobody is there. */
static bool carry_out(struct asked *a, int *status, struct otd_bytes *answer)
{
	struct server *v = server_of(a->sim, a->url);
	if (!v)
		return false;
	const struct otd_span body = {a->body, a->len};
	otd_bytes_clear(answer);
	*status = v->fn(v->arg, a->url + strlen(v->url), a->user, a->password, body, answer);
	return true;
}

/* --- requests whose sender does not wait any more --- */

static int64_t run_orphan(void *arg)
{
	struct asked *a = arg;
	struct otd_bytes ignored;
	int status;
	otd_bytes_init(&ignored, MAX_ANSWER);
	a->sim->http_orphans += carry_out(a, &status, &ignored);
	otd_bytes_finish(&ignored);
	asked_free(a);
	return 0;
}

void sim_http_free_outside(sim_outside_fn fn, void *arg)
{
	if (fn == run_orphan)
		asked_free(arg);
}

static void make_orphan(struct otd_http *h, int64_t delay_ms)
{
	sim_outside(h->sim, delay_ms, run_orphan, h->asked);
	h->asked = NULL;
}

/* --- fates --- */

const char *sim_http_fault_name(enum sim_http_fault f)
{
	static const char *const names[SIM_HTTP_FAULTS] = {
		"fine",
		"refused",
		"timed out, not done",
		"timed out, done",
		"timed out, done late",
		"cut, not done",
		"cut, done",
		"garbage, not done",
		"garbage, done",
		"queue full",
		"slow",
		"done twice",
		"done, sent again, refused",
	};
	return names[f];
}

void sim_http_faults(struct sim *s, uint32_t ppm)
{
	s->http_ppm = ppm;
}

uint64_t sim_http_fired(struct sim *s, enum sim_http_fault f)
{
	return s->http_fired[f];
}

uint64_t sim_http_orphans(struct sim *s)
{
	return s->http_orphans;
}

static enum sim_http_fault choose(struct sim *s, bool once)
{
	if (!s->http_ppm || !sim_chance(s, s->http_ppm))
		return SIM_HTTP_FINE;
	return (enum sim_http_fault)(
		1 + sim_below(s, once ? SIM_HTTP_TWICE - 1u : SIM_HTTP_FAULTS - 1u));
}

static bool is_never_done(enum sim_http_fault f)
{
	return f == SIM_HTTP_REFUSED || f == SIM_HTTP_LOST || f == SIM_HTTP_CUT ||
	       f == SIM_HTTP_GARBAGE || f == SIM_HTTP_QUEUE;
}

static bool is_timeout(enum sim_http_fault f)
{
	return f == SIM_HTTP_LOST || f == SIM_HTTP_DONE_LOST || f == SIM_HTTP_DONE_LATE;
}

static void plan(struct otd_http *h)
{
	struct sim *s = h->sim;
	uint64_t there = s->now_ns + 100000 + sim_below(s, 3000000);
	h->answer_ns = there + 100000 + sim_below(s, 5000000);
	h->done_ns = is_never_done(h->fault) ? 0 : there;
	if (h->fault == SIM_HTTP_SLOW)
		h->answer_ns = h->timeout_ns - 1000000;
	if (is_timeout(h->fault))
		h->answer_ns = h->timeout_ns;
	if (h->fault == SIM_HTTP_DONE_LATE)
		h->done_ns = h->timeout_ns + 1 + sim_below(s, 40000) * 1000000;
}

otd_rc sim_http(struct otd_loop *l, struct otd_http **out, const struct otd_http_request *r,
		otd_http_fn fn, void *arg)
{
	struct sim *s = (struct sim *)(void *)l->env;
	struct otd_http *h = sim_new(1, sizeof(*h));
	struct asked *a = h->asked = sim_new(1, sizeof(*a));
	a->sim = h->sim = s;
	a->url = text(r->url);
	a->user = text(r->user);
	a->password = text(r->password);
	a->len = r->body.len;
	a->body = sim_mem(a->len + 1);
	if (a->len)
		memcpy(a->body, r->body.ptr, a->len);
	sim_note(s, a->body, a->len);
	h->fn = fn;
	h->arg = arg;
	h->max_answer = r->max_answer ? r->max_answer : MAX_ANSWER;
	h->timeout_ns = s->now_ns + (uint64_t)(r->timeout_ms > 0 ? r->timeout_ms : 60000) * 1000000;
	h->fault = choose(s, r->once);
	s->http_fired[h->fault]++;
	otd_bytes_init(&h->answer, MAX_ANSWER);
	plan(h);
	h->next = s->https;
	s->https = h;
	*out = h;
	return OTD_OK;
}

static void drop(struct otd_http *h)
{
	struct otd_http **at = &h->sim->https;
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	if (h->asked)
		asked_free(h->asked);
	otd_bytes_finish(&h->answer);
	free(h);
}

void sim_http_cancel(struct otd_http *h)
{
	if (!h)
		return;
	/* What is on the wire may arrive all the same, even when the pool is up again. */
	if (h->done_ns && sim_chance(h->sim, 500000))
		make_orphan(h, 1 + (int64_t)sim_below(h->sim, 5000));
	drop(h);
}

uint64_t sim_http_due(const struct otd_http *h)
{
	return h->done_ns && h->done_ns < h->answer_ns ? h->done_ns : h->answer_ns;
}

struct otd_http *sim_http_next(const struct otd_http *h)
{
	return h->next;
}

/* The other machine thinks; it is looked at again, until our patience ends. */
static void hold(struct otd_http *h)
{
	h->held = true;
	h->status = 0;
	if (h->sim->now_ns + HOLD_NS < h->timeout_ns) {
		h->done_ns = h->sim->now_ns + HOLD_NS;
		h->answer_ns = h->done_ns + 1000000;
		return;
	}
	h->rc = OTD_E_TIMEOUT;
	h->answer_ns = h->timeout_ns;
}

/* The request is there. */
static void arrive(struct otd_http *h)
{
	h->done_ns = 0;
	if (!h->held && !sim_point(h->sim, SIM_POINT_ASK))
		return;
	if (!carry_out(h->asked, &h->status, &h->answer)) {
		h->rc = OTD_E_REFUSED;
		return;
	}
	if (h->status == SIM_SERVER_HOLDS) {
		hold(h);
		return;
	}
	if (h->status == 0)
		h->rc = OTD_E_CLOSED;
	if (h->fault == SIM_HTTP_TWICE)
		(void)carry_out(h->asked, &h->status, &h->answer);
	else if (h->fault == SIM_HTTP_TWICE_REFUSED)
		h->rc = OTD_E_REFUSED;
}

static void page(struct otd_http *h, int status, const char *words)
{
	h->status = status;
	otd_bytes_clear(&h->answer);
	(void)otd_bytes_text(&h->answer, words);
}

/* What we are told in the end. */
static void distort(struct otd_http *h)
{
	switch (h->fault) {
	case SIM_HTTP_REFUSED: h->rc = OTD_E_REFUSED; break;
	case SIM_HTTP_LOST:
	case SIM_HTTP_DONE_LOST:
	case SIM_HTTP_DONE_LATE: h->rc = OTD_E_TIMEOUT; break;
	case SIM_HTTP_CUT:
	case SIM_HTTP_DONE_CUT: h->rc = OTD_E_CLOSED; break;
	case SIM_HTTP_GARBAGE: page(h, 502, "<html>502 Bad Gateway</html>"); break;
	case SIM_HTTP_QUEUE: page(h, 503, "Work queue depth exceeded"); break;
	case SIM_HTTP_DONE_GARBAGE:
		if (sim_chance(h->sim, 500000))
			page(h, 500, "<html>500 Internal Server Error</html>");
		else
			h->answer.len /= 2;
		break;
	default: break;
	}
	if (h->rc == OTD_OK && h->answer.len > h->max_answer)
		h->rc = OTD_E_RANGE;
}

void sim_http_run(struct otd_http *h)
{
	struct sim *s = h->sim;
	if (h->done_ns && h->done_ns <= h->answer_ns) {
		arrive(h);
		return;
	}
	distort(h);
	if (!sim_point(s, SIM_POINT_TOLD))
		return; /* destroyed with the life that asked */
	if (h->done_ns)
		make_orphan(h, (int64_t)((h->done_ns - s->now_ns) / 1000000) + 1);
	/* Off the list first: fn may ask for more, or end others. */
	struct otd_http **at = &s->https;
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	const struct otd_http_answer a = {.rc = h->rc,
					  .status = h->rc ? 0 : h->status,
					  .body = h->rc ? (struct otd_span){0}
							: otd_bytes_span(&h->answer),
					  .error = h->rc ? otd_rc_name(h->rc) : NULL};
	bool was = sim_pool_runs;
	sim_pool_runs = true;
	h->fn(h->arg, &a);
	sim_pool_runs = was;
	if (h->asked)
		asked_free(h->asked);
	otd_bytes_finish(&h->answer);
	free(h);
}
