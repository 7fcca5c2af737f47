/* A pool of the settings as accounting, coordinator and reactors want to know it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_parts.h"
#include "base/text.h"
#include "config/yaml_change.h"

/* --- schemes --- */

/* The use, its texts and its options: all in one document's memory. */
static otd_rc keep_use(struct otd_app_scheme *s, const struct otd_settings_use *use)
{
	static const char *const part[] = {"id", "path", "options"};
	struct otd_settings_use *mine = calloc(1, sizeof(*mine));
	struct otd_err err = {0};
	otd_rc rc = mine ? otd_yaml_parse(&s->memory, "{}", 2, "", &err) : OTD_E_NOMEM;
	if (rc == OTD_OK)
		rc = otd_yaml_put_text(s->memory, &part[0], 1, use->id);
	if (rc == OTD_OK)
		rc = otd_yaml_put_text(s->memory, &part[1], 1, use->path);
	if (rc == OTD_OK && use->options)
		rc = otd_yaml_put(s->memory, &part[2], 1, use->options);
	if (rc != OTD_OK) {
		otd_yaml_destroy(s->memory);
		s->memory = NULL;
		free(mine);
		return rc;
	}
	const struct otd_yaml *root = otd_yaml_root(s->memory);
	mine->id = otd_yaml_text(otd_yaml_get(root, part[0]));
	mine->path = otd_yaml_text(otd_yaml_get(root, part[1]));
	mine->options = otd_yaml_get(root, part[2]);
	s->use = mine;
	return OTD_OK;
}

static void free_scheme(struct otd_app_scheme *s)
{
	free((void *)(uintptr_t)s->use);
	otd_yaml_destroy(s->memory);
	*s = (struct otd_app_scheme){0};
}

static otd_rc create_scheme(void *arg, struct otd_plugin_instance **out, struct otd_err *err)
{
	const struct otd_app_scheme *s = arg;
	return otd_app_instance(s->app, out, "payout", s->use, NULL, err);
}

static struct otd_app_scheme *scheme_named(struct otd_app_pool *pool, const char *name)
{
	for (size_t i = 0; i < pool->n_schemes; i++) {
		if (strcmp(pool->schemes[i].name, name) == 0)
			return &pool->schemes[i];
	}
	return NULL;
}

static struct otd_app_scheme *scheme_of(struct otd_app_pool *pool,
					const struct otd_settings_use *use, bool *taken)
{
	*taken = false;
	for (size_t i = 0; i < pool->n_schemes; i++) {
		struct otd_app_scheme *s = &pool->schemes[i];
		if (strcmp(s->use->id, use->id) != 0)
			continue;
		if (otd_yaml_same(s->use->options, use->options))
			return s;
		*taken = true;
	}
	return NULL;
}

/* Made where no earlier one is the same. Its name is kept in records. */
static otd_rc need_scheme(struct otd_app *app, struct otd_app_pool *pool,
			  const struct otd_settings_pool *p, const struct otd_settings_use *use,
			  const char *port, struct otd_err *err)
{
	char name[64];
	bool taken;
	if (scheme_of(pool, use, &taken))
		return OTD_OK;
	if (pool->n_schemes == OTD_APP_SCHEMES_MAX)
		return otd_yaml_fail(err, OTD_E_RANGE, p->at,
				     "pools.%s: more than %d payout schemes on its ports, those "
				     "since the start of the program counted; fewer, or a restart",
				     p->name, OTD_APP_SCHEMES_MAX);
	snprintf(name, sizeof(name), "%s%s%s", use->id, taken ? "@" : "", taken ? port : "");
	if (taken && (!*port || scheme_named(pool, name)))
		return otd_yaml_fail(err, OTD_E_INVALID, use->options ? use->options : p->at,
				     "%s: '%s' had other options since the start of the program; "
				     "restart it to take these",
				     use->path, use->id);
	struct otd_app_scheme *s = &pool->schemes[pool->n_schemes];
	*s = (struct otd_app_scheme){.app = app};
	snprintf(s->name, sizeof(s->name), "%s", name);
	if (keep_use(s, use) != OTD_OK)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	pool->n_schemes++;
	return OTD_OK;
}

otd_rc otd_app_schemes_make(struct otd_app *app, struct otd_app_pool *pool,
			    const struct otd_settings_pool *p, struct otd_err *err)
{
	/* The first is what a record means that names none. */
	bool changed = pool->n_schemes &&
		       (strcmp(pool->schemes[0].use->id, p->payout.id) != 0 ||
			!otd_yaml_same(pool->schemes[0].use->options, p->payout.options));
	if (changed)
		return otd_yaml_fail(err, OTD_E_INVALID,
				     p->payout.options ? p->payout.options : p->at,
				     "pools.%s.payout: this pool had another scheme or other "
				     "options since the start of the program; restart it to take "
				     "these",
				     p->name);
	otd_rc rc = need_scheme(app, pool, p, &p->payout, "", err);
	for (size_t i = 0; rc == OTD_OK && i < p->n_ports; i++) {
		if (p->ports[i].payout.id)
			rc = need_scheme(app, pool, p, &p->ports[i].payout, p->ports[i].name, err);
	}
	return rc;
}

void otd_app_schemes_free(struct otd_app_pool *pool, size_t from)
{
	for (size_t i = from; i < pool->n_schemes; i++)
		free_scheme(&pool->schemes[i]);
	if (pool->n_schemes > from)
		pool->n_schemes = from;
}

const char *otd_app_port_scheme(const struct otd_app_pool *pool,
				const struct otd_settings_port *port)
{
	for (size_t i = 1; port->payout.id && i < pool->n_schemes; i++) {
		const struct otd_app_scheme *s = &pool->schemes[i];
		if (strcmp(s->use->id, port->payout.id) == 0 &&
		    otd_yaml_same(s->use->options, port->payout.options))
			return s->name;
	}
	return "";
}

/* --- what others are told --- */

struct otd_acct_pool otd_app_acct_pool(struct otd_app_pool *pool, size_t number,
				       const struct otd_settings_pool *p,
				       struct otd_acct_scheme schemes[OTD_APP_SCHEMES_MAX])
{
	for (size_t i = 0; i < pool->n_schemes; i++)
		schemes[i] = (struct otd_acct_scheme){.name = pool->schemes[i].name,
						      .create = create_scheme,
						      .arg = &pool->schemes[i]};
	return (struct otd_acct_pool){.name = p->name,
				      .asset = p->coin->symbol,
				      .fee_ppm = p->fee_ppm,
				      .slot = number,
				      .schemes = schemes,
				      .n_schemes = pool->n_schemes};
}

otd_rc otd_app_coordinator_pool(struct otd_coordinator_pool *to, const struct otd_app_pool *pool,
				const struct otd_settings_pool *p, struct otd_err *err)
{
	const struct otd_algo_info *info = otd_instance_algo_info(pool->chain->algo);
	*to = (struct otd_coordinator_pool){.name = p->name,
					    .chain = pool->chain->chain,
					    .script = {pool->script, pool->script_len},
					    .tag = p->tag,
					    .version_mask = p->coin->version_mask,
					    .extranonce1_len = (uint32_t)p->extranonce1_bytes,
					    .extranonce2_len = (uint32_t)p->extranonce2_bytes,
					    .has_floor = *p->difficulty_floor != '\0',
					    .maturity = (uint32_t)p->coin->maturity,
					    .orphan_depth = (uint32_t)p->orphan_depth};
	if (to->has_floor &&
	    otd_difficulty_parse(&to->floor_target, p->difficulty_floor,
				 strlen(p->difficulty_floor), otd_u256_from_be(info->diff1)))
		return otd_yaml_fail(err, OTD_E_INVALID, p->at,
				     "pools.%s.block_difficulty_floor: '%s' is not a difficulty",
				     p->name, p->difficulty_floor);
	return OTD_OK;
}

struct otd_reactor_pool otd_app_reactor_pool(const struct otd_app_pool *pool,
					     const struct otd_settings_pool *p)
{
	struct otd_plugin_instance *algo = pool->chain->algo;
	return (struct otd_reactor_pool){.name = p->name,
					 .algo = otd_instance_algo(algo),
					 .algo_self = otd_instance_self(algo),
					 .algo_info = otd_instance_algo_info(algo),
					 .extranonce1_len = (uint32_t)p->extranonce1_bytes,
					 .extranonce2_len = (uint32_t)p->extranonce2_bytes,
					 .version_mask = p->coin->version_mask};
}
