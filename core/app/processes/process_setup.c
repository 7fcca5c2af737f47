/* The settings in force for a reactor process, see app/processes/process_setup.h. */
#include "app/processes/process_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_parts.h"
#include "app/app_tls.h"
#include "app/processes/processes.h"
#include "base/text.h"
#include "config/yaml.h"

#define OPTIONS_MAX 65536u

/* --- making it --- */

static json_t *texts(const char *const *item, size_t n)
{
	json_t *a = json_array();
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(a, json_string(item[i]));
	return a;
}

static json_t *hex(const void *p, size_t n)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 2 * n + 1);
	(void)otd_bytes_hex(&b, p, n);
	json_t *o = json_string(otd_bytes_cstr(&b));
	otd_bytes_finish(&b);
	return o;
}

/* A scalar between double quotes: what stands there is what is meant, and nothing is replaced. */
static void put_scalar(struct otd_bytes *b, const struct otd_yaml *y)
{
	struct otd_bytes text;
	if (otd_yaml_is_plain_null(y)) {
		(void)otd_bytes_text(b, "~");
		return;
	}
	otd_bytes_init(&text, OPTIONS_MAX);
	for (const char *s = otd_yaml_text(y); *s; s++)
		(void)otd_bytes_format(&text, s[0] == '$' && s[1] == '{' ? "$%c" : "%c", *s);
	(void)otd_bytes_json(b, (const char *)text.ptr, text.len);
	otd_bytes_finish(&text);
}

static void put_yaml(struct otd_bytes *b, const struct otd_yaml *y)
{
	bool map = otd_yaml_kind(y) == OTD_YAML_MAP;
	if (otd_yaml_kind(y) == OTD_YAML_SCALAR) {
		put_scalar(b, y);
		return;
	}
	(void)otd_bytes_text(b, map ? "{" : "[");
	for (size_t i = 0; i < otd_yaml_count(y); i++) {
		(void)otd_bytes_text(b, i ? ", " : "");
		if (map) {
			const char *key = otd_yaml_key(y, i);
			(void)otd_bytes_json(b, key, strlen(key));
			(void)otd_bytes_text(b, ": ");
		}
		put_yaml(b, otd_yaml_at(y, i));
	}
	(void)otd_bytes_text(b, map ? "}" : "]");
}

static json_t *options_text(const struct otd_yaml *y)
{
	struct otd_bytes b;
	if (!y)
		return json_null();
	otd_bytes_init(&b, OPTIONS_MAX);
	put_yaml(&b, y);
	json_t *o = b.failed ? NULL : json_string(otd_bytes_cstr(&b));
	otd_bytes_finish(&b);
	return o;
}

/* A pool that is gone keeps its number: the process makes it with some algorithm and has no port of it. */
static const struct otd_settings_pool *settings_of(const struct otd_app_pool *pools, size_t n,
						   size_t i)
{
	const struct otd_settings_pool *s = pools[i].settings;
	for (size_t k = 0; !s && k < n; k++)
		s = pools[k].settings;
	return s;
}

static json_t *pools_json(const struct otd_app *app, const struct otd_app_pool *pools, size_t from,
			  size_t n, struct otd_err *err)
{
	json_t *a = json_array();
	for (size_t i = from; i < n; i++) {
		const struct otd_settings_pool *s = settings_of(pools, n, i);
		if (!s) {
			(void)otd_fail(err, OTD_E_NOT_FOUND, "there is no pool left");
			json_decref(a);
			return NULL;
		}
		const struct otd_settings_use *use = &s->coin->algorithm;
		const struct otd_plugin *pl = otd_plugins_newest(app->plugins, "algo", use->id);
		if (!pl) {
			(void)otd_fail(err, OTD_E_NOT_FOUND, "algo/%s is not loaded", use->id);
			json_decref(a);
			return NULL;
		}
		(void)json_array_append_new(
			a, json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:I, s:I, s:I}", "name",
				     pools[i].name, "algo", use->id, "image", otd_plugin_image(pl),
				     "digest", otd_plugin_digest(pl), "options",
				     options_text(use->options), "path", use->path, "extranonce1",
				     (json_int_t)s->extranonce1_bytes, "extranonce2",
				     (json_int_t)s->extranonce2_bytes, "version_mask",
				     (json_int_t)s->coin->version_mask));
	}
	return a;
}

static const struct otd_settings_tls *tls_of(const struct otd_app_port *key,
					     const struct otd_app_pool *pools, size_t n_pools)
{
	const struct otd_settings_pool *s = key->pool < n_pools ? pools[key->pool].settings : NULL;
	for (size_t k = 0; s && key->open && k < s->n_ports; k++) {
		if (s->ports[k].port == key->number && s->ports[k].tls.certificate)
			return &s->ports[k].tls;
	}
	return NULL;
}

static json_t *ports_json(const struct otd_app_ports *p, const struct otd_app_pool *pools,
			  size_t n_pools)
{
	json_t *a = json_array();
	for (size_t i = 0; i < p->n; i++) {
		const struct otd_settings_tls *tls = tls_of(&p->key[i], pools, n_pools);
		/* Flat but for two pointers. */
		struct otd_stratum_port flat = p->conf[i];
		flat.scheme = NULL;
		flat.tls = NULL;
		json_t *o = json_pack("{s:s, s:o}", "scheme", p->conf[i].scheme, "port",
				      hex(&flat, sizeof(flat)));
		if (o && tls)
			(void)json_object_set_new(o, "tls",
						  json_pack("{s:s, s:s}", "certificate",
							    tls->certificate, "key", tls->key));
		(void)json_array_append_new(a, o);
	}
	return a;
}

static json_t *log_json(const struct otd_settings_log *l)
{
	json_t *modules = json_array();
	for (size_t i = 0; i < l->n_modules; i++)
		(void)json_array_append_new(modules,
					    json_pack("{s:s, s:I}", "name", l->modules[i].name,
						      "level", (json_int_t)l->modules[i].level));
	return json_pack("{s:s, s:I, s:I, s:o, s:I}", "file", l->file, "format",
			 (json_int_t)l->format, "level", (json_int_t)l->level, "modules", modules,
			 "per_event", (json_int_t)l->per_event_a_second);
}

static json_t *plugins_json(const struct otd_app *app)
{
	const struct otd_settings_plugins *s = &app->settings->plugins;
	json_t *dirs = s->dirs.n ? texts(s->dirs.item, s->dirs.n)
				 : texts((const char *const *)app->dirs.dir, app->dirs.n);
	return json_pack("{s:o, s:o, s:o, s:b}", "dirs", dirs, "enable",
			 texts(s->enable.item, s->enable.n), "digests",
			 texts(s->digests.item, s->digests.n), "safe_mode", (int)s->safe_mode);
}

static json_t *reactors_json(const struct otd_process_reactor *r, size_t n)
{
	json_t *a = json_array();
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(a,
					    json_pack("{s:I, s:s}", "epoch", (json_int_t)r[i].epoch,
						      "journal", r[i].dir));
	return a;
}

/* The keys of session tickets, so that one of a process is good at another. Secrets: they go into memory that
   only the process reads. */
static json_t *tickets_json(const struct otd_app *app)
{
	struct otd_tls_tickets *tickets = otd_app_tls_tickets(app);
	struct otd_bytes b;
	otd_bytes_init(&b, OTD_PROCESS_TICKETS_MAX);
	json_t *o = tickets && otd_tls_tickets_export(tickets, &b) == OTD_OK ? hex(b.ptr, b.len)
									     : json_null();
	if (b.ptr)
		explicit_bzero(b.ptr, b.cap);
	otd_bytes_finish(&b);
	return o;
}

/* The whole is NULL where a part is. */
static json_t *checked(json_t *o, struct otd_err *err)
{
	if (!o && (!err || err->rc == OTD_OK))
		(void)otd_fail(err, OTD_E_NOMEM, "out of memory");
	return o;
}

json_t *otd_process_setup_make(struct otd_app *app, uint32_t first,
			       const struct otd_process_reactor *r, size_t n, struct otd_err *err)
{
	const struct otd_settings *s = app->settings;
	const struct otd_stratum_limits limits = otd_app_limits(s);
	int64_t processes = s->threads.processes ? s->threads.processes : 1;
	json_t *pools = pools_json(app, app->pools, 0, app->n_pools, err);
	if (!pools)
		return NULL;
	return checked(
		json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:{s:I, s:I, s:b}, s:o, s:o, s:o, s:o}",
			  "first", (json_int_t)first, "reactors_in_all",
			  (json_int_t)otd_app_reactors(app), "compute",
			  (json_int_t)((s->threads.compute + processes - 1) / processes),
			  "reactors", reactors_json(r, n), "log", log_json(&s->log), "plugins",
			  plugins_json(app), "journal", "segment_bytes",
			  (json_int_t)s->journal.segment_bytes, "max_bytes",
			  (json_int_t)s->journal.max_bytes, "archive",
			  (int)(s->journal.keep_ms || s->journal.keep_bytes), "limits",
			  hex(&limits, sizeof(limits)), "pools", pools, "ports",
			  ports_json(&app->ports, app->pools, app->n_pools), "tickets",
			  tickets_json(app)),
		err);
}

json_t *otd_process_change_make(const struct otd_app_plan *p, struct otd_err *err)
{
	const struct otd_stratum_limits limits = otd_app_limits(p->live);
	json_t *pools = pools_json(p->app, p->pools, p->n_old, p->n_pools, err);
	json_t *gone = json_array(), *gone_ports = json_array();
	for (size_t i = 0; i < p->n_gone; i++)
		(void)json_array_append_new(gone, json_integer(p->gone[i]));
	for (size_t i = 0; i < p->n_gone_ports; i++)
		(void)json_array_append_new(gone_ports, json_pack("{s:I, s:s}", "port",
								  (json_int_t)p->gone_ports[i].port,
								  "text", p->gone_ports[i].text));
	if (!pools) {
		json_decref(gone);
		json_decref(gone_ports);
		return NULL;
	}
	return checked(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "pools", pools, "gone", gone,
				 "gone_ports", gone_ports, "ports",
				 ports_json(&p->ports, p->pools, p->n_pools), "limits",
				 hex(&limits, sizeof(limits)), "log", log_json(&p->live->log)),
		       err);
}

/* --- reading it --- */

static otd_rc bad(struct otd_err *err, const char *what)
{
	return otd_fail(err, OTD_E_INVALID, "the pool gave no sound '%s'", what);
}

static bool unhex(void *to, size_t n, const json_t *o)
{
	const char *s = json_string_value(o);
	size_t len = 0;
	return s && otd_hex_decode(to, n, &len, s, strlen(s)) == OTD_OK && len == n;
}

static uint32_t number(const json_t *o, const char *key)
{
	return (uint32_t)json_integer_value(json_object_get(o, key));
}

void otd_process_ports_free(struct otd_process_ports *p)
{
	free(p->conf);
	*p = (struct otd_process_ports){0};
}

otd_rc otd_process_ports_read(struct otd_process_ports *to, const json_t *setup,
			      struct otd_err *err)
{
	const json_t *a = json_object_get(setup, "ports");
	size_t n = json_array_size(a);
	*to = (struct otd_process_ports){.conf = calloc(n + 1, sizeof(*to->conf)), .n = n};
	if (!to->conf)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const json_t *o = json_array_get(a, i);
		struct otd_stratum_port *c = &to->conf[i];
		const char *scheme = json_string_value(json_object_get(o, "scheme"));
		if (!scheme || !unhex(c, sizeof(*c), json_object_get(o, "port"))) {
			otd_process_ports_free(to);
			return bad(err, "ports");
		}
		c->scheme = scheme;
		c->tls = NULL;
	}
	return OTD_OK;
}

otd_rc otd_process_limits_read(struct otd_stratum_limits *to, const json_t *setup,
			       struct otd_err *err)
{
	/* A struct without pointers, of the same program. */
	return unhex(to, sizeof(*to), json_object_get(setup, "limits")) ? OTD_OK
									: bad(err, "limits");
}

bool otd_process_tls_read(struct otd_settings_tls *to, const json_t *setup, size_t port)
{
	const json_t *o =
		json_object_get(json_array_get(json_object_get(setup, "ports"), port), "tls");
	*to = (struct otd_settings_tls){
		.certificate = json_string_value(json_object_get(o, "certificate")),
		.key = json_string_value(json_object_get(o, "key"))};
	return to->certificate && to->key;
}

size_t otd_process_tickets_read(uint8_t *to, size_t cap, const json_t *setup)
{
	const char *s = json_string_value(json_object_get(setup, "tickets"));
	size_t n = 0;
	return s && otd_hex_decode(to, cap, &n, s, strlen(s)) == OTD_OK ? n : 0;
}

void otd_process_log_read(struct otd_log_conf *to, const json_t *setup)
{
	const json_t *o = json_object_get(setup, "log"), *modules = json_object_get(o, "modules");
	const char *file = json_string_value(json_object_get(o, "file"));
	*to = (struct otd_log_conf){.path = file && *file ? file : NULL,
				    .form = (enum otd_log_form)number(o, "format"),
				    .level = (int)number(o, "level"),
				    .per_event_a_second = number(o, "per_event")};
	size_t max = sizeof(to->by_module) / sizeof(to->by_module[0]);
	for (size_t i = 0; i < json_array_size(modules) && i < max; i++) {
		const json_t *m = json_array_get(modules, i);
		const char *name = json_string_value(json_object_get(m, "name"));
		snprintf(to->by_module[i].module, sizeof(to->by_module[i].module), "%s",
			 name ? name : "");
		to->by_module[i].level = (int)number(m, "level");
		to->n_by_module = i + 1;
	}
}

otd_rc otd_process_pool_read(struct otd_process_pool *to, const json_t *setup, size_t i,
			     struct otd_err *err)
{
	const json_t *o = json_array_get(json_object_get(setup, "pools"), i);
	*to = (struct otd_process_pool){
		.name = json_string_value(json_object_get(o, "name")),
		.algo = json_string_value(json_object_get(o, "algo")),
		.options = json_string_value(json_object_get(o, "options")),
		.path = json_string_value(json_object_get(o, "path")),
		.image = json_string_value(json_object_get(o, "image")),
		.digest = json_string_value(json_object_get(o, "digest")),
		.extranonce1_len = number(o, "extranonce1"),
		.extranonce2_len = number(o, "extranonce2"),
		.version_mask = number(o, "version_mask"),
	};
	return to->name && to->algo && to->path && to->image && to->digest ? OTD_OK
									   : bad(err, "pools");
}

const char **otd_process_texts(const json_t *list, size_t *n)
{
	*n = json_array_size(list);
	const char **t = calloc(*n + 1, sizeof(*t));
	for (size_t i = 0; t && i < *n; i++) {
		const char *s = json_string_value(json_array_get(list, i));
		t[i] = s ? s : "";
	}
	return t;
}
