/*
 * Finds the function in a C source that could be a hash, by its declaration alone. It is no compiler:
 * it skips comments, texts, preprocessor lines and bodies, and looks at what stands outside of them.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "app/cmd/cmd_plugin_new.h"

#define WORDS_MAX 48

struct word {
	const char *s;
	size_t n;
};

/* What stands between two declarations. */
struct reader {
	const char *at, *end;
	struct word word[WORDS_MAX];
	size_t n_words; /* WORDS_MAX + 1: too many for a function of ours */
};

static bool is(const struct word *w, const char *s)
{
	return w->n == strlen(s) && memcmp(w->s, s, w->n) == 0;
}

static bool of_a_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool is_name(const struct word *w)
{
	return isalpha((unsigned char)w->s[0]) || w->s[0] == '_';
}

/* Behind a comment's end, or a text's. */
static const char *skip_to(const char *at, const char *end, const char *mark)
{
	size_t n = strlen(mark);
	for (; (size_t)(end - at) >= n; at++) {
		if (memcmp(at, mark, n) == 0)
			return at + n;
	}
	return end;
}

static const char *skip_text(const char *at, const char *end)
{
	char quote = *at++;
	while (at < end && *at != quote)
		at += *at == '\\' && end - at > 1 ? 2 : 1;
	return at < end ? at + 1 : end;
}

/* To the end of a preprocessor line and those that it goes on in. */
static const char *skip_line(const char *at, const char *end)
{
	while (at < end && *at != '\n')
		at += *at == '\\' && end - at > 1 ? 2 : 1;
	return at < end ? at : end;
}

/* Whether there was something to skip. */
static bool skip_one(struct reader *r)
{
	const char *at = r->at;
	size_t left = (size_t)(r->end - at);
	if (isspace((unsigned char)*at))
		r->at++;
	else if (left > 1 && memcmp(at, "/*", 2) == 0)
		r->at = skip_to(at + 2, r->end, "*/");
	else if (left > 1 && memcmp(at, "//", 2) == 0)
		r->at = skip_line(at, r->end);
	else if (*at == '"' || *at == '\'')
		r->at = skip_text(at, r->end);
	else if (*at == '#')
		r->at = skip_line(at, r->end);
	else
		return false;
	return true;
}

static struct word next_word(struct reader *r)
{
	struct word w = {r->at, 1};
	while (of_a_word(w.s[0]) && w.s + w.n < r->end && of_a_word(w.s[w.n]))
		w.n++;
	r->at += w.n;
	return w;
}

static void skip_body(struct reader *r)
{
	int depth = 1;
	while (r->at < r->end && depth > 0) {
		if (skip_one(r))
			continue;
		depth += (*r->at == '{') - (*r->at == '}');
		r->at++;
	}
}

/* The next declaration's words, up to its ; or body. False: the end. */
static bool next_declaration(struct reader *r)
{
	r->n_words = 0;
	while (r->at < r->end) {
		if (skip_one(r))
			continue;
		struct word w = next_word(r);
		if (w.s[0] == ';')
			return true;
		if (w.s[0] == '{') {
			skip_body(r);
			return true;
		}
		if (r->n_words < WORDS_MAX)
			r->word[r->n_words] = w;
		if (r->n_words <= WORDS_MAX)
			r->n_words++;
	}
	return false;
}

/* Bytes are written as one of these; a typedef of the author's may be anything. */
static bool is_bytes(const struct word *w, size_t n)
{
	static const char *const names[] = {"void",     "char",     "int",      "uint8_t",
					    "uint32_t", "uint64_t", "unsigned", "BYTE"};
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			if (is(&w[i], names[k]))
				return true;
		}
	}
	return false;
}

/* One parameter: 'i' a pointer to const, 'o' to what is not, 'l' an integer; 0: none of these. */
static char parameter(const struct word *w, size_t n)
{
	bool constant = false, pointer = false;
	for (size_t i = 0; i < n; i++) {
		if (is(&w[i], "const") && !pointer)
			constant = true;
		else if (w[i].s[0] == '*' || w[i].s[0] == '[')
			pointer = true;
		else if (w[i].s[0] == '(' || is(&w[i], "float") || is(&w[i], "double") ||
			 is(&w[i], "struct") || (is(&w[i], "void") && n == 1))
			return 0;
	}
	return n == 0 ? 0 : !pointer ? 'l' : constant ? 'i' : 'o';
}

/* What the words between the parentheses come to; false where no hash takes that. */
static bool parameters(char order[4], const struct word *w, size_t n, bool named)
{
	size_t from = 0, k = 0;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && w[i].s[0] != ',')
			continue;
		char c = parameter(w + from, i - from);
		if (!c || k == 3 || memchr(order, c, k) ||
		    (c != 'l' && !named && !is_bytes(w + from, i - from)))
			return false;
		order[k++] = c;
		from = i + 1;
	}
	order[k] = '\0';
	return strchr(order, 'i') && strchr(order, 'o');
}

/* Where the ( of "void NAME(..)" is, with what may stand before it; 0: it is no such thing. */
static size_t parenthesis(bool *is_static, const struct reader *r)
{
	size_t open = 0;
	*is_static = false;
	if (r->n_words < 5 || r->n_words > WORDS_MAX || r->word[r->n_words - 1].s[0] != ')')
		return 0;
	while (open < r->n_words && r->word[open].s[0] != '(')
		open++;
	if (open < 2 || open + 2 >= r->n_words || !is(&r->word[open - 2], "void") ||
	    !is_name(&r->word[open - 1]))
		return 0;
	for (size_t i = 0; i + 2 < open; i++) {
		*is_static |= is(&r->word[i], "static");
		if (!is(&r->word[i], "extern") && !is(&r->word[i], "inline") &&
		    !is(&r->word[i], "static"))
			return 0;
	}
	return open;
}

/* The words from first on as people would write them. */
static bool write_prototype(struct otd_c_function *f, const struct reader *r, size_t first)
{
	size_t at = 0;
	for (size_t i = first; i < r->n_words; i++) {
		bool tight = i > 0 && (strchr("(),[]", r->word[i].s[0]) ||
				       strchr("(*[", r->word[i - 1].s[0]));
		int n = snprintf(f->prototype + at, sizeof(f->prototype) - at, "%s%.*s",
				 i == first || tight ? "" : " ", (int)r->word[i].n, r->word[i].s);
		at += (size_t)n;
		if (n < 0 || at >= sizeof(f->prototype))
			return false;
	}
	return true;
}

/* Whether these words declare a function that a hash could be; static ones too, which *is_static says.
   named: the author says that it is the one, whatever its types are called. */
static bool fits(struct otd_c_function *f, bool *is_static, const struct reader *r, bool named)
{
	size_t open = parenthesis(is_static, r);
	if (open == 0 || r->word[open - 1].n >= sizeof(f->name) ||
	    !parameters(f->order, r->word + open + 1, r->n_words - open - 2, named))
		return false;
	snprintf(f->name, sizeof(f->name), "%.*s", (int)r->word[open - 1].n, r->word[open - 1].s);
	return write_prototype(f, r, open - 2);
}

/* The same function may be declared first and written later. */
static bool same(const struct otd_c_function *a, const struct otd_c_function *b)
{
	return strcmp(a->name, b->name) == 0;
}

otd_rc otd_c_function_find(struct otd_c_function *out, const char *text, size_t n, const char *name,
			   struct otd_err *err)
{
	struct reader r = {.at = text, .end = text + n};
	struct otd_c_function f;
	bool is_static, found = false, hidden = false;
	while (next_declaration(&r)) {
		if (!fits(&f, &is_static, &r, name != NULL) || (name && strcmp(f.name, name) != 0))
			continue;
		hidden |= is_static;
		if (is_static)
			continue;
		if (found && !same(out, &f))
			return otd_fail(err, OTD_E_EXISTS,
					"%s() and %s() could both be the hash; say which by "
					"--function NAME",
					out->name, f.name);
		*out = f;
		found = true;
	}
	if (found)
		return OTD_OK;
	return otd_fail(err, OTD_E_NOT_FOUND,
			"no function %s%s%s with one input, one output and at most one length%s",
			name ? name : "void NAME(const void *in, size_t len, void *out)",
			name ? "() that returns nothing," : "", name ? "" : ":",
			hidden ? "; the one that fits is static: remove that word" : "");
}
