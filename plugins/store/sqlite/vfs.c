/*
 * SQLite's files over the host's file service. There is no shared memory: the database is opened in
 * exclusive locking mode, where write-ahead logging does without, and the lock on the main file is
 * exclusive from the first reader on.
 */
#include "sqlite.h"
#include <stdio.h>
#include <string.h>

struct file {
	sqlite3_file base;
	struct otd_instance *in;
	const struct otd_files *files;
	struct otd_file *f;
	int lock;
	bool delete_on_close;
	bool new_name; /* its name is not durable yet: the folder wants a sync too */
	bool log;
	/* Of a log: bytes from..to were written since the last sync that worked; lost: one has failed
	   since. */
	uint64_t from, to;
	bool lost;
	char path[SQLITE_PATH_MAX + 40];
};

static struct store_vfs *own_of(sqlite3_vfs *vfs)
{
	return vfs->pAppData;
}

/* Remembers the words, which SQLite has no place for, and gives the code to pass on. */
static int io_failed(struct otd_instance *in, const struct otd_files *files, otd_rc rc,
		     const char *path, const char *doing, int code)
{
	const char *why = files->last_error(files->ctx);
	(void)snprintf(in->io_error, sizeof(in->io_error), "%.80s: cannot %s: %.90s", path, doing,
		       why && why[0] ? why : "the file service says no more");
	return rc == OTD_E_NOMEM ? SQLITE_FULL : code;
}

/* The folder of a path: what stands before its last '/', "" for the instance's own. */
static otd_rc sync_folder(const struct otd_files *files, const char *path)
{
	char folder[SQLITE_PATH_MAX + 40];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	memcpy(folder, path, n);
	folder[n] = 0;
	return files->sync_dir(files->ctx, folder);
}

static int file_close(sqlite3_file *base)
{
	struct file *f = (struct file *)base;
	const struct otd_files *files = f->files;
	files->close(files->ctx, f->f);
	if (f->delete_on_close)
		(void)files->remove(files->ctx, f->path);
	base->pMethods = NULL;
	return SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *to, int n, sqlite3_int64 at)
{
	struct file *f = (struct file *)base;
	size_t got = 0;
	otd_rc rc = f->files->read(f->files->ctx, f->f, &got, to, (size_t)n, (uint64_t)at);
	if (rc)
		return io_failed(f->in, f->files, OTD_E_IO, f->path, "read", SQLITE_IOERR_READ);
	if (got < (size_t)n) {
		memset((uint8_t *)to + got, 0, (size_t)n - got);
		return SQLITE_IOERR_SHORT_READ;
	}
	return SQLITE_OK;
}

static int file_write(sqlite3_file *base, const void *from, int n, sqlite3_int64 at)
{
	struct file *f = (struct file *)base;
	if (f->log && n > 0) {
		uint64_t first = (uint64_t)at, end = first + (uint64_t)n;
		f->from = f->to && f->from < first ? f->from : first;
		f->to = f->to > end ? f->to : end;
	}
	otd_rc rc = f->files->write(f->files->ctx, f->f, from, (size_t)n, (uint64_t)at);
	return rc ? io_failed(f->in, f->files, rc, f->path, "write", SQLITE_IOERR_WRITE)
		  : SQLITE_OK;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 length)
{
	struct file *f = (struct file *)base;
	otd_rc rc = f->files->truncate(f->files->ctx, f->f, (uint64_t)length);
	return rc ? io_failed(f->in, f->files, OTD_E_IO, f->path, "truncate", SQLITE_IOERR_TRUNCATE)
		  : SQLITE_OK;
}

/* Bytes from..to of a log as they are read, so that the next sync has them to do. */
static otd_rc write_again(struct file *f, uint64_t from, uint64_t to)
{
	const struct otd_files *files = f->files;
	uint8_t part[16384];
	uint64_t length = 0;
	otd_rc rc = files->length(files->ctx, f->f, &length);
	if (to > length)
		to = length;
	for (uint64_t at = from; !rc && at < to;) {
		size_t n = to - at < sizeof(part) ? (size_t)(to - at) : sizeof(part);
		size_t got = 0;
		rc = files->read(files->ctx, f->f, &got, part, n, at);
		if (!rc && got < n)
			rc = OTD_E_IO;
		if (!rc)
			rc = files->write(files->ctx, f->f, part, n, at);
		at += n;
	}
	return rc;
}

/*
 * A database or log that an earlier process left. It may have died before it synced what it wrote, or
 * the folder with its name, and it is nobody else's to do: a later loss of power would take the file,
 * with everything committed since. Where a sync failed over a log and then the process died, what is
 * read may be in the kernel's memory only, and another sync alone would not bring it to the disk.
 */
static otd_rc take_over(struct file *f)
{
	otd_rc rc = f->log ? write_again(f, 0, UINT64_MAX) : OTD_OK;
	if (!rc)
		rc = f->files->sync(f->files->ctx, f->f);
	return rc ? rc : sync_folder(f->files, f->path);
}

/*
 * A failed sync is passed on and never retried as such: SQLite rolls back and writes the pages of
 * the next transaction anew, over the same places, before it syncs again. But what it had written
 * behind the sync of an earlier commit, the end of that one's last frame, it does not write again: so
 * the whole of what a failed sync may have lost is, before the next one.
 */
static int file_sync(sqlite3_file *base, int flags)
{
	struct file *f = (struct file *)base;
	otd_rc rc = f->lost ? write_again(f, f->from, f->to) : OTD_OK;
	(void)flags;
	if (!rc)
		rc = f->files->sync(f->files->ctx, f->f);
	if (!rc && f->new_name)
		rc = sync_folder(f->files, f->path);
	if (rc) {
		f->lost = f->log;
		return io_failed(f->in, f->files, rc, f->path, "sync", SQLITE_IOERR_FSYNC);
	}
	f->new_name = f->lost = false;
	f->from = f->to = 0;
	return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *out)
{
	struct file *f = (struct file *)base;
	uint64_t n = 0;
	otd_rc rc = f->files->length(f->files->ctx, f->f, &n);
	if (rc || n > INT64_MAX)
		return io_failed(f->in, f->files, OTD_E_IO, f->path, "measure", SQLITE_IOERR_FSTAT);
	*out = (sqlite3_int64)n;
	return SQLITE_OK;
}

/* Every level is the one exclusive lock of the whole file: a second opener gets SQLITE_BUSY. */
static int file_lock(sqlite3_file *base, int level)
{
	struct file *f = (struct file *)base;
	otd_rc rc = OTD_OK;
	if (f->lock == SQLITE_LOCK_NONE)
		rc = f->files->lock(f->files->ctx, f->f, true);
	if (rc == OTD_E_BUSY)
		return SQLITE_BUSY;
	if (rc)
		return io_failed(f->in, f->files, rc, f->path, "lock", SQLITE_IOERR_LOCK);
	if (level > f->lock)
		f->lock = level;
	return SQLITE_OK;
}

static int file_unlock(sqlite3_file *base, int level)
{
	struct file *f = (struct file *)base;
	otd_rc rc = OTD_OK;
	if (f->lock <= level)
		return SQLITE_OK;
	if (level == SQLITE_LOCK_NONE)
		rc = f->files->unlock(f->files->ctx, f->f);
	if (rc)
		return io_failed(f->in, f->files, rc, f->path, "unlock", SQLITE_IOERR_UNLOCK);
	f->lock = level;
	return SQLITE_OK;
}

/* Nobody else can hold it where we hold ours. */
static int file_reserved(sqlite3_file *base, int *out)
{
	struct file *f = (struct file *)base;
	*out = f->lock >= SQLITE_LOCK_RESERVED;
	return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int op, void *arg)
{
	(void)base;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int file_sector(sqlite3_file *base)
{
	(void)base;
	return 4096;
}

/* None is promised: SQLite then pads the log so that a torn sector cannot reach older frames. */
static int file_traits(sqlite3_file *base)
{
	(void)base;
	return 0;
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 1,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector,
	.xDeviceCharacteristics = file_traits,
};

/* xorshift64*: good enough for names that only must differ. */
static uint64_t next_random(struct otd_instance *in)
{
	in->seed ^= in->seed >> 12;
	in->seed ^= in->seed << 25;
	in->seed ^= in->seed >> 27;
	return in->seed * UINT64_C(2685821657736338717);
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *got)
{
	struct otd_instance *in = own_of(vfs)->in;
	const struct otd_files *files = own_of(vfs)->files;
	struct file *f = (struct file *)base;
	uint32_t how = OTD_OPEN_READ;
	bool there = false;
	otd_rc rc;
	memset(f, 0, sizeof(*f));
	f->in = in;
	f->files = files;
	if (!name)
		(void)snprintf(f->path, sizeof(f->path), "otedama-tmp-%016llx",
			       (unsigned long long)next_random(in));
	else if (strlen(name) < sizeof(f->path))
		memcpy(f->path, name, strlen(name) + 1);
	else
		return SQLITE_CANTOPEN;
	if (flags & SQLITE_OPEN_READWRITE)
		how |= OTD_OPEN_WRITE;
	if (flags & SQLITE_OPEN_CREATE)
		how |= OTD_OPEN_CREATE;
	if (flags & SQLITE_OPEN_EXCLUSIVE)
		how |= OTD_OPEN_EXCLUSIVE;
	rc = files->exists(files->ctx, f->path, &there);
	if (!rc)
		rc = files->open(files->ctx, &f->f, f->path, how);
	if (rc) {
		(void)io_failed(in, files, rc, f->path, "open", SQLITE_CANTOPEN);
		return SQLITE_CANTOPEN;
	}
	f->log = (flags & SQLITE_OPEN_WAL) != 0;
	if (there && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)) &&
	    (flags & SQLITE_OPEN_READWRITE))
		rc = take_over(f);
	if (rc) {
		(void)io_failed(in, files, rc, f->path, "write again", SQLITE_CANTOPEN);
		files->close(files->ctx, f->f);
		return SQLITE_CANTOPEN;
	}
	f->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
	f->new_name = !there && !f->delete_on_close;
	if (got)
		*got = flags;
	base->pMethods = &file_methods;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	struct otd_instance *in = own_of(vfs)->in;
	const struct otd_files *files = own_of(vfs)->files;
	otd_rc rc = files->remove(files->ctx, name);
	if (rc == OTD_E_NOT_FOUND)
		return SQLITE_IOERR_DELETE_NOENT;
	if (rc)
		return io_failed(in, files, OTD_E_IO, name, "remove", SQLITE_IOERR_DELETE);
	if (sync && sync_folder(files, name))
		return io_failed(in, files, OTD_E_IO, name, "sync the folder of",
				 SQLITE_IOERR_DIR_FSYNC);
	return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	struct otd_instance *in = own_of(vfs)->in;
	const struct otd_files *files = own_of(vfs)->files;
	bool there = false;
	uint64_t length = 1;
	struct otd_file *f = NULL;
	otd_rc rc = files->exists(files->ctx, name, &there);
	/* As the systems' own do: an empty file is as good as none when SQLite looks for a log. */
	if (!rc && there && flags == SQLITE_ACCESS_EXISTS) {
		rc = files->open(files->ctx, &f, name, OTD_OPEN_READ);
		if (!rc)
			rc = files->length(files->ctx, f, &length);
		files->close(files->ctx, f);
	}
	if (rc)
		return io_failed(in, files, OTD_E_IO, name, "look for", SQLITE_IOERR_ACCESS);
	*out = there && length > 0;
	return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int cap, char *out)
{
	size_t n = strlen(name);
	(void)vfs;
	if (n >= (size_t)cap)
		return SQLITE_CANTOPEN;
	memcpy(out, name, n + 1);
	return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int n, char *out)
{
	for (int i = 0; i < n; i++)
		out[i] = (char)(next_random(own_of(vfs)->in) >> 56);
	return n;
}

/* Only while another process holds the database at open(). The wait is the library's own. */
static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	sqlite3_vfs *own = sqlite3_vfs_find(NULL);
	return own && own != vfs ? own->xSleep(own, us) : us;
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	struct otd_instance *in = own_of(vfs)->in;
	/* Milliseconds since noon of 24 November 4714 BC, as SQLite counts. */
	*out = INT64_C(210866760000000) + in->clock->wall_ms(in->host);
	return SQLITE_OK;
}

otd_rc store_vfs_init(struct store_vfs *v, struct otd_instance *in, const struct otd_files *files)
{
	v->in = in;
	v->files = files;
	if (!in->seed)
		in->seed = in->clock->mono_ns(in->host) * UINT64_C(0x9e3779b97f4a7c15) ^
			   (uint64_t)in->clock->wall_ms(in->host);
	if (!in->seed)
		in->seed = 1;
	/* The address makes it unique: instances of one process share the library's list. */
	(void)snprintf(v->name, sizeof(v->name), "otedama-%p", (void *)v);
	v->vfs = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = sizeof(struct file),
		.mxPathname = SQLITE_PATH_MAX + 20,
		.zName = v->name,
		.pAppData = v,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_path,
		.xRandomness = vfs_random,
		.xSleep = vfs_sleep,
		.xCurrentTimeInt64 = vfs_time,
	};
	if (sqlite3_vfs_register(&v->vfs, 0))
		return OTD_E_NOMEM;
	v->registered = true;
	return OTD_OK;
}

void store_vfs_finish(struct store_vfs *v)
{
	if (v->registered)
		(void)sqlite3_vfs_unregister(&v->vfs);
	v->registered = false;
}
