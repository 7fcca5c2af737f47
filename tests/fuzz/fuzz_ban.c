/* What people write of bans: one canonical form, which stays itself; who is in a prefix is in it. */
#include "net/bans.h"
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
	char what[OTD_BAN_WHAT_MAX + 1], again[OTD_BAN_WHAT_MAX + 1];
	enum otd_ban_scope scope = OTD_BAN_WORKER;
	struct otd_err err = {0};
	if (n < 1)
		return 0;
	scope = (enum otd_ban_scope)(1 + data[0] % 4);
	/* Exactly the bytes, without a terminating zero. */
	char *s = malloc(n);
	if (!s)
		return 0;
	memcpy(s, data + 1, n - 1);
	(void)otd_ban_reason_check(s, n - 1, &err);
	if (otd_ban_what(what, scope, s, n - 1, &err) == OTD_OK) {
		must(strlen(what) > 0);
		must(otd_ban_what(again, scope, what, strlen(what), &err) == OTD_OK);
		must(strcmp(what, again) == 0);
		struct otd_ban_net net, host;
		if (scope >= OTD_BAN_IP) {
			must(otd_ban_net_parse(&net, what) == OTD_OK);
			char *slash = strchr(again, '/');
			if (slash)
				*slash = 0;
			must(otd_ban_host(&host, again) && otd_ban_net_has(&net, again));
		}
	} else {
		must(err.text[0] != 0);
	}
	s[n - 1] = 0;
	struct otd_ban_net host;
	(void)otd_ban_host(&host, s);
	free(s);
	return 0;
}
