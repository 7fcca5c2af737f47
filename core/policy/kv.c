/* What scripts remember: a map from "script\0key" to entries on the heap. */
#include "policy/kv.h"
#include "base/map.h"
#include "base/text.h"
#include "policy/internal.h"
#include <stdlib.h>
#include <string.h>

#define FULL_KEY    (OTD_KV_SCRIPT_MAX + 1 + OTD_KV_KEY_MAX)
#define SWEEP_NS    10000000000ull /* between two looks for what is over */
#define SCRIPTS_MAX 256
#define MAGIC       0x564b544f /* "OTKV" */
#define VERSION     1

enum kind { KIND_NUMBER = 0, KIND_TEXT = 1, KIND_HIDDEN = 2 };

struct entry {
	int64_t until_ms, number;
	uint8_t kind; /* enum kind */
	uint16_t script_len, key_len;
	uint32_t text_len;
	char name[FULL_KEY + 1]; /* as in the map */
	uint8_t *text;
};

struct otd_policy_kv {
	struct otd_env *env;
	struct otd_map *map;
	size_t max;
	otd_policy_kv_fn on_change;
	void *arg;
	uint64_t refused, swept_ns;
	struct {
		char name[OTD_KV_SCRIPT_MAX + 1];
		size_t n;
	} script[SCRIPTS_MAX];
	size_t n_scripts;
};

otd_rc otd_policy_kv_create(struct otd_policy_kv **out, struct otd_env *e, size_t entries,
			    otd_policy_kv_fn on_change, void *arg)
{
	struct otd_policy_kv *kv = calloc(1, sizeof(*kv));
	uint8_t seed[16];
	*out = NULL;
	if (!kv)
		return OTD_E_NOMEM;
	e->ops->random(e, seed, sizeof(seed));
	kv->env = e;
	kv->max = entries ? entries : OTD_KV_ENTRIES;
	kv->map = otd_map_create(seed, kv->max);
	kv->on_change = on_change;
	kv->arg = arg;
	if (!kv->map) {
		free(kv);
		return OTD_E_NOMEM;
	}
	*out = kv;
	return OTD_OK;
}

static void free_entry(struct entry *e)
{
	free(e->text);
	free(e);
}

static struct entry *entry_of(uint64_t value)
{
	return (struct entry *)(uintptr_t)value;
}

static void drop_all(struct otd_map *map)
{
	size_t pos = 0, n;
	const void *key;
	uint64_t value;
	while (otd_map_next(map, &pos, &key, &n, &value))
		free_entry(entry_of(value));
	otd_map_destroy(map);
}

void otd_policy_kv_destroy(struct otd_policy_kv *kv)
{
	if (!kv)
		return;
	drop_all(kv->map);
	free(kv);
}

/* --- entries --- */

/* "script\0key"; 0: one of them is too long. */
static size_t full_key(char out[FULL_KEY + 1], const char *script, const char *key)
{
	size_t a = strlen(script), b = strlen(key);
	if (a == 0 || a > OTD_KV_SCRIPT_MAX || b == 0 || b > OTD_KV_KEY_MAX)
		return 0;
	memcpy(out, script, a + 1);
	memcpy(out + a + 1, key, b + 1);
	return a + 1 + b;
}

/* How many entries a script has; NULL: too many scripts. */
static size_t *count_of(struct otd_policy_kv *kv, const char *script)
{
	for (size_t i = 0; i < kv->n_scripts; i++) {
		if (strcmp(kv->script[i].name, script) == 0)
			return &kv->script[i].n;
	}
	if (kv->n_scripts == SCRIPTS_MAX)
		return NULL;
	memcpy(kv->script[kv->n_scripts].name, script, strlen(script) + 1);
	return &kv->script[kv->n_scripts++].n;
}

static void drop(struct otd_policy_kv *kv, struct entry *e)
{
	size_t *n = count_of(kv, e->name);
	if (n && *n)
		(*n)--;
	(void)otd_map_remove(kv->map, e->name, (size_t)e->script_len + 1 + e->key_len, NULL);
	free_entry(e);
}

static struct entry *find(struct otd_policy_kv *kv, const char *name, size_t n)
{
	uint64_t value;
	if (!otd_map_get(kv->map, name, n, &value))
		return NULL;
	struct entry *e = entry_of(value);
	if (e->until_ms > otd_wall_ms(kv->env))
		return e;
	drop(kv, e);
	return NULL;
}

/* Drops what is over; not often, for it looks at all. */
static void sweep(struct otd_policy_kv *kv)
{
	uint64_t now_ns = otd_mono_ns(kv->env), value;
	int64_t now_ms = otd_wall_ms(kv->env);
	size_t pos = 0, n, n_over = 0;
	const void *key;
	if (kv->swept_ns && now_ns - kv->swept_ns < SWEEP_NS)
		return;
	kv->swept_ns = now_ns;
	struct entry **over = malloc((otd_map_count(kv->map) + 1) * sizeof(struct entry *));
	if (!over)
		return;
	while (otd_map_next(kv->map, &pos, &key, &n, &value)) {
		if (entry_of(value)->until_ms <= now_ms)
			over[n_over++] = entry_of(value);
	}
	for (size_t i = 0; i < n_over; i++)
		drop(kv, over[i]);
	free((void *)over);
}

/* A new entry of number 0. */
static otd_rc make(struct otd_policy_kv *kv, struct entry **out, const char *script,
		   const char *key, int64_t until_ms)
{
	size_t *n = count_of(kv, script);
	if (otd_map_count(kv->map) >= kv->max || !n || *n >= OTD_KV_A_SCRIPT)
		sweep(kv);
	if (otd_map_count(kv->map) >= kv->max || !n || *n >= OTD_KV_A_SCRIPT) {
		kv->refused++;
		return OTD_E_NOMEM;
	}
	struct entry *e = calloc(1, sizeof(*e));
	if (!e)
		return OTD_E_NOMEM;
	size_t len = full_key(e->name, script, key);
	e->script_len = (uint16_t)strlen(script);
	e->key_len = (uint16_t)strlen(key);
	e->until_ms = until_ms;
	if (otd_map_put(kv->map, e->name, len, (uint64_t)(uintptr_t)e)) {
		free(e);
		return OTD_E_NOMEM;
	}
	(*n)++;
	*out = e;
	return OTD_OK;
}

static otd_rc fill(struct entry *e, uint8_t kind, int64_t number, struct otd_span text)
{
	uint8_t *copy = NULL;
	if (kind == KIND_TEXT) {
		copy = malloc(text.len + 1);
		if (!copy)
			return OTD_E_NOMEM;
		if (text.len)
			memcpy(copy, text.ptr, text.len);
	}
	free(e->text);
	e->text = copy;
	e->text_len = kind == KIND_TEXT ? (uint32_t)text.len : 0;
	e->kind = kind;
	e->number = number;
	return OTD_OK;
}

static otd_rc put(struct otd_policy_kv *kv, const char *script, const char *key, uint8_t kind,
		  const struct otd_policy_kv_value *v, int64_t until_ms)
{
	char name[FULL_KEY + 1];
	size_t n = full_key(name, script, key);
	otd_rc rc = OTD_OK;
	if (n == 0 || (v->is_text && v->text.len > OTD_KV_VALUE_MAX))
		return OTD_E_RANGE;
	struct entry *e = find(kv, name, n);
	bool fresh = !e;
	if (fresh)
		rc = make(kv, &e, script, key, until_ms);
	if (!rc)
		rc = fill(e, kind, v->number, v->text);
	if (rc && fresh && e)
		drop(kv, e);
	else if (!rc)
		e->until_ms = until_ms;
	return rc;
}

static otd_rc add(struct otd_policy_kv *kv, const char *script, const char *key, int64_t by,
		  int64_t until_ms, int64_t *now)
{
	char name[FULL_KEY + 1];
	size_t n = full_key(name, script, key);
	if (n == 0)
		return OTD_E_RANGE;
	struct entry *e = find(kv, name, n);
	if (e && e->kind == KIND_TEXT)
		return OTD_E_INVALID;
	if (!e) {
		otd_rc rc = make(kv, &e, script, key, until_ms);
		if (rc)
			return rc;
	}
	if (e->kind == KIND_HIDDEN) {
		e->kind = KIND_NUMBER;
		e->number = 0;
		e->until_ms = until_ms;
	}
	int64_t v;
	if (__builtin_add_overflow(e->number, by, &v))
		return OTD_E_OVERFLOW;
	e->number = v;
	*now = v;
	return OTD_OK;
}

/* --- scripts --- */

static void tell(struct otd_policy_kv *kv, const struct otd_policy_kv_change *c)
{
	if (kv->on_change)
		kv->on_change(kv->arg, c);
}

/* 0: not one that may be. */
static int64_t until_of(struct otd_policy_kv *kv, int64_t ttl_s)
{
	if (ttl_s < 1 || ttl_s > OTD_KV_TTL_S)
		return 0;
	return otd_wall_ms(kv->env) + ttl_s * 1000;
}

int otd_policy_kv_look(struct otd_policy_kv *kv, const char *script, const char *key,
		       struct otd_policy_kv_value *out, int64_t *until_ms)
{
	char name[FULL_KEY + 1];
	size_t n = full_key(name, script, key);
	struct entry *e = n ? find(kv, name, n) : NULL;
	if (!e)
		return 0;
	if (e->kind == KIND_HIDDEN)
		return -1;
	*out = (struct otd_policy_kv_value){.is_text = e->kind == KIND_TEXT,
					    .number = e->number,
					    .text = {e->text, e->text_len}};
	if (until_ms)
		*until_ms = e->until_ms;
	return 1;
}

bool otd_policy_kv_get(struct otd_policy_kv *kv, const char *script, const char *key,
		       struct otd_policy_kv_value *out)
{
	return otd_policy_kv_look(kv, script, key, out, NULL) == 1;
}

otd_rc otd_policy_kv_set(struct otd_policy_kv *kv, const char *script, const char *key,
			 const struct otd_policy_kv_value *v, int64_t ttl_s)
{
	struct otd_policy_kv_change c = {.op = OTD_KV_SET,
					 .script = script,
					 .key = key,
					 .value = *v,
					 .until_ms = until_of(kv, ttl_s)};
	otd_rc rc = c.until_ms ? otd_policy_kv_apply(kv, &c) : OTD_E_RANGE;
	if (!rc)
		tell(kv, &c);
	return rc;
}

otd_rc otd_policy_kv_incr(struct otd_policy_kv *kv, const char *script, const char *key, int64_t by,
			  int64_t ttl_s, int64_t *now)
{
	struct otd_policy_kv_change c = {.op = OTD_KV_INCR,
					 .script = script,
					 .key = key,
					 .value = {.number = by},
					 .until_ms = until_of(kv, ttl_s)};
	otd_rc rc = c.until_ms ? add(kv, script, key, by, c.until_ms, now) : OTD_E_RANGE;
	if (!rc)
		tell(kv, &c);
	return rc;
}

void otd_policy_kv_remove(struct otd_policy_kv *kv, const char *script, const char *key)
{
	struct otd_policy_kv_change c = {.op = OTD_KV_REMOVE, .script = script, .key = key};
	char name[FULL_KEY + 1];
	size_t n = full_key(name, script, key);
	struct entry *e = n ? find(kv, name, n) : NULL;
	if (!e)
		return;
	drop(kv, e);
	tell(kv, &c);
}

otd_rc otd_policy_kv_hide(struct otd_policy_kv *kv, const char *script, const char *key,
			  int64_t ttl_s)
{
	struct otd_policy_kv_value v = {0};
	int64_t until_ms = until_of(kv, ttl_s);
	return until_ms ? put(kv, script, key, KIND_HIDDEN, &v, until_ms) : OTD_E_RANGE;
}

otd_rc otd_policy_kv_apply(struct otd_policy_kv *kv, const struct otd_policy_kv_change *c)
{
	char name[FULL_KEY + 1];
	size_t n;
	int64_t now;
	struct entry *e;
	switch (c->op) {
	case OTD_KV_SET:
		return put(kv, c->script, c->key, c->value.is_text ? KIND_TEXT : KIND_NUMBER,
			   &c->value, c->until_ms);
	case OTD_KV_INCR: return add(kv, c->script, c->key, c->value.number, c->until_ms, &now);
	case OTD_KV_REMOVE:
		n = full_key(name, c->script, c->key);
		e = n ? find(kv, name, n) : NULL;
		if (e)
			drop(kv, e);
		return n ? OTD_OK : OTD_E_RANGE;
	default: return OTD_E_INVALID;
	}
}

size_t otd_policy_kv_count(const struct otd_policy_kv *kv)
{
	return otd_map_count(kv->map);
}

uint64_t otd_policy_kv_refused(const struct otd_policy_kv *kv)
{
	return kv->refused;
}

/* --- as bytes --- */

/* Followed by script, key and text; the first two end with a zero. */
struct flat {
	int64_t until_ms, number;
	uint32_t op, text_len;
	uint16_t script_len, key_len, is_text, reserved;
};
_Static_assert(sizeof(struct flat) == 32, "in messages and on disk");

otd_rc otd_policy_kv_pack(struct otd_bytes *out, const struct otd_policy_kv_change *c)
{
	const struct flat f = {.until_ms = c->until_ms,
			       .number = c->value.number,
			       .op = c->op,
			       .text_len = c->value.is_text ? (uint32_t)c->value.text.len : 0,
			       .script_len = (uint16_t)strlen(c->script),
			       .key_len = (uint16_t)strlen(c->key),
			       .is_text = c->value.is_text};
	(void)otd_bytes_add(out, &f, sizeof(f));
	(void)otd_bytes_add(out, c->script, strlen(c->script) + 1);
	(void)otd_bytes_add(out, c->key, strlen(c->key) + 1);
	if (f.text_len)
		(void)otd_bytes_add(out, c->value.text.ptr, f.text_len);
	return out->failed ? OTD_E_NOMEM : OTD_OK;
}

/* One change at the front of from; *used: its bytes. */
static otd_rc unpack(struct otd_policy_kv_change *out, struct otd_span from, size_t *used)
{
	struct flat f;
	if (from.len < sizeof(f))
		return OTD_E_CORRUPT;
	memcpy(&f, from.ptr, sizeof(f));
	if (f.op < OTD_KV_SET || f.op > OTD_KV_REMOVE || f.script_len == 0 ||
	    f.script_len > OTD_KV_SCRIPT_MAX || f.key_len == 0 || f.key_len > OTD_KV_KEY_MAX ||
	    f.text_len > OTD_KV_VALUE_MAX || f.is_text > 1 || (!f.is_text && f.text_len))
		return OTD_E_CORRUPT;
	*used = sizeof(f) + f.script_len + 1u + f.key_len + 1u + f.text_len;
	if (from.len < *used)
		return OTD_E_CORRUPT;
	const char *script = (const char *)from.ptr + sizeof(f), *key = script + f.script_len + 1;
	if (strnlen(script, f.script_len + 1u) != f.script_len ||
	    strnlen(key, f.key_len + 1u) != f.key_len)
		return OTD_E_CORRUPT;
	*out = (struct otd_policy_kv_change){
		.op = (enum otd_policy_kv_op)f.op,
		.script = script,
		.key = key,
		.value = {.is_text = f.is_text != 0,
			  .number = f.number,
			  .text = {(const uint8_t *)key + f.key_len + 1, f.text_len}},
		.until_ms = f.until_ms};
	return OTD_OK;
}

otd_rc otd_policy_kv_unpack(struct otd_policy_kv_change *out, struct otd_span from)
{
	size_t used = 0;
	otd_rc rc = unpack(out, from, &used);
	return rc ? rc : used == from.len ? OTD_OK : OTD_E_CORRUPT;
}

struct head {
	uint32_t magic, version, crc, n; /* crc: of what stands behind */
};

size_t otd_policy_kv_save_max(const struct otd_policy_kv *kv)
{
	return sizeof(struct head) + otd_map_count(kv->map) * (size_t)OTD_KV_CHANGE_MAX;
}

otd_rc otd_policy_kv_save(struct otd_policy_kv *kv, struct otd_bytes *out)
{
	struct head h = {MAGIC, VERSION, 0, 0};
	size_t pos = 0, n, start;
	const void *key;
	uint64_t value;
	int64_t now_ms = otd_wall_ms(kv->env);
	otd_bytes_clear(out);
	(void)otd_bytes_add(out, &h, sizeof(h));
	start = out->len;
	while (otd_map_next(kv->map, &pos, &key, &n, &value)) {
		const struct entry *e = entry_of(value);
		const struct otd_policy_kv_change c = {.op = OTD_KV_SET,
						       .script = e->name,
						       .key = e->name + e->script_len + 1,
						       .value = {.is_text = e->kind == KIND_TEXT,
								 .number = e->number,
								 .text = {e->text, e->text_len}},
						       .until_ms = e->until_ms};
		if (e->kind == KIND_HIDDEN || e->until_ms <= now_ms)
			continue;
		if (otd_policy_kv_pack(out, &c))
			return OTD_E_NOMEM;
		h.n++;
	}
	if (out->failed)
		return OTD_E_NOMEM;
	h.crc = otd_crc32c(0, out->ptr + start, out->len - start);
	memcpy(out->ptr, &h, sizeof(h));
	return OTD_OK;
}

/* Applies all of it. */
static otd_rc load_all(struct otd_policy_kv *kv, struct otd_span from, uint32_t n)
{
	int64_t now_ms = otd_wall_ms(kv->env);
	for (uint32_t i = 0; i < n; i++) {
		struct otd_policy_kv_change c;
		size_t used = 0;
		otd_rc rc = unpack(&c, from, &used);
		if (!rc && c.op != OTD_KV_SET)
			rc = OTD_E_CORRUPT;
		if (!rc && c.until_ms > now_ms)
			rc = otd_policy_kv_apply(kv, &c);
		if (rc)
			return rc == OTD_E_NOMEM ? rc : OTD_E_CORRUPT;
		from.ptr += used;
		from.len -= used;
	}
	return from.len == 0 ? OTD_OK : OTD_E_CORRUPT;
}

otd_rc otd_policy_kv_load(struct otd_policy_kv *kv, struct otd_span from)
{
	struct head h;
	struct otd_policy_kv *fresh;
	otd_rc rc;
	if (from.len < sizeof(h))
		return OTD_E_CORRUPT;
	memcpy(&h, from.ptr, sizeof(h));
	if (h.magic != MAGIC)
		return OTD_E_CORRUPT;
	if (h.version != VERSION)
		return OTD_E_VERSION;
	const struct otd_span body = {from.ptr + sizeof(h), from.len - sizeof(h)};
	if (otd_crc32c(0, body.ptr, body.len) != h.crc)
		return OTD_E_CORRUPT;
	rc = otd_policy_kv_create(&fresh, kv->env, kv->max, NULL, NULL);
	if (rc)
		return rc;
	rc = load_all(fresh, body, h.n);
	if (!rc) {
		struct otd_map *map = kv->map;
		kv->map = fresh->map;
		fresh->map = map;
		memcpy(kv->script, fresh->script, sizeof(kv->script));
		kv->n_scripts = fresh->n_scripts;
	}
	otd_policy_kv_destroy(fresh);
	return rc;
}
