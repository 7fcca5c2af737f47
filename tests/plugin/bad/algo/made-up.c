/* Right, as far as its author knows. */
#define BAD_VECTORS                                                                           \
	{                                                                                     \
		.header = "01" TOY_ZEROS_26 TOY_ZEROS_26 TOY_ZEROS_26 "00", .hash = TOY_HASH, \
		.source = "its author"                                                        \
	}
#include "../toy.h"

BAD_PLUGIN
