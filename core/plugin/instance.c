/* Instances: options filled, services given, create called; and back. */
#include "base/log.h"
#include "config/yaml.h"
#include "loop/loop.h"
#include "plugin/internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define DEFAULT_MEMORY ((size_t)1 << 30)
#define HUGE_PAGE      ((size_t)2 << 20)

static _Atomic uint64_t next_serial = 1;

static const struct otd_yaml *option_node(const struct otd_yaml *map, const struct otd_option *o)
{
	const struct otd_yaml *y = NULL;
	if (o && map && otd_yaml_kind(map) == OTD_YAML_MAP)
		y = otd_yaml_get(map, o->name);
	return y ? y : map;
}

/* create() said no: its words, at the option that it names. */
static otd_rc create_failed(const struct otd_plugin_instance *in, const struct otd_yaml *options,
			    otd_rc rc, struct otd_err *err)
{
	const char *text = otd_instance_error(in);
	const struct otd_option *o = otd_plugin_option_said(in->plugin, text);
	if (rc > 0)
		rc = OTD_E_INVALID;
	if (!text[0])
		return otd_yaml_fail(err, rc, options, "%s: %s/%s could not be created: %s",
				     in->path, in->plugin->kind->name, in->plugin->desc.id,
				     otd_rc_name(rc));
	return otd_yaml_fail(err, rc, option_node(options, o), "%s%s%s", in->path, o ? "." : ": ",
			     text);
}

static otd_rc check_algo_info(const struct otd_plugin_instance *in, struct otd_err *err)
{
	const struct otd_algo_info *i = &in->info;
	const char *what = NULL;
	if (i->header_len == 0 || i->header_len > 4096)
		what = "header_len";
	else if (i->nonce_len != 4 && i->nonce_len != 8)
		what = "nonce_len";
	else if (i->nonce_offset > i->header_len || i->nonce_len > i->header_len - i->nonce_offset)
		what = "nonce_offset";
	else if (i->identity > OTD_ALGO_ID_SHA256D)
		what = "identity";
	else if (i->scratch_align & (i->scratch_align - 1) || i->scratch_align > HUGE_PAGE)
		what = "scratch_align";
	else if (i->scratch_size > ((uint64_t)64 << 30))
		what = "scratch_size";
	else if (otd_u256_is_zero(otd_u256_from_be(i->diff1)))
		what = "diff1";
	if (!what)
		return OTD_OK;
	return otd_fail(err, OTD_E_INVALID, "%s: %s: info() of %s/%s gives an impossible %s",
			in->plugin->file, in->path, in->plugin->kind->name, in->plugin->desc.id,
			what);
}

static otd_rc ask_algo_info(struct otd_plugin_instance *in, struct otd_err *err)
{
	otd_rc rc;
	in->info.size = sizeof(in->info);
	otd_plugin_step(in->plugin->set, "info()");
	rc = in->plugin->ops.algo.info(in->self, &in->info);
	if (rc)
		return otd_fail(err, rc, "%s: %s: info() failed: %s", in->plugin->file, in->path,
				otd_rc_name(rc));
	in->info.size = sizeof(in->info);
	if (in->info.batch_hint == 0)
		in->info.batch_hint = 1;
	if (!in->info.variant)
		in->info.variant = "";
	return check_algo_info(in, err);
}

static otd_rc take_services(struct otd_plugin_instance *in,
			    const struct otd_plugin_services *services, struct otd_err *err)
{
	struct otd_plugin_services *s = &in->services;
	otd_rc rc = OTD_OK;
	if (services)
		*s = *services;
	in->max_memory = s->max_memory ? s->max_memory : DEFAULT_MEMORY;
	if (!s->files && s->files_dir) {
		const struct otd_files *base = in->env->files;
		rc = base->make_dir(base->ctx, s->files_dir);
		if (rc)
			return otd_fail(err, rc, "%s: %s: %s", in->path, s->files_dir,
					base->last_error(base->ctx));
		rc = otd_files_rooted_create(&in->root, base, s->files_dir);
		if (rc)
			return otd_fail(err, rc, "%s: no memory", in->path);
		s->files = in->root;
	}
	if (s->hash_with) {
		if (strcmp(s->hash_with->plugin->kind->name, "algo") != 0)
			return otd_fail(err, OTD_E_INVALID, "%s: hash/1 needs an algorithm",
					in->path);
		rc = otd_scratch_alloc(&in->hash_scratch, &s->hash_with->info);
		if (rc)
			rc = otd_fail(err, rc, "%s: no memory for %s's scratch", in->path,
				      s->hash_with->plugin->desc.id);
	}
	return rc;
}

otd_rc otd_instance_create(struct otd_plugin_instance **out, struct otd_plugin *pl,
			   const struct otd_yaml *options, const char *path,
			   const struct otd_plugin_services *services, struct otd_err *err)
{
	struct otd_plugin_instance *in = calloc(1, sizeof(*in));
	otd_rc rc = OTD_E_NOMEM;
	OTD_ON(OTD_THREAD_COORDINATOR);
	*out = NULL;
	if (!in)
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory", path);
	(void)pthread_mutex_init(&in->lock, NULL);
	in->host.in = in;
	in->plugin = pl;
	in->env = pl->set->env;
	in->serial = atomic_fetch_add(&next_serial, 1);
	in->path = strdup(path ? path : pl->desc.id);
	in->options = calloc(1, pl->desc.options_size ? pl->desc.options_size : 1);
	pl->n_instances++;
	if (!in->path || !in->options) {
		rc = otd_fail(err, OTD_E_NOMEM, "%s: no memory", pl->desc.id);
		goto out;
	}
	rc = otd_plugin_options_fill(in->options, &in->arena, pl, options, in->path, err);
	if (!rc)
		rc = take_services(in, services, err);
	if (rc)
		goto out;
	in->creating = true;
	otd_plugin_step(pl->set, "create()");
	rc = pl->base.create(&in->self, &in->host, &otd_plugin_host_core, in->options);
	in->creating = false;
	if (!rc && !in->self)
		rc = OTD_E_INVALID;
	if (rc) {
		in->self = NULL; /* what a failed create left there is not an instance */
		rc = create_failed(in, options, rc, err);
		goto out;
	}
	if (strcmp(pl->kind->name, "algo") == 0)
		rc = ask_algo_info(in, err);
out:
	if (rc)
		otd_instance_destroy(in);
	else
		*out = in;
	return rc;
}

void otd_instance_destroy(struct otd_plugin_instance *in)
{
	if (!in)
		return;
	OTD_ON(OTD_THREAD_COORDINATOR);
	if (in->self) {
		otd_plugin_step(in->plugin->set, "destroy()");
		in->plugin->base.destroy(in->self);
	}
	otd_plugin_memory_finish(in);
	otd_scratch_free(in->hash_scratch);
	otd_files_rooted_destroy(in->root);
	otd_plugin_arena_free(in->arena);
	otd_plugin_kept_free(in->kept);
	in->plugin->n_instances--;
	(void)pthread_mutex_destroy(&in->lock);
	free(in->options);
	free(in->path);
	free(in);
}

otd_rc otd_instance_hash_with(struct otd_plugin_instance *in, struct otd_plugin_instance *algo)
{
	void *scratch = NULL;
	otd_rc rc = otd_scratch_alloc(&scratch, &algo->info);
	OTD_ON(OTD_THREAD_COORDINATOR);
	if (rc)
		return rc;
	otd_scratch_free(in->hash_scratch);
	in->hash_scratch = scratch;
	in->services.hash_with = algo;
	return OTD_OK;
}

struct otd_plugin *otd_instance_plugin(const struct otd_plugin_instance *in)
{
	return in->plugin;
}

struct otd_instance *otd_instance_self(const struct otd_plugin_instance *in)
{
	return in->self;
}

const struct otd_algo_ops *otd_instance_algo(const struct otd_plugin_instance *in)
{
	return &in->plugin->ops.algo;
}

const struct otd_payout_ops *otd_instance_payout(const struct otd_plugin_instance *in)
{
	return &in->plugin->ops.payout;
}

const struct otd_hw_ops *otd_instance_hw(const struct otd_plugin_instance *in)
{
	return &in->plugin->ops.hw;
}

const struct otd_chain_ops *otd_instance_chain(const struct otd_plugin_instance *in)
{
	return &in->plugin->ops.chain;
}

const struct otd_store_ops *otd_instance_store(const struct otd_plugin_instance *in)
{
	return &in->plugin->ops.store;
}

const struct otd_algo_info *otd_instance_algo_info(const struct otd_plugin_instance *in)
{
	return &in->info;
}

size_t otd_instance_memory(const struct otd_plugin_instance *in)
{
	return atomic_load(&in->used);
}

otd_rc otd_scratch_alloc(void **out, const struct otd_algo_info *info)
{
	size_t align = info->scratch_align > 64 ? info->scratch_align : 64, n;
	bool huge = (info->flags & OTD_ALGO_HUGE_PAGES) && info->scratch_size >= HUGE_PAGE;
	*out = NULL;
	if (!info->scratch_size)
		return OTD_OK;
	if (huge && align < HUGE_PAGE)
		align = HUGE_PAGE;
	n = ((size_t)info->scratch_size + align - 1) & ~(align - 1);
	*out = aligned_alloc(align, n);
	if (!*out)
		return OTD_E_NOMEM;
	/* Only advice: where the system has no huge pages it runs slower, not otherwise. */
	if (huge)
		(void)madvise(*out, n, MADV_HUGEPAGE);
	return OTD_OK;
}

void otd_scratch_free(void *scratch)
{
	free(scratch);
}
