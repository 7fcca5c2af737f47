/* The pieces of otd_app_start() and otd_app_stop() that have files of their own. */
#ifndef OTD_APP_APP_PARTS_H
#define OTD_APP_APP_PARTS_H

#include "app/app.h"
#include "base/log.h"

/* app_reactors.c */
otd_rc otd_app_make_reactors(struct otd_app *app, struct otd_err *err);
struct otd_stratum_limits otd_app_limits(const struct otd_settings *s);
otd_rc otd_app_run_reactors(struct otd_app *app, struct otd_err *err);
void otd_app_free_reactors(struct otd_app *app);
otd_rc otd_app_make_listeners(struct otd_app *app, struct otd_err *err);
void otd_app_free_listeners(struct otd_app *app);

/* app_reload.c */
/* "" or "check": reads the configuration again and answers what of it was applied. */
void otd_app_reload_request(struct otd_app *app, struct otd_control_request *r, const char *words);
void otd_app_reload_signal(struct otd_app *app);
/* Whether one is under way. */
bool otd_app_reload_busy(const struct otd_app *app);
/* Why the last one was refused, for people; "" where it was not. */
const char *otd_app_reload_trouble(const struct otd_app *app);
/* Each second: lets go what is left of pools that went. */
void otd_app_reload_second(struct otd_app *app);
/* One that is under way is given up. While loops, reactors and accounting are there. */
void otd_app_reload_stop(struct otd_app *app);
/* Settings of before. After everything else. */
void otd_app_reload_free(struct otd_app *app);

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
void otd_app_log_conf(struct otd_log_conf *to, const struct otd_settings_log *s);
/* Where these settings keep segments of journals; else NULL in *out. It begins at once. */
otd_rc otd_app_make_archive(struct otd_app *app, struct otd_archive **out,
			    const struct otd_settings_journal *j, struct otd_err *err);
void otd_app_drain(struct otd_app *app);
void otd_app_flush(struct otd_app *app);

/* app_chains.c: an instance of what the configuration chose; errors name its place. services may be
   NULL. */
otd_rc otd_app_instance(struct otd_app *app, struct otd_plugin_instance **out, const char *kind,
			const struct otd_settings_use *use,
			const struct otd_plugin_services *services, struct otd_err *err);
#define OTD_APP_NODES_MAX 16 /* of one pool */
/* A chain for this pool and others like it, at an unused place, which it is again where it fails. */
otd_rc otd_app_chain_create(struct otd_app *app, struct otd_app_chain *c,
			    const struct otd_settings_pool *p, struct otd_err *err);
void otd_app_chain_destroy(struct otd_app_chain *c); /* its place is unused then */
/* Whether it is this pool's coin on this network with these options. */
bool otd_app_chain_fits(const struct otd_app_chain *c, const struct otd_settings_pool *p);
/* Of two pools of the same settings. */
bool otd_app_same_nodes(const struct otd_settings_pool *a, const struct otd_settings_pool *b);
/* The nodes of a pool that has no more than that; how many. */
size_t otd_app_node_confs(struct otd_node_conf to[OTD_APP_NODES_MAX],
			  const struct otd_settings_pool *p);
/* Where the coinbase pays. */
otd_rc otd_app_pool_script(struct otd_app_pool *pool, const struct otd_settings_pool *p,
			   struct otd_err *err);

/* app_pools.c: what accounting, coordinator and reactors are told of a pool. */
/* The schemes that p needs and that pool does not have yet. */
otd_rc otd_app_schemes_make(struct otd_app *app, struct otd_app_pool *pool,
			    const struct otd_settings_pool *p, struct otd_err *err);
void otd_app_schemes_free(struct otd_app_pool *pool, size_t from); /* those from number from on */
/* "": the pool's own, or a scheme that is not made. */
const char *otd_app_port_scheme(const struct otd_app_pool *pool,
				const struct otd_settings_port *port);
/* As accounting wants it; schemes are for the call. */
struct otd_acct_pool otd_app_acct_pool(struct otd_app_pool *pool, size_t number,
				       const struct otd_settings_pool *p,
				       struct otd_acct_scheme schemes[OTD_APP_SCHEMES_MAX]);
otd_rc otd_app_coordinator_pool(struct otd_coordinator_pool *to, const struct otd_app_pool *pool,
				const struct otd_settings_pool *p, struct otd_err *err);
struct otd_reactor_pool otd_app_reactor_pool(const struct otd_app_pool *pool,
					     const struct otd_settings_pool *p);

/* app_ports.c */
/* The table of ports for these pools (by number; those without settings are left out), where from is in
   force: its numbers stay. */
otd_rc otd_app_ports_make(const struct otd_app *app, struct otd_app_ports *to,
			  const struct otd_app_ports *from, const struct otd_app_pool *pools,
			  size_t n_pools, struct otd_err *err);
/* Whether what it says of TLS, plain and proxies goes together. */
otd_rc otd_app_port_door(const struct otd_settings_pool *pool, const struct otd_settings_port *port,
			 struct otd_err *err);
void otd_app_ports_free(struct otd_app_ports *p);
/* SIZE_MAX: there is none. */
size_t otd_app_port_find(const struct otd_app_ports *p, uint32_t pool, uint16_t number);
/* Listens. *out is NULL where it fails. */
otd_rc otd_app_listener_create(struct otd_app *app, struct otd_app_listener **out,
			       const struct otd_settings_pool *pool,
			       const struct otd_settings_port *port, uint32_t port_index,
			       struct otd_err *err);
/* Its proxies are those of port from now on. */
void otd_app_listener_proxies(struct otd_app_listener *l, const struct otd_settings_port *port);
void otd_app_listener_destroy(struct otd_app_listener *l); /* takes NULL */
struct otd_gate_conf otd_app_gate_conf(const struct otd_settings *s);

#endif
