/*
 * Clients that mean no good, beside those that are measured: one thread, never blocking. What they do is
 * done as often as time says it is due, and no more often than their sockets take it.
 */
#ifndef OTD_BENCH_HOSTILE_H
#define OTD_BENCH_HOSTILE_H

#include <netinet/in.h>
#include <otedama/types.h>

struct hostile;

/* One line a kind: its name and what it does. */
extern const char hostile_kinds[];
/* n clients from addresses 127.0.x.y of their own, of which each sends submits at rate a second where its
   kind does. NULL: no such kind. user: as for good clients, a worker of its own. */
struct hostile *hostile_start(const char *kind, unsigned n, unsigned rate, struct sockaddr_in to,
			      const char *user);
/* What is due by now; as often as you like. */
void hostile_step(struct hostile *h, int64_t now_ns);
/* So far. */
struct hostile_figures {
	uint64_t connects, closed, lines, bytes;
	unsigned open;
};
void hostile_read(const struct hostile *h, struct hostile_figures *f);
void hostile_stop(struct hostile *h); /* takes NULL */

#endif
