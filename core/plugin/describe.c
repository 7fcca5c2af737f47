/* What a plugin says of itself, for people and for programs. */
#include "plugin/internal.h"
#include <inttypes.h>
#include <string.h>

static void json_member(struct otd_bytes *out, const char *name, const char *value)
{
	(void)!otd_bytes_format(out, ",\"%s\":", name);
	(void)!otd_bytes_json(out, value ? value : "", value ? strlen(value) : 0);
}

otd_rc otd_plugin_describe_note(struct otd_bytes *out, const struct otd_note_desc *note,
				const char *file, bool json)
{
	if (!json)
		return otd_bytes_format(out,
					"plugin   %s %s\n"
					"file     %s\n"
					"abi      %u.%u (this host: %u.%u)\n",
					note->kind, note->id, file, note->abi_major,
					note->abi_minor, OTD_ABI_MAJOR, OTD_ABI_MINOR);
	(void)!otd_bytes_format(out, "{\"abi_major\":%u,\"abi_minor\":%u", note->abi_major,
				note->abi_minor);
	json_member(out, "kind", note->kind);
	json_member(out, "id", note->id);
	json_member(out, "file", file);
	(void)!otd_bytes_text(out, "}");
	return out->failed ? OTD_E_NOMEM : OTD_OK;
}

static void json_option(struct otd_bytes *out, const struct otd_option *o)
{
	(void)!otd_bytes_text(out, "{\"name\":");
	(void)!otd_bytes_json(out, o->name, strlen(o->name));
	json_member(out, "type", otd_plugin_option_type_name(o->type));
	if (o->def && !(o->flags & OTD_OPT_SECRET))
		json_member(out, "default", o->def);
	if (o->min || o->max)
		(void)!otd_bytes_format(out, ",\"min\":%" PRId64 ",\"max\":%" PRId64, o->min,
					o->max);
	if (o->type == OTD_OPT_CHOICE) {
		(void)!otd_bytes_text(out, ",\"choices\":[");
		for (size_t i = 0; o->choices[i]; i++) {
			(void)!otd_bytes_text(out, i ? "," : "");
			(void)!otd_bytes_json(out, o->choices[i], strlen(o->choices[i]));
		}
		(void)!otd_bytes_text(out, "]");
	}
	(void)!otd_bytes_format(
		out, ",\"required\":%s,\"reloadable\":%s,\"secret\":%s,\"deprecated\":%s",
		o->flags & OTD_OPT_REQUIRED ? "true" : "false",
		o->flags & OTD_OPT_RELOADABLE ? "true" : "false",
		o->flags & OTD_OPT_SECRET ? "true" : "false",
		o->flags & OTD_OPT_DEPRECATED ? "true" : "false");
	json_member(out, "help", o->help);
	(void)!otd_bytes_text(out, "}");
}

static void json_plugin(struct otd_bytes *out, const struct otd_plugin *pl)
{
	const struct otd_plugin_desc *d = &pl->desc;
	(void)!otd_bytes_format(out, "{\"abi_major\":%u,\"abi_minor\":%u", d->abi_major,
				d->abi_minor);
	json_member(out, "kind", d->kind);
	json_member(out, "id", d->id);
	json_member(out, "version", d->version);
	json_member(out, "license", d->license);
	json_member(out, "build", d->build);
	json_member(out, "summary", d->summary);
	json_member(out, "file", pl->file);
	json_member(out, "sha256", pl->digest);
	(void)!otd_bytes_format(out, ",\"instances\":%u,\"vectors\":%u,\"options\":[",
				pl->n_instances, d->n_vectors);
	for (uint32_t i = 0; i < d->n_options; i++) {
		(void)!otd_bytes_text(out, i ? "," : "");
		json_option(out, &pl->options[i]);
	}
	(void)!otd_bytes_text(out, "]}");
}

static void text_option(struct otd_bytes *out, const struct otd_option *o)
{
	(void)!otd_bytes_format(out, "  %-20s %-14s", o->name,
				otd_plugin_option_type_name(o->type));
	if (o->flags & OTD_OPT_REQUIRED)
		(void)!otd_bytes_text(out, " required");
	else if (o->def && !(o->flags & OTD_OPT_SECRET))
		(void)!otd_bytes_format(out, " default %s", o->def[0] ? o->def : "\"\"");
	if (o->type == OTD_OPT_CHOICE) {
		for (size_t i = 0; o->choices[i]; i++)
			(void)!otd_bytes_format(out, "%s%s", i ? " | " : " of ", o->choices[i]);
	}
	if (o->min || o->max)
		(void)!otd_bytes_format(out, ", %" PRId64 " to %" PRId64, o->min, o->max);
	if (o->flags & OTD_OPT_RELOADABLE)
		(void)!otd_bytes_text(out, ", reloadable");
	if (o->flags & OTD_OPT_SECRET)
		(void)!otd_bytes_text(out, ", secret");
	if (o->flags & OTD_OPT_DEPRECATED)
		(void)!otd_bytes_text(out, ", deprecated");
	(void)!otd_bytes_format(out, "\n      %s\n", o->help ? o->help : "");
}

otd_rc otd_plugin_describe(struct otd_bytes *out, const struct otd_plugin *pl, bool json)
{
	const struct otd_plugin_desc *d = &pl->desc;
	if (json) {
		json_plugin(out, pl);
		return out->failed ? OTD_E_NOMEM : OTD_OK;
	}
	(void)!otd_bytes_format(out,
				"plugin   %s %s %s\n"
				"         %s\n"
				"file     %s\n"
				"sha256   %s\n"
				"abi      %u.%u (this host: %u.%u)\n"
				"license  %s\n"
				"build    %s\n",
				d->kind, d->id, d->version, d->summary, pl->file, pl->digest,
				d->abi_major, d->abi_minor, OTD_ABI_MAJOR, OTD_ABI_MINOR,
				d->license, d->build);
	if (d->n_vectors)
		(void)!otd_bytes_format(out, "vectors  %u\n", d->n_vectors);
	(void)!otd_bytes_format(out, "options  %s\n", d->n_options ? "" : "none");
	for (uint32_t i = 0; i < d->n_options; i++)
		text_option(out, &pl->options[i]);
	return out->failed ? OTD_E_NOMEM : OTD_OK;
}
