/* The stages of a check, each in a child: what it said and how it ended becomes one line. */
#include "app/check/plugin_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/check/plugin_check_wire.h"
#include "loop/child.h"

/* In this order: a pool loads, creates, and then works. */
const struct otd_pcheck_stage otd_pcheck_stages[] = {
	{"load", NULL, otd_pcheck_load},           {"options", NULL, otd_pcheck_option_table},
	{"create", NULL, otd_pcheck_lives},        {"leaks", NULL, otd_pcheck_leaks},
	{"memory", NULL, otd_pcheck_memory},       {"reconfigure", NULL, otd_pcheck_reconfigure},
	{"vectors", "algo", otd_pcheck_vectors},   {"real-block", "algo", otd_pcheck_real_block},
	{"facts", "algo", otd_pcheck_facts},       {"prepare", "algo", otd_pcheck_prepare},
	{"batch", "algo", otd_pcheck_batch},       {"scan", "algo", otd_pcheck_scan},
	{"threads", "algo", otd_pcheck_parallel},  {"speed", "algo", otd_pcheck_speed},
	{"credits", "payout", otd_pcheck_credits}, {"replay", "payout", otd_pcheck_replay},
	{"order", "payout", otd_pcheck_order},     {"state", "payout", otd_pcheck_state},
	{"answers", "chain", otd_pcheck_answers},  {"work", "chain", otd_pcheck_work},
	{"devices", "hw", otd_pcheck_devices},     {"database", "store", otd_pcheck_database},
};
const size_t otd_pcheck_n_stages = sizeof(otd_pcheck_stages) / sizeof(otd_pcheck_stages[0]);

#define REPORT_MAX  (4u << 20)
#define TEXT_MAX    4000u
#define PRINTED_MAX 4096u

void otd_pcheck_say(struct otd_pcheck_line *l, enum otd_pcheck_result result, const char *fmt, ...)
{
	va_list ap;
	char text[OTD_PCHECK_LINE];
	if (result < l->result)
		return;
	if (result > l->result)
		otd_bytes_clear(&l->text);
	l->result = result;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Found in more than one place, told once. */
	if (l->text.len && strstr(otd_bytes_cstr(&l->text), text))
		return;
	if (l->text.len)
		(void)!otd_bytes_text(&l->text, "; ");
	(void)!otd_bytes_text(&l->text, text);
}

static void take_figure(struct otd_pcheck_line *l, const char *text)
{
	struct otd_pcheck_figure *f = &l->figures[l->n_figures];
	unsigned long long value;
	if (l->n_figures < OTD_PCHECK_FIGURES &&
	    sscanf(text, "%31[a-z0-9_] %llu", f->name, &value) == 2) {
		f->value = value;
		l->n_figures++;
	}
}

/* One line of the child; *at keeps the last step. True: it was the end. */
static bool take_line(struct otd_pcheck_line *l, const char **at, const char *line)
{
	const char *text = line + 1;
	switch (line[0]) {
	case OTD_PCHECK_MARK_AT: *at = text; break;
	case OTD_PCHECK_MARK_OK: otd_pcheck_say(l, OTD_PCHECK_OK, "%s", text); break;
	case OTD_PCHECK_MARK_SKIP: otd_pcheck_say(l, OTD_PCHECK_SKIP, "%s", text); break;
	case OTD_PCHECK_MARK_WARN: otd_pcheck_say(l, OTD_PCHECK_WARN, "%s", text); break;
	case OTD_PCHECK_MARK_FAIL: otd_pcheck_say(l, OTD_PCHECK_FAIL, "%s", text); break;
	case OTD_PCHECK_MARK_FIGURE: take_figure(l, text); break;
	case OTD_PCHECK_MARK_USABLE: l->usable = true; break;
	case OTD_PCHECK_MARK_END: return true;
	default: break;
	}
	return false;
}

/* The whole report, whose lines become strings in place. True: the child came to its end. */
static bool take_report(struct otd_pcheck_line *l, const char **at, struct otd_bytes *report)
{
	char *p = (char *)report->ptr, *end = p + report->len;
	bool ended = false;
	while (p && p < end) {
		char *eol = memchr(p, '\n', (size_t)(end - p));
		if (!eol)
			break;
		*eol = 0;
		if (memchr(p, 0, (size_t)(eol - p)) == NULL && *p)
			ended = take_line(l, at, p) || ended;
		p = eol + 1;
	}
	return ended;
}

static void say_end(struct otd_pcheck_line *l, const struct otd_child_end *end, const char *at,
		    int64_t limit_ms)
{
	if (end->timed_out)
		otd_pcheck_say(
			l, OTD_PCHECK_FAIL,
			"does not come back within %lld s: %s (killed; --limit gives it more "
			"time)",
			(long long)(limit_ms / 1000), at);
	else if (end->signal)
		otd_pcheck_say(l, OTD_PCHECK_FAIL, "dies of %s: %s", otd_child_signal(end->signal),
			       at);
	else
		otd_pcheck_say(l, OTD_PCHECK_FAIL,
			       "ends the program by exit(%d): %s; a plugin returns an error",
			       end->status, at);
}

bool otd_pcheck_stage_run(struct otd_pcheck_line *l, struct otd_bytes *printed,
			  const struct otd_pcheck_stage *stage, const struct otd_pcheck_job *job)
{
	char program[4096];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	const char *argv[] = {program,     "plugin",  "check",      OTD_PCHECK_IN_CHILD,
			      stage->name, job->file, job->options, NULL};
	const struct otd_child_conf conf = {.argv = argv, .wall_ms = job->limit_ms};
	struct otd_child_end end;
	struct otd_bytes report;
	struct otd_err err = {0};
	const char *at = "before any of its code ran";
	otd_rc rc;
	if (n < 0 || (size_t)n >= sizeof(program) - 1) {
		otd_pcheck_say(l, OTD_PCHECK_FAIL, "cannot tell where this program is");
		return false;
	}
	program[n] = 0;
	otd_bytes_init(&report, REPORT_MAX);
	rc = otd_child_run(&end, &report, printed, &conf, &err);
	if (rc)
		otd_pcheck_say(l, OTD_PCHECK_FAIL, "%s", err.text);
	else if (!take_report(l, &at, &report))
		say_end(l, &end, at, job->limit_ms);
	otd_bytes_finish(&report);
	return rc == OTD_OK;
}
