/* A ring of ticket keys behind a lock that is held for a copy: handshakes ask it, never a share. */
#include "net/tickets.h"
#include "base/text.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* "OTTK", version, count, two zeros; then each key: created_ms (8, little-endian), name, aes, mac; then
   CRC-32C of all before it (4, little-endian). */
#define VERSION  1
#define HEAD     8
#define KEY_SIZE 88

struct otd_tls_tickets {
	struct otd_env *env;
	CRYPTO_RWLOCK *lock;
	struct otd_tls_ticket_key key[OTD_TLS_TICKETS_KEPT]; /* the newest first */
	size_t n;
};

static void le_put(uint8_t *to, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t le_get(const uint8_t *from, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)from[i] << (8 * i);
	return v;
}

static bool is_over(int64_t created_ms, int64_t now_ms)
{
	return now_ms - created_ms >= (int64_t)OTD_TLS_TICKETS_KEPT * OTD_TLS_TICKET_TURN_MS;
}

/* One key more in front; the last falls off. Under the lock. */
static void add_key(struct otd_tls_tickets *t, int64_t now_ms)
{
	struct otd_tls_ticket_key k = {.created_ms = now_ms};
	t->env->ops->random(t->env, k.name, sizeof(k.name));
	t->env->ops->random(t->env, k.aes, sizeof(k.aes));
	t->env->ops->random(t->env, k.mac, sizeof(k.mac));
	memmove(&t->key[1], &t->key[0], sizeof(t->key) - sizeof(t->key[0]));
	t->key[0] = k;
	if (t->n < OTD_TLS_TICKETS_KEPT)
		t->n++;
	OPENSSL_cleanse(&k, sizeof(k));
}

otd_rc otd_tls_tickets_create(struct otd_tls_tickets **out, struct otd_env *e, struct otd_err *err)
{
	struct otd_tls_tickets *t = calloc(1, sizeof(*t));
	*out = NULL;
	if (t)
		t->lock = CRYPTO_THREAD_lock_new();
	if (!t || !t->lock) {
		free(t);
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	}
	t->env = e;
	add_key(t, otd_wall_ms(e));
	*out = t;
	return OTD_OK;
}

void otd_tls_tickets_destroy(struct otd_tls_tickets *t)
{
	if (!t)
		return;
	CRYPTO_THREAD_lock_free(t->lock);
	OPENSSL_cleanse(t->key, sizeof(t->key));
	free(t);
}

bool otd_tls_tickets_turn(struct otd_tls_tickets *t)
{
	int64_t now = otd_wall_ms(t->env);
	bool changed = false;
	(void)CRYPTO_THREAD_write_lock(t->lock);
	if (t->key[0].created_ms > now || now - t->key[0].created_ms >= OTD_TLS_TICKET_TURN_MS) {
		add_key(t, now);
		changed = true;
	}
	while (t->n > 1 &&
	       (is_over(t->key[t->n - 1].created_ms, now) || t->key[t->n - 1].created_ms > now)) {
		OPENSSL_cleanse(&t->key[--t->n], sizeof(t->key[0]));
		changed = true;
	}
	(void)CRYPTO_THREAD_unlock(t->lock);
	return changed;
}

otd_rc otd_tls_tickets_export(struct otd_tls_tickets *t, struct otd_bytes *out)
{
	uint8_t flat[HEAD + OTD_TLS_TICKETS_KEPT * KEY_SIZE + 4] = {'O', 'T', 'T', 'K', VERSION};
	size_t n = HEAD;
	(void)CRYPTO_THREAD_read_lock(t->lock);
	flat[5] = (uint8_t)t->n;
	for (size_t i = 0; i < t->n; i++, n += KEY_SIZE) {
		const struct otd_tls_ticket_key *k = &t->key[i];
		le_put(flat + n, (uint64_t)k->created_ms, 8);
		memcpy(flat + n + 8, k->name, 16);
		memcpy(flat + n + 24, k->aes, 32);
		memcpy(flat + n + 56, k->mac, 32);
	}
	(void)CRYPTO_THREAD_unlock(t->lock);
	le_put(flat + n, otd_crc32c(0, flat, n), 4);
	otd_rc rc = otd_bytes_add(out, flat, n + 4);
	OPENSSL_cleanse(flat, sizeof(flat));
	return rc;
}

/* The keys of whole bytes that are not over, the newest first as they were written. */
static size_t read_keys(struct otd_tls_ticket_key to[OTD_TLS_TICKETS_KEPT], const uint8_t *p,
			size_t n, int64_t now_ms)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++, p += KEY_SIZE) {
		struct otd_tls_ticket_key *k = &to[kept];
		k->created_ms = (int64_t)le_get(p, 8);
		memcpy(k->name, p + 8, 16);
		memcpy(k->aes, p + 24, 32);
		memcpy(k->mac, p + 56, 32);
		/* One of the future would live longer than it may. */
		if (k->created_ms >= 0 && k->created_ms <= now_ms &&
		    !is_over(k->created_ms, now_ms) &&
		    (!kept || k->created_ms <= to[kept - 1].created_ms))
			kept++;
	}
	return kept;
}

otd_rc otd_tls_tickets_import(struct otd_tls_tickets *t, struct otd_span from, struct otd_err *err)
{
	struct otd_tls_ticket_key key[OTD_TLS_TICKETS_KEPT] = {0};
	const uint8_t *p = from.ptr;
	if (from.len < HEAD || memcmp(p, "OTTK", 4) != 0)
		return otd_fail(err, OTD_E_INVALID, "these are no ticket keys");
	if (p[4] != VERSION)
		return otd_fail(err, OTD_E_VERSION,
				"ticket keys of version %u; this program knows version %u", p[4],
				VERSION);
	size_t n = p[5], body = HEAD + n * KEY_SIZE;
	if (n == 0 || n > OTD_TLS_TICKETS_KEPT || from.len != body + 4 ||
	    le_get(p + body, 4) != otd_crc32c(0, p, body))
		return otd_fail(err, OTD_E_CORRUPT, "the ticket keys are damaged");
	size_t kept = read_keys(key, p + HEAD, n, otd_wall_ms(t->env));
	if (kept) {
		(void)CRYPTO_THREAD_write_lock(t->lock);
		memcpy(t->key, key, sizeof(key));
		t->n = kept;
		(void)CRYPTO_THREAD_unlock(t->lock);
	}
	OPENSSL_cleanse(key, sizeof(key));
	return kept ? OTD_OK : otd_fail(err, OTD_E_NOT_FOUND, "all of these ticket keys are over");
}

void otd_tls_tickets_newest(struct otd_tls_tickets *t, struct otd_tls_ticket_key *out)
{
	(void)CRYPTO_THREAD_read_lock(t->lock);
	*out = t->key[0];
	(void)CRYPTO_THREAD_unlock(t->lock);
}

bool otd_tls_tickets_find(struct otd_tls_tickets *t, struct otd_tls_ticket_key *out,
			  const uint8_t name[16], bool *newest)
{
	int64_t now = otd_wall_ms(t->env);
	bool found = false;
	(void)CRYPTO_THREAD_read_lock(t->lock);
	for (size_t i = 0; i < t->n && !found; i++) {
		if (memcmp(t->key[i].name, name, 16) != 0 || is_over(t->key[i].created_ms, now))
			continue;
		*out = t->key[i];
		*newest = i == 0;
		found = true;
	}
	(void)CRYPTO_THREAD_unlock(t->lock);
	return found;
}
