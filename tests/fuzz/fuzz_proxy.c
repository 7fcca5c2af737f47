/* The PROXY header: never reads behind what there is, needs more or knows; what it names is an address, and
   what came whole is the same with anything behind it. */
#include "net/bans.h"
#include "net/proxy.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct otd_proxy p, again;
	struct otd_ban_net net;
	size_t used, used_again;
	otd_rc rc = otd_proxy_parse(&p, &used, (struct otd_span){data, n});
	must(rc == OTD_OK || rc == OTD_E_BUSY || rc == OTD_E_INVALID);
	if (rc == OTD_E_BUSY)
		must(n < OTD_PROXY_MAX); /* nobody waits for ever */
	if (rc != OTD_OK)
		return 0;
	must(used <= n && used <= OTD_PROXY_MAX && used > 0);
	must(p.has_address == otd_ban_host(&net, p.host));
	uint8_t *exact = malloc(used);
	if (!exact)
		return 0;
	memcpy(exact, data, used);
	must(otd_proxy_parse(&again, &used_again, (struct otd_span){exact, used}) == OTD_OK);
	must(used_again == used && again.has_address == p.has_address && again.port == p.port &&
	     strcmp(again.host, p.host) == 0);
	must(otd_proxy_parse(&again, &used_again, (struct otd_span){exact, used - 1}) ==
	     OTD_E_BUSY);
	free(exact);
	return 0;
}
