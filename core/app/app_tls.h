/*
 * Certificates of ports with TLS, by their files, and the keys of session tickets, which a file in the data_dir
 * keeps over a restart. Certificates are read again by a reload: all that the settings name, or none.
 */
#ifndef OTD_APP_APP_TLS_H
#define OTD_APP_APP_TLS_H

#include "app/app.h"
#include "net/tls.h"

struct otd_app_tls_change;

#define OTD_APP_TLS_SOON_DAYS 14 /* before its end a certificate is told of */
#define OTD_APP_TLS_TICKETS   "tls-tickets"

/* Reads both files; err has no place in the configuration. Others than its owner and group may not
   be able to read the key. Blocks. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_app_tls_read(struct otd_tls **out, struct otd_env *env,
					const struct otd_settings_tls *from,
					struct otd_tls_tickets *tickets,
					struct otd_metrics *metrics, struct otd_err *err);
/* What a person should know of a certificate now: that it is over, not valid yet, or ends soon. Returns text,
   "" where nothing. [any-thread] */
const char *otd_app_tls_worry(char *text, size_t cap, const struct otd_tls_facts *f,
			      const char *file, int64_t now_ms);

/* All that the settings in force name; before the reactors. */
OTD_WARN_UNUSED otd_rc otd_app_tls_start(struct otd_app *app, struct otd_err *err);
void otd_app_tls_stop(struct otd_app *app); /* after the reactors */
/* Of a port; NULL: without TLS. Lives until otd_app_tls_stop(). */
struct otd_tls *otd_app_tls_of(const struct otd_app *app, const struct otd_settings_tls *t);
/* The ring of ticket keys, for a hand-over (net/tickets.h). */
struct otd_tls_tickets *otd_app_tls_tickets(const struct otd_app *app);

/* A reload: read on a thread of its own; offered, from when on otd_app_tls_of() finds new ones; then put in
   force, or dropped. */
OTD_WARN_UNUSED otd_rc otd_app_tls_prepare(struct otd_app *app, struct otd_app_tls_change **out,
					   const struct otd_settings *s, struct otd_err *err);
OTD_WARN_UNUSED otd_rc otd_app_tls_offer(struct otd_app *app, struct otd_app_tls_change *c,
					 struct otd_err *err);
void otd_app_tls_commit(struct otd_app *app, struct otd_app_tls_change *c); /* takes NULL */
void otd_app_tls_discard(struct otd_app_tls_change *c);                     /* takes NULL */

/* The i-th thing that somebody should look after; "" where nothing is, NULL behind the last. Until the next
   call. */
const char *otd_app_tls_trouble(struct otd_app *app, size_t i);

#endif
