/* Shows one of its own functions. */
#include "../toy.h"

OTD_EXPORT int toy_helper(int x);
int toy_helper(int x)
{
	return x + 1;
}

BAD_PLUGIN
