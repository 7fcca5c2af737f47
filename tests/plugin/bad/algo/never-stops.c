/* Does not look at stop. */
#define BAD_SCAN deaf_scan
#include "../toy.h"

static otd_rc deaf_scan(struct otd_instance *in, void *scratch, struct otd_algo_scan *s)
{
	const volatile uint32_t *stop = s->stop;
	otd_rc rc;
	s->stop = NULL;
	rc = toy_scan(in, scratch, s);
	s->stop = stop;
	return rc;
}

BAD_PLUGIN
