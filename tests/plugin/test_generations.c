/*
 * Generations: a file loaded again is another image, drafts change nothing until they are published,
 * the one before lives as long as its instances; digests that the configuration names; and the trial in
 * a process of its own, by the program that was really built.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "loop/loop.h"
#include "plugin/plugin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUILT   OTEDAMA_BUILD_DIR "/plugins"
#define PROGRAM OTEDAMA_BUILD_DIR "/otedama"

static struct otd_env *env;
static struct otd_err err;
static char dir[64], run_dir[80];

static struct otd_plugins *set_of(struct otd_plugins_conf conf)
{
	static const char *const dirs[] = {BUILT}, *const all[] = {"*"};
	struct otd_plugins *p;
	conf.dirs = dirs;
	conf.n_dirs = 1;
	conf.enable = all;
	conf.n_enable = 1;
	conf.private_dir = run_dir;
	memset(&err, 0, sizeof(err));
	assert_int_equal(otd_plugins_create(&p, env, &conf, &err), OTD_OK);
	return p;
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/otd-gen-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
	return otd_env_real_create(&env, NULL, &err);
}

static int teardown(void **state)
{
	char command[120];
	(void)state;
	(void)snprintf(command, sizeof(command), "%s/passed", run_dir);
	(void)unlink(command);
	(void)rmdir(run_dir);
	(void)rmdir(dir);
	otd_env_real_destroy(env);
	return 0;
}

static struct otd_plugin *draft(struct otd_plugins *p, const char *kind, const char *id)
{
	struct otd_plugin *pl;
	char file[600];
	assert_int_equal(otd_plugins_find_file(p, file, sizeof(file), kind, id, &err), OTD_OK);
	if (otd_plugins_draft(p, &pl, kind, id, file, NULL, &err))
		fail_msg("%s", err.text);
	return pl;
}

static struct otd_plugin_state state_of(const struct otd_plugin *pl)
{
	struct otd_plugin_state s;
	otd_plugin_state(pl, &s);
	return s;
}

static void count(void *arg, struct otd_plugin *pl)
{
	(void)pl;
	++*(unsigned *)arg;
}

static unsigned shown(struct otd_plugins *p)
{
	unsigned n = 0;
	otd_plugins_each(p, count, &n);
	return n;
}

/* The same bytes three times: three images, each with instances of its own. */
static void again_is_another(void **state)
{
	struct otd_plugins *p = set_of((struct otd_plugins_conf){0});
	struct otd_plugin_instance *in[3];
	struct otd_plugin *pl[3];
	(void)state;
	pl[0] = otd_plugins_get(p, "hw", "cpu", &err);
	assert_non_null(pl[0]);
	assert_int_equal(otd_instance_create(&in[0], pl[0], NULL, "a", NULL, &err), OTD_OK);
	for (int i = 1; i < 3; i++) {
		pl[i] = draft(p, "hw", "cpu");
		/* Nobody sees a draft, but instances can be made of it. */
		assert_ptr_equal(otd_plugins_get(p, "hw", "cpu", &err), pl[i - 1]);
		assert_int_equal(otd_instance_create(&in[i], pl[i], NULL, "b", NULL, &err), OTD_OK);
		otd_plugin_publish(pl[i]);
		assert_ptr_equal(otd_plugins_get(p, "hw", "cpu", &err), pl[i]);
		assert_int_equal(state_of(pl[i]).generation, i + 1);
		assert_true(state_of(pl[i]).newest);
		assert_false(state_of(pl[i - 1]).newest);
		assert_string_equal(state_of(pl[i]).digest, state_of(pl[0]).digest);
	}
	const struct otd_hw_ops *ops[3];
	for (int i = 0; i < 3; i++)
		ops[i] = otd_instance_hw(in[i]);
	assert_ptr_not_equal(ops[0]->device, ops[1]->device);
	assert_ptr_not_equal(ops[1]->device, ops[2]->device);
	assert_ptr_not_equal(ops[0]->device, ops[2]->device);
	assert_int_equal(shown(p), 3);
	otd_instance_destroy(in[1]);
	assert_int_equal(shown(p), 2); /* the second has nobody any more */
	otd_instance_destroy(in[0]);
	otd_instance_destroy(in[2]);
	assert_int_equal(shown(p), 1);
	otd_plugins_destroy(p);
}

static void dropped_and_retired(void **state)
{
	struct otd_plugins *p = set_of((struct otd_plugins_conf){0});
	struct otd_plugin_instance *in;
	struct otd_plugin *first, *second;
	(void)state;
	assert_null(otd_plugins_newest(p, "hw", "cpu"));
	first = otd_plugins_get(p, "hw", "cpu", &err);
	assert_non_null(first);
	otd_plugin_discard(draft(p, "hw", "cpu"));
	otd_plugin_discard(NULL);
	assert_ptr_equal(otd_plugins_newest(p, "hw", "cpu"), first);
	assert_int_equal(otd_instance_create(&in, first, NULL, "a", NULL, &err), OTD_OK);
	assert_int_equal(otd_plugin_retire(first, &err), OTD_E_BUSY);
	assert_non_null(strstr(err.text, "hw/cpu is in use: 1 instance"));
	otd_instance_destroy(in);
	assert_int_equal(otd_plugin_retire(first, &err), OTD_OK);
	assert_null(otd_plugins_newest(p, "hw", "cpu"));
	second = otd_plugins_get(p, "hw", "cpu", &err);
	assert_non_null(second);
	assert_ptr_not_equal(second, first);
	assert_int_equal(state_of(second).generation, 2);
	otd_plugins_destroy(p);
}

static void not_what_was_asked_for(void **state)
{
	struct otd_plugins *p = set_of((struct otd_plugins_conf){0});
	struct otd_plugin *pl;
	(void)state;
	assert_int_equal(otd_plugins_draft(p, &pl, "algo", "cpu", BUILT "/hw/cpu.so", NULL, &err),
			 OTD_E_INVALID);
	assert_null(pl);
	assert_int_equal(otd_plugins_draft(p, &pl, NULL, NULL, BUILT "/hw/cpu.so", NULL, &err),
			 OTD_OK);
	assert_string_equal(state_of(pl).id, "cpu");
	otd_plugin_discard(pl);
	assert_int_equal(otd_plugins_draft(p, &pl, NULL, NULL, "/nonexistent.so", NULL, &err),
			 OTD_E_NOT_FOUND);
	otd_plugins_destroy(p);
	/* Of copies nothing is left. */
	assert_int_equal(rmdir(run_dir), 0);
}

static void digests(void **state)
{
	char right[200], wrong[200];
	const char *pins[2] = {wrong, right};
	struct otd_plugins *p = set_of((struct otd_plugins_conf){0});
	struct otd_plugin *pl = otd_plugins_get(p, "hw", "cpu", &err);
	(void)state;
	assert_non_null(pl);
	(void)snprintf(right, sizeof(right), "hw/cpu=%s", state_of(pl).digest);
	(void)snprintf(wrong, sizeof(wrong), "hw/cpu=%064d", 0);
	otd_plugins_destroy(p);

	p = set_of((struct otd_plugins_conf){.digests = pins, .n_digests = 1});
	assert_null(otd_plugins_get(p, "hw", "cpu", &err));
	assert_non_null(strstr(err.text, "plugins.digests has another for hw/cpu"));
	assert_non_null(strstr(err.text, right + 7)); /* it says what the file has */
	otd_plugins_destroy(p);

	p = set_of((struct otd_plugins_conf){.digests = pins, .n_digests = 2});
	assert_non_null(otd_plugins_get(p, "hw", "cpu", &err));
	otd_plugins_destroy(p);

	p = set_of((struct otd_plugins_conf){.safe_mode = true});
	assert_null(otd_plugins_get(p, "hw", "cpu", &err));
	assert_non_null(strstr(err.text, "safe_mode is on"));
	otd_plugins_destroy(p);

	p = set_of((struct otd_plugins_conf){.digests = pins, .n_digests = 2, .safe_mode = true});
	assert_non_null(otd_plugins_get(p, "hw", "cpu", &err));
	otd_plugins_destroy(p);
}

#ifndef TEST_WITHOUT_CHILDREN
static off_t passed_size(void)
{
	char path[120];
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/passed", run_dir);
	return stat(path, &st) ? 0 : st.st_size;
}

/* The real program runs the real file; its digest is remembered, and not tried twice. */
static void trial(void **state)
{
	struct otd_plugins *p = set_of((struct otd_plugins_conf){.trial_program = PROGRAM});
	(void)state;
	if (!otd_plugins_get(p, "hw", "cpu", &err))
		fail_msg("%s", err.text);
	off_t once = passed_size();
	assert_true(once > 64);
	otd_plugin_discard(draft(p, "hw", "cpu"));
	assert_int_equal(passed_size(), once);
	otd_plugin_discard(draft(p, "algo", "sha256d"));
	assert_true(passed_size() > once);
	otd_plugins_destroy(p);
	/* A program that cannot try refuses what is new, and takes what has passed. */
	p = set_of((struct otd_plugins_conf){.trial_program = "/bin/false"});
	assert_non_null(otd_plugins_get(p, "hw", "cpu", &err));
	assert_null(otd_plugins_get(p, "store", "sqlite", &err));
	assert_non_null(strstr(err.text, "ended the trial process in the beginning"));
	otd_plugins_destroy(p);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_what_was_asked_for),
		cmocka_unit_test(again_is_another),
		cmocka_unit_test(dropped_and_retired),
		cmocka_unit_test(digests),
#ifndef TEST_WITHOUT_CHILDREN
		cmocka_unit_test(trial),
#endif
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
