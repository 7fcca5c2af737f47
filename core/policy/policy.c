/* One policy a thread: its sets, and a function a hook. */
#include "policy/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_MAX (1u << 20)

static void make_metrics(struct otd_policy *p)
{
	for (int h = 0; h < OTD_HOOKS; h++) {
		struct otd_bytes labels;
		otd_bytes_init(&labels, 256);
		(void)otd_metric_label(&labels, "on", p->where);
		(void)otd_metric_label(&labels, "hook",
				       otd_policy_hook_name((enum otd_policy_hook)h));
		p->m_calls[h] = otd_metric(p->metrics, OTD_COUNTER, "otd_policy_calls_total",
					   otd_bytes_cstr(&labels), "Calls of policy hooks");
		p->m_errors[h] =
			otd_metric(p->metrics, OTD_COUNTER, "otd_policy_errors_total",
				   otd_bytes_cstr(&labels), "Calls of policy hooks that failed");
		otd_bytes_finish(&labels);
	}
	struct otd_bytes labels;
	otd_bytes_init(&labels, 128);
	(void)otd_metric_label(&labels, "on", p->where);
	p->m_fallback =
		otd_metric(p->metrics, OTD_GAUGE, "otd_policy_hooks_off", otd_bytes_cstr(&labels),
			   "Policy hooks that are off after errors until a reload");
	otd_bytes_finish(&labels);
}

otd_rc otd_policy_create(struct otd_policy **out, const struct otd_policy_conf *conf)
{
	struct otd_policy *p = calloc(1, sizeof(*p));
	*out = p;
	if (!p)
		return OTD_E_NOMEM;
	p->env = conf->env;
	p->metrics = conf->metrics;
	p->services = conf->services;
	p->kv = conf->kv;
	(void)snprintf(p->where, sizeof(p->where), "%s", conf->where ? conf->where : "");
	otd_bytes_init(&p->in_json, JSON_MAX);
	otd_bytes_init(&p->out_json, JSON_MAX);
	otd_bytes_init(&p->shadow_json, JSON_MAX);
	otd_bytes_init(&p->line, JSON_MAX);
	otd_bytes_init(&p->did, 16384);
	make_metrics(p);
	return OTD_OK;
}

void otd_policy_destroy(struct otd_policy *p)
{
	if (!p)
		return;
	otd_policy_set_destroy(p->set);
	otd_policy_set_destroy(p->shadow);
	otd_policy_kv_destroy(p->shadow_kv);
	otd_bytes_finish(&p->in_json);
	otd_bytes_finish(&p->out_json);
	otd_bytes_finish(&p->shadow_json);
	otd_bytes_finish(&p->line);
	otd_bytes_finish(&p->did);
	free(p);
}

struct otd_policy_set *otd_policy_swap(struct otd_policy *p, struct otd_policy_set *set)
{
	struct otd_policy_set *old = p->set;
	p->set = set;
	otd_metric_set(p->m_fallback, 0);
	return old;
}

struct otd_policy_set *otd_policy_shadow(struct otd_policy *p, struct otd_policy_set *set)
{
	struct otd_policy_set *old = p->shadow;
	otd_policy_kv_destroy(p->shadow_kv);
	p->shadow_kv = NULL;
	/* Without memory for it the shadow remembers nothing, and goes on. */
	if (set && otd_policy_kv_create(&p->shadow_kv, p->env, 0, NULL, NULL))
		p->shadow_kv = NULL;
	p->shadow = set;
	p->shadow_counts = (struct otd_policy_shadow_status){0};
	return old;
}

struct otd_policy_set *otd_policy_promote(struct otd_policy *p)
{
	struct otd_policy_set *set = p->shadow;
	if (!set)
		return NULL;
	(void)otd_policy_shadow(p, NULL);
	/* Counters and fallbacks were those of the shadow. */
	for (size_t i = 0; i < set->n_states; i++) {
		for (int h = 0; h < OTD_HOOKS; h++) {
			bool has = set->state[i].hook[h].status.has;
			set->state[i].hook[h].status = (struct otd_policy_hook_status){.has = has};
		}
	}
	return otd_policy_swap(p, set);
}

void otd_policy_on_difference(struct otd_policy *p, otd_policy_difference_fn fn, void *arg)
{
	p->difference = fn;
	p->difference_arg = arg;
}

void otd_policy_on_call(struct otd_policy *p, otd_policy_record_fn fn, void *arg)
{
	p->record = fn;
	p->record_arg = arg;
}

const struct otd_policy_set *otd_policy_in_force(const struct otd_policy *p)
{
	return p ? p->set : NULL;
}

const struct otd_policy_set *otd_policy_in_shadow(const struct otd_policy *p)
{
	return p ? p->shadow : NULL;
}

void otd_policy_shadow_counts(const struct otd_policy *p, struct otd_policy_shadow_status *out)
{
	*out = p ? p->shadow_counts : (struct otd_policy_shadow_status){0};
}

/* --- the hooks --- */

void otd_policy_connect(struct otd_policy *p, struct otd_policy_connect_out *out,
			const struct otd_policy_connect *in)
{
	otd_policy_run(p, OTD_HOOK_CONNECT, out, in);
}

void otd_policy_authorize(struct otd_policy *p, struct otd_policy_authorize_out *out,
			  const struct otd_policy_authorize *in)
{
	otd_policy_run(p, OTD_HOOK_AUTHORIZE, out, in);
}

void otd_policy_difficulty(struct otd_policy *p, struct otd_policy_difficulty_out *out,
			   const struct otd_policy_difficulty *in)
{
	otd_policy_run(p, OTD_HOOK_DIFFICULTY, out, in);
}

void otd_policy_offence(struct otd_policy *p, struct otd_policy_offence_out *out,
			const struct otd_policy_offence *in)
{
	otd_policy_run(p, OTD_HOOK_OFFENCE, out, in);
}

void otd_policy_fee(struct otd_policy *p, struct otd_policy_fee_out *out,
		    const struct otd_policy_fee *in)
{
	otd_policy_run(p, OTD_HOOK_FEE, out, in);
}

void otd_policy_payout_terms(struct otd_policy *p, struct otd_policy_terms_out *out,
			     const struct otd_policy_terms *in)
{
	otd_policy_run(p, OTD_HOOK_PAYOUT_TERMS, out, in);
}

void otd_policy_review_payment(struct otd_policy *p, struct otd_policy_payment_out *out,
			       const struct otd_policy_payment *in)
{
	otd_policy_run(p, OTD_HOOK_REVIEW_PAYMENT, out, in);
}

void otd_policy_block(struct otd_policy *p, const struct otd_policy_block *in)
{
	struct otd_policy_said none;
	otd_policy_run(p, OTD_HOOK_BLOCK, &none, in);
}

void otd_policy_node(struct otd_policy *p, const struct otd_policy_node *in)
{
	struct otd_policy_said none;
	otd_policy_run(p, OTD_HOOK_NODE, &none, in);
}

void otd_policy_minute(struct otd_policy *p, const struct otd_policy_minute *in)
{
	struct otd_policy_said none;
	otd_policy_run(p, OTD_HOOK_MINUTE, &none, in);
}

void otd_policy_choose_coin(struct otd_policy *p, struct otd_policy_coins_out *out,
			    const struct otd_policy_coins *in)
{
	otd_policy_run(p, OTD_HOOK_CHOOSE_COIN, out, in);
}

void otd_policy_trust(struct otd_policy *p, struct otd_policy_trust_out *out,
		      const struct otd_policy_trust *in)
{
	otd_policy_run(p, OTD_HOOK_TRUST, out, in);
}
