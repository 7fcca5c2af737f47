/* What a reactor knows of an address while it has connections from it: for policy, which tells a farm
   behind one address from one bad miner. Only where there is policy. [reactor] */
#ifndef OTD_STRATUM_HOSTS_H
#define OTD_STRATUM_HOSTS_H

#include "base/env.h"
#include "base/map.h"

struct otd_host {
	uint32_t sessions; /* with a connection or answers due */
	uint32_t workers;  /* of its connections, with accepted shares */
	uint64_t accepted; /* shares */
	char text[];       /* the address */
};

struct otd_hosts {
	struct otd_map *map; /* text -> struct otd_host */
};

OTD_WARN_UNUSED otd_rc otd_hosts_init(struct otd_hosts *h, struct otd_env *e, size_t max);
void otd_hosts_finish(struct otd_hosts *h);
/* Made where it is new; NULL where there is no room. Each success is paired with one leave. */
struct otd_host *otd_hosts_enter(struct otd_hosts *h, const char *address);
void otd_hosts_leave(struct otd_hosts *h, struct otd_host *host); /* takes NULL */

#endif
