/* A default that its own bounds forbid. */
#define BAD_OPTIONS                                                                               \
	OTD_OPTION(struct toy_options, rounds, OTD_OPT_INT, "rounds", "9", "how often", .min = 1, \
		   .max = 8)
#include "../toy.h"

BAD_PLUGIN
