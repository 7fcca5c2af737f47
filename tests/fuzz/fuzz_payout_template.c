/* The state of the payout scheme that `otedama plugin new` writes: authors begin with it. */
#include "../../sdk/templates/payout/plugin.c"
#include "../../sdk/templates/payout/scheme.c"

#include "fuzz/payout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct options options = {.finder_ppm = 10000};
	fuzz_restore(otd_plugin_v1(), &options, data, n);
	return 0;
}
