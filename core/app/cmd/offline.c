#include "app/cmd/offline.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app_parts.h"
#include "app/cmd/settings_file.h"

otd_rc otd_offline_init(struct otd_app *app, const char *config, struct otd_err *err)
{
	otd_log_only_warnings();
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_STORE | OTD_THREAD_COMPUTE);
	app->lock_fd = -1;
	otd_rc rc = otd_env_real_create(&app->env, NULL, err);
	if (rc == OTD_OK)
		rc = otd_settings_file_load(&app->settings, app->env, config, NULL, err);
	if (rc == OTD_OK)
		app->data_dir = app->settings->data_dir;
	return rc;
}

otd_rc otd_offline_as_owner(const struct otd_app *app, struct otd_err *err)
{
	struct stat st;
	if (geteuid() != 0 || stat(app->data_dir, &st) != 0 || st.st_uid == 0)
		return OTD_OK;
	const struct passwd *p = getpwuid(st.st_uid);
	int rc = p ? initgroups(p->pw_name, st.st_gid) : setgroups(0, NULL);
	if (rc == 0)
		rc = setgid(st.st_gid);
	if (rc == 0)
		rc = setuid(st.st_uid);
	return rc == 0 ? OTD_OK
		       : otd_fail(err, OTD_E_IO, "cannot become the user that owns %s (%u): %s",
				  app->data_dir, (unsigned)st.st_uid, strerror(errno));
}

otd_rc otd_offline_store(struct otd_app *app, bool as_it_is, struct otd_err *err)
{
	struct otd_plugin_services services = {.files_dir = app->data_dir};
	otd_rc rc = app->env->ops->loop_create(app->env, &app->loop, "tool", err);
	if (rc == OTD_OK)
		rc = otd_app_make_plugins(app, err);
	if (rc == OTD_OK)
		rc = otd_app_instance(app, &app->store_plugin, "store", &app->settings->store,
				      &services, err);
	if (rc == OTD_OK)
		rc = (as_it_is ? otd_store_attach : otd_store_create)(&app->store, app->loop,
								      app->store_plugin, err);
	return rc;
}

void otd_offline_close(struct otd_app *app)
{
	otd_store_destroy(app->store);
	app->store = NULL;
	if (app->store_plugin)
		otd_instance_destroy(app->store_plugin);
	app->store_plugin = NULL;
	otd_app_free_chains(app);
	if (app->loop)
		app->env->ops->loop_destroy(app->loop);
	app->loop = NULL;
}

void otd_offline_finish(struct otd_app *app)
{
	otd_offline_close(app);
	if (app->lock_fd >= 0)
		close(app->lock_fd);
	app->lock_fd = -1;
	otd_settings_destroy(app->settings);
	otd_env_real_destroy(app->env);
	app->settings = NULL;
	app->env = NULL;
}
