/* No help, a name in capitals, and reloadable without a reconfigure(). */
#define BAD_OPTIONS                                                            \
	OTD_OPTION(struct toy_options, rounds, OTD_OPT_INT, "Rounds", "1", "", \
		   .flags = OTD_OPT_RELOADABLE)
#include "../toy.h"

BAD_PLUGIN
