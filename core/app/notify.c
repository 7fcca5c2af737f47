#include "app/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

#define STATUS_MS 5000

static struct {
	struct otd_loop *loop;
	struct otd_timer *status, *watchdog;
	void (*text)(void *arg, char *to, size_t cap);
	void *arg;
	bool told; /* that it cannot be told */
} g;

/* "/PATH" or "@NAME" of the abstract ones; what else there may be is not for us. */
static bool address(struct sockaddr_un *to, socklen_t *size)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;
	memset(to, 0, sizeof(*to));
	to->sun_family = AF_UNIX;
	if (n < 2 || n >= sizeof(to->sun_path) || (path[0] != '/' && path[0] != '@'))
		return false;
	memcpy(to->sun_path, path, n);
	if (path[0] == '@')
		to->sun_path[0] = '\0';
	*size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return true;
}

static void say(const char *text)
{
	struct sockaddr_un to;
	socklen_t size = 0;
	if (!address(&to, &size))
		return;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t n = strlen(text);
	bool sent = fd >= 0 && sendto(fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT,
				      (struct sockaddr *)&to, size) == (ssize_t)n;
	if (!sent && !g.told)
		otd_log(OTD_LOG_WARN, "app", "notify.failed", "socket=%s error=%s",
			OTD_Q(getenv("NOTIFY_SOCKET")), OTD_Q(strerror(errno)));
	g.told = g.told || !sent;
	if (fd >= 0)
		close(fd);
}

static void say_status(const char *before)
{
	char line[256] = "", message[400];
	if (g.text)
		g.text(g.arg, line, sizeof(line));
	line[strcspn(line, "\n")] = '\0';
	snprintf(message, sizeof(message), "%s%s%s", before, *line ? "STATUS=" : "", line);
	if (*message)
		say(message);
}

static void on_status(void *arg)
{
	(void)arg;
	say_status("");
}

static void on_watchdog(void *arg)
{
	(void)arg;
	say("WATCHDOG=1");
}

/* Milliseconds between two signs of life; 0: none are wanted of us. */
static int64_t watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t n = 0, whose = 0;
	if (!usec || otd_parse_u64(&n, usec, strlen(usec)) != OTD_OK || n == 0 || n > INT64_MAX)
		return 0;
	if (pid &&
	    (otd_parse_u64(&whose, pid, strlen(pid)) != OTD_OK || whose != (uint64_t)getpid()))
		return 0;
	return n < 4000 ? 1 : (int64_t)(n / 2000);
}

otd_rc otd_notify_start(struct otd_loop *l, void (*text)(void *arg, char *to, size_t cap),
			void *arg)
{
	struct sockaddr_un to;
	socklen_t size;
	int64_t ms = watchdog_ms();
	otd_rc rc = OTD_OK;
	if (!address(&to, &size))
		return OTD_OK;
	g.loop = l;
	g.text = text;
	g.arg = arg;
	rc = l->env->ops->timer_create(l, &g.status, on_status, NULL);
	if (rc == OTD_OK && ms)
		rc = l->env->ops->timer_create(l, &g.watchdog, on_watchdog, NULL);
	if (rc == OTD_OK)
		l->env->ops->timer_start(g.status, STATUS_MS, STATUS_MS);
	if (rc == OTD_OK && ms)
		l->env->ops->timer_start(g.watchdog, ms, ms);
	return rc;
}

void otd_notify_stop(void)
{
	if (g.status)
		g.loop->env->ops->timer_destroy(g.status);
	if (g.watchdog)
		g.loop->env->ops->timer_destroy(g.watchdog);
	g.status = g.watchdog = NULL;
	g.text = NULL;
}

void otd_notify_ready(void)
{
	/* Of a process that has just become the service's: the last sign of life was another's. */
	say_status(watchdog_ms() ? "READY=1\nWATCHDOG=1\n" : "READY=1\n");
}

/* The time is for Type=notify-reload, which knows by it which SIGHUP is answered. */
void otd_notify_reloading(void)
{
	char text[80];
	if (!g.loop)
		return;
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 otd_mono_ns(g.loop->env) / 1000);
	say(text);
}

void otd_notify_stopping(void)
{
	say("STOPPING=1\nSTATUS=draining");
}

void otd_notify_main(long pid)
{
	char text[40];
	snprintf(text, sizeof(text), "MAINPID=%ld", pid);
	say(text);
}

void otd_notify_alive(void)
{
	if (watchdog_ms())
		say("WATCHDOG=1");
}
