/*
 * Where log lines go: one descriptor behind one lock. A line that cannot be written now (disk full,
 * a stuck reader of stderr) is counted and left out; logging never stops the pool.
 */
#include "base/log.h"
#include "base/log_line.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, TEXT_MAX = 3584 };

/* How often an event came in this second. */
struct event_rate {
	char module[16], name[48]; /* name empty: a free place */
	int64_t second;
	uint32_t written;
	uint64_t left_out;
};

static struct {
	pthread_mutex_t lock;
	struct otd_log_conf conf;
	char *path; /* NULL: stderr */
	int fd;
	int64_t (*wall_ms)(void *);
	void *ctx;
	bool journal;        /* it is read by journald, which adds the time and takes the level */
	bool torn;           /* the last write stopped within a line */
	int64_t left_out_at; /* the second in which something was first left out; 0: none */
	uint64_t lost_told;
	struct event_rate rate[EVENTS];
} g = {.lock = PTHREAD_MUTEX_INITIALIZER, .conf = {.level = OTD_LOG_INFO}, .fd = STDERR_FILENO};

/* The least severe level that any module writes: the cheap test. */
static _Atomic int most = OTD_LOG_INFO;
static _Atomic uint64_t lost;

static int64_t now_ms(void)
{
	if (g.wall_ms)
		return g.wall_ms(g.ctx);
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static otd_rc open_path(int *fd, const char *path, struct otd_err *err)
{
	*fd = STDERR_FILENO;
	if (!path)
		return OTD_OK;
	*fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
	if (*fd >= 0)
		return OTD_OK;
	return otd_fail(err, OTD_E_IO,
			"cannot open the log file %s: %s; check that its folder exists"
			" and may be written to",
			path, strerror(errno));
}

/* Puts fd and path in place of the old ones. Under the lock. */
static void swap_target(int fd, char *path)
{
	if (g.fd != STDERR_FILENO)
		close(g.fd);
	g.fd = fd;
	g.torn = false;
	if (path != g.path)
		free(g.path);
	g.path = path;
}

/* True where all of it was written. Under the lock. */
static bool put(const uint8_t *p, size_t n)
{
	struct pollfd ready = {.fd = g.fd, .events = POLLOUT};
	size_t done = 0;
	/* A pipe that says so takes this much without blocking, even where it is a blocking one. */
	if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
		return false;
	while (done < n) {
		ssize_t w = write(g.fd, p + done, n - done);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			break;
		done += (size_t)w;
	}
	if (done)
		g.torn = p[done - 1] != '\n';
	return done == n;
}

/* Whether stderr goes to journald: it says so by device and inode of what it gave us (sd-daemon(3)). */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device = 0, inode = 0;
	struct stat st;
	return stream && sscanf(stream, "%20llu:%20llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && (unsigned long long)st.st_dev == device &&
	       (unsigned long long)st.st_ino == inode;
}

/* Syslog's numbers: error, warning, informational, debug. */
static int priority(int level)
{
	static const int of[] = {3, 4, 6, 7};
	return level >= 0 && level < 4 ? of[level] : 7;
}

/* Before otd_log_init() too: a program that takes over from another reads the configuration and tries plugins. */
static bool for_journal(void)
{
	return g.journal || (!g.path && !g.wall_ms && stderr_is_journal());
}

const char *otd_log_error_mark(void)
{
	return stderr_is_journal() ? "<3>" : "";
}

static bool write_line(int64_t ms, int level, const char *module, const char *event, char *pairs)
{
	struct otd_bytes line;
	bool journal = for_journal();
	otd_bytes_init(&line, OTD_LOG_LINE_MAX + 8);
	if (g.torn)
		(void)otd_bytes_text(&line, "\n");
	if (journal)
		(void)otd_bytes_format(&line, "<%d>", priority(level));
	otd_log_line(&line, g.conf.form, journal ? OTD_LOG_NO_TIME : ms, level, module, event,
		     pairs);
	bool written = !line.failed && line.len && put(line.ptr, line.len);
	otd_bytes_finish(&line);
	return written;
}

/* Lines about what was left out, once their second is over. Under the lock. */
static void tell_left_out(int64_t ms, bool all)
{
	char pairs[256];
	int64_t second = ms / 1000;
	if (g.left_out_at && (all || second != g.left_out_at)) {
		g.left_out_at = 0;
		for (size_t i = 0; i < EVENTS; i++) {
			struct event_rate *r = &g.rate[i];
			if (!r->left_out)
				continue;
			(void)snprintf(pairs, sizeof(pairs), "of=%s.%s left_out=%llu", r->module,
				       r->name, (unsigned long long)r->left_out);
			if (write_line(ms, OTD_LOG_WARN, "log", "log.limited", pairs))
				r->left_out = 0;
			else
				g.left_out_at = second ? second : 1; /* tried again later */
		}
	}
	uint64_t n = atomic_load(&lost);
	if (n != g.lost_told) {
		(void)snprintf(pairs, sizeof(pairs), "lines=%llu",
			       (unsigned long long)(n - g.lost_told));
		/* Where this line is lost too, it is tried again with the next. */
		if (write_line(ms, OTD_LOG_WARN, "log", "log.lost", pairs))
			g.lost_told = n;
	}
}

/* The place of an event; all that find none share the last. Under the lock. */
static struct event_rate *rate_of(const char *module, const char *event)
{
	uint32_t h = 2166136261u;
	for (const char *p = event; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (size_t i = 0; i < EVENTS - 1; i++) {
		struct event_rate *r = &g.rate[(h + i) % (EVENTS - 1)];
		if (!r->name[0]) {
			(void)snprintf(r->module, sizeof(r->module), "%s", module);
			(void)snprintf(r->name, sizeof(r->name), "%s", *event ? event : "-");
			return r;
		}
		if (strncmp(r->name, event, sizeof(r->name) - 1) == 0 &&
		    strncmp(r->module, module, sizeof(r->module) - 1) == 0)
			return r;
	}
	(void)snprintf(g.rate[EVENTS - 1].name, sizeof(g.rate[0].name), "others");
	return &g.rate[EVENTS - 1];
}

/* Whether the event is within its limit of this second. Under the lock. */
static bool allowed(int64_t ms, const char *module, const char *event)
{
	if (!g.conf.per_event_a_second)
		return true;
	struct event_rate *r = rate_of(module, event);
	if (r->second != ms / 1000) {
		r->second = ms / 1000;
		r->written = 0;
	}
	if (r->written < g.conf.per_event_a_second) {
		r->written++;
		return true;
	}
	r->left_out++;
	if (!g.left_out_at)
		g.left_out_at = r->second ? r->second : 1;
	return false;
}

static bool on_locked(int level, const char *module)
{
	for (size_t i = 0; i < g.conf.n_by_module; i++) {
		if (strncmp(g.conf.by_module[i].module, module,
			    sizeof(g.conf.by_module[i].module)) == 0)
			return level <= g.conf.by_module[i].level;
	}
	return level <= g.conf.level;
}

bool otd_log_on(int level, const char *module)
{
	if (level > atomic_load_explicit(&most, memory_order_relaxed))
		return false;
	pthread_mutex_lock(&g.lock);
	bool on = on_locked(level, module);
	pthread_mutex_unlock(&g.lock);
	return on;
}

void otd_log(int level, const char *module, const char *event, const char *fmt, ...)
{
	if (level > atomic_load_explicit(&most, memory_order_relaxed))
		return;
	int saved = errno;
	char pairs[TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	if (vsnprintf(pairs, sizeof(pairs), fmt, ap) < 0)
		pairs[0] = 0;
	va_end(ap);
	pthread_mutex_lock(&g.lock);
	if (on_locked(level, module)) {
		int64_t ms = now_ms();
		tell_left_out(ms, false);
		if (allowed(ms, module, event) && !write_line(ms, level, module, event, pairs))
			atomic_fetch_add(&lost, 1);
	}
	pthread_mutex_unlock(&g.lock);
	errno = saved;
}

static int most_of(const struct otd_log_conf *conf)
{
	int level = conf->level;
	for (size_t i = 0; i < conf->n_by_module; i++)
		level = conf->by_module[i].level > level ? conf->by_module[i].level : level;
	return level;
}

otd_rc otd_log_init(const struct otd_log_conf *conf, int64_t (*wall_ms)(void *), void *ctx,
		    struct otd_err *err)
{
	char *path = NULL;
	int fd;
	if (conf->n_by_module > sizeof(conf->by_module) / sizeof(conf->by_module[0]))
		return otd_fail(err, OTD_E_RANGE, "too many modules with a log level of their own");
	if (conf->path && !(path = strdup(conf->path)))
		return otd_fail(err, OTD_E_NOMEM, "no memory for the log");
	otd_rc rc = open_path(&fd, path, err);
	if (rc) {
		free(path);
		return rc;
	}
	pthread_mutex_lock(&g.lock);
	swap_target(fd, path);
	g.conf = *conf;
	g.conf.path = NULL;
	g.journal = !path && stderr_is_journal();
	g.wall_ms = wall_ms;
	g.ctx = ctx;
	pthread_mutex_unlock(&g.lock);
	atomic_store(&most, most_of(conf));
	return OTD_OK;
}

void otd_log_levels(const struct otd_log_conf *conf)
{
	size_t max = sizeof(g.conf.by_module) / sizeof(g.conf.by_module[0]);
	size_t n = conf->n_by_module < max ? conf->n_by_module : max;
	pthread_mutex_lock(&g.lock);
	g.conf.level = conf->level;
	g.conf.per_event_a_second = conf->per_event_a_second;
	memcpy(g.conf.by_module, conf->by_module, n * sizeof(conf->by_module[0]));
	g.conf.n_by_module = n;
	pthread_mutex_unlock(&g.lock);
	atomic_store(&most, most_of(conf));
}

otd_rc otd_log_reopen(struct otd_err *err)
{
	int fd;
	pthread_mutex_lock(&g.lock);
	otd_rc rc = open_path(&fd, g.path, err);
	if (rc == OTD_OK)
		swap_target(fd, g.path);
	pthread_mutex_unlock(&g.lock);
	return rc;
}

void otd_log_finish(void)
{
	pthread_mutex_lock(&g.lock);
	tell_left_out(now_ms(), true);
	swap_target(STDERR_FILENO, NULL);
	memset(g.rate, 0, sizeof(g.rate));
	memset(&g.conf, 0, sizeof(g.conf));
	g.conf.level = OTD_LOG_INFO;
	g.wall_ms = NULL;
	g.ctx = NULL;
	g.journal = false;
	g.left_out_at = 0;
	pthread_mutex_unlock(&g.lock);
	atomic_store(&most, OTD_LOG_INFO);
}

uint64_t otd_log_lost(void)
{
	return atomic_load(&lost);
}
