/* The payer as a part of the running pool: made from the settings, asked over the control socket. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_parts.h"
#include "app/policy/app_policy.h"
#include "base/log.h"

/* Of a pool that was taken out, as long as something of it is left: what is on its way is finished. */
static const struct otd_settings_pool *settings_of(const struct otd_app *app, size_t i)
{
	const struct otd_app_pool *p = &app->pools[i];
	if (!p->chain)
		return NULL;
	for (size_t k = 0; p->was && k < app->n_pools; k++) {
		const struct otd_app_pool *other = &app->pools[k];
		/* It is back, or went twice. */
		if (k != i && other->chain && strcmp(other->name, p->name) == 0 &&
		    (other->settings || k > i))
			return NULL;
	}
	return p->settings ? p->settings : p->was;
}

/* How many recipients of the fee it has put behind fee. */
static size_t set_pool(struct otd_payer_pool *to, const struct otd_app *app,
		       const struct otd_app_pool *pool, const struct otd_settings_pool *s,
		       struct otd_pay_recipient *fee)
{
	const struct otd_settings_payments *m = &s->payments;
	const struct otd_policy_recipient *by_policy;
	size_t n_fee = otd_app_policy_recipients(app, s->name, &by_policy);
	for (size_t i = 0; i < n_fee; i++)
		fee[i] = (struct otd_pay_recipient){by_policy[i].address,
						    (uint32_t)by_policy[i].ppm};
	for (size_t i = 0; !n_fee && i < s->n_recipients; i++)
		fee[i] = (struct otd_pay_recipient){s->recipients[i].address,
						    (uint32_t)s->recipients[i].share_ppm};
	*to = (struct otd_payer_pool){.name = s->name,
				      .asset = s->coin->symbol,
				      .decimals = (unsigned)s->coin->decimals,
				      .chain = pool->chain->chain,
				      .on = m->on && pool->settings,
				      .minimum = m->minimum,
				      .cap = m->cap,
				      .max_parts = (size_t)m->max_recipients,
				      .every_ms = m->every_ms,
				      .fee_by_miners = m->network_fee == OTD_SETTINGS_MINERS_PAY,
				      .confirmations = (uint32_t)m->confirmations,
				      .fee_rate = (otd_i128)m->fee_rate * 1000,
				      .max_fee_rate = (otd_i128)m->max_fee_rate * 1000,
				      .max_fee_ppm = (uint32_t)m->max_fee_ppm,
				      .coin_confirmations = (uint32_t)m->coin_confirmations,
				      .change = s->address,
				      .fee = fee,
				      .n_fee = n_fee ? n_fee : s->n_recipients};
	return to->n_fee;
}

otd_rc otd_app_configure_payer(struct otd_app *app, struct otd_err *err)
{
	size_t n = app->n_pools, n_fee = 0, used = 0, at = 0;
	for (size_t i = 0; i < n; i++) {
		const struct otd_settings_pool *p = settings_of(app, i);
		n_fee += p ? p->n_recipients + OTD_POLICY_RECIPIENTS : 0;
	}
	struct otd_payer_pool *pools = calloc(n ? n : 1, sizeof(*pools));
	struct otd_pay_recipient *fee = calloc(n_fee ? n_fee : 1, sizeof(*fee));
	otd_rc rc = pools && fee ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < n; i++) {
		const struct otd_settings_pool *p = settings_of(app, i);
		if (!p)
			continue;
		at += set_pool(&pools[used++], app, &app->pools[i], p, fee + at);
	}
	if (rc == OTD_OK)
		rc = otd_payer_configure(app->payer, pools, used, err);
	free(pools);
	free(fee);
	return rc;
}

otd_rc otd_app_make_payer(struct otd_app *app, struct otd_err *err)
{
	struct otd_payer_conf conf = {.loop = app->loop,
				      .store = app->store,
				      .metrics = app->metrics,
				      .policy = otd_app_policy_payer(app)};
	otd_rc rc = otd_payer_create(&app->payer, &conf, err);
	return rc ? rc : otd_app_configure_payer(app, err);
}

static void on_answer(void *arg, const struct otd_err *err, const struct otd_bytes *json)
{
	otd_control_answer(arg, err, json);
}

void otd_app_payment_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	otd_payer_ask(app->payer, words, on_answer, r);
}
