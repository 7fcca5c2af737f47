/* One value: from its text to the member of the struct. */
#include "base/text.h"
#include "config/read.h"
#include "config/secret.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *otd_key_form(enum otd_key_type type)
{
	switch (type) {
	case OTD_KEY_BOOL: return "true or false";
	case OTD_KEY_INT: return "a whole number";
	case OTD_KEY_DURATION: return "a time with its unit (500ms, 10s, 2h, 7d)";
	case OTD_KEY_SIZE: return "a size in bytes (4096, 64KiB, 2MiB, 1GiB)";
	case OTD_KEY_RATE: return "a rate in percent (1%, 0.25%)";
	case OTD_KEY_DECIMAL: return "a difficulty (1024, 0.001, 1e-9)";
	case OTD_KEY_AMOUNT: return "an amount with its unit (0.05 LTC)";
	case OTD_KEY_HEX32: return "a number of up to 8 hex digits";
	case OTD_KEY_LISTEN: return "HOST:PORT (127.0.0.1:8080, [::1]:8080)";
	case OTD_KEY_TEXTS: return "a list ([a, b])";
	case OTD_KEY_POLICIES: return "a list of scripts ([FILE, {file: FILE, options: {..}}])";
	case OTD_KEY_TLS: return "a file, or two ({certificate: FILE, key: FILE})";
	case OTD_KEY_LEVELS:
	case OTD_KEY_SECTION:
	case OTD_KEY_MAP:
	case OTD_KEY_PLUGIN:
	case OTD_KEY_OPTIONS: return "a mapping ({name: value})";
	default: return "a text";
	}
}

/* "'12' is not ...", without the value where it is a secret. */
static void bad(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y, otd_rc rc,
		const char *what)
{
	if ((k->flags & OTD_KEY_SECRET) || otd_yaml_kind(y) != OTD_YAML_SCALAR)
		otd_read_problem(r, rc, y, k->name, "%s", what);
	else
		otd_read_problem(r, rc, y, k->name, "'%.60s' %s", otd_yaml_written(y), what);
}

static void bad_form(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		     otd_rc rc)
{
	char what[120];
	(void)snprintf(what, sizeof(what), "%s %s",
		       rc == OTD_E_RANGE ? "is too large or too small for" : "is not",
		       otd_key_form(k->type));
	bad(r, k, y, rc, what);
}

/* A bound as one would write it: 10s, 64KiB, 1%. */
static void bound_text(char out[32], enum otd_key_type type, int64_t v)
{
	static const struct {
		const char *name;
		int64_t factor;
	} times[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}},
	  sizes[] = {{"GiB", 1LL << 30}, {"MiB", 1LL << 20}, {"KiB", 1LL << 10}, {"", 1}};
	if (type == OTD_KEY_DURATION && v != 0) {
		size_t i = 0;
		while (v % times[i].factor)
			i++;
		(void)snprintf(out, 32, "%" PRId64 "%s", v / times[i].factor, times[i].name);
	} else if (type == OTD_KEY_SIZE && v != 0) {
		size_t i = 0;
		while (v % sizes[i].factor)
			i++;
		(void)snprintf(out, 32, "%" PRId64 "%s", v / sizes[i].factor, sizes[i].name);
	} else if (type == OTD_KEY_RATE) {
		(void)snprintf(out, 32, "%" PRId64 "%%", v / 10000);
	} else {
		(void)snprintf(out, 32, "%" PRId64 "%s", v, type == OTD_KEY_DURATION ? "s" : "");
	}
}

static bool in_bounds(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		      int64_t v, const char *unit)
{
	char low[32], high[32], what[120];
	if ((k->min == 0 && k->max == 0) || (v >= k->min && v <= k->max))
		return true;
	bound_text(low, k->type, k->min);
	bound_text(high, k->type, k->max);
	(void)snprintf(what, sizeof(what), "is out of range: from %s to %s%s", low, high, unit);
	bad(r, k, y, OTD_E_RANGE, what);
	return false;
}

static void read_choice(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
			int64_t *to)
{
	const char *text = otd_yaml_text(y);
	char what[200];
	size_t at = 0, n = 0;
	for (; k->choices[n]; n++) {
		if (strcmp(k->choices[n], text) == 0) {
			*to = (int64_t)n;
			return;
		}
	}
	const char *near = otd_nearest(text, k->choices, n);
	at = (size_t)snprintf(what, sizeof(what), "is none of ");
	for (size_t i = 0; i < n && at < sizeof(what) - 40; i++)
		at += (size_t)snprintf(what + at, sizeof(what) - at, "%s%.20s", i ? ", " : "",
				       k->choices[i]);
	if (near)
		(void)snprintf(what + at, sizeof(what) - at, "; did you mean '%.20s'?", near);
	bad(r, k, y, OTD_E_INVALID, what);
}

static void read_bool(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		      bool *to)
{
	static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no",
									       "off"};
	const char *s = otd_yaml_text(y);
	for (size_t i = 0; i < 3; i++) {
		if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
			*to = strcmp(s, yes[i]) == 0;
			return;
		}
	}
	bad_form(r, k, y, OTD_E_INVALID);
}

static void read_number(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
			int64_t *to)
{
	const char *s = otd_yaml_text(y);
	size_t n = strlen(s);
	int64_t v = 0;
	otd_i128 wide = 0;
	otd_rc rc;
	switch (k->type) {
	case OTD_KEY_DURATION: rc = otd_parse_duration(&v, s, n); break;
	case OTD_KEY_SIZE: rc = otd_parse_size(&v, s, n); break;
	case OTD_KEY_RATE: rc = otd_parse_rate(&v, s, n); break;
	default:
		rc = otd_parse_i128(&wide, s, n);
		if (!rc && (wide > INT64_MAX || wide < INT64_MIN))
			rc = OTD_E_RANGE;
		v = (int64_t)wide;
		break;
	}
	if (rc)
		bad_form(r, k, y, rc);
	else if (in_bounds(r, k, y, v, ""))
		*to = v;
}

static void read_decimal(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
			 const char **to)
{
	const char *s = otd_yaml_text(y);
	struct otd_u256 target;
	/* The algorithm's own difficulty 1 is not known here: one in the middle judges the form. */
	struct otd_u256 one = otd_u256_shl(otd_u256_from_u64(1), 128);
	otd_rc rc = *s ? otd_difficulty_parse(&target, s, strlen(s), one) : OTD_OK;
	if (rc || (!*s && !(k->def && !*k->def)))
		bad_form(r, k, y, rc ? rc : OTD_E_INVALID);
	else
		*to = s;
}

/* The first line of a file, for "file:PATH". */
static const char *secret_of_file(struct otd_reading *r, const struct otd_key *k,
				  const struct otd_yaml *y, const char *path)
{
	char line[OTD_SECRET_MAX + 1];
	struct otd_err err = {0};
	const char *secret = NULL;
	otd_rc rc = otd_secret_read(line, r->env, path, k->name, &err);
	if (rc) {
		otd_read_problem(r, rc, y, k->name, "%s", err.text);
		return NULL;
	}
	secret = otd_arena_text(&r->extra->arena, line, strlen(line));
	explicit_bzero(line, sizeof(line));
	if (!secret)
		otd_read_no_memory(r);
	return secret;
}

static void read_text(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		      const char **to)
{
	const char *s = otd_yaml_text(y);
	const char *path = (k->flags & OTD_KEY_SECRET) ? otd_secret_path(s) : NULL;
	if (path) {
		s = secret_of_file(r, k, y, path);
		if (!s)
			return;
	}
	if (in_bounds(r, k, y, (int64_t)strlen(s), " bytes"))
		*to = s;
}

/* "HOST:PORT", "[HOST]:PORT", ":PORT" or "PORT". */
static void read_listen(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
			struct otd_settings_listen *to)
{
	const char *s = otd_yaml_text(y), *colon = strrchr(s, ':');
	const char *host = s, *port = colon ? colon + 1 : s;
	size_t host_len = colon ? (size_t)(colon - s) : 0;
	uint64_t number;
	if (host_len && host[0] == '[') {
		if (host[host_len - 1] != ']' || host_len < 3) {
			bad_form(r, k, y, OTD_E_INVALID);
			return;
		}
		host++;
		host_len -= 2;
	} else if (memchr(host, ':', host_len)) {
		bad(r, k, y, OTD_E_INVALID,
		    "is not HOST:PORT; an IPv6 address stands in brackets: [::1]:8080");
		return;
	}
	if (otd_parse_u64(&number, port, strlen(port)) || number > 65535) {
		bad_form(r, k, y, OTD_E_INVALID);
		return;
	}
	to->text = s;
	to->port = (uint16_t)number;
	to->host = host_len ? otd_arena_text(&r->extra->arena, host, host_len) : "*";
	if (!to->host)
		otd_read_no_memory(r);
}

static void read_texts(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		       struct otd_settings_texts *to)
{
	size_t n = otd_yaml_count(y);
	const char **item;
	if (otd_yaml_kind(y) != OTD_YAML_LIST) {
		bad_form(r, k, y, OTD_E_INVALID);
		return;
	}
	if (!in_bounds(r, k, y, (int64_t)n, " entries"))
		return;
	item = otd_arena_alloc(&r->extra->arena, (n ? n : 1) * sizeof(*item));
	if (!item) {
		otd_read_no_memory(r);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const struct otd_yaml *v = otd_yaml_at(y, i);
		int64_t index;
		if (otd_yaml_kind(v) != OTD_YAML_SCALAR || !*otd_yaml_text(v))
			bad(r, k, v, OTD_E_INVALID, "is not a text");
		else if (k->choices)
			read_choice(r, k, v, &index);
		item[i] = otd_yaml_text(v);
		for (size_t j = 0; j < i; j++) {
			if (strcmp(item[j], item[i]) == 0)
				bad(r, k, v, OTD_E_EXISTS, "stands here twice; remove one");
		}
	}
	to->item = item;
	to->n = n;
}

void otd_read_value(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		    void *to)
{
	if (k->type == OTD_KEY_TEXTS) {
		read_texts(r, k, y, to);
		return;
	}
	if (otd_yaml_kind(y) != OTD_YAML_SCALAR) {
		bad_form(r, k, y, OTD_E_INVALID);
		return;
	}
	switch (k->type) {
	case OTD_KEY_BOOL: read_bool(r, k, y, to); break;
	case OTD_KEY_AMOUNT:
	case OTD_KEY_TEXT: read_text(r, k, y, to); break;
	case OTD_KEY_CHOICE: read_choice(r, k, y, to); break;
	case OTD_KEY_DECIMAL: read_decimal(r, k, y, to); break;
	case OTD_KEY_HEX32:
		if (otd_hex_u32(to, otd_yaml_text(y), strlen(otd_yaml_text(y))))
			bad_form(r, k, y, OTD_E_INVALID);
		break;
	case OTD_KEY_LISTEN: read_listen(r, k, y, to); break;
	default: read_number(r, k, y, to); break;
	}
}
