/* otedama plugin check FILE: whether a plugin keeps to the contract, one line a check. */
#include "app/check/plugin_check.h"
#include "app/check/plugin_check_wire.h"
#include "app/cmd/cmd.h"
#include "app/cmd/cmd_plugin.h"
#include "app/cmd/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "loop/loop.h"

#define LINES_MAX   64
#define LIMIT_S     60
#define PRINTED_MAX 4096u
#define FILE_MAX    ((uint64_t)64 << 20)

struct check {
	struct otd_pcheck_file file;
	struct otd_pcheck_job job;
	struct otd_pcheck_line lines[LINES_MAX];
	size_t n;
	size_t count[OTD_PCHECK_FAIL + 1];
	struct otd_arg_list only; /* names of checks; empty: all */
	bool json;
};

static const char *const words_of[] = {"ok", "skip", "warn", "FAIL"};

static struct otd_pcheck_line *begin(struct check *c, const char *name)
{
	struct otd_pcheck_line *l = &c->lines[c->n < LINES_MAX ? c->n++ : LINES_MAX - 1];
	l->name = name;
	otd_bytes_init(&l->text, 4000);
	return l;
}

/* What was found before is not told again at length. */
static void shorten(const struct check *c, struct otd_pcheck_line *l)
{
	for (size_t i = 0; i + 1 < c->n; i++) {
		const struct otd_pcheck_line *before = &c->lines[i];
		if (l->result != OTD_PCHECK_FAIL || before->result != OTD_PCHECK_FAIL ||
		    before->text.len != l->text.len ||
		    memcmp(before->text.ptr, l->text.ptr, l->text.len) != 0)
			continue;
		otd_bytes_clear(&l->text);
		(void)!otd_bytes_format(&l->text, "as '%s'", before->name);
		return;
	}
}

static void end(struct check *c, struct otd_pcheck_line *l)
{
	shorten(c, l);
	c->count[l->result]++;
	if (c->json)
		return;
	printf("%-4s  %-12s %s\n", words_of[l->result], l->name, otd_bytes_cstr(&l->text));
	(void)fflush(stdout);
}

/* --- the parts --- */

static bool wanted(const struct check *c, const char *name)
{
	bool found = !c->only.n;
	for (size_t i = 0; i < c->only.n; i++)
		found = found || strcmp(c->only.item[i], name) == 0;
	return found;
}

static bool read_file(struct check *c, struct otd_err *err)
{
	const struct otd_files *fs = otd_files_real();
	struct otd_file *f = NULL;
	uint64_t length = 0;
	uint8_t *p = NULL;
	otd_rc rc = fs->open(fs->ctx, &f, c->file.path, OTD_OPEN_READ);
	if (!rc)
		rc = fs->length(fs->ctx, f, &length);
	if (rc)
		rc = otd_fail(err, rc, "%s: %s", c->file.path, fs->last_error(fs->ctx));
	else if (length == 0 || length > FILE_MAX)
		rc = otd_fail(err, OTD_E_RANGE, "%s: %s", c->file.path,
			      length ? "is longer than 64 MiB, which no plugin is" : "is empty");
	if (!rc && !(p = malloc((size_t)length)))
		rc = otd_fail(err, OTD_E_NOMEM, "%s: no memory to read it", c->file.path);
	if (!rc) {
		rc = fs->read(fs->ctx, f, &c->file.n, p, (size_t)length, 0);
		if (rc)
			rc = otd_fail(err, rc, "%s: %s", c->file.path, fs->last_error(fs->ctx));
	}
	if (f)
		fs->close(fs->ctx, f);
	c->file.p = p;
	return rc == OTD_OK;
}

/* Runs nothing of the file. False: it is no plugin, and there is nothing to go on with. */
static bool check_bytes(struct check *c)
{
	for (size_t i = 0; i < otd_pcheck_n_file_rules; i++) {
		if (i >= OTD_PCHECK_FILE_FIRST && !wanted(c, otd_pcheck_file_rules[i].name))
			continue;
		struct otd_pcheck_line *l = begin(c, otd_pcheck_file_rules[i].name);
		otd_pcheck_file_rules[i].run(&c->file, l);
		end(c, l);
		if (i < OTD_PCHECK_FILE_FIRST && l->result == OTD_PCHECK_FAIL)
			return false;
	}
	return true;
}

static bool concerns(const struct otd_pcheck_stage *s, const char *kind)
{
	size_t n = s->kind ? strlen(s->kind) : 0;
	return !s->kind || (strncmp(kind, s->kind, n) == 0 && kind[n] == '/');
}

/* What plugins wrote to standard output or error, in any of the children. */
static void check_quiet(struct check *c, struct otd_bytes *printed)
{
	struct otd_pcheck_line *l = begin(c, "quiet");
	char text[200];
	size_t n = printed->len < sizeof(text) - 1 ? printed->len : sizeof(text) - 1;
	for (size_t i = 0; i < n; i++)
		text[i] = printed->ptr[i] >= ' ' && printed->ptr[i] < 127 ? (char)printed->ptr[i]
									  : ' ';
	text[n] = 0;
	if (n)
		otd_pcheck_say(l, OTD_PCHECK_FAIL,
			       "prints '%s': a plugin prints nothing, it has core->log() and "
			       "core->set_error()",
			       text);
	else
		otd_pcheck_say(l, OTD_PCHECK_OK, "printed nothing");
	end(c, l);
}

/* Runs the file's code, each part in a child. What cannot be loaded or created is not tried further. */
static void check_code(struct check *c)
{
	struct otd_bytes printed;
	const char *broken = NULL;
	otd_bytes_init(&printed, PRINTED_MAX);
	for (size_t i = 0; i < otd_pcheck_n_stages; i++) {
		const struct otd_pcheck_stage *s = &otd_pcheck_stages[i];
		if (!concerns(s, c->file.note.kind) || !wanted(c, s->name))
			continue;
		struct otd_pcheck_line *l = begin(c, s->name);
		if (broken)
			otd_pcheck_say(l, OTD_PCHECK_SKIP, "not tried, because '%s' failed",
				       broken);
		else
			(void)otd_pcheck_stage_run(l, &printed, s, &c->job);
		end(c, l);
		/* Without a file that loads and an instance nothing else can be said. */
		if (!l->usable && !broken &&
		    (strcmp(s->name, "load") == 0 || strcmp(s->name, "create") == 0))
			broken = s->name;
	}
	if (wanted(c, "quiet") || printed.len)
		check_quiet(c, &printed);
	otd_bytes_finish(&printed);
}

/* --- what is printed at the end --- */

static void print_summary(const struct check *c)
{
	const char *kind = c->file.note.kind;
	printf("%s: %s%s%s%s%zu ok, %zu failed", c->file.path, kind, kind[0] ? " " : "",
	       c->file.note.id, kind[0] ? ": " : "", c->count[OTD_PCHECK_OK],
	       c->count[OTD_PCHECK_FAIL]);
	if (c->count[OTD_PCHECK_WARN])
		printf(", %zu to look at", c->count[OTD_PCHECK_WARN]);
	if (c->count[OTD_PCHECK_SKIP])
		printf(", %zu not tried", c->count[OTD_PCHECK_SKIP]);
	printf("\n");
}

static otd_rc line_json(struct otd_bytes *b, struct otd_pcheck_line *l)
{
	otd_rc rc = otd_bytes_format(b, "{\"check\":\"%s\",\"result\":\"%s\",\"text\":", l->name,
				     l->result == OTD_PCHECK_FAIL ? "fail" : words_of[l->result]);
	if (!rc)
		rc = otd_bytes_json(b, otd_bytes_cstr(&l->text), l->text.len);
	for (size_t i = 0; !rc && i < l->n_figures; i++)
		rc = otd_bytes_format(b, ",\"%s\":%llu", l->figures[i].name,
				      (unsigned long long)l->figures[i].value);
	return rc ? rc : otd_bytes_text(b, "}");
}

static otd_rc print_json(struct check *c)
{
	struct otd_bytes b;
	otd_rc rc;
	otd_bytes_init(&b, 1u << 20);
	rc = otd_bytes_text(&b, "{\"file\":");
	if (!rc)
		rc = otd_bytes_json(&b, c->file.path, strlen(c->file.path));
	if (!rc)
		rc = otd_bytes_format(
			&b, ",\"kind\":\"%s\",\"id\":\"%s\",\"failed\":%zu,\"checks\":[",
			c->file.note.kind, c->file.note.id, c->count[OTD_PCHECK_FAIL]);
	for (size_t i = 0; !rc && i < c->n; i++) {
		rc = otd_bytes_text(&b, i ? ",\n " : "\n ");
		if (!rc)
			rc = line_json(&b, &c->lines[i]);
	}
	if (!rc)
		rc = otd_bytes_text(&b, "]}\n");
	if (!rc)
		printf("%s", otd_bytes_cstr(&b));
	otd_bytes_finish(&b);
	return rc;
}

static int check(const struct otd_cmd *cmd, struct check *c)
{
	struct otd_err err = {0};
	int exit_status = OTD_EXIT_OK;
	if (!read_file(c, &err)) {
		free((void *)c->file.p);
		return otd_cmd_fail(cmd, "%s", err.text);
	}
	if (check_bytes(c))
		check_code(c);
	if (c->json && print_json(c))
		exit_status = otd_cmd_fail(cmd, "%s: no memory", c->file.path);
	if (!c->json)
		print_summary(c);
	for (size_t i = 0; i < c->n; i++)
		otd_bytes_finish(&c->lines[i].text);
	free((void *)c->file.p);
	return c->count[OTD_PCHECK_FAIL] ? OTD_EXIT_FAILED : exit_status;
}

static bool is_check(const char *name)
{
	for (size_t i = 0; i < otd_pcheck_n_file_rules; i++) {
		if (strcmp(otd_pcheck_file_rules[i].name, name) == 0)
			return true;
	}
	for (size_t i = 0; i < otd_pcheck_n_stages; i++) {
		if (strcmp(otd_pcheck_stages[i].name, name) == 0)
			return true;
	}
	return strcmp(name, "quiet") == 0;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *limit = NULL;
	static struct check c;
	const struct otd_arg args[] = {
		{"--options", 0, "YAML", "of the instances that are made: '{n: 2048}'",
		 .text = &c.job.options},
		{"--limit", 0, "SECONDS", "a check that takes longer has failed [60]",
		 .text = &limit},
		{"--only", 0, "CHECK", "this one alone, by its name in the report; may be repeated",
		 .list = &c.only},
		{"--json", 0, NULL, "as JSON", .on = &c.json},
	};
	const char *words[1];
	char path[4096];
	size_t n_words;
	uint64_t seconds = LIMIT_S;
	if (argc > 0 && strcmp(argv[0], OTD_PCHECK_IN_CHILD) == 0)
		return otd_pcheck_stage_child(argc - 1, argv + 1);
	int exit_status = otd_args_parse(cmd, args, 4, argc, argv, words, &n_words, 1, 1);
	if (exit_status >= 0)
		return exit_status;
	if (limit &&
	    (otd_parse_u64(&seconds, limit, strlen(limit)) || seconds < 1 || seconds > 86400)) {
		otd_cmd_fail(cmd, "--limit wants seconds, 1 to 86400, not '%s'", limit);
		return OTD_EXIT_USAGE;
	}
	for (size_t i = 0; i < c.only.n; i++) {
		if (!is_check(c.only.item[i])) {
			otd_cmd_fail(cmd, "there is no check '%s'; without --only all are listed",
				     c.only.item[i]);
			return OTD_EXIT_USAGE;
		}
	}
	otd_log_only_warnings();
	/* A name without a folder is one of a library to the dynamic linker, and not of a file. */
	if ((size_t)snprintf(path, sizeof(path), "%s%s", strchr(words[0], '/') ? "" : "./",
			     words[0]) >= sizeof(path))
		return otd_cmd_fail(cmd, "the path is too long: %.80s...", words[0]);
	c.file.path = c.job.file = path;
	c.job.limit_ms = (int64_t)seconds * 1000;
	return check(cmd, &c);
}

const struct otd_cmd otd_plugin_check = {
	.name = "plugin check",
	.usage = "FILE.so [--options YAML] [--limit SECONDS] [--only CHECK].. [--json]",
	.summary = "whether a plugin keeps to the contract, one line a check",
	.more = "First what the file says of itself; then its code, in children of their own, so "
		"that a crash\n"
		"or an endless loop is one line of the report. Exit status 1 where a check "
		"failed.\n"
		"docs/plugin-check.md says what each one looks for.",
	.run = run,
};
