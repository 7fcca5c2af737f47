/* An algorithm's known answers, hashed at load on the path that will be used. */
#include "base/text.h"
#include "config/yaml.h"
#include "plugin/internal.h"
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX   67u /* longer than the lanes of any processor, and no multiple of them */
#define SCAN_BEFORE 37u /* nonces searched before the right one */
#define SCAN_ALL    (SCAN_BEFORE + 2) /* each may be one, where the target is easy */
#define PREPARE_MAX 200000u           /* slices of work ahead that an algorithm may ask for */

/* One vector, decoded. */
struct answer {
	uint8_t *header;
	size_t header_len;
	uint8_t hash[32]; /* least significant byte first */
	uint8_t seed[32], mix[32];
	bool has_mix;
	struct otd_algo_item item;
};

struct check {
	struct otd_plugin *plugin;
	struct otd_plugin_instance *in;
	void *scratch;
	struct otd_err *err;
	struct answer *answers; /* as many as the plugin has vectors */
};

static otd_rc bad(const struct check *c, uint32_t i, otd_rc rc, const char *what)
{
	const struct otd_algo_vector *v = &c->plugin->vectors[i];
	return otd_fail(c->err, rc, "%s: known answer %u (%.80s): %s", c->plugin->file, i,
			v->source ? v->source : "no source", what);
}

static otd_rc decode(const struct check *c, uint32_t i)
{
	const struct otd_algo_vector *v = &c->plugin->vectors[i];
	struct answer *a = &c->answers[i];
	size_t n = strlen(v->header);
	a->header = malloc(n / 2 + 1);
	if (!a->header)
		return bad(c, i, OTD_E_NOMEM, "no memory");
	if (otd_hex_decode(a->header, n / 2, &a->header_len, v->header, n) ||
	    a->header_len != c->in->info.header_len)
		return bad(c, i, OTD_E_CORRUPT, "its header is not hex of the algorithm's length");
	if (otd_hex_decode_reverse(a->hash, 32, v->hash, strlen(v->hash)))
		return bad(c, i, OTD_E_CORRUPT, "its hash is not 64 hex digits");
	a->item = (struct otd_algo_item){.header = {a->header, a->header_len},
					 .height = v->height,
					 .nonce = v->nonce,
					 .rc = OTD_E_INVALID};
	if (v->seed) {
		if (otd_hex_decode(a->seed, 32, &n, v->seed, strlen(v->seed)) || n != 32)
			return bad(c, i, OTD_E_CORRUPT, "its seed is not 64 hex digits");
		a->item.seed = (struct otd_span){a->seed, 32};
	}
	if (v->mix) {
		if (otd_hex_decode(a->mix, 32, &n, v->mix, strlen(v->mix)) || n != 32)
			return bad(c, i, OTD_E_CORRUPT, "its mix is not 64 hex digits");
		a->has_mix = true;
		memcpy(a->item.mix, a->mix, 32);
	}
	return OTD_OK;
}

static otd_rc compare(const struct check *c, uint32_t i, const struct otd_algo_item *got,
		      const char *how)
{
	const struct answer *a = &c->answers[i];
	uint8_t reversed[32];
	char got_hex[65], text[240];
	struct otd_err words;
	if (got->rc)
		return bad(c, i, OTD_E_CORRUPT, "the algorithm could not hash it");
	if (memcmp(got->hash, a->hash, 32) == 0) {
		if (a->has_mix && memcmp(got->mix, a->mix, 32) != 0)
			return bad(c, i, OTD_E_CORRUPT, "the hash is right, the mix is not");
		return OTD_OK;
	}
	for (int k = 0; k < 32; k++)
		reversed[k] = a->hash[31 - k];
	otd_hex_encode_reverse(got_hex, got->hash, 32);
	(void)otd_fail(&words, OTD_E_CORRUPT, "%s gives %s, not %.64s%s", how, got_hex,
		       c->plugin->vectors[i].hash,
		       memcmp(got->hash, reversed, 32) == 0
			       ? "; that is the right one reversed: item.hash has its least "
				 "significant byte first"
			       : "");
	memcpy(text, words.text, sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	return bad(c, i, OTD_E_CORRUPT, text);
}

static otd_rc prepare(const struct check *c, uint32_t i)
{
	const struct otd_algo_ops *ops = &c->plugin->ops.algo;
	const struct answer *a = &c->answers[i];
	otd_rc rc = OTD_E_BUSY;
	if (!ops->prepare)
		return OTD_OK;
	otd_plugin_step(c->plugin->set, "prepare()");
	for (uint32_t k = 0; rc == OTD_E_BUSY && k < PREPARE_MAX; k++)
		rc = ops->prepare(c->in->self, a->item.height, a->item.seed);
	return rc ? bad(c, i, rc, "prepare() does not come to an end") : OTD_OK;
}

static otd_rc hash_alone(const struct check *c, uint32_t i)
{
	struct otd_algo_item item = c->answers[i].item;
	otd_plugin_step(c->plugin->set, "hash_batch()");
	otd_rc rc = c->plugin->ops.algo.hash_batch(c->in->self, c->scratch, &item, sizeof(item), 1);
	if (rc)
		return bad(c, i, rc, "hash_batch() failed");
	return compare(c, i, &item, "hash_batch()");
}

/* The answer among others, in every lane: kernels that do several at once err in one of them. */
static otd_rc hash_together(const struct check *c, uint32_t first, uint32_t n)
{
	struct otd_algo_item items[BATCH_MAX];
	uint32_t total = c->in->info.batch_hint + 3, which[BATCH_MAX];
	otd_rc rc;
	if (total > BATCH_MAX)
		total = BATCH_MAX;
	for (uint32_t k = 0; k < total; k++) {
		which[k] = first + k % n;
		items[k] = c->answers[which[k]].item;
	}
	otd_plugin_step(c->plugin->set, "hash_batch() of several");
	rc = c->plugin->ops.algo.hash_batch(c->in->self, c->scratch, items, sizeof(items[0]),
					    total);
	if (rc)
		return bad(c, first, rc, "hash_batch() of several failed");
	for (uint32_t k = 0; !rc && k < total; k++)
		rc = compare(c, which[k], &items[k], "hash_batch() of several");
	return rc;
}

static uint64_t nonce_of(const struct otd_algo_info *info, const uint8_t *header)
{
	uint64_t v = 0;
	for (uint32_t k = 0; k < info->nonce_len; k++) {
		uint32_t at = info->nonce_be ? k : info->nonce_len - 1 - k;
		v = v << 8 | header[info->nonce_offset + at];
	}
	return v;
}

/* scan() finds the nonce of the answer where the target is its own hash. */
static otd_rc scan_finds(const struct check *c, uint32_t i)
{
	const struct otd_algo_info *info = &c->in->info;
	const struct answer *a = &c->answers[i];
	uint64_t nonce = nonce_of(info, a->header), found[SCAN_ALL], end;
	struct otd_algo_scan s = {.size = sizeof(s),
				  .header = {a->header, a->header_len},
				  .height = a->item.height,
				  .seed = a->item.seed,
				  .found = found,
				  .found_cap = SCAN_ALL};
	bool there = false;
	otd_rc rc;
	memcpy(s.target, a->hash, 32);
	s.first = nonce > SCAN_BEFORE ? nonce - SCAN_BEFORE : 0;
	end = nonce + 1;
	if (info->nonce_len == 4 && nonce < UINT32_MAX)
		end++;
	s.count = end - s.first;
	otd_plugin_step(c->plugin->set, "scan()");
	rc = c->plugin->ops.algo.scan(c->in->self, c->scratch, &s);
	if (rc)
		return bad(c, i, rc, "scan() failed");
	for (uint32_t k = 0; k < s.n_found && k < SCAN_ALL; k++)
		there = there || found[k] == nonce;
	return there ? OTD_OK : bad(c, i, OTD_E_CORRUPT, "scan() does not find its nonce");
}

static bool same_options(const struct otd_algo_vector *a, const struct otd_algo_vector *b)
{
	return strcmp(a->options ? a->options : "", b->options ? b->options : "") == 0;
}

/* Vectors first .. first + n - 1, which hold for the same options. */
static otd_rc check_group(struct check *c, uint32_t first, uint32_t n)
{
	const char *options = c->plugin->vectors[first].options;
	struct otd_yaml_doc *doc = NULL;
	otd_rc rc = OTD_OK;
	if (options)
		rc = otd_yaml_parse(&doc, options, strlen(options), c->plugin->file, c->err);
	if (!rc)
		rc = otd_instance_create(&c->in, c->plugin, doc ? otd_yaml_root(doc) : NULL,
					 "vectors", NULL, c->err);
	if (!rc) {
		rc = otd_scratch_alloc(&c->scratch, &c->in->info);
		if (rc)
			rc = bad(c, first, rc, "no memory for the algorithm's scratch");
	}
	for (uint32_t i = first; !rc && i < first + n; i++) {
		rc = decode(c, i);
		if (!rc)
			rc = prepare(c, i);
		if (!rc)
			rc = hash_alone(c, i);
		if (!rc && c->plugin->ops.algo.scan && c->in->info.nonce_len <= 8)
			rc = scan_finds(c, i);
	}
	/* Seeds differ where there are epochs: a batch of them would need all at once. */
	if (!rc && !(c->in->info.flags & OTD_ALGO_NEEDS_SEED))
		rc = hash_together(c, first, n);
	otd_scratch_free(c->scratch);
	c->scratch = NULL;
	otd_instance_destroy(c->in);
	c->in = NULL;
	otd_yaml_destroy(doc);
	return rc;
}

otd_rc otd_plugin_vectors_check(struct otd_plugin *pl, struct otd_err *err)
{
	struct check c = {.plugin = pl, .err = err};
	uint32_t n = pl->desc.n_vectors, first = 0;
	otd_rc rc = OTD_OK;
	if (strcmp(pl->kind->name, "algo") != 0)
		return OTD_OK;
	if (!n)
		return otd_fail(
			err, OTD_E_CORRUPT,
			"%s: carries no known answer, so that nobody can say whether it hashes "
			"right: add vectors to its descriptor",
			pl->file);
	c.answers = calloc(n, sizeof(*c.answers));
	if (!c.answers)
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory for its vectors", pl->file);
	while (!rc && first < n) {
		uint32_t k = 1;
		while (first + k < n && same_options(&pl->vectors[first], &pl->vectors[first + k]))
			k++;
		rc = check_group(&c, first, k);
		first += k;
	}
	for (uint32_t i = 0; i < n; i++)
		free(c.answers[i].header);
	free(c.answers);
	return rc;
}
