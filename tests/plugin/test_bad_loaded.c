/*
 * The loader meets the plugins of bad/, really built: what it can see it refuses, each with its words;
 * what crashes, exits or hangs does so in the trial's child; and nothing of it harms this process or the
 * good plugin that is loaded beside them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "plugin/plugin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BAD OTEDAMA_BUILD_DIR "/tests/bad"

static struct otd_env *env;
static struct otd_plugins *set;
static struct otd_plugin_instance *good;
static char private_dir[64];

struct refusal {
	const char *id;
	otd_rc rc;
	const char *words;
	int64_t trial_ms; /* 0: as long as it needs */
};

static const struct refusal refusals[] = {
	{"no-note", OTD_E_INVALID, "has no note of that owner", 0},
	{"other-abi", OTD_E_VERSION, "is made for plugin ABI 9.0, this host has ", 0},
	{"run-path", OTD_E_REFUSED, "library search path (DT_RUNPATH)", 0},
	{"other-id", OTD_E_CORRUPT, "its note says algo/1 other-id, its descriptor says", 0},
	{"lying-size", OTD_E_CORRUPT, "its descriptor says that it has 24 bytes; at least ", 0},
	{"option-range", 0, "rounds: '9' is out of range: 1 to 8", 0},
	{"option-outside", OTD_E_CORRUPT, "option 'rounds' lies outside of the plugin's", 0},
	{"wrong-vector", OTD_E_CORRUPT, "known answer 0 (made up, for a test): hash_batch() gives",
	 0},
	{"reversed-vector", OTD_E_CORRUPT, "that is the right one reversed", 0},
	{"endless-prepare", 0, "prepare() does not come to an end", 0},
	{"no-stride", OTD_OK, NULL, 0}, /* its own struct is the host's today: it works */
	{"crash-in-create", OTD_E_REFUSED, "crashed the trial process in create(): SIGSEGV", 0},
	{"abort-in-create", OTD_E_REFUSED, "crashed the trial process in create(): SIGABRT", 0},
	{"exit-in-create", OTD_E_REFUSED,
	 "ended the trial process in create() (exit status 0): a plugin never exits", 0},
	{"crash-in-hash", OTD_E_REFUSED, "crashed the trial process in ", 0},
	{"hang-in-create", OTD_E_TIMEOUT, "hangs in create(): the trial process was killed", 3000},
	{"static-buffer", OTD_OK, NULL, 0}, /* one thread does not see it: `plugin check` does */
};

static struct otd_plugins *make_set(int64_t trial_ms)
{
	static const char *const dirs[] = {BAD}, *const enable[] = {"*"};
	struct otd_plugins_conf conf = {.dirs = dirs,
					.n_dirs = 1,
					.enable = enable,
					.n_enable = 1,
					.private_dir = private_dir,
					.trial_program = OTEDAMA_BUILD_DIR "/otedama",
					.trial_ms = trial_ms};
	struct otd_plugins *p;
	struct otd_err err = {0};
	if (otd_plugins_create(&p, env, &conf, &err))
		fail_msg("%s", err.text);
	return p;
}

/* The good one hashes what it should, whatever was loaded beside it. */
static void the_good_one_works(void)
{
	uint8_t header[80] = {1}, scratch[256];
	struct otd_algo_item item = {.header = {header, sizeof(header)}, .rc = OTD_E_INVALID};
	const struct otd_algo_ops *ops = otd_instance_algo(good);
	assert_int_equal(ops->hash_batch(otd_instance_self(good), scratch, &item, sizeof(item), 1),
			 OTD_OK);
	assert_int_equal(item.rc, OTD_OK);
	assert_int_equal(item.hash[0], 1);
	for (int i = 1; i < 32; i++)
		assert_int_equal(item.hash[i], 0);
}

static int setup(void **state)
{
	struct otd_err err = {0};
	struct otd_plugin *pl;
	(void)state;
	(void)snprintf(private_dir, sizeof(private_dir), "/tmp/otd-bad-loaded-XXXXXX");
	if (!mkdtemp(private_dir) || otd_env_real_create(&env, NULL, &err))
		return -1;
	(void)unlink(BAD "/a-constructor-ran");
	/* Sanitizers of this build leave it to the trial to say what its child died of. */
	(void)setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0:handle_sigill=0:detect_leaks=0",
		     1);
	(void)setenv("TSAN_OPTIONS", "handle_segv=0:handle_abort=0:handle_sigill=0", 1);
	set = make_set(0);
	pl = otd_plugins_get(set, "algo", "good", &err);
	if (!pl || otd_instance_create(&good, pl, NULL, "good", NULL, &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	char path[96];
	(void)state;
	otd_instance_destroy(good);
	otd_plugins_destroy(set);
	otd_env_real_destroy(env);
	(void)snprintf(path, sizeof(path), "%s/passed", private_dir);
	(void)unlink(path);
	return rmdir(private_dir);
}

static void try_one(const struct refusal *r)
{
	char dir[64], path[96];
	struct otd_err err = {0};
	struct otd_plugins *own = NULL;
	struct otd_plugin *pl;
	memcpy(dir, private_dir, sizeof(dir));
	if (r->trial_ms) {
		(void)snprintf(private_dir, sizeof(private_dir), "/tmp/otd-bad-loaded-XXXXXX");
		assert_non_null(mkdtemp(private_dir));
		own = make_set(r->trial_ms);
	}
	pl = otd_plugins_get(own ? own : set, "algo", r->id, &err);
	if (!r->words && !pl)
		fail_msg("%s should load: %s", r->id, err.text);
	if (r->words && pl)
		fail_msg("%s loaded, but should be refused: %s", r->id, r->words);
	if (r->words && !strstr(err.text, r->words))
		fail_msg("%s: got  %s\nwant ...%s...", r->id, err.text, r->words);
	if (r->words)
		assert_null(strchr(err.text, '\n'));
	if (r->rc)
		assert_int_equal(err.rc, r->rc);
	if (own) {
		otd_plugins_destroy(own);
		(void)snprintf(path, sizeof(path), "%s/passed", private_dir);
		(void)unlink(path);
		assert_int_equal(rmdir(private_dir), 0);
		memcpy(private_dir, dir, sizeof(dir));
	}
	the_good_one_works();
}

static void each_is_refused_or_contained(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		try_one(&refusals[i]);
	/* Its constructor would have made this. */
	assert_int_not_equal(access(BAD "/a-constructor-ran", F_OK), 0);
}

/* What was refused once is refused again: nothing is remembered as good. */
static void refused_twice(void **state)
{
	(void)state;
	try_one(&refusals[11]);
	try_one(&refusals[11]);
}

/* An instance that is destroyed without its memory: the host frees it, and goes on. */
static void leaks_are_taken_back(void **state)
{
	struct otd_err err = {0};
	struct otd_plugin *pl = otd_plugins_get(set, "algo", "leak", &err);
	(void)state;
	if (!pl)
		fail_msg("%s", err.text);
	for (int i = 0; i < 3; i++) {
		struct otd_plugin_instance *in;
		if (otd_instance_create(&in, pl, NULL, "leak", NULL, &err))
			fail_msg("%s", err.text);
		assert_true(otd_instance_memory(in) > 256);
		otd_instance_destroy(in);
	}
	the_good_one_works();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_refused_or_contained),
		cmocka_unit_test(refused_twice),
		cmocka_unit_test(leaks_are_taken_back),
	};
#ifdef TEST_WITHOUT_CHILDREN
	return 0; /* an emulated program cannot start another */
#endif
	return cmocka_run_group_tests(tests, setup, teardown);
}
