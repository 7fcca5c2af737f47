/* The state of PPLNS, for a window by difficulty and for one by time. */
#include "payout/common/book.c"
#include "payout/common/state.c"
#include "payout/pplns/pplns.c"
#include "payout/pplns/window.c"

#include "fuzz/payout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct options options = {
		.window = {.milli_difficulty = n % 2 ? 2000 : 0, .ms = n % 2 ? 0 : 7200000},
		.max_slices = 1000};
	fuzz_restore(otd_plugin_v1(), &options, data, n);
	return 0;
}
