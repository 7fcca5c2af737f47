#include "pool/journal/replay.h"

#include "pool/journal/replay_own.h"
#include "pool/journal/saves.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void replay_differs(struct replay *r, const char *fmt, ...)
{
	char text[500];
	va_list ap;
	if (r->out->differences++ >= REPLAY_TOLD)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->conf->differs(r->conf->arg, text);
}

/* --- what SQL holds --- */

static otd_rc take_state(void *ctx, const struct otd_value *c, size_t n)
{
	struct replay *r = ctx;
	struct replay_state *to = acct_room(r->states, &r->n_states, &r->cap_states, sizeof(*to));
	(void)n;
	if (!to)
		return OTD_E_NOMEM;
	r->states = to;
	to = &r->states[r->n_states];
	*to = (struct replay_state){.pool_id = (uint64_t)c[0].i};
	otd_bytes_init(&to->bytes, 256u << 20);
	to->scheme = acct_copy((const char *)c[1].bytes.ptr, c[1].bytes.len);
	r->n_states++;
	return to->scheme ? otd_bytes_add(&to->bytes, c[2].bytes.ptr, c[2].bytes.len) : OTD_E_NOMEM;
}

static otd_rc take_text(void *ctx, const struct otd_value *c, size_t n)
{
	(void)n;
	char text[24] = "";
	if (c[0].bytes.len < sizeof(text))
		memcpy(text, c[0].bytes.ptr, c[0].bytes.len);
	*(int64_t *)ctx = strtoll(text, NULL, 10);
	return OTD_OK;
}

static otd_rc read_sql(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t state[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_BLOB};
	static const uint32_t text[] = {OTD_VALUE_TEXT};
	struct replay *r = arg;
	int64_t position = 0, saved = 0;
	otd_rc rc = otd_db_int(db, "SELECT coalesce(max(seq), 0) FROM position", NULL, 0, &position,
			       err);
	if (rc == OTD_OK)
		rc = otd_db_int(db, "SELECT coalesce(max(seq), 0) FROM payout_state", NULL, 0,
				&saved, err);
	const struct otd_value v[] = {OTD_INT(saved)};
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT pool_id, scheme, state FROM payout_state WHERE seq = ?",
				  v, 1, state, 3, take_state, r, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db, "SELECT v FROM meta WHERE k = 'history_minute'", NULL, 0,
				  text, 1, take_text, &r->folded, err);
	r->position = (uint64_t)position;
	r->saved = (uint64_t)saved;
	return rc;
}

/* --- what the journals hold --- */

static struct replay_epoch *epoch_of(struct replay *r, uint64_t epoch)
{
	for (size_t i = 0; i < r->n_epochs; i++)
		if (r->epochs[i].epoch == epoch)
			return &r->epochs[i];
	return NULL;
}

static otd_rc look_at_journals(struct replay *r, struct otd_err *err)
{
	struct otd_journal_epochs list = {0};
	struct otd_journal_report report;
	otd_rc rc = otd_journal_check(&report, r->env, r->dir, false, err);
	r->first = report.first;
	r->last = report.last;
	if (rc == OTD_OK)
		rc = otd_journal_epochs(&list, r->env, r->conf->data_dir, err);
	if (rc == OTD_OK && r->last < r->position)
		rc = otd_fail(err, OTD_E_CORRUPT,
			      "journal %s ends at %" PRIu64 ", the database is at %" PRIu64
			      ": the two are not of one time; restore both from one backup",
			      r->dir, r->last, r->position);
	r->epochs = calloc(list.n ? list.n : 1, sizeof(*r->epochs));
	if (!r->epochs)
		rc = otd_fail(err, OTD_E_NOMEM, "replay: out of memory");
	for (size_t i = 0; rc == OTD_OK && i < list.n; i++) {
		char dir[ACCT_DIR];
		struct replay_epoch *ep = &r->epochs[r->n_epochs++];
		if (!otd_journal_dir(dir, sizeof(dir), r->conf->data_dir, list.epoch[i]))
			rc = OTD_E_RANGE;
		if (rc == OTD_OK)
			rc = otd_journal_check(&report, r->env, dir, false, err);
		*ep = (struct replay_epoch){list.epoch[i], report.first, report.last, 0, 0};
	}
	otd_journal_epochs_finish(&list);
	return rc;
}

/* Calls each for the records from `from` to `to` of the coordinator's journal. */
static otd_rc each_place(struct replay *r, uint64_t from, uint64_t to,
			 otd_rc (*each)(struct replay *r, const struct otd_record *rec,
					struct otd_err *err),
			 struct otd_err *err)
{
	struct otd_journal_reader *reader = NULL;
	struct otd_record rec;
	if (from > to)
		return OTD_OK;
	otd_rc rc = otd_journal_reader_open_all(&reader, r->env, r->dir, from, err);
	while (rc == OTD_OK) {
		rc = otd_journal_read(reader, &rec, to, err);
		if (rc == OTD_OK && rec.seq >= from)
			rc = each(r, &rec, err);
	}
	otd_journal_reader_close(reader);
	return rc == OTD_E_NOT_FOUND ? OTD_OK : rc;
}

/* The last place whose shares are not all there any more: a replay begins behind it. */
static otd_rc find_oldest(struct replay *r, const struct otd_record *rec, struct otd_err *err)
{
	struct otd_rec_batch b;
	(void)err;
	if (rec->type != OTD_REC_BATCH || rec->payload.len < sizeof(b))
		return OTD_OK;
	memcpy(&b, rec->payload.ptr, sizeof(b));
	const struct replay_epoch *ep = epoch_of(r, b.epoch);
	if (!ep || b.first < ep->have_first || b.last > ep->have_last)
		r->from = rec->seq + 1;
	return OTD_OK;
}

static otd_rc find_firsts(struct replay *r, const struct otd_record *rec, struct otd_err *err)
{
	struct otd_rec_batch b;
	if (rec->type != OTD_REC_BATCH || rec->payload.len < sizeof(b))
		return OTD_OK;
	memcpy(&b, rec->payload.ptr, sizeof(b));
	struct replay_epoch *ep = epoch_of(r, b.epoch);
	if (!ep)
		return otd_fail(err, OTD_E_CORRUPT,
				"journal r-%" PRIu64 " is missing, its sequences %" PRIu64
				" to %" PRIu64 " are needed; restore the folder from a backup",
				b.epoch, b.first, b.last);
	if (!ep->first)
		ep->first = b.first;
	ep->next = b.last + 1;
	return OTD_OK;
}

/* The oldest save in the archive behind which all is there; 0: none. */
static otd_rc find_save(struct replay *r, struct otd_err *err)
{
	struct otd_journal_ids ids;
	otd_rc rc = otd_saves_list(&ids, r->env, r->conf->data_dir, err);
	for (size_t i = 0; rc == OTD_OK && i < ids.n && !r->out->archived; i++)
		if (ids.id[i] + 1 >= r->from && ids.id[i] < r->saved)
			r->out->archived = ids.id[i];
	otd_journal_ids_finish(&ids);
	return rc;
}

/* From the beginning, or from a save: no other state is known. */
static otd_rc choose_begin(struct replay *r, struct otd_err *err)
{
	r->from = r->first;
	otd_rc rc = each_place(r, r->first, r->position, find_oldest, err);
	r->out->whole = r->from == 1;
	if (rc == OTD_OK && !r->out->whole)
		rc = find_save(r, err);
	if (rc)
		return rc;
	if (r->out->archived)
		r->from = r->out->archived + 1;
	else if (!r->out->whole && r->from > r->saved + 1)
		return otd_fail(
			err, OTD_E_CORRUPT,
			"what the order says before place %" PRIu64
			" is not there any more, and the payout schemes were saved at %" PRIu64
			": a start would need it; restore the folder from a backup",
			r->from, r->saved);
	if (!r->out->whole && !r->out->archived)
		r->from = r->saved + 1;
	return each_place(r, r->from, r->position, find_firsts, err);
}

/* --- the accounting that it is played into --- */

static otd_rc make_epochs(struct replay *r, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < r->n_epochs; i++) {
		const struct replay_epoch *from = &r->epochs[i];
		struct acct_epoch *ep;
		if (!from->first)
			continue;
		rc = acct_epoch_add(r->a, &ep, from->epoch, from->first);
		if (rc == OTD_OK) /* over the archive too, which the pool itself never reads */
			rc = otd_journal_reader_open_all(&ep->reader, r->env, ep->dir, from->first,
							 err);
	}
	return rc;
}

static otd_rc take_save(void *arg, const struct otd_save *s, struct otd_err *err)
{
	struct replay *r = arg;
	struct acct_pool *p = acct_pool_named(r->a, (const char *)s->pool.ptr, s->pool.len);
	for (size_t k = 0; p && k < p->n_schemes; k++)
		if (strlen(p->schemes[k].name) == s->scheme.len &&
		    memcmp(p->schemes[k].name, s->scheme.ptr, s->scheme.len) == 0)
			return acct_scheme_restore(&p->schemes[k], s->state, r->from - 1, err);
	return OTD_OK; /* not in the settings any more */
}

/* Blocks that the replay finds again are not known before. */
static void forget_blocks(struct replay *r)
{
	struct otd_accounting *a = r->a;
	for (struct acct_block **at = &a->blocks; *at;) {
		struct acct_block *b = *at;
		const struct replay_epoch *ep = epoch_of(r, b->epoch);
		bool again = r->out->whole || (ep && ep->first && b->share_seq >= ep->first);
		if (!again) {
			at = &b->next;
			continue;
		}
		*at = b->next;
		a->n_blocks--;
		acct_block_free(b);
	}
}

/* Shares up to the save have times up to that of some scheme. */
static void find_cut(struct replay *r)
{
	struct otd_accounting *a = r->a;
	r->cut_minute = r->conf->oldest_minute;
	for (size_t i = 0; !r->out->whole && i < a->n_pools; i++)
		for (size_t k = 0; k < a->pools[i]->n_schemes; k++) {
			int64_t minute = a->pools[i]->schemes[k].last_ms / 60000 + 1;
			if (minute > r->cut_minute)
				r->cut_minute = minute;
		}
	/* What is a row of an hour in SQL is compared by the hour. */
	if (r->cut_minute < r->folded)
		r->cut_minute = (r->cut_minute + 59) / 60 * 60;
}

static otd_rc make_accounting(struct replay *r, struct otd_err *err)
{
	const struct otd_accounting_conf conf = {.loop = r->conf->loop,
						 .store = r->conf->store,
						 .data_dir = r->conf->data_dir,
						 .pools = r->conf->pools,
						 .n_pools = r->conf->n_pools};
	otd_rc rc = acct_create(&r->a, &conf, err);
	if (rc)
		return rc;
	int n = snprintf(r->a->dir, sizeof(r->a->dir), "%s/journal", r->conf->data_dir);
	if (n < 0 || (size_t)n + 32 >= sizeof(r->a->dir))
		return otd_fail(err, OTD_E_RANGE, "data_dir %s: the path is too long",
				r->conf->data_dir);
	rc = acct_load_before(r->a, r->from, !r->out->whole && !r->out->archived, err);
	if (rc == OTD_OK && r->out->archived)
		rc = otd_saves_get(r->env, r->conf->data_dir, r->out->archived, take_save, r, err);
	if (rc)
		return rc;
	/* Nothing of what is played is in SQL, as far as this accounting knows. */
	r->a->position = r->from - 1;
	for (size_t i = 0; i < r->a->n_pools; i++)
		for (size_t k = 0; k < r->a->pools[i]->n_schemes; k++)
			r->a->pools[i]->schemes[k].seq = r->from - 1;
	forget_blocks(r);
	find_cut(r);
	return make_epochs(r, err);
}

/* --- playing --- */

static otd_rc play(struct replay *r, const struct otd_record *rec, struct otd_err *err)
{
	otd_rc rc = acct_replay_record(r->a, rec, err);
	r->out->verdicts += rec->type == OTD_REC_VERDICT;
	r->out->to = rec->seq;
	if (rc == OTD_OK && rec->seq == r->saved)
		rc = replay_compare_states(r, err);
	if (r->conf->progress && rec->seq % 256 == 0)
		r->conf->progress(r->conf->arg, rec->seq, r->from, r->position);
	return rc;
}

static void count(struct replay *r)
{
	const struct otd_accounting *a = r->a;
	for (size_t i = 0; i < a->n_pools; i++)
		r->out->shares += a->pools[i]->accepted;
	r->out->unowned = a->unattributed;
}

static void finish(struct replay *r)
{
	otd_accounting_destroy(r->a);
	for (size_t i = 0; i < r->n_states; i++) {
		free(r->states[i].scheme);
		otd_bytes_finish(&r->states[i].bytes);
	}
	free(r->states);
	free(r->epochs);
}

otd_rc otd_replay(const struct otd_replay_conf *conf, struct otd_replay_result *out,
		  struct otd_err *err)
{
	struct replay r = {.conf = conf, .out = out, .env = conf->loop->env};
	*out = (struct otd_replay_result){0};
	otd_rc rc = otd_journal_dir(r.dir, sizeof(r.dir), conf->data_dir, 0)
			    ? OTD_OK
			    : otd_fail(err, OTD_E_RANGE, "data_dir %s: the path is too long",
				       conf->data_dir);
	if (rc == OTD_OK)
		rc = otd_store_do_now(conf->store, false, read_sql, &r, err);
	if (rc == OTD_OK)
		rc = look_at_journals(&r, err);
	if (rc == OTD_OK)
		rc = choose_begin(&r, err);
	out->from = r.from;
	out->to = r.from - 1;
	out->saved = r.saved;
	if (rc == OTD_OK)
		rc = make_accounting(&r, err);
	if (rc == OTD_OK)
		rc = each_place(&r, r.from, r.position, play, err);
	if (rc == OTD_OK && out->to < r.position && r.from <= r.position)
		rc = otd_fail(err, OTD_E_CORRUPT, "journal %s ends at %" PRIu64 ", not at %" PRIu64,
			      r.dir, out->to, r.position);
	if (rc == OTD_OK) {
		count(&r);
		rc = replay_compare(&r, err);
	}
	finish(&r);
	return rc;
}
