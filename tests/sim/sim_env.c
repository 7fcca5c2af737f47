/* Time, loops, timers and workers of the simulation. */
#include "sim_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAST_ROUNDS 8 /* as the real side does it once a loop is stopped */

struct event {
	struct event *next;
	otd_fn fn;
	void *arg;
};

struct sim_loop {
	struct otd_loop base;
	struct sim *sim;
	struct sim_loop *next;
	struct event *posts, **posts_end;
	struct event *defers, **defers_end;
	bool stop;
};

struct otd_timer {
	struct sim_loop *loop;
	struct otd_timer *next;
	otd_fn fn;
	void *arg;
	uint64_t due_ns; /* 0: not started */
	uint64_t repeat_ns;
};

struct job {
	struct job *next;
	otd_fn run, done;
	void *arg;
	uint64_t ready_ns;
};

struct otd_worker {
	struct sim_loop *loop;
	struct otd_worker *next;
	struct job *jobs, **jobs_end; /* still to run, in order */
	struct job *ran, **ran_end;   /* done() is on its way */
	bool closing;
};

/* --- memory: the simulation's own never fails --- */

bool sim_pool_runs;

static void *must(void *p, bool pool_runs)
{
	if (!p) {
		(void)fprintf(stderr, "sim: out of memory\n");
		exit(99);
	}
	sim_pool_runs = pool_runs;
	return p;
}

static bool leave_pool(void)
{
	bool was = sim_pool_runs;
	sim_pool_runs = false;
	return was;
}

void *sim_new(size_t n, size_t size)
{
	bool was = leave_pool();
	return must(calloc(n ? n : 1, size), was);
}

void *sim_mem(size_t n)
{
	bool was = leave_pool();
	return must(malloc(n ? n : 1), was);
}

void *sim_more(void *p, size_t n)
{
	bool was = leave_pool();
	return must(realloc(p, n), was);
}

char *sim_text(const char *s)
{
	bool was = leave_pool();
	return must(strdup(s), was);
}

void sim_call(otd_fn fn, void *arg)
{
	bool was = sim_pool_runs;
	sim_pool_runs = true;
	fn(arg);
	sim_pool_runs = was;
}

uint64_t sim_random(struct sim *s)
{
	/* xoroshiro128+, Blackman and Vigna. */
	uint64_t a = s->random[0], b = s->random[1], r = a + b;
	b ^= a;
	s->random[0] = (a << 24 | a >> 40) ^ b ^ (b << 16);
	s->random[1] = b << 37 | b >> 27;
	return r;
}

uint64_t sim_below(struct sim *s, uint64_t n)
{
	return n ? (sim_random(s) >> 11) % n : 0;
}

bool sim_chance(struct sim *s, uint32_t ppm)
{
	return sim_below(s, 1000000) < ppm;
}

void sim_note(struct sim *s, const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t h = s->digest ^ n, v;
	for (; n >= 8; n -= 8, b += 8) {
		memcpy(&v, b, 8);
		h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 29;
	}
	for (v = 0; n; n--)
		v = v << 8 | *b++;
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	s->digest = h ^ h >> 32;
}

uint64_t sim_digest(const struct sim *s)
{
	return s->digest ^ s->random[0];
}

uint64_t sim_steps(const struct sim *s)
{
	return s->steps;
}

void sim_each_step(struct sim *s, void (*fn)(void *arg), void *arg)
{
	s->on_step = fn;
	s->on_step_arg = arg;
}

int64_t sim_now_ms(struct sim *s)
{
	return (int64_t)(s->now_ns / 1000000);
}

/* Runs the first of a queue. */
static void run_first(struct event **head, struct event ***end)
{
	struct event *e = *head;
	*head = e->next;
	if (!*head)
		*end = head;
	sim_call(e->fn, e->arg);
	free(e);
}

static struct sim *sim_of(struct otd_env *e)
{
	return (struct sim *)(void *)e;
}

static uint64_t env_mono_ns(struct otd_env *e)
{
	return sim_of(e)->now_ns;
}

static int64_t env_wall_ms(struct otd_env *e)
{
	return 1700000000000LL + sim_now_ms(sim_of(e));
}

static void env_random(struct otd_env *e, void *to, size_t n)
{
	uint8_t *p = to;
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(sim_random(sim_of(e)) >> 32);
}

/* --- loops --- */

static otd_rc loop_create(struct otd_env *e, struct otd_loop **out, const char *name,
			  struct otd_err *err)
{
	struct sim *s = sim_of(e);
	struct sim_loop *l = sim_new(1, sizeof(*l));
	(void)err;
	l->base.env = e;
	l->base.name = name;
	l->sim = s;
	l->posts_end = &l->posts;
	l->defers_end = &l->defers;
	l->next = s->loops;
	s->loops = l;
	*out = &l->base;
	return OTD_OK;
}

static struct sim_loop *loop_of(struct otd_loop *l)
{
	return (struct sim_loop *)(void *)l;
}

static void drop_events(struct event *e)
{
	while (e) {
		struct event *next = e->next;
		free(e);
		e = next;
	}
}

void sim_last_rounds(struct sim *s)
{
	for (struct sim_loop *l = s->loops; l; l = l->next)
		for (int round = 0; round < LAST_ROUNDS && l->defers; round++) {
			struct event *last = NULL, *e;
			for (e = l->defers; e; e = e->next)
				last = e;
			do {
				e = l->defers;
				run_first(&l->defers, &l->defers_end);
			} while (e != last && l->defers);
		}
}

static void loop_destroy(struct otd_loop *base)
{
	struct sim_loop *l = loop_of(base), **at = &l->sim->loops;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	/* Objects that wait for the end of a round to go do so now, as on the real side. */
	while (l->defers) {
		struct event *e = l->defers;
		l->defers = e->next;
		if (!l->defers)
			l->defers_end = &l->defers;
		e->fn(e->arg);
		free(e);
	}
	drop_events(l->posts);
	free(l);
}

static void loop_run(struct otd_loop *base)
{
	struct sim_loop *l = loop_of(base);
	l->stop = false;
	while (!l->stop && sim_step(l->sim))
		continue;
}

static void loop_stop(struct otd_loop *base)
{
	loop_of(base)->stop = true;
}

static void push(struct event ***end, otd_fn fn, void *arg)
{
	struct event *e = sim_new(1, sizeof(*e));
	e->fn = fn;
	e->arg = arg;
	**end = e;
	*end = &e->next;
}

static otd_rc env_post(struct otd_loop *base, otd_fn fn, void *arg)
{
	push(&loop_of(base)->posts_end, fn, arg);
	return OTD_OK;
}

static otd_rc env_defer(struct otd_loop *base, otd_fn fn, void *arg)
{
	push(&loop_of(base)->defers_end, fn, arg);
	return OTD_OK;
}

/* --- timers --- */

static otd_rc timer_create_(struct otd_loop *base, struct otd_timer **out, otd_fn fn, void *arg)
{
	struct otd_timer *t = sim_new(1, sizeof(*t));
	struct otd_timer **all = &loop_of(base)->sim->timers;
	t->loop = loop_of(base);
	t->fn = fn;
	t->arg = arg;
	t->next = *all;
	*all = t;
	*out = t;
	return OTD_OK;
}

static void timer_start(struct otd_timer *t, int64_t delay_ms, int64_t repeat_ms)
{
	t->due_ns = t->loop->sim->now_ns + (uint64_t)delay_ms * 1000000 + 1;
	t->repeat_ns = (uint64_t)repeat_ms * 1000000;
}

static void timer_stop(struct otd_timer *t)
{
	t->due_ns = 0;
}

static void timer_destroy(struct otd_timer *t)
{
	if (!t)
		return;
	struct otd_timer **at = &t->loop->sim->timers;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	free(t);
}

/* --- workers --- */

static otd_rc worker_create(struct otd_loop *base, struct otd_worker **out, const char *name,
			    struct otd_err *err)
{
	struct otd_worker *w = sim_new(1, sizeof(*w));
	struct otd_worker **all = &loop_of(base)->sim->workers;
	(void)name;
	(void)err;
	w->loop = loop_of(base);
	w->jobs_end = &w->jobs;
	w->ran_end = &w->ran;
	w->next = *all;
	*all = w;
	*out = w;
	return OTD_OK;
}

static otd_rc worker_give(struct otd_worker *w, otd_fn run, otd_fn done, void *arg)
{
	struct sim *s = w->loop->sim;
	if (w->closing)
		return OTD_E_CLOSED;
	struct job *j = sim_new(1, sizeof(*j));
	j->run = run;
	j->done = done;
	j->arg = arg;
	/* Mostly quick, now and then slow. */
	j->ready_ns = s->now_ns + sim_below(s, sim_chance(s, 20000) ? 400000000 : 3000000);
	*w->jobs_end = j;
	w->jobs_end = &j->next;
	return OTD_OK;
}

static void worker_run_one(struct otd_worker *w)
{
	struct job *j = w->jobs;
	w->jobs = j->next;
	if (!w->jobs)
		w->jobs_end = &w->jobs;
	sim_call(j->run, j->arg);
	j->next = NULL;
	*w->ran_end = j;
	w->ran_end = &j->next;
}

static void worker_home_one(struct otd_worker *w)
{
	struct job *j = w->ran;
	w->ran = j->next;
	if (!w->ran)
		w->ran_end = &w->ran;
	otd_fn done = j->done;
	void *arg = j->arg;
	free(j);
	if (done)
		sim_call(done, arg);
}

static void worker_destroy(struct otd_worker *w)
{
	if (!w)
		return;
	struct otd_worker **at = &w->loop->sim->workers;
	w->closing = true;
	while (w->jobs)
		worker_run_one(w);
	while (w->ran)
		worker_home_one(w);
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	free(w);
}

struct compute_job {
	otd_fn run, done;
	void *arg;
};

static void compute_run(void *arg)
{
	struct compute_job *c = arg;
	c->run(c->arg);
	if (c->done)
		c->done(c->arg);
	free(c);
}

static otd_rc env_compute(struct otd_env *e, struct otd_loop *l, otd_fn run, otd_fn done, void *arg)
{
	struct compute_job *c = sim_new(1, sizeof(*c));
	(void)e;
	*c = (struct compute_job){run, done, arg};
	return env_post(l, compute_run, c);
}

/* --- steps --- */

enum source { POST, DEFER, TIMER, RUN, HOME, HTTP, STREAM, OUTSIDE };

struct choice {
	enum source source;
	void *what;
};

static size_t ready_elsewhere(struct sim *s, struct choice *c, size_t cap)
{
	size_t n = 0;
	for (struct otd_http *h = s->https; h; h = sim_http_next(h))
		if (sim_http_due(h) <= s->now_ns && n < cap)
			c[n++] = (struct choice){HTTP, h};
	for (struct otd_stream *st = sim_net_first(s); st; st = sim_net_next(st))
		if (sim_net_due(st) <= s->now_ns && n < cap)
			c[n++] = (struct choice){STREAM, st};
	for (struct outside *o = s->outside; o; o = o->next)
		if (o->due_ns <= s->now_ns && n < cap)
			c[n++] = (struct choice){OUTSIDE, o};
	return n;
}

static size_t ready(struct sim *s, struct choice *c, size_t cap)
{
	size_t n = 0;
	for (struct sim_loop *l = s->loops; l; l = l->next) {
		if (l->posts && n < cap)
			c[n++] = (struct choice){POST, l};
		if (l->defers && n < cap)
			c[n++] = (struct choice){DEFER, l};
	}
	for (struct otd_timer *t = s->timers; t; t = t->next)
		if (t->due_ns && t->due_ns <= s->now_ns && n < cap)
			c[n++] = (struct choice){TIMER, t};
	for (struct otd_worker *w = s->workers; w; w = w->next) {
		if (w->jobs && w->jobs->ready_ns <= s->now_ns && n < cap)
			c[n++] = (struct choice){RUN, w};
		if (w->ran && n < cap)
			c[n++] = (struct choice){HOME, w};
	}
	return n + ready_elsewhere(s, c + n, cap - n);
}

static uint64_t next_time(struct sim *s)
{
	uint64_t at = UINT64_MAX;
	for (struct otd_timer *t = s->timers; t; t = t->next)
		if (t->due_ns && t->due_ns < at)
			at = t->due_ns;
	for (struct otd_worker *w = s->workers; w; w = w->next)
		if (w->jobs && w->jobs->ready_ns < at)
			at = w->jobs->ready_ns;
	for (struct otd_http *h = s->https; h; h = sim_http_next(h))
		if (sim_http_due(h) < at)
			at = sim_http_due(h);
	for (struct otd_stream *st = sim_net_first(s); st; st = sim_net_next(st))
		if (sim_net_due(st) < at)
			at = sim_net_due(st);
	for (struct outside *o = s->outside; o; o = o->next)
		if (o->due_ns < at)
			at = o->due_ns;
	return at;
}

static void run_outside(struct sim *s, struct outside *o)
{
	int64_t again = o->fn(o->arg);
	if (again > 0) {
		o->due_ns = s->now_ns + (uint64_t)again * 1000000;
		return;
	}
	struct outside **at = &s->outside;
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	free(o);
}

static void run_timer(struct sim *s, struct otd_timer *t)
{
	t->due_ns = t->repeat_ns ? t->due_ns + t->repeat_ns : 0;
	if (t->due_ns && t->due_ns < s->now_ns)
		t->due_ns = s->now_ns + 1;
	sim_call(t->fn, t->arg);
}

bool sim_step(struct sim *s)
{
	struct choice c[256];
	size_t n;
	if (s->dead)
		return false;
	s->now_ns += sim_below(s, 50000);
	while ((n = ready(s, c, 256)) == 0) {
		uint64_t at = next_time(s);
		if (at == UINT64_MAX)
			return false;
		s->now_ns = at;
	}
	struct choice pick = c[sim_below(s, n)];
	struct sim_loop *l = pick.what;
	s->steps++;
	s->digest = (s->digest ^ s->now_ns ^ (uint64_t)pick.source << 56) * 0x9e3779b97f4a7c15ULL;
	switch (pick.source) {
	case POST: run_first(&l->posts, &l->posts_end); break;
	case DEFER: run_first(&l->defers, &l->defers_end); break;
	case TIMER: run_timer(s, pick.what); break;
	case RUN: worker_run_one(pick.what); break;
	case HOME: worker_home_one(pick.what); break;
	case HTTP: sim_http_run(pick.what); break;
	case STREAM: sim_net_run(pick.what); break;
	case OUTSIDE: run_outside(s, pick.what); break;
	}
	if (s->on_step)
		s->on_step(s->on_step_arg);
	return true;
}

bool sim_run(struct sim *s, int64_t ms, bool (*done)(void *arg), void *arg)
{
	int64_t end = sim_now_ms(s) + ms;
	while (!s->dead && sim_now_ms(s) < end) {
		if (done && done(arg))
			return true;
		if (!sim_step(s))
			break;
	}
	return done && !s->dead && done(arg);
}

bool sim_dead(struct sim *s)
{
	return s->dead;
}

void sim_outside(struct sim *s, int64_t delay_ms, sim_outside_fn fn, void *arg)
{
	struct outside *o = sim_new(1, sizeof(*o));
	o->fn = fn;
	o->arg = arg;
	o->due_ns = s->now_ns + (uint64_t)delay_ms * 1000000;
	o->next = s->outside;
	s->outside = o;
}

void sim_sleep(struct sim *s, int64_t ms)
{
	uint64_t end = s->now_ns + (uint64_t)ms * 1000000;
	for (;;) {
		struct outside *first = NULL;
		for (struct outside *o = s->outside; o; o = o->next)
			if (o->due_ns <= end && (!first || o->due_ns < first->due_ns))
				first = o;
		if (!first)
			break;
		if (s->now_ns < first->due_ns)
			s->now_ns = first->due_ns;
		run_outside(s, first);
	}
	s->now_ns = end;
}

void sim_crash_in(struct sim *s, uint64_t points)
{
	s->crash_in = points;
}

void sim_crash_at(struct sim *s, enum sim_point kind, uint64_t n)
{
	s->crash_at[kind] = n;
}

void sim_at_points(struct sim *s, bool (*fn)(void *arg, enum sim_point kind), void *arg)
{
	s->at_points = fn;
	s->at_points_arg = arg;
}

bool sim_point(struct sim *s, enum sim_point kind)
{
	if (s->dead)
		return false;
	s->points[kind]++;
	bool any = s->crash_in && --s->crash_in == 0;
	bool kinds = s->crash_at[kind] && --s->crash_at[kind] == 0;
	bool asked = s->at_points && s->at_points(s->at_points_arg, kind);
	s->dead = any || kinds || asked;
	s->kills[kind] += s->dead;
	return !s->dead;
}

uint64_t sim_points(struct sim *s, enum sim_point kind)
{
	return s->points[kind];
}

uint64_t sim_kills(struct sim *s, enum sim_point kind)
{
	return s->kills[kind];
}

const char *sim_point_name(enum sim_point kind)
{
	static const char *const names[SIM_POINTS] = {
		"write",           "sync",          "name", "before a request", "after a request",
		"before a commit", "after a commit"};
	return names[kind];
}

void sim_crash_now(struct sim *s)
{
	s->dead = true;
}

static void check_life_is_over(struct sim *s)
{
	if (s->loops || s->timers || s->workers || s->https || sim_net_first(s) ||
	    disk_open_files(s->disk)) {
		(void)fprintf(stderr, "sim: something of the life before is left%s%s%s%s%s%s\n",
			      s->loops ? " (loop)" : "", s->timers ? " (timer)" : "",
			      s->workers ? " (worker)" : "", s->https ? " (request)" : "",
			      sim_net_first(s) ? " (stream)" : "",
			      disk_open_files(s->disk) ? " (file)" : "");
		exit(98);
	}
}

static void alive_again(struct sim *s)
{
	s->dead = false;
	s->crash_in = 0;
	memset(s->crash_at, 0, sizeof(s->crash_at));
}

void sim_reboot(struct sim *s)
{
	check_life_is_over(s);
	disk_reboot(s->disk);
	alive_again(s);
}

void sim_restart(struct sim *s)
{
	check_life_is_over(s);
	sim_disk_full(s, 0);
	alive_again(s);
}

static const struct otd_env_ops env_ops = {
	.mono_ns = env_mono_ns,
	.wall_ms = env_wall_ms,
	.random = env_random,
	.loop_create = loop_create,
	.loop_run = loop_run,
	.loop_stop = loop_stop,
	.loop_destroy = loop_destroy,
	.post = env_post,
	.defer = env_defer,
	.timer_create = timer_create_,
	.timer_start = timer_start,
	.timer_stop = timer_stop,
	.timer_destroy = timer_destroy,
	.worker_create = worker_create,
	.worker_give = worker_give,
	.worker_destroy = worker_destroy,
	.compute = env_compute,
	.http = sim_http,
	.http_cancel = sim_http_cancel,
};

struct sim *sim_create(uint64_t seed)
{
	struct sim *s = sim_new(1, sizeof(*s));
	s->random[0] = seed * 0x9e3779b97f4a7c15ULL + 0x632be59bd9b4e019ULL;
	s->random[1] = seed ^ 0xd1b54a32d192ed03ULL;
	for (int i = 0; i < 16; i++)
		(void)sim_random(s);
	s->now_ns = 1000000000;
	s->disk = disk_create(s);
	disk_table(s->disk, &s->files);
	s->ops = env_ops;
	sim_net_ops(&s->ops);
	s->env.ops = &s->ops;
	s->env.files = &s->files;
	return s;
}

void sim_destroy(struct sim *s)
{
	if (!s)
		return;
	while (s->outside) {
		struct outside *o = s->outside;
		s->outside = o->next;
		sim_http_free_outside(o->fn, o->arg);
		free(o);
	}
	sim_http_free_servers(s);
	sim_net_free(s);
	disk_destroy(s->disk);
	free(s);
}

struct otd_env *sim_env(struct sim *s)
{
	return &s->env;
}
