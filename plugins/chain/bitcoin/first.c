/*
 * A first job on a new block: no transactions, the subsidy, made of the block's header while the node is
 * still making its template. Only where nothing of it is a guess:
 * - target: the block's own, where no retarget comes between (its height is none of the schedule's, which
 *   networks with a rule about minutes without blocks do not have);
 * - value: what the template of the block before paid without its fees, where no halving comes between;
 * - time: later than the median of eleven, by the node's word;
 * - shape: a block without transactions is valid where there is no extension to commit to (MWEB, signet).
 */
#include "bitcoin.h"

#include "common/merkle.h"
#include <string.h>

static bool number(uint64_t *out, const char **at)
{
	const char *p = *at;
	*out = 0;
	if (*p != ' ' || p[1] < '0' || p[1] > '9')
		return false;
	for (p++; *p >= '0' && *p <= '9'; p++) {
		if (*out > UINT32_MAX)
			return false;
		*out = *out * 10 + (uint64_t)(*p - '0');
	}
	*at = p;
	return true;
}

otd_rc bitcoin_schedule(struct otd_instance *in)
{
	size_t n = strlen(in->opt->network);
	for (size_t i = 0; i < in->opt->schedule.n; i++) {
		const char *item = in->opt->schedule.item[i], *p = item + strcspn(item, " ");
		size_t name = (size_t)(p - item);
		uint64_t retarget, halving;
		if (!name || !number(&retarget, &p) || !number(&halving, &p) || *p)
			return btc_fail(&in->host, OTD_E_INVALID,
					"schedule: '%.60s' is not NETWORK BLOCKS BLOCKS, as in "
					"'main 2016 210000'",
					item);
		if (name != n || memcmp(item, in->opt->network, n) != 0)
			continue;
		in->scheduled = true;
		in->retarget = retarget;
		in->halving = halving;
	}
	return OTD_OK;
}

static bool changes(uint64_t height, uint64_t every)
{
	return every && height % every == 0;
}

static otd_rc may(const struct otd_instance *in, const struct otd_template *from,
		  const struct otd_chain_header *h)
{
	const struct btc_host *host = &in->host;
	uint64_t height = h->height + 1;
	if (!in->scheduled)
		return btc_fail(host, OTD_E_UNSUPPORTED,
				"the coin file has no schedule of this network");
	if (!from->plain)
		return btc_fail(host, OTD_E_UNSUPPORTED,
				"a block without transactions is not valid here");
	if (changes(height, in->retarget) || changes(height, in->halving))
		return btc_fail(host, OTD_E_UNSUPPORTED,
				"difficulty or subsidy change at this height");
	if (h->height != from->info.height || h->nbits != from->info.nbits)
		return btc_fail(host, OTD_E_UNSUPPORTED, "its header is not what was to come");
	return OTD_OK;
}

otd_rc bitcoin_first(struct otd_instance *in, const struct otd_template *from,
		     const struct otd_chain_header *h, int64_t now_s,
		     struct otd_chain_template *out)
{
	const struct btc_host *host = &in->host;
	uint8_t commitment[32];
	otd_rc rc = may(in, from, h);
	if (rc)
		return rc;
	struct otd_template *t = btc_alloc(host, sizeof(*t));
	if (!t)
		return btc_fail(host, OTD_E_NOMEM, "no memory for a template");
	t->info = from->info;
	t->info.handle = t;
	t->info.height = h->height + 1;
	memcpy(t->info.prev, h->hash, 32);
	t->info.min_time_s = h->median_time_s + 1;
	t->info.time_s = now_s > t->info.min_time_s ? now_s : t->info.min_time_s;
	t->info.value = from->info.value - from->info.fees;
	t->info.fees = 0;
	t->info.n_tx = 0;
	memset(t->info.longpoll_id, 0, sizeof(t->info.longpoll_id));
	t->branches = btc_alloc(host, 32);
	t->body = btc_alloc(host, 1);
	if (!t->branches || !t->body)
		rc = btc_fail(host, OTD_E_NOMEM, "no memory for a template");
	else if (from->segwit)
		rc = btc_witness_commitment(host, commitment, NULL, 0);
	if (rc == OTD_OK && from->segwit)
		btc_template_commit(t, commitment);
	if (rc == OTD_OK && t->info.value <= 0)
		rc = btc_fail(host, OTD_E_UNSUPPORTED, "it would pay nothing");
	if (rc) {
		btc_template_free(host, t);
		return rc;
	}
	*out = t->info;
	return OTD_OK;
}
