#include "stratum/hosts.h"

#include <stdlib.h>
#include <string.h>

otd_rc otd_hosts_init(struct otd_hosts *h, struct otd_env *e, size_t max)
{
	uint8_t seed[16];

	e->ops->random(e, seed, sizeof(seed));
	h->map = otd_map_create(seed, max);
	return h->map ? OTD_OK : OTD_E_NOMEM;
}

void otd_hosts_finish(struct otd_hosts *h)
{
	size_t pos = 0, n;
	const void *key;
	uint64_t value;

	while (h->map && otd_map_next(h->map, &pos, &key, &n, &value))
		free((void *)(uintptr_t)value);
	otd_map_destroy(h->map);
	h->map = NULL;
}

struct otd_host *otd_hosts_enter(struct otd_hosts *h, const char *address)
{
	size_t n = strlen(address);
	struct otd_host *host;
	uint64_t at;

	if (!h->map || !n)
		return NULL;
	if (otd_map_get(h->map, address, n, &at)) {
		host = (struct otd_host *)(uintptr_t)at;
		host->sessions++;
		return host;
	}
	host = calloc(1, sizeof(*host) + n + 1);
	if (!host)
		return NULL;
	memcpy(host->text, address, n);
	host->sessions = 1;
	if (otd_map_add(h->map, address, n, (uint64_t)(uintptr_t)host, NULL)) {
		free(host);
		return NULL;
	}
	return host;
}

void otd_hosts_leave(struct otd_hosts *h, struct otd_host *host)
{
	if (!host || --host->sessions)
		return;
	(void)otd_map_remove(h->map, host->text, strlen(host->text), NULL);
	free(host);
}
