/*
 * The child of the loader's trial (plugin/child.h): loads a file, and makes and unmakes an instance,
 * under limits. Not a command for people.
 */
#include "app/cmd/cmd_trial.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <otedama/sha256.h>

#include "app/cmd/args.h"
#include "app/cmd/setup.h"
#include "config/yaml.h"
#include "loop/loop.h"
#include "plugin/child.h"

/* Some hash, so that a chain can be made: there is no coin here, and no block is judged. */
static otd_rc any_hash(struct otd_host *h, uint8_t to[32], struct otd_span header, uint64_t height)
{
	(void)h;
	(void)height;
	otd_sha256d(to, header.ptr, header.len);
	return OTD_OK;
}

static const struct otd_host_hash hash = {sizeof(hash), 0, any_hash, any_hash};

/* create() may say no to options that nobody has chosen yet; that it does not crash is what counts. */
static void create_and_destroy(struct otd_plugin *pl, const char *options)
{
	struct otd_plugin_instance *in = NULL;
	struct otd_yaml_doc *doc = NULL;
	const struct otd_plugin_services services = {.hash = &hash};
	struct otd_err ignored = {0};
	otd_rc rc = OTD_OK;
	if (options)
		rc = otd_yaml_parse(&doc, options, strlen(options), "trial", &ignored);
	const struct otd_yaml *root = doc ? otd_yaml_root(doc) : NULL, *after = NULL;
	if (rc == OTD_OK && root && otd_yaml_kind(root) == OTD_YAML_LIST) {
		after = otd_yaml_at(root, 1);
		root = otd_yaml_at(root, 0);
	}
	if (rc == OTD_OK &&
	    otd_instance_create(&in, pl, root, "trial", &services, &ignored) == OTD_OK) {
		if (after)
			otd_instance_try_in_child(in, after);
		otd_instance_destroy(in);
	}
	otd_yaml_destroy(doc);
}

static void create_each(struct otd_plugin *pl)
{
	static char input[OTD_CHILD_INPUT_MAX + 1];
	size_t n = 0;
	ssize_t got;
	create_and_destroy(pl, NULL);
	while (n < sizeof(input) - 1 && (got = read(0, input + n, sizeof(input) - 1 - n)) > 0)
		n += (size_t)got;
	for (char *line = input, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		create_and_destroy(pl, line);
	}
}

int otd_trial_main(int argc, char **argv)
{
	static const char *const all[] = {"*/*"};
	struct otd_child_limits limits = {.cpu_s = OTD_PLUGIN_CHILD_CPU_S,
					  .memory = OTD_PLUGIN_CHILD_MEMORY};
	struct otd_plugins_conf conf = {
		.enable = all, .n_enable = 1, .step = otd_plugin_child_step};
	struct otd_plugins *set = NULL;
	struct otd_env *env = NULL;
	struct otd_err err = {0};
	if (argc != 2)
		return OTD_EXIT_USAGE;
	limits.cpu_s = strtoul(argv[1], NULL, 10);
	otd_child_confine(&limits);
	otd_log_only_warnings();
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_COMPUTE);
	otd_rc rc = otd_env_real_create(&env, NULL, &err);
	if (rc == OTD_OK)
		rc = otd_plugins_create(&set, env, &conf, &err);
	struct otd_plugin *pl = rc == OTD_OK ? otd_plugins_get_file(set, argv[0], &err) : NULL;
	if (pl)
		create_each(pl);
	/* Nothing of the plugin runs any more, and nobody looks for what was not given back. */
	_exit(otd_plugin_child_end(&err));
}
