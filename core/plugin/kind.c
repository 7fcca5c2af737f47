/* The kinds that this host knows, and the refusals by version. */
#include "plugin/internal.h"
#include <stdio.h>
#include <string.h>

#define CALLBACK(ops, name)                \
	{                                  \
#name, offsetof(ops, name) \
	}
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct otd_plugin_callback algo_required[] = {
	CALLBACK(struct otd_algo_ops, info),
	CALLBACK(struct otd_algo_ops, hash_batch),
};

static const struct otd_plugin_callback payout_required[] = {
	CALLBACK(struct otd_payout_ops, shares),   CALLBACK(struct otd_payout_ops, block),
	CALLBACK(struct otd_payout_ops, snapshot), CALLBACK(struct otd_payout_ops, restore),
	CALLBACK(struct otd_payout_ops, round),
};

static const struct otd_plugin_callback hw_required[] = {
	CALLBACK(struct otd_hw_ops, device),
	CALLBACK(struct otd_hw_ops, open),
	CALLBACK(struct otd_hw_ops, scan),
	CALLBACK(struct otd_hw_ops, close),
};

/* Either request and answer, or local: desc.c looks at those. */
static const struct otd_plugin_callback chain_required[] = {
	CALLBACK(struct otd_chain_ops, address),
	CALLBACK(struct otd_chain_ops, template_free),
	CALLBACK(struct otd_chain_ops, job),
	CALLBACK(struct otd_chain_ops, assemble),
};

static const struct otd_plugin_callback store_required[] = {
	CALLBACK(struct otd_store_ops, open),     CALLBACK(struct otd_store_ops, close),
	CALLBACK(struct otd_store_ops, begin),    CALLBACK(struct otd_store_ops, commit),
	CALLBACK(struct otd_store_ops, rollback), CALLBACK(struct otd_store_ops, exec),
	CALLBACK(struct otd_store_ops, query),
};

static const struct otd_plugin_kind kinds[] = {
	{"algo", 1, sizeof(struct otd_algo_ops), "", algo_required, COUNT(algo_required)},
	{"payout", 1, sizeof(struct otd_payout_ops), "", payout_required, COUNT(payout_required)},
	{"hw", 1, sizeof(struct otd_hw_ops), "clock/1", hw_required, COUNT(hw_required)},
	{"chain", 1, sizeof(struct otd_chain_ops), "clock/1 files/1 hash/1", chain_required,
	 COUNT(chain_required), .live_options = true},
	{"store", 1, sizeof(struct otd_store_ops), "clock/1 files/1", store_required,
	 COUNT(store_required)},
};

const struct otd_plugin_kind *otd_plugin_kind_find(const char *name, size_t n)
{
	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (strlen(kinds[i].name) == n && memcmp(kinds[i].name, name, n) == 0)
			return &kinds[i];
	}
	return NULL;
}

otd_rc otd_plugin_kind_check(const struct otd_plugin_kind **out, const char *kind, const char *file,
			     struct otd_err *err)
{
	const char *slash = strchr(kind, '/');
	const struct otd_plugin_kind *k =
		otd_plugin_kind_find(kind, slash ? (size_t)(slash - kind) : strlen(kind));
	unsigned revision = 0;
	int end = 0;
	if (!slash || sscanf(slash + 1, "%3u%n", &revision, &end) != 1 || slash[1 + end])
		return otd_fail(err, OTD_E_CORRUPT,
				"%s: its kind '%.31s' does not have the form KIND/REVISION", file,
				kind);
	if (!k)
		return otd_fail(
			err, OTD_E_VERSION,
			"%s: is of kind '%.31s', which this host does not know: it is newer than "
			"this host, or made for something else",
			file, kind);
	if (revision != k->revision)
		return otd_fail(err, OTD_E_VERSION,
				"%s: is of kind %.31s, this host takes %s/%u: the %s is newer; %s",
				file, kind, k->name, k->revision,
				revision > k->revision ? "plugin" : "host",
				revision > k->revision ? "update otedama, or take an older plugin"
						       : "rebuild the plugin with this host's SDK");
	*out = k;
	return OTD_OK;
}

otd_rc otd_plugin_abi_check(uint32_t major, uint32_t minor, const char *file, struct otd_err *err)
{
	if (major == OTD_ABI_MAJOR)
		return OTD_OK;
	return otd_fail(
		err, OTD_E_VERSION,
		"%s: is made for plugin ABI %u.%u, this host has %u.%u: the %s is newer; %s", file,
		major, minor, OTD_ABI_MAJOR, OTD_ABI_MINOR,
		major > OTD_ABI_MAJOR ? "plugin" : "host",
		major > OTD_ABI_MAJOR ? "update otedama, or take a build for this ABI"
				      : "rebuild the plugin with this host's SDK");
}

bool otd_plugin_id_ok(const char *id)
{
	size_t n = strlen(id);
	return n >= 1 && n <= 31 && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}
