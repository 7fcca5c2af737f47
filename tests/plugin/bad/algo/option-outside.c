/* Its option lies behind its struct. */
#define BAD_OPTIONS                                                                   \
	{                                                                             \
		.size = sizeof(struct otd_option), .type = OTD_OPT_INT, .offset = 16, \
		.name = "rounds", .help = "how often", .def = "1"                     \
	}
#include "../toy.h"

BAD_PLUGIN
