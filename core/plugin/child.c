/* The trial of a plugin in a process of its own, see plugin/child.h. */
#include "plugin/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_MAX  (4u << 20)
#define PRINTED_MAX 2048u
#define LINE_MAX    700u

/* What the child's report comes to. */
struct story {
	char step[120]; /* the last one begun */
	bool ended, ok;
	otd_rc rc;
	const char *words; /* of ERR */
};

static bool begins(const char *line, const char *word)
{
	return strncmp(line, word, strlen(word)) == 0;
}

static void read_line(struct story *s, char *line, struct otd_bytes *own)
{
	if (begins(line, "STEP ")) {
		(void)snprintf(s->step, sizeof(s->step), "%s", line + 5);
	} else if (strcmp(line, "OK") == 0) {
		s->ended = s->ok = true;
	} else if (begins(line, "ERR ")) {
		char *end;
		long rc = strtol(line + 4, &end, 10);
		s->ended = true;
		s->rc = rc < 0 && rc > -1000 ? (otd_rc)rc : OTD_E_INVALID;
		s->words = *end == ' ' ? end + 1 : end;
	} else if (own) {
		(void)!otd_bytes_text(own, line);
		(void)!otd_bytes_text(own, "\n");
	}
}

/* text is taken to pieces. */
static void read_report(struct story *s, char *text, struct otd_bytes *own)
{
	for (char *line = text, *end; *line; line = end) {
		end = strchr(line, '\n');
		if (!end)
			break; /* torn: it died in the middle */
		*end++ = '\0';
		read_line(s, line, own);
	}
}

/* The first line of what it printed, where that tells more; " (it printed: ...)". */
static void add_printed(struct otd_err *err, struct otd_bytes *printed)
{
	const char *p = otd_bytes_cstr(printed);
	size_t n, at = strlen(err->text);
	while (*p == '\n' || *p == ' ' || *p == '=')
		p++;
	n = strcspn(p, "\n");
	if (!n)
		return;
	n = n > 160 ? 160 : n;
	(void)snprintf(err->text + at, sizeof(err->text) - at, " (it printed: %.*s)", (int)n, p);
	for (char *c = err->text + at; *c; c++)
		*c = (unsigned char)*c < ' ' || *c == 127 ? ' ' : *c;
}

static otd_rc verdict(const struct otd_plugin_child_conf *conf, const struct story *s,
		      const struct otd_child_end *end, struct otd_bytes *printed,
		      struct otd_err *err)
{
	const char *step = s->step[0] ? s->step : "the beginning";
	struct otd_err local = {0};
	err = err ? err : &local;
	if (end->stopped)
		return otd_fail(err, OTD_E_CLOSED, "%s: its trial was given up: the pool is ending",
				conf->file);
	if (end->timed_out) {
		(void)otd_fail(
			err, OTD_E_TIMEOUT,
			"%s: hangs in %s: the trial process was killed after %lld ms", conf->file,
			step,
			(long long)(conf->wall_ms ? conf->wall_ms : OTD_PLUGIN_CHILD_WALL_MS));
		return err->rc;
	}
	if (end->signal) {
		(void)otd_fail(err, OTD_E_REFUSED, "%s: crashed the trial process in %s: %s",
			       conf->file, step, otd_child_signal(end->signal));
		add_printed(err, printed);
		return err->rc;
	}
	if (!s->ended) {
		(void)otd_fail(err, OTD_E_REFUSED,
			       "%s: ended the trial process in %s (exit status %d): a plugin never "
			       "exits",
			       conf->file, step, end->status);
		add_printed(err, printed);
		return err->rc;
	}
	return s->ok ? OTD_OK : otd_fail(err, s->rc, "%s", s->words);
}

otd_rc otd_plugin_child_judge(struct otd_bytes *own, char *report, const struct otd_child_end *end,
			      struct otd_bytes *printed, const struct otd_plugin_child_conf *conf,
			      struct otd_err *err)
{
	struct story s = {0};
	read_report(&s, report, own);
	return verdict(conf, &s, end, printed, err);
}

otd_rc otd_plugin_child_run(struct otd_bytes *own, const struct otd_plugin_child_conf *conf,
			    struct otd_err *err)
{
	struct otd_child_conf c = {.argv = conf->argv,
				   .wall_ms =
					   conf->wall_ms ? conf->wall_ms : OTD_PLUGIN_CHILD_WALL_MS,
				   .stop = conf->stop,
				   .input = conf->input};
	struct otd_child_end end;
	struct otd_bytes report, printed;
	char *text = NULL;
	otd_rc rc;

	otd_bytes_init(&report, REPORT_MAX);
	otd_bytes_init(&printed, PRINTED_MAX);
	rc = otd_child_run(&end, &report, &printed, &c, err);
	if (!rc) {
		text = strdup(otd_bytes_cstr(&report));
		if (!text)
			rc = otd_fail(err, OTD_E_NOMEM, "%s: no memory", conf->file);
	}
	if (!rc) {
		rc = otd_plugin_child_judge(own, text, &end, &printed, conf, err);
	}
	free(text);
	otd_bytes_finish(&report);
	otd_bytes_finish(&printed);
	return rc;
}

/* --- in the child --- */

static void say(const char *word, const char *text)
{
	char line[LINE_MAX];
	int n = snprintf(line, sizeof(line) - 1, "%s%s", word, text);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	for (int i = 0; i < n; i++)
		line[i] = line[i] == '\n' ? ' ' : line[i];
	line[n++] = '\n';
	otd_child_report(line, (size_t)n);
}

void otd_plugin_child_step(const char *what)
{
	say("STEP ", what);
}

void otd_plugin_child_say(const char *line)
{
	otd_child_report(line, strlen(line));
	otd_child_report("\n", 1);
}

int otd_plugin_child_end(const struct otd_err *err)
{
	if (!err || err->rc == OTD_OK) {
		say("OK", "");
		return 0;
	}
	char word[32];
	(void)snprintf(word, sizeof(word), "ERR %d ", err->rc);
	say(word, err->text);
	return 1;
}
