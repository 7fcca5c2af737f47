/* A pool that there is not: the same words wherever somebody names one. */
#include <stdio.h>

#include "app/app_parts.h"
#include "base/text.h"

#define NAMES_MAX 256

otd_rc otd_app_no_pool(const struct otd_app *app, const char *name, size_t n, struct otd_err *err)
{
	const char *names[NAMES_MAX];
	char word[80], hint[OTD_HINT_TEXT];
	size_t known = 0;
	for (size_t i = 0; i < app->n_pools && known < NAMES_MAX; i++) {
		if (app->pools[i].settings)
			names[known++] = app->pools[i].settings->name;
	}
	snprintf(word, sizeof(word), "%.*s", n < 64 ? (int)n : 64, name);
	return otd_fail(err, OTD_E_NOT_FOUND, "there is no pool '%s'%s", word,
			otd_nearest_hint(hint, word, names, known));
}
