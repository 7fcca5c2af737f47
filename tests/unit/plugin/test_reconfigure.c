/* New options for an instance that runs: taken whole, refused at their line, and taken back. */
#include "loop/loop.h"
#include "toy.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct plugin_host h;
static struct otd_base_ops ops;
static struct otd_plugin_desc chain;
static struct otd_option table[16];
static const struct toy_options *now; /* what reconfigure() took last */
static const char *refusal;           /* NULL: it takes them */
static unsigned calls;

static otd_rc reconfigure(struct otd_instance *in, const void *options)
{
	(void)in;
	calls++;
	if (refusal) {
		if (*refusal)
			toy_core->set_error(toy_host, "%s", refusal);
		return OTD_E_INVALID;
	}
	now = options;
	return OTD_OK;
}

static int setup(void **state)
{
	(void)state;
	plugin_host_init(&h);
	toy_refusal = refusal = NULL;
	calls = 0;
	ops = toy_base;
	ops.reconfigure = reconfigure;
	chain = toy_chain;
	chain.base = &ops;
	memcpy(table, toy_table, chain.n_options * sizeof(table[0]));
	table[1].flags |= OTD_OPT_RELOADABLE; /* count */
	chain.options = table;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	plugin_host_finish(&h);
	return 0;
}

static struct otd_yaml_doc *yaml(const char *text)
{
	struct otd_yaml_doc *doc;
	if (otd_yaml_parse(&doc, text, strlen(text), "new.yaml", &h.err))
		fail_msg("%s", h.err.text);
	return doc;
}

static void which_options(void **state)
{
	struct otd_plugin_instance *in = plugin_host_create(&h, &chain, NULL);
	struct otd_plugin *pl = otd_instance_plugin(in);
	(void)state;
	assert_true(otd_plugin_takes(pl, "count"));
	assert_false(otd_plugin_takes(pl, "text"));
	assert_false(otd_plugin_takes(pl, "nothing"));
	otd_instance_destroy(in);
}

static void without_reconfigure(void **state)
{
	struct otd_yaml_doc *doc = yaml("{count: 9}");
	struct otd_instance_change *c;
	struct otd_plugin_instance *in;
	(void)state;
	ops.reconfigure = NULL;
	in = plugin_host_create(&h, &chain, NULL);
	assert_false(otd_plugin_takes(otd_instance_plugin(in), "count"));
	assert_int_equal(otd_instance_prepare(&c, in, otd_yaml_root(doc), &h.err),
			 OTD_E_UNSUPPORTED);
	assert_non_null(strstr(h.err.text, "restart for them"));
	otd_instance_destroy(in);
	otd_yaml_destroy(doc);
}

/* Replayed, or called by other threads: a reload gives them nothing. */
static void other_kinds(void **state)
{
	struct otd_plugin_desc d = toy_payout;
	struct otd_plugin_instance *in;
	(void)state;
	d.base = &ops;
	d.options = table;
	d.options_size = chain.options_size;
	d.option_size = chain.option_size;
	d.n_options = chain.n_options;
	in = plugin_host_create(&h, &d, NULL);
	assert_false(otd_plugin_takes(otd_instance_plugin(in), "count"));
	otd_instance_destroy(in);
}

static void taken(void **state)
{
	struct otd_plugin_instance *in = plugin_host_create(&h, &chain, "{count: 3, text: old}");
	const struct toy_options *first = toy_seen;
	struct otd_yaml_doc *doc = yaml("{count: 9, text: old}");
	struct otd_instance_change *c;
	(void)state;
	assert_int_equal(otd_instance_prepare(&c, in, otd_yaml_root(doc), &h.err), OTD_OK);
	assert_int_equal(calls, 0);
	assert_int_equal(otd_instance_reconfigure(c, &h.err), OTD_OK);
	otd_instance_change_finish(c);
	otd_yaml_destroy(doc);
	assert_int_equal(now->count, 9);
	assert_string_equal(now->text, "old");
	/* Those of before are there until destroy(): the instance may point to them. */
	assert_int_equal(first->count, 3);
	assert_string_equal(first->text, "old");
	otd_instance_destroy(in);
}

static void taken_back(void **state)
{
	struct otd_plugin_instance *in = plugin_host_create(&h, &chain, "{count: 3}");
	struct otd_yaml_doc *doc = yaml("{count: 9}");
	struct otd_instance_change *c;
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(otd_instance_prepare(&c, in, otd_yaml_root(doc), &h.err), OTD_OK);
		otd_instance_take_back(c); /* nothing was taken yet */
		assert_int_equal(calls, 2 * i);
		assert_int_equal(otd_instance_reconfigure(c, &h.err), OTD_OK);
		assert_int_equal(now->count, 9);
		otd_instance_take_back(c);
		assert_int_equal(now->count, 3);
		otd_instance_change_finish(c);
		assert_int_equal(now->count, 3);
	}
	otd_yaml_destroy(doc);
	otd_instance_destroy(in);
}

static void refused(const char *words, const char *want)
{
	struct otd_plugin_instance *in = plugin_host_create(&h, &chain, NULL);
	struct otd_yaml_doc *doc = yaml("{flag: on,\n count: 9}");
	struct otd_instance_change *c;
	struct otd_err err = {0};
	assert_int_equal(otd_instance_prepare(&c, in, otd_yaml_root(doc), &err), OTD_OK);
	refusal = words;
	now = NULL;
	assert_int_not_equal(otd_instance_reconfigure(c, &err), OTD_OK);
	refusal = NULL;
	assert_null(now);
	if (!strstr(err.text, want))
		fail_msg("got  %s\nwant ...%s...", err.text, want);
	otd_instance_change_finish(c);
	otd_instance_destroy(in);
	otd_yaml_destroy(doc);
}

static void refused_at_its_line(void **state)
{
	(void)state;
	refused("count: too many", "new.yaml:2:9: test.count: too many");
	refused("too many", "new.yaml:1:1: test: too many");
	refused("", "does not say why (");
}

static void wrong_values(void **state)
{
	struct otd_plugin_instance *in = plugin_host_create(&h, &chain, NULL);
	struct otd_yaml_doc *doc = yaml("{count: 900}");
	struct otd_instance_change *c;
	(void)state;
	assert_int_equal(otd_instance_prepare(&c, in, otd_yaml_root(doc), &h.err), OTD_E_RANGE);
	assert_string_equal(h.err.text,
			    "new.yaml:1:9: test.count: '900' is out of range: 1 to 100");
	assert_null(c);
	assert_int_equal(calls, 0);
	otd_instance_destroy(in);
	otd_yaml_destroy(doc);
}

/* --- a secret in a file of its own --- */

static void secret_from_a_file(void **state)
{
	char path[] = "/tmp/otd-secret-XXXXXX", options[100];
	struct otd_plugin_instance *in;
	int fd = mkstemp(path);
	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "hush\nmore\n", 10), 10);
	close(fd);
	h.env.files = otd_files_real();
	snprintf(options, sizeof(options), "{secret: \"file:%s\", text: \"file:x\"}", path);
	in = plugin_host_create(&h, &chain, options);
	assert_string_equal(toy_seen->secret, "hush");
	assert_string_equal(toy_seen->text, "file:x"); /* it is no secret */
	otd_instance_destroy(in);
	/* Bounds are those of the secret, and neither it nor its file's text is told. */
	assert_int_equal(truncate(path, 0), 0);
	fd = open(path, O_WRONLY);
	assert_int_equal(write(fd, "much-too-long\n", 14), 14);
	close(fd);
	assert_int_equal(plugin_host_try(&in, &h, &chain, options), OTD_E_RANGE);
	assert_non_null(strstr(h.err.text, "out of range"));
	assert_null(strstr(h.err.text, "much-too"));
	unlink(path);
	assert_int_not_equal(plugin_host_try(&in, &h, &chain, options), OTD_OK);
	assert_non_null(strstr(h.err.text, "test.yaml:1:10: test.secret: file '"));
	assert_non_null(strstr(h.err.text, "write the secret into its first line"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(which_options, setup, teardown),
		cmocka_unit_test_setup_teardown(without_reconfigure, setup, teardown),
		cmocka_unit_test_setup_teardown(other_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(taken, setup, teardown),
		cmocka_unit_test_setup_teardown(taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_at_its_line, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_values, setup, teardown),
		cmocka_unit_test_setup_teardown(secret_from_a_file, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
