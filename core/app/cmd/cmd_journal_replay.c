/* otedama journal replay: what the journals come to, beside what the database says. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app_parts.h"
#include "app/cmd/cmd_journal.h"
#include "app/cmd/offline.h"
#include "base/text.h"
#include "pool/backup/copy.h"
#include "pool/journal/replay.h"

struct replaying {
	struct otd_journal_tool t;
	const char *data_dir;   /* the pool's own */
	char scratch[PATH_MAX]; /* "": not made */
	struct otd_app_pool *pools;
	bool json;
	json_t *differences;
	bool progress;
};

/* --- a copy of the database --- */

struct copying {
	struct replaying *r;
	otd_rc rc;
	struct otd_err *err;
};

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);
	return n >= k && strcmp(s + n - k, end) == 0;
}

/* What lies in data_dir itself: the database is among it, whatever its name is. */
static bool copy_one(void *arg, const char *name)
{
	struct copying *c = arg;
	const struct otd_files *f = c->r->t.app.env->files;
	char from[PATH_MAX], to[PATH_MAX];
	struct stat st;
	if (snprintf(from, sizeof(from), "%s/%s", c->r->data_dir, name) >= (int)sizeof(from) ||
	    snprintf(to, sizeof(to), "%s/%s", c->r->scratch, name) >= (int)sizeof(to)) {
		c->rc = otd_fail(c->err, OTD_E_RANGE, "%s: the path is too long", c->r->data_dir);
		return false;
	}
	if (stat(from, &st) != 0 || !S_ISREG(st.st_mode) || ends_with(name, ".log") ||
	    ends_with(name, ".lock"))
		return true;
	c->rc = otd_copy_file(f, from, to, UINT64_MAX, NULL, c->err);
	return c->rc == OTD_OK;
}

static otd_rc make_scratch(struct replaying *r, const char *where, struct otd_err *err)
{
	const struct otd_files *f = r->t.app.env->files;
	const char *tmp = getenv("TMPDIR");
	struct copying c = {.r = r, .err = err};
	if (!where)
		where = tmp && *tmp ? tmp : "/tmp";
	int n = snprintf(r->scratch, sizeof(r->scratch), "%s/otedama-replay-XXXXXX", where);
	if (n < 0 || (size_t)n >= sizeof(r->scratch) || !mkdtemp(r->scratch)) {
		r->scratch[0] = '\0';
		return otd_fail(err, OTD_E_IO,
				"cannot make a folder for a copy of the database in %s: %s; give "
				"another one with --scratch",
				where, strerror(errno));
	}
	otd_rc rc = f->list(f->ctx, r->data_dir, copy_one, &c);
	if (rc)
		return otd_fail(err, rc, "cannot list %s: %s", r->data_dir, f->last_error(f->ctx));
	if (c.rc)
		otd_fail_prefix(err, "no copy of the database (--scratch gives another folder)");
	return c.rc;
}

/* --- playing --- */

static void on_difference(void *arg, const char *text)
{
	struct replaying *r = arg;
	if (r->json)
		json_array_append_new(r->differences, json_string(text));
	else
		printf("DIFFERS: %s\n", text);
}

static void on_progress(void *arg, uint64_t at, uint64_t first, uint64_t last)
{
	struct replaying *r = arg;
	if (r->progress)
		fprintf(stderr, "\rreplay: %" PRIu64 " %%   ",
			last > first ? (at - first) * 100 / (last - first) : 100);
}

static otd_rc with_pools(struct replaying *r, struct otd_replay_result *out, struct otd_err *err)
{
	struct otd_app *app = &r->t.app;
	const struct otd_settings *s = app->settings;
	size_t n = s->n_pools ? s->n_pools : 1;
	struct otd_acct_pool *pools = calloc(n, sizeof(*pools));
	struct otd_acct_scheme(*schemes)[OTD_APP_SCHEMES_MAX] = calloc(n, sizeof(*schemes));
	r->pools = calloc(n, sizeof(*r->pools));
	otd_rc rc =
		pools && schemes && r->pools ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < s->n_pools; i++) {
		struct otd_app_pool *p = &r->pools[i];
		snprintf(p->name, sizeof(p->name), "%s", s->pools[i].name);
		rc = otd_app_schemes_make(app, p, &s->pools[i], err);
		if (rc == OTD_OK)
			pools[i] = otd_app_acct_pool(p, i, &s->pools[i], schemes[i]);
	}
	const struct otd_replay_conf conf = {
		.loop = app->loop,
		.store = app->store,
		.data_dir = r->data_dir,
		.pools = pools,
		.n_pools = s->n_pools,
		/* Two hours more: rows of an hour go by their first minute. */
		.oldest_minute = (otd_wall_ms(app->env) - s->history.hours_ms) / 60000 + 120,
		.differs = on_difference,
		.progress = on_progress,
		.arg = r};
	if (rc == OTD_OK)
		rc = otd_replay(&conf, out, err);
	if (r->progress)
		fprintf(stderr, "\r%40s\r", "");
	free(pools);
	free(schemes);
	return rc;
}

static otd_rc play(struct replaying *r, const char *config, const char *data_dir,
		   const char *scratch, struct otd_replay_result *out, struct otd_err *err)
{
	otd_rc rc = otd_journal_tool_init(&r->t, config, data_dir, err);
	if (rc)
		return rc;
	r->data_dir = r->t.app.data_dir;
	if (r->t.live)
		return otd_fail(
			err, OTD_E_BUSY,
			"a pool runs on %s, pid %s, and has the database for itself: stop it, "
			"or make a backup and replay that with --data-dir BACKUP/data",
			r->data_dir, r->t.pid);
	rc = make_scratch(r, scratch, err);
	r->t.app.data_dir = r->scratch;
	if (rc == OTD_OK)
		rc = otd_offline_store(&r->t.app, false, err);
	return rc == OTD_OK ? with_pools(r, out, err) : rc;
}

static void print_text(const struct otd_replay_result *x)
{
	char work[OTD_I128_TEXT];
	printf("played: places %" PRIu64 " to %" PRIu64 ", %s: %" PRIu64
	       " shares of work %s, %" PRIu64 " blocks, %" PRIu64 " verdicts\n",
	       x->from, x->to,
	       x->whole      ? "from the first share on"
	       : x->archived ? "from an archived save on"
			     : "from the last save on",
	       x->shares, otd_format_i128(work, (otd_i128)x->work), x->blocks, x->verdicts);
	printf("compared: %" PRIu64 " counts of a worker and minute, %" PRIu64 " credits, %" PRIu64
	       " states of payout schemes\n",
	       x->counts, x->credits, x->states);
	for (size_t i = 0; i < x->states && i < sizeof(x->digest) / sizeof(x->digest[0]); i++)
		printf("state: %s\n", x->digest[i]);
	if (x->skipped)
		printf("left out: %" PRIu64 " shares of minutes that had begun before\n",
		       x->skipped);
	if (x->unowned)
		printf("left out: %" PRIu64
		       " shares of pools or payout schemes that are not in the configuration\n",
		       x->unowned);
	if (x->differences)
		printf("replay: %" PRIu64 " difference%s\n", x->differences,
		       x->differences == 1 ? "" : "s");
	else
		printf("replay: equal\n");
}

static void print_json(struct replaying *r, const struct otd_replay_result *x)
{
	char work[OTD_I128_TEXT];
	json_t *states = json_array();
	for (size_t i = 0; i < x->states && i < sizeof(x->digest) / sizeof(x->digest[0]); i++)
		json_array_append_new(states, json_string(x->digest[i]));
	json_t *o =
		json_pack("{s:b, s:I, s:I, s:b, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, "
			  "s:I, s:o, s:o}",
			  "equal", (int)(x->differences == 0), "from", (json_int_t)x->from, "to",
			  (json_int_t)x->to, "whole", (int)x->whole, "saved", (json_int_t)x->saved,
			  "archived", (json_int_t)x->archived, "shares", (json_int_t)x->shares,
			  "work", otd_format_i128(work, (otd_i128)x->work), "blocks",
			  (json_int_t)x->blocks, "verdicts", (json_int_t)x->verdicts, "counts",
			  (json_int_t)x->counts, "credits", (json_int_t)x->credits, "skipped",
			  (json_int_t)x->skipped, "unowned", (json_int_t)x->unowned, "differences",
			  (json_int_t)x->differences, "states", states, "differs", r->differences);
	r->differences = NULL;
	(void)json_dumpf(o, stdout, JSON_INDENT(1));
	printf("\n");
	json_decref(o);
}

static void finish(struct replaying *r)
{
	const struct otd_files *f = r->t.app.env ? r->t.app.env->files : NULL;
	size_t n = r->t.app.settings ? r->t.app.settings->n_pools : 0;
	for (size_t i = 0; r->pools && i < n; i++)
		otd_app_schemes_free(&r->pools[i], 0);
	free(r->pools);
	otd_offline_close(&r->t.app);
	if (f && r->scratch[0])
		otd_remove_tree(f, r->scratch);
	json_decref(r->differences);
	otd_journal_tool_finish(&r->t);
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *config = NULL, *data_dir = NULL, *scratch = NULL;
	struct replaying r = {.differences = json_array(), .progress = isatty(STDERR_FILENO)};
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the pool's configuration", .text = &config},
		{"--data-dir", 0, "DIR", "another data folder, such as that of a backup (DIR/data)",
		 .text = &data_dir},
		{"--scratch", 0, "DIR", "where a copy of the database fits; $TMPDIR or /tmp else",
		 .text = &scratch},
		{"--json", 0, NULL, "as JSON", .on = &r.json},
	};
	struct otd_replay_result out = {0};
	struct otd_err err = {0};
	size_t n_words;
	int exit_status = otd_args_parse(cmd, args, 4, argc, argv, NULL, &n_words, 0, 0);
	if (exit_status < 0 && !config) {
		otd_cmd_fail(cmd, "usage: otedama %s %s", cmd->name, cmd->usage);
		exit_status = OTD_EXIT_USAGE;
	}
	if (exit_status >= 0) {
		json_decref(r.differences);
		return exit_status;
	}
	otd_rc rc = play(&r, config, data_dir, scratch, &out, &err);
	if (rc == OTD_OK && r.json)
		print_json(&r, &out);
	else if (rc == OTD_OK)
		print_text(&out);
	finish(&r);
	if (rc)
		return otd_cmd_fail(cmd, "%s", err.text);
	return out.differences ? OTD_EXIT_FAILED : OTD_EXIT_OK;
}

const struct otd_cmd otd_cmd_journal_replay = {
	.name = "journal replay",
	.usage = "-c FILE [--data-dir DIR] [--scratch DIR] [--json]",
	.summary = "plays the journals again and compares with the database",
	.more = "Of a stopped pool, or of a backup: shares, blocks and payout schemes are played "
		"into memory, "
		"from\n"
		"the first share on where the journals (with their archive) go back so far, else "
		"from the "
		"last save\n"
		"of the payout schemes, up to where the database is. Counts, credits and the "
		"schemes' states "
		"are\n"
		"compared. The data folder is only read; the database is copied first. Exit status "
		"1: "
		"something\n"
		"differs; the lines say where.",
	.run = run,
};
