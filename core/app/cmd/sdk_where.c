#include "app/cmd/sdk_where.h"

#include <stdio.h>
#include <unistd.h>

#include "app/cmd/where.h"

otd_rc otd_sdk_where(char *path, size_t cap, const char *what, struct otd_err *err)
{
	static const char *const places[] = {"sdk", OTEDAMA_SDK_REL};
	char folder[3000];
	otd_where_program(folder, sizeof(folder));
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int n = snprintf(path, cap, "%s/%s/%s", folder, places[i], what);
		if (n > 0 && (size_t)n < cap && access(path, R_OK) == 0)
			return OTD_OK;
	}
	int n = snprintf(path, cap, "%s/%s", OTEDAMA_SDK_DIR, what);
	if (n > 0 && (size_t)n < cap && access(path, R_OK) == 0)
		return OTD_OK;
	return otd_fail(err, OTD_E_NOT_FOUND,
			"the SDK's %s is not there: looked in %s/sdk, %s/" OTEDAMA_SDK_REL
			" and " OTEDAMA_SDK_DIR "; install Otedama whole (./mk install)",
			what, folder, folder);
}
