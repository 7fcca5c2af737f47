/* config check: what this machine has to give: the data folder, its disk, secrets in files, limits. */
#include "app/app_limits.h"
#include "app/check/config_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char *user_name(char out[64], uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);
	if (pw)
		snprintf(out, 64, "%s", pw->pw_name);
	else
		snprintf(out, 64, "user %lu", (unsigned long)uid);
	return out;
}

static const char *size_text(char out[32], uint64_t bytes)
{
	static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	size_t i = 0;
	uint64_t tenths = bytes * 10;
	for (; tenths >= 10240 && i < 4; i++)
		tenths /= 1024;
	snprintf(out, 32, "%llu.%llu %s", (unsigned long long)(tenths / 10),
		 (unsigned long long)(tenths % 10), unit[i]);
	return out;
}

/* --- the data folder --- */

static const struct otd_yaml *data_at(const struct otd_check *c)
{
	return otd_settings_at(c->app.settings, "data_dir", NULL, "");
}

/* A file made and removed again is the only proof that one can be made. 0, or errno. */
static int try_write(const char *folder)
{
	char path[1200];
	if (snprintf(path, sizeof(path), "%s/.otedama-check-XXXXXX", folder) >= (int)sizeof(path))
		return ENAMETOOLONG;
	int fd = mkstemp(path);
	if (fd < 0)
		return errno;
	close(fd);
	(void)unlink(path);
	return 0;
}

static int try_make(const char *folder)
{
	char path[1200];
	if (snprintf(path, sizeof(path), "%s/.otedama-check-XXXXXX", folder) >= (int)sizeof(path))
		return ENAMETOOLONG;
	if (!mkdtemp(path))
		return errno;
	(void)rmdir(path);
	return 0;
}

/* The nearest folder above path that is there. */
static void nearest_there(char out[1200], const char *path)
{
	struct stat st;
	snprintf(out, 1200, "%s", path);
	while (stat(out, &st) != 0 && errno == ENOENT) {
		char *slash = strrchr(out, '/');
		if (!slash) {
			snprintf(out, 1200, ".");
			return;
		}
		if (slash == out) {
			slash[1] = '\0';
			return;
		}
		*slash = '\0';
	}
}

static void say_unwritable(struct otd_check *c, const char *dir, const struct stat *st, int e)
{
	char owner[64], me[64];
	user_name(owner, st->st_uid);
	user_name(me, geteuid());
	if ((e == EACCES || e == EPERM) && st->st_uid != geteuid())
		otd_check_say(
			c, OTD_CHECK_FAULT, data_at(c), "data_dir",
			"%s belongs to %s, and %s may not write to it; run the pool as %s, or "
			"chown -R %s %s",
			dir, owner, me, owner, me, dir);
	else if (e == ENOSPC || e == EDQUOT)
		otd_check_say(c, OTD_CHECK_FAULT, data_at(c), "data_dir",
			      "%s: %s; free some of its disk, or put data_dir on another one", dir,
			      strerror(e));
	else if (e == EROFS)
		otd_check_say(c, OTD_CHECK_FAULT, data_at(c), "data_dir",
			      "%s is on a disk that can only be read; put data_dir on another one",
			      dir);
	else
		otd_check_say(c, OTD_CHECK_FAULT, data_at(c), "data_dir",
			      "nothing can be written to %s: %s; chmod u+rwx %s", dir, strerror(e),
			      dir);
}

/* What another user made in there, as after a start by root, cannot be written to. */
static void check_inside(struct otd_check *c, const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	if (!d)
		return;
	while ((e = readdir(d))) {
		char path[1500], owner[64], me[64];
		struct stat st;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (strcmp(e->d_name, "..") == 0 || lstat(path, &st) != 0 ||
		    (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) || access(path, W_OK) == 0)
			continue;
		otd_check_say(
			c, OTD_CHECK_FAULT, data_at(c), "data_dir",
			"%s belongs to %s, and %s may not write to it: was the pool started as "
			"%s once? chown -R %s %s",
			path, user_name(owner, st.st_uid), user_name(me, geteuid()), owner, me,
			dir);
		break;
	}
	closedir(d);
}

/* Whether a pool has the folder. Its lock is only tried, for a moment, and shared. */
static void see_running(struct otd_check *c, const char *dir)
{
	char path[1200], text[32] = "";
	snprintf(path, sizeof(path), "%s/otedama.lock", dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		c->running = true;
		c->running_pid = strtol(text, NULL, 10);
		otd_check_note(c,
			       "data_dir: a pool runs on %s, pid %ld: its own ports and its "
			       "database are not looked at",
			       dir, c->running_pid);
	}
	close(fd);
}

/* --- its disk --- */

static void check_room(struct otd_check *c, const char *dir)
{
	const struct otd_settings *s = c->app.settings;
	const struct otd_settings_journal *j = &s->journal;
	uint64_t reactors = (uint64_t)s->threads.reactors;
	uint64_t first =
		reactors * (uint64_t)j->segment_bytes + (uint64_t)j->coordinator_segment_bytes;
	uint64_t all = reactors * (uint64_t)j->max_bytes + (uint64_t)j->coordinator_max_bytes;
	struct statvfs v;
	char free_text[32], need[32];
	if (statvfs(dir, &v) != 0)
		return;
	uint64_t left = (uint64_t)v.f_bavail * v.f_frsize;
	size_text(free_text, left);
	if (v.f_files > 0 && v.f_favail == 0)
		otd_check_say(c, OTD_CHECK_FAULT, data_at(c), "data_dir",
			      "the disk of %s has no inode left; remove some files there", dir);
	if (left < first && !c->running)
		otd_check_say(
			c, OTD_CHECK_FAULT, data_at(c), "data_dir",
			"the disk of %s has %s left, the first journals take %s; free some of "
			"it, or lower journal.segment and threads.reactors",
			dir, free_text, size_text(need, first));
	else if (left < all)
		otd_check_say(c, OTD_CHECK_WARNING, data_at(c), "data_dir",
			      "the disk of %s has %s left, the journals may take %s while the "
			      "database is away; free some of it, or lower journal.max and "
			      "journal.coordinator_max",
			      dir, free_text, size_text(need, all));
}

static void check_data_dir(struct otd_check *c)
{
	const char *dir = c->app.settings->data_dir;
	char there[1200], owner[64];
	struct stat st;
	int e;
	if (!dir || otd_settings_faulty(c->app.settings, data_at(c)))
		return;
	if (stat(dir, &st) != 0 && errno == ENOENT) {
		nearest_there(there, dir);
		e = try_make(there);
		if (e)
			otd_check_say(
				c, OTD_CHECK_FAULT, data_at(c), "data_dir",
				"%s is not there, and no folder can be made in %s: %s; make it "
				"for the user of the pool: install -d -m 750 -o USER %s",
				dir, there, strerror(e), dir);
		else
			check_room(c, there);
		return;
	}
	if (stat(dir, &st) != 0) {
		otd_check_say(
			c, OTD_CHECK_FAULT, data_at(c), "data_dir",
			"%s cannot be reached: %s; choose a path of folders that this user may "
			"enter",
			dir, strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		otd_check_say(c, OTD_CHECK_FAULT, data_at(c), "data_dir",
			      "%s is a file; name a folder", dir);
		return;
	}
	see_running(c, dir);
	c->data_readable = access(dir, R_OK | X_OK) == 0;
	e = try_write(dir);
	if (e)
		say_unwritable(c, dir, &st, e);
	else if (geteuid() == 0 && st.st_uid != 0)
		otd_check_say(c, OTD_CHECK_WARNING, data_at(c), "data_dir",
			      "%s belongs to %s, and this is root: what root makes there %s cannot "
			      "write; run check and serve as %s: sudo -u %s otedama ...",
			      dir, user_name(owner, st.st_uid), owner, owner, owner);
	else if (geteuid() != 0)
		check_inside(c, dir);
	check_room(c, dir);
}

/* --- secrets --- */

static bool open_to_all(const char *path, mode_t *mode)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return false;
	*mode = st.st_mode & 07777;
	return (st.st_mode & S_IROTH) != 0;
}

static void check_password(struct otd_check *c, const struct otd_settings_node *n)
{
	const struct otd_settings *s = c->app.settings;
	const struct otd_yaml *at = otd_settings_at(s, "nodes", n->name, "password");
	const char *key = otd_check_key(c, "nodes.%s.password", n->name);
	mode_t mode = 0;
	if (!*n->password || otd_settings_faulty(s, at))
		return;
	const char *text = otd_yaml_text(at);
	if (strncmp(text, "file:", 5) == 0) {
		if (open_to_all(text + 5, &mode))
			otd_check_say(c, OTD_CHECK_WARNING, at, key,
				      "every user of this machine may read %s (mode %04o); chmod "
				      "o-rwx %s",
				      text + 5, (unsigned)mode, text + 5);
	} else if (strncmp(otd_yaml_file(at), "--set", 5) == 0) {
		otd_check_say(c, OTD_CHECK_WARNING, at, key,
			      "stands on the command line, where every user of this machine sees "
			      "it; write ${NAME} or file:PATH into the file");
	} else if (!otd_yaml_is_expanded(at) && open_to_all(otd_yaml_file(at), &mode)) {
		otd_check_say(c, OTD_CHECK_WARNING, at, key,
			      "stands in a file that every user of this machine may read (mode "
			      "%04o); chmod o-rwx %s, or write ${NAME} or file:PATH",
			      (unsigned)mode, otd_yaml_file(at));
	}
}

/* A password written where the path belongs is not repeated. */
static const char *shown_path(const char *path)
{
	return strchr(path, '/') || strstr(path, "cookie") ? path : "what is written there";
}

bool otd_check_cookie_good(const char *path, int *why)
{
	char text[300] = "";
	FILE *f = fopen(path, "re");
	*why = f ? 0 : errno;
	if (!f)
		return false;
	bool good = fgets(text, sizeof(text), f) && strchr(text, ':');
	if (ferror(f))
		*why = errno;
	explicit_bzero(text, sizeof(text));
	fclose(f);
	return good;
}

static void check_cookie(struct otd_check *c, const struct otd_settings_node *n)
{
	const struct otd_yaml *at = otd_settings_at(c->app.settings, "nodes", n->name, "cookie");
	const char *key = otd_check_key(c, "nodes.%s.cookie", n->name);
	char me[64];
	mode_t mode = 0;
	int why = 0;
	if (!*n->cookie || otd_settings_faulty(c->app.settings, at))
		return;
	if (otd_check_cookie_good(n->cookie, &why)) {
		if (open_to_all(n->cookie, &mode))
			otd_check_say(
				c, OTD_CHECK_WARNING, at, key,
				"every user of this machine may read %s (mode %04o), and with "
				"it spend what is in the node's wallet; chmod o-rwx %s",
				n->cookie, (unsigned)mode, n->cookie);
	} else if (why == ENOENT) {
		otd_check_say(
			c, OTD_CHECK_FAULT, at, key,
			"%s is not there: a node writes it when it starts; start the node, or "
			"name the .cookie in its data folder",
			shown_path(n->cookie));
	} else if (why) {
		otd_check_say(
			c, OTD_CHECK_FAULT, at, key,
			"%s cannot be read: %s; let %s read it, as by rpccookieperms=group in "
			"the node's configuration and the node's group",
			shown_path(n->cookie), strerror(why), user_name(me, geteuid()));
	} else {
		otd_check_say(
			c, OTD_CHECK_FAULT, at, key,
			"%s is no cookie file: it has no USER:PASSWORD in it; name the .cookie "
			"in the node's data folder",
			shown_path(n->cookie));
	}
}

/* --- limits --- */

static void check_files(struct otd_check *c)
{
	const struct otd_settings *s = c->app.settings;
	struct rlimit r;
	size_t room = otd_app_files_left(s);
	if (room >= (size_t)s->limits.connections || getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	otd_check_say(c, OTD_CHECK_WARNING, otd_settings_at(s, "limits", NULL, "connections"),
		      "limits.connections",
		      "%lld connections need as many open files, and this user may have %llu here, "
		      "which leaves room for %zu: more are turned away; raise that (ulimit -n, "
		      "LimitNOFILE= of the unit), or lower the limit",
		      (long long)s->limits.connections, (unsigned long long)r.rlim_cur, room);
}

static void check_lists(struct otd_check *c)
{
	struct otd_lists *lists = NULL;
	struct otd_err err = {0};
	if (otd_app_lists_read(&lists, c->app.env, c->app.settings, &err) != OTD_OK)
		otd_check_take(c, OTD_CHECK_FAULT, &err);
	otd_lists_destroy(lists);
}

void otd_check_machine(struct otd_check *c)
{
	const struct otd_settings *s = c->app.settings;
	check_data_dir(c);
	for (size_t i = 0; i < s->n_nodes; i++) {
		if (!s->nodes[i].whole)
			continue;
		check_password(c, &s->nodes[i]);
		check_cookie(c, &s->nodes[i]);
	}
	check_files(c);
	check_lists(c);
}
