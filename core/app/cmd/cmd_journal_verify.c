/* otedama journal verify: every segment of every journal, and whether they fit together. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cmd/cmd_journal.h"
#include "app/cmd/offline.h"
#include "pool/journal/journal_verify.h"
#include "store/store.h"

/* --- what the database says --- */

struct place {
	uint64_t epoch, next;
};

struct sql {
	int64_t position, saved;
	struct place *places;
	size_t n, cap;
};

static otd_rc take_place(void *ctx, const struct otd_value *c, size_t n)
{
	struct sql *s = ctx;
	(void)n;
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct place *more = realloc(s->places, cap * sizeof(*more));
		if (!more)
			return OTD_E_NOMEM;
		s->places = more;
		s->cap = cap;
	}
	s->places[s->n++] = (struct place){(uint64_t)c[0].i, (uint64_t)c[1].i};
	return OTD_OK;
}

static otd_rc read_sql(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t pair[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	struct sql *s = arg;
	s->n = 0;
	otd_rc rc = otd_db_int(db, "SELECT coalesce(max(seq), 0) FROM position", NULL, 0,
			       &s->position, err);
	if (rc == OTD_OK)
		rc = otd_db_int(db, "SELECT coalesce(max(seq), 0) FROM payout_state", NULL, 0,
				&s->saved, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db, "SELECT epoch, next_seq FROM epochs ORDER BY epoch", NULL, 0,
				  pair, 2, take_place, s, err);
	return rc;
}

static uint64_t next_of(void *arg, uint64_t epoch)
{
	const struct sql *s = arg;
	for (size_t i = 0; i < s->n; i++)
		if (s->places[i].epoch == epoch)
			return s->places[i].next;
	return 0;
}

static otd_rc look_at_sql(struct otd_journal_tool *t, struct sql *s, struct otd_err *err)
{
	otd_rc rc = otd_offline_as_owner(&t->app, err);
	if (rc == OTD_OK)
		rc = otd_offline_store(&t->app, true, err);
	if (rc == OTD_OK)
		rc = otd_store_do_now(t->app.store, false, read_sql, s, err);
	otd_offline_close(&t->app);
	return rc;
}

/* --- what comes of it --- */

struct out {
	bool json;
	json_t *journals, *problems;
};

static void put_name(char to[OTD_JOURNAL_NAME], uint64_t epoch)
{
	if (epoch)
		snprintf(to, OTD_JOURNAL_NAME, "r-%" PRIu64, epoch);
	else
		snprintf(to, OTD_JOURNAL_NAME, OTD_JOURNAL_COORDINATOR);
}

static void add_problem(struct out *o, const char *text)
{
	if (o->json)
		json_array_append_new(o->problems, json_string(text));
	else
		printf("WRONG: %s\n", text);
}

static void on_journal(void *arg, uint64_t epoch, const struct otd_journal_report *r,
		       const char *wrong)
{
	struct out *o = arg;
	char name[OTD_JOURNAL_NAME], size[OTD_JOURNAL_SIZE];
	put_name(name, epoch);
	if (o->json) {
		json_t *j = json_pack(
			"{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "journal", name,
			"sound", !wrong, "segments", (json_int_t)r->segments, "archived",
			(json_int_t)r->archived, "first", (json_int_t)r->first, "last",
			(json_int_t)r->last, "groups", (json_int_t)r->groups, "records",
			(json_int_t)(r->frames - r->restated), "bytes", (json_int_t)r->bytes,
			"torn_bytes", (json_int_t)r->torn_bytes);
		json_array_append_new(o->journals, j);
	} else if (!r->any) {
		printf("%-12s nothing was written to it yet\n", name);
	} else {
		printf("%-12s %zu segment%s (%zu archived), sequences %" PRIu64 " to %" PRIu64
		       " in %" PRIu64 " groups, %s\n",
		       name, r->segments, r->segments == 1 ? "" : "s", r->archived, r->first,
		       r->last, r->groups, otd_journal_size(size, r->bytes));
		if (r->torn_bytes)
			printf("  %s: %" PRIu64 " bytes from offset %" PRIu64
			       " on, at sequence %" PRIu64
			       ", are a group that was not finished: never acknowledged, the next "
			       "start cuts it off\n",
			       r->torn_path, r->torn_bytes, r->torn_at, r->torn_seq);
	}
	if (wrong)
		add_problem(o, wrong);
}

static void on_problem(void *arg, const char *text)
{
	add_problem(arg, text);
}

static void print_end(struct out *o, const struct otd_journal_tool *t,
		      const struct otd_journal_verify *v)
{
	const char *unseen = v->sql.known      ? NULL
			     : t->live         ? "a pool uses it"
			     : t->app.settings ? "it cannot be read"
					       : "no -c FILE says which it is";
	if (o->json) {
		json_t *end = json_pack(
			"{s:o, s:o, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "journals",
			o->journals, "problems", o->problems, "running", (int)t->live, "database",
			(int)v->sql.known, "position", (json_int_t)v->sql.position, "saved",
			(json_int_t)v->sql.saved, "batches", (json_int_t)v->batches, "verdicts",
			(json_int_t)v->verdicts, "fees", (json_int_t)v->terms, "ordered",
			(json_int_t)v->ordered, "waiting", (json_int_t)v->waiting, "behind",
			(json_int_t)v->behind);
		(void)json_dumpf(end, stdout, JSON_INDENT(1));
		printf("\n");
		json_decref(end);
		return;
	}
	printf("order: %" PRIu64 " batches of %" PRIu64 " records, %" PRIu64 " verdicts, %" PRIu64
	       " fees; %" PRIu64 " records wait for a place in it\n",
	       v->batches, v->ordered, v->verdicts, v->terms, v->waiting);
	if (unseen)
		printf("database: not compared: %s\n", unseen);
	else
		printf("database: at place %" PRIu64 ", payout schemes saved at %" PRIu64
		       "; %" PRIu64 " places wait for it\n",
		       v->sql.position, v->sql.saved, v->behind);
	if (v->saves)
		printf("archive: %" PRIu64 " saves of the payout schemes\n", v->saves);
	if (v->problems)
		printf("journals: %" PRIu64 " problem%s\n", v->problems,
		       v->problems == 1 ? "" : "s");
	else
		printf("journals: ok, %" PRIu64 " of them%s%s\n", v->journals,
		       t->live ? ", while the pool writes them, pid " : "", t->live ? t->pid : "");
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *config = NULL, *data_dir = NULL;
	struct out o = {0};
	struct sql s = {0};
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the pool's configuration", .text = &config},
		{"--data-dir", 0, "DIR", "its data folder, or that of a backup (DIR/data)",
		 .text = &data_dir},
		{"--json", 0, NULL, "as JSON", .on = &o.json},
	};
	struct otd_journal_tool t;
	struct otd_err err = {0};
	size_t n_words;
	int exit_status = otd_args_parse(cmd, args, 3, argc, argv, NULL, &n_words, 0, 0);
	if (exit_status >= 0)
		return exit_status;
	otd_rc rc = otd_journal_tool_init(&t, config, data_dir, &err);
	/* Without the words of the database it is still said what the journals themselves say. */
	if (rc == OTD_OK && t.app.settings && !t.live)
		rc = look_at_sql(&t, &s, &err);
	struct otd_journal_verify v = {.env = t.app.env,
				       .data_dir = t.app.data_dir,
				       .live = t.live,
				       .sql = {.known = t.app.settings && !t.live,
					       .position = (uint64_t)s.position,
					       .saved = (uint64_t)s.saved,
					       .next = next_of,
					       .arg = &s},
				       .journal = on_journal,
				       .problem = on_problem,
				       .arg = &o};
	o.journals = json_array();
	o.problems = json_array();
	if (rc == OTD_OK)
		rc = otd_journal_verify(&v, &err);
	if (rc == OTD_OK) {
		print_end(&o, &t, &v);
	} else {
		json_decref(o.journals);
		json_decref(o.problems);
	}
	free(s.places);
	otd_journal_tool_finish(&t);
	if (rc)
		return otd_cmd_fail(cmd, "%s", err.text);
	return v.problems ? OTD_EXIT_FAILED : OTD_EXIT_OK;
}

const struct otd_cmd otd_cmd_journal_verify = {
	.name = "journal verify",
	.usage = "-c FILE | --data-dir DIR [--json]",
	.summary = "reads every segment and says whether all fit together",
	.more = "Checked are headers, checksums, sequences, epochs and groups of every segment, "
		"also of "
		"archived\n"
		"ones; the order that the coordinator's journal gives to the others; and, of a "
		"stopped "
		"pool with\n"
		"-c FILE, the place up to which the database says it has them. Nothing is changed. "
		"A "
		"pool may be\n"
		"running. Exit status 1: something is wrong; the line says file, offset and what "
		"to do.",
	.run = run,
};
