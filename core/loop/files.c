/* The file seam over the system's calls. */
#include "loop/loop.h"

#include "base/open.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct otd_file {
	int fd;
	char path[]; /* for messages */
};

static _Thread_local char last_error[512];

static otd_rc failed(const char *what, const char *path, int e)
{
	const char *hint = "";
	if (e == ENOSPC)
		hint = "; free some space on this disk";
	else if (e == EACCES)
		hint = "; check owner and mode";
	else if (e == EMFILE)
		hint = "; raise the limit of open files (ulimit -n)";
	snprintf(last_error, sizeof(last_error), "%s %s: %s%s", what, path, strerror(e), hint);
	switch (e) {
	case ENOENT:
	case ENOTDIR: return OTD_E_NOT_FOUND;
	case EEXIST: return OTD_E_EXISTS;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case ENOMEM: return OTD_E_NOMEM;
	case EAGAIN: return OTD_E_BUSY;
	default: return OTD_E_IO;
	}
}

static otd_rc files_open(void *ctx, struct otd_file **out, const char *path, uint32_t flags)
{
	size_t n = strlen(path) + 1;
	struct otd_file *f = malloc(sizeof(*f) + n);
	int how = O_CLOEXEC;
	(void)ctx;
	*out = NULL;
	if (!f)
		return failed("open", path, ENOMEM);
	if (flags & OTD_OPEN_WRITE)
		how |= O_RDWR; /* a lock of either kind wants both ways */
	if (flags & OTD_OPEN_CREATE)
		how |= O_CREAT;
	if (flags & OTD_OPEN_EXCLUSIVE)
		how |= O_EXCL;
	if (flags & OTD_OPEN_TRUNCATE)
		how |= O_TRUNC;
	memcpy(f->path, path, n);
	do {
		f->fd = open(path, how, flags & OTD_OPEN_PRIVATE ? 0600 : 0640);
	} while (f->fd < 0 && errno == EINTR);
	if (f->fd < 0) {
		int e = errno;
		free(f);
		return failed(flags & OTD_OPEN_CREATE ? "create" : "open", path, e);
	}
	*out = f;
	return OTD_OK;
}

static void files_close(void *ctx, struct otd_file *f)
{
	(void)ctx;
	if (!f)
		return;
	close(f->fd);
	free(f);
}

static otd_rc files_read(void *ctx, struct otd_file *f, size_t *got, void *to, size_t n,
			 uint64_t at)
{
	uint8_t *p = to;
	(void)ctx;
	*got = 0;
	while (*got < n) {
		ssize_t r = pread(f->fd, p + *got, n - *got, (off_t)(at + *got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return failed("read", f->path, errno);
		if (r == 0)
			break;
		*got += (size_t)r;
	}
	return OTD_OK;
}

static otd_rc files_write(void *ctx, struct otd_file *f, const void *from, size_t n, uint64_t at)
{
	const uint8_t *p = from;
	size_t put = 0;
	(void)ctx;
	while (put < n) {
		ssize_t r = pwrite(f->fd, p + put, n - put, (off_t)(at + put));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return failed("write", f->path, r < 0 ? errno : ENOSPC);
		put += (size_t)r;
	}
	return OTD_OK;
}

/* Not repeated when it fails: the kernel may have dropped what it could not write. */
static otd_rc files_sync(void *ctx, struct otd_file *f)
{
	(void)ctx;
	return fdatasync(f->fd) ? failed("sync", f->path, errno) : OTD_OK;
}

static otd_rc files_truncate(void *ctx, struct otd_file *f, uint64_t length)
{
	int r;
	(void)ctx;
	do {
		r = ftruncate(f->fd, (off_t)length);
	} while (r && errno == EINTR);
	return r ? failed("truncate", f->path, errno) : OTD_OK;
}

static otd_rc files_length(void *ctx, struct otd_file *f, uint64_t *out)
{
	struct stat st;
	(void)ctx;
	if (fstat(f->fd, &st))
		return failed("stat", f->path, errno);
	*out = (uint64_t)st.st_size;
	return OTD_OK;
}

static otd_rc files_reserve(void *ctx, struct otd_file *f, uint64_t length)
{
	int r;
	(void)ctx;
	if (!length)
		return OTD_OK;
	/* glibc writes zeros where the file system cannot do it. */
	do {
		r = posix_fallocate(f->fd, 0, (off_t)length);
	} while (r == EINTR);
	return r ? failed("reserve room for", f->path, r) : OTD_OK;
}

/* Locks of the open file, not of the process: closing another descriptor of it does not drop them.
 */
static otd_rc set_lock(struct otd_file *f, short type)
{
	struct flock l;
	memset(&l, 0, sizeof(l));
	l.l_type = type;
	l.l_whence = SEEK_SET;
	if (fcntl(f->fd, F_OFD_SETLK, &l)) {
		if (errno == EACCES || errno == EAGAIN) {
			snprintf(last_error, sizeof(last_error),
				 "lock %s: another process holds it", f->path);
			return OTD_E_BUSY;
		}
		return failed(type == F_UNLCK ? "unlock" : "lock", f->path, errno);
	}
	return OTD_OK;
}

static otd_rc files_lock(void *ctx, struct otd_file *f, bool exclusive)
{
	(void)ctx;
	return set_lock(f, exclusive ? F_WRLCK : F_RDLCK);
}

static otd_rc files_unlock(void *ctx, struct otd_file *f)
{
	(void)ctx;
	return set_lock(f, F_UNLCK);
}

static otd_rc files_exists(void *ctx, const char *path, bool *out)
{
	struct stat st;
	(void)ctx;
	*out = stat(path, &st) == 0;
	if (!*out && errno != ENOENT && errno != ENOTDIR)
		return failed("look for", path, errno);
	return OTD_OK;
}

static otd_rc files_remove(void *ctx, const char *path)
{
	(void)ctx;
	return remove(path) ? failed("remove", path, errno) : OTD_OK;
}

static otd_rc files_rename(void *ctx, const char *from, const char *to)
{
	(void)ctx;
	return rename(from, to) ? failed("rename", from, errno) : OTD_OK;
}

static otd_rc files_make_dir(void *ctx, const char *path)
{
	struct stat st;
	int e;
	(void)ctx;
	if (!mkdir(path, 0750))
		return OTD_OK;
	e = errno;
	if (e == EEXIST && !stat(path, &st) && S_ISDIR(st.st_mode))
		return OTD_OK;
	return failed("make folder", path, e);
}

static otd_rc files_sync_dir(void *ctx, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), e = 0;
	(void)ctx;
	if (fd < 0)
		return failed("sync folder", path, errno);
	if (fsync(fd))
		e = errno;
	close(fd);
	return e ? failed("sync folder", path, e) : OTD_OK;
}

/* --- folders --- */

struct names {
	char **ptr;
	size_t n, cap;
};

static bool names_add(struct names *l, const char *name)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 32;
		char **p = realloc(l->ptr, cap * sizeof(*p));
		if (!p)
			return false;
		l->ptr = p;
		l->cap = cap;
	}
	l->ptr[l->n] = strdup(name);
	return l->ptr[l->n] && ++l->n;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(struct names *l, const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int error = 0;
	if (!d)
		return errno;
	for (;;) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			error = errno;
			break;
		}
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (!names_add(l, e->d_name)) {
			error = ENOMEM;
			break;
		}
	}
	closedir(d);
	return error;
}

static otd_rc files_list(void *ctx, const char *path, bool (*each)(void *arg, const char *name),
			 void *arg)
{
	struct names l = {NULL, 0, 0};
	int error = read_names(&l, path);
	(void)ctx;
	if (!error && l.n) {
		qsort(l.ptr, l.n, sizeof(*l.ptr), by_bytes);
		for (size_t i = 0; i < l.n && each(arg, l.ptr[i]); i++) {}
	}
	for (size_t i = 0; i < l.n; i++)
		free(l.ptr[i]);
	free(l.ptr);
	return error ? failed("list", path, error) : OTD_OK;
}

static otd_rc files_free_bytes(void *ctx, const char *path, uint64_t *out)
{
	struct statvfs v;
	(void)ctx;
	if (statvfs(path, &v))
		return failed("look at the disk of", path, errno);
	*out = (uint64_t)v.f_bavail * v.f_frsize;
	return OTD_OK;
}

static const char *files_last_error(void *ctx)
{
	(void)ctx;
	return last_error;
}

static const struct otd_files real_files = {
	.size = sizeof(real_files),
	.open = files_open,
	.close = files_close,
	.read = files_read,
	.write = files_write,
	.sync = files_sync,
	.truncate = files_truncate,
	.length = files_length,
	.reserve = files_reserve,
	.lock = files_lock,
	.unlock = files_unlock,
	.exists = files_exists,
	.remove = files_remove,
	.rename = files_rename,
	.make_dir = files_make_dir,
	.sync_dir = files_sync_dir,
	.list = files_list,
	.free_bytes = files_free_bytes,
	.last_error = files_last_error,
};

const struct otd_files *otd_files_real(void)
{
	return &real_files;
}
