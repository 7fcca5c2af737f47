/*
 * What a reactor process is told of the settings in force, as JSON: pools and their algorithms, ports,
 * limits, the log, its reactors' journals. No address, no node, no password. The pool makes it, the
 * process reads it; both are the same program.
 */
#ifndef OTD_APP_PROCESS_SETUP_H
#define OTD_APP_PROCESS_SETUP_H

#include <jansson.h>

#include "app/live/app_plan.h"

struct otd_process_reactor {
	uint64_t epoch;
	char dir[600]; /* of its journal */
};

/* All that a process needs; it has reactors number first to first + n - 1. NULL: err says why.
   [coordinator] */
json_t *otd_process_setup_make(struct otd_app *app, uint32_t first,
			       const struct otd_process_reactor *r, size_t n, struct otd_err *err);
/* What a reload changes. NULL: err says why. [coordinator] */
json_t *otd_process_change_make(const struct otd_app_plan *p, struct otd_err *err);

/* --- in the process --- */

/* Arrays with what they point to; json stays as long. */
struct otd_process_ports {
	struct otd_stratum_port *conf;
	size_t n;
};
otd_rc otd_process_ports_read(struct otd_process_ports *to, const json_t *setup,
			      struct otd_err *err);
void otd_process_ports_free(struct otd_process_ports *p);
otd_rc otd_process_limits_read(struct otd_stratum_limits *to, const json_t *setup,
			       struct otd_err *err);
/* The files of port number port; false: it has no TLS. */
bool otd_process_tls_read(struct otd_settings_tls *to, const json_t *setup, size_t port);
#define OTD_PROCESS_TICKETS_MAX 4096 /* bytes of keys of tickets */
/* How many bytes there are; 0: none. To be wiped after use. */
size_t otd_process_tickets_read(uint8_t *to, size_t cap, const json_t *setup);
void otd_process_log_read(struct otd_log_conf *to, const json_t *setup);

struct otd_process_pool {
	const char *name;
	const char *algo, *options; /* options: a YAML mapping in one line; NULL: none */
	const char *path;           /* for messages */
	const char *image,
		*digest; /* the file that the pool has mapped, which nobody else writes */
	uint32_t extranonce1_len, extranonce2_len, version_mask;
};
/* Number i of the array "pools". */
otd_rc otd_process_pool_read(struct otd_process_pool *to, const json_t *setup, size_t i,
			     struct otd_err *err);
/* A list of texts; *n of them, in memory that is the caller's (the texts are json's). NULL: none. */
const char **otd_process_texts(const json_t *list, size_t *n);

#endif
