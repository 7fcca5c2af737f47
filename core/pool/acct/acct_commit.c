/* The transaction in memory: gathered while the one before it is with the store. */
#include "base/log.h"
#include "base/text.h"
#include "pool/acct/acct.h"
#include <stdlib.h>
#include <string.h>

#define STATE_MAX (256u << 20)
#define RETRY_MS  1000

struct acct_commit *acct_pending(struct otd_accounting *a)
{
	if (!a->pending) {
		a->pending = calloc(1, sizeof(*a->pending));
		if (!a->pending) {
			acct_stop(a, "out of memory");
			return NULL;
		}
		a->pending->a = a;
		a->pending->serial = ++a->serial;
	}
	return a->pending;
}

void acct_commit_free(struct acct_commit *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_accounts; i++)
		free(c->accounts[i].address);
	for (size_t i = 0; i < c->n_workers; i++)
		free(c->workers[i].name);
	for (size_t i = 0; i < c->n_ops; i++) {
		free(c->ops[i].asset);
		free(c->ops[i].scheme);
		free(c->ops[i].credits);
	}
	for (size_t i = 0; i < c->n_pools; i++) {
		free(c->pools[i].name);
		free(c->pools[i].asset);
	}
	for (size_t i = 0; i < c->n_saved; i++) {
		free(c->saved[i].scheme);
		otd_bytes_finish(&c->saved[i].state);
	}
	free(c->pools);
	free(c->terms);
	free(c->account_terms);
	free(c->accounts);
	free(c->workers);
	free(c->minutes);
	free(c->refused);
	free(c->ops);
	free(c->saved);
	free(c->places);
	free(c);
}

/* All schemes or none: journals can go only back to where all are saved. */
static void save_schemes(struct otd_accounting *a, struct acct_commit *c)
{
	for (size_t i = 0; i < a->n_pools; i++) {
		struct acct_pool *p = a->pools[i];
		for (size_t k = 0; k < p->n_schemes; k++)
			if (p->schemes[k].broken)
				return;
	}
	for (size_t i = 0; i < a->n_pools; i++) {
		struct acct_pool *p = a->pools[i];
		for (size_t k = 0; k < p->n_schemes; k++) {
			struct acct_scheme *s = &p->schemes[k];
			struct acct_saved *to =
				acct_room(c->saved, &c->n_saved, &c->cap_saved, sizeof(*to));
			if (!to)
				return;
			c->saved = to;
			to = &c->saved[c->n_saved++];
			*to = (struct acct_saved){.pool_id = p->id, .seq = a->applied};
			otd_bytes_init(&to->state, STATE_MAX);
			to->scheme = acct_copy(s->name, strlen(s->name));
			otd_rc rc = to->scheme ? acct_scheme_save(s, &to->state) : OTD_E_NOMEM;
			if (rc) {
				acct_alert(a,
					   "pool %s: the state of payout scheme %s cannot be saved "
					   "(%s); journals are kept meanwhile",
					   p->name, s->name, otd_rc_name(rc));
				free(to->scheme);
				otd_bytes_finish(&to->state);
				c->n_saved--;
				return;
			}
		}
	}
	c->saves = true;
	a->saved_applied = a->applied;
}

otd_rc acct_seal(struct otd_accounting *a, bool save)
{
	struct acct_commit *c = acct_pending(a);
	if (!c)
		return OTD_E_NOMEM;
	c->base = a->position;
	c->position = a->applied;
	if (save)
		save_schemes(a, c);
	for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch) {
		struct acct_place *to =
			acct_room(c->places, &c->n_places, &c->cap_places, sizeof(*to));
		if (!to) {
			acct_stop(a, "out of memory");
			return OTD_E_NOMEM;
		}
		c->places = to;
		c->places[c->n_places++] = (struct acct_place){ep->epoch, ep->applied,
							       c->saves ? ep->applied : ep->saved};
	}
	return OTD_OK;
}

static void tell_blocks(struct otd_accounting *a, const struct acct_commit *c)
{
	for (size_t i = 0; i < c->n_ops; i++) {
		const struct acct_op *op = &c->ops[i];
		struct acct_block *b = acct_block_find(a, op->epoch, op->share_seq);
		if (!b)
			continue;
		b->in_sql = true;
		if (op->risk > 0) {
			char lost[OTD_I128_TEXT];
			acct_alert(
				a,
				"block %llu-%llu at height %llu is orphaned, %s base units of %s "
				"of it were paid out or put aside: miners keep them, the pool's "
				"risk account bears them",
				(unsigned long long)op->epoch, (unsigned long long)op->share_seq,
				(unsigned long long)b->height, otd_format_i128(lost, op->risk),
				b->asset);
		}
		if (op->refused) {
			b->held = true;
			acct_alert(a,
				   "block %llu-%llu: its credits could not be reversed: %s; a "
				   "person must settle it",
				   (unsigned long long)op->epoch, (unsigned long long)op->share_seq,
				   op->why);
		}
		if (op->kind != ACCT_FOUND || b->told || !a->started)
			continue;
		b->told = true;
		if (a->events.block) {
			struct otd_acct_block view;
			acct_block_view(b, &view);
			a->events.block(a->events.arg, &view);
		}
	}
}

/* SQL holds it. */
void acct_commit_booked(struct otd_accounting *a, struct acct_commit *c)
{
	a->position = c->position;
	otd_log(OTD_LOG_DEBUG, "pool", "shares.committed", "position=%llu",
		(unsigned long long)c->position);
	a->last_commit_wall_ms = otd_wall_ms(a->env);
	a->store_why[0] = '\0';
	for (size_t i = 0; i < c->n_places; i++) {
		struct acct_epoch *ep = acct_epoch_find(a, c->places[i].epoch);
		if (!ep || c->places[i].saved <= ep->saved)
			continue;
		ep->saved = c->places[i].saved;
		if (a->started && a->events.release && !ep->left_over && !a->held)
			a->events.release(a->events.arg, ep->epoch, ep->saved - 1);
	}
	if (c->saves)
		a->release_to = c->position;
	if (c->saves && a->journal && !a->held)
		otd_journal_release(a->journal, c->position);
	tell_blocks(a, c);
}

static void on_done(void *arg, const struct otd_err *err)
{
	struct acct_commit *c = arg;
	struct otd_accounting *a = c->a;
	if (!a) {
		acct_commit_free(c);
		return;
	}
	a->store_busy = false;
	if (err->rc) {
		if (a->failures)
			otd_metric_add(a->failures, 1);
		/* The fate of a commit may be unknown: the work begins with reading the position. */
		if (!a->store_why[0])
			otd_log(OTD_LOG_WARN, "pool", "accounting.store", "error=%s",
				OTD_Q(err->text));
		size_t n = strlen(err->text);
		if (n >= sizeof(a->store_why))
			n = sizeof(a->store_why) - 1;
		memcpy(a->store_why, err->text, n);
		a->store_why[n] = '\0';
		return;
	}
	a->flight = NULL;
	if (a->commits)
		otd_metric_add(a->commits, 1);
	acct_commit_booked(a, c);
	acct_archive_save(a, c);
	acct_commit_free(c);
	acct_merge(a);
}

void acct_commit_go(struct otd_accounting *a, bool now)
{
	int64_t ms = acct_mono_ms(a);
	if (a->store_busy || a->stopped[0])
		return;
	if (!a->flight) {
		bool save = ms - a->saved_ms >= a->conf.snapshot_ms;
		if (!a->pending || (!now && !a->urgent && ms - a->committed_ms < a->conf.commit_ms))
			return;
		if (acct_seal(a, save) != OTD_OK)
			return;
		if (save)
			a->saved_ms = ms;
		a->urgent = false;
		a->flight = a->pending;
		a->pending = NULL;
	} else if (a->store_why[0] && ms - a->last_try_ms < RETRY_MS) {
		return;
	}
	a->committed_ms = a->last_try_ms = ms;
	a->store_busy = true;
	if (otd_store_do(a->store, true, acct_sql_commit, on_done, a->flight) != OTD_OK)
		a->store_busy = false;
}
