/* otedama plugin VERB: one table of verbs, see cmd_plugin.h. */
#include "app/cmd/cmd_plugin.h"

#include "app/cmd/cmd.h"

static const struct otd_cmd *const verbs[] = {
	&otd_plugin_check, &otd_plugin_info, &otd_plugin_list, &otd_plugin_load,   &otd_plugin_lock,
	&otd_plugin_new,   &otd_plugin_swap, &otd_plugin_try,  &otd_plugin_unload,
};
#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	return otd_cmd_verbs(cmd, verbs, N_VERBS, argc, argv);
}

const struct otd_cmd otd_cmd_plugin = {
	.name = "plugin",
	.usage = "VERB ..",
	.summary = "plugins: which there are, what one is, and how to make your own",
	.run = run,
};
