/* Templates and blocks of the simulated node: what a pool mines. Words: BIP 22 and Bitcoin Core's. */
#include "base/text.h"
#include "sim_internal.h"
#include "sim_node_own.h"

#include <jansson.h>
#include <otedama/sha256.h>
#include <otedama/u256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TX 50

static int64_t wall_s(const struct sim_node *n)
{
	return otd_wall_ms(sim_env(n->sim)) / 1000;
}

/* --- templates --- */

static size_t waiting(const struct sim_node *n, struct ntx *tx[MAX_TX])
{
	size_t k = 0;
	while (k < MAX_TX && (tx[k] = n_next_for_block(n, tx, k)))
		k++;
	return k;
}

static void put_tx(struct otd_bytes *out, const struct ntx *t, bool first)
{
	char id[65];
	uint8_t wtxid[32];
	otd_hex_encode_reverse(id, t->txid, 32);
	(void)otd_bytes_format(out, "%s{\"txid\":\"%s\",\"fee\":%lld,", first ? "" : ",", id,
			       (long long)t->fee);
	otd_sha256d(wtxid, t->raw, t->raw_len);
	otd_hex_encode_reverse(id, wtxid, 32);
	(void)otd_bytes_format(out, "\"hash\":\"%s\",\"data\":\"", id);
	(void)otd_bytes_hex(out, t->raw, t->raw_len);
	(void)otd_bytes_text(out, "\"}");
}

int n_getblocktemplate(struct sim_node *n, const void *params, struct otd_bytes *out,
		       struct nfail *f)
{
	struct ntx *tx[MAX_TX];
	char id[100], prev[65], target_text[65];
	struct otd_u256 target;
	uint8_t be[32];
	const json_t *asked = json_object_get(json_array_get(params, 0), "longpollid");
	size_t k = waiting(n, tx);
	int64_t fees = 0;
	if (!n->conf.nbits || otd_target_from_nbits(&target, n->conf.nbits))
		return n_fail(f, -32601, "this node mines nothing");
	otd_hex_encode_reverse(prev, n->chain[n->n_chain - 1]->hash, 32);
	(void)snprintf(id, sizeof(id), "%s%zu", prev, k);
	/* New transactions alone end a long poll too, but the pool asks for those by itself. */
	if (json_is_string(asked) && strncmp(json_string_value(asked), prev, 64) == 0)
		return N_HOLD;
	otd_u256_to_be(be, target);
	otd_hex_encode(target_text, be, 32);
	for (size_t i = 0; i < k; i++)
		fees += tx[i]->fee;
	(void)otd_bytes_format(
		out,
		"{\"version\":536870912,\"rules\":[],\"previousblockhash\":\"%s\",\"height\":%zu,"
		"\"coinbasevalue\":%lld,\"curtime\":%lld,\"mintime\":%lld,\"bits\":\"%08x\","
		"\"target\":\"%s\",\"longpollid\":\"%s\",\"transactions\":[",
		prev, n->n_chain, (long long)(n->conf.reward + fees), (long long)wall_s(n),
		(long long)wall_s(n) - 3600, n->conf.nbits, target_text, id);
	for (size_t i = 0; i < k; i++)
		put_tx(out, tx[i], i == 0);
	(void)otd_bytes_text(out, "]}");
	return 0;
}

/* --- blocks --- */

struct candidate {
	const uint8_t *header;
	uint8_t hash[32];
	struct ntx *tx[MAX_TX + 1]; /* [0]: the coinbase, read from it; others: ours or read */
	size_t n;
	int64_t fees;
};

static void free_candidate(struct candidate *c)
{
	for (size_t i = 0; i < c->n; i++)
		n_tx_free(c->tx[i]);
}

static bool read_block(struct candidate *c, const uint8_t *raw, size_t len)
{
	size_t at = 81, count = len > 81 ? raw[80] : 0;
	if (count == 0 || count > MAX_TX + 1)
		return false;
	c->header = raw;
	otd_sha256d(c->hash, raw, 80);
	while (c->n < count) {
		size_t used;
		struct ntx *t = n_tx_read_first(&used, raw + at, len - at);
		if (!t)
			return false;
		c->tx[c->n++] = t;
		at += used;
	}
	return at == len && c->tx[0]->coinbase;
}

static void merkle_root(uint8_t root[32], const struct candidate *c)
{
	uint8_t row[MAX_TX + 2][32];
	size_t n = c->n;
	for (size_t i = 0; i < n; i++)
		memcpy(row[i], c->tx[i]->txid, 32);
	for (; n > 1; n = (n + 1) / 2)
		for (size_t i = 0; i < n; i += 2) {
			uint8_t pair[64];
			memcpy(pair, row[i], 32);
			memcpy(pair + 32, row[i + 1 < n ? i + 1 : i], 32);
			otd_sha256d(row[i / 2], pair, 64);
		}
	memcpy(root, row[0], 32);
}

/* What has to be so of any block; NULL: it is. */
static const char *wrong_by_itself(const struct sim_node *n, const struct candidate *c)
{
	struct otd_u256 target;
	uint8_t root[32], bits[4];
	for (int i = 0; i < 4; i++)
		bits[i] = (uint8_t)(n->conf.nbits >> 8 * i);
	if (memcmp(c->header + 72, bits, 4) != 0 || otd_target_from_nbits(&target, n->conf.nbits))
		return "bad-diffbits";
	if (otd_u256_cmp(otd_u256_from_le(c->hash), target) > 0)
		return "high-hash";
	merkle_root(root, c);
	return memcmp(root, c->header + 36, 32) == 0 ? NULL : "bad-txnmrklroot";
}

/* As the next block of the best chain. */
static const char *wrong_here(const struct sim_node *n, struct candidate *c)
{
	int64_t value = 0;
	for (size_t i = 1; i < c->n; i++) {
		struct ntx *mine = n_find(n, c->tx[i]->txid);
		/* It may have fallen out of those that wait: in a block it is good all the same. */
		if (!mine || mine->where == N_CHAIN)
			return "bad-txns-inputs-missingorspent";
		for (size_t j = 0; j < mine->n_in; j++) {
			struct ntx *made;
			const struct nout *o = n_out_of(n, &mine->in[j], &made);
			bool before = false;
			for (size_t k = 1; k < i; k++)
				before =
					before || memcmp(c->tx[k]->txid, mine->in[j].txid, 32) == 0;
			if (!o || o->spent || (made->where != N_CHAIN && !before))
				return "bad-txns-inputs-missingorspent";
		}
		c->fees += mine->fee;
	}
	for (size_t i = 0; i < c->tx[0]->n_out; i++)
		value += c->tx[0]->out[i].value;
	return value > n->conf.reward + c->fees ? "bad-cb-amount" : NULL;
}

static void take(struct sim_node *n, struct candidate *c)
{
	struct ntx *tx[MAX_TX + 1];
	for (size_t i = 0; i < c->n; i++)
		tx[i] = n_take(n, c->tx[i]);
	size_t count = c->n;
	c->n = 0; /* they are the node's */
	(void)n_add_block(n, c->hash, tx, count);
	n->taken++;
}

static const char *judge(struct sim_node *n, struct candidate *c)
{
	const struct nblock *known = n_block_of(n, c->hash);
	const struct nblock *prev = n_block_of(n, c->header + 4);
	const char *wrong = wrong_by_itself(n, c);
	if (known)
		return known->main ? "duplicate" : "duplicate-inconclusive";
	if (!wrong && !prev)
		wrong = "prev-blk-not-found";
	if (!wrong && prev != n->chain[n->n_chain - 1]) {
		(void)n_keep_block(n, c->hash, prev->hash, prev->height + 1);
		n->side++;
		return "inconclusive";
	}
	if (!wrong)
		wrong = wrong_here(n, c);
	if (!wrong)
		take(n, c);
	else
		n->refused++;
	return wrong;
}

int n_submitblock(struct sim_node *n, const void *params, struct otd_bytes *out, struct nfail *f)
{
	struct candidate c = {0};
	const char *hex = json_string_value(json_array_get(params, 0));
	size_t len = hex ? strlen(hex) : 0, got = 0;
	uint8_t *raw = sim_mem(len / 2 + 1);
	int code = 0;
	if (!hex || otd_hex_decode(raw, len / 2, &got, hex, len) || !read_block(&c, raw, got)) {
		code = n_fail(f, -22, "Block decode failed");
	} else {
		const char *word = judge(n, &c);
		(void)(word ? otd_bytes_format(out, "\"%s\"", word) : otd_bytes_text(out, "null"));
	}
	free_candidate(&c);
	free(raw);
	return code;
}

/* --- another node on the same network --- */

struct sim_view {
	struct sim_node *n;
	uint32_t behind;
	bool mute, liar, off;
};

static bool view_up(void *arg)
{
	return !((struct sim_view *)arg)->off;
}

/* A batch is looked at with the last blocks taken away; what hands something in sees all. */
static int view_serve(void *arg, const char *path, const char *user, const char *password,
		      struct otd_span body, struct otd_bytes *out)
{
	struct sim_view *v = arg;
	struct sim_node *n = v->n;
	bool hands_in = memmem(body.ptr, body.len, "submitblock", 11) != NULL;
	uint32_t behind = hands_in ? 0 : v->behind;
	int64_t down = n->down_until_ms, warm = n->warm_until_ms;
	if (v->mute)
		return SIM_SERVER_HOLDS;
	if (v->liar && hands_in) {
		(void)otd_bytes_text(out, "{\"result\":\"rejected\",\"error\":null,\"id\":0}");
		return 200;
	}
	n->warm_until_ms = n->down_until_ms = 0; /* those are of the other one */
	n->n_chain -= behind;
	int status = sim_node_serve(n, path, user, password, body, out);
	n->n_chain += behind;
	n->down_until_ms = down;
	n->warm_until_ms = warm;
	return status;
}

struct sim_view *sim_view_create(struct sim_node *n, const char *url)
{
	struct sim_view *v = sim_new(1, sizeof(*v));
	v->n = n;
	sim_serve(n->sim, url, view_serve, view_up, v);
	return v;
}

void sim_view_set(struct sim_view *v, uint32_t behind, bool mute, bool liar, bool off)
{
	*v = (struct sim_view){v->n, behind, mute, liar, off};
}

void sim_view_destroy(struct sim_view *v)
{
	free(v);
}

void sim_node_handed_in(const struct sim_node *n, uint64_t *taken, uint64_t *refused,
			uint64_t *side)
{
	*taken = n->taken;
	*refused = n->refused;
	*side = n->side;
}

bool sim_node_has_block(const struct sim_node *n, const uint8_t hash[32])
{
	return n_block_of(n, hash) != NULL;
}

uint64_t sim_node_depth_of_block(const struct sim_node *n, const uint8_t hash[32])
{
	const struct nblock *b = n_block_of(n, hash);
	return b && b->main ? sim_node_height(n) - b->height + 1 : 0;
}

void sim_node_earn(struct sim_node *n, uint32_t our_ppm)
{
	n->conf.our_ppm = our_ppm;
}
