/* The submit scanner against jansson: where it takes a line, both see the same; and what a line looks like. */
#include "unit/stratum/agree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (submit_agree(data, n) < 0 || !shape_agrees(data, n))
		abort();
	return 0;
}
