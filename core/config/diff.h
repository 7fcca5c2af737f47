/*
 * What differs between two configurations, key by key: as a reload reports it, and what the running
 * program has to keep because only a restart takes the new value. Values are compared as they are
 * read: 10s and 10000ms are the same, and so are a default and the same value written.
 */
#ifndef OTD_CONFIG_DIFF_H
#define OTD_CONFIG_DIFF_H

#include "config/settings.h"

struct otd_diff;

/* One key, or one entry of nodes, pools, ports or recipients that came or went as a whole. */
struct otd_diff_key {
	const char *path; /* "pools.ltc.fee.rate"; of a coin file "coins.litecoin.maturity" */
	/* As written, secrets as ***; the default where the key is not written; "" where there is
	   nothing on this side. */
	const char *before, *after;
	bool live;                 /* a reload applies it; else the next start does */
	const struct otd_yaml *at; /* where it stands now, or what it stood in */
};

/* Whether a plugin takes a new value of this option while it runs; kind as "payout". */
typedef bool (*otd_diff_option_fn)(void *arg, const char *kind, const char *id, const char *option);

/*
 * What now says otherwise than before. Both outlive the diff. live_option NULL: no option of a plugin
 * is live. [any-thread] OTD_E_NOMEM.
 */
otd_rc otd_diff_create(struct otd_diff **out, const struct otd_settings *before,
		       const struct otd_settings *now, otd_diff_option_fn live_option, void *arg,
		       struct otd_err *err);
void otd_diff_destroy(struct otd_diff *d); /* takes NULL */
size_t otd_diff_count(const struct otd_diff *d);
const struct otd_diff_key *otd_diff_key(const struct otd_diff *d, size_t i); /* NULL: no more */
/* Keys of which only a restart takes the new value. */
size_t otd_diff_not_live(const struct otd_diff *d);

/*
 * The settings of now with the keys that are not live as they were before: what a reload applies.
 * An error where these do not go together; its words begin with a key of the file. [any-thread]
 */
otd_rc otd_diff_live_settings(struct otd_settings **out, struct otd_env *e,
			      const struct otd_diff *d, struct otd_err *err);

#endif
