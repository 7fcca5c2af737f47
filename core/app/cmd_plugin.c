/* otedama plugin list | info: what there is and what it says of itself. */
#include <stdio.h>
#include <string.h>

#include "app/cmd.h"
#include "app/setup.h"
#include "base/bytes.h"

static void list_one(void *arg, const struct otd_plugin_found *f)
{
	(void)arg;
	if (f->note)
		printf("%-8s %-16s ABI %u.%u  %s\n", f->kind, f->id, f->note->abi_major,
		       f->note->abi_minor, f->file);
	else
		printf("%-8s %-16s REFUSED  %s: %s\n", f->kind, f->id, f->file, f->refused);
}

/* KIND/ID is loaded and tells its options; a FILE's note alone is read, none of its code runs. */
static otd_rc info(struct otd_tool *t, const char *what, bool json, struct otd_bytes *out,
		   struct otd_err *err)
{
	struct otd_note_desc note;
	char kind[32];
	const char *slash = strchr(what, '/');
	size_t n = strlen(what);
	if (n > 3 && strcmp(what + n - 3, ".so") == 0) {
		otd_rc rc = otd_plugin_read_note(&note, t->env, what, err);
		return rc ? rc : otd_plugin_describe_note(out, &note, what, json);
	}
	if (!slash || slash == what || (size_t)(slash - what) >= sizeof(kind))
		return otd_fail(err, OTD_E_INVALID,
				"'%s' is neither KIND/ID (algo/...) nor a file that ends in .so",
				what);
	memcpy(kind, what, (size_t)(slash - what));
	kind[slash - what] = '\0';
	struct otd_plugin *pl = otd_plugins_get(t->plugins, kind, slash + 1, err);
	return pl ? otd_plugin_describe(out, pl, json) : err->rc;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *dir = NULL;
	bool json = false;
	const struct otd_arg args[] = {
		{"--plugin-dir", 0, "DIR", "where KIND/ID.so is looked for", .text = &dir},
		{"--json", 0, NULL, "info as JSON", .on = &json},
	};
	const char *words[2];
	size_t n_words;
	struct otd_tool tool;
	struct otd_bytes out;
	struct otd_err err = {0};
	int exit_status = otd_args_parse(cmd, args, 2, argc, argv, words, &n_words, 1, 2);
	if (exit_status >= 0)
		return exit_status;
	bool list = strcmp(words[0], "list") == 0;
	if ((!list && strcmp(words[0], "info") != 0) || list != (n_words == 1)) {
		otd_cmd_fail(cmd, "usage: otedama plugin %s", cmd->usage);
		return OTD_EXIT_USAGE;
	}
	otd_rc rc = otd_tool_init(&tool, dir, &err);
	if (rc != OTD_OK)
		return otd_cmd_fail(cmd, "%s", err.text);
	otd_bytes_init(&out, 1u << 20);
	rc = list ? otd_plugins_found(tool.plugins, list_one, NULL, &err)
		  : info(&tool, words[1], json, &out, &err);
	if (rc == OTD_OK && !list)
		printf("%s", otd_bytes_cstr(&out));
	otd_bytes_finish(&out);
	otd_tool_finish(&tool);
	return rc == OTD_OK ? OTD_EXIT_OK : otd_cmd_fail(cmd, "%s", err.text);
}

const struct otd_cmd otd_cmd_plugin = {
	.name = "plugin",
	.usage = "list | info KIND/ID | info FILE.so",
	.summary = "which plugins there are; what one is and which options it takes",
	.more = "info FILE.so reads the file's note and runs none of its code.",
	.run = run,
};
