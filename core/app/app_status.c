/* The status of a running pool as JSON. Amounts are decimal strings in the coin's unit. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app_parts.h"
#include "app/app_tls.h"
#include "app/policy/app_policy.h"
#include "app/processes/processes.h"
#include "app/upgrade/upgrade.h"
#include "base/log.h"
#include "base/text.h"
#include "ledger/ledger.h"

#define WORKERS_SHOWN    200
#define BLOCKS_SHOWN     50
#define BALANCES_SHOWN   1000
#define BALANCES_WAIT_MS 3000 /* a database that hangs must not hang the status */

struct status {
	struct otd_app *app;
	struct otd_control_request *request;
	struct otd_timer *timer;
	bool answered, read_ended;
};

static void json_text(struct otd_bytes *b, const char *key, const char *value)
{
	(void)otd_bytes_format(b, "\"%s\":", key);
	(void)otd_bytes_json(b, value, strlen(value));
}

/* ",": between members, or nothing before the first. */
static void comma(struct otd_bytes *b)
{
	uint8_t last = b->len ? b->ptr[b->len - 1] : '{';
	if (last != '{' && last != '[')
		(void)otd_bytes_text(b, ",");
}

static void json_rate(struct otd_bytes *b, otd_u128 work, int64_t ms)
{
	char text[OTD_RATE_TEXT];
	uint64_t rate = (uint64_t)(work * 1000 / (otd_u128)ms);
	(void)otd_bytes_format(b, ",\"hashrate\":\"%s\",\"hashes_a_second\":%" PRIu64,
			       otd_format_hashrate(text, work, ms), rate);
}

static void json_refused(struct otd_bytes *b, const uint64_t refused[OTD_SHARE_VERDICTS])
{
	uint64_t sum = 0;
	(void)otd_bytes_text(b, ",\"refused_by\":{");
	for (int i = 1; i < OTD_SHARE_VERDICTS; i++) {
		if (!refused[i])
			continue;
		comma(b);
		(void)otd_bytes_format(b, "\"%s\":%" PRIu64, otd_share_verdict_name(i), refused[i]);
		sum += refused[i];
	}
	(void)otd_bytes_format(b, "},\"refused\":%" PRIu64, sum);
}

static void json_percent(struct otd_bytes *b, const char *key, uint64_t ppm)
{
	(void)otd_bytes_format(b, ",\"%s\":\"%" PRIu64 ".%02" PRIu64 "\"", key, ppm / 10000,
			       ppm % 10000 / 100);
}

static const struct otd_coin *coin_of(struct otd_app *app, const char *pool)
{
	const struct otd_settings_pool *p = otd_settings_pool(app->settings, pool);
	for (size_t i = 0; !p && i < app->n_pools; i++) {
		if (app->pools[i].was && strcmp(app->pools[i].was->name, pool) == 0)
			p = app->pools[i].was;
	}
	return p ? p->coin : NULL;
}

static void json_amount(struct otd_bytes *b, const char *key, otd_i128 v,
			const struct otd_coin *coin)
{
	char text[OTD_AMOUNT_TEXT], units[OTD_I128_TEXT];
	(void)otd_bytes_format(b, ",\"%s\":\"%s\",\"%s_units\":\"%s\"", key,
			       otd_format_amount(text, v, coin ? (unsigned)coin->decimals : 0), key,
			       otd_format_i128(units, v));
}

/* Which fee is in force, and who says so. */
static void json_fee(struct otd_app *app, struct otd_bytes *b, const struct otd_acct_pool_status *p,
		     const struct otd_settings_pool *conf)
{
	struct otd_app_policy_fee_status f;
	otd_app_policy_fee_status(app, p->name, &f);
	(void)otd_bytes_format(b, ",\"fee\":{\"ppm\":%" PRId64 ",\"settings_ppm\":%" PRId64 ",",
			       p->fee_ppm, conf->fee_ppm);
	json_text(b, "by", f.by);
	comma(b);
	json_text(b, "policy", f.script);
	comma(b);
	json_text(b, "reason", f.reason);
	(void)otd_bytes_format(b, ",\"fallback\":%s}", f.fallback ? "true" : "false");
}

static void write_pools(struct otd_app *app, struct otd_bytes *b, const struct otd_acct_status *s)
{
	size_t sessions = otd_app_processes_sessions(app);
	for (size_t i = 0; i < app->n_reactors; i++)
		sessions += otd_stratum_sessions(app->reactors[i].stratum);
	(void)otd_bytes_text(b, ",\"pools\":[");
	for (size_t i = 0; i < s->n_pools; i++) {
		const struct otd_acct_pool_status *p = &s->pools[i];
		const struct otd_app_pool *pool =
			p->slot < app->n_pools ? &app->pools[p->slot] : NULL;
		const struct otd_settings_pool *conf = pool ? pool->settings : NULL;
		if (!conf)
			continue;
		const struct otd_chain_template *t = otd_chain_template(pool->chain->chain);
		comma(b);
		(void)otd_bytes_text(b, "{");
		json_text(b, "name", p->name);
		comma(b);
		json_text(b, "coin", conf->coin_id);
		comma(b);
		json_text(b, "network", conf->network);
		comma(b);
		json_text(b, "asset", p->asset);
		comma(b);
		json_text(b, "scheme", p->scheme);
		(void)otd_bytes_format(b,
				       ",\"height\":%" PRIu64 ",\"workers\":%" PRIu64
				       ",\"sessions\":%zu,\"accepted\":%" PRIu64,
				       t ? t->height - 1 : 0, p->workers, sessions, p->accepted);
		json_refused(b, p->refused);
		json_fee(app, b, p, conf);
		int64_t up = otd_wall_ms(app->env) - app->started_ms;
		json_rate(b, p->work_10min, up < 600000 ? (up > 1000 ? up : 1000) : 600000);
		json_percent(b, "effort_percent", p->effort_ppm);
		json_percent(b, "luck_percent", p->luck_ppm);
		(void)otd_bytes_format(b,
				       ",\"blocks\":%" PRIu64 ",\"orphaned\":%" PRIu64
				       ",\"window_accounts\":%" PRIu64 "}",
				       p->blocks, p->blocks_orphaned, p->window_accounts);
	}
	(void)otd_bytes_text(b, "]");
}

static void write_workers(struct otd_app *app, struct otd_bytes *b, const struct otd_acct_status *s)
{
	int64_t up = otd_wall_ms(app->env) - app->started_ms;
	(void)otd_bytes_text(b, ",\"workers\":[");
	for (size_t i = 0; i < s->n_workers; i++) {
		const struct otd_acct_worker_status *w = &s->workers[i];
		char name[400];
		snprintf(name, sizeof(name), "%s%s%s", w->account, *w->worker ? "." : "",
			 w->worker);
		comma(b);
		(void)otd_bytes_text(b, "{");
		json_text(b, "pool", w->pool);
		comma(b);
		json_text(b, "name", name);
		comma(b);
		json_text(b, "account", w->account);
		(void)otd_bytes_format(b, ",\"accepted\":%" PRIu64 ",\"last_share_ms\":%" PRId64,
				       w->accepted, w->last_share_ms);
		json_refused(b, w->refused_by);
		json_rate(b, w->work_10min, up < 600000 ? (up > 1000 ? up : 1000) : 600000);
		(void)otd_bytes_text(b, "}");
	}
	(void)otd_bytes_text(b, "]");
}

static void write_blocks(struct otd_app *app, struct otd_bytes *b, const struct otd_acct_status *s)
{
	(void)otd_bytes_text(b, ",\"blocks\":[");
	for (size_t i = 0; i < s->n_blocks; i++) {
		const struct otd_acct_block *k = &s->blocks[i];
		const struct otd_coin *coin = coin_of(app, k->pool_name);
		char hash[65];
		otd_hex_encode_reverse(hash, k->hash, 32);
		comma(b);
		(void)otd_bytes_format(b,
				       "{\"id\":\"%" PRIu64 "-%" PRIu64 "\",\"height\":%" PRIu64
				       ",\"hash\":\"%s\",\"state\":\"%s\",\"confirmations\":%u"
				       ",\"time_ms\":%" PRId64 ",\"held\":%s,",
				       k->epoch, k->share_seq, k->height, hash,
				       otd_block_state_name((enum otd_block_state)k->state),
				       k->confirmations, k->time_ms, k->held ? "true" : "false");
		json_text(b, "pool", k->pool_name);
		comma(b);
		json_text(b, "asset", k->asset);
		comma(b);
		json_text(b, "scheme", k->scheme);
		comma(b);
		json_text(b, "account", k->account);
		comma(b);
		json_text(b, "worker", k->worker);
		json_amount(b, "value", k->value, coin);
		json_amount(b, "fee", k->fee, coin);
		json_percent(b, "effort_percent", k->effort_ppm);
		(void)otd_bytes_text(b, "}");
	}
	(void)otd_bytes_text(b, "]");
}

static const char *kind_name(uint32_t kind)
{
	static const char *const names[] = {
		"",       "reward",     "immature", "spendable",   "fee",   "fee_immature", "dust",
		"paying", "fee_paying", "paid",     "network_fee", "funds", "risk"};
	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "other";
}

static void write_balances(struct otd_app *app, struct otd_bytes *b,
			   const struct otd_acct_balance *rows, size_t n)
{
	bool more = n > BALANCES_SHOWN; /* "otedama account list" has all */
	n = more ? BALANCES_SHOWN : n;
	(void)otd_bytes_format(b, ",\"more_balances\":%s,\"balances\":[", more ? "true" : "false");
	for (size_t i = 0; i < n; i++) {
		comma(b);
		(void)otd_bytes_text(b, "{");
		json_text(b, "pool", rows[i].pool);
		comma(b);
		json_text(b, "owner", *rows[i].account ? rows[i].account : "the pool");
		comma(b);
		json_text(b, "kind", kind_name(rows[i].kind));
		comma(b);
		json_text(b, "asset", rows[i].asset);
		json_amount(b, "amount", rows[i].amount, coin_of(app, rows[i].pool));
		(void)otd_bytes_text(b, "}");
	}
	(void)otd_bytes_text(b, "]");
}

static void write_nodes(struct otd_app *app, struct otd_bytes *b)
{
	(void)otd_bytes_text(b, ",\"nodes\":[");
	for (size_t i = 0; i < app->n_chains; i++) {
		for (size_t k = 0;
		     app->chains[i].chain && k < otd_chain_nodes(app->chains[i].chain); k++) {
			struct otd_node_status n;
			otd_chain_node_status(app->chains[i].chain, k, &n);
			comma(b);
			(void)otd_bytes_text(b, "{");
			json_text(b, "name", n.name);
			comma(b);
			json_text(b, "software", n.software);
			comma(b);
			json_text(b, "state", n.syncing ? "syncing" : n.up ? "up" : "down");
			comma(b);
			json_text(b, "error", n.up ? "" : n.last_error);
			(void)otd_bytes_format(
				b,
				",\"height\":%" PRIu64 ",\"in_use\":%s,\"errors\":%" PRIu64
				",\"requests\":%" PRIu64 "}",
				n.height, n.in_use ? "true" : "false", n.errors, n.requests);
		}
	}
	(void)otd_bytes_text(b, "]");
}

static void write_plugin(void *arg, struct otd_plugin *pl)
{
	struct otd_bytes *b = arg;
	const struct otd_plugin_desc *d = otd_plugin_desc(pl);
	char kind[32];
	snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(d->kind, "/"), d->kind);
	comma(b);
	(void)otd_bytes_text(b, "{");
	json_text(b, "kind", kind);
	comma(b);
	json_text(b, "id", d->id);
	comma(b);
	json_text(b, "version", d->version);
	comma(b);
	json_text(b, "license", d->license);
	comma(b);
	json_text(b, "digest", otd_plugin_digest(pl));
	(void)otd_bytes_text(b, "}");
}

static void attention(struct otd_bytes *b, const char *text)
{
	if (!*text)
		return;
	comma(b);
	(void)otd_bytes_json(b, text, strlen(text));
}

/* From the ledger, so that it is there after a restart too, until the pool's fee has made up for it. */
static void write_risk(struct otd_app *app, struct otd_bytes *b,
		       const struct otd_acct_balance *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct otd_coin *coin = coin_of(app, rows[i].pool);
		char amount[OTD_AMOUNT_TEXT], text[400];
		if (rows[i].kind != OTD_ACC_RISK || rows[i].amount >= 0)
			continue;
		(void)otd_format_amount(amount, rows[i].amount,
					coin ? (unsigned)coin->decimals : 0);
		snprintf(text, sizeof(text),
			 "pool %s has lost %s %s that it paid and does not have (a block orphaned "
			 "afterwards, or a payment that came twice): see the postings '.../risk' "
			 "and "
			 "'.../lost/...'; its fee is not paid out before it has made up for it",
			 rows[i].pool, amount + (amount[0] == '-'), rows[i].asset);
		attention(b, text);
	}
}

/* As reactors count it, those of other processes too. */
static void write_disk(struct otd_app *app, struct otd_bytes *b)
{
	char text[400];
	int64_t failing =
		otd_metric_get(otd_metric(app->metrics, OTD_GAUGE, "otd_journals_failing", "", ""));
	int64_t waiting = otd_metric_get(
		otd_metric(app->metrics, OTD_GAUGE, "otd_shares_unanswered", "", ""));
	if (failing <= 0)
		return;
	snprintf(text, sizeof(text),
		 "%lld journals cannot be written: new shares are refused, and %lld that came "
		 "before wait for their answer until the disk of data_dir (%.120s) has room and "
		 "works",
		 (long long)failing, (long long)(waiting > 0 ? waiting : 0), app->data_dir);
	attention(b, text);
}

static void write_attention(struct otd_app *app, struct otd_bytes *b,
			    const struct otd_acct_status *s, const struct otd_acct_balance *rows,
			    size_t n, const char *database)
{
	(void)otd_bytes_text(b, ",\"attention\":[");
	for (size_t i = 0; i < app->n_warnings; i++)
		attention(b, app->warning[i]);
	attention(b, otd_app_reload_trouble(app));
	attention(b, otd_heir_trouble(app));
	attention(b, app->gate ? otd_gate_trouble(app->gate) : "");
	write_disk(app, b);
	for (size_t i = 0; i < app->n_chains; i++)
		attention(b, app->chains[i].chain ? app->chains[i].trouble : "");
	for (size_t i = 0; i < app->n_pools; i++)
		attention(b, otd_coordinator_trouble(app->coordinator, i));
	for (size_t i = 0; i < s->n_alerts; i++)
		attention(b, s->alerts[i]);
	write_risk(app, b, rows, n);
	const char *payment;
	for (size_t i = 0; (payment = otd_payer_trouble(app->payer, i)); i++)
		attention(b, payment);
	const char *tls;
	for (size_t i = 0; (tls = otd_app_tls_trouble(app, i)); i++)
		attention(b, tls);
	const char *policy;
	for (size_t i = 0; (policy = otd_app_policy_trouble(app, i)); i++)
		attention(b, policy);
	const char *process;
	for (size_t i = 0; (process = otd_app_processes_trouble(app, i)); i++)
		attention(b, process);
	attention(b, database);
	(void)otd_bytes_text(b, "]");
}

static void answer(struct status *st, const struct otd_err *err,
		   const struct otd_acct_balance *rows, size_t n)
{
	struct otd_app *app = st->app;
	struct otd_acct_status *s = NULL;
	struct otd_bytes b;
	struct otd_err none = {0};
	char database[600] = "";
	if (st->answered)
		return;
	st->answered = true;
	otd_bytes_init(&b, 32u << 20);
	if (err->rc != OTD_OK)
		snprintf(database, sizeof(database), "the database does not answer: %s", err->text);
	if (otd_accounting_status(app->accounting, &s, WORKERS_SHOWN, BLOCKS_SHOWN) != OTD_OK) {
		otd_fail(&none, OTD_E_NOMEM, "out of memory");
		otd_control_answer(st->request, &none, NULL);
		return;
	}
	(void)otd_bytes_format(&b, "{\"version\":\"%s\",\"pid\":%ld,\"uptime_s\":%" PRId64,
			       OTEDAMA_VERSION, (long)getpid(),
			       (otd_wall_ms(app->env) - app->started_ms) / 1000);
	(void)otd_bytes_format(&b,
			       ",\"accounting\":{\"waiting\":%" PRIu64 ",\"epochs\":%" PRIu64
			       ",\"journal_bytes\":%" PRIu64 "}",
			       s->waiting, s->epochs, s->journal_bytes);
	otd_app_processes_status(app, &b);
	otd_heir_status(app, &b);
	write_pools(app, &b, s);
	write_workers(app, &b, s);
	write_blocks(app, &b, s);
	write_balances(app, &b, rows, n);
	write_nodes(app, &b);
	(void)otd_bytes_text(&b, ",\"plugins\":[");
	otd_plugins_each(app->plugins, write_plugin, &b);
	(void)otd_bytes_text(&b, "]");
	write_attention(app, &b, s, rows, n, database);
	(void)otd_bytes_text(&b, "}");
	if (b.failed)
		otd_fail(&none, OTD_E_NOMEM, "the status is too long");
	otd_control_answer(st->request, &none, &b);
	otd_bytes_finish(&b);
	otd_accounting_status_destroy(s);
}

static void let_go(struct status *st)
{
	if (!st->answered || !st->read_ended)
		return;
	if (st->timer)
		st->app->env->ops->timer_destroy(st->timer);
	free(st);
}

static void on_balances(void *arg, const struct otd_err *err, const struct otd_acct_balance *rows,
			size_t n)
{
	struct status *st = arg;
	st->read_ended = true;
	answer(st, err, rows, err->rc == OTD_OK ? n : 0);
	let_go(st);
}

static void on_timeout(void *arg)
{
	struct status *st = arg;
	struct otd_err err = {0};
	otd_fail(&err, OTD_E_TIMEOUT, "no answer within %d s", BALANCES_WAIT_MS / 1000);
	answer(st, &err, NULL, 0);
	let_go(st);
}

void otd_app_status(struct otd_app *app, struct otd_control_request *r)
{
	struct status *st = calloc(1, sizeof(*st));
	struct otd_err err = {0};
	if (!st) {
		otd_fail(&err, OTD_E_NOMEM, "out of memory");
		otd_control_answer(r, &err, NULL);
		return;
	}
	st->app = app;
	st->request = r;
	if (app->env->ops->timer_create(app->loop, &st->timer, on_timeout, st) == OTD_OK)
		app->env->ops->timer_start(st->timer, BALANCES_WAIT_MS, 0);
	otd_rc rc = otd_accounting_balances(app->accounting, BALANCES_SHOWN + 1, on_balances, st);
	if (rc != OTD_OK) {
		otd_fail(&err, rc, "%s", otd_rc_name(rc));
		on_balances(st, &err, NULL, 0);
	}
}
