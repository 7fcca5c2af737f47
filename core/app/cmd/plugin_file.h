/* Plugins that a command is given: by their name among the installed ones, or as a FILE. */
#ifndef OTD_APP_PLUGIN_FILE_H
#define OTD_APP_PLUGIN_FILE_H

#include "app/cmd/setup.h"

/*
 * The instance of an algorithm: of the installed id, or of file where that is not NULL. options: YAML
 * flow mapping text ("{n: 2048}") or NULL. Destroy it before the tool.
 */
otd_rc otd_tool_algo(struct otd_tool *t, struct otd_plugin_instance **out, const char *id,
		     const char *file, const char *options, struct otd_err *err);

/* How fast an algorithm is on one thread. */
struct otd_algo_speed {
	uint64_t hashes, ns;
};

/*
 * Hashes headers that differ in their nonces by calls of n items, for some ms at least. The epoch
 * of height 0 is prepared first.
 */
otd_rc otd_algo_speed_batch(struct otd_algo_speed *out, struct otd_plugin_instance *algo, size_t n,
			    uint64_t ms, struct otd_err *err);
/* Searches by scan(), which it has. */
otd_rc otd_algo_speed_scan(struct otd_algo_speed *out, struct otd_plugin_instance *algo,
			   uint64_t ms, struct otd_err *err);
/* Work ahead for an epoch, all of it: a command has time to wait. */
otd_rc otd_algo_prepare_all(struct otd_plugin_instance *algo, uint64_t height,
			    struct otd_span seed);

#endif
