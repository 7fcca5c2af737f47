/* Addresses: asked of the coordinator once, then remembered. See pool/reactor/reactor.h. */
#include "pool/reactor/reactor_impl.h"

#include "base/log.h"
#include <stdlib.h>
#include <string.h>

#define WAITS_MAX  65536
#define REASON_MAX 200
#define KEY_MAX    (4 + OTD_WORKER_ACCOUNT_MAX)

otd_rc otd_reactor_auth_init(struct otd_reactor *r, const uint8_t seed[16])
{
	r->accounts = otd_map_create(seed, r->conf.accounts_max);
	return r->accounts ? OTD_OK : OTD_E_NOMEM;
}

static void forget_all(struct otd_map *m)
{
	size_t pos = 0, n;
	const void *key;
	uint64_t value;

	while (otd_map_next(m, &pos, &key, &n, &value))
		free((void *)(uintptr_t)value);
	otd_map_clear(m);
}

void otd_reactor_auth_finish(struct otd_reactor *r)
{
	if (r->accounts)
		forget_all(r->accounts);
	otd_map_destroy(r->accounts);
	free(r->waits);
}

static size_t key_build(uint8_t key[KEY_MAX], uint32_t pool, const void *account, size_t n)
{
	memcpy(key, &pool, 4);
	memcpy(key + 4, account, n);
	return 4 + n;
}

static void tell(struct otd_reactor *r, void *client, uint64_t request, const struct auth_answer *a)
{
	const uint8_t *text = (const uint8_t *)a->text;

	if (r->has_front)
		r->front.auth(r->front.arg, client, request, a->rc,
			      (struct otd_span){text, a->account_len},
			      (struct otd_span){text + a->account_len, a->reason_len});
}

static struct auth_wait *wait_take(struct otd_reactor *r)
{
	if (!r->free_wait) {
		uint32_t n = r->n_waits ? 2 * r->n_waits : 64;
		struct auth_wait *p;
		if (n > WAITS_MAX || !(p = realloc(r->waits, n * sizeof(*p))))
			return NULL;
		memset(p + r->n_waits, 0, (n - r->n_waits) * sizeof(*p));
		for (uint32_t i = r->n_waits; i < n; i++)
			p[i].next_free = i + 1 < n ? i + 2 : 0;
		r->free_wait = r->n_waits + 1;
		r->waits = p;
		r->n_waits = n;
	}
	struct auth_wait *w = &r->waits[r->free_wait - 1];
	r->free_wait = w->next_free;
	w->used = true;
	w->generation++;
	return w;
}

static void wait_give(struct otd_reactor *r, struct auth_wait *w)
{
	w->used = false;
	w->next_free = r->free_wait;
	r->free_wait = (uint32_t)(w - r->waits) + 1;
}

static otd_rc ask(struct otd_reactor *r, const struct auth_wait *w)
{
	struct otd_msg *m =
		otd_msg_create(OTD_MSG_AUTH, r->conf.index, sizeof(struct otd_msg_auth), w->len);
	struct otd_msg_auth *a = (struct otd_msg_auth *)m;

	if (!m)
		return OTD_E_NOMEM;
	a->pool = w->pool;
	a->token = (uint64_t)w->generation << 32 | (uint32_t)(w - r->waits);
	a->account = otd_msg_put(m, w->account, w->len);
	return otd_mailbox_send(r->conf.coordinator, m);
}

otd_rc otd_reactor_auth(struct otd_reactor *r, void *client, uint64_t request, uint32_t pool,
			struct otd_span account)
{
	uint8_t key[KEY_MAX];
	uint64_t value;

	if (account.len == 0 || account.len > OTD_WORKER_ACCOUNT_MAX)
		return OTD_E_RANGE;
	if (otd_map_get(r->accounts, key, key_build(key, pool, account.ptr, account.len), &value)) {
		tell(r, client, request, (const struct auth_answer *)(uintptr_t)value);
		return OTD_OK;
	}
	struct auth_wait *w = wait_take(r);
	if (!w)
		return OTD_E_NOMEM;
	w->client = client;
	w->request = request;
	w->pool = pool;
	w->len = (uint16_t)account.len;
	memcpy(w->account, account.ptr, account.len);
	otd_rc rc = ask(r, w);
	if (rc)
		wait_give(r, w);
	return rc;
}

void otd_reactor_auth_answer(struct otd_reactor *r, const struct otd_msg_auth_answer *m)
{
	uint32_t i = (uint32_t)m->token;
	struct otd_span account = otd_msg_get(m, m->account), reason = otd_msg_get(m, m->reason);

	if (i >= r->n_waits || !r->waits[i].used ||
	    r->waits[i].generation != (uint32_t)(m->token >> 32)) {
		otd_log(OTD_LOG_WARN, "pool", "auth.unexpected", "reactor=%u", r->conf.index);
		return;
	}
	struct auth_wait w = r->waits[i];
	wait_give(r, &r->waits[i]);
	if (reason.len > REASON_MAX)
		reason.len = REASON_MAX;
	bool good = m->rc == OTD_OK && account.len && account.len <= OTD_WORKER_ACCOUNT_MAX;
	struct auth_answer *a = malloc(sizeof(*a) + account.len + reason.len);
	if (!a) {
		struct auth_answer busy = {.rc = OTD_E_NOMEM};
		tell(r, w.client, w.request, &busy);
		return;
	}
	a->rc = good ? OTD_OK : m->rc ? m->rc : OTD_E_INVALID;
	a->account_len = good ? (uint32_t)account.len : 0;
	a->reason_len = (uint32_t)reason.len;
	memcpy(a->text, account.ptr, a->account_len);
	memcpy(a->text + a->account_len, reason.ptr, reason.len);
	tell(r, w.client, w.request, a);

	uint8_t key[KEY_MAX];
	size_t n = key_build(key, w.pool, w.account, w.len);
	uint64_t old = 0;
	if (otd_map_count(r->accounts) >= r->conf.accounts_max)
		forget_all(r->accounts);
	/* An answer that is not about the address (the chain is away) is not kept. */
	if ((a->rc && a->rc != OTD_E_INVALID) ||
	    otd_map_add(r->accounts, key, n, (uint64_t)(uintptr_t)a, &old))
		free(a);
}
