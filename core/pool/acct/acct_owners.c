/* Before a start goes on with what earlier runs left: is there somebody to credit it to? */
#include "pool/acct/acct.h"
#include <stdio.h>
#include <string.h>

#define MOST_TEXTS 16

/* Of one epoch. */
struct owners {
	struct otd_accounting *a;
	struct otd_map
		*unknown; /* workers whose pool or scheme is not in the settings: to a text */
	char text[MOST_TEXTS][200];
	size_t n_texts;
};

static otd_rc take_worker(struct owners *o, struct otd_span p)
{
	struct otd_rec_worker r;
	struct acct_pool *pool;
	struct acct_scheme *scheme;
	char text[200];
	size_t i = 0;
	if (!acct_worker_owner(o->a, p.ptr, p.len, &r, &pool, &scheme) || scheme)
		return OTD_OK;
	const char *names = (const char *)p.ptr + sizeof(r);
	if (pool)
		(void)snprintf(text, sizeof(text), "pool %.80s: payout scheme %.*s", pool->name,
			       (int)r.scheme_len, names + r.pool_len + r.account_len + r.name_len);
	else
		(void)snprintf(text, sizeof(text), "pool %.*s", (int)r.pool_len, names);
	while (i < o->n_texts && strcmp(o->text[i], text) != 0)
		i++;
	if (i == MOST_TEXTS) /* one of them is enough for the message */
		i--;
	memcpy(o->text[i], text, sizeof(text));
	if (i == o->n_texts)
		o->n_texts++;
	return otd_map_put(o->unknown, &r.worker, sizeof(r.worker), i);
}

static otd_rc check_record(struct owners *o, const struct acct_epoch *ep,
			   const struct otd_record *r, struct otd_err *err)
{
	uint32_t worker;
	uint64_t text;
	if (r->type == OTD_REC_WORKER) {
		otd_rc rc = take_worker(o, r->payload);
		return rc ? otd_fail(err, rc, "accounting: out of memory") : OTD_OK;
	}
	/* Both begin with the worker's number. */
	if ((r->type != OTD_REC_SHARE && r->type != OTD_REC_BLOCK) || r->seq < ep->applied ||
	    r->payload.len < sizeof(worker))
		return OTD_OK;
	memcpy(&worker, r->payload.ptr, sizeof(worker));
	if (!otd_map_get(o->unknown, &worker, sizeof(worker), &text))
		return OTD_OK;
	return otd_fail(err, OTD_E_INVALID,
			"%s is not in the settings, but shares of it (%llu-%llu is the first) are "
			"not in the database yet: bring it back, or give them up: start once with "
			"--set journal.drop_unknown=true",
			o->text[text], (unsigned long long)ep->epoch, (unsigned long long)r->seq);
}

static otd_rc check_epoch(struct owners *o, struct acct_epoch *ep, struct otd_err *err)
{
	struct otd_journal_reader *reader;
	struct otd_record r;
	if (ep->durable < ep->applied)
		return OTD_OK;
	otd_map_clear(o->unknown);
	o->n_texts = 0;
	otd_rc rc = otd_journal_reader_open(&reader, o->a->env, ep->dir, ep->applied, err);
	while (rc == OTD_OK) {
		rc = otd_journal_read(reader, &r, ep->durable, err);
		if (rc == OTD_OK)
			rc = check_record(o, ep, &r, err);
	}
	otd_journal_reader_close(reader);
	return rc == OTD_E_NOT_FOUND ? OTD_OK : rc;
}

otd_rc acct_check_owners(struct otd_accounting *a, struct otd_err *err)
{
	static const uint8_t seed[16]; /* numbers of our own: nobody chooses them */
	struct owners o = {.a = a, .unknown = otd_map_create(seed, ACCT_WORKERS)};
	otd_rc rc = o.unknown ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	for (struct acct_epoch *ep = a->epochs; rc == OTD_OK && ep; ep = ep->next_epoch)
		rc = check_epoch(&o, ep, err);
	otd_map_destroy(o.unknown);
	return rc;
}
