/* otedama plugin list | info: what there is and what it says of itself. */
#include <stdio.h>
#include <string.h>

#include "app/cmd/cmd_plugin.h"
#include "app/cmd/cmd_plugin_live.h"
#include "app/cmd/setup.h"
#include "base/bytes.h"

struct listing {
	struct otd_bytes *out;
	bool json;
	otd_rc rc;
};

static otd_rc text_one(struct otd_bytes *out, const struct otd_plugin_found *f)
{
	if (!f->note)
		return otd_bytes_format(out, "%-8s %-16s REFUSED  %s: %s\n", f->kind, f->id,
					f->file, f->refused);
	return otd_bytes_format(out, "%-8s %-16s ABI %u.%u  %s\n", f->kind, f->id,
				f->note->abi_major, f->note->abi_minor, f->file);
}

/* One JSON object a line. */
static otd_rc json_one(struct otd_bytes *out, const struct otd_plugin_found *f)
{
	otd_rc rc = otd_bytes_format(out, "{\"kind\": \"%s\", \"id\": \"%s\", \"file\": ", f->kind,
				     f->id);
	if (rc == OTD_OK)
		rc = otd_bytes_json(out, f->file, strlen(f->file));
	if (rc == OTD_OK && f->note)
		rc = otd_bytes_format(out, ", \"abi\": \"%u.%u\"", f->note->abi_major,
				      f->note->abi_minor);
	if (rc == OTD_OK && !f->note) {
		rc = otd_bytes_text(out, ", \"refused\": ");
		if (rc == OTD_OK)
			rc = otd_bytes_json(out, f->refused, strlen(f->refused));
	}
	return rc ? rc : otd_bytes_text(out, "}\n");
}

static void list_one(void *arg, const struct otd_plugin_found *f)
{
	struct listing *l = arg;
	if (l->rc == OTD_OK)
		l->rc = l->json ? json_one(l->out, f) : text_one(l->out, f);
}

static int run_list(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *dir = NULL, *config = NULL, *socket = NULL;
	struct otd_bytes out;
	struct listing l = {.out = &out};
	const struct otd_arg args[] = {
		{"--plugin-dir", 0, "DIR", "where KIND/ID.so is looked for", .text = &dir},
		{"--config", 'c', "FILE", "of the pool of this configuration, while it runs",
		 .text = &config},
		{"--socket", 's', "PATH", "of the pool of this control socket", .text = &socket},
		{"--json", 0, NULL, "one JSON object a line; of a running pool, one object",
		 .on = &l.json},
	};
	size_t n_words;
	struct otd_tool tool;
	struct otd_err err = {0};
	int exit_status = otd_args_parse(cmd, args, 4, argc, argv, NULL, &n_words, 0, 0);
	if (exit_status >= 0)
		return exit_status;
	if (config || socket)
		return otd_plugin_list_live(cmd, config, socket, l.json);
	otd_rc rc = otd_tool_init(&tool, dir, &err);
	if (rc != OTD_OK)
		return otd_cmd_fail(cmd, "%s", err.text);
	otd_bytes_init(&out, 1u << 20);
	rc = otd_plugins_found(tool.plugins, list_one, &l, &err);
	if (rc == OTD_OK && l.rc != OTD_OK)
		rc = otd_fail(&err, l.rc, "too many plugins for one list");
	if (rc == OTD_OK)
		printf("%s", otd_bytes_cstr(&out));
	otd_bytes_finish(&out);
	otd_tool_finish(&tool);
	return rc == OTD_OK ? OTD_EXIT_OK : otd_cmd_fail(cmd, "%s", err.text);
}

static bool is_file(const char *what)
{
	size_t n = strlen(what);
	return n > 3 && strcmp(what + n - 3, ".so") == 0;
}

/* KIND/ID is loaded and tells its options; of a FILE the note alone, unless load. */
static otd_rc info(struct otd_tool *t, const char *what, bool load, bool json,
		   struct otd_bytes *out, struct otd_err *err)
{
	struct otd_note_desc note;
	char kind[32];
	const char *slash = strchr(what, '/');
	struct otd_plugin *pl;
	if (is_file(what) && !load) {
		otd_rc rc = otd_plugin_read_note(&note, t->env, what, err);
		return rc ? rc : otd_plugin_describe_note(out, &note, what, json);
	}
	if (is_file(what)) {
		pl = otd_plugins_get_file(t->plugins, what, err);
		return pl ? otd_plugin_describe(out, pl, json) : err->rc;
	}
	if (!slash || slash == what || (size_t)(slash - what) >= sizeof(kind))
		return otd_fail(err, OTD_E_INVALID,
				"'%s' is neither KIND/ID (algo/...) nor a file that ends in .so",
				what);
	memcpy(kind, what, (size_t)(slash - what));
	kind[slash - what] = '\0';
	pl = otd_plugins_get(t->plugins, kind, slash + 1, err);
	return pl ? otd_plugin_describe(out, pl, json) : err->rc;
}

static int run_info(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *dir = NULL;
	bool json = false, load = false;
	const struct otd_arg args[] = {
		{"--load", 0, NULL, "of a FILE: run its code, for its options and known answers",
		 .on = &load},
		{"--plugin-dir", 0, "DIR", "where KIND/ID.so is looked for", .text = &dir},
		{"--json", 0, NULL, "as JSON", .on = &json},
	};
	const char *words[1];
	size_t n_words;
	struct otd_tool tool;
	struct otd_bytes out;
	struct otd_err err = {0};
	int exit_status = otd_args_parse(cmd, args, 3, argc, argv, words, &n_words, 1, 1);
	if (exit_status >= 0)
		return exit_status;
	otd_rc rc = otd_tool_init(&tool, dir, &err);
	if (rc != OTD_OK)
		return otd_cmd_fail(cmd, "%s", err.text);
	otd_bytes_init(&out, 1u << 20);
	rc = info(&tool, words[0], load, json, &out, &err);
	if (rc == OTD_OK)
		printf("%s", otd_bytes_cstr(&out));
	otd_bytes_finish(&out);
	otd_tool_finish(&tool);
	return rc == OTD_OK ? OTD_EXIT_OK : otd_cmd_fail(cmd, "%s", err.text);
}

const struct otd_cmd otd_plugin_list = {
	.name = "plugin list",
	.usage = "[--plugin-dir DIR | -c FILE] [--json]",
	.summary = "which plugins there are; none of their code runs",
	.more = "With -c FILE or --socket: what a running pool has loaded, with the generations "
		"that are in use\nand who uses them.",
	.run = run_list,
};

const struct otd_cmd otd_plugin_info = {
	.name = "plugin info",
	.usage = "KIND/ID | FILE.so [--load]",
	.summary = "what a plugin is and which options it takes",
	.more = "info FILE.so reads the file's note and runs none of its code; --load loads it as "
		"a pool\n"
		"would, and tells its options too.",
	.run = run_info,
};
