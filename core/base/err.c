/* Error texts: one line, bounded, without control characters. */
#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A newline from a peer in an error text could forge a second log line. */
static void one_line(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
	}
}

otd_rc otd_fail(struct otd_err *err, otd_rc rc, const char *fmt, ...)
{
	if (err) {
		/* Through a copy: the old text may be among the arguments. */
		char text[sizeof(err->text)];
		va_list ap;
		va_start(ap, fmt);
		(void)vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		one_line(text);
		memcpy(err->text, text, sizeof(text));
		err->rc = rc;
	}
	return rc;
}

otd_rc otd_fail_prefix(struct otd_err *err, const char *fmt, ...)
{
	if (!err)
		return OTD_E_INVALID;
	char prefix[128], text[sizeof(err->text)];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	size_t n = strlen(prefix), kept = strnlen(err->text, sizeof(err->text) - 1);
	if (kept > sizeof(text) - n - 3)
		kept = sizeof(text) - n - 3;
	memcpy(text, prefix, n);
	memcpy(text + n, ": ", 2);
	memcpy(text + n + 2, err->text, kept);
	text[n + 2 + kept] = 0;
	one_line(text);
	memcpy(err->text, text, sizeof(text));
	return err->rc;
}

const char *otd_rc_name(otd_rc rc)
{
	static const char *const names[] = {
		"ok",
		"invalid",
		"out of range",
		"no memory",
		"i/o error",
		"not found",
		"exists",
		"busy",
		"timeout",
		"refused",
		"corrupt",
		"version",
		"unsupported",
		"overflow",
		"stale",
		"closed",
		"commit fate unknown",
	};
	if (rc > 0 || rc <= -(otd_rc)(sizeof(names) / sizeof(names[0])))
		return "unknown error";
	return names[-rc];
}

_Noreturn void otd_assert_failed(const char *cond, const char *file, int line)
{
	fprintf(stderr, "otedama: assertion failed: %s at %s:%d; please report this line\n", cond,
		file, line);
	abort();
}
