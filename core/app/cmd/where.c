#include "app/cmd/where.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cmd/settings_file.h"

/* The same of the system's service: deploy/otedama.service gives it this folder, which only root can make. */
#define SERVICE_LAST "/run/otedama/otedama-last"

/* The file that names the socket of the pool this user started last; its folder is ours alone. */
static bool last_file(char *path, size_t cap)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char folder[200];
	struct stat st;
	if (run && *run)
		snprintf(folder, sizeof(folder), "%s", run);
	else
		snprintf(folder, sizeof(folder), "/tmp/otedama-%u", (unsigned)getuid());
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return false;
	if (lstat(folder, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid())
		return false;
	int n = snprintf(path, cap, "%s/otedama-last", folder);
	return n > 0 && (size_t)n < cap;
}

void otd_where_publish(const char *socket)
{
	char path[256], absolute[512] = "";
	if (!last_file(path, sizeof(path)))
		return;
	if (socket[0] != '/' && getcwd(absolute, sizeof(absolute) - 1)) {
		size_t n = strlen(absolute);
		snprintf(absolute + n, sizeof(absolute) - n, "/");
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	dprintf(fd, "%s%s\n", absolute, socket);
	close(fd);
}

static otd_rc read_path(char *path, size_t cap, const char *file)
{
	FILE *f = fopen(file, "re");
	otd_rc rc = OTD_E_NOT_FOUND;
	if (!f)
		return rc;
	if (fgets(path, (int)cap, f)) {
		path[strcspn(path, "\n")] = '\0';
		rc = OTD_OK;
	}
	fclose(f);
	return rc;
}

static otd_rc read_last(char *path, size_t cap)
{
	char file[256];
	return last_file(file, sizeof(file)) ? read_path(path, cap, file) : OTD_E_NOT_FOUND;
}

void otd_where_withdraw(const char *socket)
{
	char file[256], last[512];
	size_t n = strlen(socket);
	if (read_last(last, sizeof(last)) != OTD_OK || !last_file(file, sizeof(file)))
		return;
	/* Another pool may have started since; its word stays. */
	size_t m = strlen(last);
	if (m >= n && strcmp(last + m - n, socket) == 0)
		(void)unlink(file);
}

/* The configuration of the system's service, beside which this program was installed. */
static bool service_config(char *path, size_t cap)
{
	char folder[400];
	otd_where_program(folder, sizeof(folder));
	int n = strcmp(folder, "/usr/bin") == 0
			? snprintf(path, cap, "/etc/otedama/pool.yaml")
			: snprintf(path, cap, "%s/../etc/otedama/pool.yaml", folder);
	return n > 0 && (size_t)n < cap && access(path, F_OK) == 0;
}

otd_rc otd_where_socket(char *path, size_t cap, const char *socket, const char *config,
			struct otd_err *err)
{
	if (socket) {
		if (strlen(socket) >= cap)
			return otd_fail(err, OTD_E_RANGE, "%s: too long a path", socket);
		memcpy(path, socket, strlen(socket) + 1);
		return OTD_OK;
	}
	if (config)
		return otd_settings_file_socket(path, cap, config, err);
	if (read_last(path, cap) == OTD_OK)
		return OTD_OK;
	char service[512];
	if (!service_config(service, sizeof(service)))
		return otd_fail(
			err, OTD_E_NOT_FOUND,
			"no pool was started here by this user; name its configuration with "
			"-c FILE");
	if (access(service, R_OK) != 0)
		return otd_fail(err, OTD_E_NOT_FOUND,
				"no pool was started here by this user, and that of %s is not for "
				"this user to ask; become root, or name another with -c FILE",
				service);
	/* A file in the middle of an edit says nothing: a pool that runs is asked all the same. */
	otd_rc rc = otd_settings_file_socket(path, cap, service, err);
	return rc && read_path(path, cap, SERVICE_LAST) == OTD_OK ? OTD_OK : rc;
}

void otd_where_program(char *folder, size_t cap)
{
	ssize_t n = readlink("/proc/self/exe", folder, cap - 1);
	folder[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
}
