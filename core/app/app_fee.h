/*
 * The fee of a pool by command, in the place of the settings' one: `otedama fee set`. A script's answer
 * comes before it (app_policy.h). It is a row of SQL with its end, so that it outlives a restart; what is
 * taken of a block goes by the mark in the journal that otd_accounting_fee() makes, never backwards.
 * [coordinator]
 */
#ifndef OTD_APP_APP_FEE_H
#define OTD_APP_APP_FEE_H

#include "base/err.h"

#include <stdint.h>

struct otd_app;
struct otd_control_request;

#define OTD_FEE_REASON_MAX 120 /* bytes */
#define OTD_FEE_BY_MAX     80

struct otd_app_fee_override {
	char pool[72], reason[OTD_FEE_REASON_MAX + 1], by[OTD_FEE_BY_MAX + 1];
	int64_t ppm, created_ms;
	int64_t until_ms; /* 0: until it is cleared */
};

/* Those that hold, after the store was made and before the accounting is. What ended while nothing ran,
   and those of pools that the settings do not have, are put away. Blocks. */
otd_rc otd_app_fees_load(struct otd_app *app, struct otd_err *err);
void otd_app_fees_finish(struct otd_app *app); /* after the store's thread has ended */

/* What holds without a script: the override, else yaml_ppm. */
int64_t otd_app_fee_base(const struct otd_app *app, const char *pool, int64_t yaml_ppm);
/* NULL: none. It lives until the loop goes on. */
const struct otd_app_fee_override *otd_app_fee_override(const struct otd_app *app,
							const char *pool);
/* A reload has taken the pool out: an override does not wait for one of the same name. */
void otd_app_fee_gone(struct otd_app *app, const char *pool);
/* Ends those whose time has come. */
void otd_app_fees_tick(struct otd_app *app, int64_t now_ms);

/* "show [POOL]", "set JSON", "clear JSON": see cmd_fee.c. */
void otd_app_fee_request(struct otd_app *app, struct otd_control_request *r, const char *words);

#endif
