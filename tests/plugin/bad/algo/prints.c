/* Tells the world. */
#define BAD_CREATE printing_create
#include "../toy.h"

#include <stdio.h>

static otd_rc printing_create(struct otd_instance **out, struct otd_host *h,
			      const struct otd_host_core *core, const void *options)
{
	puts("toy: hello from create");
	return toy_create(out, h, core, options);
}

BAD_PLUGIN
