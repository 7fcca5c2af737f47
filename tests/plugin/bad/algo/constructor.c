/* Works before it was asked. */
#include "../toy.h"

static const char *volatile seen;

__attribute__((constructor)) static void too_early(void)
{
	seen = "nothing that would be seen";
}

BAD_PLUGIN
