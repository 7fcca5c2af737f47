/* Gives its table back twice. */
#define BAD_DESTROY twice
#include "../toy.h"

static void twice(struct otd_instance *in)
{
	if (in)
		in->core->free(in->host, in->table);
	toy_destroy(in);
}

BAD_PLUGIN
