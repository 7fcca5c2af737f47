/* Generations of a plugin: drafts, the newest, those that are left. See plugin.h. */
#include "base/log.h"
#include "plugin/internal.h"
#include <string.h>

#define MANY_IMAGES 16u

static bool is_of(const struct otd_plugin *pl, const char *kind, const char *id)
{
	return strcmp(pl->kind->name, kind) == 0 && strcmp(pl->desc.id, id) == 0;
}

struct otd_plugin *otd_plugins_newest(const struct otd_plugins *p, const char *kind, const char *id)
{
	struct otd_plugin *newest = NULL;
	for (struct otd_plugin *pl = p->first; pl; pl = pl->next) {
		if (!pl->retired && is_of(pl, kind, id))
			newest = pl;
	}
	return newest;
}

otd_rc otd_plugins_draft(struct otd_plugins *p, struct otd_plugin **out, const char *kind,
			 const char *id, const char *file, const char *options, struct otd_err *err)
{
	OTD_ON(OTD_THREAD_COORDINATOR);
	return otd_plugin_from_file(p, out, kind, id, file, options, err);
}

void otd_plugin_publish(struct otd_plugin *pl)
{
	struct otd_plugins *p = pl->set;
	uint32_t generation = 0;
	OTD_ON(OTD_THREAD_COORDINATOR);
	for (struct otd_plugin *other = p->first; other; other = other->next) {
		if (is_of(other, pl->kind->name, pl->desc.id))
			generation = other->generation;
	}
	pl->generation = generation + 1;
	pl->next = NULL;
	if (p->first)
		p->last->next = pl;
	else
		p->first = pl;
	p->last = pl;
	if (!pl->image)
		return; /* of a test */
	otd_log(OTD_LOG_INFO, "plugin", "plugin.loaded",
		"plugin=%s/%s version=%s digest=%.16s generation=%u vectors=%u", pl->kind->name,
		pl->desc.id, pl->desc.version, pl->digest, pl->generation, pl->desc.n_vectors);
	if (pl->generation % MANY_IMAGES == 0)
		otd_log(OTD_LOG_WARN, "plugin", "plugin.generations",
			"plugin=%s/%s images=%u why=\"the code of each stays in memory\" "
			"hint=\"restart when it suits\"",
			pl->kind->name, pl->desc.id, pl->generation);
}

void otd_plugin_discard(struct otd_plugin *draft)
{
	if (!draft)
		return;
	OTD_ASSERT(!draft->generation && !draft->n_instances);
	otd_plugin_free(draft);
}

otd_rc otd_plugin_retire(struct otd_plugin *pl, struct otd_err *err)
{
	OTD_ON(OTD_THREAD_COORDINATOR);
	if (pl->n_instances)
		return otd_fail(err, OTD_E_BUSY, "%s/%s is in use: %u instance%s", pl->kind->name,
				pl->desc.id, pl->n_instances, pl->n_instances == 1 ? "" : "s");
	/* All that are there: the one before must not come back. */
	for (struct otd_plugin *other = pl->set->first; other; other = other->next) {
		if (is_of(other, pl->kind->name, pl->desc.id))
			other->retired = true;
	}
	return OTD_OK;
}

void otd_plugin_state(const struct otd_plugin *pl, struct otd_plugin_state *out)
{
	*out = (struct otd_plugin_state){
		.kind = pl->kind->name,
		.id = pl->desc.id,
		.version = pl->desc.version,
		.file = pl->file,
		.digest = pl->digest,
		.generation = pl->generation,
		.instances = pl->n_instances,
		.newest = otd_plugins_newest(pl->set, pl->kind->name, pl->desc.id) == pl};
}
