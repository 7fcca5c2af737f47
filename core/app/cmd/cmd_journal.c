/* otedama journal verify|dump|replay: the journals by themselves. */
#include "app/cmd/cmd_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "app/cmd/cmd.h"
#include "app/cmd/offline.h"
#include "app/data_dir.h"

/* Unlike a tool that writes, a reader leaves the lock file as it is, and readers do not keep each other out. */
static otd_rc look_at_lock(struct otd_journal_tool *t, struct otd_err *err)
{
	char path[600];
	snprintf(path, sizeof(path), "%s/" OTD_DATA_DIR_LOCK, t->app.data_dir);
	t->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (t->fd < 0)
		return errno == ENOENT ? OTD_OK
				       : otd_fail(err, OTD_E_IO, "cannot open %s: %s", path,
						  strerror(errno));
	if (flock(t->fd, LOCK_SH | LOCK_NB) == 0)
		return OTD_OK;
	ssize_t n = pread(t->fd, t->pid, sizeof(t->pid) - 1, 0);
	t->pid[n > 0 ? n : 0] = '\0';
	t->pid[strspn(t->pid, "0123456789")] = '\0';
	t->live = true;
	close(t->fd);
	t->fd = -1;
	return OTD_OK;
}

otd_rc otd_journal_tool_init(struct otd_journal_tool *t, const char *config, const char *data_dir,
			     struct otd_err *err)
{
	*t = (struct otd_journal_tool){.app = {.lock_fd = -1}, .fd = -1};
	otd_rc rc = OTD_OK;
	if (!config && !data_dir)
		rc = otd_fail(err, OTD_E_INVALID, "give -c FILE or --data-dir DIR");
	else if (config)
		rc = otd_offline_init(&t->app, config, err);
	else
		rc = otd_env_real_create(&t->app.env, NULL, err);
	if (rc == OTD_OK && data_dir)
		t->app.data_dir = data_dir;
	return rc == OTD_OK ? look_at_lock(t, err) : rc;
}

void otd_journal_tool_finish(struct otd_journal_tool *t)
{
	otd_offline_finish(&t->app);
	if (t->fd >= 0)
		close(t->fd);
}

char *otd_journal_size(char to[OTD_JOURNAL_SIZE], uint64_t bytes)
{
	static const char *const unit[] = {"KiB", "MiB", "GiB", "TiB"};
	uint64_t tenths = bytes * 10 / 1024;
	size_t u = 0;
	if (bytes < 1024) {
		snprintf(to, OTD_JOURNAL_SIZE, "%" PRIu64 " bytes", bytes);
		return to;
	}
	for (; tenths >= 10240 && u < 3; u++)
		tenths /= 1024;
	snprintf(to, OTD_JOURNAL_SIZE, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10,
		 unit[u]);
	return to;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	static const struct otd_cmd *const verbs[] = {
		&otd_cmd_journal_verify, &otd_cmd_journal_dump, &otd_cmd_journal_replay};
	return otd_cmd_verbs(cmd, verbs, 3, argc, argv);
}

const struct otd_cmd otd_cmd_journal = {
	.name = "journal",
	.summary = "checks, shows and plays again what shares left on disk",
	.run = run,
};
