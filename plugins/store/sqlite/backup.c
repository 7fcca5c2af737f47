/*
 * A copy of the database while it is in use, by SQLite's online backup (sqlite.org/backup.html). Both
 * ends are this process's own connections: what is committed between two steps is written to pages of
 * the copy that were done already, so that it never has to begin anew.
 */
#include "sqlite.h"
#include <stdio.h>
#include <string.h>

struct store_backup {
	struct store_vfs vfs;
	sqlite3 *db;
	sqlite3_backup *steps;
};

void store_backup_end(struct otd_instance *in)
{
	struct store_backup *b = in->backup;
	if (!b)
		return;
	(void)sqlite3_backup_finish(b->steps);
	(void)sqlite3_close(b->db);
	store_vfs_finish(&b->vfs);
	in->core->free(in->host, b);
	in->backup = NULL;
}

/* Words for a failure on the copy's side; its path is the same as the database's. */
static otd_rc failed(struct otd_instance *in, int code)
{
	otd_rc rc = store_code(code);
	if ((rc == OTD_E_IO || rc == OTD_E_NOMEM) && in->io_error[0])
		in->core->set_error(in->host, "the copy of %s", in->io_error);
	else
		in->core->set_error(in->host, "the copy of %.80s: %s", in->opt->path,
				    sqlite3_errstr(code));
	return rc;
}

static otd_rc make_folders(struct otd_instance *in, const struct otd_files *files)
{
	char part[SQLITE_PATH_MAX + 1];
	for (const char *p = strchr(in->opt->path, '/'); p; p = strchr(p + 1, '/')) {
		size_t n = (size_t)(p - in->opt->path);
		memcpy(part, in->opt->path, n);
		part[n] = 0;
		otd_rc rc = files->make_dir(files->ctx, part);
		if (rc) {
			in->core->set_error(in->host, "the copy: %s",
					    files->last_error(files->ctx));
			return rc;
		}
	}
	return OTD_OK;
}

/* No journal and no sync: the copy is thrown away where it does not come to its end, and synced by the
   host where it does. The small cache keeps the last step as short as the others. */
static const char setup[] = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
			    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-1024";

static otd_rc begin(struct otd_instance *in, const struct otd_files *files)
{
	struct store_backup *b = in->core->alloc(in->host, sizeof(*b));
	bool there = false;
	int code = SQLITE_OK;
	otd_rc rc;
	if (!b) {
		in->core->set_error(in->host, "no memory");
		return OTD_E_NOMEM;
	}
	in->backup = b;
	in->io_error[0] = 0;
	rc = make_folders(in, files);
	if (!rc)
		rc = files->exists(files->ctx, in->opt->path, &there);
	if (!rc && there) {
		in->core->set_error(in->host, "the copy: %s is there already", in->opt->path);
		rc = OTD_E_EXISTS;
	}
	if (rc)
		return rc;
	if (store_vfs_init(&b->vfs, in, files)) {
		in->core->set_error(in->host, "no memory for SQLite");
		return OTD_E_NOMEM;
	}
	code = sqlite3_open_v2(in->opt->path, &b->db,
			       SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
				       SQLITE_OPEN_EXRESCODE,
			       b->vfs.name);
	if (!code)
		code = sqlite3_exec(b->db, setup, NULL, NULL, NULL);
	if (!code) {
		b->steps = sqlite3_backup_init(b->db, "main", in->db, "main");
		if (!b->steps)
			code = sqlite3_extended_errcode(b->db);
	}
	return code ? failed(in, code) : OTD_OK;
}

otd_rc store_backup_step(struct otd_instance *in, const struct otd_files *files, uint32_t pages,
			 uint32_t *left)
{
	otd_rc rc = OTD_OK;
	int code;
	*left = 0;
	if (!files) {
		store_backup_end(in);
		return OTD_OK;
	}
	if (!in->db || in->in_transaction || pages == 0) {
		in->core->set_error(in->host, "%s: %s", in->opt->path,
				    in->db ? "a copy within a transaction, or of no page"
					   : "is not open");
		return in->db ? OTD_E_INVALID : OTD_E_CLOSED;
	}
	if (!in->backup)
		rc = begin(in, files);
	if (rc)
		goto out;
	in->io_error[0] = 0;
	code = sqlite3_backup_step(in->backup->steps, pages > INT32_MAX ? -1 : (int)pages);
	if (code == SQLITE_OK) {
		*left = (uint32_t)sqlite3_backup_remaining(in->backup->steps);
		/* Nothing left to copy, and yet the end is for the next step to write. */
		*left += *left == 0;
		return OTD_OK;
	}
	if (code != SQLITE_DONE)
		rc = failed(in, code);
out:
	store_backup_end(in);
	return rc;
}
