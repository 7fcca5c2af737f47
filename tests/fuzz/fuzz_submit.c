/* The submit scanner against jansson: where it takes a line, both see the same. */
#include "unit/stratum/agree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (submit_agree(data, n) < 0)
		abort();
	return 0;
}
