/* Which function of a C source is taken for the hash (plugin new --from). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/cmd/c_function.c"

/* What is found: "prototype/order", or the words of the error. */
static const char *find(const char *text, const char *name)
{
	static char said[600];
	struct otd_c_function f;
	struct otd_err err;
	if (otd_c_function_find(&f, text, strlen(text), name, &err) == OTD_OK)
		snprintf(said, sizeof(said), "%s/%s", f.prototype, f.order);
	else
		snprintf(said, sizeof(said), "%s", err.text);
	return said;
}

#define assert_found(text, name, what) assert_string_equal(find(text, name), what)
#define assert_said(text, name, what)  assert_non_null(strstr(find(text, name), what))

static void shapes(void **state)
{
	(void)state;
	assert_found("void f(const void *in, size_t len, void *out) { }", NULL,
		     "void f(const void *in, size_t len, void *out)/ilo");
	assert_found("void f(const char* input, char* output, uint32_t len);", NULL,
		     "void f(const char *input, char *output, uint32_t len)/iol");
	assert_found("extern void f(uint8_t out[32], unsigned char const *in);", NULL,
		     "void f(uint8_t out[32], unsigned char const *in)/oi");
	assert_found("struct s { int a; };\nint x = 3, y[] = {1, 2};\n"
		     "static int help(int a) { if (a) { return '}'; } return 0; }\n"
		     "inline void f(void *o, const void *i) { help(1); }\n",
		     NULL, "void f(void *o, const void *i)/oi");
}

static void what_is_skipped(void **state)
{
	(void)state;
	assert_found("/* void a(const void *i, void *o); */ // void b(const void *i, void *o);\n"
		     "#define C void c(const void *i, \\\n void *o);\n"
		     "const char *t = \"\\\"void d(const void *i, void *o);\";\n"
		     "void f(const void *i, void *o);",
		     NULL, "void f(const void *i, void *o)/io");
	assert_said("static void f(const void *i, void *o) {}", NULL, "static: remove that word");
	assert_said("static void f(const void *i, void *o) {}", "f", "static: remove that word");
}

static void what_no_hash_is(void **state)
{
	static const char *const texts[] = {
		"",
		"void f(void);",
		"void f(void *a, void *b);",
		"int f(const void *i, void *o);",
		"void f(const void *i, void *o, int n, int m);",
		"void f(const void *i, int n);",
		"void f(const void *i, double *o);",
		"void f(const void *i, void (*o)(void));",
		"void f(const struct x *i, void *o);",
		"void f(const ctx *i, void *o);",
		"void *f(const void *i, void *o);",
		"void (*f)(const void *i, void *o);",
		"void f(const void *i, void *o) __attribute__((x)) y;",
		"{ void f(const void *i, void *o);",
		"\"void f(const void *i, void *o);",
		"/* void f(const void *i, void *o);",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_said(texts[i], NULL, "no function");
	/* A name that is given is believed. */
	assert_found("void f(const ctx *i, void *o);", "f", "void f(const ctx *i, void *o)/io");
}

static void several(void **state)
{
	const char *two = "void f(const void *i, void *o); void g(const void *i, void *o) {}";
	(void)state;
	assert_said(two, NULL, "f() and g() could both be the hash");
	assert_found(two, "g", "void g(const void *i, void *o)/io");
	assert_said(two, "h", "no function h()");
	assert_found("void f(const void *i, void *o); void f(const void *i, void *o) {}", NULL,
		     "void f(const void *i, void *o)/io");
}

static void too_long(void **state)
{
	char text[3000];
	size_t n;
	(void)state;
	/* a prototype, a name, a number of words */
	n = (size_t)snprintf(text, sizeof(text), "void f(const void *i, void *%0400d);", 0);
	memset(strchr(text, '0'), 'o', 400);
	assert_true(n < sizeof(text));
	assert_said(text, NULL, "no function");
	snprintf(text, sizeof(text), "void a%070d(const void *i, void *o);", 0);
	assert_said(text, NULL, "no function");
	n = (size_t)snprintf(text, sizeof(text), "void f(const ");
	for (int i = 0; i < 200; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "char ");
	snprintf(text + n, sizeof(text) - n, "*i, void *o);");
	assert_said(text, NULL, "no function");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes),          cmocka_unit_test(what_is_skipped),
		cmocka_unit_test(what_no_hash_is), cmocka_unit_test(several),
		cmocka_unit_test(too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
