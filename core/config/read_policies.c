/* Lists of policy scripts: FILE, or {file: FILE, options: {..}, pools: [..]}. */
#include "config/read.h"

#include <string.h>

static bool is_text(const struct otd_yaml *y)
{
	return y && otd_yaml_kind(y) == OTD_YAML_SCALAR && *otd_yaml_text(y);
}

static bool read_pools(struct otd_reading *r, const struct otd_yaml *y,
		       struct otd_settings_texts *to)
{
	size_t n = otd_yaml_count(y);
	const char **item;
	if (otd_yaml_kind(y) != OTD_YAML_LIST || n == 0) {
		otd_read_problem(r, OTD_E_INVALID, y, "pools",
				 "is not a list of names of pools ([a, b])");
		return false;
	}
	item = otd_arena_alloc(&r->extra->arena, n * sizeof(*item));
	if (!item) {
		otd_read_no_memory(r);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		const struct otd_yaml *v = otd_yaml_at(y, i);
		item[i] = otd_yaml_text(v);
		if (!is_text(v))
			otd_read_problem(r, OTD_E_INVALID, v, "pools", "is not a name");
	}
	*to = (struct otd_settings_texts){item, n};
	return true;
}

/* {file: .., options: .., pools: ..}; pools only where own is false. */
static void read_map(struct otd_reading *r, const struct otd_yaml *y, bool own,
		     struct otd_settings_policy *to)
{
	const struct otd_yaml *file = otd_yaml_get(y, "file"), *options, *pools;
	for (size_t i = 0; i < otd_yaml_count(y); i++) {
		const char *key = otd_yaml_key(y, i);
		if (strcmp(key, "file") != 0 && strcmp(key, "options") != 0 &&
		    (own || strcmp(key, "pools") != 0))
			otd_read_problem(r, OTD_E_INVALID, otd_yaml_key_at(y, i), NULL,
					 "'%.60s' is no key of a policy: %s", key,
					 own ? "file and options are"
					     : "file, options and pools are");
	}
	if (!is_text(file))
		otd_read_problem(r, OTD_E_INVALID, file ? file : y, "file",
				 file ? "is not the path of a script"
				      : "is missing: the path of the script");
	else
		to->file = otd_yaml_text(file);
	options = otd_yaml_get(y, "options");
	if (options && !otd_yaml_is_plain_null(options)) {
		if (otd_yaml_kind(options) != OTD_YAML_MAP)
			otd_read_problem(r, OTD_E_INVALID, options, "options", "is not %s",
					 otd_key_form(OTD_KEY_OPTIONS));
		else
			to->options = options;
	}
	pools = own ? NULL : otd_yaml_get(y, "pools");
	if (pools)
		(void)read_pools(r, pools, &to->pools);
}

void otd_read_policies(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		       struct otd_settings_policies *to)
{
	size_t n = otd_yaml_count(y);
	struct otd_settings_policy *item;
	bool own = r->path_len > 0; /* of a pool, which is the one they are for */
	if (otd_yaml_kind(y) != OTD_YAML_LIST) {
		otd_read_problem(r, OTD_E_INVALID, y, k->name, "is not %s", otd_key_form(k->type));
		return;
	}
	if ((int64_t)n > k->max) {
		otd_read_problem(r, OTD_E_RANGE, y, k->name, "has more than %d entries",
				 (int)k->max);
		return;
	}
	item = otd_arena_alloc(&r->extra->arena, (n ? n : 1) * sizeof(*item));
	if (!item) {
		otd_read_no_memory(r);
		return;
	}
	memset(item, 0, (n ? n : 1) * sizeof(*item));
	size_t before = otd_read_enter(r, k->name);
	for (size_t i = 0; i < n; i++) {
		const struct otd_yaml *v = otd_yaml_at(y, i);
		item[i].at = v;
		item[i].path = otd_arena_format(&r->extra->arena, "%s.%zu.options", r->path, i);
		if (!item[i].path)
			otd_read_no_memory(r);
		else if (is_text(v))
			item[i].file = otd_yaml_text(v);
		else if (otd_yaml_kind(v) == OTD_YAML_MAP)
			read_map(r, v, own, &item[i]);
		else
			otd_read_problem(r, OTD_E_INVALID, v, NULL,
					 "is neither the path of a script nor {file: PATH, "
					 "options: {..}}");
	}
	otd_read_leave(r, before);
	*to = (struct otd_settings_policies){item, n};
}
