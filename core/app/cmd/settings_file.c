#include "app/cmd/settings_file.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "loop/loop.h"

static void on_problem(void *arg, const struct otd_err *err)
{
	size_t *n = arg;
	if ((*n)++ > 0)
		fprintf(stderr, "%sotedama: %s\n", otd_log_error_mark(), err->text);
}

otd_rc otd_settings_file_load(struct otd_settings **out, struct otd_env *e, const char *file,
			      const struct otd_arg_list *set, struct otd_err *err)
{
	size_t n = 0;
	struct otd_settings_source source = {.file = file,
					     .set = set ? set->item : NULL,
					     .n_set = set ? set->n : 0,
					     .problem = on_problem,
					     .arg = &n};
	return otd_settings_load(out, e, &source, err);
}

otd_rc otd_settings_file_socket(char *path, size_t cap, const char *file, struct otd_err *err)
{
	struct otd_env *env = NULL;
	struct otd_settings *s = NULL;
	otd_rc rc = otd_env_real_create(&env, NULL, err);
	if (rc == OTD_OK)
		rc = otd_settings_file_load(&s, env, file, NULL, err);
	if (rc == OTD_OK && snprintf(path, cap, "%s", s->socket) >= (int)cap)
		rc = otd_fail(err, OTD_E_RANGE, "%s: the path of the socket is too long",
			      s->socket);
	otd_settings_destroy(s);
	otd_env_real_destroy(env);
	return rc;
}
