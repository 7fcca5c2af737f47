#include "app/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS 15000 /* for processes of a pool that was killed; they give up after 10 s */

static otd_rc make_folders(const char *path, struct otd_err *err)
{
	char part[512];
	size_t n = strlen(path);
	if (n == 0 || n >= sizeof(part))
		return otd_fail(err, OTD_E_RANGE, "data_dir: '%s' is not a usable path", path);
	memcpy(part, path, n + 1);
	for (size_t i = 1; i <= n; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0750) != 0 && errno != EEXIST)
			return otd_fail(err, OTD_E_IO, "data_dir: cannot make %s: %s", part,
					strerror(errno));
		part[i] = path[i];
	}
	return OTD_OK;
}

/* Who the file says has it. */
static void read_holder(int fd, char *pid, size_t cap)
{
	ssize_t n = pread(fd, pid, cap - 1, 0);
	pid[n > 0 ? n : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
}

/* A pool that was killed has gone, and its reactor processes still sync what they have. */
static bool has_gone(const char *pid)
{
	long n = strtol(pid, NULL, 10);
	return n > 0 && kill((pid_t)n, 0) != 0 && errno == ESRCH;
}

static bool locked(int fd)
{
	const struct timespec pause = {0, 20000000};
	char pid[32];
	bool mine = flock(fd, LOCK_EX | LOCK_NB) == 0;
	for (int ms = 0; !mine && ms < LOCK_WAIT_MS; ms += 20) {
		read_holder(fd, pid, sizeof(pid));
		if (!has_gone(pid))
			break;
		(void)nanosleep(&pause, NULL);
		mine = flock(fd, LOCK_EX | LOCK_NB) == 0;
	}
	return mine;
}

static otd_rc take_lock(int fd, const char *path, const char *data_dir, struct otd_err *err)
{
	char pid[32] = "";
	if (!locked(fd)) {
		read_holder(fd, pid, sizeof(pid));
		return otd_fail(err, OTD_E_BUSY,
				"a pool runs on %s already, pid %s; stop it first or use another "
				"data_dir",
				data_dir, *pid ? pid : "unknown");
	}
	int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n)
		return otd_fail(err, OTD_E_IO, "cannot write %s: %s", path, strerror(errno));
	return OTD_OK;
}

otd_rc otd_data_dir_inherit(int fd, const char *data_dir, struct otd_err *err)
{
	char path[600];
	struct stat ours, there;
	snprintf(path, sizeof(path), "%s/" OTD_DATA_DIR_LOCK, data_dir);
	if (fstat(fd, &ours) != 0 || stat(path, &there) != 0 || ours.st_dev != there.st_dev ||
	    ours.st_ino != there.st_ino)
		return otd_fail(
			err, OTD_E_INVALID,
			"the lock that was handed over is not that of %s; was data_dir changed?",
			data_dir);
	/* The lock belongs to the open file, whoever has a descriptor of it: this takes it once more. */
	return take_lock(fd, path, data_dir, err);
}

otd_rc otd_data_dir_lock(int *fd, const char *data_dir, bool make, struct otd_err *err)
{
	char path[600];
	otd_rc rc = make ? make_folders(data_dir, err) : OTD_OK;
	*fd = -1;
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%s/" OTD_DATA_DIR_LOCK, data_dir);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (*fd < 0)
		return otd_fail(err, errno == ENOENT ? OTD_E_NOT_FOUND : OTD_E_IO,
				"cannot open %s: %s", path, strerror(errno));
	rc = take_lock(*fd, path, data_dir, err);
	if (rc) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

otd_rc otd_data_dir_whole(const char *data_dir, struct otd_err *err)
{
	char path[600];
	snprintf(path, sizeof(path), "%s/" OTD_DATA_DIR_UNFINISHED, data_dir);
	if (access(path, F_OK) != 0)
		return OTD_OK;
	return otd_fail(
		err, OTD_E_CORRUPT,
		"%s: a restore into it was cut short, so that old and new files may lie beside "
		"each other; run 'otedama restore --force' again",
		data_dir);
}
