/* A known answer of nobody knows where. */
#define BAD_VECTORS                                                                          \
	{                                                                                    \
		.header = "01" TOY_ZEROS_26 TOY_ZEROS_26 TOY_ZEROS_26 "00", .hash = TOY_HASH \
	}
#include "../toy.h"

BAD_PLUGIN
