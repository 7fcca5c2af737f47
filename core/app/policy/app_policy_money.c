/* The coordinator's hooks: fees, terms and reviews of payments, and what happens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_fee.h"
#include "app/app_parts.h"
#include "app/policy/app_policy_impl.h"
#include "base/log.h"
#include "base/text.h"
#include "ledger/audit.h"

#include <jansson.h>

static struct otd_policy *policy_of(const struct otd_app_policy *p)
{
	return p->thread[0].policy;
}

static bool any_wants(const struct otd_app_policy *p, enum otd_policy_hook h)
{
	for (size_t i = 0; i < p->app->n_pools; i++) {
		const struct otd_settings_pool *s = p->app->pools[i].settings;
		if (s && otd_policy_wants(policy_of(p), h, s->name))
			return true;
	}
	return false;
}

/* --- fees --- */

static struct policy_fee *fee_of(const struct otd_app_policy *p, const char *pool)
{
	for (size_t i = 0; i < p->n_fee; i++)
		if (strcmp(p->fee[i].pool, pool) == 0)
			return &p->fee[i];
	return NULL;
}

static struct policy_fee *fee_made(struct otd_app_policy *p, const char *pool)
{
	struct policy_fee *f = fee_of(p, pool);
	if (f)
		return f;
	f = realloc(p->fee, (p->n_fee + 1) * sizeof(*f));
	if (!f)
		return NULL;
	p->fee = f;
	f = &p->fee[p->n_fee++];
	*f = (struct policy_fee){0};
	snprintf(f->pool, sizeof(f->pool), "%s", pool);
	return f;
}

struct fee_row {
	int64_t time_ms;
	char *data;
};

static otd_rc fee_audit(void *arg, struct otd_db *db, struct otd_err *err) /* [store] */
{
	const struct fee_row *row = arg;
	return otd_audit_add(db, row->time_ms, "fee.policy", row->data, err);
}

static void fee_audited(void *arg, const struct otd_err *err)
{
	struct fee_row *row = arg;
	if (err->rc)
		otd_log(OTD_LOG_ERROR, "policy", "fee.not_audited", "what=%s error=%s",
			OTD_Q(row->data), OTD_Q(err->text));
	free(row->data);
	free(row);
}

static json_t *recipients_json(const struct otd_policy_fee_out *answer)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < answer->n_recipients; i++)
		(void)json_array_append_new(list, json_pack("{s:s, s:I}", "address",
							    answer->recipients[i].address, "ppm",
							    (json_int_t)answer->recipients[i].ppm));
	return list;
}

/* Also a line of the log. */
static char *fee_text(const struct otd_app_policy *p, const char *what, int64_t ppm,
		      const struct otd_policy_fee_out *answer, int64_t now_ms)
{
	size_t pool = strcspn(what, "/");
	const struct otd_app_fee_override *set =
		answer || what[pool] ? NULL : otd_app_fee_override(p->app, what);
	const char *script = answer ? answer->said.script : "";
	const char *why = answer ? answer->said.reason : set ? set->reason : "";
	const char *by = answer ? "policy" : set ? "override" : "settings";
	char *text = NULL;
	json_t *o = json_pack("{s:s%, s:I, s:s, s:s, s:s, s:I}", "pool", what, pool, "fee_ppm",
			      (json_int_t)ppm, "by", by, "script", script, "reason", why, "from_ms",
			      (json_int_t)now_ms);
	if (o && what[pool])
		(void)json_object_set_new(o, "account", json_string(what + pool + 1));
	if (o && answer && answer->n_recipients)
		(void)json_object_set_new(o, "recipients", recipients_json(answer));
	otd_log(OTD_LOG_INFO, "policy", "fee", "of=%s fee_ppm=%lld by=%s reason=%s", OTD_Q(what),
		(long long)ppm, *script ? OTD_Q(script) : by, OTD_Q(why));
	if (o)
		text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

/* The fee itself is in the journal; why, for people, goes to the audit log. */
void policy_fee_audit(struct otd_app_policy *p, const char *what, int64_t ppm,
		      const struct otd_policy_fee_out *answer, int64_t now_ms)
{
	struct fee_row *row = calloc(1, sizeof(*row));
	char *text = fee_text(p, what, ppm, answer, now_ms);
	if (!row || !text) {
		free(text);
		free(row);
		return;
	}
	*row = (struct fee_row){now_ms, text};
	if (!p->started) { /* nothing is served yet: it may wait */
		struct otd_err err = {0};
		err.rc = otd_store_do_now(p->app->store, true, fee_audit, row, &err);
		fee_audited(row, &err);
	} else if (otd_store_do(p->app->store, true, fee_audit, fee_audited, row) != OTD_OK) {
		free(row->data);
		free(row);
	}
}

bool policy_same_recipients(const struct otd_policy_fee_out *a, const struct otd_policy_fee_out *b)
{
	if (a->n_recipients != b->n_recipients)
		return false;
	for (size_t i = 0; i < a->n_recipients; i++)
		if (a->recipients[i].ppm != b->recipients[i].ppm ||
		    strcmp(a->recipients[i].address, b->recipients[i].address) != 0)
			return false;
	return true;
}

/* An address that the chain does not take would stop the whole payment of the fee. */
static void drop_bad_recipients(const struct otd_app_pool *pool, struct otd_policy_fee_out *out)
{
	uint8_t script[128];
	size_t len;
	for (size_t i = 0; i < out->n_recipients; i++) {
		struct otd_err err = {0};
		const char *a = out->recipients[i].address;
		if (otd_chain_address(pool->chain->chain, a, strlen(a), script, sizeof(script),
				      &len, &err) == OTD_OK)
			continue;
		otd_log(OTD_LOG_ERROR, "policy", "fee.recipient",
			"pool=%s script=%s error=%s now=\"recipients of the settings\"",
			pool->settings->name, OTD_Q(out->said.script), OTD_Q(err.text));
		out->n_recipients = 0;
	}
}

static void fee_ask(struct otd_app_policy *p, const struct otd_app_pool *pool,
		    const struct otd_acct_pool_status *st, struct policy_fee *f, int64_t now_ms)
{
	const struct otd_settings_pool *s = pool->settings;
	const struct policy_fee before = *f;
	const int64_t base_ppm = otd_app_fee_base(p->app, s->name, s->fee_ppm);
	struct otd_policy_fee_out out = {0};
	const struct otd_policy_fee in = {
		.pool = s->name,
		.asset = s->coin->symbol,
		.yaml_ppm = base_ppm,
		.max_ppm = FEE_MOST_PPM,
		.work_10min = st ? st->work_10min : 0,
		.work_1h = st ? st->work_1h : 0,
		.pool_work_1h = st ? st->work_1h : 0,
		.workers = st ? (int64_t)st->workers : 0,
		.known_s = 0, /* a pool has no first share */
		.last = f->known ? &f->last : NULL,
	};
	otd_policy_fee(policy_of(p), &out, &in);
	f->in_force = out.said.from != OTD_POLICY_HOST;
	f->next_ms = now_ms + (out.valid_s > 0 ? out.valid_s : 60) * 1000;
	if (out.said.from == OTD_POLICY_SCRIPT)
		drop_bad_recipients(pool, &out);
	/* A script that has failed and never answered has no last good answer. */
	f->known = out.said.from == OTD_POLICY_SCRIPT || (f->in_force && f->known);
	f->last = out;
	int64_t ppm = f->in_force ? out.ppm : base_ppm;
	otd_accounting_fee(p->app->accounting, s->name, ppm, now_ms);
	if (before.in_force != f->in_force || (f->in_force && before.last.ppm != out.ppm) ||
	    (f->in_force && strcmp(before.last.said.reason, out.said.reason) != 0))
		policy_fee_audit(p, f->pool, ppm, f->in_force ? &out : NULL, now_ms);
	if (!policy_same_recipients(&before.last, &out) && p->app->payer) {
		struct otd_err err = {0};
		if (otd_app_configure_payer(p->app, &err) != OTD_OK)
			otd_log(OTD_LOG_ERROR, "policy", "fee.recipients", "error=%s",
				OTD_Q(err.text));
	}
}

/* What was in force before a restart is the last good answer. Before the accounting begins with the
   settings' fee. */
void policy_fees_seed(struct otd_app_policy *p)
{
	struct otd_acct_status *st = NULL;
	if (otd_accounting_status(p->app->accounting, &st, 0, 0) != OTD_OK)
		return;
	for (size_t i = 0; i < st->n_pools; i++) {
		const struct otd_acct_pool_status *s = &st->pools[i];
		struct policy_fee *f = otd_policy_wants(policy_of(p), OTD_HOOK_FEE, s->name)
					       ? fee_made(p, s->name)
					       : NULL;
		if (!f)
			continue;
		f->known = true;
		f->last = (struct otd_policy_fee_out){.ppm = s->fee_ppm, .valid_s = 60};
	}
	otd_accounting_status_destroy(st);
}

void policy_fees_ask(struct otd_app_policy *p, bool now)
{
	struct otd_app *app = p->app;
	struct otd_acct_status *st = NULL;
	int64_t now_ms = otd_wall_ms(app->env);
	for (size_t i = 0; i < app->n_pools; i++) {
		const struct otd_app_pool *pool = &app->pools[i];
		const struct otd_settings_pool *s = pool->settings;
		if (!s || !pool->chain || !app->accounting)
			continue;
		struct policy_fee *f = fee_of(p, s->name);
		bool wanted = otd_policy_wants(policy_of(p), OTD_HOOK_FEE, s->name);
		if (!wanted && (!f || !f->in_force))
			continue;
		f = fee_made(p, s->name);
		if (!f || (!now && f->next_ms > now_ms))
			continue;
		if (!st)
			(void)otd_accounting_status(app->accounting, &st, 0, 0);
		const struct otd_acct_pool_status *at = NULL;
		for (size_t k = 0; st && k < st->n_pools; k++)
			if (strcmp(st->pools[k].name, s->name) == 0)
				at = &st->pools[k];
		fee_ask(p, pool, at, f, now_ms);
	}
	otd_accounting_status_destroy(st);
}

int64_t otd_app_policy_fee(const struct otd_app *app, const char *pool, int64_t yaml_ppm)
{
	const struct policy_fee *f = app->policy ? fee_of(app->policy, pool) : NULL;
	return f && f->in_force ? f->last.ppm : otd_app_fee_base(app, pool, yaml_ppm);
}

void otd_app_policy_fee_base(struct otd_app *app, const char *pool, int64_t base_ppm)
{
	struct otd_app_policy *p = app->policy;
	struct policy_fee *f = fee_of(p, pool);
	int64_t now_ms = otd_wall_ms(app->env);
	if (f) {
		f->next_ms = 0;
		policy_fees_ask(p, false);
		f = fee_of(p, pool);
	}
	policy_accounts_anew(p);
	if (f && f->in_force)
		return;
	otd_accounting_fee(app->accounting, pool, base_ppm, now_ms);
	policy_fee_audit(p, pool, base_ppm, NULL, now_ms);
}

void otd_app_policy_fee_status(const struct otd_app *app, const char *pool,
			       struct otd_app_policy_fee_status *out)
{
	const struct policy_fee *f = app->policy ? fee_of(app->policy, pool) : NULL;
	bool on = f && f->in_force;
	const struct otd_app_fee_override *set = on ? NULL : otd_app_fee_override(app, pool);
	*out = (struct otd_app_policy_fee_status){.by = on    ? "policy"
							: set ? "override"
							      : "settings",
						  .script = on ? f->last.said.script : "",
						  .reason = on    ? f->last.said.reason
							    : set ? set->reason
								  : "",
						  .fallback = on && f->last.said.from ==
									    OTD_POLICY_FALLBACK};
}

size_t otd_app_policy_recipients(const struct otd_app *app, const char *pool,
				 const struct otd_policy_recipient **out)
{
	const struct policy_fee *f = app->policy ? fee_of(app->policy, pool) : NULL;
	*out = f ? f->last.recipients : NULL;
	return f && f->in_force ? f->last.n_recipients : 0;
}

/* --- payments --- */

static bool payer_wants(void *arg, enum otd_policy_hook h, const char *pool)
{
	return otd_policy_wants(policy_of(arg), h, pool);
}

static void payer_terms(void *arg, struct otd_policy_terms_out *out,
			const struct otd_policy_terms *in)
{
	otd_policy_payout_terms(policy_of(arg), out, in);
}

static void payer_review(void *arg, struct otd_policy_payment_out *out,
			 const struct otd_policy_payment *in)
{
	otd_policy_review_payment(policy_of(arg), out, in);
}

void policy_payer_init(struct otd_app_policy *p)
{
	p->payer = (struct otd_payer_policy){
		.wants = payer_wants, .terms = payer_terms, .review = payer_review, .arg = p};
}

const struct otd_payer_policy *otd_app_policy_payer(struct otd_app *app)
{
	return app->policy ? &app->policy->payer : NULL;
}

/* --- blocks --- */

static enum otd_policy_block_state block_state(uint32_t state)
{
	switch (state) {
	case OTD_BLOCK_ACCEPTED: return OTD_POLICY_BLOCK_ACCEPTED;
	case OTD_BLOCK_CONFIRMING: return OTD_POLICY_BLOCK_CONFIRMING;
	case OTD_BLOCK_MATURE: return OTD_POLICY_BLOCK_MATURE;
	case OTD_BLOCK_ORPHANED: return OTD_POLICY_BLOCK_ORPHANED;
	default: return OTD_POLICY_BLOCK_FOUND;
	}
}

static void tell_block(struct otd_app_policy *p, const struct otd_acct_block *b)
{
	char hash[65];
	otd_hex_encode_reverse(hash, b->hash, 32);
	const struct otd_policy_block in = {.pool = b->pool_name,
					    .asset = b->asset,
					    .state = block_state(b->state),
					    .height = (int64_t)b->height,
					    .hash = hash,
					    .account = b->account,
					    .worker = b->worker,
					    .scheme = b->scheme,
					    .value = b->value,
					    .fee = b->fee,
					    .effort_ppm = (int64_t)b->effort_ppm,
					    .confirmations = b->confirmations};
	if (otd_policy_wants(policy_of(p), OTD_HOOK_BLOCK, b->pool_name))
		otd_policy_block(policy_of(p), &in);
}

static struct policy_block_seen *block_seen(struct otd_app_policy *p,
					    const struct otd_acct_block *b)
{
	for (size_t i = 0; i < p->n_blocks; i++)
		if (p->block[i].epoch == b->epoch && p->block[i].seq == b->share_seq)
			return &p->block[i];
	return NULL;
}

/* Whose state is not what it was a second ago, oldest first. At the start nothing is news. */
static void look_at_blocks(struct otd_app_policy *p, const struct otd_acct_status *st)
{
	struct policy_block_seen now[POLICY_BLOCKS];
	size_t n = 0;
	for (size_t i = st->n_blocks; i-- > 0;) {
		const struct otd_acct_block *b = &st->blocks[i];
		const struct policy_block_seen *seen = block_seen(p, b);
		if (p->blocks_known && (!seen || block_state(seen->state) != block_state(b->state)))
			tell_block(p, b);
		if (n < POLICY_BLOCKS)
			now[n++] = (struct policy_block_seen){b->epoch, b->share_seq, b->state};
	}
	memcpy(p->block, now, n * sizeof(now[0]));
	p->n_blocks = n;
	p->blocks_known = true;
}

/* --- nodes --- */

static const char *pool_of_chain(const struct otd_app *app, const struct otd_app_chain *c,
				 const char **coin)
{
	for (size_t i = 0; i < app->n_pools; i++)
		if (app->pools[i].chain == c && app->pools[i].settings) {
			*coin = app->pools[i].settings->coin_id;
			return app->pools[i].settings->name;
		}
	return NULL;
}

static struct policy_node_seen *node_seen(struct otd_app_policy *p, const char *name, bool *fresh)
{
	for (size_t i = 0; i < p->n_nodes; i++)
		if (strcmp(p->node[i].name, name) == 0)
			return &p->node[i];
	struct policy_node_seen *all = realloc(p->node, (p->n_nodes + 1) * sizeof(*all));
	if (!all)
		return NULL;
	p->node = all;
	all = &all[p->n_nodes++];
	*all = (struct policy_node_seen){0};
	snprintf(all->name, sizeof(all->name), "%s", name);
	*fresh = true;
	return all;
}

static void look_at_node(struct otd_app_policy *p, const struct otd_app_chain *chain, size_t i)
{
	struct otd_node_status n;
	const char *coin = "", *pool = pool_of_chain(p->app, chain, &coin);
	bool fresh = false;
	otd_chain_node_status(chain->chain, i, &n);
	struct policy_node_seen *seen = pool ? node_seen(p, n.name, &fresh) : NULL;
	if (!seen)
		return;
	bool same = seen->up == n.up && seen->in_use == n.in_use && seen->syncing == n.syncing;
	seen->up = n.up;
	seen->in_use = n.in_use;
	seen->syncing = n.syncing;
	if ((same && !fresh) || !otd_policy_wants(policy_of(p), OTD_HOOK_NODE, pool))
		return;
	const struct otd_policy_node in = {.pool = pool,
					   .node = n.name,
					   .coin = coin,
					   .up = n.up,
					   .in_use = n.in_use,
					   .syncing = n.syncing,
					   .height = (int64_t)n.height,
					   .latency_ms = (int64_t)(n.latency_us / 1000),
					   .error = n.up ? NULL : n.last_error};
	otd_policy_node(policy_of(p), &in);
}

/* --- minutes --- */

static uint64_t refused_of(const struct otd_acct_pool_status *s)
{
	uint64_t n = 0;
	for (int i = 1; i < OTD_SHARE_VERDICTS; i++)
		n += s->refused[i];
	return n;
}

static int64_t blocks_waiting(const struct otd_acct_status *st, const char *pool)
{
	int64_t n = 0;
	for (size_t i = 0; i < st->n_blocks; i++)
		n += strcmp(st->blocks[i].pool_name, pool) == 0 &&
		     st->blocks[i].state < OTD_BLOCK_MATURE;
	return n;
}

static void tell_minute(struct otd_app_policy *p, const struct otd_acct_status *st, size_t i,
			const uint64_t before[2])
{
	const struct otd_acct_pool_status *s = &st->pools[i];
	struct otd_app *app = p->app;
	struct otd_chain *chain = NULL;
	int64_t up = 0, sessions = 0;
	for (size_t k = 0; k < app->n_pools; k++)
		if (app->pools[k].settings && app->pools[k].chain &&
		    strcmp(app->pools[k].settings->name, s->name) == 0)
			chain = app->pools[k].chain->chain;
	for (size_t k = 0; chain && k < otd_chain_nodes(chain); k++) {
		struct otd_node_status n;
		otd_chain_node_status(chain, k, &n);
		up += n.up && !n.syncing;
	}
	for (size_t k = 0; k < app->n_reactors; k++)
		sessions += (int64_t)otd_stratum_sessions(app->reactors[k].stratum);
	const struct otd_chain_template *t = chain ? otd_chain_template(chain) : NULL;
	const struct otd_policy_minute in = {.pool = s->name,
					     .asset = s->asset,
					     .sessions = sessions,
					     .workers = (int64_t)s->workers,
					     .accepted = (int64_t)(s->accepted - before[0]),
					     .refused = (int64_t)(refused_of(s) - before[1]),
					     .work_10min = s->work_10min,
					     .work_1h = s->work_1h,
					     .network_work = s->network_work,
					     .effort_ppm = (int64_t)s->effort_ppm,
					     .height = t && t->height ? (int64_t)t->height - 1 : 0,
					     .nodes_up = up,
					     .nodes = chain ? (int64_t)otd_chain_nodes(chain) : 0,
					     .blocks_waiting = blocks_waiting(st, s->name),
					     .payments_waiting =
						     otd_payer_has(app->payer, s->name)};
	otd_policy_minute(policy_of(p), &in);
}

static void look_at_minute(struct otd_app_policy *p, const struct otd_acct_status *st)
{
	uint64_t *now = calloc(st->n_pools ? 2 * st->n_pools : 2, sizeof(*now));
	static const uint64_t none[2];
	for (size_t i = 0; i < st->n_pools; i++) {
		const struct otd_acct_pool_status *s = &st->pools[i];
		/* Numbers of pools shift only where one goes; what is less than before is new. */
		const uint64_t *before = p->shares && i < p->n_shares ? &p->shares[2 * i] : none;
		if (before[0] > s->accepted || before[1] > refused_of(s))
			before = none;
		if (otd_policy_wants(policy_of(p), OTD_HOOK_MINUTE, s->name))
			tell_minute(p, st, i, before);
		if (now) {
			now[2 * i] = s->accepted;
			now[2 * i + 1] = refused_of(s);
		}
	}
	free(p->shares);
	p->shares = now;
	p->n_shares = now ? st->n_pools : 0;
}

void policy_events_begin(struct otd_app_policy *p)
{
	struct otd_acct_status *st = NULL;
	if (!any_wants(p, OTD_HOOK_BLOCK) ||
	    otd_accounting_status(p->app->accounting, &st, 0, POLICY_BLOCKS) != OTD_OK)
		return;
	look_at_blocks(p, st);
	otd_accounting_status_destroy(st);
}

void policy_events_tick(struct otd_app_policy *p, int64_t now_ms)
{
	struct otd_app *app = p->app;
	struct otd_acct_status *st = NULL;
	bool blocks = any_wants(p, OTD_HOOK_BLOCK);
	bool minute = now_ms >= p->minute_ms;
	if (any_wants(p, OTD_HOOK_NODE))
		for (size_t i = 0; i < app->n_chains; i++)
			for (size_t k = 0;
			     app->chains[i].chain && k < otd_chain_nodes(app->chains[i].chain); k++)
				look_at_node(p, &app->chains[i], k);
	if (minute)
		p->minute_ms = now_ms + 60000;
	p->blocks_known &= blocks; /* scripts that come learn what happens from then on */
	if ((!blocks && !minute) ||
	    otd_accounting_status(app->accounting, &st, 0, POLICY_BLOCKS) != OTD_OK)
		return;
	if (blocks)
		look_at_blocks(p, st);
	if (minute)
		look_at_minute(p, st);
	otd_accounting_status_destroy(st);
}
