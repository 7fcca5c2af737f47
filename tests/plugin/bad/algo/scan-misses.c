/* Says that it tried nonces which it did not look at. */
#define BAD_SCAN hasty_scan
#include "../toy.h"

static otd_rc hasty_scan(struct otd_instance *in, void *scratch, struct otd_algo_scan *s)
{
	otd_rc rc = toy_scan(in, scratch, s);
	if (!rc && s->n_found == s->found_cap && s->done + 4 <= s->count)
		s->done += 4;
	return rc;
}

BAD_PLUGIN
