#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static otd_rc file_open(void *ctx, struct otd_file **out, const char *path, uint32_t flags)
{
	(void)ctx;
	(void)flags;
	*out = (struct otd_file *)fopen(path, "rb");
	return *out ? OTD_OK : errno == ENOENT ? OTD_E_NOT_FOUND : OTD_E_IO;
}

static void file_close(void *ctx, struct otd_file *f)
{
	(void)ctx;
	if (f)
		fclose((FILE *)f);
}

static otd_rc file_read(void *ctx, struct otd_file *f, size_t *got, void *to, size_t n, uint64_t at)
{
	(void)ctx;
	if (fseek((FILE *)f, (long)at, SEEK_SET))
		return OTD_E_IO;
	*got = fread(to, 1, n, (FILE *)f);
	return ferror((FILE *)f) ? OTD_E_IO : OTD_OK;
}

static otd_rc file_length(void *ctx, struct otd_file *f, uint64_t *out)
{
	struct stat st;
	(void)ctx;
	if (fstat(fileno((FILE *)f), &st))
		return OTD_E_IO;
	*out = (uint64_t)st.st_size;
	return OTD_OK;
}

static otd_rc file_exists(void *ctx, const char *path, bool *out)
{
	(void)ctx;
	*out = access(path, F_OK) == 0;
	return OTD_OK;
}

static otd_rc file_list(void *ctx, const char *path, bool (*each)(void *arg, const char *name),
			void *arg)
{
	struct dirent **entry;
	int n = scandir(path, &entry, NULL, alphasort);
	bool more = true;
	(void)ctx;
	if (n < 0)
		return OTD_E_NOT_FOUND;
	for (int i = 0; i < n; i++) {
		more = more && each(arg, entry[i]->d_name);
		free(entry[i]);
	}
	free(entry);
	return OTD_OK;
}

static const char *file_error(void *ctx)
{
	(void)ctx;
	return strerror(errno);
}

struct otd_env *test_env(void)
{
	static const struct otd_files files = {
		.size = sizeof(files),
		.open = file_open,
		.close = file_close,
		.read = file_read,
		.length = file_length,
		.exists = file_exists,
		.list = file_list,
		.last_error = file_error,
	};
	static struct otd_env env = {.files = &files};
	return &env;
}

void test_folder(char path[64])
{
	snprintf(path, 64, "/tmp/otd-config-XXXXXX");
	if (!mkdtemp(path))
		abort();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void test_folder_remove(const char *path)
{
	if (nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS))
		abort();
}

void test_write(const char *folder, const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	char *slash = strrchr(path, '/');
	*slash = '\0';
	mkdir(path, 0755);
	*slash = '/';
	FILE *f = fopen(path, "wb");
	if (!f || fwrite(text, 1, strlen(text), f) != strlen(text) || fclose(f))
		abort();
}
