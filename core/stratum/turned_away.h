/* What a miner is told that the gate turns away, before it has said anything itself. */
#ifndef OTD_STRATUM_TURNED_AWAY_H
#define OTD_STRATUM_TURNED_AWAY_H

#include <stddef.h>

/*
 * Lines that miners show: an error for the request that most of them begin with (id 1), and a message. reason:
 * of net/listener.h. Returns the bytes; 0: they do not fit, or there is nothing to say. [any-thread]
 */
size_t otd_stratum_turned_away(char *to, size_t cap, const char *reason);

#endif
