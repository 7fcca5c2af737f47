/* Pools that pay: a life of theirs, and what they have to pay. */
#include "pay_world.h"
#include "base/log.h"
#include "ledger/payment.h"
#include "loop/loop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct otd_plugin_desc *sim_bitcoin_plugin(void);

#define ALPHA_ACCOUNTS 7
#define URL            "http://node:8332"
#define ASSET          "TBTC"
#define MINIMUM        500000

static const char *const pool_name[PAY_POOLS] = {"alpha", "beta"};

void pay_fail(struct pay_world *w, const char *fmt, ...)
{
	va_list ap;
	(void)fprintf(stderr, "\nsim: seed %llu, ", (unsigned long long)w->seed);
	if (w->point)
		(void)fprintf(stderr, "killed at point %llu, ", (unsigned long long)w->point);
	(void)fprintf(stderr, "life %u, t=%lld ms: ", w->life, (long long)sim_now_ms(w->sim));
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (w->point)
		(void)fprintf(stderr, "\nsim: again with OTEDAMA_SIM_POINT=%llu\n",
			      (unsigned long long)w->point);
	else
		(void)fprintf(stderr,
			      "\nsim: again with OTEDAMA_SIM_FIRST=%llu OTEDAMA_SIM_SEEDS=1\n",
			      (unsigned long long)w->seed);
	exit(1);
}

/* --- the log: in virtual time, and only where it is wanted --- */

static struct sim *logged;

static int64_t log_now(void *ctx)
{
	(void)ctx;
	return logged ? otd_wall_ms(sim_env(logged)) : 0;
}

void pay_log_init(bool on)
{
	const struct otd_log_conf conf = {.level = on ? OTD_LOG_DEBUG : -1};
	struct otd_err err;
	if (otd_log_init(&conf, log_now, NULL, &err))
		(void)fprintf(stderr, "sim: no log: %s\n", err.text);
}

/* --- who earns what --- */

static unsigned pool_of(unsigned account)
{
	return account < ALPHA_ACCOUNTS ? 0 : 1;
}

int64_t pay_amount(unsigned round, unsigned account)
{
	/* One that reaches the minimum only with its third round. */
	if (account == 3 || account == 8)
		return 180000;
	return 900000 * (int64_t)(1 + (account * 5 + round) % 7) + 1009 * (int64_t)account +
	       (int64_t)round;
}

int64_t pay_fee_earned(unsigned round)
{
	return 2500003 + (int64_t)round;
}

const char *pay_label(char to[32], unsigned i)
{
	if (i < PAY_ACCOUNTS)
		(void)snprintf(to, 32, "miner-%u", i);
	else
		(void)snprintf(to, 32, "recipient-%u", i - PAY_ACCOUNTS);
	return to;
}

/* --- the database and its commits --- */

static struct pay_world *committing;
static const struct otd_store_ops *database_ops;

/* A commit is a kill point before and behind; and now and then its fate is unknown. */
static otd_rc commit(struct otd_instance *in)
{
	struct pay_world *w = committing;
	otd_rc rc;
	if (!w)
		return database_ops->commit(in);
	if (!sim_point(w->sim, SIM_POINT_COMMIT)) {
		database_ops->rollback(in);
		return OTD_E_IO;
	}
	bool unknown = w->unknown_ppm && sim_chance(w->sim, w->unknown_ppm);
	if (unknown && sim_chance(w->sim, 500000)) {
		w->unknown[0]++;
		database_ops->rollback(in);
		return OTD_E_COMMIT_UNKNOWN;
	}
	rc = database_ops->commit(in);
	if (rc == OTD_OK)
		(void)sim_point(w->sim, SIM_POINT_COMMITTED);
	if (!unknown)
		return rc;
	w->unknown[1]++;
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

/* --- a life --- */

static otd_rc open_plugins(struct pay_world *w)
{
	static const char text[] = "network: regtest\n"
				   "regtest: [p2pkh 111, p2sh 196, bech32 bcrt]\n";
	const struct otd_plugins_conf conf = {.skip_vectors = true};
	struct otd_env *e = sim_env(w->sim);
	otd_rc rc = otd_plugins_create(&w->plugins, e, &conf, &w->err);
	if (rc == OTD_OK)
		rc = otd_plugins_add_builtin(w->plugins, database_plugin(), &w->err);
	if (rc == OTD_OK)
		rc = otd_plugins_add_builtin(w->plugins, sim_bitcoin_plugin(), &w->err);
	if (rc == OTD_OK)
		rc = otd_files_rooted_create(&w->files, e->files, "data");
	if (rc == OTD_OK)
		rc = otd_yaml_parse(&w->options, text, sizeof(text) - 1, "sim.yaml", &w->err);
	return rc;
}

static otd_rc open_store(struct pay_world *w)
{
	const struct otd_plugin_services services = {.files = w->files};
	struct otd_plugin *sqlite = otd_plugins_get(w->plugins, "store", "sqlite", &w->err);
	otd_rc rc = sqlite ? otd_instance_create(&w->database, sqlite, NULL, "store", &services,
						 &w->err)
			   : w->err.rc;
	if (rc == OTD_OK)
		rc = otd_store_create(&w->store, w->loop, w->database, &w->err);
	return rc;
}

static otd_rc open_chain(struct pay_world *w)
{
	static const struct otd_node_conf node = {.name = "one",
						  .url = URL,
						  .user = "u",
						  .password = "p",
						  .wallet = "pool",
						  .roles = OTD_NODE_WALLET};
	struct otd_chain_conf conf = {.coin = "test",
				      .network = "regtest",
				      .nodes = &node,
				      .n_nodes = 1,
				      .poll_ms = 20000,
				      .maturity = 10};
	struct otd_plugin *p = otd_plugins_get(w->plugins, "chain", "bitcoin", &w->err);
	otd_rc rc = p ? otd_instance_create(&w->coin, p, otd_yaml_root(w->options), "chain", NULL,
					    &w->err)
		      : w->err.rc;
	conf.plugin = w->coin;
	if (rc == OTD_OK)
		rc = otd_chain_create(&w->chain, w->loop, &conf, &w->err);
	return rc;
}

static otd_rc open_payer(struct pay_world *w)
{
	const struct otd_payer_conf conf = {.loop = w->loop, .store = w->store};
	const struct otd_pay_recipient fee[PAY_RECIPIENTS] = {
		{w->address[PAY_ACCOUNTS], 700000}, {w->address[PAY_ACCOUNTS + 1], 300000}};
	struct otd_payer_pool pools[PAY_POOLS];
	for (unsigned i = 0; i < PAY_POOLS; i++)
		pools[i] = (struct otd_payer_pool){.name = pool_name[i],
						   .asset = ASSET,
						   .decimals = 8,
						   .chain = w->chain,
						   .on = true,
						   .minimum = MINIMUM,
						   .max_parts = 100,
						   .every_ms = 60000,
						   .fee_by_miners = i == 1,
						   .confirmations = 3,
						   .max_fee_rate = 200000,
						   .max_fee_ppm = 500000,
						   .coin_confirmations = 1,
						   .change = w->change,
						   .fee = i == 0 ? fee : NULL,
						   .n_fee = i == 0 ? PAY_RECIPIENTS : 0};
	otd_rc rc = otd_payer_create(&w->payer, &conf, &w->err);
	return rc ? rc : otd_payer_configure(w->payer, pools, PAY_POOLS, &w->err);
}

static otd_rc open_all(struct pay_world *w)
{
	struct otd_env *e = sim_env(w->sim);
	otd_rc rc = e->files->make_dir(e->files->ctx, "data");
	w->err = (struct otd_err){0};
	if (rc == OTD_OK)
		rc = e->files->sync_dir(e->files->ctx, ".");
	if (rc == OTD_OK)
		rc = e->ops->loop_create(e, &w->loop, "all", &w->err);
	if (rc == OTD_OK)
		rc = open_plugins(w);
	if (rc == OTD_OK)
		rc = open_store(w);
	if (rc == OTD_OK)
		rc = open_chain(w);
	return rc;
}

bool pay_start(struct pay_world *w)
{
	w->life++;
	w->busy = w->has_look = false;
	committing = w;
	otd_rc rc = open_all(w);
	if (rc == OTD_OK)
		rc = open_payer(w);
	if (rc && !sim_dead(w->sim) && !w->may_refuse)
		pay_fail(w, "start: %s (%s)", w->err.text, otd_rc_name(rc));
	if (rc || sim_dead(w->sim))
		return false;
	otd_chain_start(w->chain);
	otd_payer_start(w->payer);
	return true;
}

void pay_end(struct pay_world *w)
{
	otd_payer_destroy(w->payer);
	w->payer = NULL;
	otd_chain_destroy(w->chain);
	w->chain = NULL;
	otd_store_destroy(w->store);
	w->store = NULL;
	committing = NULL;
	if (w->coin)
		otd_instance_destroy(w->coin);
	if (w->database)
		otd_instance_destroy(w->database);
	w->coin = w->database = NULL;
	if (w->files)
		otd_files_rooted_destroy(w->files);
	w->files = NULL;
	if (w->plugins)
		otd_plugins_destroy(w->plugins);
	w->plugins = NULL;
	if (w->options)
		otd_yaml_destroy(w->options);
	w->options = NULL;
	if (w->loop)
		sim_env(w->sim)->ops->loop_destroy(w->loop);
	w->loop = NULL;
}

/* --- the first life --- */

static otd_rc make_accounts(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct pay_world *w = arg;
	int64_t now = otd_wall_ms(sim_env(w->sim)), key = 0;
	otd_rc rc = OTD_OK;
	for (unsigned i = 0; !rc && i < PAY_POOLS; i++) {
		struct otd_value v[] = {OTD_TEXT(pool_name[i]), OTD_TEXT(ASSET)};
		rc = otd_db_exec(db, "INSERT INTO pools(name, asset) VALUES(?, ?)", v, 2, NULL,
				 &key, err);
		w->pool_id[i] = (uint64_t)key;
		if (!rc)
			rc = otd_pay_pool_set(db, w->pool_id[i], true, now, err);
	}
	for (unsigned i = 0; !rc && i < PAY_ACCOUNTS; i++) {
		struct otd_value v[] = {OTD_INT(w->pool_id[pool_of(i)]), OTD_TEXT(w->address[i]),
					OTD_INT(now)};
		rc = otd_db_exec(db,
				 "INSERT INTO accounts(pool_id, address, created_ms)"
				 " VALUES(?, ?, ?)",
				 v, 3, NULL, &key, err);
		w->account_id[i] = (uint64_t)key;
	}
	return rc;
}

void pay_world_init(struct pay_world *w, uint64_t seed, unsigned rounds)
{
	static const struct sim_node_conf conf = {.url = URL,
						  .user = "u",
						  .password = "p",
						  .wallet = "pool",
						  .hrp = "bcrt",
						  .block_ms = 60000,
						  .maturity = 10,
						  .blocks = 60,
						  .our_ppm = 500000,
						  .reward = 12000000};
	char label[32];
	*w = (struct pay_world){.seed = seed, .rounds = rounds, .sim = sim_create(seed)};
	logged = w->sim;
	w->node = sim_node_create(w->sim, &conf);
	for (unsigned i = 0; i < PAY_LABELS; i++)
		sim_node_address(w->node, w->address[i], pay_label(label, i));
	sim_node_address(w->node, w->change, "change");
	if (open_all(w) || otd_store_do_now(w->store, true, make_accounts, w, &w->err))
		pay_fail(w, "making accounts: %s", w->err.text);
	pay_end(w);
}

void pay_world_finish(struct pay_world *w)
{
	sim_node_check(w->node);
	sim_node_destroy(w->node);
	logged = NULL;
	sim_destroy(w->sim);
}

/* --- what is due, and more of it --- */

struct errand {
	otd_rc (*work)(void *, struct otd_db *, struct otd_err *);
	void *arg;
	struct otd_err err;
	bool done;
};

static otd_rc errand_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct errand *e = arg;
	return e->work(e->arg, db, err);
}

static void errand_done(void *arg, const struct otd_err *err)
{
	struct errand *e = arg;
	e->err = *err;
	e->done = true;
}

static bool errand_is_done(void *arg)
{
	return ((struct errand *)arg)->done;
}

void pay_store(struct pay_world *w, otd_rc (*work)(void *, struct otd_db *, struct otd_err *),
	       void *arg)
{
	struct errand e = {.work = work, .arg = arg};
	if (otd_store_do(w->store, false, errand_work, errand_done, &e) ||
	    !sim_run(w->sim, 600000, errand_is_done, &e) || e.err.rc)
		pay_fail(w, "the database cannot be asked: %s", e.err.text);
}

static bool count_due(void *arg, const struct otd_ledger_account *a)
{
	struct pay_world *w = arg;
	w->look.due += a->kind == OTD_ACC_MINER && a->amount >= MINIMUM;
	return true;
}

static otd_rc look_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct pay_world *w = arg;
	w->look.due = 0;
	otd_rc rc = otd_db_int(db, "SELECT COUNT(*) FROM payments WHERE state < 5", NULL, 0,
			       &w->look.live, err);
	if (!rc)
		rc = otd_db_int(db, "SELECT COUNT(*) FROM payments WHERE state < 5 AND held <> 0",
				NULL, 0, &w->look.held, err);
	return rc ? rc : otd_ledger_balances(db, count_due, w, err);
}

static void looked(void *arg, const struct otd_err *err)
{
	struct pay_world *w = arg;
	w->busy = false;
	w->has_look = err->rc == OTD_OK;
}

static otd_rc post_round(struct pay_world *w, unsigned pool, struct otd_db *db, struct otd_err *err)
{
	struct otd_entry e[PAY_ACCOUNTS + 2];
	otd_i128 sum = 0;
	char key[40];
	size_t n = 1;
	for (unsigned i = 0; i < PAY_ACCOUNTS; i++) {
		if (pool_of(i) != pool)
			continue;
		e[n++] = (struct otd_entry){OTD_ACC_MINER, w->account_id[i], pay_amount(w->fed, i)};
		sum += pay_amount(w->fed, i);
	}
	if (pool == 0) {
		e[n++] = (struct otd_entry){OTD_ACC_FEE, w->pool_id[0], pay_fee_earned(w->fed)};
		sum += pay_fee_earned(w->fed);
	}
	e[0] = (struct otd_entry){OTD_ACC_REWARD, w->pool_id[pool], -sum};
	(void)snprintf(key, sizeof(key), "round/%u/%s", w->fed, pool_name[pool]);
	const struct otd_posting p = {.key = key,
				      .asset = ASSET,
				      .memo = "a round",
				      .time_ms = otd_wall_ms(sim_env(w->sim)),
				      .entries = e,
				      .n = n};
	otd_rc rc = otd_ledger_post(db, &p, err);
	return rc == OTD_E_EXISTS ? OTD_OK : rc;
}

static otd_rc feed_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	otd_rc rc = post_round(arg, 0, db, err);
	return rc ? rc : post_round(arg, 1, db, err);
}

static void fed(void *arg, const struct otd_err *err)
{
	struct pay_world *w = arg;
	w->busy = w->has_look = false;
	if (err->rc == OTD_OK)
		w->fed++;
}

bool pay_settled(void *world)
{
	struct pay_world *w = world;
	int64_t now = sim_now_ms(w->sim);
	if (w->busy || sim_dead(w->sim))
		return false;
	if (w->has_look && w->look.live == 0 && w->look.due == 0) {
		if (w->fed == w->rounds)
			return true;
		w->busy = true;
		/* What was posted in a life that ended then is posted again, and is there already. */
		if (otd_store_do(w->store, true, feed_work, fed, w))
			pay_fail(w, "no round can be credited");
		return false;
	}
	if (now - w->looked_ms < 2000)
		return false;
	w->looked_ms = now;
	w->busy = true;
	if (otd_store_do(w->store, false, look_work, looked, w))
		pay_fail(w, "the database cannot be asked");
	return false;
}
