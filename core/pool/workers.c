/* Worker numbers, see pool/workers.h. */
#include "pool/workers.h"

#include <stdlib.h>
#include <string.h>

#define SCHEME_MAX 32
#define ONLINE     (UINT64_C(1) << 32) /* one of an account that has a session */
#define KEY_MAX    (4 + 3 + SCHEME_MAX + OTD_WORKER_ACCOUNT_MAX + OTD_WORKER_NAME_MAX)

/* Lengths before texts, so that no two sets of names share a key. */
static size_t key_build(uint8_t key[KEY_MAX], uint32_t pool, const char *scheme,
			struct otd_span account, struct otd_span name)
{
	size_t scheme_len = strlen(scheme), n = 4;

	memcpy(key, &pool, 4);
	key[n++] = (uint8_t)account.len;
	memcpy(key + n, account.ptr, account.len);
	n += account.len;
	key[n++] = (uint8_t)scheme_len;
	memcpy(key + n, scheme, scheme_len);
	n += scheme_len;
	key[n++] = (uint8_t)name.len;
	if (name.len)
		memcpy(key + n, name.ptr, name.len);
	return n + name.len;
}

/* The key up to the account names the account. */
static size_t account_key_len(struct otd_span account)
{
	return 4 + 1 + account.len;
}

_Static_assert(OTD_WORKER_ACCOUNT_MAX <= UINT8_MAX && OTD_WORKER_NAME_MAX <= UINT8_MAX,
	       "lengths are bytes");

otd_rc otd_workers_init(struct otd_workers *ws, const uint8_t seed[16], size_t max,
			uint32_t names_an_account)
{
	memset(ws, 0, sizeof(*ws));
	ws->max = max;
	ws->names_an_account = names_an_account;
	ws->accounts = otd_map_create(seed, max);
	return ws->accounts ? OTD_OK : OTD_E_NOMEM;
}

void otd_workers_finish(struct otd_workers *ws)
{
	while (ws->refused)
		otd_workers_recorded(ws);
	for (size_t i = 0; i < ws->n; i++)
		free(ws->all[i]);
	free(ws->all);
	free(ws->buckets);
	otd_map_destroy(ws->accounts);
	memset(ws, 0, sizeof(*ws));
}

static struct otd_pool_worker **bucket(const struct otd_workers *ws, uint32_t hash)
{
	return &ws->buckets[hash & (ws->n_buckets - 1)];
}

static bool is(const struct otd_pool_worker *w, uint32_t pool, const char *scheme,
	       struct otd_span account, struct otd_span name)
{
	return w->pool == pool && w->account_len == account.len && w->name_len == name.len &&
	       !memcmp(w->text, account.ptr, account.len) &&
	       (!name.len || !memcmp(w->text + account.len, name.ptr, name.len)) &&
	       !strcmp(otd_worker_scheme(w), scheme);
}

static void forget(struct otd_workers *ws, size_t slot)
{
	struct otd_pool_worker *w = ws->all[slot], **at = bucket(ws, w->hash);
	uint8_t key[KEY_MAX];
	struct otd_span account = otd_worker_account(w);
	uint64_t names = 0;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	(void)key_build(key, w->pool, otd_worker_scheme(w), account, otd_worker_name(w));
	size_t n = account_key_len(account);
	if (otd_map_get(ws->accounts, key, n, &names) && (uint32_t)names > 1)
		(void)otd_map_put(ws->accounts, key, n, names - 1);
	else
		otd_map_remove(ws->accounts, key, n, NULL);
	ws->all[slot] = ws->all[--ws->n];
	ws->idle--;
	free(w);
}

/* Drops workers without a session whose shares are long durable; their numbers are not used again. */
static void sweep(struct otd_workers *ws)
{
	for (size_t i = ws->n; i-- > 0;) {
		const struct otd_pool_worker *w = ws->all[i];
		if (!w->users && !w->refused && (!w->touched || w->touched + 1 < ws->segment))
			forget(ws, i);
	}
}

/* As many buckets as there may be workers in ws->all. */
static otd_rc spread(struct otd_workers *ws, size_t n)
{
	struct otd_pool_worker **to = calloc(n, sizeof(*to));

	if (!to)
		return OTD_E_NOMEM;
	free(ws->buckets);
	ws->buckets = to;
	ws->n_buckets = n;
	for (size_t i = 0; i < ws->n; i++) {
		struct otd_pool_worker *w = ws->all[i], **at = bucket(ws, w->hash);
		w->next = *at;
		*at = w;
	}
	return OTD_OK;
}

static otd_rc room(struct otd_workers *ws)
{
	/* Only where it is worth the walk. */
	if (ws->n >= ws->max && ws->idle > ws->n / 8)
		sweep(ws);
	if (ws->n >= ws->max)
		return OTD_E_NOMEM;
	if (ws->n == ws->cap) {
		size_t cap = ws->cap ? 2 * ws->cap : 64;
		void *p = realloc(ws->all, cap * sizeof(struct otd_pool_worker *));
		if (!p)
			return OTD_E_NOMEM;
		ws->all = p;
		if (spread(ws, cap))
			return OTD_E_NOMEM;
		ws->cap = cap;
	}
	return OTD_OK;
}

/* Its account has one more, or one less, with a session. */
static void count_online(struct otd_workers *ws, const struct otd_pool_worker *w, uint64_t by)
{
	uint8_t key[KEY_MAX];
	uint64_t names = 0;
	struct otd_span none = {NULL, 0};

	(void)key_build(key, w->pool, "", otd_worker_account(w), none);
	const size_t n = account_key_len(otd_worker_account(w));
	/* It is there: nothing is made. */
	if (otd_map_get(ws->accounts, key, n, &names))
		(void)!otd_map_put(ws->accounts, key, n, names + by);
}

static struct otd_pool_worker *look(const struct otd_workers *ws, uint32_t hash, uint32_t pool,
				    const char *scheme, struct otd_span account,
				    struct otd_span name)
{
	struct otd_pool_worker *w = ws->n_buckets ? *bucket(ws, hash) : NULL;

	while (w && (w->hash != hash || !is(w, pool, scheme, account, name)))
		w = w->next;
	return w;
}

static bool too_long(const char *scheme, struct otd_span account, struct otd_span name)
{
	return account.len == 0 || account.len > OTD_WORKER_ACCOUNT_MAX ||
	       name.len > OTD_WORKER_NAME_MAX || strlen(scheme) > SCHEME_MAX;
}

size_t otd_workers_online(const struct otd_workers *ws, uint32_t pool, const char *scheme,
			  struct otd_span account, struct otd_span name)
{
	uint8_t key[KEY_MAX];
	uint64_t names = 0;

	if (too_long(scheme, account, name))
		return 0;
	size_t n = key_build(key, pool, scheme, account, name);
	const struct otd_pool_worker *w =
		look(ws, otd_map_hash(ws->accounts, key, n), pool, scheme, account, name);
	(void)otd_map_get(ws->accounts, key, account_key_len(account), &names);
	return (size_t)(names / ONLINE) + (w && w->users ? 0 : 1);
}

otd_rc otd_workers_open(struct otd_workers *ws, struct otd_pool_worker **out, uint32_t pool,
			const char *scheme, struct otd_span account, struct otd_span name)
{
	uint8_t key[KEY_MAX];
	uint64_t names = 0;
	struct otd_pool_worker *w = NULL;

	*out = NULL;
	if (too_long(scheme, account, name))
		return OTD_E_RANGE;
	size_t n = key_build(key, pool, scheme, account, name);
	uint32_t hash = otd_map_hash(ws->accounts, key, n);
	w = look(ws, hash, pool, scheme, account, name);
	if (w) {
		if (!w->users++) {
			ws->idle--;
			count_online(ws, w, ONLINE);
		}
		*out = w;
		return OTD_OK;
	}
	(void)otd_map_get(ws->accounts, key, account_key_len(account), &names);
	if ((uint32_t)names >= ws->names_an_account || room(ws))
		return OTD_E_NOMEM;
	/* Where there was no room, some are forgotten: maybe of this account. */
	names = 0;
	(void)otd_map_get(ws->accounts, key, account_key_len(account), &names);
	size_t scheme_len = strlen(scheme);
	w = calloc(1, sizeof(*w) + account.len + name.len + scheme_len + 1);
	if (!w || otd_map_put(ws->accounts, key, account_key_len(account), names + 1 + ONLINE)) {
		free(w);
		return OTD_E_NOMEM;
	}
	w->number = ++ws->last_number;
	w->hash = hash;
	w->pool = pool;
	w->users = 1;
	w->account_len = (uint8_t)account.len;
	w->name_len = (uint8_t)name.len;
	memcpy(w->text, account.ptr, account.len);
	if (name.len)
		memcpy(w->text + account.len, name.ptr, name.len);
	memcpy(w->text + account.len + name.len, scheme, scheme_len);
	w->next = *bucket(ws, hash);
	*bucket(ws, hash) = w;
	ws->all[ws->n++] = w;
	*out = w;
	return OTD_OK;
}

void otd_workers_close(struct otd_workers *ws, struct otd_pool_worker *w)
{
	if (!w || --w->users)
		return;
	ws->idle++;
	count_online(ws, w, (uint64_t) - (int64_t)ONLINE);
}

void otd_workers_refused(struct otd_workers *ws, struct otd_pool_worker *w,
			 enum otd_share_verdict why)
{
	if (!w->refused) {
		w->refused = calloc(1, sizeof(*w->refused));
		if (!w->refused)
			return;
		w->refused->worker = w;
		w->refused->next = ws->refused;
		ws->refused = w->refused;
	}
	w->refused->count[why]++;
}

void otd_workers_recorded(struct otd_workers *ws)
{
	struct otd_worker_refused *first = ws->refused;

	ws->refused = first->next;
	first->worker->refused = NULL;
	free(first);
}
