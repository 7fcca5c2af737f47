/*
 * A configuration file: the tree, --set on it, and the whole reading by the schema. What was accepted
 * prints as YAML that is accepted again.
 */
#include "base/bytes.h"
#include "config/settings.h"
#include "config/yaml.h"
#include "fuzz/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void walk(const struct otd_yaml *y)
{
	(void)otd_yaml_line(y);
	(void)strlen(otd_yaml_text(y));
	for (size_t i = 0; i < otd_yaml_count(y); i++) {
		if (otd_yaml_kind(y) == OTD_YAML_MAP)
			(void)otd_yaml_get(y, otd_yaml_key(y, i));
		walk(otd_yaml_at(y, i));
	}
}

static void tree(const uint8_t *data, size_t n)
{
	struct otd_yaml_doc *d;
	struct otd_err err = {0};
	if (otd_yaml_parse(&d, (const char *)data, n, "fuzz.yaml", &err)) {
		if (!err.text[0])
			abort(); /* a refusal says why */
		return;
	}
	walk(otd_yaml_root(d));
	char words[200];
	size_t len = n < sizeof(words) - 1 ? n : sizeof(words) - 1;
	memcpy(words, data, len);
	words[len] = 0;
	(void)otd_yaml_set(d, words, &err);
	(void)otd_yaml_set(d, "a.b.0.c={x: [1, 2]}", &err);
	walk(otd_yaml_root(d));
	otd_yaml_destroy(d);
}

static const char coin[] = "name: t\nsymbol: TST\ndecimals: 8\nalgorithm: sha256d\nchain: devnet\n"
			   "network: main\n";

static struct otd_settings *load(struct memory *m)
{
	struct otd_env env = {.files = &m->table};
	struct otd_settings *s = NULL;
	struct otd_err err = {0};
	const struct otd_settings_source src = {.file = "fuzz.yaml"};
	otd_rc rc = otd_settings_load(&s, &env, &src, &err);
	if (rc && (s || !err.text[0]))
		abort();
	return rc ? NULL : s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	tree(data, n);
	struct memory m;
	memory_init(&m);
	memory_put(&m, "fuzz.yaml", data, n);
	memory_put(&m, "t.yaml", coin, sizeof(coin) - 1);
	struct otd_settings *s = load(&m);
	if (s) {
		struct otd_bytes text;
		otd_bytes_init(&text, 8u << 20);
		if (otd_settings_print(s, &text) == OTD_OK) {
			struct otd_yaml_doc *d;
			struct otd_err err = {0};
			if (otd_yaml_parse(&d, (const char *)text.ptr, text.len, "print", &err) ==
			    OTD_OK)
				otd_yaml_destroy(d);
			else if (err.rc != OTD_E_RANGE && err.rc != OTD_E_NOMEM)
				abort();
		}
		otd_bytes_finish(&text);
		otd_settings_destroy(s);
	}
	memory_finish(&m);
	return 0;
}
