/* The table: a hash from what is banned to the ban. See net/bans.h. */
#include "net/bans.h"
#include "base/map.h"
#include "base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX (OTD_BAN_WHAT_MAX + 1)

struct entry {
	struct otd_ban ban; /* texts lie behind it */
	char text[];
};

struct otd_bans {
	struct otd_env *env;
	struct otd_map *map; /* key -> struct entry */
	size_t max;
	uint32_t bits4[33], bits6[129]; /* bans of this prefix length */
	uint32_t names;                 /* bans of accounts and workers */
	int64_t next_end_ms;            /* none ends before it */
};

otd_rc otd_bans_create(struct otd_bans **out, struct otd_env *e, size_t max)
{
	struct otd_bans *b = calloc(1, sizeof(*b));
	uint8_t seed[16];
	*out = NULL;
	if (!b)
		return OTD_E_NOMEM;
	b->env = e;
	b->max = max && max < OTD_BANS_MAX ? max : OTD_BANS_MAX;
	b->next_end_ms = INT64_MAX;
	e->ops->random(e, seed, sizeof(seed));
	b->map = otd_map_create(seed, b->max);
	if (!b->map) {
		free(b);
		return OTD_E_NOMEM;
	}
	*out = b;
	return OTD_OK;
}

void otd_bans_destroy(struct otd_bans *b)
{
	const void *key;
	uint64_t value;
	size_t pos = 0, n;
	if (!b)
		return;
	while (otd_map_next(b->map, &pos, &key, &n, &value))
		free((void *)(uintptr_t)value);
	otd_map_destroy(b->map);
	free(b);
}

/* --- keys --- */

static size_t net_key(uint8_t key[KEY_MAX], const struct otd_ban_net *net)
{
	size_t n = net->family == 4 ? 4 : 16;
	key[0] = net->family == 4 ? '4' : '6';
	key[1] = net->bits;
	memcpy(key + 2, net->address, n);
	return 2 + n;
}

/* 0: it is not canonical. */
static size_t key_of(uint8_t key[KEY_MAX], struct otd_ban_net *net, enum otd_ban_scope scope,
		     const char *what)
{
	size_t n = strlen(what);
	net->family = 0;
	if (scope == OTD_BAN_IP || scope == OTD_BAN_PREFIX)
		return otd_ban_net_parse(net, what) == OTD_OK ? net_key(key, net) : 0;
	if (n == 0 || n > OTD_BAN_WHAT_MAX)
		return 0;
	key[0] = scope == OTD_BAN_ACCOUNT ? 'a' : 'w';
	memcpy(key + 1, what, n);
	return n + 1;
}

static uint32_t *counter_of(struct otd_bans *b, const struct otd_ban_net *net)
{
	if (net->family == 4)
		return &b->bits4[net->bits];
	return net->family == 6 ? &b->bits6[net->bits] : &b->names;
}

static struct entry *get(const struct otd_bans *b, const uint8_t *key, size_t n)
{
	uint64_t value;
	return n && otd_map_get(b->map, key, n, &value) ? (struct entry *)(uintptr_t)value : NULL;
}

static bool over(const struct otd_ban *ban, int64_t now_ms)
{
	return ban->until_ms && ban->until_ms <= now_ms;
}

static const struct otd_ban *in_force(const struct otd_bans *b, const struct entry *e)
{
	return e && !over(&e->ban, otd_wall_ms(b->env)) ? &e->ban : NULL;
}

/* --- changes --- */

bool otd_bans_remove(struct otd_bans *b, enum otd_ban_scope scope, const char *what)
{
	uint8_t key[KEY_MAX];
	struct otd_ban_net net;
	uint64_t value;
	size_t n = key_of(key, &net, scope, what);
	if (!n || !otd_map_remove(b->map, key, n, &value))
		return false;
	--*counter_of(b, &net);
	free((void *)(uintptr_t)value);
	return true;
}

/* Those that are over, and when the next one ends. */
static size_t collect_over(struct otd_bans *b, int64_t now_ms, struct entry **to)
{
	const void *key;
	uint64_t value;
	size_t pos = 0, n, found = 0;
	b->next_end_ms = INT64_MAX;
	while (otd_map_next(b->map, &pos, &key, &n, &value)) {
		struct entry *e = (struct entry *)(uintptr_t)value;
		if (over(&e->ban, now_ms))
			to[found++] = e;
		else if (e->ban.until_ms && e->ban.until_ms < b->next_end_ms)
			b->next_end_ms = e->ban.until_ms;
	}
	return found;
}

size_t otd_bans_expire(struct otd_bans *b)
{
	int64_t now_ms = otd_wall_ms(b->env);
	if (now_ms < b->next_end_ms)
		return otd_map_count(b->map);
	struct entry **all = malloc(otd_map_count(b->map) * sizeof(struct entry *));
	size_t n = all ? collect_over(b, now_ms, all) : 0; /* without memory they stay a while */
	for (size_t i = 0; i < n; i++)
		(void)otd_bans_remove(b, all[i]->ban.scope, all[i]->ban.what);
	free(all);
	return otd_map_count(b->map);
}

otd_rc otd_bans_may_add(struct otd_bans *b, const struct otd_ban *ban, struct otd_err *err)
{
	uint8_t key[KEY_MAX];
	struct otd_ban_net net;
	size_t n = key_of(key, &net, ban->scope, ban->what);
	if (!n)
		return otd_fail(err, OTD_E_INVALID, "'%.60s' is not what a ban can be of",
				ban->what);
	if (otd_bans_expire(b) >= b->max)
		return otd_fail(err, OTD_E_RANGE,
				"%zu bans are in force, which is the most there can be; undo some, "
				"or ban a prefix that holds many addresses",
				b->max);
	const struct entry *old = get(b, key, n);
	if (old)
		return otd_fail(err, OTD_E_EXISTS,
				"%s is banned already: ban %llu (%s %s); undo that one first",
				ban->what, (unsigned long long)old->ban.id,
				otd_ban_scope_name(old->ban.scope), old->ban.what);
	return OTD_OK;
}

otd_rc otd_bans_add(struct otd_bans *b, const struct otd_ban *ban, struct otd_err *err)
{
	uint8_t key[KEY_MAX];
	struct otd_ban_net net;
	size_t n = key_of(key, &net, ban->scope, ban->what);
	size_t what_n = strlen(ban->what) + 1, reason_n = strlen(ban->reason) + 1;
	otd_rc rc = otd_bans_may_add(b, ban, err);
	if (rc)
		return rc;
	struct entry *e = malloc(sizeof(*e) + what_n + reason_n);
	if (!e || otd_map_add(b->map, key, n, (uint64_t)(uintptr_t)e, NULL)) {
		free(e);
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	}
	memcpy(e->text, ban->what, what_n);
	memcpy(e->text + what_n, ban->reason, reason_n);
	e->ban = *ban;
	e->ban.what = e->text;
	e->ban.reason = e->text + what_n;
	++*counter_of(b, &net);
	if (ban->until_ms && ban->until_ms < b->next_end_ms)
		b->next_end_ms = ban->until_ms;
	return OTD_OK;
}

/* --- looking --- */

const struct otd_ban *otd_bans_find(const struct otd_bans *b, enum otd_ban_scope scope,
				    const char *what)
{
	uint8_t key[KEY_MAX];
	struct otd_ban_net net;
	return in_force(b, get(b, key, key_of(key, &net, scope, what)));
}

struct by_id {
	uint64_t id;
	const struct otd_ban *found;
};

static void match_id(void *arg, const struct otd_ban *ban)
{
	struct by_id *m = arg;
	if (ban->id == m->id)
		m->found = ban;
}

const struct otd_ban *otd_bans_by_id(const struct otd_bans *b, uint64_t id)
{
	struct by_id m = {.id = id};
	otd_bans_each(b, match_id, &m);
	return m.found;
}

const struct otd_ban *otd_bans_host(const struct otd_bans *b, const char *host)
{
	struct otd_ban_net net, full;
	uint8_t key[KEY_MAX];
	if (!otd_ban_host(&full, host))
		return NULL;
	const uint32_t *count = full.family == 4 ? b->bits4 : b->bits6;
	for (int bits = full.bits; bits >= 0; bits--) {
		if (!count[bits])
			continue;
		net = full;
		otd_ban_net_cut(&net, (unsigned)bits);
		const struct otd_ban *ban = in_force(b, get(b, key, net_key(key, &net)));
		if (ban)
			return ban;
	}
	return NULL;
}

const struct otd_ban *otd_bans_user(const struct otd_bans *b, const char *pool,
				    struct otd_span account, struct otd_span name)
{
	uint8_t key[KEY_MAX];
	size_t n = strlen(pool);
	if (!b->names || n + account.len + name.len + 3 > sizeof(key))
		return NULL;
	key[0] = 'a';
	memcpy(key + 1, pool, n++);
	key[n++] = '/';
	memcpy(key + n, account.ptr, account.len);
	n += account.len;
	const struct otd_ban *ban = in_force(b, get(b, key, n));
	if (ban)
		return ban;
	key[0] = 'w';
	key[n++] = '.';
	if (name.len)
		memcpy(key + n, name.ptr, name.len);
	return in_force(b, get(b, key, n + name.len));
}

void otd_bans_each(const struct otd_bans *b, void (*each)(void *arg, const struct otd_ban *ban),
		   void *arg)
{
	const void *key;
	uint64_t value;
	size_t pos = 0, n;
	while (otd_map_next(b->map, &pos, &key, &n, &value)) {
		const struct otd_ban *ban = in_force(b, (const struct entry *)(uintptr_t)value);
		if (ban)
			each(arg, ban);
	}
}
