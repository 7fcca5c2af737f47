/* Which template is in force, and who still uses the older ones. */
#include "chain/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_held(struct otd_chain *c, struct otd_chain_held *h)
{
	struct otd_chain_held **at = &c->held;
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	OTD_ON(OTD_THREAD_COORDINATOR);
	c->ops->template_free(c->self, h->t.handle);
	free(h);
}

static struct otd_chain_held *find(struct otd_chain *c, const struct otd_template *t)
{
	struct otd_chain_held *h = c->held;
	while (h && h->t.handle != t)
		h = h->next;
	return h;
}

void otd_chain_keep(struct otd_chain *c, struct otd_template *t)
{
	struct otd_chain_held *h = find(c, t);
	OTD_ASSERT(h);
	h->users++;
}

void otd_chain_drop(struct otd_chain *c, struct otd_template *t)
{
	struct otd_chain_held *h = find(c, t);
	OTD_ASSERT(h && h->users);
	if (--h->users == 0 && h != c->newest)
		free_held(c, h);
}

void otd_chain_free_templates(struct otd_chain *c)
{
	c->newest = NULL;
	while (c->held)
		free_held(c, c->held);
}

const struct otd_chain_template *otd_chain_template(struct otd_chain *c)
{
	return c->newest ? &c->newest->t : NULL;
}

const struct otd_chain_template *otd_chain_template_of(struct otd_chain *c,
						       const struct otd_template *t)
{
	const struct otd_chain_held *h = find(c, t);
	OTD_ASSERT(h);
	return &h->t;
}

bool otd_chain_is_first(struct otd_chain *c, const struct otd_template *t)
{
	const struct otd_chain_held *h = find(c, t);
	return h && h->first;
}

void otd_chain_say_trouble(struct otd_chain *c, const char *why)
{
	bool was = c->in_trouble;
	if (!*why && !was)
		return;
	if (*why && was && strcmp(c->trouble, why) == 0)
		return;
	c->in_trouble = *why != 0;
	snprintf(c->trouble, sizeof(c->trouble), "%s", why);
	if (c->conf.on_trouble)
		c->conf.on_trouble(c->conf.arg, c->trouble);
}

static otd_rc sane(const struct otd_chain_node *n, const struct otd_chain_template *t,
		   struct otd_err *err)
{
	struct otd_u256 target;
	static const uint8_t zero[32];
	if (t->height == 0 || memcmp(t->prev, zero, 32) == 0)
		return otd_fail(err, OTD_E_INVALID, "its template stands on no block");
	if (t->value <= 0)
		return otd_fail(err, OTD_E_INVALID, "its template pays nothing");
	if (memcmp(t->target, zero, 32) == 0)
		return otd_fail(err, OTD_E_INVALID, "its template has no target");
	if (t->nbits && (otd_target_from_nbits(&target, t->nbits) ||
			 otd_u256_cmp(target, otd_u256_from_le(t->target)) != 0))
		return otd_fail(err, OTD_E_INVALID, "target and bits of its template differ");
	if (n->has_tip && memcmp(n->best.hash, t->prev, 32) == 0 && t->height != n->best.height + 1)
		return otd_fail(err, OTD_E_INVALID,
				"its template is for height %llu, its best block at %llu",
				(unsigned long long)t->height, (unsigned long long)n->best.height);
	return OTD_OK;
}

/*
 * A node that was just taken into use may lag: mining below the height that we know of is wasted.
 * After a while without any better its word is taken; the other may have been on a chain that lost.
 */
static otd_rc steps_back(struct otd_chain_node *n, const struct otd_chain_template *t,
			 struct otd_err *err)
{
	struct otd_chain *c = n->c;
	uint64_t now = otd_mono_ns(c->env);
	if (!c->newest || c->from == n || t->height >= c->newest->t.height) {
		c->lower_since_ns = 0;
		return OTD_OK;
	}
	if (!c->lower_since_ns)
		c->lower_since_ns = now;
	if (now - c->lower_since_ns >= (uint64_t)OTD_CHAIN_STEP_BACK_MS * 1000000u) {
		c->lower_since_ns = 0;
		return OTD_OK;
	}
	return otd_fail(err, OTD_E_STALE,
			"it is behind: its template is for height %llu, the last one was for %llu",
			(unsigned long long)t->height, (unsigned long long)c->newest->t.height);
}

/* The same work once more; only a later time would come of it. */
static bool same(const struct otd_chain *c, const struct otd_chain_template *t)
{
	const struct otd_chain_template *o = &c->newest->t;
	return memcmp(o->prev, t->prev, 32) == 0 && o->height == t->height &&
	       o->value == t->value && o->fees == t->fees && o->n_tx == t->n_tx &&
	       o->version == t->version && o->nbits == t->nbits &&
	       strcmp(o->longpoll_id, t->longpoll_id) == 0 &&
	       t->time_s - o->time_s < c->conf.refresh_ms / 1000;
}

/* What was on its way when the first job of a higher tip was made. */
static bool overtaken(const struct otd_chain_node *n, const struct otd_chain_template *t)
{
	const struct otd_chain *c = n->c;
	return c->newest && c->newest->first && c->from == n && t->height < c->newest->t.height &&
	       otd_mono_ns(c->env) - c->newest_ns < (uint64_t)OTD_CHAIN_LAG_MS * 1000000u;
}

static bool adopt(struct otd_chain_node *n, const struct otd_chain_template *t, bool first,
		  struct otd_err *err)
{
	struct otd_chain *c = n->c;
	struct otd_chain_held *old = c->newest, *h = NULL;
	otd_rc rc = sane(n, t, err);
	if (rc == OTD_OK)
		rc = steps_back(n, t, err);
	if (rc == OTD_OK && !overtaken(n, t)) {
		c->newest_ns = otd_mono_ns(c->env);
		c->from = n;
		otd_chain_say_trouble(c, "");
		if (!old || !same(c, t))
			h = calloc(1, sizeof(*h));
	}
	if (!h) {
		OTD_ON(OTD_THREAD_COORDINATOR);
		c->ops->template_free(c->self, t->handle);
		return false;
	}
	h->t = *t;
	h->first = first;
	h->next = c->held;
	c->held = h;
	bool new_tip = !old || memcmp(old->t.prev, t->prev, 32) != 0;
	c->newest = h;
	otd_metric_set(c->height, (int64_t)t->height - 1);
	n->best.height = t->height - 1;
	memcpy(n->best.hash, t->prev, 32);
	n->has_tip = true;
	if (new_tip)
		(void)otd_chain_told(n, t->prev, n->asking);
	if (c->conf.on_template)
		c->conf.on_template(c->conf.arg, &h->t, new_tip);
	/* Not before the callback: whoever got the new one may still look at the old one in it. */
	if (old && old->users == 0)
		free_held(c, old);
	return true;
}

bool otd_chain_adopt(struct otd_chain_node *n, const struct otd_chain_template *t,
		     struct otd_err *err)
{
	return adopt(n, t, false, err);
}

bool otd_chain_adopt_first(struct otd_chain_node *n, const struct otd_chain_template *t,
			   struct otd_err *err)
{
	return adopt(n, t, true, err);
}

otd_rc otd_chain_hold(struct otd_chain *c, const struct otd_chain_template *t, bool newest)
{
	struct otd_chain_held *h = calloc(1, sizeof(*h)), *old = c->newest;
	if (!h) {
		OTD_ON(OTD_THREAD_COORDINATOR);
		c->ops->template_free(c->self, t->handle);
		return OTD_E_NOMEM;
	}
	h->t = *t;
	h->next = c->held;
	c->held = h;
	/* Pools of one chain may be a tip apart: who waits for the node's own template is behind. */
	if (!newest || (old && old->t.height > t->height))
		return OTD_OK;
	c->newest = h;
	otd_metric_set(c->height, (int64_t)t->height - 1);
	if (old && old->users == 0)
		free_held(c, old);
	return OTD_OK;
}
