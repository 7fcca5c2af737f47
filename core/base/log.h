/*
 * Logs: one line an event, JSON or logfmt, levels by module, a rate limit an event.
 * otd_log(OTD_LOG_INFO, "pool", "block.found", "height=%llu hash=%s", ...): the text is logfmt
 * pairs; the JSON form is made from them. Values with blanks go through OTD_Q(). No secrets.
 * Callable from any thread before init too (then stderr, info and worse). [any-thread]
 */
#ifndef OTD_BASE_LOG_H
#define OTD_BASE_LOG_H

#include "base/err.h"
#include <otedama/plugin.h>

enum otd_log_form { OTD_LOG_LOGFMT = 0, OTD_LOG_JSON = 1 };

struct otd_log_conf {
	const char *path; /* NULL: stderr */
	enum otd_log_form form;
	int level; /* enum otd_log_level of modules not named */
	struct {
		char module[16];
		int level;
	} by_module[32];
	size_t n_by_module;
	uint32_t per_event_a_second; /* 0: no limit; what is left out is counted in a line */
};

otd_rc otd_log_init(const struct otd_log_conf *conf, int64_t (*wall_ms)(void *), void *ctx,
		    struct otd_err *err);
/* Other levels and another limit from now on; form and file stay. */
void otd_log_levels(const struct otd_log_conf *conf);
otd_rc otd_log_reopen(struct otd_err *err); /* after the file was moved away */
void otd_log_finish(void);
bool otd_log_on(int level, const char *module); /* cheap: whether it would be written */
void otd_log(int level, const char *module, const char *event, const char *fmt, ...)
	OTD_PRINTF(4, 5);

/* Lines that were not written since the start: the disk was full, the reader of stderr stuck. */
uint64_t otd_log_lost(void);
/* What goes before a line of error on stderr: journald reads its urgency from it; "" for all others. */
const char *otd_log_error_mark(void);

/* Quotes and escapes a value for logfmt; the buffer is the caller's, at least 3 bytes; what does
   not fit is cut. Returns out. */
char *otd_log_quote(char *out, size_t cap, const char *s, size_t n);
/* The same for a text in a call: otd_log(..., "name=%s", OTD_Q(name)); NULL gives "". */
#define OTD_LOG_VALUE 256
#define OTD_Q(s)      otd_log_quote_text((char[OTD_LOG_VALUE]){0}, (s))
char *otd_log_quote_text(char out[OTD_LOG_VALUE], const char *s);

#endif
