/* The search for a hash function in whatever a C file may hold. */
#include "app/cmd/c_function.c"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct otd_c_function f;
	struct otd_err err;
	/* A copy of exactly this length: a byte read behind it is seen. */
	char *text = malloc(n ? n : 1);
	if (!text)
		return 0;
	memcpy(text, data, n);
	if (otd_c_function_find(&f, text, n, NULL, &err) == OTD_OK) {
		OTD_ASSERT(f.name[0] && strlen(f.prototype) < sizeof(f.prototype));
		OTD_ASSERT(strchr(f.order, 'i') && strchr(f.order, 'o') && strlen(f.order) <= 3);
	}
	(void)!otd_c_function_find(&f, text, n, "f", &err);
	free(text);
	return 0;
}
