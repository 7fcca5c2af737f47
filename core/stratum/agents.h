/* Names of miners' software: sessions have few different ones, so each is kept once. [reactor] */
#ifndef OTD_STRATUM_AGENTS_H
#define OTD_STRATUM_AGENTS_H

#include <otedama/types.h>

struct otd_agents {
	struct otd_agent **all;
	size_t n, cap;
};

/* A text of n bytes, cut at the first NUL, until as many drops; NULL where memory is out. */
const char *otd_agents_take(struct otd_agents *a, const void *text, size_t n);
void otd_agents_drop(struct otd_agents *a, const char *text); /* takes NULL */
void otd_agents_finish(struct otd_agents *a);

#endif
