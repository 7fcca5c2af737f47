/*
 * A script's text: compiled, its options read, its selftest() run, its hooks asked. Whatever it is, no call
 * spends much more than it may, no memory is held beyond the cap, and a refusal says why.
 */
#include "policy/internal.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t mono(struct otd_env *e)
{
	(void)e;
	return 1;
}

static int64_t wall(struct otd_env *e)
{
	(void)e;
	return 1770000000000;
}

static void no_random(struct otd_env *e, void *to, size_t n)
{
	(void)e;
	memset(to, 7, n);
}

static void ask(struct otd_policy *p)
{
	struct otd_policy_authorize_out auth;
	struct otd_policy_offence_out off;
	struct otd_policy_fee_out fee;
	struct otd_policy_payment_out pay;
	const struct otd_policy_part part = {"a", "a", 5};
	struct otd_u256 one = otd_u256_max();
	otd_policy_authorize(p, &auth,
			     &(struct otd_policy_authorize){.pool = "p",
							    .host = "h",
							    .account = "a",
							    .worker = "w",
							    .diff1 = one,
							    .start = otd_u256_shr(one, 10),
							    .min = one,
							    .max = otd_u256_shr(one, 60)});
	if (auth.has_target && otd_u256_cmp(auth.target, otd_u256_shr(one, 60)) < 0)
		abort();
	otd_policy_offence(p, &off, &(struct otd_policy_offence){.pool = "p", .host = "h"});
	if (off.action == OTD_ACTION_BAN && (!off.said.reason[0] || off.seconds < 1))
		abort();
	otd_policy_fee(p, &fee,
		       &(struct otd_policy_fee){
			       .pool = "p", .asset = "LTC", .yaml_ppm = 100, .max_ppm = 5000});
	if (fee.ppm < 0 || fee.ppm > 5000 || fee.n_recipients > OTD_POLICY_RECIPIENTS)
		abort();
	otd_policy_review_payment(p, &pay,
				  &(struct otd_policy_payment){.pool = "p",
							       .asset = "LTC",
							       .total = 5,
							       .largest = 5,
							       .parts = &part,
							       .n_parts = 1});
	if (pay.said.from == OTD_POLICY_FALLBACK && pay.action != OTD_REVIEW_HOLD)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct otd_env_ops ops = {
		.mono_ns = mono, .wall_ms = wall, .random = no_random};
	static const struct otd_policy_asset ltc = {"LTC", 8};
	struct otd_env env = {.ops = &ops};
	struct otd_policy_set *set;
	struct otd_policy *p;
	struct otd_err err = {0};
	const struct otd_policy_script s = {.file = "a.lua", .text = {data, n}};
	const struct otd_policy_build b = {.env = &env,
					   .sides = OTD_POLICY_BOTH,
					   .scripts = &s,
					   .n_scripts = 1,
					   .assets = &ltc,
					   .n_assets = 1,
					   .limits = {.load_units = 200000}};
	const struct otd_policy_conf conf = {.env = &env, .where = "fuzz"};
	struct otd_policy_script_status st;
	if (otd_policy_set_create(&set, &b, &err)) {
		if (!err.text[0] || set)
			abort();
		return 0;
	}
	if (otd_policy_create(&p, &conf))
		abort();
	(void)otd_policy_swap(p, set);
	ask(p);
	otd_policy_set_status(set, 0, &st);
	if (st.memory > 4u << 20)
		abort();
	for (int h = 0; h < OTD_HOOKS; h++) {
		if (st.hook[h].most_units > 2 * 200000 + 600000)
			abort();
	}
	otd_policy_destroy(p);
	return 0;
}
