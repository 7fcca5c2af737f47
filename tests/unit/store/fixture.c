#include "fixture.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct disk disk;

static bool fails(void)
{
	disk.ops++;
	return disk.fail_at && (disk.once ? disk.ops == disk.fail_at : disk.ops >= disk.fail_at);
}

static otd_rc disk_write(void *ctx, struct otd_file *f, const void *from, size_t n, uint64_t at)
{
	const struct otd_files *real = otd_files_real();
	if (!fails())
		return real->write(ctx, f, from, n, at);
	/* Half of it is there: the worst that a full disk does. */
	if (real->write(ctx, f, from, n / 2, at))
		abort();
	return disk.with;
}

static otd_rc disk_sync(void *ctx, struct otd_file *f)
{
	return fails() || disk.no_sync ? OTD_E_IO : otd_files_real()->sync(ctx, f);
}

static otd_rc disk_truncate(void *ctx, struct otd_file *f, uint64_t n)
{
	return fails() ? OTD_E_IO : otd_files_real()->truncate(ctx, f, n);
}

struct otd_files disk_files;

static void check(struct fixture *f, otd_rc rc, const char *what)
{
	if (!rc)
		return;
	fprintf(stderr, "%s: %s\n", what, f->err.text);
	abort();
}

void fixture_init(struct fixture *f)
{
	struct otd_plugins_conf conf = {0};
	memset(f, 0, sizeof(*f));
	memset(&disk, 0, sizeof(disk));
	snprintf(f->dir, sizeof(f->dir), "%s", "store-test-XXXXXX");
	if (!mkdtemp(f->dir))
		abort();
	disk_files = *otd_files_real();
	disk_files.write = disk_write;
	disk_files.sync = disk_sync;
	disk_files.truncate = disk_truncate;
	check(f, otd_env_real_create(&f->env, NULL, &f->err), "env");
	check(f, f->env->ops->loop_create(f->env, &f->loop, "test", &f->err), "loop");
	check(f, otd_plugins_create(&f->plugins, f->env, &conf, &f->err), "plugins");
	check(f, otd_plugins_add_builtin(f->plugins, otd_plugin_v1(), &f->err), "builtin");
	check(f, otd_files_rooted_create(&f->files, &disk_files, f->dir), "rooted");
}

static void remove_dir(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[400];
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

void fixture_finish(struct fixture *f)
{
	otd_plugins_destroy(f->plugins);
	f->env->ops->loop_destroy(f->loop);
	otd_env_real_destroy(f->env);
	otd_files_rooted_destroy(f->files);
	remove_dir(f->dir);
}

struct otd_plugin_instance *fixture_instance(struct fixture *f)
{
	struct otd_plugin_services services = {.files = f->files};
	struct otd_plugin_instance *in = NULL;
	struct otd_plugin *pl = otd_plugins_get(f->plugins, "store", "sqlite", &f->err);
	check(f, pl ? OTD_OK : OTD_E_NOT_FOUND, "get");
	check(f, otd_instance_create(&in, pl, NULL, "store", &services, &f->err), "instance");
	return in;
}

struct otd_store *fixture_store(struct fixture *f, struct otd_plugin_instance *in)
{
	struct otd_store *s = NULL;
	check(f, otd_store_create(&s, f->loop, in, &f->err), "store");
	return s;
}

void must(struct fixture *f, struct otd_store *s, bool write, otd_store_work work, void *arg)
{
	check(f, otd_store_do_now(s, write, work, arg, &f->err), "must");
}

otd_rc work_sql(void *arg, struct otd_db *db, struct otd_err *err)
{
	return otd_db_exec(db, arg, NULL, 0, NULL, NULL, err);
}
