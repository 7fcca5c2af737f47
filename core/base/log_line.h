/* The text of one log line. Inside of the log. */
#ifndef OTD_BASE_LOG_LINE_H
#define OTD_BASE_LOG_LINE_H

#include "base/bytes.h"
#include "base/log.h"

/* Instead of a time: whoever reads the line adds one. */
#define OTD_LOG_NO_TIME INT64_MIN

/* Longest line with its newline: what a pipe takes in one piece. */
#define OTD_LOG_LINE_MAX 4096

/*
 * Appends one line with its newline. pairs: logfmt, cut and cleaned of control characters here; it
 * is changed. Nothing is appended where out has no room for OTD_LOG_LINE_MAX more bytes.
 */
void otd_log_line(struct otd_bytes *out, enum otd_log_form form, int64_t wall_ms, int level,
		  const char *module, const char *event, char *pairs);

#endif
