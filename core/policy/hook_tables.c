/* The members of each hook's structs, and what comes out where no script says. */
#include "policy/internal.h"
#include <string.h>

#define IN(strct, member, kind)                                                           \
	{                                                                                 \
		.name = #member, .type = (kind), .offset = offsetof(struct strct, member) \
	}
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define WORK(strct, member, shown, s)                                                \
	{                                                                            \
		.name = #member, .lua = (shown), .type = FIELD_WORK, .seconds = (s), \
		.offset = offsetof(struct strct, member)                             \
	}
#define TARGET(strct, member, shown)                                   \
	{                                                              \
		.name = #member, .lua = (shown), .type = FIELD_TARGET, \
		.offset = offsetof(struct strct, member)               \
	}
#define TABLE(list, strct)                                                                     \
	.field = (list), .n = COUNT(list), .size = sizeof(struct strct), .asset_at = NO_FIELD, \
	.diff1_at = NO_FIELD, .min_at = NO_FIELD, .max_at = NO_FIELD

static const char *const words_refuse[] = {"allow", "refuse", NULL};
static const char *const words_offence[] = {"malformed",      "stale",        "duplicate",
					    "low_difficulty", "unauthorized", "invalid",
					    "flood",          "handshake",    NULL};
static const char *const words_action[] = {"none", "warn", "raise", "drop", "ban", NULL};
static const char *const words_scope[] = {"worker", "account", "ip", "prefix", NULL};
static const char *const words_review[] = {"pay", "hold", "reject", NULL};
static const char *const words_block[] = {"found",  "accepted", "confirming",
					  "mature", "orphaned", NULL};

/* --- reactor --- */

static const struct field connect_in[] = {
	IN(otd_policy_connect, pool, FIELD_TEXT),    IN(otd_policy_connect, host, FIELD_TEXT),
	IN(otd_policy_connect, port, FIELD_INT),     IN(otd_policy_connect, connections, FIELD_INT),
	IN(otd_policy_connect, sessions, FIELD_INT), IN(otd_policy_connect, tls, FIELD_BOOL),
};
static const struct field connect_out[] = {
	{.name = "action",
	 .type = FIELD_FLAG,
	 .words = words_refuse,
	 .offset = offsetof(struct otd_policy_connect_out, refuse)},
};

static bool connect_adverse(lua_State *L, void *out, const void *in)
{
	(void)L, (void)in;
	return ((struct otd_policy_connect_out *)out)->refuse;
}

static const struct field authorize_in[] = {
	IN(otd_policy_authorize, pool, FIELD_TEXT),
	IN(otd_policy_authorize, host, FIELD_TEXT),
	IN(otd_policy_authorize, port, FIELD_INT),
	IN(otd_policy_authorize, account, FIELD_TEXT),
	IN(otd_policy_authorize, worker, FIELD_TEXT),
	IN(otd_policy_authorize, agent, FIELD_TEXT),
	IN(otd_policy_authorize, scheme, FIELD_TEXT),
	IN(otd_policy_authorize, connections, FIELD_INT),
	IN(otd_policy_authorize, workers, FIELD_INT),
	TARGET(otd_policy_authorize, diff1, ""),
	TARGET(otd_policy_authorize, start, NULL),
	TARGET(otd_policy_authorize, min, NULL),
	TARGET(otd_policy_authorize, max, NULL),
};
static const struct field authorize_out[] = {
	{.name = "action",
	 .type = FIELD_FLAG,
	 .words = words_refuse,
	 .offset = offsetof(struct otd_policy_authorize_out, refuse)},
	{.name = "target",
	 .lua = "difficulty",
	 .type = FIELD_TARGET,
	 .has_flag = true,
	 .has_at = offsetof(struct otd_policy_authorize_out, has_target),
	 .offset = offsetof(struct otd_policy_authorize_out, target)},
};

static bool authorize_adverse(lua_State *L, void *out, const void *in)
{
	(void)L, (void)in;
	return ((struct otd_policy_authorize_out *)out)->refuse;
}

static const struct field difficulty_in[] = {
	IN(otd_policy_difficulty, pool, FIELD_TEXT),
	IN(otd_policy_difficulty, host, FIELD_TEXT),
	IN(otd_policy_difficulty, port, FIELD_INT),
	IN(otd_policy_difficulty, account, FIELD_TEXT),
	IN(otd_policy_difficulty, worker, FIELD_TEXT),
	IN(otd_policy_difficulty, agent, FIELD_TEXT),
	TARGET(otd_policy_difficulty, diff1, ""),
	TARGET(otd_policy_difficulty, min, NULL),
	TARGET(otd_policy_difficulty, max, NULL),
	TARGET(otd_policy_difficulty, start, NULL),
	TARGET(otd_policy_difficulty, current, NULL),
	TARGET(otd_policy_difficulty, wanted, NULL),
	TARGET(otd_policy_difficulty, suggested, NULL),
	IN(otd_policy_difficulty, aim_ms, FIELD_INT),
	IN(otd_policy_difficulty, shares, FIELD_INT),
	IN(otd_policy_difficulty, window_ms, FIELD_INT),
	IN(otd_policy_difficulty, connected_s, FIELD_INT),
};
static const struct field difficulty_out[] = {
	{.name = "target",
	 .lua = "difficulty",
	 .type = FIELD_TARGET,
	 .has_flag = true,
	 .has_at = offsetof(struct otd_policy_difficulty_out, set),
	 .offset = offsetof(struct otd_policy_difficulty_out, target)},
	{.name = "fixed",
	 .type = FIELD_BOOL,
	 .offset = offsetof(struct otd_policy_difficulty_out, fixed)},
};

static void difficulty_fallback(void *out, const void *in)
{
	struct otd_policy_difficulty_out *o = out;
	o->set = true;
	o->target = ((const struct otd_policy_difficulty *)in)->current;
}

static const struct field offence_in[] = {
	{.name = "kind",
	 .type = FIELD_CHOICE,
	 .words = words_offence,
	 .offset = offsetof(struct otd_policy_offence, kind)},
	IN(otd_policy_offence, pool, FIELD_TEXT),
	IN(otd_policy_offence, host, FIELD_TEXT),
	IN(otd_policy_offence, port, FIELD_INT),
	IN(otd_policy_offence, account, FIELD_TEXT),
	IN(otd_policy_offence, worker, FIELD_TEXT),
	IN(otd_policy_offence, agent, FIELD_TEXT),
	IN(otd_policy_offence, count, FIELD_INT),
	IN(otd_policy_offence, window_s, FIELD_INT),
	IN(otd_policy_offence, accepted, FIELD_INT),
	IN(otd_policy_offence, refused, FIELD_INT),
	IN(otd_policy_offence, host_workers, FIELD_INT),
	IN(otd_policy_offence, host_accepted, FIELD_INT),
	IN(otd_policy_offence, connections, FIELD_INT),
};
static const struct field offence_out[] = {
	{.name = "action",
	 .type = FIELD_CHOICE,
	 .words = words_action,
	 .offset = offsetof(struct otd_policy_offence_out, action)},
	{.name = "scope",
	 .type = FIELD_CHOICE,
	 .words = words_scope,
	 .first = OTD_POLICY_WORKER,
	 .offset = offsetof(struct otd_policy_offence_out, scope)},
	{.name = "seconds",
	 .type = FIELD_INT,
	 .low = 1,
	 .high = OTD_POLICY_BAN_S,
	 .offset = offsetof(struct otd_policy_offence_out, seconds)},
};

static bool offence_adverse(lua_State *L, void *out, const void *in)
{
	struct otd_policy_offence_out *o = out;
	const struct otd_policy_offence *i = in;
	if (o->action == OTD_ACTION_BAN && (!o->scope || o->seconds == 0))
		luaL_error(L, "a ban has a scope and seconds");
	if (o->action == OTD_ACTION_BAN && !i->account &&
	    (o->scope == OTD_POLICY_WORKER || o->scope == OTD_POLICY_ACCOUNT))
		luaL_error(L, "scope: who did it has no account yet; ban the ip");
	if (o->action != OTD_ACTION_BAN) {
		o->scope = 0;
		o->seconds = 0;
	}
	return o->action == OTD_ACTION_BAN || o->action == OTD_ACTION_DROP ||
	       o->action == OTD_ACTION_WARN;
}

/* --- coordinator --- */

static const struct field recipient_out[] = {
	{.name = "address",
	 .type = FIELD_CHARS,
	 .size = OTD_POLICY_ADDRESS,
	 .offset = offsetof(struct otd_policy_recipient, address)},
	{.name = "ppm",
	 .type = FIELD_INT,
	 .low = 0,
	 .high = 1000000,
	 .offset = offsetof(struct otd_policy_recipient, ppm)},
};
static const struct fields recipients = {TABLE(recipient_out, otd_policy_recipient)};

static const struct field fee_in[] = {
	IN(otd_policy_fee, pool, FIELD_TEXT),
	IN(otd_policy_fee, asset, FIELD_TEXT),
	IN(otd_policy_fee, account, FIELD_TEXT),
	IN(otd_policy_fee, yaml_ppm, FIELD_INT),
	IN(otd_policy_fee, max_ppm, FIELD_INT),
	WORK(otd_policy_fee, work_10min, "hashrate_10min", 600),
	WORK(otd_policy_fee, work_1h, "hashrate_1h", 3600),
	WORK(otd_policy_fee, pool_work_1h, "pool_hashrate_1h", 3600),
	IN(otd_policy_fee, workers, FIELD_INT),
	IN(otd_policy_fee, known_s, FIELD_INT),
};
static const struct field fee_out[] = {
	{.name = "ppm",
	 .type = FIELD_INT,
	 .low = 0,
	 .high = 1000000,
	 .high_at = offsetof(struct otd_policy_fee, max_ppm),
	 .offset = offsetof(struct otd_policy_fee_out, ppm)},
	{.name = "valid",
	 .type = FIELD_INT,
	 .low = 10,
	 .high = 86400,
	 .offset = offsetof(struct otd_policy_fee_out, valid_s)},
	{.name = "recipients",
	 .type = FIELD_ARRAY,
	 .sub = &recipients,
	 .count_at = offsetof(struct otd_policy_fee_out, n_recipients),
	 .max = OTD_POLICY_RECIPIENTS,
	 .offset = offsetof(struct otd_policy_fee_out, recipients)},
};

static int64_t fee_most(const struct otd_policy_fee *i)
{
	return i->max_ppm > 0 && i->max_ppm < 1000000 ? i->max_ppm : 1000000;
}

static void fee_host(void *out, const void *in)
{
	struct otd_policy_fee_out *o = out;
	o->ppm = ((const struct otd_policy_fee *)in)->yaml_ppm;
	o->valid_s = 60;
}

static void fee_fallback(void *out, const void *in)
{
	const struct otd_policy_fee *i = in;
	struct otd_policy_fee_out *o = out;
	fee_host(o, i);
	if (!i->last)
		return;
	struct otd_policy_said said = o->said;
	*o = *i->last;
	o->said = said;
	if (o->valid_s <= 0)
		o->valid_s = 60;
	if (o->ppm > fee_most(i))
		o->ppm = fee_most(i);
}

static bool fee_adverse(lua_State *L, void *out, const void *in)
{
	const struct otd_policy_fee *i = in;
	struct otd_policy_fee_out *o = out;
	int64_t sum = 0;
	for (size_t k = 0; k < o->n_recipients; k++) {
		sum += o->recipients[k].ppm;
		if (!o->recipients[k].address[0])
			luaL_error(L, "recipients: item %d has no address", (int)k + 1);
	}
	/* What an account's fee leaves is the pool's; of the pool's own nothing may be left. */
	if (o->n_recipients && (i->account ? sum > 1000000 : sum != 1000000))
		luaL_error(L, "recipients: their ppm are %I together, not %s1000000",
			   (LUAI_UACINT)sum, i->account ? "at most " : "");
	return o->ppm > i->yaml_ppm;
}

static const struct field terms_in[] = {
	IN(otd_policy_terms, pool, FIELD_TEXT),     IN(otd_policy_terms, asset, FIELD_TEXT),
	IN(otd_policy_terms, account, FIELD_TEXT),  IN(otd_policy_terms, balance, FIELD_MONEY),
	IN(otd_policy_terms, minimum, FIELD_MONEY), IN(otd_policy_terms, least, FIELD_MONEY),
	IN(otd_policy_terms, most, FIELD_MONEY),    IN(otd_policy_terms, last_paid_s, FIELD_INT),
	IN(otd_policy_terms, known_s, FIELD_INT),
};
static const struct field terms_out[] = {
	{.name = "minimum",
	 .type = FIELD_MONEY,
	 .has_flag = true,
	 .has_at = offsetof(struct otd_policy_terms_out, has_minimum),
	 .offset = offsetof(struct otd_policy_terms_out, minimum)},
	{.name = "hold", .type = FIELD_BOOL, .offset = offsetof(struct otd_policy_terms_out, hold)},
};

static bool terms_adverse(lua_State *L, void *out, const void *in)
{
	const struct otd_policy_terms *i = in;
	struct otd_policy_terms_out *o = out;
	(void)L;
	if (o->has_minimum && o->minimum < i->least)
		o->minimum = i->least;
	if (o->has_minimum && i->most > 0 && o->minimum > i->most)
		o->minimum = i->most;
	return o->hold;
}

static const struct field part_in[] = {
	IN(otd_policy_part, account, FIELD_TEXT),
	IN(otd_policy_part, address, FIELD_TEXT),
	IN(otd_policy_part, amount, FIELD_MONEY),
};
static const struct fields parts = {TABLE(part_in, otd_policy_part)};

static const struct field payment_in[] = {
	IN(otd_policy_payment, pool, FIELD_TEXT),
	IN(otd_policy_payment, asset, FIELD_TEXT),
	IN(otd_policy_payment, total, FIELD_MONEY),
	IN(otd_policy_payment, largest, FIELD_MONEY),
	IN(otd_policy_payment, balance, FIELD_MONEY),
	IN(otd_policy_payment, paid_24h, FIELD_MONEY),
	IN(otd_policy_payment, dry_run, FIELD_BOOL),
	{.name = "parts",
	 .type = FIELD_LIST,
	 .sub = &parts,
	 .count_at = offsetof(struct otd_policy_payment, n_parts),
	 .max = OTD_POLICY_PARTS,
	 .offset = offsetof(struct otd_policy_payment, parts)},
};
static const struct field payment_out[] = {
	{.name = "action",
	 .type = FIELD_CHOICE,
	 .words = words_review,
	 .offset = offsetof(struct otd_policy_payment_out, action)},
};

static void payment_fallback(void *out, const void *in)
{
	(void)in;
	((struct otd_policy_payment_out *)out)->action = OTD_REVIEW_HOLD;
}

static bool payment_adverse(lua_State *L, void *out, const void *in)
{
	(void)L, (void)in;
	return ((struct otd_policy_payment_out *)out)->action != OTD_REVIEW_PAY;
}

static const struct field block_in[] = {
	IN(otd_policy_block, pool, FIELD_TEXT),
	IN(otd_policy_block, asset, FIELD_TEXT),
	{.name = "state",
	 .type = FIELD_CHOICE,
	 .words = words_block,
	 .offset = offsetof(struct otd_policy_block, state)},
	IN(otd_policy_block, height, FIELD_INT),
	IN(otd_policy_block, hash, FIELD_TEXT),
	IN(otd_policy_block, account, FIELD_TEXT),
	IN(otd_policy_block, worker, FIELD_TEXT),
	IN(otd_policy_block, scheme, FIELD_TEXT),
	IN(otd_policy_block, value, FIELD_MONEY),
	IN(otd_policy_block, fee, FIELD_MONEY),
	IN(otd_policy_block, effort_ppm, FIELD_INT),
	IN(otd_policy_block, confirmations, FIELD_INT),
};

static const struct field node_in[] = {
	IN(otd_policy_node, pool, FIELD_TEXT),   IN(otd_policy_node, node, FIELD_TEXT),
	IN(otd_policy_node, coin, FIELD_TEXT),   IN(otd_policy_node, up, FIELD_BOOL),
	IN(otd_policy_node, in_use, FIELD_BOOL), IN(otd_policy_node, syncing, FIELD_BOOL),
	IN(otd_policy_node, height, FIELD_INT),  IN(otd_policy_node, latency_ms, FIELD_INT),
	IN(otd_policy_node, error, FIELD_TEXT),
};

static const struct field minute_in[] = {
	IN(otd_policy_minute, pool, FIELD_TEXT),
	IN(otd_policy_minute, asset, FIELD_TEXT),
	IN(otd_policy_minute, sessions, FIELD_INT),
	IN(otd_policy_minute, workers, FIELD_INT),
	IN(otd_policy_minute, accepted, FIELD_INT),
	IN(otd_policy_minute, refused, FIELD_INT),
	WORK(otd_policy_minute, work_10min, "hashrate_10min", 600),
	WORK(otd_policy_minute, work_1h, "hashrate_1h", 3600),
	WORK(otd_policy_minute, network_work, NULL, 1),
	IN(otd_policy_minute, effort_ppm, FIELD_INT),
	IN(otd_policy_minute, height, FIELD_INT),
	IN(otd_policy_minute, nodes_up, FIELD_INT),
	IN(otd_policy_minute, nodes, FIELD_INT),
	IN(otd_policy_minute, blocks_waiting, FIELD_INT),
	IN(otd_policy_minute, payments_waiting, FIELD_INT),
};

static const struct field candidate_in[] = {
	IN(otd_policy_candidate, pool, FIELD_TEXT),
	IN(otd_policy_candidate, coin, FIELD_TEXT),
	IN(otd_policy_candidate, asset, FIELD_TEXT),
	IN(otd_policy_candidate, block_value, FIELD_MONEY),
	WORK(otd_policy_candidate, network_work, NULL, 1),
	IN(otd_policy_candidate, value_micro, FIELD_INT),
	IN(otd_policy_candidate, up, FIELD_BOOL),
};
static const struct fields candidates = {
	.field = candidate_in,
	.n = COUNT(candidate_in),
	.size = sizeof(struct otd_policy_candidate),
	.asset_at = offsetof(struct otd_policy_candidate, asset),
	.diff1_at = NO_FIELD,
	.min_at = NO_FIELD,
	.max_at = NO_FIELD,
};

static const struct field coins_in[] = {
	IN(otd_policy_coins, pool, FIELD_TEXT),
	{.name = "candidates",
	 .type = FIELD_LIST,
	 .sub = &candidates,
	 .count_at = offsetof(struct otd_policy_coins, n_candidates),
	 .max = 64,
	 .offset = offsetof(struct otd_policy_coins, candidates)},
	IN(otd_policy_coins, since_s, FIELD_INT),
};

static void coins_read(lua_State *L, void *out, const void *in)
{
	const struct otd_policy_coins *i = in;
	const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
	for (size_t k = 0; name && k < i->n_candidates && k < 64; k++) {
		if (i->candidates[k].pool && strcmp(i->candidates[k].pool, name) == 0)
			((struct otd_policy_coins_out *)out)->index = k;
	}
}

static otd_rc coins_json(struct otd_bytes *to, const void *out, const void *in)
{
	const struct otd_policy_coins *i = in;
	size_t k = ((const struct otd_policy_coins_out *)out)->index;
	const char *name =
		k < i->n_candidates && i->candidates[k].pool ? i->candidates[k].pool : "";
	return otd_bytes_json(to, name, strlen(name));
}

static const struct field coins_out[] = {
	{.name = "pool", .type = FIELD_OWN, .own = coins_read, .own_json = coins_json},
	{.name = "hold",
	 .type = FIELD_INT,
	 .low = 30,
	 .high = 86400,
	 .offset = offsetof(struct otd_policy_coins_out, hold_s)},
};

static void coins_host(void *out, const void *in)
{
	struct otd_policy_coins_out *o = out;
	(void)in;
	o->index = SIZE_MAX;
	o->hold_s = 60;
}

static const struct field trust_in[] = {
	IN(otd_policy_trust, pool, FIELD_TEXT),
	IN(otd_policy_trust, account, FIELD_TEXT),
	IN(otd_policy_trust, known_s, FIELD_INT),
	IN(otd_policy_trust, accepted, FIELD_INT),
	IN(otd_policy_trust, refused, FIELD_INT),
	WORK(otd_policy_trust, work_1h, "hashrate_1h", 3600),
	IN(otd_policy_trust, blocks, FIELD_INT),
	IN(otd_policy_trust, last_ppm, FIELD_INT),
};
static const struct field trust_out[] = {
	{.name = "ppm",
	 .type = FIELD_INT,
	 .low = 0,
	 .high = 1000000,
	 .offset = offsetof(struct otd_policy_trust_out, ppm)},
};

static void trust_host(void *out, const void *in)
{
	((struct otd_policy_trust_out *)out)->ppm = ((const struct otd_policy_trust *)in)->last_ppm;
}

static bool trust_adverse(lua_State *L, void *out, const void *in)
{
	(void)L;
	return ((struct otd_policy_trust_out *)out)->ppm <
	       ((const struct otd_policy_trust *)in)->last_ppm;
}

const struct otd_policy_hook_info otd_policy_hook_info[OTD_HOOKS] = {
	[OTD_HOOK_CONNECT] = {.side = OTD_POLICY_REACTOR,
			      .pool_at = offsetof(struct otd_policy_connect, pool),
			      .in = {TABLE(connect_in, otd_policy_connect)},
			      .out = {TABLE(connect_out, otd_policy_connect_out)},
			      .adverse = connect_adverse},
	[OTD_HOOK_AUTHORIZE] = {.side = OTD_POLICY_REACTOR,
				.pool_at = offsetof(struct otd_policy_authorize, pool),
				.in = {.field = authorize_in,
				       .n = COUNT(authorize_in),
				       .size = sizeof(struct otd_policy_authorize),
				       .asset_at = NO_FIELD,
				       .diff1_at = offsetof(struct otd_policy_authorize, diff1),
				       .min_at = offsetof(struct otd_policy_authorize, min),
				       .max_at = offsetof(struct otd_policy_authorize, max)},
				.out = {TABLE(authorize_out, otd_policy_authorize_out)},
				.adverse = authorize_adverse},
	[OTD_HOOK_DIFFICULTY] = {.side = OTD_POLICY_REACTOR,
				 .pool_at = offsetof(struct otd_policy_difficulty, pool),
				 .in = {.field = difficulty_in,
					.n = COUNT(difficulty_in),
					.size = sizeof(struct otd_policy_difficulty),
					.asset_at = NO_FIELD,
					.diff1_at = offsetof(struct otd_policy_difficulty, diff1),
					.min_at = offsetof(struct otd_policy_difficulty, min),
					.max_at = offsetof(struct otd_policy_difficulty, max)},
				 .out = {TABLE(difficulty_out, otd_policy_difficulty_out)},
				 .fallback = difficulty_fallback},
	[OTD_HOOK_OFFENCE] = {.side = OTD_POLICY_REACTOR,
			      .pool_at = offsetof(struct otd_policy_offence, pool),
			      .in = {TABLE(offence_in, otd_policy_offence)},
			      .out = {TABLE(offence_out, otd_policy_offence_out)},
			      .adverse = offence_adverse},
	[OTD_HOOK_FEE] = {.side = OTD_POLICY_COORDINATOR,
			  .pool_at = offsetof(struct otd_policy_fee, pool),
			  .in = {TABLE(fee_in, otd_policy_fee)},
			  .out = {TABLE(fee_out, otd_policy_fee_out)},
			  .host = fee_host,
			  .fallback = fee_fallback,
			  .adverse = fee_adverse},
	[OTD_HOOK_PAYOUT_TERMS] = {.side = OTD_POLICY_COORDINATOR,
				   .pool_at = offsetof(struct otd_policy_terms, pool),
				   .in = {.field = terms_in,
					  .n = COUNT(terms_in),
					  .size = sizeof(struct otd_policy_terms),
					  .asset_at = offsetof(struct otd_policy_terms, asset),
					  .diff1_at = NO_FIELD,
					  .min_at = NO_FIELD,
					  .max_at = NO_FIELD},
				   .out = {TABLE(terms_out, otd_policy_terms_out)},
				   .adverse = terms_adverse},
	[OTD_HOOK_REVIEW_PAYMENT] = {.side = OTD_POLICY_COORDINATOR,
				     .pool_at = offsetof(struct otd_policy_payment, pool),
				     .in = {.field = payment_in,
					    .n = COUNT(payment_in),
					    .size = sizeof(struct otd_policy_payment),
					    .asset_at = offsetof(struct otd_policy_payment, asset),
					    .diff1_at = NO_FIELD,
					    .min_at = NO_FIELD,
					    .max_at = NO_FIELD},
				     .out = {TABLE(payment_out, otd_policy_payment_out)},
				     .fallback = payment_fallback,
				     .adverse = payment_adverse},
	[OTD_HOOK_BLOCK] = {.side = OTD_POLICY_COORDINATOR,
			    .tells = true,
			    .pool_at = offsetof(struct otd_policy_block, pool),
			    .in = {.field = block_in,
				   .n = COUNT(block_in),
				   .size = sizeof(struct otd_policy_block),
				   .asset_at = offsetof(struct otd_policy_block, asset),
				   .diff1_at = NO_FIELD,
				   .min_at = NO_FIELD,
				   .max_at = NO_FIELD},
			    .out = {.size = sizeof(struct otd_policy_said)}},
	[OTD_HOOK_NODE] = {.side = OTD_POLICY_COORDINATOR,
			   .tells = true,
			   .pool_at = offsetof(struct otd_policy_node, pool),
			   .in = {TABLE(node_in, otd_policy_node)},
			   .out = {.size = sizeof(struct otd_policy_said)}},
	[OTD_HOOK_MINUTE] = {.side = OTD_POLICY_COORDINATOR,
			     .tells = true,
			     .pool_at = offsetof(struct otd_policy_minute, pool),
			     .in = {TABLE(minute_in, otd_policy_minute)},
			     .out = {.size = sizeof(struct otd_policy_said)}},
	[OTD_HOOK_CHOOSE_COIN] = {.side = OTD_POLICY_COORDINATOR,
				  .pool_at = offsetof(struct otd_policy_coins, pool),
				  .in = {TABLE(coins_in, otd_policy_coins)},
				  .out = {TABLE(coins_out, otd_policy_coins_out)},
				  .host = coins_host,
				  .fallback = coins_host},
	[OTD_HOOK_TRUST] = {.side = OTD_POLICY_COORDINATOR,
			    .pool_at = offsetof(struct otd_policy_trust, pool),
			    .in = {TABLE(trust_in, otd_policy_trust)},
			    .out = {TABLE(trust_out, otd_policy_trust_out)},
			    .host = trust_host,
			    .fallback = trust_host,
			    .adverse = trust_adverse},
};
