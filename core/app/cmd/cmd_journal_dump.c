/* otedama journal dump: records as lines. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/cmd/cmd_journal.h"
#include "app/cmd/journal_dump.h"
#include "base/text.h"
#include "pool/journal/journal_verify.h"
#include "pool/journal/journal_window.h"

/* --- what is wanted --- */

/* A sequence, or a time in UTC: 2026-11-21, 2026-11-21T10:00, 2026-11-21T10:00:30. */
static otd_rc take_bound(const char *text, uint64_t *seq, int64_t *ms)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
	if (otd_parse_u64(seq, text, strlen(text)) == OTD_OK)
		return OTD_OK;
	for (int i = 0; i < 3; i++) {
		struct tm tm = {0};
		const char *end = strptime(text, forms[i], &tm);
		if (end && !*end) {
			*ms = (int64_t)timegm(&tm) * 1000;
			return OTD_OK;
		}
	}
	return OTD_E_INVALID;
}

static otd_rc take_types(struct otd_dump *d, const struct otd_arg_list *list, struct otd_err *err)
{
	for (size_t i = 0; i < list->n; i++) {
		uint16_t type = otd_dump_type(list->item[i]);
		if (!type)
			return otd_fail(err, OTD_E_INVALID,
					"--type %s: no record is called that; there are %s",
					list->item[i], OTD_DUMP_TYPES);
		d->types |= 1ull << type;
	}
	return OTD_OK;
}

/* --- one journal --- */

struct dumping {
	struct otd_dump dump;
	struct otd_env *env;
	const char *data_dir;
	bool broken; /* a segment was not read to its end */
};

static void say_end(struct dumping *g, struct otd_journal_window *w, enum otd_journal_look look)
{
	uint64_t length = 0;
	struct otd_err err = {0};
	if (look == OTD_JOURNAL_END || otd_journal_window_length(w, &length, &err) != OTD_OK ||
	    (w->has_header && w->at >= length))
		return;
	g->broken = true;
	fprintf(stderr,
		"otedama: journal dump: %s: what stands at offset %" PRIu64
		" is no record: 'otedama journal verify' says more\n",
		w->path, w->has_header ? w->at : 0);
}

static otd_rc dump_segment(struct dumping *g, struct otd_journal_window *w, struct otd_err *err)
{
	enum otd_journal_look look = OTD_JOURNAL_BAD;
	struct otd_journal_frame f;
	struct otd_span payload;
	otd_rc rc = OTD_OK;
	while (rc == OTD_OK && w->has_header) {
		rc = otd_journal_window_look(w, &look, &f, &payload, err);
		if (rc || look != OTD_JOURNAL_GOOD)
			break;
		const struct otd_dump_record r = {.path = w->path,
						  .offset = w->at,
						  .seq = f.seq,
						  .type = f.type,
						  .group = f.group & OTD_JOURNAL_GROUP_MASK,
						  .restated = f.seq < w->header.first,
						  .payload = payload};
		rc = otd_dump_record(&g->dump, &r, err);
		otd_journal_window_next(w, &f);
	}
	if (rc == OTD_OK)
		say_end(g, w, look);
	return rc;
}

static otd_rc dump_journal(struct dumping *g, uint64_t epoch, struct otd_err *err)
{
	struct otd_journal_window w = {0};
	struct otd_journal_ids ids;
	char dir[512];
	if (!otd_journal_dir(dir, sizeof(dir), g->data_dir, epoch))
		return otd_fail(err, OTD_E_RANGE, "data_dir %s: the path is too long", g->data_dir);
	otd_rc rc = otd_journal_ids_all(&ids, g->env, dir, err);
	if (rc == OTD_OK)
		rc = otd_dump_begin(&g->dump, epoch, err);
	for (size_t i = 0; rc == OTD_OK && i < ids.n; i++) {
		rc = otd_journal_window_open_any(&w, g->env, dir, ids.id[i], err);
		if (rc == OTD_E_NOT_FOUND) { /* released meanwhile */
			rc = OTD_OK;
			continue;
		}
		if (rc == OTD_OK)
			rc = dump_segment(g, &w, err);
	}
	otd_journal_window_finish(&w);
	otd_journal_ids_finish(&ids);
	return rc;
}

/* word: "coordinator", "r-5" or "5". */
static otd_rc epoch_of(uint64_t *epoch, const char *word, struct otd_err *err)
{
	const char *digits = strncmp(word, "r-", 2) == 0 ? word + 2 : word;
	*epoch = 0;
	if (strcmp(word, OTD_JOURNAL_COORDINATOR) == 0 ||
	    (otd_parse_u64(epoch, digits, strlen(digits)) == OTD_OK && *epoch))
		return OTD_OK;
	return otd_fail(err, OTD_E_INVALID,
			"'%s' is no journal: coordinator, or r-N of a reactor's run", word);
}

static otd_rc dump_all(struct dumping *g, const char *const *words, size_t n, struct otd_err *err)
{
	struct otd_journal_epochs list = {0};
	uint64_t epoch;
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < n; i++) {
		rc = epoch_of(&epoch, words[i], err);
		if (rc == OTD_OK)
			rc = dump_journal(g, epoch, err);
	}
	if (n || rc)
		return rc;
	rc = otd_journal_epochs(&list, g->env, g->data_dir, err);
	if (rc == OTD_OK)
		rc = dump_journal(g, 0, err);
	for (size_t i = 0; rc == OTD_OK && i < list.n; i++)
		rc = dump_journal(g, list.epoch[i], err);
	otd_journal_epochs_finish(&list);
	return rc;
}

#define JOURNALS_MAX 16

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *config = NULL, *data_dir = NULL, *from = NULL, *to = NULL;
	const char *words[JOURNALS_MAX];
	struct otd_arg_list types = {0};
	struct dumping g = {0};
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the pool's configuration", .text = &config},
		{"--data-dir", 0, "DIR", "its data folder, or that of a backup (DIR/data)",
		 .text = &data_dir},
		{"--from", 0, "N|TIME",
		 "from this sequence, or this time (UTC: 2026-11-21T10:00:30) on", .text = &from},
		{"--to", 0, "N|TIME", "up to it", .text = &to},
		{"--type", 0, "NAME", "only such records; may be repeated: " OTD_DUMP_TYPES,
		 .list = &types},
		{"--worker", 0, "NAME", "only of this number, ACCOUNT, NAME or ACCOUNT.NAME",
		 .text = &g.dump.worker},
		{"--json", 0, NULL, "a JSON object a line", .on = &g.dump.json},
	};
	struct otd_journal_tool t;
	struct otd_err err = {0};
	size_t n_words;
	int exit_status =
		otd_args_parse(cmd, args, 7, argc, argv, words, &n_words, 0, JOURNALS_MAX);
	if (exit_status >= 0)
		return exit_status;
	g.dump.to_seq = UINT64_MAX;
	g.dump.to_ms = INT64_MAX;
	if ((from && take_bound(from, &g.dump.from_seq, &g.dump.from_ms) != OTD_OK) ||
	    (to && take_bound(to, &g.dump.to_seq, &g.dump.to_ms) != OTD_OK)) {
		otd_cmd_fail(cmd, "--from and --to take a sequence, or a time as "
				  "2026-11-21T10:00:30 (UTC)");
		return OTD_EXIT_USAGE;
	}
	if (take_types(&g.dump, &types, &err) != OTD_OK) {
		otd_cmd_fail(cmd, "%s", err.text);
		return OTD_EXIT_USAGE;
	}
	otd_rc rc = otd_journal_tool_init(&t, config, data_dir, &err);
	g.env = t.app.env;
	g.data_dir = t.app.data_dir;
	if (rc == OTD_OK)
		rc = dump_all(&g, words, n_words, &err);
	otd_dump_finish(&g.dump);
	otd_journal_tool_finish(&t);
	if (rc)
		return otd_cmd_fail(cmd, "%s", err.text);
	return g.broken ? OTD_EXIT_FAILED : OTD_EXIT_OK;
}

const struct otd_cmd otd_cmd_journal_dump = {
	.name = "journal dump",
	.usage = "-c FILE | --data-dir DIR [--from N|TIME] [--to N|TIME] [--type NAME] [--worker "
		 "NAME]"
		 " [--json] [JOURNAL..]",
	.summary = "shows records, one a line",
	.more = "JOURNAL is coordinator, or r-N of a reactor's run; all where none is named. A "
		"pool may be "
		"running.\n"
		"Archived segments are read too. A share's id is N-SEQUENCE. No secret stands in a "
		"journal.",
	.run = run,
};
