/* Starts a thread, which nobody can stop. */
#define BAD_CREATE threading_create
#include "../toy.h"

#include <pthread.h>
#include <unistd.h>

static void *for_ever(void *arg)
{
	(void)pause();
	return arg;
}

static otd_rc threading_create(struct otd_instance **out, struct otd_host *h,
			       const struct otd_host_core *core, const void *options)
{
	pthread_t t;
	if (pthread_create(&t, NULL, for_ever, NULL))
		return OTD_E_NOMEM;
	return toy_create(out, h, core, options);
}

BAD_PLUGIN
