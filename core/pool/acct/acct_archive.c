/* Now and then a save of the payout schemes is kept beside the archived journals: saves.h. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pool/acct/acct.h"
#include "pool/journal/saves.h"

#define EVERY_MS ((int64_t)3600 * 1000)

/* The states are the commit's; they are taken from it. */
struct keeping {
	struct otd_accounting *a;
	char data_dir[ACCT_DIR];
	uint64_t seq;
	struct acct_saved *saved;
	struct otd_save *items;
	size_t n;
	otd_rc rc;
	struct otd_err err;
};

static void keeping_free(struct keeping *k)
{
	for (size_t i = 0; i < k->n; i++) {
		free(k->saved[i].scheme);
		otd_bytes_finish(&k->saved[i].state);
	}
	free(k->saved);
	free(k->items);
	free(k);
}

static void keep_run(void *arg)
{
	struct keeping *k = arg;
	k->rc = otd_saves_put(k->a->env, k->data_dir, k->seq, k->items, k->n, &k->err);
}

static void keep_done(void *arg)
{
	struct keeping *k = arg;
	if (k->rc)
		otd_log(OTD_LOG_WARN, "pool", "archive.save", "error=%s", OTD_Q(k->err.text));
	keeping_free(k);
}

static const char *pool_name(const struct otd_accounting *a, uint64_t id)
{
	for (size_t i = 0; i < a->n_pools; i++)
		if (a->pools[i]->id == id)
			return a->pools[i]->name;
	return "";
}

void acct_archive_save(struct otd_accounting *a, struct acct_commit *c)
{
	int64_t ms = acct_mono_ms(a);
	bool due = a->kept_ms == 0 || ms - a->kept_ms >= EVERY_MS;
	if (!a->conf.archive || !c->saves || !c->n_saved || !a->worker || !due)
		return;
	struct keeping *k = calloc(1, sizeof(*k));
	if (k)
		k->items = calloc(c->n_saved, sizeof(*k->items));
	size_t dir_n = strlen(a->dir) - strlen("/journal");
	if (!k || !k->items) {
		free(k);
		return;
	}
	memcpy(k->data_dir, a->dir, dir_n);
	k->a = a;
	k->seq = c->position;
	k->saved = c->saved;
	k->n = c->n_saved;
	c->saved = NULL;
	c->n_saved = c->cap_saved = 0;
	for (size_t i = 0; i < k->n; i++) {
		const char *pool = pool_name(a, k->saved[i].pool_id);
		const char *scheme = k->saved[i].scheme;
		k->items[i] = (struct otd_save){{(const uint8_t *)pool, strlen(pool)},
						{(const uint8_t *)scheme, strlen(scheme)},
						otd_bytes_span(&k->saved[i].state)};
	}
	a->kept_ms = ms ? ms : 1;
	if (a->env->ops->worker_give(a->worker, keep_run, keep_done, k) != OTD_OK)
		keeping_free(k);
}

void otd_accounting_archive(struct otd_accounting *a, bool on)
{
	/* What was kept before does not go together with what comes: a save of its own begins it. */
	if (on && !a->conf.archive)
		a->kept_ms = 0;
	a->conf.archive = on;
	if (a->journal)
		otd_journal_archive(a->journal, on);
}
