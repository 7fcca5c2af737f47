/* Epochs that begin and end while the pool runs, see pool/acct/epochs.h. */
#include "pool/acct/epochs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pool/acct/acct.h"

/* --- one that begins --- */

/* Off the loop: a row in SQL, then the folder. It may be left to itself where accounting goes. */
struct begin {
	struct otd_accounting *a;
	uint64_t epoch;
	char parent[ACCT_DIR], dir[ACCT_DIR];
	struct otd_err err;
	otd_acct_epoch_fn fn;
	void *arg;
};

static otd_rc insert(void *arg, struct otd_db *db, struct otd_err *err)
{
	const struct begin *b = arg;
	const struct otd_value v[] = {OTD_INT(b->epoch), OTD_INT(1)};
	return otd_db_exec(db, "INSERT INTO epochs(epoch, next_seq) VALUES(?, ?)", v, 2, NULL, NULL,
			   err);
}

static void make_folder(void *arg)
{
	struct begin *b = arg;
	const struct otd_files *f = b->a->env->files;
	otd_rc rc = f->make_dir(f->ctx, b->dir);
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, b->parent);
	if (rc != OTD_OK)
		otd_fail(&b->err, rc, "cannot make the folder %s: %s", b->dir,
			 f->last_error(f->ctx));
}

static void begun(struct begin *b)
{
	bool ok = b->err.rc == OTD_OK;
	struct acct_epoch *ep = NULL;
	if (ok && acct_epoch_add(b->a, &ep, b->epoch, 1) != OTD_OK) {
		otd_fail(&b->err, OTD_E_NOMEM, "out of memory");
		ok = false;
	}
	if (!b->a->destroying)
		b->fn(b->arg, ok ? b->epoch : 0, b->dir, &b->err);
	free(b);
}

static void folder_made(void *arg)
{
	begun(arg);
}

static void inserted(void *arg, const struct otd_err *err)
{
	struct begin *b = arg;
	if (!b->a || b->a->destroying) {
		free(b);
		return;
	}
	b->a->beginning = NULL;
	b->err = *err;
	if (err->rc == OTD_OK &&
	    b->a->env->ops->worker_give(b->a->worker, make_folder, folder_made, b) == OTD_OK)
		return;
	if (err->rc == OTD_OK)
		otd_fail(&b->err, OTD_E_NOMEM, "out of memory");
	begun(b);
}

otd_rc otd_accounting_begin_epoch(struct otd_accounting *a, otd_acct_epoch_fn fn, void *arg)
{
	if (a->beginning)
		return OTD_E_BUSY;
	struct begin *b = calloc(1, sizeof(*b));
	if (!b)
		return OTD_E_NOMEM;
	/* A commit whose fate is unknown costs a number; none is given twice. */
	*b = (struct begin){.a = a, .epoch = ++a->max_epoch, .fn = fn, .arg = arg};
	(void)snprintf(b->parent, sizeof(b->parent), "%s", a->dir);
	int n = snprintf(b->dir, sizeof(b->dir), "%s/r-%llu", a->dir, (unsigned long long)b->epoch);
	otd_rc rc = n < 0 || (size_t)n >= sizeof(b->dir)
			    ? OTD_E_RANGE
			    : otd_store_do(a->store, true, insert, inserted, b);
	if (rc == OTD_OK)
		a->beginning = b;
	else
		free(b);
	return rc;
}

void acct_beginning_forget(struct otd_accounting *a)
{
	struct begin *b = a->beginning;
	if (b)
		b->a = NULL; /* the store gives it back */
}

/* --- one that is over --- */

struct over {
	struct otd_accounting *a;
	struct acct_epoch *ep;
	struct otd_journal_range range;
	struct otd_found *found;
	struct otd_err err;
	otd_acct_over_fn done;
	void *arg;
};

static void over_free(struct over *o)
{
	otd_found_destroy(o->found);
	free(o);
}

static void recover(void *arg)
{
	struct over *o = arg;
	otd_rc rc = otd_journal_recover_each(o->a->env, o->ep->dir, &o->range, otd_found_look,
					     o->found, &o->err);
	if (rc == OTD_E_NOT_FOUND) {
		o->err = (struct otd_err){0};
		o->range.last = 0;
	} else if (rc == OTD_OK && o->range.epoch != o->ep->epoch) {
		otd_fail(&o->err, OTD_E_CORRUPT, "it is of epoch %llu",
			 (unsigned long long)o->range.epoch);
	}
}

static void recovered(void *arg)
{
	struct over *o = arg;
	struct acct_epoch *ep = o->ep;
	if (o->a->destroying) {
		over_free(o);
		return;
	}
	if (o->err.rc != OTD_OK) {
		(void)snprintf(ep->trouble, sizeof(ep->trouble), "%.240s", o->err.text);
		otd_log(OTD_LOG_ERROR, "pool", "accounting.journal", "epoch=%llu error=%s",
			(unsigned long long)ep->epoch, OTD_Q(ep->trouble));
	} else {
		if (o->range.last > ep->durable)
			ep->durable = o->range.last;
		ep->left_over = true;
		/* Of one that wrote nothing there is nothing to save. */
		if (ep->durable == 0 && ep->saved == 0)
			ep->saved = 1;
		otd_log(OTD_LOG_INFO, "pool", "accounting.epoch_over", "epoch=%llu last=%llu",
			(unsigned long long)ep->epoch, (unsigned long long)ep->durable);
	}
	if (o->done)
		o->done(o->arg, ep->epoch, ep->durable, &o->err);
	struct otd_accounting *a = o->a;
	if (o->err.rc == OTD_OK)
		acct_found_say(a, ep, o->found, false);
	over_free(o);
	acct_merge(a);
}

otd_rc otd_accounting_epoch_over(struct otd_accounting *a, uint64_t epoch, otd_acct_over_fn done,
				 void *arg)
{
	struct acct_epoch *ep = acct_epoch_find(a, epoch);
	struct over *o = ep && !ep->left_over ? calloc(1, sizeof(*o)) : NULL;
	if (!ep || ep->left_over)
		return OTD_E_NOT_FOUND;
	if (!o)
		return OTD_E_NOMEM;
	*o = (struct over){.a = a, .ep = ep, .found = otd_found_create(), .done = done, .arg = arg};
	otd_rc rc =
		o->found ? a->env->ops->worker_give(a->worker, recover, recovered, o) : OTD_E_NOMEM;
	if (rc != OTD_OK)
		over_free(o);
	return rc;
}
