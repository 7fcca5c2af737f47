/* The configuration file as commands use it: loaded with every problem told on stderr. */
#ifndef OTD_APP_SETTINGS_FILE_H
#define OTD_APP_SETTINGS_FILE_H

#include "app/cmd/args.h"
#include "config/settings.h"

/* All problems but the first go to stderr at once; the first is in err. */
otd_rc otd_settings_file_load(struct otd_settings **out, struct otd_env *e, const char *file,
			      const struct otd_arg_list *set, struct otd_err *err);
/* The control socket of the pool that this file configures. */
otd_rc otd_settings_file_socket(char *path, size_t cap, const char *file, struct otd_err *err);

#endif
