/* Every key as a JSON schema (draft 2020-12), with our own units and flags beside it. */
#include "config/read.h"

#include <string.h>

struct writing {
	struct otd_bytes *out;
	otd_rc rc;
};

static void put(struct writing *w, const char *s)
{
	if (!w->rc)
		w->rc = otd_bytes_text(w->out, s);
}

static void put_string(struct writing *w, const char *s)
{
	if (!w->rc)
		w->rc = otd_bytes_json(w->out, s, strlen(s));
}

static void put_member(struct writing *w, const char *name, const char *value)
{
	put(w, ",");
	put_string(w, name);
	put(w, ":");
	put_string(w, value);
}

static void put_number(struct writing *w, const char *name, int64_t v)
{
	if (!w->rc)
		w->rc = otd_bytes_format(w->out, ",\"%s\":%lld", name, (long long)v);
}

static const char *json_type(enum otd_key_type type)
{
	switch (type) {
	case OTD_KEY_BOOL: return "boolean";
	case OTD_KEY_INT: return "integer";
	case OTD_KEY_TEXTS:
	case OTD_KEY_POLICIES: return "array";
	case OTD_KEY_LEVELS:
	case OTD_KEY_SECTION:
	case OTD_KEY_MAP:
	case OTD_KEY_PLUGIN:
	case OTD_KEY_OPTIONS: return "object";
	default: return "string";
	}
}

static const char *unit_of(enum otd_key_type type)
{
	switch (type) {
	case OTD_KEY_DURATION: return "ms";
	case OTD_KEY_SIZE: return "bytes";
	case OTD_KEY_RATE: return "ppm";
	case OTD_KEY_TEXT: return "bytes";
	case OTD_KEY_TEXTS:
	case OTD_KEY_POLICIES: return "entries";
	default: return "";
	}
}

static void put_choices(struct writing *w, const char *const *choices)
{
	put(w, "\"enum\":[");
	for (size_t i = 0; choices[i]; i++) {
		put(w, i ? "," : "");
		put_string(w, choices[i]);
	}
	put(w, "]");
}

static void put_table(struct writing *w, const struct otd_key_table *t);

static void put_key(struct writing *w, const struct otd_key *k)
{
	static const struct {
		unsigned bit;
		const char *name;
	} flags[] = {{OTD_KEY_REQUIRED, "x-required"},
		     {OTD_KEY_RELOADABLE, "x-reloadable"},
		     {OTD_KEY_SECRET, "x-secret"}};
	put_string(w, k->name);
	put(w, ":{\"type\":");
	if (k->type == OTD_KEY_TLS)
		put(w, "[\"string\",\"object\"]");
	else
		put_string(w, json_type(k->type));
	put_member(w, "description", k->help);
	put_member(w, "x-form", otd_key_form(k->type));
	if (k->def)
		put_member(w, "x-default", k->def);
	if (k->min || k->max) {
		put_number(w, "x-min", k->min);
		put_number(w, "x-max", k->max);
		if (*unit_of(k->type))
			put_member(w, "x-unit", unit_of(k->type));
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (k->flags & flags[i].bit) {
			put(w, ",\"");
			put(w, flags[i].name);
			put(w, "\":true");
		}
	}
	if (k->type == OTD_KEY_LATER)
		put(w, ",\"not\":{},\"x-available\":false");
	if (k->type == OTD_KEY_PLUGIN) {
		put(w, ",\"required\":[");
		put_string(w, k->select);
		put(w, "]");
	}
	if (k->choices) {
		bool inner = k->type == OTD_KEY_TEXTS || k->type == OTD_KEY_LEVELS;
		put(w, k->type == OTD_KEY_TEXTS    ? ",\"items\":{"
		       : k->type == OTD_KEY_LEVELS ? ",\"additionalProperties\":{"
						   : ",");
		put_choices(w, k->choices);
		put(w, inner ? "}" : "");
	}
	if (k->type == OTD_KEY_SECTION) {
		put(w, ",");
		put_table(w, k->sub);
	} else if (k->type == OTD_KEY_MAP) {
		put_member(w, "x-name", k->sub->name_for);
		put(w, ",\"additionalProperties\":{\"type\":\"object\",");
		put_table(w, k->sub);
		put(w, "}");
	}
	put(w, "}");
}

static void put_table(struct writing *w, const struct otd_key_table *t)
{
	bool any = false;
	put(w, "\"additionalProperties\":false,\"properties\":{");
	for (size_t i = 0; i < t->n; i++) {
		put(w, i ? "," : "");
		put_key(w, &t->key[i]);
	}
	put(w, "},\"required\":[");
	for (size_t i = 0; i < t->n; i++) {
		if (!(t->key[i].flags & OTD_KEY_REQUIRED))
			continue;
		put(w, any ? "," : "");
		put_string(w, t->key[i].name);
		any = true;
	}
	put(w, "]");
}

otd_rc otd_settings_schema(struct otd_bytes *out)
{
	struct writing w = {.out = out};
	put(&w, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
		"\"title\":\"Otedama configuration\",\"type\":\"object\",");
	put_table(&w, &otd_keys_main);
	put(&w, ",\"$defs\":{\"coin\":{\"type\":\"object\",");
	put_table(&w, &otd_keys_coin);
	put(&w, "}}}\n");
	return w.rc;
}
