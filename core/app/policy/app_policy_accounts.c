/* Accounts with a fee of their own: fee(a) asked with an account, of those that mine and those that have
   one, a bounded time each second. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_fee.h"
#include "app/policy/app_policy_impl.h"
#include "base/log.h"
#include "base/map.h"
#include "pool/acct/fees.h"

#define ROUND_MS     5000               /* between two looks at who mines */
#define WORKERS_MAX  20000              /* looked at */
#define ACCOUNTS_MAX 16384              /* remembered */
#define SLICE_NS     UINT64_C(10000000) /* of a second, for all questions */

_Static_assert(OTD_ACCT_RECIPIENTS == OTD_POLICY_RECIPIENTS &&
		       OTD_ACCT_ADDRESS == OTD_POLICY_ADDRESS,
	       "an answer's recipients are those of the terms");

struct policy_account {
	struct otd_policy_fee_out last;
	bool known, seen;
	int64_t next_ms;
	otd_u128 work_10min, work_1h, pool_work_1h;
	int64_t workers;
	size_t pool_len;
	char key[]; /* POOL/ACCOUNT */
};

struct policy_accounts {
	struct otd_map *map; /* key -> struct policy_account */
	struct policy_account **all;
	size_t n, cap, cursor;
	int64_t round_ms;
	bool any; /* some account may have a fee of its own */
	bool warned;
};

static struct policy_accounts *accounts(struct otd_app_policy *p)
{
	uint8_t seed[16];
	if (p->accounts)
		return p->accounts;
	struct policy_accounts *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	p->app->env->ops->random(p->app->env, seed, sizeof(seed));
	a->map = otd_map_create(seed, ACCOUNTS_MAX);
	if (!a->map) {
		free(a);
		return NULL;
	}
	a->any = true;
	p->accounts = a;
	return a;
}

void policy_accounts_free(struct otd_app_policy *p)
{
	struct policy_accounts *a = p->accounts;
	for (size_t i = 0; a && i < a->n; i++)
		free(a->all[i]);
	if (a) {
		otd_map_destroy(a->map);
		free(a->all);
	}
	free(a);
	p->accounts = NULL;
}

static struct policy_account *account_of(struct policy_accounts *a, const char *pool,
					 const char *account)
{
	char key[72 + 1 + 512];
	uint64_t at;
	int n = snprintf(key, sizeof(key), "%s/%s", pool, account);
	if (n < 0 || (size_t)n >= sizeof(key))
		return NULL;
	if (otd_map_get(a->map, key, (size_t)n, &at))
		return (struct policy_account *)(uintptr_t)at;
	if (a->n == a->cap) {
		size_t cap = a->cap ? 2 * a->cap : 64;
		void *all = realloc(a->all, cap * sizeof(struct policy_account *));
		if (!all)
			return NULL;
		a->all = all;
		a->cap = cap;
	}
	struct policy_account *c = calloc(1, sizeof(*c) + (size_t)n + 1);
	if (!c || otd_map_add(a->map, key, (size_t)n, (uint64_t)(uintptr_t)c, NULL) != OTD_OK) {
		free(c);
		return NULL;
	}
	memcpy(c->key, key, (size_t)n + 1);
	c->pool_len = strlen(pool);
	a->all[a->n++] = c;
	return c;
}

/* --- who is asked about --- */

struct own {
	struct otd_app_policy *p;
	int64_t now_ms;
};

static bool wanted(const struct otd_app_policy *p, const char *pool)
{
	return otd_policy_wants(p->thread[0].policy, OTD_HOOK_FEE, pool);
}

static void take_own(void *arg, const char *pool, const char *account,
		     const struct otd_acct_account_fee *fee)
{
	struct own *o = arg;
	struct policy_account *c = account_of(o->p->accounts, pool, account);
	if (!c)
		return;
	if (!c->known && !c->seen) { /* of before a restart: its last good answer */
		c->last = (struct otd_policy_fee_out){.ppm = fee->ppm, .valid_s = 60};
		for (size_t i = 0; i < fee->n_to; i++) {
			struct otd_policy_recipient *to =
				&c->last.recipients[c->last.n_recipients++];
			memcpy(to->address, fee->to[i].address, sizeof(to->address));
			to->ppm = fee->to[i].ppm;
		}
		c->known = true;
	}
	c->seen = true;
}

static void look(struct otd_app_policy *p, struct policy_accounts *a, int64_t now_ms)
{
	struct otd_acct_status *st = NULL;
	struct own o = {p, now_ms};
	if (now_ms - a->round_ms < ROUND_MS)
		return;
	a->round_ms = now_ms;
	for (size_t i = 0; i < a->n; i++) {
		a->all[i]->seen = false;
		a->all[i]->work_10min = a->all[i]->work_1h = 0;
		a->all[i]->workers = 0;
	}
	otd_accounting_account_fees_to(p->app->accounting, take_own, &o);
	if (otd_accounting_status(p->app->accounting, &st, WORKERS_MAX, 0) != OTD_OK)
		return;
	for (size_t i = 0; i < st->n_workers; i++) {
		const struct otd_acct_worker_status *w = &st->workers[i];
		struct policy_account *c =
			wanted(p, w->pool) ? account_of(a, w->pool, w->account) : NULL;
		if (!c)
			continue;
		c->seen = true;
		c->work_10min += w->work_10min;
		c->work_1h += w->work_1h;
		c->workers += w->work_10min > 0;
	}
	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < st->n_pools; k++)
			if (strlen(st->pools[k].name) == a->all[i]->pool_len &&
			    memcmp(st->pools[k].name, a->all[i]->key, a->all[i]->pool_len) == 0)
				a->all[i]->pool_work_1h = st->pools[k].work_1h;
	otd_accounting_status_destroy(st);
	/* Who neither mines nor has a fee of its own is forgotten. */
	size_t kept = 0;
	for (size_t i = 0; i < a->n; i++) {
		struct policy_account *c = a->all[i];
		if (c->seen) {
			a->all[kept++] = c;
			continue;
		}
		(void)otd_map_remove(a->map, c->key, strlen(c->key), NULL);
		free(c);
	}
	a->n = kept;
	a->any = kept > 0;
}

/* --- asking --- */

static const struct otd_app_pool *pool_of(const struct otd_app *app, const struct policy_account *c)
{
	for (size_t i = 0; i < app->n_pools; i++)
		if (app->pools[i].settings && strlen(app->pools[i].name) == c->pool_len &&
		    memcmp(app->pools[i].name, c->key, c->pool_len) == 0)
			return &app->pools[i];
	return NULL;
}

/* An address that the chain does not take: what is meant for somebody goes to nobody. */
static bool recipient_of(struct otd_app_policy *p, const struct otd_app_pool *pool,
			 const struct policy_account *c, const struct otd_policy_said *said,
			 struct otd_acct_recipient *to, const struct otd_policy_recipient *from)
{
	struct otd_err err = {0};
	char text[POLICY_TEXT];
	to->ppm = (uint32_t)from->ppm;
	if (otd_chain_canonical(pool->chain->chain, from->address, strlen(from->address),
				to->address, sizeof(to->address) - 1, &err) == OTD_OK)
		return true;
	if (!p->accounts->warned) {
		p->accounts->warned = true;
		snprintf(text, sizeof(text),
			 "script %.63s: a recipient of the fee of %.150s cannot be paid, the "
			 "account pays the fee of its pool: %.200s",
			 said->script, c->key, err.text);
		policy_notice(p, text, true);
	}
	return false;
}

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct otd_policy_recipient *)a)->address,
		      ((const struct otd_policy_recipient *)b)->address);
}

/* The fee of its own that this answer comes to; its recipients are written as accounts are, in their order,
   as they are known from a restart on. */
static void own_fee(struct otd_app_policy *p, const struct otd_app_pool *pool,
		    const struct policy_account *c, struct otd_policy_fee_out *out,
		    struct otd_acct_account_fee *fee)
{
	*fee = (struct otd_acct_account_fee){.ppm = -1};
	if (out->said.from == OTD_POLICY_HOST ||
	    (out->said.from == OTD_POLICY_FALLBACK && !c->known))
		return;
	for (size_t i = 0; i < out->n_recipients; i++)
		if (!recipient_of(p, pool, c, &out->said, &fee->to[i], &out->recipients[i]))
			return;
	fee->n_to = out->n_recipients;
	fee->ppm = out->ppm;
	for (size_t i = 0; i < fee->n_to; i++)
		memcpy(out->recipients[i].address, fee->to[i].address, sizeof(fee->to[i].address));
	if (fee->n_to > 1)
		qsort(out->recipients, fee->n_to, sizeof(out->recipients[0]), by_address);
}

static bool is_news(const struct policy_account *c, const struct otd_policy_fee_out *out,
		    int64_t ppm)
{
	if (ppm != (c->known ? c->last.ppm : -1))
		return true;
	return c->known && !policy_same_recipients(&c->last, out);
}

static void ask(struct otd_app_policy *p, const struct otd_app_pool *pool, struct policy_account *c,
		int64_t now_ms)
{
	const struct otd_settings_pool *s = pool->settings;
	const char *account = c->key + c->pool_len + 1;
	const int64_t since_ms = otd_accounting_account_since(p->app->accounting, s->name, account);
	struct otd_policy_fee_out out = {0};
	struct otd_acct_account_fee fee;
	const struct otd_policy_fee in = {
		.pool = s->name,
		.asset = s->coin->symbol,
		.account = account,
		.yaml_ppm = otd_app_fee_base(p->app, s->name, s->fee_ppm),
		.max_ppm = FEE_MOST_PPM,
		.work_10min = c->work_10min,
		.work_1h = c->work_1h,
		.pool_work_1h = c->pool_work_1h,
		.workers = c->workers,
		.known_s = since_ms > 0 && now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0,
		.last = c->known ? &c->last : NULL};
	otd_policy_fee(p->thread[0].policy, &out, &in);
	own_fee(p, pool, c, &out, &fee);
	otd_rc rc =
		otd_accounting_account_fee_to(p->app->accounting, s->name, account, &fee, now_ms);
	if (rc == OTD_E_BUSY)
		return; /* the journal takes nothing now: asked again in a second */
	bool news = is_news(c, &out, fee.ppm);
	c->next_ms = now_ms + (out.valid_s > 0 ? out.valid_s : 60) * 1000;
	c->known = fee.ppm >= 0;
	c->last = out;
	if (news)
		policy_fee_audit(p, c->key, fee.ppm, fee.ppm >= 0 ? &out : NULL, now_ms);
}

/* Scripts are gone: everybody pays the fee of the pool. */
static void give_back(struct otd_app_policy *p, struct policy_account *c, const char *pool,
		      int64_t now_ms)
{
	if (otd_accounting_account_fee(p->app->accounting, pool, c->key + c->pool_len + 1, -1,
				       now_ms) == OTD_E_BUSY)
		return;
	if (c->known)
		policy_fee_audit(p, c->key, -1, NULL, now_ms);
	c->known = false;
	c->next_ms = now_ms + 60000;
}

void policy_accounts_tick(struct otd_app_policy *p, int64_t now_ms)
{
	struct policy_accounts *a = accounts(p);
	bool any = a && a->any;
	for (size_t i = 0; a && !any && i < p->app->n_pools; i++)
		any = p->app->pools[i].settings && wanted(p, p->app->pools[i].name);
	if (!any)
		return;
	look(p, a, now_ms);
	uint64_t began = otd_mono_ns(p->app->env);
	for (size_t i = 0; i < a->n && otd_mono_ns(p->app->env) - began < SLICE_NS; i++) {
		if (a->cursor >= a->n)
			a->cursor = 0;
		struct policy_account *c = a->all[a->cursor++];
		const struct otd_app_pool *pool = c->next_ms <= now_ms ? pool_of(p->app, c) : NULL;
		if (!pool)
			continue;
		if (wanted(p, pool->name))
			ask(p, pool, c, now_ms);
		else
			give_back(p, c, pool->name, now_ms);
	}
}

void policy_accounts_anew(struct otd_app_policy *p)
{
	struct policy_accounts *a = p->accounts;
	for (size_t i = 0; a && i < a->n; i++)
		a->all[i]->next_ms = 0;
	if (a) {
		a->round_ms = 0;
		a->warned = false;
		a->any = true;
	}
}
