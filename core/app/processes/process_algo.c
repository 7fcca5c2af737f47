/*
 * The algorithms of a reactor process: instances of the images that the pool has checked, one for all pools of
 * the same algorithm and options, and another image of one while it runs (app/live/app_plugin.h). What is
 * asked here is asked in all processes: first to prepare, where all may fail, then to take it or to drop it.
 */
#include <stdlib.h>
#include <string.h>

#include "app/processes/reactor_process_impl.h"
#include "base/log.h"

/* An instance that later jobs do not have. */
struct old {
	struct process *p;
	struct old *next;
	struct otd_plugin_instance *in;
	size_t left; /* pools of reactors whose jobs may have it */
};

/* A pool of a reactor that is to take it. */
struct take {
	struct process *p;
	struct one *o;
	uint32_t pool;
	struct instance *of;
	struct otd_reactor_swap *swap; /* NULL: taken */
	struct old *old;
};

struct swap {
	struct otd_plugin *draft;
	struct take *takes;
	size_t n, left;
	bool committed;
};

static bool same(const char *a, const char *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* --- images and instances --- */

/* The very bytes that the pool has judged. NULL: err says why. */
static struct otd_plugin *draft_of(struct process *p, const char *algo, const char *image,
				   const char *digest, struct otd_err *err)
{
	struct otd_plugin *pl = NULL;
	if (otd_plugins_draft(p->plugins, &pl, "algo", algo, image, NULL, err) != OTD_OK)
		return NULL;
	if (same(otd_plugin_digest(pl), digest))
		return pl;
	(void)otd_fail(err, OTD_E_CORRUPT, "%s: is not what the pool has checked (%.16s..)", image,
		       digest);
	otd_plugin_discard(pl);
	return NULL;
}

static struct otd_plugin *plugin_of(struct process *p, const struct otd_process_pool *pool,
				    struct otd_err *err)
{
	struct otd_plugin *pl = otd_plugins_newest(p->plugins, "algo", pool->algo);
	if (pl && same(otd_plugin_digest(pl), pool->digest))
		return pl;
	pl = draft_of(p, pool->algo, pool->image, pool->digest, err);
	if (pl)
		otd_plugin_publish(pl);
	return pl;
}

/* Another instance like this one, of that plugin. */
static otd_rc create(struct otd_plugin_instance **out, struct otd_plugin *pl,
		     const struct instance *like, struct otd_err *err)
{
	static const struct otd_plugin_services none;
	struct otd_yaml_doc *doc = NULL;
	otd_rc rc = OTD_OK;
	if (like->options)
		rc = otd_yaml_parse(&doc, like->options, strlen(like->options), like->path, err);
	if (rc == OTD_OK)
		rc = otd_instance_create(out, pl, doc ? otd_yaml_root(doc) : NULL, like->path,
					 &none, err);
	otd_yaml_destroy(doc);
	return rc;
}

/* One instance for all pools of the same algorithm and options. NULL: err says why. */
static struct instance *instance_of(struct process *p, const struct otd_process_pool *pool,
				    struct otd_err *err)
{
	for (size_t i = 0; i < p->n_instances; i++) {
		if (same(p->instances[i].algo, pool->algo) &&
		    same(p->instances[i].options, pool->options))
			return &p->instances[i];
	}
	if (p->n_instances == INSTANCES_MAX || p->n_pools == OTD_POOLS_MAX)
		return NULL;
	struct instance *to = &p->instances[p->n_instances];
	struct otd_plugin *pl = plugin_of(p, pool, err);
	if (!pl)
		return NULL;
	*to = (struct instance){.algo = strdup(pool->algo),
				.path = strdup(pool->path),
				.options = pool->options ? strdup(pool->options) : NULL};
	p->n_instances++;
	if (!to->algo || !to->path || (pool->options && !to->options)) {
		(void)otd_fail(err, OTD_E_NOMEM, "out of memory");
		return NULL;
	}
	return create(&to->in, pl, to, err) == OTD_OK ? to : NULL;
}

otd_rc process_pools_make(struct process *p, const json_t *json, struct otd_reactor_pool **out,
			  size_t *n, struct otd_err *err)
{
	*n = json_array_size(json_object_get(json, "pools"));
	*out = calloc(*n + 1, sizeof(**out));
	if (!*out)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; i < *n; i++) {
		struct otd_process_pool pool;
		otd_rc rc = otd_process_pool_read(&pool, json, i, err);
		if (rc != OTD_OK)
			return rc;
		const struct instance *of = instance_of(p, &pool, err);
		if (!of)
			return err->rc ? err->rc : OTD_E_NOMEM;
		const struct otd_plugin_instance *in = of->in;
		p->instance_of[p->n_pools++] = (uint32_t)(of - p->instances);
		(*out)[i] = (struct otd_reactor_pool){.name = pool.name,
						      .algo = otd_instance_algo(in),
						      .algo_self = otd_instance_self(in),
						      .algo_info = otd_instance_algo_info(in),
						      .extranonce1_len = pool.extranonce1_len,
						      .extranonce2_len = pool.extranonce2_len,
						      .version_mask = pool.version_mask};
	}
	return OTD_OK;
}

void process_algos_free(struct process *p)
{
	for (size_t i = 0; i < p->n_instances; i++) {
		otd_instance_destroy(p->instances[i].in);
		free(p->instances[i].algo);
		free(p->instances[i].options);
		free(p->instances[i].path);
	}
	free(p->instances);
	while (p->old) {
		struct old *o = p->old;
		p->old = o->next;
		otd_instance_destroy(o->in);
		free(o);
	}
}

/* --- another image: prepared --- */

static otd_rc make_takes(struct process *p, struct swap *s, struct instance *of, uint32_t pool,
			 struct otd_err *err)
{
	const struct otd_reactor_pool conf = {.name = of->algo,
					      .algo = otd_instance_algo(of->fresh),
					      .algo_self = otd_instance_self(of->fresh),
					      .algo_info = otd_instance_algo_info(of->fresh)};
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < p->n_ones; i++) {
		struct take *t = &s->takes[s->n++];
		*t = (struct take){.p = p, .o = &p->ones[i], .pool = pool, .of = of};
		rc = otd_reactor_swap_prepare(t->o->reactor, &t->swap, &conf, err);
	}
	return rc;
}

static otd_rc prepare(struct process *p, const json_t *json, struct otd_err *err)
{
	const char *algo = json_string_value(json_object_get(json, "algo"));
	const char *image = json_string_value(json_object_get(json, "image"));
	const char *digest = json_string_value(json_object_get(json, "digest"));
	if (!algo || !image || !digest)
		return otd_fail(err, OTD_E_INVALID, "the pool asked for a swap that is none");
	struct swap *s = p->swap = calloc(1, sizeof(*s));
	if (s)
		s->takes = calloc(p->n_pools * p->n_ones + 1, sizeof(*s->takes));
	if (!s || !s->takes)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	s->draft = draft_of(p, algo, image, digest, err);
	otd_rc rc = s->draft ? OTD_OK : err->rc;
	for (size_t i = 0; rc == OTD_OK && i < p->n_instances; i++) {
		if (same(p->instances[i].algo, algo))
			rc = create(&p->instances[i].fresh, s->draft, &p->instances[i], err);
	}
	for (uint32_t i = 0; rc == OTD_OK && i < p->n_pools; i++) {
		struct instance *of = &p->instances[p->instance_of[i]];
		if (of->fresh)
			rc = make_takes(p, s, of, i, err);
	}
	return rc;
}

void process_swap_drop(struct process *p)
{
	struct swap *s = p->swap;
	for (size_t i = 0; s && i < s->n; i++)
		otd_reactor_swap_destroy(s->takes[i].swap);
	for (size_t i = 0; s && i < p->n_instances; i++) {
		otd_instance_destroy(p->instances[i].fresh);
		p->instances[i].fresh = NULL;
	}
	if (s && !s->committed)
		otd_plugin_discard(s->draft);
	if (s)
		free(s->takes);
	free(s);
	p->swap = NULL;
}

void process_swap_prepare(struct process *p, struct otd_span text)
{
	struct otd_err err = {0};
	if (p->swap && p->swap->committed) {
		process_give_up(p, "the pool asked for a swap while another is taken");
		return;
	}
	process_swap_drop(p); /* one that the pool has forgotten */
	json_t *json = json_loadb((const char *)text.ptr, text.len, 0, NULL);
	if (prepare(p, json, &err) != OTD_OK)
		process_swap_drop(p);
	json_decref(json);
	size_t n = strlen(err.text);
	struct otd_msg *m =
		otd_msg_create(OTD_MSG_SWAP_READY, p->first, sizeof(struct otd_msg_text), n);
	if (m)
		((struct otd_msg_text *)m)->text = otd_msg_put(m, err.text, n);
	if (m)
		process_send(p, m);
	else
		process_give_up(p, "out of memory");
	otd_msg_destroy(m);
}

/* --- taken --- */

static void let_go(struct old *o)
{
	struct old **at = &o->p->old;
	if (--o->left)
		return;
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	otd_instance_destroy(o->in);
	free(o);
}

static void on_gone(void *arg)
{
	let_go(arg);
}

/* [reactor]; or at the very end, when nobody waits any more. */
static void gone_on_reactor(void *arg)
{
	struct old *o = arg;
	if (!atomic_load(&o->p->stopping) && otd_loop_post(o->p->loop, on_gone, o) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "plugin", "plugin.not_drained", "until=restart");
}

static void on_taken(void *arg)
{
	struct process *p = arg;
	struct swap *s = p->swap;
	if (--s->left)
		return;
	process_swap_drop(p); /* nothing of it is left but memory */
	process_send_head(p, OTD_MSG_SWAP_TAKEN);
}

static void take_on_reactor(void *arg) /* [reactor] */
{
	struct take *t = arg;
	struct process *p = t->p;
	otd_reactor_swap(t->o->reactor, t->pool, t->swap, gone_on_reactor, t->old);
	t->swap = NULL;
	/* Where memory for this runs out the pool waits until we are started anew. */
	if (!atomic_load(&p->stopping) && otd_loop_post(p->loop, on_taken, p) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "app", "process.memory", "why=\"a swap is not told\"");
}

/* What will hold the instance that is replaced, for all who take the new one. */
static struct old *old_of(struct process *p, struct instance *of)
{
	struct old *o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	*o = (struct old){.p = p, .next = p->old, .in = of->in};
	p->old = o;
	of->in = of->fresh;
	of->fresh = NULL;
	return o;
}

void process_swap_commit(struct process *p)
{
	struct swap *s = p->swap;
	if (!s || s->committed) {
		process_give_up(p, "the pool wants a swap that was not prepared");
		return;
	}
	s->committed = true;
	otd_plugin_publish(s->draft);
	for (size_t i = 0; i < p->n_instances; i++) {
		struct instance *of = &p->instances[i];
		struct old *o = of->fresh ? old_of(p, of) : NULL;
		for (size_t k = 0; o && k < s->n; k++) {
			if (s->takes[k].of == of)
				s->takes[k].old = o;
			o->left += s->takes[k].of == of;
		}
	}
	s->left = s->n;
	for (size_t i = 0; i < s->n; i++) {
		struct take *t = &s->takes[i];
		if (!t->old || otd_loop_post(t->o->loop, take_on_reactor, t) != OTD_OK) {
			process_give_up(p, "out of memory"); /* the next one begins with it */
			return;
		}
	}
	if (!s->n) {
		process_swap_drop(p);
		process_send_head(p, OTD_MSG_SWAP_TAKEN);
	}
}
