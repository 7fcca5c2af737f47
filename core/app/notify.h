/*
 * What a service manager is told: the protocol of sd_notify(3), a datagram to $NOTIFY_SOCKET, without
 * its library. Where that is not set all of this does nothing. [coordinator]
 */
#ifndef OTD_APP_NOTIFY_H
#define OTD_APP_NOTIFY_H

#include <otedama/types.h>

#include "base/env.h"

/*
 * From now on, on this loop: "STATUS=" with what text says every five seconds, and "WATCHDOG=1" at half
 * of $WATCHDOG_USEC. A loop that hangs says nothing, and is started anew by the manager. text writes
 * one line of at most cap bytes.
 */
otd_rc otd_notify_start(struct otd_loop *l, void (*text)(void *arg, char *to, size_t cap),
			void *arg);
/* Before the loop goes. */
void otd_notify_stop(void);

void otd_notify_ready(void);     /* ports listen; or a reload has ended, either way */
void otd_notify_reloading(void); /* until the next otd_notify_ready() */
void otd_notify_stopping(void);
/* A sign of life out of turn, where one is wanted: no loop runs for a while. */
void otd_notify_alive(void);
/* Another process is the service's from now on; what it says is heard after this. */
void otd_notify_main(long pid);

#endif
