/* The effective configuration as YAML that loads again. */
#include "base/text.h"
#include "config/settings_own.h"

#include <string.h>

enum { INDENT = 2 };

struct printing {
	struct otd_bytes *out;
	otd_rc rc;
};

static void put(struct printing *p, const char *s)
{
	if (!p->rc)
		p->rc = otd_bytes_text(p->out, s);
}

static void put_indent(struct printing *p, size_t level)
{
	if (!p->rc)
		p->rc = otd_bytes_format(p->out, "%*s", (int)(level * INDENT), "");
}

/* Whether s can stand without quotes, also between brackets. */
static bool is_plain(const char *s)
{
	static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				   "_./+-%()=";
	size_t n = strlen(s);
	if (n == 0 || strcmp(s, "null") == 0 || strchr("-%=+", s[0]) || s[n - 1] == ' ')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!strchr(safe, s[i]) && (s[i] != ' ' || i == 0))
			return false;
	}
	return true;
}

/* s as text that reads as s; ${ is kept from being replaced unless replace is set. */
static void put_text(struct printing *p, const char *s, bool replace)
{
	if (is_plain(s)) {
		put(p, s);
		return;
	}
	struct otd_bytes escaped;
	otd_bytes_init(&escaped, 2 * strlen(s) + 16);
	otd_rc rc = OTD_OK;
	while (!rc && *s) {
		if (!replace && s[0] == '$' && s[1] == '{')
			rc = otd_bytes_text(&escaped, "$");
		if (!rc)
			rc = otd_bytes_add(&escaped, s++, 1);
	}
	if (!rc)
		rc = otd_bytes_json(p->out, (const char *)escaped.ptr, escaped.len);
	otd_bytes_finish(&escaped);
	if (!p->rc)
		p->rc = rc;
}

bool otd_settings_sounds_secret(const char *key)
{
	static const char *const word[] = {"password",   "passwd",  "secret", "token",
					   "passphrase", "private", "apikey", "api_key"};
	for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++) {
		if (strcasestr(key, word[i]))
			return true;
	}
	return false;
}

/* A scalar as it was written; a secret only where it is but a reference to one. */
static void put_scalar(struct printing *p, const struct otd_yaml *y, bool secret)
{
	const char *s = otd_yaml_written(y);
	bool reference = otd_yaml_is_expanded(y) || strncmp(s, "file:", 5) == 0;
	if (secret && !reference && *s)
		put(p, "\"***\"");
	else if (otd_yaml_is_plain_null(y))
		put(p, "~");
	else
		put_text(p, s, otd_yaml_is_expanded(y));
}

/* A node in one line. */
static void put_flow(struct printing *p, const struct otd_yaml *y, bool secret)
{
	bool map = otd_yaml_kind(y) == OTD_YAML_MAP;
	if (otd_yaml_kind(y) == OTD_YAML_SCALAR) {
		put_scalar(p, y, secret);
		return;
	}
	put(p, map ? "{" : "[");
	for (size_t i = 0; i < otd_yaml_count(y); i++) {
		put(p, i ? ", " : "");
		if (map) {
			put_text(p, otd_yaml_key(y, i), true);
			put(p, ": ");
		}
		put_flow(p, otd_yaml_at(y, i),
			 secret || (map && otd_settings_sounds_secret(otd_yaml_key(y, i))));
	}
	put(p, map ? "}" : "]");
}

otd_rc otd_settings_print_value(const struct otd_yaml *y, bool secret, struct otd_bytes *out)
{
	struct printing p = {.out = out};
	put_flow(&p, y, secret);
	return p.rc;
}

static void put_key(struct printing *p, size_t level, const char *name)
{
	put_indent(p, level);
	put_text(p, name, true);
	put(p, ":");
}

static void put_texts(struct printing *p, const struct otd_settings_texts *t)
{
	put(p, "[");
	for (size_t i = 0; i < t->n; i++) {
		put(p, i ? ", " : "");
		put_text(p, t->item[i], false);
	}
	put(p, "]");
}

static void put_table(struct printing *p, const struct otd_key_table *t, const struct otd_yaml *map,
		      const uint8_t *base, size_t level);

/* The value of a key that the file does not have; false: there is none to show. */
static bool put_default(struct printing *p, const struct otd_key *k, const uint8_t *base,
			size_t level)
{
	const void *at = base + k->offset;
	if (!k->def && k->type != OTD_KEY_TEXTS && k->type != OTD_KEY_TEXT)
		return false;
	if (!k->def && k->type == OTD_KEY_TEXT && !*(const char *const *)at)
		return false;
	if (k->type == OTD_KEY_TEXTS && !((const struct otd_settings_texts *)at)->n)
		return false;
	put_key(p, level, k->name);
	put(p, " ");
	if (k->type == OTD_KEY_TEXTS)
		put_texts(p, at);
	else
		put_text(p, k->def ? k->def : *(const char *const *)at, false);
	put(p, " # default\n");
	return true;
}

static void put_entries(struct printing *p, const struct otd_key *k, const struct otd_yaml *y,
			const uint8_t *base, size_t level)
{
	const uint8_t *entry = *(const uint8_t *const *)(base + k->offset);
	put_key(p, level, k->name);
	put(p, otd_yaml_count(y) ? "\n" : " {}\n");
	for (size_t i = 0; i < otd_yaml_count(y); i++, entry += k->sub->size) {
		put_key(p, level + 1, otd_yaml_key(y, i));
		put(p, "\n");
		put_table(p, k->sub, otd_yaml_at(y, i), entry, level + 2);
	}
}

static void put_one(struct printing *p, const struct otd_key *k, const struct otd_yaml *y,
		    const uint8_t *base, size_t level)
{
	if (k->type == OTD_KEY_SECTION) {
		if (!y && (k->flags & OTD_KEY_DERIVED))
			return;
		put_key(p, level, k->name);
		put(p, "\n");
		put_table(p, k->sub, y, base + k->offset, level + 1);
	} else if (!y) {
		(void)put_default(p, k, base, level);
	} else if (k->type == OTD_KEY_MAP) {
		put_entries(p, k, y, base, level);
	} else if (k->type != OTD_KEY_LATER) {
		put_key(p, level, k->name);
		put(p, " ");
		put_flow(p, y, k->flags & OTD_KEY_SECRET);
		put(p, "\n");
	}
}

static void put_table(struct printing *p, const struct otd_key_table *t, const struct otd_yaml *map,
		      const uint8_t *base, size_t level)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct otd_key *k = &t->key[i];
		put_one(p, k, map ? otd_yaml_get(map, k->name) : NULL, base, level);
	}
}

otd_rc otd_settings_print(const struct otd_settings *s, struct otd_bytes *out)
{
	struct printing p = {.out = out};
	put_table(&p, &otd_keys_main, otd_yaml_root(s->doc), (const uint8_t *)s, 0);
	for (size_t i = 0; i < s->n_coins; i++) {
		put(&p, "# coin ");
		put(&p, s->coins[i].id);
		put(&p, " is described in ");
		put(&p, s->coins[i].file);
		put(&p, "\n");
	}
	return p.rc;
}
