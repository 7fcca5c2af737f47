/* config check: whether what is to listen could, and who has what it could not have. */
#include "app/check/config_check.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INODES_MAX 32

/* Sockets that listen on a port. */
struct holders {
	unsigned long inode[INODES_MAX];
	size_t n;
	long pid; /* whose they are; 0: not to be seen */
	char program[32];
};

/* Linux: a line a socket; the second word is ADDRESS:PORT, the fourth the state, the tenth the
   inode. */
static void read_table(struct holders *h, const char *table, uint16_t port)
{
	FILE *f = fopen(table, "re");
	char line[300];
	while (f && fgets(line, sizeof(line), f) && h->n < INODES_MAX) {
		unsigned got, state;
		unsigned long inode;
		if (sscanf(line, " %*s %*[0-9A-Fa-f]:%4x %*s %2x %*s %*s %*s %*s %*s %lu", &got,
			   &state, &inode) == 3 &&
		    got == port && state == 0x0A)
			h->inode[h->n++] = inode;
	}
	if (f)
		fclose(f);
}

static bool has_one(const struct holders *h, const char *fds)
{
	DIR *d = opendir(fds);
	const struct dirent *e;
	bool found = false;
	while (d && !found && (e = readdir(d))) {
		char path[400], to[64];
		unsigned long inode;
		snprintf(path, sizeof(path), "%.100s/%.255s", fds, e->d_name);
		ssize_t n = readlink(path, to, sizeof(to) - 1);
		to[n > 0 ? n : 0] = '\0';
		if (sscanf(to, "socket:[%lu]", &inode) != 1)
			continue;
		for (size_t i = 0; i < h->n; i++)
			found = found || h->inode[i] == inode;
	}
	if (d)
		closedir(d);
	return found;
}

static void find_program(struct holders *h)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	while (d && !h->pid && (e = readdir(d))) {
		char path[300];
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/fd", e->d_name);
		if (!has_one(h, path))
			continue;
		h->pid = strtol(e->d_name, NULL, 10);
		snprintf(path, sizeof(path), "/proc/%.20s/comm", e->d_name);
		FILE *f = fopen(path, "re");
		if (f && fgets(h->program, sizeof(h->program), f))
			h->program[strcspn(h->program, "\n")] = '\0';
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
}

static void say_taken(struct otd_check *c, const struct otd_yaml *at, const char *key,
		      uint16_t port)
{
	struct holders h = {0};
	read_table(&h, "/proc/net/tcp", port);
	read_table(&h, "/proc/net/tcp6", port);
	find_program(&h);
	/* What the pool on this data_dir has is its own, and what cannot be seen is taken for it. */
	if (c->running && (!h.pid || h.pid == c->running_pid))
		return;
	if (h.pid)
		otd_check_say(
			c, OTD_CHECK_FAULT, at, key,
			"port %u is taken by another program, %s (pid %ld); end it, or choose "
			"another port",
			(unsigned)port, h.program, h.pid);
	else
		otd_check_say(
			c, OTD_CHECK_FAULT, at, key,
			"port %u is taken by another program; see who has it by 'ss -ltnp', end "
			"it, or choose another port",
			(unsigned)port);
}

static void try_listen(struct otd_check *c, const char *host, uint16_t port,
		       const struct otd_yaml *at, const char *key)
{
	struct otd_stream *listener = NULL;
	struct otd_err err = {0};
	if (!host || otd_settings_faulty(c->app.settings, at))
		return;
	if (c->app.env->ops->listen(c->app.loop, &listener, host, port, false, NULL, NULL, &err) ==
	    OTD_OK)
		c->app.env->ops->stream_close(listener);
	else if (err.rc == OTD_E_EXISTS)
		say_taken(c, at, key, port);
	else
		otd_check_say(c, OTD_CHECK_FAULT, at, key, "%s", err.text);
}

void otd_check_ports(struct otd_check *c)
{
	const struct otd_settings *s = c->app.settings;
	for (size_t i = 0; i < s->n_pools; i++) {
		const struct otd_settings_pool *p = &s->pools[i];
		for (size_t k = 0; k < p->n_ports; k++) {
			if (p->ports[k].port)
				try_listen(c, p->ports[k].listen, p->ports[k].port, p->ports[k].at,
					   otd_check_key(c, "pools.%s.ports.%s", p->name,
							 p->ports[k].name));
		}
	}
	if (!s->api.off)
		try_listen(c, s->api.host, s->api.port, otd_settings_at(s, "api", NULL, "listen"),
			   "api.listen");
	if (!s->metrics.off)
		try_listen(c, s->metrics.host, s->metrics.port,
			   otd_settings_at(s, "metrics", NULL, "listen"), "metrics.listen");
}
