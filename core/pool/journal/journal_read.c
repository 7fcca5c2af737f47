/* Reading a journal: from the segment that holds the wanted sequence, over repeated ones. */
#include "pool/journal/journal.h"
#include "pool/journal/journal_window.h"

#include <stdio.h>
#include <stdlib.h>

struct otd_journal_reader {
	struct otd_env *env;
	char *dir;
	uint64_t from;
	uint64_t next; /* the next sequence to give; 0: the first segment is still to be found */
	bool prefix;   /* in that segment, before the wanted sequence */
	bool archives;
	struct otd_journal_window w;
};

otd_rc otd_journal_reader_open(struct otd_journal_reader **out, struct otd_env *e, const char *dir,
			       uint64_t from, struct otd_err *err)
{
	struct otd_journal_reader *r = calloc(1, sizeof(*r));
	*out = NULL;
	if (!r)
		return otd_fail(err, OTD_E_NOMEM, "journal %s: out of memory", dir);
	r->env = e;
	r->from = from ? from : 1;
	int n = snprintf(NULL, 0, "%s", dir);
	r->dir = malloc((size_t)n + 1);
	if (!r->dir) {
		free(r);
		return otd_fail(err, OTD_E_NOMEM, "journal %s: out of memory", dir);
	}
	(void)snprintf(r->dir, (size_t)n + 1, "%s", dir);
	*out = r;
	return OTD_OK;
}

otd_rc otd_journal_reader_open_all(struct otd_journal_reader **out, struct otd_env *e,
				   const char *dir, uint64_t from, struct otd_err *err)
{
	otd_rc rc = otd_journal_reader_open(out, e, dir, from, err);
	if (rc == OTD_OK)
		(*out)->archives = true;
	return rc;
}

void otd_journal_reader_close(struct otd_journal_reader *r)
{
	if (!r)
		return;
	otd_journal_window_finish(&r->w);
	free(r->dir);
	free(r);
}

/*
 * Moves to the newest segment past the present one that holds sequence want or may go on with it:
 * the newest, because a segment that was left for a failed sync is repeated in the next.
 * OTD_E_NOT_FOUND: there is none.
 */
static otd_rc move_on(struct otd_journal_reader *r, uint64_t want, uint64_t limit,
		      struct otd_err *err)
{
	struct otd_journal_ids ids;
	struct otd_journal_window w = {0};
	uint64_t present = r->w.env ? r->w.id : 0, later = 0, later_id = 0;
	otd_rc rc =
		(r->archives ? otd_journal_ids_all : otd_journal_ids)(&ids, r->env, r->dir, err);
	if (rc)
		return rc;
	rc = OTD_E_NOT_FOUND;
	for (size_t i = ids.n; i-- > 0 && ids.id[i] > present;) {
		otd_rc at = r->archives ? otd_journal_window_open_any(&w, r->env, r->dir, ids.id[i],
								      err)
					: otd_journal_window_open(&w, r->env, r->dir, ids.id[i],
								  OTD_OPEN_READ, err);
		if (at == OTD_E_NOT_FOUND)
			continue; /* released meanwhile */
		if (at) {
			rc = at;
			goto out;
		}
		if (!w.has_header)
			continue;
		if (w.header.first <= want) {
			otd_journal_window_finish(&r->w);
			r->w = w;
			w = (struct otd_journal_window){0};
			rc = OTD_OK;
			goto out;
		}
		later = w.header.first;
		later_id = ids.id[i];
	}
	if (later && want <= limit)
		rc = otd_fail(err, OTD_E_CORRUPT,
			      "journal %s: sequences %llu to %llu are missing: segment %08llu "
			      "begins after them; restore the folder from a backup",
			      r->dir, (unsigned long long)want, (unsigned long long)later - 1,
			      (unsigned long long)later_id);
out:
	otd_journal_window_finish(&w);
	otd_journal_ids_finish(&ids);
	return rc;
}

otd_rc otd_journal_read(struct otd_journal_reader *r, struct otd_record *out, uint64_t limit,
			struct otd_err *err)
{
	otd_rc rc;
	if (r->next == 0) {
		if (r->from > limit)
			return OTD_E_NOT_FOUND;
		rc = move_on(r, r->from, limit, err);
		if (rc)
			return rc;
		r->next = r->from;
		r->prefix = true;
	}
	while (r->next <= limit) {
		enum otd_journal_look look;
		struct otd_journal_frame f;
		rc = otd_journal_window_look(&r->w, &look, &f, &out->payload, err);
		if (rc)
			return rc;
		if (look != OTD_JOURNAL_GOOD || f.seq > r->next) {
			rc = move_on(r, r->next, limit, err);
			if (rc)
				return rc;
			r->prefix = false;
			continue;
		}
		otd_journal_window_next(&r->w, &f);
		if (f.seq < r->next && !r->prefix)
			continue;
		if (f.seq == r->next) {
			r->next++;
			r->prefix = false;
		}
		out->seq = f.seq;
		out->type = f.type;
		return OTD_OK;
	}
	return OTD_E_NOT_FOUND;
}
