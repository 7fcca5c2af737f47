/* What a person or a test tells the devnet to do. */
#include "devnet.h"

#include "common/merkle.h"
#include <otedama/sha256.h>
#include <string.h>

#define MAX_WORDS 4
#define MAX_MINE  10000

struct words {
	struct otd_span w[MAX_WORDS];
	size_t n;
};

static bool split(struct words *out, struct otd_span text)
{
	out->n = 0;
	for (size_t i = 0; i < text.len;) {
		if (text.ptr[i] == ' ') {
			i++;
			continue;
		}
		size_t from = i;
		while (i < text.len && text.ptr[i] != ' ')
			i++;
		if (out->n == MAX_WORDS)
			return false;
		out->w[out->n++] = (struct otd_span){text.ptr + from, i - from};
	}
	return out->n > 0;
}

static bool is(struct otd_span w, const char *word)
{
	return w.len == strlen(word) && memcmp(w.ptr, word, w.len) == 0;
}

static bool number(uint64_t *out, struct otd_span w, uint64_t max)
{
	*out = 0;
	for (size_t i = 0; i < w.len; i++) {
		if (w.ptr[i] < '0' || w.ptr[i] > '9' || i > 9)
			return false;
		*out = *out * 10 + (uint64_t)(w.ptr[i] - '0');
	}
	return w.len > 0 && *out <= max;
}

/* "1.5" in coins of 8 decimals. */
static bool amount(uint64_t *out, struct otd_span w)
{
	uint64_t unit = DEVNET_COIN;
	bool point = false;
	*out = 0;
	for (size_t i = 0; i < w.len; i++) {
		if (w.ptr[i] == '.' && !point && i > 0 && i + 1 < w.len) {
			point = true;
			continue;
		}
		if (w.ptr[i] < '0' || w.ptr[i] > '9' || (!point && *out > 10000000 * DEVNET_COIN) ||
		    (point && unit == 1))
			return false;
		uint64_t d = (uint64_t)(w.ptr[i] - '0');
		if (point)
			*out += d * (unit /= 10);
		else
			*out = *out * 10 + d * DEVNET_COIN;
	}
	return *out > 0;
}

static void put_amount(struct btc_buf *b, uint64_t v)
{
	btc_put_text(b, "%llu.%08llu", (unsigned long long)(v / DEVNET_COIN),
		     (unsigned long long)(v % DEVNET_COIN));
}

/* A whole block on the tip that pays to script; it has no work in it. */
static otd_rc make_block(struct otd_instance *in, uint8_t **raw, size_t *len,
			 struct otd_span script, bool with_txs)
{
	struct otd_chain_template t = {0};
	uint8_t c1[160], c2[256], branches[32 * BTC_MAX_BRANCHES], coinbase[420], leaf[32];
	struct otd_chain_payee payee = {.script = script, .value = -1};
	struct otd_chain_coinbase cb = {.size = sizeof(cb),
					.extranonce_len = 4,
					.payees = &payee,
					.payee_stride = sizeof(payee),
					.n_payees = 1,
					.tag = {(const uint8_t *)"/devnet/", 8}};
	struct otd_chain_job job = {.size = sizeof(job),
				    .coinbase1 = {c1, 0, sizeof(c1)},
				    .coinbase2 = {c2, 0, sizeof(c2)},
				    .branches = {branches, 0, sizeof(branches)}};
	struct otd_buf block = {0};
	uint8_t header[BTC_HEADER_LEN] = {0};
	otd_rc rc = devnet_template(in, &t, with_txs);
	if (rc)
		return rc;
	rc = btc_job(&in->host, t.handle, &cb, &job);
	if (rc)
		goto out;
	memcpy(coinbase, c1, job.coinbase1.len);
	btc_store_u32(coinbase + job.coinbase1.len, ++in->extra);
	memcpy(coinbase + job.coinbase1.len + 4, c2, job.coinbase2.len);
	struct otd_span whole = {coinbase, job.coinbase1.len + 4 + job.coinbase2.len};
	otd_sha256d(leaf, whole.ptr, whole.len);
	btc_store_u32(header, t.version);
	memcpy(header + 4, t.prev, 32);
	btc_merkle_climb(header + 36, leaf, branches, (uint32_t)(job.branches.len / 32));
	btc_store_u32(header + 68, (uint32_t)t.time_s);
	btc_store_u32(header + 72, t.nbits);
	struct otd_span head = {header, sizeof(header)};
	rc = btc_assemble(&in->host, t.handle, head, whole, &block);
	if (rc != OTD_E_RANGE)
		goto out;
	block.ptr = btc_alloc(&in->host, block.len);
	block.cap = block.len;
	rc = block.ptr ? btc_assemble(&in->host, t.handle, head, whole, &block)
		       : btc_fail(&in->host, OTD_E_NOMEM, "no memory for a block");
	*raw = block.ptr;
	*len = block.len;
out:
	btc_template_free(&in->host, t.handle);
	return rc;
}

/* Makes and connects one; appends it to record as "length, bytes" where record is not NULL. */
static otd_rc mine_one(struct otd_instance *in, struct otd_span script, bool with_txs,
		       struct btc_buf *record)
{
	uint8_t *raw = NULL;
	size_t len = 0;
	const char *reason = NULL;
	otd_rc rc = make_block(in, &raw, &len, script, with_txs);
	if (rc == OTD_OK)
		rc = devnet_connect(in, &reason, (struct otd_span){raw, len}, DEVNET_CHECK_OURS);
	if (rc == OTD_OK && reason)
		rc = btc_fail(&in->host, OTD_E_INVALID, "the devnet's own block: %s", reason);
	if (rc == OTD_OK && record) {
		btc_put_u32(record, (uint32_t)len);
		btc_put(record, raw, len);
	} else if (rc == OTD_OK) {
		rc = devnet_file_append(in, 'B', (struct otd_span){raw, len});
		if (rc)
			(void)devnet_disconnect(in);
	}
	btc_free(&in->host, raw);
	return rc;
}

static void other_script(uint8_t script[22])
{
	uint8_t secret[32];
	devnet_secret(secret, DEVNET_OTHER_MINER);
	devnet_key_script(script, secret);
}

static otd_rc mine(struct otd_instance *in, const struct words *w, struct btc_buf *answer)
{
	uint8_t script[BTC_MAX_SCRIPT];
	size_t len = 22;
	uint64_t n = 1;
	char hash[65];
	otd_rc rc = OTD_OK;
	other_script(script);
	if (w->n > 1 && !number(&n, w->w[1], MAX_MINE))
		return btc_fail(&in->host, OTD_E_INVALID, "mine: how many, at most %d?", MAX_MINE);
	if (w->n > 2)
		rc = btc_address_script(&in->host, script, &len, w->w[2], &in->form, 1);
	for (; n > 0 && rc == OTD_OK; n--) {
		rc = mine_one(in, (struct otd_span){script, len}, true, NULL);
		devnet_pool_sweep(in); /* the next block is made of what is left */
	}
	if (rc == OTD_OK)
		btc_put_text(answer, "height=%zu hash=%s", in->n_blocks - 1,
			     btc_hash_text(hash, in->block[in->n_blocks - 1].hash));
	return rc;
}

/* The last n blocks give way to n + 1 others: one frame on disk, so that it is whole or not at all. */
static otd_rc reorg(struct otd_instance *in, const struct words *w, struct btc_buf *answer)
{
	uint8_t script[22];
	char old[65], now[65];
	struct btc_buf record;
	uint64_t n = 1;
	otd_rc rc = OTD_OK;
	if (w->n > 1 && !number(&n, w->w[1], DEVNET_UNDO))
		return btc_fail(&in->host, OTD_E_INVALID, "reorg: how many, at most %d?",
				DEVNET_UNDO);
	if (n == 0 || n >= in->n_blocks)
		return btc_fail(&in->host, OTD_E_RANGE, "reorg: the chain has %zu blocks to give",
				in->n_blocks - 1);
	other_script(script);
	btc_hash_text(old, in->block[in->n_blocks - 1].hash);
	btc_buf_init(&record, &in->host);
	btc_put_u32(&record, (uint32_t)n);
	for (uint64_t i = 0; i < n && rc == OTD_OK; i++)
		rc = devnet_disconnect(in);
	for (uint64_t i = 0; i <= n && rc == OTD_OK; i++)
		rc = mine_one(in, (struct otd_span){script, 22}, false, &record);
	if (rc == OTD_OK && record.failed)
		rc = btc_fail(&in->host, OTD_E_NOMEM, "no memory for a reorganisation");
	if (rc == OTD_OK)
		rc = devnet_file_append(in, 'R', (struct otd_span){record.ptr, record.len});
	btc_buf_finish(&record);
	devnet_pool_sweep(in);
	if (rc == OTD_OK)
		btc_put_text(answer, "replaced=%llu height=%zu old=%s new=%s",
			     (unsigned long long)n, in->n_blocks - 1, old,
			     btc_hash_text(now, in->block[in->n_blocks - 1].hash));
	return rc;
}

static otd_rc send_coins(struct otd_instance *in, const struct words *w, struct btc_buf *answer)
{
	struct devnet_out to = {0};
	uint8_t txid[32];
	char text[65];
	if (w->n != 3 || !amount(&to.value, w->w[2]))
		return btc_fail(&in->host, OTD_E_INVALID,
				"send: to which address, how much? "
				"send ADDRESS 1.5");
	otd_rc rc = btc_address_script(&in->host, to.script, &to.script_len, w->w[1], &in->form, 1);
	if (rc == OTD_OK)
		rc = devnet_send(in, txid, &to);
	if (rc == OTD_OK)
		btc_put_text(answer, "txid=%s", btc_hash_text(text, txid));
	return rc;
}

static otd_rc balance(struct otd_instance *in, const struct words *w, struct btc_buf *answer)
{
	uint8_t script[BTC_MAX_SCRIPT], owner[20];
	size_t len;
	uint64_t sum = 0, immature = 0;
	if (w->n != 2)
		return btc_fail(&in->host, OTD_E_INVALID, "balance: of which address?");
	otd_rc rc = btc_address_script(&in->host, script, &len, w->w[1], &in->form, 1);
	if (rc)
		return rc;
	devnet_owner(owner, script, len);
	for (size_t i = 0; i < in->coins.cap; i++) {
		const struct devnet_coin *c = &in->coins.slot[i];
		if (!c->used || memcmp(c->owner, owner, 20) != 0)
			continue;
		if (c->coinbase && in->n_blocks - c->height < (uint64_t)in->opt->maturity)
			immature += c->value;
		else
			sum += c->value;
	}
	btc_put_text(answer, "spendable=");
	put_amount(answer, sum);
	btc_put_text(answer, " immature=");
	put_amount(answer, immature);
	return OTD_OK;
}

static void tip(struct otd_instance *in, struct btc_buf *answer)
{
	char hash[65];
	const struct devnet_block *b = &in->block[in->n_blocks - 1];
	btc_put_text(answer, "height=%zu hash=%s time=%u bits=%08x coins=%zu", in->n_blocks - 1,
		     btc_hash_text(hash, b->hash), b->time_s, b->nbits, in->coins.n);
}

static void mempool(struct otd_instance *in, struct btc_buf *answer)
{
	char txid[65];
	btc_put_text(answer, "sent=%zu generated=%lld", in->sends.n,
		     (long long)in->opt->transactions);
	for (size_t i = 0; i < in->sends.n; i++)
		btc_put_text(answer, " txid=%s", btc_hash_text(txid, in->sends.tx[i].txid));
}

otd_rc devnet_command(struct otd_instance *in, struct otd_span text, struct otd_buf *out)
{
	struct words w;
	struct btc_buf answer;
	otd_rc rc = OTD_OK;
	btc_buf_init(&answer, &in->host);
	if (!split(&w, text))
		rc = OTD_E_INVALID;
	else if (is(w.w[0], "tip"))
		tip(in, &answer);
	else if (is(w.w[0], "mempool"))
		mempool(in, &answer);
	else if (is(w.w[0], "mine"))
		rc = mine(in, &w, &answer);
	else if (is(w.w[0], "reorg"))
		rc = reorg(in, &w, &answer);
	else if (is(w.w[0], "send"))
		rc = send_coins(in, &w, &answer);
	else if (is(w.w[0], "balance"))
		rc = balance(in, &w, &answer);
	else if (is(w.w[0], "wallet"))
		rc = devnet_wallet_command(in, w.w + 1, w.n - 1, &answer);
	else if (is(w.w[0], "help"))
		btc_put_text(&answer, "tip | mempool | mine [N [ADDRESS]] | reorg [N] | "
				      "send ADDRESS AMOUNT | balance ADDRESS | "
				      "wallet [lock | unlock | fee RATE | conflict TXID]");
	else
		rc = OTD_E_NOT_FOUND;
	if (rc == OTD_E_NOT_FOUND && w.n && !is(w.w[0], "send") && !is(w.w[0], "wallet"))
		rc = btc_fail(&in->host, OTD_E_NOT_FOUND,
			      "the devnet knows no command '%.*s'; try help",
			      w.w[0].len > 40 ? 40 : (int)w.w[0].len, (const char *)w.w[0].ptr);
	else if (rc == OTD_E_INVALID && !w.n)
		rc = btc_fail(&in->host, OTD_E_INVALID, "no command; try help");
	if (rc == OTD_OK && answer.failed)
		rc = btc_fail(&in->host, OTD_E_NOMEM, "no memory for an answer");
	if (rc == OTD_OK)
		rc = btc_give(out, answer.ptr, answer.len);
	btc_buf_finish(&answer);
	return rc;
}
