/* Worker numbers, see pool/workers.h. */
#include "pool/workers.h"

#include <stdlib.h>
#include <string.h>

#define SCHEME_MAX 32
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

otd_rc otd_workers_init(struct otd_workers *ws, const uint8_t seed[16], size_t max,
			uint32_t names_an_account)
{
	memset(ws, 0, sizeof(*ws));
	ws->max = max;
	ws->names_an_account = names_an_account;
	ws->by_key = otd_map_create(seed, max);
	ws->accounts = otd_map_create(seed, max);
	if (ws->by_key && ws->accounts)
		return OTD_OK;
	otd_workers_finish(ws);
	return OTD_E_NOMEM;
}

void otd_workers_finish(struct otd_workers *ws)
{
	for (size_t i = 0; i < ws->n; i++)
		free(ws->all[i]);
	free(ws->all);
	otd_map_destroy(ws->by_key);
	otd_map_destroy(ws->accounts);
	memset(ws, 0, sizeof(*ws));
}

static void forget(struct otd_workers *ws, size_t slot)
{
	struct otd_pool_worker *w = ws->all[slot];
	uint8_t key[KEY_MAX];
	struct otd_span account = otd_worker_account(w);
	size_t n = key_build(key, w->pool, w->scheme, account, otd_worker_name(w));
	uint64_t names = 0;

	otd_map_remove(ws->by_key, key, n, NULL);
	n = account_key_len(account);
	if (otd_map_get(ws->accounts, key, n, &names) && names > 1)
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
		if (!w->users && !w->in_refused && (!w->touched || w->touched + 1 < ws->segment))
			forget(ws, i);
	}
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
		ws->cap = cap;
	}
	return OTD_OK;
}

otd_rc otd_workers_open(struct otd_workers *ws, struct otd_pool_worker **out, uint32_t pool,
			const char *scheme, struct otd_span account, struct otd_span name)
{
	uint8_t key[KEY_MAX];
	uint64_t value = 0, names = 0;
	struct otd_pool_worker *w = NULL;

	*out = NULL;
	if (account.len == 0 || account.len > OTD_WORKER_ACCOUNT_MAX ||
	    name.len > OTD_WORKER_NAME_MAX || strlen(scheme) > SCHEME_MAX)
		return OTD_E_RANGE;
	size_t n = key_build(key, pool, scheme, account, name);
	if (otd_map_get(ws->by_key, key, n, &value)) {
		w = (struct otd_pool_worker *)(uintptr_t)value;
		if (!w->users++)
			ws->idle--;
		*out = w;
		return OTD_OK;
	}
	(void)otd_map_get(ws->accounts, key, account_key_len(account), &names);
	if (names >= ws->names_an_account || room(ws))
		return OTD_E_NOMEM;
	size_t scheme_len = strlen(scheme);
	w = calloc(1, sizeof(*w) + account.len + name.len + scheme_len + 1);
	if (!w)
		return OTD_E_NOMEM;
	w->number = ++ws->last_number;
	w->pool = pool;
	w->users = 1;
	w->account_len = (uint16_t)account.len;
	w->name_len = (uint16_t)name.len;
	memcpy(w->text, account.ptr, account.len);
	if (name.len)
		memcpy(w->text + account.len, name.ptr, name.len);
	char *own = w->text + account.len + name.len;
	memcpy(own, scheme, scheme_len);
	w->scheme = own;
	if (otd_map_put(ws->accounts, key, account_key_len(account), names + 1) ||
	    otd_map_put(ws->by_key, key, n, (uint64_t)(uintptr_t)w)) {
		free(w);
		return OTD_E_NOMEM;
	}
	ws->all[ws->n++] = w;
	*out = w;
	return OTD_OK;
}

void otd_workers_close(struct otd_workers *ws, struct otd_pool_worker *w)
{
	if (w && --w->users == 0)
		ws->idle++;
}

void otd_workers_refused(struct otd_workers *ws, struct otd_pool_worker *w,
			 enum otd_share_verdict why)
{
	w->refused[why]++;
	if (!w->in_refused) {
		w->in_refused = true;
		w->next_refused = ws->refused;
		ws->refused = w;
	}
}
