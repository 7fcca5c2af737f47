/* Forgets its table. */
#define BAD_DESTROY leaky_destroy
#include "../toy.h"

static void leaky_destroy(struct otd_instance *in)
{
	if (in)
		in->core->free(in->host, in);
}

BAD_PLUGIN
