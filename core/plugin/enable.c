/* Which plugins may be loaded, changed while the set is in use. */
#include "plugin/internal.h"
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct otd_plugins_enable {
	char **item;
	size_t n;
};

otd_rc otd_plugins_enable_create(struct otd_plugins_enable **out, const char *const *enable,
				 size_t n, struct otd_err *err)
{
	struct otd_plugins_enable *e = calloc(1, sizeof(*e));
	*out = NULL;
	if (e)
		e->item = calloc(n ? n : 1, sizeof(char *));
	for (size_t i = 0; e && e->item && i < n; i++) {
		e->item[i] = strdup(enable[i]);
		if (!e->item[i])
			break;
		e->n++;
	}
	if (!e || !e->item || e->n < n) {
		otd_plugins_enable_destroy(e);
		return otd_fail(err, OTD_E_NOMEM, "plugins: no memory");
	}
	*out = e;
	return OTD_OK;
}

void otd_plugins_enable_destroy(struct otd_plugins_enable *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->n; i++)
		free(e->item[i]);
	free(e->item);
	free(e);
}

bool otd_plugins_enable_has(const struct otd_plugins_enable *e, const char *kind, const char *id)
{
	char name[128];
	(void)snprintf(name, sizeof(name), "%s/%s", kind, id);
	for (size_t i = 0; i < e->n; i++) {
		if (fnmatch(e->item[i], name, 0) == 0)
			return true;
	}
	return false;
}

void otd_plugins_enable_swap(struct otd_plugins *p, struct otd_plugins_enable *e)
{
	struct otd_plugins_enable old = {p->enable, p->n_enable};
	OTD_ON(OTD_THREAD_COORDINATOR);
	p->enable = e->item;
	p->n_enable = e->n;
	*e = old;
}
