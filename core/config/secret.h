/* Secrets that stand in files of their own: "file:PATH" where a key or an option is declared secret. */
#ifndef OTD_CONFIG_SECRET_H
#define OTD_CONFIG_SECRET_H

#include "base/env.h"

#define OTD_SECRET_MAX 1024 /* bytes */

/* The PATH of "file:PATH"; NULL: the text is the secret itself. */
const char *otd_secret_path(const char *text);
/* The first line of that file; name is the key's, for the error, which says nothing of what the file
   holds. Blocks. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_secret_read(char to[OTD_SECRET_MAX + 1], struct otd_env *e,
				       const char *path, const char *name, struct otd_err *err);

#endif
