/* See stratum/budget.h. */
#include "stratum/budget.h"

#include "net/bans.h"
#include <stdlib.h>
#include <string.h>

#define ADDRESS  17 /* bytes of a key */
#define KEY_MAX  255
#define SWEEP_MS 1000

/* An address of which a worker has been over its budget. */
struct otd_place {
	int64_t since_ms;
	uint32_t over;                        /* workers, at most OTD_BUDGET_PLACE_MOST */
	uint32_t users;                       /* rigs */
	uint16_t others[OTD_BUDGET_REACTORS]; /* good workers that other reactors know there */
	uint32_t told;                        /* how many we have said that we know */
	uint8_t key[ADDRESS];
};

static int64_t now_ms(const struct otd_budget *b)
{
	return (int64_t)(otd_mono_ns(b->env) / 1000000);
}

otd_rc otd_budget_init(struct otd_budget *b, struct otd_env *e, const struct otd_budget_conf *conf)
{
	uint8_t seed[16];

	*b = (struct otd_budget){.env = e, .conf = *conf};
	e->ops->random(e, seed, sizeof(seed));
	b->rigs = otd_map_create(seed, OTD_BUDGET_MAX);
	b->places = otd_map_create(seed, OTD_BUDGET_MAX);
	if (b->rigs && b->places)
		return OTD_OK;
	otd_budget_finish(b);
	return OTD_E_NOMEM;
}

static void free_all(struct otd_map *m)
{
	const void *key;
	uint64_t value;
	size_t pos = 0, n;

	while (m && otd_map_next(m, &pos, &key, &n, &value))
		free((void *)(uintptr_t)value);
	otd_map_destroy(m);
}

void otd_budget_finish(struct otd_budget *b)
{
	free_all(b->rigs);
	free_all(b->places);
	b->rigs = b->places = NULL;
}

void otd_budget_reconfigure(struct otd_budget *b, const struct otd_budget_conf *conf)
{
	b->conf = *conf;
}

/* --- the tables --- */

/* An IPv6 host usually has its whole /64. 0: too long to be one. */
static size_t key_of(uint8_t key[KEY_MAX], const char *host, uint32_t pool, struct otd_span account,
		     struct otd_span name)
{
	struct otd_ban_net net = {0};
	size_t n = ADDRESS;

	if (ADDRESS + sizeof(pool) + account.len + 1 + name.len > KEY_MAX)
		return 0;
	if (otd_ban_host(&net, host) && net.family == 6)
		otd_ban_net_cut(&net, 64);
	key[0] = net.family;
	memcpy(key + 1, net.address, 16);
	memcpy(key + n, &pool, sizeof(pool));
	n += sizeof(pool);
	if (account.len)
		memcpy(key + n, account.ptr, account.len);
	n += account.len;
	key[n++] = '.';
	if (name.len)
		memcpy(key + n, name.ptr, name.len);
	return n + name.len;
}

static struct otd_rig *find(const struct otd_budget *b, const uint8_t *key, size_t n)
{
	uint64_t at;

	return n && otd_map_get(b->rigs, key, n, &at) ? (struct otd_rig *)(uintptr_t)at : NULL;
}

static bool is_over(const struct otd_budget *b, const struct otd_rig *r, int64_t now)
{
	return now - r->since_ms >= b->conf.window_ms && r->until_ms <= now;
}

/* One that nobody knows and whose window is over; more may follow. */
static struct otd_rig *next_old(const struct otd_budget *b, size_t *pos, int64_t now)
{
	const void *key;
	uint64_t value;
	size_t n;

	while (otd_map_next(b->rigs, pos, &key, &n, &value)) {
		struct otd_rig *r = (struct otd_rig *)(uintptr_t)value;
		if (!r->users && is_over(b, r, now))
			return r;
	}
	return NULL;
}

static void rig_free(struct otd_budget *b, struct otd_rig *r)
{
	struct otd_place *p = r->place;

	(void)otd_map_remove(b->rigs, r->key, r->key_len, NULL);
	free(r);
	if (p && --p->users == 0) {
		(void)otd_map_remove(b->places, p->key, sizeof(p->key), NULL);
		free(p);
	}
}

static void sweep(struct otd_budget *b, int64_t now)
{
	enum { A_TIME = 256 };
	struct otd_rig *old[A_TIME];
	size_t pos, n;

	b->swept_ms = now;
	do {
		/* A removal moves what follows: first they are found, then they go. */
		for (pos = 0, n = 0; n < A_TIME; n++) {
			old[n] = next_old(b, &pos, now);
			if (!old[n])
				break;
		}
		for (size_t i = 0; i < n; i++)
			rig_free(b, old[i]);
	} while (n == A_TIME);
}

/* The one of this key, made where it is missing; NULL: there is no room. */
static struct otd_rig *rig_of(struct otd_budget *b, const uint8_t *key, size_t n)
{
	struct otd_rig *r = find(b, key, n);
	int64_t now = now_ms(b);

	if (r)
		return r;
	if (otd_map_count(b->rigs) >= OTD_BUDGET_MAX / 2 && now - b->swept_ms >= SWEEP_MS)
		sweep(b, now);
	r = calloc(1, sizeof(*r) + n);
	if (!r)
		return NULL;
	r->since_ms = now;
	r->key_len = (uint8_t)n;
	memcpy(r->key, key, n);
	if (otd_map_add(b->rigs, key, n, (uint64_t)(uintptr_t)r, NULL)) {
		free(r);
		return NULL;
	}
	return r;
}

struct otd_rig *otd_budget_enter(struct otd_budget *b, const char *host, uint32_t pool,
				 struct otd_span account, struct otd_span name)
{
	uint8_t key[KEY_MAX];
	size_t n = b->conf.shares ? key_of(key, host, pool, account, name) : 0;
	struct otd_rig *r = n ? rig_of(b, key, n) : NULL;

	if (r)
		r->users++;
	return r;
}

void otd_budget_leave(struct otd_rig *rig)
{
	if (rig)
		rig->users--;
}

int64_t otd_budget_until(struct otd_budget *b, const char *host, uint32_t pool,
			 struct otd_span account, struct otd_span name)
{
	uint8_t key[KEY_MAX];
	size_t n = b->conf.shares && otd_map_count(b->rigs) ? key_of(key, host, pool, account, name)
							    : 0;
	const struct otd_rig *r = find(b, key, n);

	return otd_budget_refused(b, r) ? r->until_ms : 0;
}

bool otd_budget_refused(const struct otd_budget *b, const struct otd_rig *rig)
{
	return rig && rig->until_ms && b->conf.shares && rig->until_ms > now_ms(b);
}

/* --- the rule --- */

static struct otd_place *place_of(struct otd_budget *b, struct otd_rig *r, int64_t now)
{
	struct otd_place *p = r->place;
	uint64_t at;

	if (!p && otd_map_get(b->places, r->key, ADDRESS, &at)) {
		p = (struct otd_place *)(uintptr_t)at;
	} else if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return NULL;
		p->since_ms = now;
		memcpy(p->key, r->key, ADDRESS);
		if (otd_map_add(b->places, p->key, ADDRESS, (uint64_t)(uintptr_t)p, NULL)) {
			free(p);
			return NULL;
		}
	}
	if (!r->place) {
		r->place = p;
		p->users++;
	}
	if (now - p->since_ms >= b->conf.window_ms) {
		p->since_ms = now;
		p->over = 0;
		memset(p->others, 0, sizeof(p->others));
		p->told = 0;
	}
	return p;
}

static uint32_t good_elsewhere(const struct otd_place *p)
{
	uint32_t n = 0;

	for (size_t i = 0; i < OTD_BUDGET_REACTORS; i++)
		n += p->others[i];
	return n;
}

/* Whether it is the address that is wrong: more of it over their budget than good. The same worker again
   counts where there is no good one that could suffer for it. */
static bool place_is_bad(struct otd_budget *b, struct otd_rig *r, uint32_t good, int64_t now)
{
	struct otd_place *p = place_of(b, r, now);

	if (!p)
		return false;
	good += good_elsewhere(p);
	b->counted = (!r->over || !good) && p->over < OTD_BUDGET_PLACE_MOST;
	p->over += b->counted;
	if (b->reactors > 1 && now - p->since_ms < OTD_BUDGET_ASK_MS)
		return false;
	return p->over >= OTD_BUDGET_PLACE_LEAST && p->over > good;
}

/* Where others of its address were over theirs, one has less: each name is a new budget otherwise. */
static uint32_t allowance(const struct otd_budget *b, const struct otd_rig *r, int64_t now)
{
	const struct otd_place *p = NULL;
	uint32_t others = 0, n;
	uint64_t at;

	if (otd_map_count(b->places) && otd_map_get(b->places, r->key, ADDRESS, &at))
		p = (const struct otd_place *)(uintptr_t)at;
	if (p && now - p->since_ms < b->conf.window_ms)
		others = p->over;
	n = b->conf.shares >> (others < 4 ? others : 4);
	return n ? n : 1;
}

static void window_anew(struct otd_rig *r, int64_t now)
{
	r->since_ms = now;
	r->good = r->bad = r->stale = 0;
	r->new_good = r->new_bad = r->new_stale = 0;
	r->told = r->over = r->excused = false;
}

enum otd_budget_step otd_budget_bad(struct otd_budget *b, struct otd_rig *rig, bool stale,
				    uint32_t good)
{
	int64_t now = now_ms(b);
	uint32_t allowed = allowance(b, rig, now);

	b->counted = false;
	if (!b->conf.shares || otd_budget_refused(b, rig))
		return OTD_BUDGET_FINE;
	if (now - rig->since_ms >= b->conf.window_ms)
		window_anew(rig, now);
	bool again = rig->over;
	rig->bad++;
	rig->new_bad++;
	rig->stale += stale;
	rig->new_stale += stale;
	if (rig->excused ||
	    (uint64_t)rig->bad * 1000000 < ((uint64_t)rig->good + rig->bad) * b->conf.part_ppm)
		return OTD_BUDGET_FINE;
	if (rig->bad < allowed) {
		if (rig->told || rig->bad < (allowed + 1) / 2)
			return OTD_BUDGET_FINE;
		rig->told = true;
		return OTD_BUDGET_TELL;
	}
	bool ban = place_is_bad(b, rig, good, now);
	/* Late is what a network makes of good work, once; for what is not late there is no such excuse. */
	bool late = rig->stale > rig->bad / 2 && !again;
	window_anew(rig, now);
	rig->over = true;
	if (late || !b->conf.ban_ms)
		return OTD_BUDGET_CLOSE;
	rig->until_ms = now + b->conf.ban_ms;
	return ban ? OTD_BUDGET_BAN : OTD_BUDGET_REFUSE;
}

/* --- between reactors --- */

/* So many shares of a worker are told of at once. It grows with what is known of it, so that one of whom most
   is good and much is not costs no more words than others. */
static uint32_t part_to_tell(const struct otd_budget *b, const struct otd_rig *r)
{
	uint32_t allowed = allowance(b, r, now_ms(b));
	uint32_t n = (r->bad > allowed ? r->bad : allowed) / (OTD_BUDGET_BEYOND * b->reactors);

	return n ? n : 1;
}

/* What the others do not know of it so far. */
static struct otd_budget_word word_of(struct otd_rig *r, uint32_t flags)
{
	struct otd_budget_word w = {.key = {r->key, r->key_len},
				    .flags = flags,
				    .good = r->new_good,
				    .bad = r->new_bad,
				    .stale = r->new_stale};

	r->new_good = r->new_bad = r->new_stale = 0;
	return w;
}

bool otd_budget_say(struct otd_budget *b, struct otd_rig *rig, enum otd_budget_step step,
		    uint32_t good, struct otd_budget_word *w)
{
	if (b->reactors < 2 || !b->conf.shares)
		return false;
	if (step > OTD_BUDGET_TELL) {
		*w = word_of(rig,
			     OTD_WORD_OVER | OTD_WORD_PLACE | (b->counted ? OTD_WORD_COUNTED : 0));
		w->workers = good;
		if (rig->place)
			rig->place->told = good;
		w->kept_out_ms = rig->until_ms ? rig->until_ms - now_ms(b) : 0;
		return true;
	}
	if (rig->excused || !rig->new_bad || rig->new_bad < part_to_tell(b, rig))
		return false;
	*w = word_of(rig, 0);
	return true;
}

static uint32_t plus(uint32_t a, uint32_t b)
{
	return b > UINT32_MAX - a ? UINT32_MAX : a + b;
}

/* It is over its budget, somebody says. */
static void hear_over(struct otd_budget *b, struct otd_rig *r, const struct otd_budget_word *w,
		      int64_t now)
{
	struct otd_place *p = place_of(b, r, now);

	if (p && w->flags & OTD_WORD_COUNTED && p->over < OTD_BUDGET_PLACE_MOST)
		p->over++;
	window_anew(r, now);
	r->over = true;
	/* Not for longer than is the rule here. */
	if (w->kept_out_ms > 0)
		r->until_ms =
			now + (w->kept_out_ms < b->conf.ban_ms ? w->kept_out_ms : b->conf.ban_ms);
}

bool otd_budget_hear(struct otd_budget *b, uint32_t from, const struct otd_budget_word *w,
		     uint32_t good, struct otd_budget_word *answer)
{
	int64_t now = now_ms(b);
	bool sound = w->key.len > ADDRESS + sizeof(uint32_t) && w->key.len <= KEY_MAX &&
		     from < OTD_BUDGET_REACTORS;
	struct otd_rig *r = sound && b->conf.shares ? rig_of(b, w->key.ptr, w->key.len) : NULL;
	struct otd_place *p = r && w->flags & OTD_WORD_PLACE ? place_of(b, r, now) : NULL;

	if (!r)
		return false;
	if (p)
		p->others[from] = (uint16_t)(w->workers < UINT16_MAX ? w->workers : UINT16_MAX);
	if (now - r->since_ms >= b->conf.window_ms)
		window_anew(r, now);
	r->good = plus(r->good, w->good);
	r->bad = plus(r->bad, w->bad);
	r->stale = plus(r->stale, w->stale);
	if (w->flags & OTD_WORD_OVER)
		hear_over(b, r, w, now);
	if (w->flags & OTD_WORD_ANSWER || b->reactors < 2)
		return false;
	bool wanted = p ? p->told != good : r->new_good >= part_to_tell(b, r);
	if (!wanted)
		return false;
	*answer = word_of(r, OTD_WORD_ANSWER | (p ? OTD_WORD_PLACE : 0));
	answer->workers = good;
	if (p)
		p->told = good;
	return true;
}
