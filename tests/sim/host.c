/* A life of the whole pool. */
#include "host.h"
#include "base/log.h"
#include "ledger/payment.h"
#include "loop/loop.h"
#include "tally.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL        "http://node:8332"
#define SECOND_URL "http://second:8332"
#define ASSET      "TBTC"
#define FEE_PPM    12345
#define SETTLE_MS  14400000LL
#define NBITS      0x1f0fffff /* a block in 2^12 hashes */

const struct otd_plugin_desc *sim_bitcoin_plugin(void);
const struct otd_plugin_desc *sim_sha256d_plugin(void);

void host_fail(struct host *h, const char *fmt, ...)
{
	va_list ap;
	(void)fprintf(stderr, "\nsim: seed %llu, life %u, step %llu, t=%lld ms: ",
		      (unsigned long long)h->seed, h->life, (unsigned long long)sim_steps(h->sim),
		      (long long)sim_now_ms(h->sim));
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\nsim: again with './mk sim 1 %llu'\n", (unsigned long long)h->seed);
	(void)fflush(NULL);
	_Exit(1);
}

_Noreturn static void miner_wrong(void *arg, const char *what)
{
	host_fail(arg, "%s", what);
}

/* --- the log: in virtual time, and only where it is wanted --- */

static struct sim *logged;

static int64_t log_now(void *ctx)
{
	(void)ctx;
	return logged ? otd_wall_ms(sim_env(logged)) : 0;
}

void host_log_init(bool on)
{
	const struct otd_log_conf conf = {.level = on ? OTD_LOG_DEBUG : -1};
	struct otd_err err;
	if (otd_log_init(&conf, log_now, NULL, &err))
		(void)fprintf(stderr, "sim: no log: %s\n", err.text);
}

/* --- the database: commits are kill points, and now and then their fate is unknown --- */

static struct host *committing;
static const struct otd_store_ops *database_ops;

static otd_rc commit(struct otd_instance *in)
{
	struct host *h = committing;
	otd_rc rc;
	if (!h)
		return database_ops->commit(in);
	if (!sim_point(h->sim, SIM_POINT_COMMIT)) {
		database_ops->rollback(in);
		return OTD_E_IO;
	}
	bool unknown = h->serving && h->unknown_ppm && sim_chance(h->sim, h->unknown_ppm);
	if (unknown && sim_chance(h->sim, 500000)) {
		h->unknown[0]++;
		database_ops->rollback(in);
		return OTD_E_COMMIT_UNKNOWN;
	}
	rc = database_ops->commit(in);
	if (rc == OTD_OK) {
		h->commits++;
		h->committed = true;
		(void)sim_point(h->sim, SIM_POINT_COMMITTED);
	}
	if (!unknown)
		return rc;
	h->unknown[1]++;
	return OTD_E_COMMIT_UNKNOWN;
}

static const struct otd_plugin_desc *database_plugin(void)
{
	static struct otd_store_ops ops;
	static struct otd_plugin_desc desc;
	desc = *otd_plugin_v1();
	database_ops = desc.ops.store;
	ops = *database_ops;
	ops.commit = commit;
	desc.ops.store = &ops;
	return &desc;
}

/* --- making it --- */

static otd_rc instance(struct host *h, struct otd_plugin_instance **out, const char *kind,
		       const char *id, const struct otd_yaml *options,
		       const struct otd_plugin_services *services)
{
	struct otd_plugin *p = otd_plugins_get(h->plugins, kind, id, &h->err);
	return p ? otd_instance_create(out, p, options, kind, services, &h->err) : h->err.rc;
}

static otd_rc open_plugins(struct host *h)
{
	static const char text[] = "network: regtest\n"
				   "regtest: [p2pkh 111, p2sh 196, bech32 bcrt]\n";
	const struct otd_plugins_conf conf = {.skip_vectors = true};
	const struct otd_plugin_desc *all[] = {database_plugin(), tally_plugin(),
					       sim_pplns_plugin(), sim_bitcoin_plugin(),
					       sim_sha256d_plugin()};
	struct otd_env *e = sim_env(h->sim);
	otd_rc rc = otd_plugins_create(&h->plugins, e, &conf, &h->err);
	for (size_t i = 0; rc == OTD_OK && i < sizeof(all) / sizeof(all[0]); i++)
		rc = otd_plugins_add_builtin(h->plugins, all[i], &h->err);
	if (rc == OTD_OK)
		rc = otd_files_rooted_create(&h->files, e->files, "data");
	if (rc == OTD_OK)
		rc = otd_yaml_parse(&h->options, text, sizeof(text) - 1, "sim.yaml", &h->err);
	return rc;
}

static otd_rc open_store(struct host *h)
{
	const struct otd_plugin_services services = {.files = h->files};
	otd_rc rc = instance(h, &h->database, "store", "sqlite", NULL, &services);
	if (rc == OTD_OK)
		rc = otd_store_create(&h->store, h->loop, h->database, &h->err);
	return rc;
}

static void on_template(void *arg, const struct otd_chain_template *t, bool new_tip)
{
	struct host *h = arg;
	if (h->coordinator)
		otd_coordinator_template(h->coordinator, 0, t, new_tip);
	if (new_tip && h->payer)
		otd_payer_tip(h->payer, h->chain);
}

static void on_trouble(void *arg, const char *why)
{
	(void)arg;
	otd_log(OTD_LOG_INFO, "sim", "chain.trouble", "why=%s", OTD_Q(why));
}

static otd_rc open_chain(struct host *h)
{
	static const struct otd_node_conf nodes[] = {
		{.name = "one",
		 .url = URL,
		 .user = "u",
		 .password = "p",
		 .wallet = "pool",
		 .roles = OTD_NODE_TEMPLATE | OTD_NODE_SUBMIT | OTD_NODE_WALLET},
		{.name = "two",
		 .url = SECOND_URL,
		 .user = "u",
		 .password = "p",
		 .roles = OTD_NODE_TEMPLATE | OTD_NODE_SUBMIT}};
	struct otd_chain_conf conf = {.coin = "test",
				      .network = "regtest",
				      .nodes = nodes,
				      .n_nodes = 2,
				      .poll_ms = 2000,
				      .refresh_ms = 30000,
				      .timeout_ms = 8000,
				      .maturity = HOST_MATURITY,
				      .on_template = on_template,
				      .on_trouble = on_trouble,
				      .arg = h,
				      .metrics = h->metrics};
	otd_rc rc = instance(h, &h->algo, "algo", "sha256d", NULL, NULL);
	if (rc == OTD_OK)
		rc = instance(h, &h->coin, "chain", "bitcoin", otd_yaml_root(h->options), NULL);
	conf.plugin = h->coin;
	if (rc == OTD_OK)
		rc = otd_chain_create(&h->chain, h->loop, &conf, &h->err);
	if (rc == OTD_OK)
		rc = otd_chain_address(h->chain, h->reward, strlen(h->reward), h->script,
				       sizeof(h->script), &h->script_len, &h->err);
	return rc;
}

static otd_rc make_pplns(void *arg, struct otd_plugin_instance **out, struct otd_err *err)
{
	struct host *h = arg;
	otd_rc rc = instance(h, out, "payout", "pplns", NULL, NULL);
	return rc ? otd_fail(err, rc, "%s", h->err.text) : OTD_OK;
}

static otd_rc make_tally(void *arg, struct otd_plugin_instance **out, struct otd_err *err)
{
	struct host *h = arg;
	otd_rc rc = instance(h, out, "payout", "tally", NULL, NULL);
	return rc ? otd_fail(err, rc, "%s", h->err.text) : OTD_OK;
}

static otd_rc open_accounting(struct host *h)
{
	const struct otd_acct_scheme schemes[] = {{"pplns", make_pplns, h},
						  {"tally", make_tally, h}};
	const struct otd_acct_pool pool = {.name = "alpha",
					   .asset = ASSET,
					   .fee_ppm = FEE_PPM,
					   .schemes = schemes,
					   .n_schemes = 2};
	const struct otd_accounting_conf conf = {.loop = h->loop,
						 .store = h->store,
						 .data_dir = "data",
						 .pools = &pool,
						 .n_pools = 1,
						 .metrics = h->metrics,
						 .merge_ms = 200,
						 .commit_ms = 2000,
						 .snapshot_ms = 20000,
						 .segment_bytes = 4000,
						 .max_bytes = 8 << 20};
	return otd_accounting_create(&h->acct, &conf, &h->err);
}

static otd_rc open_coordinator(struct host *h)
{
	const struct otd_coordinator_pool pool = {.name = "alpha",
						  .chain = h->chain,
						  .script = {h->script, h->script_len},
						  .tag = "/sim/",
						  .version_mask = 0x1fffe000,
						  .extranonce1_len = 4,
						  .extranonce2_len = 4,
						  .maturity = HOST_MATURITY,
						  .orphan_depth = 5};
	const struct otd_coordinator_conf conf = {.env = sim_env(h->sim),
						  .loop = h->loop,
						  .data_dir = "data",
						  .pools = &pool,
						  .n_pools = 1,
						  .accounting = h->acct,
						  .metrics = h->metrics,
						  .watch_ms = 2000};
	return otd_coordinator_create(&h->coordinator, &conf, &h->err);
}

static otd_rc open_payer(struct host *h)
{
	const struct otd_payer_conf conf = {
		.loop = h->loop, .store = h->store, .metrics = h->metrics};
	const struct otd_pay_recipient fee = {h->address[MODEL_ACCOUNTS], 1000000};
	const struct otd_payer_pool pool = {.name = "alpha",
					    .asset = ASSET,
					    .decimals = 8,
					    .chain = h->chain,
					    .on = true,
					    .minimum = HOST_MINIMUM,
					    .max_parts = 100,
					    .every_ms = h->quick ? 15000 : 60000,
					    .confirmations = HOST_CONFIRMATIONS,
					    .max_fee_rate = 200000,
					    .max_fee_ppm = 500000,
					    .coin_confirmations = 1,
					    .change = h->change,
					    .fee = &fee,
					    .n_fee = 1};
	otd_rc rc = otd_payer_create(&h->payer, &conf, &h->err);
	return rc ? rc : otd_payer_configure(h->payer, &pool, 1, &h->err);
}

/* --- reactors and their door --- */

struct ended {
	struct host *h;
	struct otd_ticket ticket;
};

static void on_ended(void *arg)
{
	struct ended *e = arg;
	otd_gate_release(e->h->gate, &e->ticket);
	free(e);
}

static void session_ended(void *arg, const struct otd_ticket *ticket)
{
	struct host *h = arg;
	struct ended *e = h->serving ? malloc(sizeof(*e)) : NULL;
	if (!e)
		return;
	*e = (struct ended){h, *ticket};
	if (otd_loop_post(h->loop, on_ended, e) != OTD_OK)
		free(e);
}

/* They begin at difficulty 2^(256 - start) / 3. */
static void make_ports(struct otd_stratum_port ports[HOST_PORTS], unsigned start)
{
	/* Between powers of two, so that the last digit of a difficulty does not change the work. */
	struct otd_u256 three = otd_u256_from_u64(3);
	for (uint16_t i = 0; i < HOST_PORTS; i++)
		ports[i] = (struct otd_stratum_port){.scheme = i ? "tally" : "",
						     .start = otd_u256_shl(three, start),
						     .min = otd_u256_shl(three, 252),
						     .max = otd_u256_shl(three, 249),
						     .aim_ms = 1500,
						     .vardiff = true,
						     .number = (uint16_t)(HOST_PORT + i)};
}

static otd_rc open_reactor(struct host *h, uint32_t index)
{
	struct host_reactor *r = &h->reactor[index];
	struct otd_env *e = sim_env(h->sim);
	char folder[512];
	const struct otd_reactor_pool pool = {.name = "alpha",
					      .algo = otd_instance_algo(h->algo),
					      .algo_self = otd_instance_self(h->algo),
					      .algo_info = otd_instance_algo_info(h->algo),
					      .extranonce1_len = 4,
					      .extranonce2_len = 4,
					      .version_mask = 0x1fffe000};
	struct otd_stratum_port ports[HOST_PORTS];
	make_ports(ports, 251);
	r->h = h;
	otd_rc rc = otd_accounting_new_epoch(h->acct, &r->epoch, folder, sizeof(folder), &h->err);
	if (rc == OTD_OK)
		rc = e->ops->loop_create(e, &r->loop, "reactor", &h->err);
	const struct otd_reactor_conf conf = {.env = e,
					      .loop = r->loop,
					      .index = index,
					      .epoch = r->epoch,
					      .journal_dir = folder,
					      .segment_bytes = 20000,
					      .max_bytes = 8 << 20,
					      .pools = &pool,
					      .n_pools = 1,
					      .coordinator =
						      otd_coordinator_mailbox(h->coordinator),
					      .metrics = h->metrics,
					      .dupes_max = 65536};
	if (rc == OTD_OK)
		rc = otd_reactor_create(&r->reactor, &conf, &h->err);
	const struct otd_stratum_conf stratum = {.reactor = r->reactor,
						 .ports = ports,
						 .n_ports = HOST_PORTS,
						 .metrics = h->metrics,
						 .ended = session_ended,
						 .arg = h};
	if (rc == OTD_OK)
		rc = otd_stratum_create(&r->stratum, &stratum, &h->err);
	if (rc == OTD_OK)
		rc = otd_coordinator_add_reactor(h->coordinator, index,
						 otd_reactor_mailbox(r->reactor));
	return rc;
}

static void deliver(void *arg, struct otd_stream *s, const struct otd_ticket *ticket)
{
	struct host_port *p = arg;
	if (otd_stratum_accept_post(p->h->reactor[ticket->reactor].stratum, s, p->index, ticket) ==
	    OTD_OK)
		return;
	sim_env(p->h->sim)->ops->stream_close(s);
	otd_gate_release(p->h->gate, ticket);
}

static otd_rc open_door(struct host *h)
{
	static const struct otd_listener_ops ops = {.deliver = deliver};
	static const struct otd_gate_conf gate;
	otd_rc rc = otd_gate_create(&h->gate, sim_env(h->sim), &gate, HOST_REACTORS, h->metrics);
	for (uint32_t i = 0; rc == OTD_OK && i < HOST_PORTS; i++) {
		h->port[i].h = h;
		h->port[i].index = i;
		rc = otd_listener_create(&h->port[i].listener, h->loop, h->gate, "*",
					 (uint16_t)(HOST_PORT + i), false, &ops, &h->port[i],
					 &h->err);
	}
	return rc;
}

/* --- a life --- */

static void on_block(void *arg, const struct otd_acct_block *b)
{
	struct host *h = arg;
	otd_coordinator_block(h->coordinator, b);
}

static void on_found(void *arg, const struct otd_acct_found *f)
{
	struct host *h = arg;
	otd_coordinator_found(h->coordinator, f);
}

static void on_release(void *arg, uint64_t epoch, uint64_t seq)
{
	struct host *h = arg;
	for (uint32_t i = 0; i < HOST_REACTORS; i++)
		if (h->reactor[i].reactor && h->reactor[i].epoch == epoch)
			otd_coordinator_release(h->coordinator, i, epoch, seq);
}

static otd_rc payments_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct host *h = arg;
	int64_t pool;
	otd_rc rc =
		otd_db_int(db, "SELECT id FROM pools WHERE name = 'alpha'", NULL, 0, &pool, err);
	return rc ? rc
		  : otd_pay_pool_set(db, (uint64_t)pool, true, otd_wall_ms(sim_env(h->sim)), err);
}

static otd_rc open_parts(struct host *h)
{
	const struct otd_accounting_events events = {
		.block = on_block, .release = on_release, .found = on_found, .arg = h};
	otd_rc rc = otd_coordinator_start(h->coordinator, &h->err);
	if (rc == OTD_OK)
		otd_accounting_start(h->acct, &events);
	for (uint32_t i = 0; rc == OTD_OK && i < HOST_REACTORS; i++)
		rc = open_reactor(h, i);
	if (rc == OTD_OK)
		rc = open_door(h);
	if (rc == OTD_OK && !h->payments_on) {
		rc = otd_store_do_now(h->store, true, payments_work, h, &h->err);
		h->payments_on = rc == OTD_OK;
	}
	return rc;
}

static otd_rc open_all(struct host *h)
{
	struct otd_env *e = sim_env(h->sim);
	otd_rc rc = e->files->make_dir(e->files->ctx, "data");
	if (rc == OTD_OK)
		rc = e->files->sync_dir(e->files->ctx, ".");
	if (rc)
		return otd_fail(&h->err, rc, "data: %s", e->files->last_error(e->files->ctx));
	h->metrics = otd_metrics_create();
	if (!h->metrics)
		return otd_fail(&h->err, OTD_E_NOMEM, "out of memory");
	if (rc == OTD_OK)
		rc = e->ops->loop_create(e, &h->loop, "coordinator", &h->err);
	if (rc == OTD_OK)
		rc = open_plugins(h);
	if (rc == OTD_OK)
		rc = open_store(h);
	if (rc == OTD_OK)
		rc = open_chain(h);
	if (rc == OTD_OK)
		rc = open_accounting(h);
	if (rc == OTD_OK)
		rc = open_coordinator(h);
	if (rc == OTD_OK)
		rc = open_payer(h);
	return rc ? rc : open_parts(h);
}

bool host_start(struct host *h)
{
	h->life++;
	h->err = (struct otd_err){0};
	h->flushed = h->drained = h->committed = h->looking = false;
	committing = h;
	otd_rc rc = open_all(h);
	if (rc && !sim_dead(h->sim) && !h->may_refuse)
		host_fail(h, "start: %s (%s)", h->err.text, otd_rc_name(rc));
	if (rc || sim_dead(h->sim))
		return false;
	h->serving = true;
	otd_chain_start(h->chain);
	otd_payer_start(h->payer);
	return true;
}

static void end_instance(struct otd_plugin_instance **in)
{
	if (*in)
		otd_instance_destroy(*in);
	*in = NULL;
}

static void end_reactors(struct host *h)
{
	const struct otd_env_ops *ops = sim_env(h->sim)->ops;
	for (size_t i = 0; i < HOST_PORTS; i++)
		otd_listener_destroy(h->port[i].listener);
	for (size_t i = 0; i < HOST_REACTORS; i++) {
		if (h->reactor[i].stratum)
			otd_stratum_destroy(h->reactor[i].stratum);
		if (h->reactor[i].reactor)
			otd_reactor_destroy(h->reactor[i].reactor);
		if (h->reactor[i].loop)
			ops->loop_destroy(h->reactor[i].loop);
	}
	otd_gate_destroy(h->gate);
	memset(h->port, 0, sizeof(h->port));
	memset(h->reactor, 0, sizeof(h->reactor));
	h->gate = NULL;
}

void host_end(struct host *h)
{
	h->serving = false;
	sim_last_rounds(h->sim);
	end_reactors(h);
	otd_payer_destroy(h->payer);
	h->payer = NULL;
	otd_coordinator_destroy(h->coordinator);
	h->coordinator = NULL;
	otd_accounting_destroy(h->acct);
	h->acct = NULL;
	otd_store_destroy(h->store);
	h->store = NULL;
	committing = NULL;
	otd_chain_destroy(h->chain);
	h->chain = NULL;
	end_instance(&h->coin);
	end_instance(&h->algo);
	end_instance(&h->database);
	if (h->files)
		otd_files_rooted_destroy(h->files);
	h->files = NULL;
	if (h->plugins)
		otd_plugins_destroy(h->plugins);
	h->plugins = NULL;
	if (h->options)
		otd_yaml_destroy(h->options);
	h->options = NULL;
	if (h->loop)
		sim_env(h->sim)->ops->loop_destroy(h->loop);
	h->loop = NULL;
	otd_metrics_destroy(h->metrics);
	h->metrics = NULL;
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

bool host_flush(struct host *h)
{
	h->flushed = false;
	otd_accounting_flush(h->acct, set_true, &h->flushed);
	return sim_run(h->sim, 120000, is_true, &h->flushed);
}

static bool is_answered(void *arg)
{
	return sim_miners_waiting(((struct host *)arg)->miners) == 0;
}

void host_settle(struct host *h)
{
	struct host_open open = {0};
	sim_miners_calm(h->miners, true, true);
	if (!sim_run(h->sim, 120000, is_answered, h))
		host_fail(h, "%zu questions of miners have no answer",
			  sim_miners_waiting(h->miners));
	for (int64_t waited = 0; waited < SETTLE_MS; waited += h->quick ? 10000 : 60000) {
		(void)sim_run(h->sim, h->quick ? 10000 : 60000, NULL, NULL);
		if (!host_flush(h))
			host_fail(h, "not all is in SQL after two minutes");
		host_look(h, &open);
		if (!open.live && !open.due && !open.unsettled_blocks)
			break;
	}
	if (open.live || open.due || open.unsettled_blocks)
		host_fail(h,
			  "not settled: %lld payments (%lld held), %lld balances due, %lld blocks; "
			  "%s",
			  (long long)open.live, (long long)open.held, (long long)open.due,
			  (long long)open.unsettled_blocks,
			  otd_payer_trouble(h->payer, 0) ? otd_payer_trouble(h->payer, 0) : "");
	if (!host_drain(h))
		host_fail(h, "an orderly end takes too long");
	host_check(h);
}

bool host_reload(struct host *h)
{
	struct otd_stratum_port ports[HOST_PORTS];
	bool all = true;
	otd_accounting_fee(h->acct, "alpha", FEE_PPM, otd_wall_ms(sim_env(h->sim)));
	for (size_t i = 0; i < HOST_REACTORS; i++) {
		struct otd_stratum_change *c = NULL;
		const struct otd_stratum_change_conf conf = {.ports = ports, .n_ports = HOST_PORTS};
		make_ports(ports, 252);
		if (otd_stratum_change_create(&c, h->reactor[i].stratum, &conf, &h->err) !=
		    OTD_OK) {
			all = false;
			continue;
		}
		if (otd_stratum_change_post(c) != OTD_OK) {
			otd_stratum_change_destroy(c);
			all = false;
		}
	}
	return all;
}

bool host_drain(struct host *h)
{
	bool payer = false;
	for (size_t i = 0; i < HOST_PORTS; i++)
		otd_listener_drain(h->port[i].listener);
	otd_payer_drain(h->payer, set_true, &payer);
	h->drained = false;
	otd_coordinator_drain(h->coordinator, set_true, &h->drained);
	if (!sim_run(h->sim, 60000, is_true, &h->drained) || !host_flush(h))
		return false;
	return sim_run(h->sim, 60000, is_true, &payer);
}

/* --- the world round it --- */

void host_init(struct host *h, uint64_t seed, bool quick)
{
	const struct sim_node_conf conf = {.url = URL,
					   .user = "u",
					   .password = "p",
					   .wallet = "pool",
					   .hrp = "bcrt",
					   .block_ms = quick ? 2500 : 40000,
					   .maturity = HOST_MATURITY,
					   .blocks = 40,
					   .our_ppm = 500000,
					   .reward = 50000000,
					   .nbits = NBITS};
	char label[32];
	*h = (struct host){.seed = seed, .quick = quick, .sim = sim_create(seed)};
	logged = h->sim;
	/* The library's own generator, of salts in its log, asks the system past every seam. */
	(void)sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(1 + seed % 1000000), NULL);
	h->node = sim_node_create(h->sim, &conf);
	sim_node_earn(h->node, 0); /* from here on the wallet has what the pool finds */
	h->second = sim_view_create(h->node, SECOND_URL);
	for (unsigned i = 0; i < HOST_LABELS; i++) {
		(void)snprintf(label, sizeof(label), "miner-%u", i);
		sim_node_address(h->node, h->address[i], label);
	}
	sim_node_address(h->node, h->reward, "reward");
	sim_node_address(h->node, h->change, "change");
	const struct sim_miners_conf miners = {.sim = h->sim,
					       .model = &h->model,
					       .port = {HOST_PORT, HOST_PORT + 1},
					       .address = (const char(*)[96])h->address,
					       .easiest = otd_u256_shl(otd_u256_from_u64(3), 252),
					       .pace_ms = 2500,
					       .wrong = miner_wrong,
					       .arg = h};
	h->miners = sim_miners_create(&miners);
	sim_watch_writes(h->sim, host_on_write, h);
	sim_each_step(h->sim, host_on_step, h);
}

void host_finish(struct host *h)
{
	sim_miners_destroy(h->miners);
	sim_node_destroy(h->node);
	sim_view_destroy(h->second);
	logged = NULL;
	sim_destroy(h->sim);
	model_free(&h->model);
	host_free_records(h);
}
