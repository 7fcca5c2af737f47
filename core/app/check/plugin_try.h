/* The small world of `plugin try`: a folder with one plugin, and a configuration round it. */
#ifndef OTD_APP_PLUGIN_TRY_H
#define OTD_APP_PLUGIN_TRY_H

#include "base/env.h"
#include "base/err.h"
#include "plugin/plugin.h"

struct otd_try {
	const char *file, *options; /* given: the plugin; YAML flow mapping or NULL */
	/* made */
	char folder[200]; /* temporary, ours alone; "" where it is not there */
	char config[240]; /* the pool's configuration in it */
	char kind[32];    /* without revision */
	char id[32];
	uint64_t hashes, ms; /* speed of one thread, as it was measured */
};

/*
 * Makes folder and configuration: a pool on an embedded chain with this plugin in its place, and what is
 * installed in the others; difficulties such that one thread finds four shares a second and a block every
 * two seconds. On failure nothing is left.
 */
otd_rc otd_try_make(struct otd_try *t, struct otd_err *err);
/* Removes the folder and all in it. */
void otd_try_remove(struct otd_try *t);

#endif
