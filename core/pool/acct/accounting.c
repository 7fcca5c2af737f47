/* Accounting's life and its public calls. */
#include "pool/acct/accounting.h"
#include "base/log.h"
#include "base/text.h"
#include "pool/acct/acct.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS  50
#define PAUSE_MS 1000 /* before a journal that could not be read is tried again */
#define MAP_MAX  ((size_t)1 << 26)

/* --- small things that all files use --- */

void *acct_room(void *items, size_t *n, size_t *cap, size_t item)
{
	if (*n < *cap)
		return items;
	size_t want = *cap ? *cap * 2 : 16;
	void *more = realloc(items, want * item);
	if (more)
		*cap = want;
	return more;
}

char *acct_copy(const char *s, size_t n)
{
	char *c = malloc(n + 1);
	if (!c)
		return NULL;
	if (n)
		memcpy(c, s, n);
	c[n] = '\0';
	return c;
}

int64_t acct_mono_ms(struct otd_accounting *a)
{
	return (int64_t)(otd_mono_ns(a->env) / 1000000);
}

void acct_alert(struct otd_accounting *a, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	otd_log(OTD_LOG_ERROR, "pool", "accounting.alert", "text=%s", OTD_Q(text));
	size_t n = sizeof(a->alerts) / sizeof(a->alerts[0]);
	if (a->n_alerts == n) {
		memmove(a->alerts[0], a->alerts[1], sizeof(a->alerts) - sizeof(a->alerts[0]));
		a->n_alerts--;
	}
	memcpy(a->alerts[a->n_alerts++], text, sizeof(text));
}

void acct_stop(struct otd_accounting *a, const char *why)
{
	if (a->stopped[0])
		return;
	(void)snprintf(a->stopped, sizeof(a->stopped), "%s", why);
	otd_log(OTD_LOG_ERROR, "pool", "accounting.stopped", "why=%s", OTD_Q(a->stopped));
}

struct acct_epoch *acct_epoch_find(struct otd_accounting *a, uint64_t epoch)
{
	for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch)
		if (ep->epoch == epoch)
			return ep;
	return NULL;
}

otd_rc acct_epoch_add(struct otd_accounting *a, struct acct_epoch **out, uint64_t epoch,
		      uint64_t next)
{
	struct acct_epoch *ep = calloc(1, sizeof(*ep));
	*out = ep;
	if (!ep)
		return OTD_E_NOMEM;
	int n = snprintf(ep->dir, sizeof(ep->dir), "%s/r-%llu", a->dir, (unsigned long long)epoch);
	if (n < 0 || (size_t)n >= sizeof(ep->dir)) {
		free(ep);
		return OTD_E_RANGE;
	}
	ep->epoch = epoch;
	ep->next = ep->applied = next ? next : 1;
	ep->next_epoch = a->epochs;
	a->epochs = ep;
	return OTD_OK;
}

void acct_epoch_free(struct acct_epoch *ep)
{
	if (!ep)
		return;
	otd_journal_reader_close(ep->reader);
	otd_found_destroy(ep->found);
	for (size_t i = 0; i < ep->cap_workers; i++) {
		if (!ep->workers[i])
			continue;
		free(ep->workers[i]->account);
		free(ep->workers[i]->name);
		free(ep->workers[i]);
	}
	free(ep->workers);
	free(ep->jobs);
	free(ep);
}

/* --- create and destroy --- */

static otd_rc make_folders(struct otd_accounting *a, struct otd_err *err)
{
	const struct otd_files *f = a->env->files;
	int n = snprintf(a->dir, sizeof(a->dir), "%s/journal", a->conf.data_dir);
	if (n < 0 || (size_t)n + 32 >= sizeof(a->dir))
		return otd_fail(err, OTD_E_RANGE, "data_dir %s: the path is too long",
				a->conf.data_dir);
	otd_rc rc = f->make_dir(f->ctx, a->dir);
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, a->conf.data_dir);
	if (rc)
		return otd_fail(err, rc, "cannot make the folder %s: %s", a->dir,
				f->last_error(f->ctx));
	return OTD_OK;
}

static otd_rc open_journal(struct otd_accounting *a, struct otd_err *err)
{
	char dir[ACCT_DIR + 16];
	(void)snprintf(dir, sizeof(dir), "%s/coordinator", a->dir);
	const struct otd_journal_conf jc = {
		.dir = dir,
		.segment_bytes = a->conf.segment_bytes,
		.max_bytes = a->conf.max_bytes,
		.archive = a->conf.archive,
		.synced = acct_on_synced,
		.failed = acct_on_journal_failed,
		.arg = a,
	};
	return otd_journal_open(&a->journal, a->loop, &jc, err);
}

static void on_tick(void *arg)
{
	struct otd_accounting *a = arg;
	int64_t ms = acct_mono_ms(a);
	if (ms - a->last_pause_ms >= PAUSE_MS) {
		a->last_pause_ms = ms;
		for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch)
			ep->paused = false;
	}
	acct_terms_due(a);
	/* Without this a last save would wait for the next share. */
	if (ms - a->saved_ms >= a->conf.snapshot_ms && a->applied > a->saved_applied &&
	    !a->stopped[0])
		(void)acct_pending(a);
	acct_merge(a);
}

static void set_defaults(struct otd_accounting_conf *c)
{
	c->merge_ms = c->merge_ms ? c->merge_ms : 100;
	c->commit_ms = c->commit_ms ? c->commit_ms : 1000;
	c->snapshot_ms = c->snapshot_ms ? c->snapshot_ms : 60000;
	c->segment_bytes = c->segment_bytes ? c->segment_bytes : 16u << 20;
	c->max_bytes = c->max_bytes ? c->max_bytes : 1u << 30;
}

static void create_metrics(struct otd_accounting *a)
{
	struct otd_metrics *m = a->conf.metrics;
	if (!m)
		return;
	a->merged = otd_metric(m, OTD_COUNTER, "otd_accounting_shares_total", "",
			       "Shares that were merged");
	a->commits = otd_metric(m, OTD_COUNTER, "otd_accounting_commits_total", "",
				"Transactions that brought shares and blocks into SQL");
	a->failures = otd_metric(m, OTD_COUNTER, "otd_accounting_failures_total", "",
				 "Transactions that failed and are tried again");
}

otd_rc acct_create(struct otd_accounting **out, const struct otd_accounting_conf *conf,
		   struct otd_err *err)
{
	struct otd_accounting *a = calloc(1, sizeof(*a));
	uint8_t seed[16];
	*out = a;
	if (!a)
		return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	a->loop = conf->loop;
	a->env = conf->loop->env;
	a->store = conf->store;
	a->conf = *conf;
	set_defaults(&a->conf);
	a->entries_end = &a->entries;
	a->env->ops->random(a->env, seed, sizeof(seed));
	a->account_map = otd_map_create(seed, MAP_MAX);
	a->worker_map = otd_map_create(seed, MAP_MAX);
	create_metrics(a);
	otd_rc rc = a->account_map && a->worker_map
			    ? OTD_OK
			    : otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	return rc == OTD_OK ? acct_pools_create(a, err) : rc;
}

otd_rc otd_accounting_create(struct otd_accounting **out, const struct otd_accounting_conf *conf,
			     struct otd_err *err)
{
	struct otd_accounting *a;
	*out = NULL;
	otd_rc rc = acct_create(&a, conf, err);
	if (rc == OTD_OK)
		rc = make_folders(a, err);
	if (rc == OTD_OK)
		rc = acct_load(a, err);
	if (rc == OTD_OK)
		rc = open_journal(a, err);
	if (rc == OTD_OK)
		rc = acct_replay(a, err);
	if (rc == OTD_OK)
		rc = a->env->ops->worker_create(a->loop, &a->worker, "accounting", err);
	if (rc == OTD_OK)
		rc = a->env->ops->timer_create(a->loop, &a->tick, on_tick, a);
	/* They were the caller's for the length of this call. */
	if (a)
		a->conf.pools = NULL;
	if (a)
		a->conf.data_dir = NULL;
	if (rc)
		otd_accounting_destroy(a);
	else
		*out = a;
	return rc;
}

static void free_names(struct otd_accounting *a)
{
	for (size_t i = 0; i < a->n_accounts; i++) {
		struct acct_account *c = a->accounts[i];
		while (c->seats) {
			struct acct_seat *s = c->seats;
			c->seats = s->next;
			free(s);
		}
		acct_account_fee_free(c);
		free(c->address);
		free(c);
	}
	for (size_t i = 0; i < a->n_workers; i++) {
		free(a->workers[i]->name);
		free(a->workers[i]->rate);
		free(a->workers[i]);
	}
	free(a->accounts);
	free(a->workers);
	otd_map_destroy(a->account_map);
	otd_map_destroy(a->worker_map);
}

void otd_accounting_destroy(struct otd_accounting *a)
{
	if (!a)
		return;
	a->destroying = true;
	if (a->tick)
		a->env->ops->timer_destroy(a->tick);
	if (a->worker)
		a->env->ops->worker_destroy(a->worker);
	otd_journal_close(a->journal);
	acct_entry_free(a->slice);
	while (a->entries) {
		struct acct_entry *e = a->entries;
		a->entries = e->next;
		acct_entry_free(e);
	}
	/* The store may still have it; it frees it then. */
	if (a->flight && a->store_busy)
		a->flight->a = NULL;
	else
		acct_commit_free(a->flight);
	acct_commit_free(a->pending);
	acct_adding_forget(a);
	acct_beginning_forget(a);
	while (a->epochs) {
		struct acct_epoch *ep = a->epochs;
		a->epochs = ep->next_epoch;
		acct_epoch_free(ep);
	}
	while (a->blocks) {
		struct acct_block *b = a->blocks;
		a->blocks = b->next;
		acct_block_free(b);
	}
	acct_pools_free(a);
	free_names(a);
	free(a);
}

void otd_accounting_start(struct otd_accounting *a, const struct otd_accounting_events *events)
{
	a->events = *events;
	a->started = true;
	a->saved_ms = acct_mono_ms(a) - a->conf.snapshot_ms;
	a->committed_ms = acct_mono_ms(a);
	a->last_merge_ms = acct_mono_ms(a) - a->conf.merge_ms;
	acct_terms_start(a);
	/* A first save, so that new schemes are on record and old journals can go. */
	(void)acct_pending(a);
	for (struct acct_block *b = a->blocks; b; b = b->next) {
		struct otd_acct_block view;
		if (b->state >= OTD_BLOCK_MATURE || !b->in_sql)
			continue;
		b->told = true;
		acct_block_view(b, &view);
		if (a->events.block)
			a->events.block(a->events.arg, &view);
	}
	acct_found_start(a);
	a->env->ops->timer_start(a->tick, TICK_MS, TICK_MS);
}

/* --- epochs --- */

static otd_rc insert_epoch(void *arg, struct otd_db *db, struct otd_err *err)
{
	const uint64_t *epoch = arg;
	const struct otd_value v[] = {OTD_INT(*epoch), OTD_INT(1)};
	return otd_db_exec(db, "INSERT INTO epochs(epoch, next_seq) VALUES(?, ?)", v, 2, NULL, NULL,
			   err);
}

otd_rc otd_accounting_new_epoch(struct otd_accounting *a, uint64_t *epoch, char *dir, size_t cap,
				struct otd_err *err)
{
	const struct otd_files *f = a->env->files;
	struct acct_epoch *ep = NULL;
	otd_rc rc = OTD_E_EXISTS;
	/* A commit whose fate is unknown costs a number; none is given twice. */
	for (int i = 0; i < 3 && (rc == OTD_E_EXISTS || rc == OTD_E_COMMIT_UNKNOWN); i++) {
		*epoch = ++a->max_epoch;
		rc = otd_store_do_now(a->store, true, insert_epoch, epoch, err);
	}
	if (rc == OTD_OK)
		rc = acct_epoch_add(a, &ep, *epoch, 1);
	if (rc)
		return rc;
	rc = f->make_dir(f->ctx, ep->dir);
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, a->dir);
	if (rc)
		return otd_fail(err, rc, "cannot make the folder %s: %s", ep->dir,
				f->last_error(f->ctx));
	int n = snprintf(dir, cap, "%s", ep->dir);
	if (n < 0 || (size_t)n >= cap)
		return otd_fail(err, OTD_E_RANGE, "journal %s: the path is too long", ep->dir);
	return OTD_OK;
}

void otd_accounting_synced(struct otd_accounting *a, uint64_t epoch, uint64_t seq)
{
	struct acct_epoch *ep = acct_epoch_find(a, epoch);
	if (!ep || ep->left_over || seq <= ep->durable)
		return;
	ep->durable = seq;
	acct_merge(a);
}

/* --- blocks --- */

/* Confirmations are not worth a place in the order. */
static otd_rc only_confirmations(struct otd_accounting *a, struct acct_block *b,
				 uint32_t confirmations)
{
	if (b->confirmations == confirmations || b->asked != b->state)
		return OTD_OK;
	struct acct_commit *t = acct_pending(a);
	struct acct_op *op = t ? acct_room(t->ops, &t->n_ops, &t->cap_ops, sizeof(*op)) : NULL;
	if (!op)
		return OTD_E_NOMEM;
	t->ops = op;
	t->ops[t->n_ops++] = (struct acct_op){.kind = ACCT_CONFIRMATIONS,
					      .epoch = b->epoch,
					      .share_seq = b->share_seq,
					      .state = b->state,
					      .confirmations = confirmations,
					      .held = b->held};
	b->confirmations = confirmations;
	return OTD_OK;
}

otd_rc otd_accounting_verdict(struct otd_accounting *a, uint64_t epoch, uint64_t share_seq,
			      enum otd_block_state state, uint32_t confirmations)
{
	struct acct_block *b = acct_block_find(a, epoch, share_seq);
	if (!b)
		return OTD_E_NOT_FOUND;
	if (state < OTD_BLOCK_CANDIDATE || state > OTD_BLOCK_ORPHANED || a->stopped[0])
		return a->stopped[0] ? OTD_E_BUSY : OTD_E_INVALID;
	if (b->asked == (uint32_t)state)
		return only_confirmations(a, b, confirmations);
	if (b->asked == OTD_BLOCK_ORPHANED ||
	    (b->asked == OTD_BLOCK_MATURE && state != OTD_BLOCK_ORPHANED))
		return OTD_E_INVALID;
	struct acct_entry *e = acct_entry_create();
	if (!e)
		return OTD_E_BUSY;
	e->verdict = (struct otd_rec_verdict){.epoch = epoch,
					      .share_seq = share_seq,
					      .state = state,
					      .confirmations = confirmations,
					      .time_ms = otd_wall_ms(a->env)};
	otd_rc rc = otd_journal_append(a->journal, OTD_REC_VERDICT, &e->verdict, sizeof(e->verdict),
				       &e->cseq);
	if (rc) {
		acct_entry_free(e);
		return OTD_E_BUSY;
	}
	b->asked = state;
	*a->entries_end = e;
	a->entries_end = &e->next;
	a->n_entries++;
	return OTD_OK;
}

void otd_accounting_hold(struct otd_accounting *a, bool on)
{
	a->held = on;
	if (on || !a->started)
		return;
	for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch)
		if (a->events.release && !ep->left_over && ep->saved > 1)
			a->events.release(a->events.arg, ep->epoch, ep->saved - 1);
	if (a->release_to)
		otd_journal_release(a->journal, a->release_to);
}

void otd_accounting_journals(struct otd_accounting *a,
			     void (*each)(void *arg, uint64_t epoch, uint64_t durable), void *arg)
{
	each(arg, 0, otd_journal_synced(a->journal));
	for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch)
		each(arg, ep->epoch, ep->durable);
}

void otd_accounting_flush(struct otd_accounting *a, otd_fn done, void *arg)
{
	a->flush_done = done;
	a->flush_arg = arg;
	a->flush_wanted = true;
	a->flush_seq = UINT64_MAX;
	a->flush_verdicts = otd_journal_last(a->journal); /* verdicts and fees */
	for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch)
		ep->flush_to = ep->durable;
	/* The tick goes on with it, now: done is not called from within this call. */
	if (a->started)
		a->env->ops->timer_start(a->tick, 1, TICK_MS);
}
