/* otedama plugin new KIND/NAME [DIR]: a project of one's own that builds against the installed SDK. */
#include "app/cmd/cmd_plugin_new.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cmd/cmd_plugin.h"
#include "app/cmd/sdk_where.h"
#include "base/text.h"

/* Kinds that have a template, and the line of their lists. */
static const struct {
	const char *kind, *summary;
} kinds[] = {
	{"algo", "An algorithm of mine"},
	{"payout", "A payout scheme of mine"},
	{"chain", "A chain of mine"},
	{"hw", "A hardware backend of mine"},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void swap(struct otd_project *p, const char *from, const char *to)
{
	p->swap[p->n_swap++] = (struct otd_project_swap){from, to};
}

otd_rc otd_project_read(struct otd_bytes *out, const char *path, struct otd_err *err)
{
	FILE *f = fopen(path, "re");
	uint8_t part[4096];
	size_t n;
	otd_rc rc = OTD_OK;
	if (!f)
		return otd_fail(err, OTD_E_IO, "%s: %s", path, strerror(errno));
	while (rc == OTD_OK && (n = fread(part, 1, sizeof(part), f)) > 0)
		rc = otd_bytes_add(out, part, n);
	if (rc != OTD_OK)
		rc = otd_fail(err, rc, "%s: larger than %u bytes", path, OTD_PROJECT_FILE_MAX);
	else if (ferror(f))
		rc = otd_fail(err, OTD_E_IO, "%s: cannot be read", path);
	fclose(f);
	return rc;
}

otd_rc otd_project_swap(struct otd_bytes *out, const struct otd_project *p, const char *text)
{
	otd_rc rc = OTD_OK;
	while (rc == OTD_OK && *text) {
		size_t i = 0;
		while (i < p->n_swap &&
		       strncmp(text, p->swap[i].from, strlen(p->swap[i].from)) != 0)
			i++;
		if (i < p->n_swap) {
			rc = otd_bytes_text(out, p->swap[i].to);
			text += strlen(p->swap[i].from);
		} else {
			rc = otd_bytes_add(out, text++, 1);
		}
	}
	return rc;
}

static otd_rc write_file(const struct otd_project *p, const char *name, struct otd_bytes *text,
			 struct otd_err *err)
{
	char path[4200];
	if (snprintf(path, sizeof(path), "%s/%s", p->dir, name) >= (int)sizeof(path))
		return otd_fail(err, OTD_E_RANGE, "%s: too long a path", p->dir);
	FILE *f = fopen(path, "wxe");
	if (!f)
		return otd_fail(err, OTD_E_IO, "%s: %s", path, strerror(errno));
	bool written = fwrite(text->ptr, 1, text->len, f) == text->len;
	if (fclose(f) != 0 || !written)
		return otd_fail(err, OTD_E_IO, "%s: cannot be written: %s", path, strerror(errno));
	return OTD_OK;
}

static bool replaced(const struct otd_project *p, const char *name)
{
	for (size_t i = 0; i < p->n_file; i++) {
		if (strcmp(p->file[i].name, name) == 0)
			return true;
	}
	return false;
}

/* One file of the template; gitignore gets its point. */
static otd_rc copy_one(const struct otd_project *p, const char *folder, const char *name,
		       struct otd_err *err)
{
	struct otd_bytes text, out;
	char path[4600];
	if (replaced(p, name))
		return OTD_OK;
	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return otd_fail(err, OTD_E_RANGE, "%s: too long a path", folder);
	otd_bytes_init(&text, OTD_PROJECT_FILE_MAX);
	otd_bytes_init(&out, OTD_PROJECT_FILE_MAX);
	otd_rc rc = otd_project_read(&text, path, err);
	if (rc == OTD_OK) {
		rc = otd_project_swap(&out, p, otd_bytes_cstr(&text));
		if (rc != OTD_OK)
			rc = otd_fail(err, rc, "%s: too large", path);
	}
	if (rc == OTD_OK)
		rc = write_file(p, strcmp(name, "gitignore") == 0 ? ".gitignore" : name, &out, err);
	otd_bytes_finish(&text);
	otd_bytes_finish(&out);
	return rc;
}

/* Made where it is missing; one with anything in it is somebody's work. */
static otd_rc make_dir(const char *dir, struct otd_err *err)
{
	if (mkdir(dir, 0755) == 0)
		return OTD_OK;
	if (errno != EEXIST)
		return otd_fail(err, OTD_E_IO, "%s: %s", dir, strerror(errno));
	DIR *d = opendir(dir);
	const struct dirent *e;
	bool empty = true;
	if (!d)
		return otd_fail(err, OTD_E_IO, "%s: %s", dir, strerror(errno));
	while ((e = readdir(d)))
		empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
	closedir(d);
	return empty ? OTD_OK
		     : otd_fail(err, OTD_E_EXISTS,
				"%s is there and not empty; name another folder behind KIND/NAME",
				dir);
}

static otd_rc copy_all(const struct otd_project *p, const char *folder, struct otd_err *err)
{
	DIR *d = opendir(folder);
	const struct dirent *e;
	otd_rc rc = OTD_OK;
	if (!d)
		return otd_fail(err, OTD_E_IO, "%s: %s", folder, strerror(errno));
	while (rc == OTD_OK && (e = readdir(d))) {
		if (e->d_name[0] != '.')
			rc = copy_one(p, folder, e->d_name, err);
	}
	closedir(d);
	return rc;
}

static otd_rc write_project(struct otd_project *p, struct otd_err *err)
{
	char what[64], folder[4200];
	snprintf(what, sizeof(what), "templates/%s", p->kind);
	otd_rc rc = otd_sdk_where(folder, sizeof(folder), what, err);
	if (rc == OTD_OK)
		rc = make_dir(p->dir, err);
	for (size_t i = 0; rc == OTD_OK && i < p->n_file; i++)
		rc = write_file(p, p->file[i].name, &p->file[i].text, err);
	return rc ? rc : copy_all(p, folder, err);
}

/* "algo/my-algo" into its two words. */
static otd_rc split(struct otd_project *p, char kind[16], const char *word, struct otd_err *err)
{
	const char *slash = strchr(word, '/');
	const char *names[N_KINDS];
	char hint[OTD_HINT_TEXT];
	size_t n = slash ? strspn(slash + 1, "abcdefghijklmnopqrstuvwxyz0123456789-") : 0;
	for (size_t i = 0; i < N_KINDS; i++)
		names[i] = kinds[i].kind;
	snprintf(kind, 16, "%.*s", slash ? (int)(slash - word) : 15, word);
	for (size_t i = 0; i < N_KINDS; i++) {
		if (strcmp(kind, names[i]) == 0)
			p->kind = names[i];
	}
	if (!p->kind)
		return otd_fail(err, OTD_E_INVALID,
				"'%s': there are templates of algo, payout, chain and hw%s", word,
				otd_nearest_hint(hint, kind, names, N_KINDS));
	if (n == 0 || n > 31 || slash[1 + n] != '\0')
		return otd_fail(err, OTD_E_INVALID,
				"'%s': wants %s/NAME, with a name of 1 to 31 of a-z, 0-9 and '-'",
				word, p->kind);
	p->id = slash + 1;
	return OTD_OK;
}

static otd_rc check_license(const char *license, struct otd_err *err)
{
	size_t n = strspn(license, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				   ".-+() ");
	return n > 0 && n < 80 && license[n] == '\0'
		       ? OTD_OK
		       : otd_fail(err, OTD_E_INVALID,
				  "--license wants an SPDX name: MIT, GPL-3.0-or-later");
}

static const char *summary_of(const char *kind)
{
	for (size_t i = 0; i < N_KINDS; i++) {
		if (strcmp(kinds[i].kind, kind) == 0)
			return kinds[i].summary;
	}
	return "";
}

static otd_rc make(struct otd_project *p, const struct otd_project_from *from, const char *license,
		   struct otd_err *err)
{
	otd_rc rc = check_license(license, err);
	if (rc == OTD_OK && (from->path || from->vectors.n) && strcmp(p->kind, "algo") != 0)
		rc = otd_fail(err, OTD_E_INVALID, "--from and --vector are for algo/NAME");
	if (rc == OTD_OK && !from->path && from->vectors.n)
		rc = otd_fail(err, OTD_E_INVALID,
			      "--vector goes with --from; without it edit vectors.h");
	swap(p, "@ID@", p->id);
	swap(p, "@LICENSE@", license);
	swap(p, "@SUMMARY@", summary_of(p->kind));
	swap(p, "@MORE@", p->more);
	if (rc == OTD_OK && from->path)
		rc = otd_project_from(p, from, err);
	if (rc == OTD_OK)
		rc = write_project(p, err);
	for (size_t i = 0; i < p->n_file; i++)
		otd_bytes_finish(&p->file[i].text);
	return rc;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_project p = {0};
	struct otd_project_from from = {0};
	const char *license = "NOASSERTION";
	const struct otd_arg args[] = {
		{"--from", 0, "FILE", "algo: begin with the function in this C file",
		 .text = &from.path},
		{"--function", 0, "NAME", "which one of FILE, where several could be it",
		 .text = &from.function},
		{"--vector", 0, "HEADER=HASH", "a known answer of it, in hex; may be repeated",
		 .list = &from.vectors},
		{"--source", 0, "TEXT", "where the known answers come from", .text = &from.source},
		{"--license", 0, "SPDX", "of your plugin: MIT, GPL-3.0-or-later", .text = &license},
	};
	const char *words[2];
	char kind[16];
	size_t n_words;
	struct otd_err err = {0};
	int exit_status = otd_args_parse(cmd, args, sizeof(args) / sizeof(args[0]), argc, argv,
					 words, &n_words, 1, 2);
	if (exit_status >= 0)
		return exit_status;
	otd_rc rc = split(&p, kind, words[0], &err);
	if (rc == OTD_OK) {
		p.dir = n_words == 2 ? words[1] : p.id;
		rc = make(&p, &from, license, &err);
	}
	if (rc != OTD_OK)
		return otd_cmd_fail(cmd, "%s", err.text);
	printf("%s: a project of %s/%s. Next: cd %s && make check; its README.md tells more\n",
	       p.dir, p.kind, p.id, p.dir);
	return OTD_EXIT_OK;
}

const struct otd_cmd otd_plugin_new = {
	.name = "plugin new",
	.usage = "KIND/NAME [DIR] [--license SPDX] [--from FILE.c --vector HEADER=HASH..]",
	.summary = "begins a plugin of your own: a project that builds, in a folder",
	.more = "KIND is algo, payout, chain or hw; DIR is NAME where it is not said. The project "
		"builds\n"
		"against the installed SDK (make, or CMake) and passes 'plugin check' as it is.\n"
		"--from takes a function that is there already,\n"
		"    void NAME(const void *in, size_t len, void *out)\n"
		"with out of 32 bytes; pointers to other types, another integer, another order and "
		"no len\n"
		"at all (a header of fixed length) do as well. Headers beside FILE that it "
		"includes "
		"come\n"
		"along. HASH is as people write it, most significant digit first.",
	.run = run,
};
