/*
 * A pool that pays, in virtual time: the real payer, ledger, database and chain, on a devnet whose wallet
 * a test can hinder. Payer and database die and come back; the chain lives on, as another machine would.
 */
#ifndef PAYER_RIG_H
#define PAYER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/log.h"
#include "base/text.h"
#include "config/yaml.h"
#include "ledger/payment.h"
#include "loop/loop.h"
#include "plugin/plugin.h"
#include "pool/payer/payer.h"
#include "sim.h"
#include <cmocka.h>
#include <jansson.h>
#include <otedama/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each test takes of the rig what it needs. */
#pragma GCC diagnostic ignored "-Wunused-function"

#define MINERS  6
#define CHANGE  "bcrt1q32zykw8xpg9lufedf94xq9cg3x6zts6r8n835x" /* the devnet's wallet */
#define HOUR_MS 3600000LL

const struct otd_plugin_desc *payer_devnet_plugin(void);

/* What happens to the calls of one kind. */
enum hindrance { NOTHING, NEVER_SENT, ANSWER_LOST, CHANGED };

static struct rig {
	struct sim *sim;
	struct otd_loop *loop;
	struct otd_plugins *plugins;
	struct otd_files *files;
	struct otd_yaml_doc *options;
	struct otd_plugin_instance *database, *coin;
	struct otd_store *store;
	struct otd_chain *chain;
	struct otd_payer *payer;
	struct otd_payer_pool pool;
	struct otd_err err;
	char address[MINERS][80];
	uint64_t pool_id, account[MINERS];
	otd_i128 earned[MINERS];
	/* hindrances */
	enum hindrance what[OTD_CHAIN_TX + 1];
	const char *before_send; /* a command for the devnet, once */
	uint64_t calls, kill_at; /* of the wallet: the n-th is the last one that is made */
	bool kill_after, killed;
	unsigned sends;
	bool forgets;   /* the wallet knows nothing of what it was sent */
	bool split;     /* every second node is on another branch */
	unsigned asked; /* of blocks */
	/* the last answer */
	json_t *answer;
	struct otd_err answer_err;
	bool answered;
} r;

/* --- the chain, hindered --- */

static const struct otd_chain_ops *devnet_ops;

static otd_rc other_calls(struct otd_instance *in, const struct otd_chain_call *call,
			  struct otd_chain_result *out)
{
	otd_rc rc = devnet_ops->local(in, call, out);
	if (call->kind == OTD_CHAIN_BLOCK && r.split && ++r.asked % 2 == 0)
		out->u.block.place = OTD_CHAIN_OTHER;
	return rc;
}

static void forget(struct otd_chain_tx *t)
{
	if (r.forgets && t->state == OTD_CHAIN_TX_WAITS && !t->in_mempool)
		t->state = OTD_CHAIN_TX_UNKNOWN;
}

static otd_rc hindered(struct otd_instance *in, const struct otd_chain_call *call,
		       struct otd_chain_result *out)
{
	uint8_t text[512];
	struct otd_buf b = {text, 0, sizeof(text)};
	if (call->kind < OTD_CHAIN_WALLET)
		return other_calls(in, call, out);
	if (r.killed)
		return OTD_E_IO;
	r.calls++;
	r.killed = r.kill_at && r.calls == r.kill_at;
	if (r.killed && !r.kill_after)
		return OTD_E_IO;
	if (call->kind == OTD_CHAIN_SEND) {
		r.sends++;
		if (r.before_send) {
			struct otd_span words = {(const uint8_t *)r.before_send,
						 strlen(r.before_send)};
			r.before_send = NULL;
			assert_int_equal(devnet_ops->command(in, words, &b), OTD_OK);
		}
	}
	if (r.what[call->kind] == NEVER_SENT)
		return OTD_E_BUSY;
	otd_rc rc = devnet_ops->local(in, call, out);
	if (r.what[call->kind] == ANSWER_LOST)
		return OTD_E_IO;
	if (call->kind == OTD_CHAIN_TX && rc == OTD_OK)
		forget(&out->u.tx);
	if (r.what[call->kind] == CHANGED && rc == OTD_OK)
		call->out->ptr[call->out->len / 2 - 40] ^= 1;
	return r.killed ? OTD_E_IO : rc;
}

static const struct otd_plugin_desc *hindered_devnet(void)
{
	static struct otd_plugin_desc desc;
	static struct otd_chain_ops ops;
	desc = *payer_devnet_plugin();
	devnet_ops = desc.ops.chain;
	ops = *devnet_ops;
	ops.local = hindered;
	desc.ops.chain = &ops;
	return &desc;
}

static const char *devnet(const char *fmt, ...) OTD_PRINTF(1, 2);
static const char *devnet(const char *fmt, ...)
{
	static char text[400];
	struct otd_bytes b;
	char words[200];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	otd_bytes_init(&b, 65536);
	if (otd_chain_command(r.chain, (struct otd_span){(uint8_t *)words, strlen(words)}, &b,
			      &r.err))
		fail_msg("%s: %s", words, r.err.text);
	snprintf(text, sizeof(text), "%s", otd_bytes_cstr(&b));
	otd_bytes_finish(&b);
	return text;
}

/* Base units that the best chain has for miner i. */
static otd_i128 received(int i)
{
	otd_i128 v = 0;
	const char *text = devnet("balance %s", r.address[i]);
	assert_true(strncmp(text, "spendable=", 10) == 0);
	assert_int_equal(otd_parse_amount(&v, text + 10, strcspn(text + 10, " "), 8), OTD_OK);
	return v;
}

static otd_rc sha256d(struct otd_host *h, uint8_t hash[32], struct otd_span header, uint64_t height)
{
	(void)h;
	(void)height;
	otd_sha256d(hash, header.ptr, header.len);
	return OTD_OK;
}

/* --- a life --- */

static void must(otd_rc rc)
{
	if (rc)
		fail_msg("%s (%s)", r.err.text, otd_rc_name(rc));
}

static void open_store(void)
{
	const struct otd_plugin_services services = {.files = r.files};
	struct otd_plugin *p = otd_plugins_get(r.plugins, "store", "sqlite", &r.err);
	assert_non_null(p);
	must(otd_instance_create(&r.database, p, NULL, "store", &services, &r.err));
	must(otd_store_create(&r.store, r.loop, r.database, &r.err));
}

static const struct otd_payer_policy *rig_policy;

static void open_payer(void)
{
	const struct otd_payer_conf conf = {.loop = r.loop, .store = r.store, .policy = rig_policy};
	r.pool.chain = r.chain;
	must(otd_payer_create(&r.payer, &conf, &r.err));
	must(otd_payer_configure(r.payer, &r.pool, 1, &r.err));
	otd_payer_start(r.payer);
}

static void die(void)
{
	otd_payer_destroy(r.payer);
	r.payer = NULL;
	otd_store_destroy(r.store);
	r.store = NULL;
	otd_instance_destroy(r.database);
	r.killed = false;
	r.kill_at = 0;
}

static void live_again(void)
{
	die();
	open_store();
	open_payer();
}

static otd_rc make_accounts(void *arg, struct otd_db *db, struct otd_err *err)
{
	int64_t key = 0;
	struct otd_value v[] = {OTD_TEXT("p"), OTD_TEXT("DEV")};
	otd_rc rc = otd_db_exec(db, "INSERT INTO pools(name, asset) VALUES(?, ?)", v, 2, NULL, &key,
				err);
	(void)arg;
	r.pool_id = (uint64_t)key;
	for (int i = 0; !rc && i < MINERS; i++) {
		struct otd_value a[] = {OTD_INT(r.pool_id), OTD_TEXT(r.address[i])};
		rc = otd_db_exec(
			db, "INSERT INTO accounts(pool_id, address, created_ms) VALUES(?, ?, 1)", a,
			2, NULL, &key, err);
		r.account[i] = (uint64_t)key;
	}
	return rc;
}

static otd_rc credit(void *arg, struct otd_db *db, struct otd_err *err)
{
	static unsigned n;
	char key[40];
	const otd_i128 *amounts = arg; /* one a miner, then the pool's fee */
	struct otd_entry e[MINERS + 2];
	otd_i128 sum = 0;
	size_t k = 0;
	for (int i = 0; i <= MINERS; i++) {
		if (!amounts[i])
			continue;
		sum += amounts[i];
		e[k++] = (struct otd_entry){i < MINERS ? OTD_ACC_MINER : OTD_ACC_FEE,
					    i < MINERS ? r.account[i] : r.pool_id, amounts[i]};
		if (i < MINERS)
			r.earned[i] += amounts[i];
	}
	e[k++] = (struct otd_entry){OTD_ACC_REWARD, 0, -sum};
	snprintf(key, sizeof(key), "credit/%u", ++n);
	struct otd_posting p = {key, "DEV", "", 1, e, k};
	return otd_ledger_post(db, &p, err);
}

static void earn(otd_i128 a, otd_i128 b, otd_i128 c, otd_i128 fee)
{
	otd_i128 amounts[MINERS + 1] = {a, b, c};
	amounts[MINERS] = fee;
	for (int i = 0; i < 200 && otd_store_do_now(r.store, true, credit, amounts, &r.err); i++) {
		assert_int_equal(r.err.rc, OTD_E_BUSY); /* the payer looks just now */
		(void)sim_run(r.sim, 5, NULL, NULL);
		assert_true(i < 199);
	}
}

static size_t rig_nodes = 1;

static int begin(void **state)
{
	static const char text[] =
		"network: regtest\nbits: 207fffff\ntransactions: 0\nmaturity: 5\n";
	const struct otd_plugins_conf conf = {.skip_vectors = true};
	const struct otd_log_conf logs = {.level = getenv("PAYER_LOG") ? OTD_LOG_DEBUG : -1};
	(void)state;
	memset(&r, 0, sizeof(r));
	(void)!otd_log_init(&logs, NULL, NULL, &r.err);
	r.sim = sim_create(5);
	struct otd_env *e = sim_env(r.sim);
	(void)!e->files->make_dir(e->files->ctx, "data");
	must(e->ops->loop_create(e, &r.loop, "all", &r.err));
	must(otd_plugins_create(&r.plugins, e, &conf, &r.err));
	must(otd_plugins_add_builtin(r.plugins, otd_plugin_v1(), &r.err));
	must(otd_plugins_add_builtin(r.plugins, hindered_devnet(), &r.err));
	must(otd_files_rooted_create(&r.files, e->files, "data"));
	must(otd_yaml_parse(&r.options, text, sizeof(text) - 1, "test.yaml", &r.err));
	struct otd_plugin *p = otd_plugins_get(r.plugins, "chain", "devnet", &r.err);
	assert_non_null(p);
	static const struct otd_host_hash hash = {sizeof(hash), 0, sha256d, sha256d};
	const struct otd_plugin_services services = {.hash = &hash};
	must(otd_instance_create(&r.coin, p, otd_yaml_root(r.options), "chain", &services, &r.err));
	static const struct otd_node_conf node[] = {
		{.name = "one", .roles = OTD_NODE_TEMPLATE | OTD_NODE_WALLET},
		{.name = "two", .roles = OTD_NODE_TEMPLATE}};
	struct otd_chain_conf chain = {.coin = "devnet",
				       .network = "regtest",
				       .plugin = r.coin,
				       .nodes = node,
				       .n_nodes = rig_nodes,
				       .poll_ms = 60000,
				       .refresh_ms = 600000,
				       .maturity = 5};
	must(otd_chain_create(&r.chain, r.loop, &chain, &r.err));
	otd_chain_start(r.chain);
	for (int i = 0; i < MINERS; i++) {
		uint8_t program[20] = {0};
		program[0] = (uint8_t)(i + 1);
		must(otd_segwit_encode(r.address[i], sizeof(r.address[i]), "bcrt", 0, program, 20));
	}
	r.pool = (struct otd_payer_pool){.name = "p",
					 .asset = "DEV",
					 .decimals = 8,
					 .on = true,
					 .minimum = 100000,
					 .max_parts = 100,
					 .every_ms = 30 * 24 * HOUR_MS,
					 .confirmations = 3,
					 .max_fee_rate = 200000,
					 .max_fee_ppm = 500000,
					 .coin_confirmations = 1,
					 .change = CHANGE};
	open_store();
	must(otd_store_do_now(r.store, true, make_accounts, NULL, &r.err));
	open_payer();
	return 0;
}

static int end(void **state)
{
	(void)state;
	json_decref(r.answer);
	die();
	otd_chain_destroy(r.chain);
	otd_instance_destroy(r.coin);
	otd_files_rooted_destroy(r.files);
	otd_plugins_destroy(r.plugins);
	otd_yaml_destroy(r.options);
	sim_env(r.sim)->ops->loop_destroy(r.loop);
	sim_destroy(r.sim);
	return 0;
}

/* --- asking --- */

static void on_answer(void *arg, const struct otd_err *err, const struct otd_bytes *json)
{
	(void)arg;
	assert_false(r.answered);
	r.answered = true;
	r.answer_err = *err;
	r.answer = json ? json_loadb((const char *)json->ptr, json->len, 0, NULL) : NULL;
	assert_true((err->rc == OTD_OK) == (r.answer != NULL));
}

static bool is_answered(void *arg)
{
	(void)arg;
	return r.answered;
}

/* NULL: an error, in r.answer_err. The answer lives until the next one. */
static json_t *ask(const char *fmt, ...) OTD_PRINTF(1, 2);
static json_t *ask(const char *fmt, ...)
{
	char words[600];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	json_decref(r.answer);
	r.answer = NULL;
	r.answered = false;
	otd_payer_ask(r.payer, words, on_answer, NULL);
	assert_false(r.answered); /* never from within */
	if (!sim_run(r.sim, 10 * 60000, is_answered, NULL))
		fail_msg("no answer to '%s'", words);
	return r.answer;
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

static json_t *good(json_t *j)
{
	if (!j)
		fail_msg("%s", r.answer_err.text);
	return j;
}

static void refused(json_t *j, const char *word)
{
	assert_null(j);
	if (!strstr(r.answer_err.text, word))
		fail_msg("'%s' has no '%s'", r.answer_err.text, word);
}

static void turn_on(void)
{
	char code[16];
	snprintf(code, sizeof(code), "%s", text_of(good(ask("plan p")), "code"));
	good(ask("start p %s", code));
}

/* Of payment id. */
static const char *state_of(uint64_t id)
{
	static char state[32];
	snprintf(state, sizeof(state), "%s",
		 text_of(good(ask("show %llu", (unsigned long long)id)), "state"));
	return state;
}

static void run_ms(int64_t ms)
{
	(void)sim_run(r.sim, ms, NULL, NULL);
}

/* A minute each, with a block or none, until payment id is in this state. */
static void until(uint64_t id, const char *state, bool blocks)
{
	for (int i = 0; i < 60; i++) {
		if (strcmp(state_of(id), state) == 0)
			return;
		if (blocks)
			devnet("mine 1");
		run_ms(30000);
	}
	ask("show %llu", (unsigned long long)id);
	fail_msg("payment %llu is '%s' (%s), not %s", (unsigned long long)id,
		 text_of(r.answer, "state"), text_of(r.answer, "why"), state);
}

static bool troubled(const char *word)
{
	const char *t;
	for (size_t i = 0; (t = otd_payer_trouble(r.payer, i)); i++)
		if (strstr(t, word))
			return true;
	return false;
}

static void wait_trouble(const char *word)
{
	for (int i = 0; i < 300; i++) {
		if (troubled(word))
			return;
		run_ms(1000);
	}
	const char *t = otd_payer_trouble(r.payer, 0);
	fail_msg("nobody says '%s', but '%s'", word, t ? t : "nothing");
}

/* Chain and books at the end: each got what was earned, once. */
static otd_rc verify(void *arg, struct otd_db *db, struct otd_err *err)
{
	uint64_t n;
	(void)arg;
	return otd_ledger_verify(db, &n, err);
}

static void check_books(void)
{
	otd_rc rc = OTD_E_BUSY;
	for (int i = 0; i < 200 && rc == OTD_E_BUSY; i++) {
		run_ms(5);
		rc = otd_store_do_now(r.store, false, verify, NULL, &r.err);
	}
	must(rc);
}

static void all_paid(void)
{
	for (int i = 0; i < MINERS; i++) {
		if (received(i) != r.earned[i])
			fail_msg("miner %d has %lld instead of %lld", i, (long long)received(i),
				 (long long)r.earned[i]);
	}
	check_books();
}

#endif
