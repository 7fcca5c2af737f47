#include "app/cmd/plugin_file.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/yaml.h"

#define SPEED_ITEMS_MAX 1024u
#define SCAN_FIRST      16u /* nonces of the first call */

otd_rc otd_tool_algo(struct otd_tool *t, struct otd_plugin_instance **out, const char *id,
		     const char *file, const char *options, struct otd_err *err)
{
	struct otd_plugin_services services = {0};
	struct otd_yaml_doc *doc = NULL;
	*out = NULL;
	if (!file)
		return otd_tool_instance(t, out, "algo", id, options, err);
	struct otd_plugin *pl = otd_plugins_get_file(t->plugins, file, err);
	if (!pl)
		return err->rc ? err->rc : OTD_E_NOT_FOUND;
	if (strncmp(otd_plugin_desc(pl)->kind, "algo/", 5) != 0)
		return otd_fail(err, OTD_E_INVALID, "%s: is of kind %s, this wants an algo", file,
				otd_plugin_desc(pl)->kind);
	otd_rc rc = OTD_OK;
	if (options)
		rc = otd_yaml_parse(&doc, options, strlen(options), "--options", err);
	if (rc == OTD_OK)
		rc = otd_instance_create(out, pl, doc ? otd_yaml_root(doc) : NULL,
					 otd_plugin_desc(pl)->id, &services, err);
	otd_yaml_destroy(doc);
	return rc;
}

otd_rc otd_algo_prepare_all(struct otd_plugin_instance *algo, uint64_t height, struct otd_span seed)
{
	const struct otd_algo_ops *ops = otd_instance_algo(algo);
	otd_rc rc = ops->prepare ? OTD_E_BUSY : OTD_OK;
	while (rc == OTD_E_BUSY)
		rc = ops->prepare(otd_instance_self(algo), height, seed);
	return rc;
}

static uint64_t now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What a measurement works on; all of it is given back by speed_finish(). */
struct speed {
	struct otd_plugin_instance *algo;
	const struct otd_algo_info *info;
	void *scratch;
	struct otd_algo_item *items;
	uint8_t *headers;
	uint8_t seed[32];
	uint64_t nonce;
};

static otd_rc speed_init(struct speed *s, struct otd_plugin_instance *algo, size_t n,
			 struct otd_err *err)
{
	*s = (struct speed){.algo = algo, .info = otd_instance_algo_info(algo)};
	s->items = calloc(n, sizeof(*s->items));
	s->headers = calloc(n, s->info->header_len);
	otd_rc rc = s->items && s->headers ? otd_scratch_alloc(&s->scratch, s->info) : OTD_E_NOMEM;
	if (rc == OTD_OK)
		rc = otd_algo_prepare_all(algo, 0, (struct otd_span){s->seed, 32});
	return rc ? otd_fail(err, rc, "cannot get ready: %s",
			     rc == OTD_E_NOMEM ? "out of memory" : otd_instance_error(algo))
		  : OTD_OK;
}

static void speed_finish(struct speed *s)
{
	otd_scratch_free(s->scratch);
	free(s->items);
	free(s->headers);
}

/* The next n headers: as they come while mining, only the nonce differs. */
static void next_items(struct speed *s, size_t n)
{
	const struct otd_algo_info *info = s->info;
	for (size_t i = 0; i < n; i++) {
		uint8_t *h = s->headers + i * info->header_len;
		uint64_t nonce = s->nonce++;
		for (uint32_t k = 0; k < info->nonce_len; k++) {
			uint32_t at = info->nonce_be ? info->nonce_len - 1 - k : k;
			h[info->nonce_offset + at] = (uint8_t)(nonce >> (8 * k % 64));
		}
		s->items[i] = (struct otd_algo_item){
			.header = {h, info->header_len}, .seed = {s->seed, 32}, .nonce = nonce};
	}
}

static otd_rc failed(const struct speed *s, otd_rc rc, const char *call, struct otd_err *err)
{
	const char *why = otd_instance_error(s->algo);
	return otd_fail(err, rc, "%s() failed: %s", call, *why ? why : otd_rc_name(rc));
}

otd_rc otd_algo_speed_batch(struct otd_algo_speed *out, struct otd_plugin_instance *algo, size_t n,
			    uint64_t ms, struct otd_err *err)
{
	struct speed s;
	*out = (struct otd_algo_speed){0};
	n = n < 1 ? 1 : n > SPEED_ITEMS_MAX ? SPEED_ITEMS_MAX : n;
	otd_rc rc = speed_init(&s, algo, n, err);
	while (rc == OTD_OK && out->ns < ms * 1000000) {
		next_items(&s, n);
		uint64_t start = now_ns();
		rc = otd_instance_algo(algo)->hash_batch(otd_instance_self(algo), s.scratch,
							 s.items, sizeof(s.items[0]), n);
		out->ns += now_ns() - start;
		out->hashes += n;
		for (size_t i = 0; rc == OTD_OK && i < n; i++)
			rc = s.items[i].rc;
		if (rc != OTD_OK)
			rc = failed(&s, rc, "hash_batch", err);
	}
	speed_finish(&s);
	return rc;
}

otd_rc otd_algo_speed_scan(struct otd_algo_speed *out, struct otd_plugin_instance *algo,
			   uint64_t ms, struct otd_err *err)
{
	struct speed s;
	uint64_t found[4], first = 0, count = SCAN_FIRST;
	*out = (struct otd_algo_speed){0};
	otd_rc rc = speed_init(&s, algo, 1, err);
	while (rc == OTD_OK && out->ns < ms * 1000000 && first + count <= UINT32_MAX) {
		/* A target of 0: nothing is found, so that the search is all that is measured. */
		struct otd_algo_scan scan = {.size = sizeof(scan),
					     .header = {s.headers, s.info->header_len},
					     .seed = {s.seed, 32},
					     .first = first,
					     .count = count,
					     .found = found,
					     .found_cap = 4};
		uint64_t start = now_ns();
		rc = otd_instance_algo(algo)->scan(otd_instance_self(algo), s.scratch, &scan);
		uint64_t took = now_ns() - start;
		out->ns += took;
		out->hashes += scan.done;
		first += count;
		if (took < 20000000 && count < 1u << 24)
			count *= 2;
		if (rc != OTD_OK || scan.done == 0)
			rc = failed(&s, rc ? rc : OTD_E_INVALID, "scan", err);
	}
	speed_finish(&s);
	return rc;
}
