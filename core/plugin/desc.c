/*
 * A plugin's descriptor, copied into ours with all its tables. What the plugin's side is too short
 * for stays zero; what is longer than we know is left out. Nobody else tests a size.
 */
#include "plugin/internal.h"
#include <stdlib.h>
#include <string.h>

/* The first members that any revision must have. */
#define MIN_SIZE(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))
#define MIN_DESC             MIN_SIZE(struct otd_plugin_desc, ops)
#define MIN_OPTION           MIN_SIZE(struct otd_option, max)
#define MIN_VECTOR           MIN_SIZE(struct otd_algo_vector, nonce)
#define MIN_BASE             MIN_SIZE(struct otd_base_ops, destroy)
#define MAX_STRUCT           4096u

static otd_rc copy_sized(void *to, size_t to_size, const void *from, size_t min_size,
			 const char *what, const struct otd_plugin *pl, struct otd_err *err)
{
	uint32_t size;
	if (!from)
		return otd_fail(err, OTD_E_CORRUPT, "%s: its %s is missing", pl->file, what);
	memcpy(&size, from, sizeof(size));
	if (size < min_size || size > MAX_STRUCT)
		return otd_fail(err, OTD_E_CORRUPT,
				"%s: its %s says that it has %u bytes; at least %zu and at most %u "
				"are right: "
				"rebuild the plugin with this host's SDK",
				pl->file, what, size, min_size, MAX_STRUCT);
	memset(to, 0, to_size);
	memcpy(to, from, size < to_size ? size : to_size);
	return OTD_OK;
}

static otd_rc check_texts(const struct otd_plugin *pl, struct otd_err *err)
{
	const struct otd_plugin_desc *d = &pl->desc;
	const char *name = !d->kind      ? "kind"
			   : !d->id      ? "id"
			   : !d->version ? "version"
			   : !d->license ? "license"
			   : !d->summary ? "summary"
					 : NULL;
	if (name)
		return otd_fail(err, OTD_E_CORRUPT, "%s: its descriptor has no %s", pl->file, name);
	if (!otd_plugin_id_ok(d->id))
		return otd_fail(err, OTD_E_CORRUPT,
				"%s: its id has other characters than a-z, 0-9 and '-'", pl->file);
	return OTD_OK;
}

static bool has(const void *table, size_t offset)
{
	void (*fn)(void);
	memcpy(&fn, (const uint8_t *)table + offset, sizeof(fn));
	return fn != NULL;
}

static otd_rc copy_ops(struct otd_plugin *pl, struct otd_err *err)
{
	const struct otd_plugin_kind *k = pl->kind;
	otd_rc rc = copy_sized(&pl->base, sizeof(pl->base), pl->desc.base, MIN_BASE,
			       "table of base operations", pl, err);
	if (rc)
		return rc;
	if (!pl->base.create || !pl->base.destroy)
		return otd_fail(err, OTD_E_CORRUPT, "%s: its base operations have no %s", pl->file,
				pl->base.create ? "destroy()" : "create()");
	rc = copy_sized(&pl->ops, k->ops_size, pl->desc.ops.any,
			k->required[k->n_required - 1].offset + sizeof(void (*)(void)),
			"table of operations", pl, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < k->n_required; i++) {
		if (!has(&pl->ops, k->required[i].offset))
			return otd_fail(
				err, OTD_E_CORRUPT,
				"%s: has no %s(), which every plugin of kind %s/%u must have",
				pl->file, k->required[i].name, k->name, k->revision);
	}
	if (strcmp(k->name, "chain") == 0 && !pl->ops.chain.local &&
	    (!pl->ops.chain.request || !pl->ops.chain.answer))
		return otd_fail(err, OTD_E_CORRUPT,
				"%s: has neither local() nor both of request() and answer()",
				pl->file);
	return OTD_OK;
}

static size_t option_bytes(uint32_t type)
{
	switch (type) {
	case OTD_OPT_BOOL: return sizeof(bool);
	case OTD_OPT_TEXT: return sizeof(const char *);
	case OTD_OPT_HEX: return sizeof(struct otd_span);
	case OTD_OPT_LIST: return sizeof(struct otd_option_list);
	case OTD_OPT_WINDOW: return sizeof(struct otd_option_window);
	case OTD_OPT_INT:
	case OTD_OPT_CHOICE:
	case OTD_OPT_DURATION:
	case OTD_OPT_SIZE:
	case OTD_OPT_RATE: return sizeof(int64_t);
	default: return 0;
	}
}

static otd_rc check_option(const struct otd_plugin *pl, uint32_t i, struct otd_err *err)
{
	const struct otd_option *o = &pl->options[i];
	size_t bytes = option_bytes(o->type);
	if (!o->name || !o->name[0])
		return otd_fail(err, OTD_E_CORRUPT, "%s: option %u has no name", pl->file, i);
	if (!bytes)
		return otd_fail(err, OTD_E_VERSION,
				"%s: option '%s' is of type %u, which this host does not know: "
				"update otedama",
				pl->file, o->name, o->type);
	if (bytes > pl->desc.options_size || o->offset > pl->desc.options_size - bytes)
		return otd_fail(err, OTD_E_CORRUPT,
				"%s: option '%s' lies outside of the plugin's option struct",
				pl->file, o->name);
	if (o->type == OTD_OPT_CHOICE && (!o->choices || !o->choices[0]))
		return otd_fail(err, OTD_E_CORRUPT, "%s: option '%s' has no choices", pl->file,
				o->name);
	for (uint32_t j = 0; j < i; j++) {
		if (strcmp(pl->options[j].name, o->name) == 0)
			return otd_fail(err, OTD_E_CORRUPT, "%s: has two options '%s'", pl->file,
					o->name);
	}
	return OTD_OK;
}

static otd_rc copy_options(struct otd_plugin *pl, struct otd_err *err)
{
	const struct otd_plugin_desc *d = &pl->desc;
	if (!d->n_options)
		return OTD_OK;
	if (!d->options || d->n_options > OTD_PLUGIN_OPTIONS_MAX || d->option_size < MIN_OPTION ||
	    d->option_size > MAX_STRUCT || d->options_size == 0 || d->options_size > 65536)
		return otd_fail(err, OTD_E_CORRUPT,
				"%s: its option table has impossible sizes (%u rows of %u bytes "
				"for a struct "
				"of %u)",
				pl->file, d->n_options, d->option_size, d->options_size);
	pl->options = calloc(d->n_options, sizeof(*pl->options));
	if (!pl->options)
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory for its options", pl->file);
	for (uint32_t i = 0; i < d->n_options; i++) {
		const uint8_t *row = (const uint8_t *)d->options + (size_t)i * d->option_size;
		otd_rc rc = copy_sized(&pl->options[i], sizeof(pl->options[i]), row, MIN_OPTION,
				       "row of options", pl, err);
		if (!rc)
			rc = check_option(pl, i, err);
		if (rc)
			return rc;
	}
	return OTD_OK;
}

static otd_rc copy_vectors(struct otd_plugin *pl, struct otd_err *err)
{
	const struct otd_plugin_desc *d = &pl->desc;
	if (!d->n_vectors)
		return OTD_OK;
	if (!d->vectors || d->n_vectors > OTD_PLUGIN_VECTORS_MAX || d->vector_size < MIN_VECTOR ||
	    d->vector_size > MAX_STRUCT)
		return otd_fail(
			err, OTD_E_CORRUPT,
			"%s: its table of known answers has impossible sizes (%u rows of %u bytes)",
			pl->file, d->n_vectors, d->vector_size);
	pl->vectors = calloc(d->n_vectors, sizeof(*pl->vectors));
	if (!pl->vectors)
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory for its vectors", pl->file);
	for (uint32_t i = 0; i < d->n_vectors; i++) {
		size_t n = d->vector_size < sizeof(*pl->vectors) ? d->vector_size
								 : sizeof(*pl->vectors);
		memcpy(&pl->vectors[i], (const uint8_t *)d->vectors + (size_t)i * d->vector_size,
		       n);
		if (!pl->vectors[i].header || !pl->vectors[i].hash)
			return otd_fail(err, OTD_E_CORRUPT,
					"%s: known answer %u has no header or no hash", pl->file,
					i);
	}
	return OTD_OK;
}

otd_rc otd_plugin_desc_copy(struct otd_plugin *pl, const struct otd_plugin_desc *d,
			    struct otd_err *err)
{
	otd_rc rc = copy_sized(&pl->desc, sizeof(pl->desc), d, MIN_DESC, "descriptor", pl, err);
	if (!rc)
		rc = otd_plugin_abi_check(pl->desc.abi_major, pl->desc.abi_minor, pl->file, err);
	if (!rc)
		rc = check_texts(pl, err);
	if (!rc)
		rc = otd_plugin_kind_check(&pl->kind, pl->desc.kind, pl->file, err);
	if (!rc)
		rc = copy_ops(pl, err);
	if (!rc)
		rc = copy_options(pl, err);
	if (!rc)
		rc = copy_vectors(pl, err);
	if (rc)
		return rc;
	if (!pl->desc.build)
		pl->desc.build = "";
	pl->desc.base = &pl->base;
	pl->desc.ops.any = &pl->ops;
	pl->desc.options = pl->options;
	pl->desc.option_size = sizeof(*pl->options);
	pl->desc.vectors = pl->vectors;
	pl->desc.vector_size = sizeof(*pl->vectors);
	return OTD_OK;
}
