/* Two options, one member: the second line was copied from the first. */
#define BAD_OPTIONS                                                                      \
	OTD_OPTION(struct toy_options, rounds, OTD_OPT_INT, "rounds", "1", "how often"), \
		OTD_OPTION(struct toy_options, rounds, OTD_OPT_INT, "more", "1", "how often more")
#include "../toy.h"

BAD_PLUGIN
