#include "config/secret.h"

#include <string.h>

const char *otd_secret_path(const char *text)
{
	return strncmp(text, "file:", 5) == 0 ? text + 5 : NULL;
}

otd_rc otd_secret_read(char to[OTD_SECRET_MAX + 1], struct otd_env *e, const char *path,
		       const char *name, struct otd_err *err)
{
	const struct otd_files *files = e->files;
	struct otd_file *f = NULL;
	size_t got = 0, n = 0;
	otd_rc rc = files->open(files->ctx, &f, path, OTD_OPEN_READ);
	if (!rc)
		rc = files->read(files->ctx, f, &got, to, OTD_SECRET_MAX + 1, 0);
	if (rc)
		rc = otd_fail(err, rc,
			      "file '%.120s' cannot be read: %.120s; write the %s into its first "
			      "line, and let the pool's user read it",
			      path, files->last_error(files->ctx), name);
	while (n < got && to[n] != '\n' && to[n] != '\r' && to[n])
		n++;
	if (!rc && (n == 0 || n == OTD_SECRET_MAX + 1 || (n < got && !to[n])))
		rc = otd_fail(err, OTD_E_INVALID,
			      "file '%.200s' has no first line of 1 to 1024 bytes; write the %s "
			      "there",
			      path, name);
	explicit_bzero(to + (rc ? 0 : n), OTD_SECRET_MAX + 1 - (rc ? 0 : n));
	files->close(files->ctx, f);
	return rc;
}
