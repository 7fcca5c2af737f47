/* The state of solo payout. */
#include "payout/common/book.c"
#include "payout/common/state.c"
#include "payout/solo/solo.c"

#include "fuzz/payout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	fuzz_restore(otd_plugin_v1(), NULL, data, n);
	return 0;
}
