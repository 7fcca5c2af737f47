/* Programs run for a while, see loop/child.h. */
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/sanitized.h"
#include "loop/spawn.h"

#define ENVIRONMENT_MAX 8
#define LOOK_MS         100 /* how often it is looked whether it is over */

/* Only what the sanitizers of a test build read. */
static const char *const kept[] = {
	"ASAN_OPTIONS=", "TSAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS="};

/* A pipe whose ends are above the descriptors that the child is given. */
static otd_rc pipe_make(int ends[2])
{
	int raw[2];
	if (pipe2(raw, O_CLOEXEC))
		return OTD_E_IO;
	for (int i = 0; i < 2; i++) {
		ends[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, OTD_CHILD_REPORT_FD + 1);
		(void)close(raw[i]);
	}
	return ends[0] < 0 || ends[1] < 0 ? OTD_E_IO : OTD_OK;
}

static int spawn(pid_t *pid, const struct otd_child_conf *conf, int input, int report, int printed)
{
	char *env[ENVIRONMENT_MAX];
	struct real_spawn s;
	int e;

	real_spawn_environment(env, ENVIRONMENT_MAX, kept, sizeof(kept) / sizeof(kept[0]));
	real_spawn_begin(&s, POSIX_SPAWN_SETPGROUP); /* a group of its own */
	e = posix_spawn_file_actions_adddup2(&s.to, input, 0);
	e = e ? e : posix_spawn_file_actions_adddup2(&s.to, printed, 1);
	e = e ? e : posix_spawn_file_actions_adddup2(&s.to, printed, 2);
	e = e ? e : posix_spawn_file_actions_adddup2(&s.to, report, OTD_CHILD_REPORT_FD);
	return real_spawn_end(&s, e, pid, OTD_CHILD_REPORT_FD + 1, conf->argv[0], conf->argv, env);
}

/* Takes what there is; false: its end. Past the maximum it is read and lost. */
static bool take(int fd, struct otd_bytes *to)
{
	uint8_t block[4096];
	ssize_t n = read(fd, block, sizeof(block));
	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	size_t room = to->max - to->len;
	(void)!otd_bytes_add(to, block, (size_t)n < room ? (size_t)n : room);
	return true;
}

struct clock {
	int64_t until;
	const _Atomic bool *stop;
};

static bool is_over(const struct clock *c)
{
	return real_spawn_now_ms() >= c->until || (c->stop && atomic_load(c->stop));
}

/* Reads both until they end or the time is over: then false. A pipe may outlive the child where it
   has started others; those are killed with it. */
static bool listen_to(int report_fd, struct otd_bytes *report, int printed_fd,
		      struct otd_bytes *printed, const struct clock *c)
{
	struct pollfd p[2] = {{.fd = report_fd, .events = POLLIN},
			      {.fd = printed_fd, .events = POLLIN}};
	while (p[0].fd >= 0 || p[1].fd >= 0) {
		if (is_over(c))
			return false;
		if (poll(p, 2, LOOK_MS) <= 0)
			continue;
		if (p[0].fd >= 0 && p[0].revents && !take(report_fd, report))
			p[0].fd = -1;
		if (p[1].fd >= 0 && p[1].revents && !take(printed_fd, printed))
			p[1].fd = -1;
	}
	return true;
}

/* A child that closed its ends may still run. */
static void wait_for(pid_t pid, struct otd_child_end *end, bool finished, const struct clock *c)
{
	int status = 0;
	pid_t got = 0;
	while (finished && (got = waitpid(pid, &status, WNOHANG)) == 0) {
		struct timespec pause = {0, 2000000};
		if (is_over(c))
			finished = false;
		else
			(void)nanosleep(&pause, NULL);
	}
	end->stopped = !finished && real_spawn_now_ms() < c->until;
	end->timed_out = !finished && !end->stopped;
	/* Its whole group: whoever it started goes too. */
	if (kill(-pid, SIGKILL) != 0 && got == 0)
		(void)kill(pid, SIGKILL); /* on its way to its exec, and in no group of its own */
	while (got == 0 || (got < 0 && errno == EINTR))
		got = waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		end->signal = WTERMSIG(status);
	else
		end->status = WEXITSTATUS(status);
}

otd_rc otd_child_run(struct otd_child_end *end, struct otd_bytes *report, struct otd_bytes *printed,
		     const struct otd_child_conf *conf, struct otd_err *err)
{
	int r[2] = {-1, -1}, o[2] = {-1, -1}, in[2] = {-1, -1}, e = 0;
	const struct clock c = {real_spawn_now_ms() + conf->wall_ms, conf->stop};
	pid_t pid = -1;
	otd_rc rc = OTD_OK;

	*end = (struct otd_child_end){0};
	if (conf->input.len > OTD_CHILD_INPUT_MAX)
		return otd_fail(err, OTD_E_RANGE, "%s: too much for its input", conf->argv[0]);
	if (pipe_make(r) || pipe_make(o) || pipe_make(in))
		e = errno;
	else if (conf->input.len && write(in[1], conf->input.ptr, conf->input.len) < 0)
		e = errno;
	if (!e) {
		(void)close(in[1]); /* so that the child sees its end */
		in[1] = -1;
		e = spawn(&pid, conf, in[0], r[1], o[1]);
	}
	if (e)
		rc = otd_fail(err, OTD_E_IO, "cannot start %s: %s", conf->argv[0], strerror(e));
	if (rc == OTD_OK) {
		(void)close(r[1]);
		(void)close(o[1]);
		r[1] = o[1] = -1;
		wait_for(pid, end, listen_to(r[0], report, o[0], printed, &c), &c);
	}
	for (int i = 0; i < 2; i++) {
		const int fd[] = {r[i], o[i], in[i]};
		for (size_t k = 0; k < 3; k++) {
			if (fd[k] >= 0)
				(void)close(fd[k]);
		}
	}
	return rc;
}

/* --- in the child --- */

static void limit(int what, uint64_t value)
{
	struct rlimit l = {value, value};
	(void)setrlimit((__rlimit_resource_t)what, &l);
}

void otd_child_confine(const struct otd_child_limits *limits)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	if (limits->cpu_s)
		limit(RLIMIT_CPU, limits->cpu_s);
	/* Sanitizers map terabytes that they never touch. */
	if (limits->memory && !OTD_SANITIZED)
		limit(RLIMIT_AS, limits->memory);
}

void otd_child_report(const void *p, size_t n)
{
	const uint8_t *at = p;
	while (n) {
		ssize_t done = write(OTD_CHILD_REPORT_FD, at, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			_exit(127);
		at += done;
		n -= (size_t)done;
	}
}

const char *otd_child_signal(int signum)
{
	switch (signum) {
	case SIGSEGV: return "SIGSEGV (it used memory that is not its own)";
	case SIGBUS: return "SIGBUS (it used memory that is not there)";
	case SIGABRT: return "SIGABRT (abort() was called)";
	case SIGFPE: return "SIGFPE (it divided by zero)";
	case SIGILL: return "SIGILL (an instruction that this processor does not have)";
	case SIGXCPU: return "SIGXCPU (it used up its processor time)";
	case SIGXFSZ: return "SIGXFSZ (it wrote to a file)";
	case SIGKILL: return "SIGKILL (it used up its processor time or memory)";
	case SIGSYS: return "SIGSYS (a system call that is not allowed)";
	case SIGTRAP: return "SIGTRAP";
	case SIGTERM: return "SIGTERM";
	case SIGPIPE: return "SIGPIPE";
	default: return "a signal";
	}
}
