/* The pieces of otd_app_start() and otd_app_stop() that have files of their own. */
#ifndef OTD_APP_APP_PARTS_H
#define OTD_APP_APP_PARTS_H

#include "app/app.h"

/* app_reactors.c */
otd_rc otd_app_make_reactors(struct otd_app *app, struct otd_err *err);
struct otd_stratum_limits otd_app_limits(const struct otd_settings *s);
otd_rc otd_app_run_reactors(struct otd_app *app, struct otd_err *err);
void otd_app_free_reactors(struct otd_app *app);
otd_rc otd_app_make_listeners(struct otd_app *app, struct otd_err *err);
void otd_app_free_listeners(struct otd_app *app);

/* app_control.c */
void otd_app_request(void *arg, struct otd_control_request *r, const char *line);
otd_rc otd_app_make_apis(struct otd_app *app, struct otd_err *err);

/* app_pool_name.c: OTD_E_NOT_FOUND, with the name that was meant. */
otd_rc otd_app_no_pool(const struct otd_app *app, const char *name, size_t n, struct otd_err *err);

/* app_payment.c */
otd_rc otd_app_make_payer(struct otd_app *app, struct otd_err *err);
/* What the settings say now; after a reload, too. */
otd_rc otd_app_configure_payer(struct otd_app *app, struct otd_err *err);
void otd_app_payment_request(struct otd_app *app, struct otd_control_request *r, const char *words);

/* app.c */
void otd_app_drain(struct otd_app *app);
void otd_app_flush(struct otd_app *app);

/* app_chains.c: an instance of what the configuration chose; errors name its place. services may be
   NULL. */
otd_rc otd_app_instance(struct otd_app *app, struct otd_plugin_instance **out, const char *kind,
			const struct otd_settings_use *use,
			const struct otd_plugin_services *services, struct otd_err *err);
/* Whether two pieces of configuration say the same. */
bool otd_app_same_yaml(const struct otd_yaml *a, const struct otd_yaml *b);

#endif
