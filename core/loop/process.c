/* A second process of this program, see loop/process.h. */
#include "loop/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/child.h"
#include "loop/spawn.h"

#define ENVIRONMENT_MAX 10
#define ABOVE           10 /* our descriptors, so that those of the child are free */

/* What sanitizers, coverage and messages of a test build read, and what hour it is. */
static const char *const kept[] = {
	"ASAN_OPTIONS=",     "TSAN_OPTIONS=", "UBSAN_OPTIONS=",    "LSAN_OPTIONS=",
	"OTEDAMA_MSG_COPY=", "TZ=",           "LLVM_PROFILE_FILE="};

static int above(int fd)
{
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);
	if (fd >= 0)
		(void)close(fd);
	return high;
}

/* A file in memory with the settings in it, to be read from its start. */
static int settings_file(struct otd_span settings)
{
	int fd = above(memfd_create("otedama-settings", MFD_CLOEXEC));
	size_t done = 0;
	while (fd >= 0 && done < settings.len) {
		ssize_t n = write(fd, settings.ptr + done, settings.len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			(void)close(fd);
			return -1;
		}
		done += (size_t)n;
	}
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int spawn(pid_t *pid, const char *const *argv, int link, int settings, int lock)
{
	char *env[ENVIRONMENT_MAX];
	struct real_spawn s;
	real_spawn_environment(env, ENVIRONMENT_MAX, kept, sizeof(kept) / sizeof(kept[0]));
	real_spawn_begin(&s, 0);
	int e = posix_spawn_file_actions_addopen(&s.to, 0, "/dev/null", O_RDONLY, 0);
	e = e ? e : posix_spawn_file_actions_adddup2(&s.to, 2, 1);
	e = e ? e : posix_spawn_file_actions_adddup2(&s.to, link, OTD_PROCESS_LINK_FD);
	e = e ? e : posix_spawn_file_actions_adddup2(&s.to, settings, OTD_PROCESS_SETTINGS_FD);
	if (!e && lock >= 0)
		e = posix_spawn_file_actions_adddup2(&s.to, lock, OTD_PROCESS_LOCK_FD);
	return real_spawn_end(&s, e, pid, lock >= 0 ? OTD_PROCESS_LOCK_FD + 1 : OTD_PROCESS_LOCK_FD,
			      "/proc/self/exe", argv, env);
}

otd_rc otd_process_start(pid_t *pid, int *fd, const char *const *argv, struct otd_span settings,
			 int lock, struct otd_err *err)
{
	int ends[2] = {-1, -1}, e = 0, memory = settings_file(settings), held = -1;
	*fd = -1;
	if (memory < 0)
		return otd_fail(err, OTD_E_IO, "cannot start a process: %s", strerror(errno));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		e = errno;
	for (int i = 0; !e && i < 2; i++) {
		ends[i] = above(ends[i]);
		e = ends[i] < 0 ? errno : 0;
	}
	/* One that stands where the child's are would be closed before it is taken. */
	if (!e && lock >= 0)
		e = (held = fcntl(lock, F_DUPFD_CLOEXEC, ABOVE)) < 0 ? errno : 0;
	e = e ? e : spawn(pid, argv, ends[1], memory, held);
	(void)close(memory);
	if (held >= 0)
		(void)close(held);
	if (ends[1] >= 0)
		(void)close(ends[1]);
	if (!e) {
		*fd = ends[0];
		return OTD_OK;
	}
	if (ends[0] >= 0)
		(void)close(ends[0]);
	return otd_fail(err, OTD_E_IO, "cannot start a process: %s", strerror(e));
}

bool otd_process_ended(pid_t pid, char *how, size_t cap)
{
	int status = 0;
	pid_t got = waitpid(pid, &status, WNOHANG);
	if (got == 0 || (got < 0 && errno == EINTR))
		return false;
	if (got < 0)
		snprintf(how, cap, "unknown");
	else if (WIFSIGNALED(status))
		snprintf(how, cap, "%s", otd_child_signal(WTERMSIG(status)));
	else
		snprintf(how, cap, "exit status %d", WEXITSTATUS(status));
	return true;
}

void otd_process_kill(pid_t pid)
{
	(void)kill(pid, SIGKILL);
}

void otd_process_signal(pid_t pid, int signum)
{
	(void)kill(pid, signum);
}

otd_rc otd_process_settings(struct otd_bytes *out, struct otd_err *err)
{
	uint8_t block[4096];
	ssize_t n;
	otd_rc rc = OTD_OK;
	do {
		n = read(OTD_PROCESS_SETTINGS_FD, block, sizeof(block));
		if (n > 0)
			rc = otd_bytes_add(out, block, (size_t)n);
	} while (rc == OTD_OK && (n > 0 || (n < 0 && errno == EINTR)));
	if (n < 0)
		rc = OTD_E_IO;
	(void)close(OTD_PROCESS_SETTINGS_FD);
	if (rc != OTD_OK)
		return otd_fail(err, rc, "cannot read what the pool gave: %s", otd_rc_name(rc));
	return OTD_OK;
}
