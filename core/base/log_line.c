/* One event as logfmt or as JSON. The JSON is made from the logfmt pairs. */
#include "base/log_line.h"
#include "base/text.h"
#include <string.h>
#include <time.h>

/* Leaves room for the longest head of a line and its end. */
enum { PAIRS_MAX = 3500, DIGITS_MAX = 15 };

static const char *level_name(int level)
{
	static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
	return level >= 0 && level < 5 ? names[level] : "unknown";
}

/* RFC 3339, UTC, milliseconds. */
static void add_time(struct otd_bytes *out, int64_t wall_ms)
{
	struct tm tm;
	int64_t ms = wall_ms % 1000;
	time_t s = (time_t)(wall_ms / 1000);
	if (ms < 0) {
		ms += 1000;
		s--;
	}
	if (!gmtime_r(&s, &tm))
		memset(&tm, 0, sizeof(tm));
	(void)otd_bytes_format(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
			       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			       (int)ms);
}

/* A raw newline would forge a line; what is not UTF-8 would make the file unreadable to tools. */
static void clean(char *s)
{
	size_t n = strlen(s);
	if (n > PAIRS_MAX)
		s[n = PAIRS_MAX] = 0;
	for (size_t i = 0; i < n;) {
		size_t len = otd_utf8_sequence(s + i, n - i);
		if (len == 0 || (unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			s[i] = '?';
		i += len ? len : 1;
	}
}

/* Whole numbers and decimals, short enough for a double to hold them. */
static bool is_number(const char *s, size_t n)
{
	size_t i = 0, digits = 0, points = 0;
	if (n && s[0] == '-')
		i = 1;
	if (i + 1 < n && s[i] == '0' && s[i + 1] != '.')
		return false;
	for (; i < n; i++) {
		if (s[i] == '.' && points == 0 && digits && i + 1 < n)
			points++;
		else if (s[i] >= '0' && s[i] <= '9')
			digits++;
		else
			return false;
	}
	return digits > 0 && digits <= DIGITS_MAX;
}

static bool is_word(const char *s, size_t n, const char *word)
{
	return strlen(word) == n && memcmp(s, word, n) == 0;
}

static void add_value(struct otd_bytes *out, const char *s, size_t n)
{
	if (is_number(s, n) || is_word(s, n, "true") || is_word(s, n, "false"))
		(void)otd_bytes_add(out, s, n);
	else
		(void)otd_bytes_json(out, s, n);
}

/* Undoes otd_log_quote() in place up to the closing quote; *s moves behind it. Length. */
static size_t unquote(char **s)
{
	char *from = *s, *to = *s;
	while (*from && *from != '"') {
		if (*from != '\\' || !from[1]) {
			*to++ = *from++;
			continue;
		}
		char c = from[1];
		from += 2;
		uint32_t code = 0;
		if (c == 'u' && strlen(from) >= 4 && otd_hex_u32(&code, from, 4) == OTD_OK) {
			*to++ = (char)code; /* only control characters are written so */
			from += 4;
			continue;
		}
		*to++ = (char)(c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c);
	}
	size_t n = (size_t)(to - *s);
	*s = *from == '"' ? from + 1 : from;
	return n;
}

/* key=value key="quoted value" word: a word without '=' is a key that is true. */
static void add_json_pairs(struct otd_bytes *out, char *s)
{
	for (;;) {
		s += strspn(s, " ");
		if (!*s)
			return;
		size_t key = strcspn(s, " =");
		(void)otd_bytes_text(out, ",");
		(void)otd_bytes_json(out, s, key);
		(void)otd_bytes_text(out, ":");
		s += key;
		if (*s != '=') {
			(void)otd_bytes_text(out, "true");
			continue;
		}
		s++;
		if (*s == '"') {
			char *value = ++s;
			size_t n = unquote(&s);
			(void)otd_bytes_json(out, value, n);
			continue;
		}
		size_t n = strcspn(s, " ");
		add_value(out, s, n);
		s += n;
	}
}

void otd_log_line(struct otd_bytes *out, enum otd_log_form form, int64_t wall_ms, int level,
		  const char *module, const char *event, char *pairs)
{
	size_t start = out->len;
	bool json = form == OTD_LOG_JSON;
	clean(pairs);
	bool timed = wall_ms != OTD_LOG_NO_TIME;
	if (json)
		(void)otd_bytes_text(out, timed ? "{\"ts\":\"" : "{");
	else if (timed)
		(void)otd_bytes_text(out, "ts=");
	if (timed)
		add_time(out, wall_ms);
	if (!json) {
		(void)otd_bytes_format(out, "%slevel=%s module=%.32s event=%.64s%s%s\n",
				       timed ? " " : "", level_name(level), module, event,
				       *pairs ? " " : "", pairs);
		return;
	}
	(void)otd_bytes_format(out, "%s\"level\":\"%s\",\"module\":", timed ? "\"," : "",
			       level_name(level));
	(void)otd_bytes_json(out, module, strnlen(module, 32));
	(void)otd_bytes_text(out, ",\"event\":");
	(void)otd_bytes_json(out, event, strnlen(event, 64));
	size_t head = out->len;
	add_json_pairs(out, pairs);
	(void)otd_bytes_text(out, "}\n");
	/* Escapes can make it much longer than the logfmt was: then it says so instead. */
	if (out->failed || out->len - start > OTD_LOG_LINE_MAX) {
		out->failed = false;
		out->len = head;
		(void)otd_bytes_text(out, ",\"cut\":true}\n");
	}
}

char *otd_log_quote(char *out, size_t cap, const char *s, size_t n)
{
	size_t at = 0;
	out[at++] = '"';
	for (size_t i = 0; i < n;) {
		char piece[8] = {0};
		size_t seq = otd_utf8_sequence(s + i, n - i), len = 1;
		unsigned char c = (unsigned char)s[i];
		piece[0] = '?';
		if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t') {
			piece[0] = '\\';
			piece[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : (char)c;
			len = 2;
		} else if (c < 0x20 || c == 0x7f) {
			memcpy(piece, "\\u00", 4);
			otd_hex_encode(piece + 4, &c, 1);
			len = 6;
		} else if (seq) {
			memcpy(piece, s + i, seq);
			len = seq;
		}
		if (at + len + 2 > cap)
			break;
		memcpy(out + at, piece, len);
		at += len;
		i += seq ? seq : 1;
	}
	out[at++] = '"';
	out[at] = 0;
	return out;
}

char *otd_log_quote_text(char out[OTD_LOG_VALUE], const char *s)
{
	return otd_log_quote(out, OTD_LOG_VALUE, s ? s : "", s ? strlen(s) : 0);
}
