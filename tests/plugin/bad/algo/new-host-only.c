/* Fills the struct that it knows, however long that of its host is. */
#define BAD_INFO whole_info
#include "../toy.h"

static otd_rc whole_info(struct otd_instance *in, struct otd_algo_info *out)
{
	out->size = sizeof(*out);
	return toy_info(in, out);
}

BAD_PLUGIN
