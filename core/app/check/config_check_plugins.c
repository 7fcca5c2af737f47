/* config check: an instance of every plugin that the file chooses, addresses, and the database. */
#include "app/check/config_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_parts.h"
#include "base/text.h"

/* --- the database, without changing it --- */

/* The host's files for reading alone: what writes is refused. */
struct read_only {
	struct otd_files t;
	const struct otd_files *base;
	bool missing; /* a file that would have been made */
};

static otd_rc ro_open(void *ctx, struct otd_file **out, const char *path, uint32_t flags)
{
	struct read_only *r = ctx;
	otd_rc rc = r->base->open(r->base->ctx, out, path, OTD_OPEN_READ);
	if (rc == OTD_E_NOT_FOUND && (flags & OTD_OPEN_CREATE))
		r->missing = true;
	return rc;
}

static void ro_close(void *ctx, struct otd_file *f)
{
	const struct otd_files *base = ((struct read_only *)ctx)->base;
	base->close(base->ctx, f);
}

static otd_rc ro_read(void *ctx, struct otd_file *f, size_t *got, void *to, size_t n, uint64_t at)
{
	const struct otd_files *base = ((struct read_only *)ctx)->base;
	return base->read(base->ctx, f, got, to, n, at);
}

static otd_rc ro_length(void *ctx, struct otd_file *f, uint64_t *out)
{
	const struct otd_files *base = ((struct read_only *)ctx)->base;
	return base->length(base->ctx, f, out);
}

static otd_rc ro_lock(void *ctx, struct otd_file *f, bool exclusive)
{
	const struct otd_files *base = ((struct read_only *)ctx)->base;
	(void)exclusive; /* needs a file open for writing */
	return base->lock(base->ctx, f, false);
}

static otd_rc ro_unlock(void *ctx, struct otd_file *f)
{
	const struct otd_files *base = ((struct read_only *)ctx)->base;
	return base->unlock(base->ctx, f);
}

static otd_rc ro_exists(void *ctx, const char *path, bool *out)
{
	const struct otd_files *base = ((struct read_only *)ctx)->base;
	return base->exists(base->ctx, path, out);
}

static otd_rc ro_list(void *ctx, const char *path, bool (*each)(void *arg, const char *name),
		      void *arg)
{
	const struct otd_files *base = ((struct read_only *)ctx)->base;
	return base->list(base->ctx, path, each, arg);
}

static otd_rc ro_free_bytes(void *ctx, const char *path, uint64_t *out)
{
	const struct otd_files *base = ((struct read_only *)ctx)->base;
	return base->free_bytes(base->ctx, path, out);
}

static const char *ro_last_error(void *ctx)
{
	const struct otd_files *base = ((struct read_only *)ctx)->base;
	return base->last_error(base->ctx);
}

/* What is there already may be written again: a database does so before it trusts a file that was
   not closed in order. */
static otd_rc ro_write(void *ctx, struct otd_file *f, const void *from, size_t n, uint64_t at)
{
	const struct otd_files *base = ((struct read_only *)ctx)->base;
	const uint8_t *bytes = from;
	uint8_t there[4096];
	while (n > 0) {
		size_t part = n < sizeof(there) ? n : sizeof(there), got = 0;
		otd_rc rc = base->read(base->ctx, f, &got, there, part, at);
		if (rc != OTD_OK)
			return rc;
		if (got != part || memcmp(there, bytes, part) != 0)
			return OTD_E_REFUSED;
		bytes += part;
		at += part;
		n -= part;
	}
	return OTD_OK;
}

static otd_rc ro_sync(void *ctx, struct otd_file *f)
{
	(void)ctx, (void)f;
	return OTD_OK;
}

static otd_rc ro_resize(void *ctx, struct otd_file *f, uint64_t length)
{
	(void)ctx, (void)f, (void)length;
	return OTD_E_REFUSED;
}

static otd_rc ro_sync_dir(void *ctx, const char *path)
{
	(void)ctx, (void)path;
	return OTD_OK;
}

static otd_rc ro_path(void *ctx, const char *path)
{
	(void)ctx, (void)path;
	return OTD_E_REFUSED;
}

static otd_rc ro_rename(void *ctx, const char *from, const char *to)
{
	(void)ctx, (void)from, (void)to;
	return OTD_E_REFUSED;
}

static void read_only_init(struct read_only *r, const struct otd_files *base)
{
	r->base = base;
	r->t = (struct otd_files){.size = sizeof(r->t),
				  .ctx = r,
				  .open = ro_open,
				  .close = ro_close,
				  .read = ro_read,
				  .write = ro_write,
				  .sync = ro_sync,
				  .truncate = ro_resize,
				  .length = ro_length,
				  .reserve = ro_resize,
				  .lock = ro_lock,
				  .unlock = ro_unlock,
				  .exists = ro_exists,
				  .remove = ro_path,
				  .rename = ro_rename,
				  .make_dir = ro_path,
				  .sync_dir = ro_sync_dir,
				  .list = ro_list,
				  .free_bytes = ro_free_bytes,
				  .last_error = ro_last_error};
}

static void look_at_schema(struct otd_check *c, struct otd_plugin_instance *in,
			   const struct read_only *files)
{
	const struct otd_yaml *at = c->app.settings->store.options;
	struct otd_err err = {0};
	int64_t has = 0, ours = 0;
	otd_rc rc = otd_store_look(in, &has, &ours, &err);
	if (rc == OTD_OK && has > 0 && has < ours)
		otd_check_say(
			c, OTD_CHECK_WARNING, at, "store",
			"the database has schema version %lld, this otedama %lld: it will be "
			"migrated at the next start; make a backup before, for there is no way "
			"back",
			(long long)has, (long long)ours);
	/* Nothing there yet is how every pool begins. */
	if (rc == OTD_OK || files->missing)
		return;
	otd_check_say(c, OTD_CHECK_FAULT, at, "store", "%s", err.text);
}

static void check_store(struct otd_check *c)
{
	struct otd_app *app = &c->app;
	const struct otd_settings *s = app->settings;
	struct otd_plugin_services services = {0};
	struct otd_plugin_instance *in = NULL;
	struct otd_files *rooted = NULL;
	struct read_only files = {0};
	struct otd_err err = {0};
	bool look = !c->offline && !c->running && c->data_readable;
	if (!s->store.id || otd_settings_faulty(s, s->store.options))
		return;
	read_only_init(&files, app->env->files);
	otd_rc rc = otd_files_rooted_create(&rooted, &files.t, look ? s->data_dir : app->data_dir);
	if (rc == OTD_OK) {
		services.files = rooted;
		rc = otd_app_instance(app, &in, "store", &s->store, &services, &err);
	}
	if (rc != OTD_OK)
		otd_check_take(c, OTD_CHECK_FAULT, &err);
	else if (look)
		look_at_schema(c, in, &files);
	if (in)
		otd_instance_destroy(in);
	otd_files_rooted_destroy(rooted);
}

/* --- addresses --- */

static bool address_script(const struct otd_check_pool *p, const char *text, uint8_t script[128],
			   size_t *len, const char **why)
{
	struct otd_buf b = {.ptr = script, .cap = 128};
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(p->plugin);
	otd_rc rc = otd_instance_chain(p->plugin)->address(
		otd_instance_self(p->plugin),
		(struct otd_span){(const uint8_t *)text, strlen(text)}, &b);
	*len = b.len;
	*why = otd_instance_error(p->plugin);
	if (rc && !**why)
		*why = otd_rc_name(rc);
	return rc == OTD_OK;
}

static bool check_address(struct otd_check *c, const struct otd_check_pool *p, const char *text,
			  const struct otd_yaml *at, const char *key, uint8_t script[128],
			  size_t *len)
{
	const char *why;
	if (!text || otd_settings_faulty(c->app.settings, at))
		return false;
	if (address_script(p, text, script, len, &why))
		return true;
	otd_check_say(c, OTD_CHECK_FAULT, at, key, "%s%s%s", why,
		      strchr(why, ';') ? "" : "; write one of your own, of network ",
		      strchr(why, ';') ? "" : p->settings->network);
	return false;
}

/* --- payments --- */

static void check_payments(struct otd_check *c, const struct otd_check_pool *p,
			   struct otd_span script)
{
	const struct otd_settings_pool *s = p->settings;
	const struct otd_yaml *at = otd_settings_at(c->app.settings, "pools", s->name, "payments");
	const struct otd_chain_ops *ops = otd_instance_chain(p->plugin);
	unsigned decimals = (unsigned)s->coin->decimals;
	char least_text[OTD_AMOUNT_TEXT], minimum[OTD_AMOUNT_TEXT];
	otd_i128 least = 0;
	if (!s->payments.on || otd_settings_faulty(c->app.settings, at))
		return;
	if (!ops->pay_build) {
		otd_check_say(c, OTD_CHECK_FAULT, at,
			      otd_check_key(c, "pools.%s.payments", s->name),
			      "the chain plugin %s cannot pay; remove the section", s->chain.id);
		return;
	}
	OTD_ON(OTD_THREAD_COORDINATOR);
	if (!ops->dust || ops->dust(otd_instance_self(p->plugin), script, &least) != OTD_OK ||
	    s->payments.minimum >= least)
		return;
	const struct otd_yaml *value = otd_yaml_get(at, "minimum");
	otd_check_say(c, OTD_CHECK_FAULT, value ? value : at,
		      otd_check_key(c, "pools.%s.payments.minimum", s->name),
		      "%s %s is less than nodes pass on (dust): from %s on they do; raise it",
		      otd_format_amount(minimum, s->payments.minimum, decimals), s->coin->symbol,
		      otd_format_amount(least_text, least, decimals));
}

/* --- pools --- */

/* Options of a scheme are checked by making one. */
static void check_scheme(struct otd_check *c, const struct otd_settings_use *use)
{
	struct otd_plugin_instance *in = NULL;
	struct otd_err err = {0};
	if (!use->id || otd_settings_faulty(c->app.settings, use->options))
		return;
	if (otd_app_instance(&c->app, &in, "payout", use, NULL, &err) != OTD_OK)
		otd_check_take(c, OTD_CHECK_FAULT, &err);
	else
		otd_instance_destroy(in);
}

static bool make_instances(struct otd_check *c, struct otd_check_pool *p)
{
	const struct otd_settings_pool *s = p->settings;
	struct otd_plugin_services services = {0};
	struct otd_err err = {0};
	char folder[512];
	const struct otd_files *files = c->app.env->files;
	if (otd_settings_faulty(c->app.settings, s->coin->algorithm.options) ||
	    otd_settings_faulty(c->app.settings, s->chain.options))
		return false;
	if (otd_app_instance(&c->app, &p->algo, "algo", &s->coin->algorithm, NULL, &err) !=
	    OTD_OK) {
		otd_check_take(c, OTD_CHECK_FAULT, &err);
		return false;
	}
	snprintf(folder, sizeof(folder), "%s/chain", c->app.data_dir);
	(void)!files->make_dir(files->ctx, folder);
	snprintf(folder, sizeof(folder), "%s/chain/%.60s-%.30s", c->app.data_dir, s->name,
		 s->network);
	services.files_dir = folder;
	services.hash_with = p->algo;
	if (otd_app_instance(&c->app, &p->plugin, "chain", &s->chain, &services, &err) == OTD_OK)
		return true;
	otd_check_take(c, OTD_CHECK_FAULT, &err);
	return false;
}

/* A floor must be a difficulty of this algorithm, as start will read it. */
static void check_floor(struct otd_check *c, const struct otd_check_pool *p)
{
	const struct otd_settings_pool *s = p->settings;
	struct otd_u256 target;
	const struct otd_yaml *at =
		otd_settings_at(c->app.settings, "pools", s->name, "block_difficulty_floor");
	if (!s->difficulty_floor || !*s->difficulty_floor ||
	    otd_settings_faulty(c->app.settings, at) ||
	    otd_difficulty_parse(&target, s->difficulty_floor, strlen(s->difficulty_floor),
				 otd_u256_from_be(otd_instance_algo_info(p->algo)->diff1)) ==
		    OTD_OK)
		return;
	otd_check_say(c, OTD_CHECK_FAULT, at,
		      otd_check_key(c, "pools.%s.block_difficulty_floor", s->name),
		      "'%s' is no difficulty of %s; write one as 0.05", s->difficulty_floor,
		      s->coin->algorithm.id);
}

static void check_pool(struct otd_check *c, const struct otd_settings_pool *s)
{
	struct otd_check_pool *p = &c->pools[c->n_pools];
	struct otd_settings *all = c->app.settings;
	uint8_t script[128], other[128];
	size_t len = 0, n = 0;
	const struct otd_yaml *coinbase = otd_settings_at(all, "pools", s->name, "coinbase");
	check_scheme(c, &s->payout);
	for (size_t k = 0; k < s->n_ports; k++)
		check_scheme(c, &s->ports[k].payout);
	*p = (struct otd_check_pool){.settings = s};
	if (!s->whole)
		return;
	c->n_pools++;
	if (!make_instances(c, p))
		return;
	check_floor(c, p);
	const struct otd_yaml *at = otd_yaml_get(coinbase, "address");
	if (check_address(c, p, s->address, at ? at : coinbase,
			  otd_check_key(c, "pools.%s.coinbase.address", s->name), script, &len))
		check_payments(c, p, (struct otd_span){script, len});
	for (size_t k = 0; k < s->n_recipients; k++)
		(void)check_address(c, p, s->recipients[k].address, s->recipients[k].at,
				    otd_check_key(c, "pools.%s.fee.recipients", s->name), other,
				    &n);
	if (all->miner.on && all->miner.pool && strcmp(all->miner.pool, s->name) == 0)
		(void)check_address(c, p, all->miner.account,
				    otd_settings_at(all, "miner", NULL, "account"), "miner.account",
				    other, &n);
}

static void check_miner(struct otd_check *c)
{
	const struct otd_settings *s = c->app.settings;
	struct otd_err err = {0};
	if (s->miner.on && s->miner.use && *s->miner.use &&
	    !otd_plugins_get(c->app.plugins, "hw", s->miner.use, &err))
		otd_check_say(c, OTD_CHECK_FAULT, otd_settings_at(s, "miner", NULL, "use"),
			      "miner.use", "%s", err.text);
}

void otd_check_plugins(struct otd_check *c)
{
	const struct otd_settings *s = c->app.settings;
	check_store(c);
	c->pools = calloc(s->n_pools ? s->n_pools : 1, sizeof(*c->pools));
	for (size_t i = 0; c->pools && i < s->n_pools; i++)
		check_pool(c, &s->pools[i]);
	check_miner(c);
}

void otd_check_plugins_finish(struct otd_check *c)
{
	for (size_t i = 0; i < c->n_pools; i++) {
		otd_chain_destroy(c->pools[i].chain);
		if (c->pools[i].plugin)
			otd_instance_destroy(c->pools[i].plugin);
		if (c->pools[i].algo)
			otd_instance_destroy(c->pools[i].algo);
	}
	free(c->pools);
}
