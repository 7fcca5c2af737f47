/* The nodes of a running pool. */
#ifndef OTD_APP_APP_NODE_H
#define OTD_APP_APP_NODE_H

#include "app/control.h"

struct otd_app;

/* "list": {"now_ms": N, "nodes": [..]}. [coordinator] */
void otd_app_node_request(struct otd_app *app, struct otd_control_request *r, const char *words);

#endif
