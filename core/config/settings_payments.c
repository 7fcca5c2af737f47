/* Amounts of payments, which only the coin's decimals make numbers of, and what one key cannot show. */
#include "base/text.h"
#include "config/settings_own.h"

#include <string.h>

/* "0.05 LTC" or "0.05": the unit, where it stands, must be the coin's. */
static otd_rc amount(otd_i128 *out, const char *s, const struct otd_coin *coin, const char **why)
{
	size_t n = strcspn(s, " ");
	const char *unit = s + n + strspn(s + n, " ");
	*out = 0;
	*why = "is not an amount: write 0.05 and the coin's symbol";
	if (*unit && strcmp(unit, coin->symbol) != 0) {
		*why = "is in another unit than the coin's symbol";
		return OTD_E_INVALID;
	}
	otd_rc rc = otd_parse_amount(out, s, n, (unsigned)coin->decimals);
	return rc == OTD_OK && *out < 0 ? OTD_E_INVALID : rc;
}

static void read_amount(struct otd_reading *r, const struct otd_settings *s,
			const struct otd_settings_pool *p, const char *key, const char *text,
			otd_i128 *out)
{
	const struct otd_yaml *at = otd_settings_at(s, "pools", p->name, "payments");
	const struct otd_yaml *value = at ? otd_yaml_get(at, key) : NULL;
	const char *why;
	if (!text || otd_settings_faulty(s, value))
		return;
	otd_rc rc = amount(out, text, p->coin, &why);
	if (rc == OTD_OK)
		return;
	size_t outer = otd_read_enter(r, "payments");
	otd_read_problem(r, rc, value ? value : at, key, "'%.40s' %s (%s, %lld decimals)", text,
			 why, p->coin->symbol, (long long)p->coin->decimals);
	otd_read_leave(r, outer);
}

static void check_recipients(struct otd_reading *r, const struct otd_settings *s,
			     const struct otd_settings_pool *p)
{
	const struct otd_yaml *at = otd_settings_at(s, "pools", p->name, "fee");
	int64_t sum = 0;
	if (!p->n_recipients || otd_settings_faulty(s, at))
		return;
	for (size_t i = 0; i < p->n_recipients; i++)
		sum += p->recipients[i].share_ppm;
	if (sum != 1000000)
		otd_read_problem(r, OTD_E_INVALID, at, "fee.recipients",
				 "the shares come to %lld.%04lld%%, they must come to 100%%",
				 (long long)(sum / 10000), (long long)(sum % 10000));
	if (!p->payments.on)
		otd_read_problem(
			r, OTD_E_INVALID, at, "fee.recipients",
			"nothing is paid without 'payments'; add that section to the pool, or "
			"remove the recipients");
}

static void check_wallet(struct otd_reading *r, const struct otd_settings *s,
			 const struct otd_settings_pool *p)
{
	const struct otd_yaml *at = otd_settings_at(s, "pools", p->name, "nodes");
	size_t wallets = 0;
	if (p->n_nodes == 0 || otd_settings_faulty(s, at))
		return; /* a chain that is its own node has its own wallet */
	for (size_t i = 0; i < p->n_nodes; i++)
		wallets += (p->nodes[i]->role_bits & OTD_SETTINGS_WALLET) != 0;
	if (wallets == 0)
		otd_read_problem(
			r, OTD_E_INVALID, at, "payments",
			"none of its nodes has the role wallet; add it to the roles of the one "
			"whose wallet owns coinbase.address");
	else if (wallets > 1)
		otd_read_problem(
			r, OTD_E_INVALID, at, "payments",
			"%zu of its nodes have the role wallet; payments come out of one wallet: "
			"leave the role to the one that owns coinbase.address",
			wallets);
}

void otd_settings_payments(struct otd_reading *r, const struct otd_settings *s,
			   struct otd_settings_pool *p)
{
	struct otd_settings_payments *m = &p->payments;
	const struct otd_yaml *at = otd_settings_at(s, "pools", p->name, "payments");
	const struct otd_yaml *pools = otd_yaml_get(otd_yaml_root(s->doc), "pools");
	m->on = otd_yaml_get(otd_yaml_get(pools, p->name), "payments") != NULL;
	check_recipients(r, s, p);
	if (!m->on || !p->coin)
		return;
	read_amount(r, s, p, "minimum", m->minimum_text, &m->minimum);
	read_amount(r, s, p, "cap", m->cap_text, &m->cap);
	check_wallet(r, s, p);
	if (otd_settings_faulty(s, at))
		return;
	if (m->minimum < 1)
		otd_read_problem(r, OTD_E_RANGE, at, "payments.minimum", "must be above 0");
	if (m->cap > 0 && m->cap < m->minimum)
		otd_read_problem(r, OTD_E_INVALID, at, "payments.cap",
				 "is below minimum: nobody would ever be paid; raise it");
	if (m->fee_rate > m->max_fee_rate)
		otd_read_problem(r, OTD_E_INVALID, at, "payments.fee_rate",
				 "is above max_fee_rate; raise that or lower this");
}
