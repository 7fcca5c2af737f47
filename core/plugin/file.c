/* Reading a plugin's file, its private copy, and who may have written it. */
#include "plugin/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static otd_rc check_owner(const char *path, bool folder, struct otd_err *err)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return otd_fail(err, errno == ENOENT ? OTD_E_NOT_FOUND : OTD_E_IO, "%s: %s", path,
				strerror(errno));
	if (folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		return otd_fail(err, OTD_E_INVALID, "%s: is not a %s", path,
				folder ? "folder" : "plain file");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return otd_fail(
			err, OTD_E_REFUSED,
			"%s: belongs to user %u, and code is taken only from root or from the user "
			"that runs this program (%u): chown it",
			path, (unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return otd_fail(err, OTD_E_REFUSED,
				"%s: %s may write it (mode %04o), so that it could be changed "
				"under us: %s",
				path, st.st_mode & S_IWOTH ? "others" : "its group",
				(unsigned)(st.st_mode & 07777),
				folder && (st.st_mode & S_ISVTX)
					? "keep it in a folder that is not everybody's"
					: "chmod go-w it");
	return OTD_OK;
}

otd_rc otd_plugin_trusted(const char *file, struct otd_err *err)
{
	const char *slash = strrchr(file, '/');
	otd_rc rc = check_owner(file, false, err);
	if (!rc && slash && slash > file) {
		char *folder = strndup(file, (size_t)(slash - file));
		if (!folder)
			return otd_fail(err, OTD_E_NOMEM, "%s: no memory", file);
		rc = check_owner(folder, true, err);
		free(folder);
	}
	return rc;
}

otd_rc otd_plugin_file_read(uint8_t **out, size_t *n, struct otd_env *e, const char *file,
			    struct otd_err *err)
{
	const struct otd_files *fs = e->files;
	struct otd_file *f = NULL;
	uint64_t length = 0;
	uint8_t *p = NULL;
	otd_rc rc = fs->open(fs->ctx, &f, file, OTD_OPEN_READ);
	if (!rc)
		rc = fs->length(fs->ctx, f, &length);
	if (rc) {
		rc = otd_fail(err, rc, "%s: %s", file, fs->last_error(fs->ctx));
		goto out;
	}
	if (length == 0 || length > OTD_PLUGIN_FILE_MAX) {
		rc = otd_fail(err, OTD_E_RANGE, "%s: %s", file,
			      length ? "is longer than 64 MiB, which no plugin is" : "is empty");
		goto out;
	}
	p = malloc((size_t)length);
	if (!p) {
		rc = otd_fail(err, OTD_E_NOMEM, "%s: no memory to read it", file);
		goto out;
	}
	rc = fs->read(fs->ctx, f, n, p, (size_t)length, 0);
	if (rc)
		rc = otd_fail(err, rc, "%s: %s", file, fs->last_error(fs->ctx));
	else if (*n == 0)
		rc = otd_fail(err, OTD_E_CORRUPT, "%s: became empty while it was read", file);
	if (!rc) {
		*out = p;
		p = NULL;
	}
out:
	free(p);
	if (f)
		fs->close(fs->ctx, f);
	return rc;
}

otd_rc otd_plugin_file_write(struct otd_env *e, const char *file, const void *p, size_t n,
			     struct otd_err *err)
{
	const struct otd_files *fs = e->files;
	struct otd_file *f = NULL;
	bool there = false;
	otd_rc rc = fs->exists(fs->ctx, file, &there);
	/* Never over a file that may be mapped: that would change running code. */
	if (!rc && there)
		rc = fs->remove(fs->ctx, file);
	if (!rc)
		rc = fs->open(fs->ctx, &f, file,
			      OTD_OPEN_WRITE | OTD_OPEN_CREATE | OTD_OPEN_EXCLUSIVE);
	if (!rc)
		rc = fs->write(fs->ctx, f, p, n, 0);
	if (rc)
		rc = otd_fail(err, rc, "%s: %s", file, fs->last_error(fs->ctx));
	if (f)
		fs->close(fs->ctx, f);
	return rc;
}

otd_rc otd_plugin_read_note(struct otd_note_desc *out, struct otd_env *e, const char *file,
			    struct otd_err *err)
{
	uint8_t *p = NULL;
	size_t n = 0;
	otd_rc rc = otd_plugin_file_read(&p, &n, e, file, err);
	if (!rc)
		rc = otd_plugin_elf_check(out, p, n, file, err);
	free(p);
	return rc;
}
