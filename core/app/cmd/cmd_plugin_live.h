/* The verbs of `otedama plugin` that speak to a running pool. */
#ifndef OTD_APP_CMD_PLUGIN_LIVE_H
#define OTD_APP_CMD_PLUGIN_LIVE_H

#include <jansson.h>

#include "app/cmd/args.h"

/* What a running pool has loaded, its generations and who uses them. Exit status. */
int otd_plugin_list_live(const struct otd_cmd *cmd, const char *config, const char *socket,
			 bool json);

#endif
