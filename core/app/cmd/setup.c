#include "app/cmd/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cmd/where.h"
#include "base/log.h"
#include "config/yaml.h"
#include "loop/loop.h"

void otd_log_only_warnings(void)
{
	struct otd_log_conf conf = {.level = OTD_LOG_WARN};
	struct otd_err err = {0};
	(void)otd_log_init(&conf, NULL, NULL, &err);
}

void otd_plugin_dirs_default(struct otd_plugin_dirs *d)
{
	char folder[4096], plain[4096]; /* PATH_MAX */
	d->n = 0;
	otd_where_program(folder, sizeof(folder));
	/* In a build folder; as installed, seen from the program: an installation may be moved. */
	snprintf(d->beside, sizeof(d->beside), "%s/plugins", folder);
	if (access(d->beside, X_OK) != 0)
		snprintf(d->beside, sizeof(d->beside), "%s/" OTEDAMA_PLUGIN_REL, folder);
	if (realpath(d->beside, plain) && strlen(plain) < sizeof(d->beside))
		memcpy(d->beside, plain, strlen(plain) + 1);
	if (access(d->beside, X_OK) == 0)
		d->dir[d->n++] = d->beside;
	else
		d->dir[d->n++] = OTEDAMA_PLUGIN_DIR;
}

otd_rc otd_tool_init(struct otd_tool *t, const char *dir, struct otd_err *err)
{
	static const char *const all[] = {"*/*"};
	memset(t, 0, sizeof(*t));
	otd_log_only_warnings();
	otd_plugin_dirs_default(&t->dirs);
	struct otd_plugins_conf conf = {.dirs = dir ? &dir : t->dirs.dir,
					.n_dirs = dir ? 1 : t->dirs.n,
					.enable = all,
					.n_enable = 1};
	t->metrics = otd_metrics_create();
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_COMPUTE);
	otd_rc rc = t->metrics ? otd_env_real_create(&t->env, NULL, err)
			       : otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (rc == OTD_OK)
		rc = otd_plugins_create(&t->plugins, t->env, &conf, err);
	if (rc != OTD_OK)
		otd_tool_finish(t);
	return rc;
}

void otd_tool_finish(struct otd_tool *t)
{
	if (t->plugins)
		otd_plugins_destroy(t->plugins);
	otd_env_real_destroy(t->env);
	otd_metrics_destroy(t->metrics);
	memset(t, 0, sizeof(*t));
}

otd_rc otd_tool_instance(struct otd_tool *t, struct otd_plugin_instance **out, const char *kind,
			 const char *id, const char *options, struct otd_err *err)
{
	struct otd_plugin_services services = {0};
	struct otd_yaml_doc *doc = NULL;
	*out = NULL;
	struct otd_plugin *pl = otd_plugins_get(t->plugins, kind, id, err);
	if (!pl)
		return err->rc ? err->rc : OTD_E_NOT_FOUND;
	otd_rc rc = OTD_OK;
	if (options)
		rc = otd_yaml_parse(&doc, options, strlen(options), "--options", err);
	if (rc == OTD_OK)
		rc = otd_instance_create(out, pl, doc ? otd_yaml_root(doc) : NULL, id, &services,
					 err);
	otd_yaml_destroy(doc);
	return rc;
}
