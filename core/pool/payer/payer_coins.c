/* Which coins pay, and what the network gets: plain arithmetic. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pool/payer/payer_impl.h"

#define LOWEST_RATE 1000 /* where the node says nothing: a base unit a virtual byte */

otd_rc payer_fee(otd_i128 *fee, otd_i128 rate, uint64_t vsize)
{
	otd_u128 rem;
	otd_rc rc = otd_i128_muldiv(fee, &rem, rate, vsize, 1000);
	return rc ? OTD_E_OVERFLOW : otd_i128_add(fee, *fee, rem != 0);
}

static otd_rc too_low(struct otd_err *err, otd_i128 least, otd_i128 max)
{
	char a[OTD_I128_TEXT], b[OTD_I128_TEXT];
	return otd_fail(err, OTD_E_RANGE,
			"the node wants a network fee of %s base units per 1000 virtual bytes, "
			"max_fee_rate allows %s; wait, or raise max_fee_rate",
			otd_format_i128(a, least), otd_format_i128(b, max));
}

otd_rc payer_rate(otd_i128 *rate, otd_i128 fixed, otd_i128 max, otd_i128 advice, otd_i128 least,
		  struct otd_err *err)
{
	otd_i128 r = fixed > 0 ? fixed : advice > 0 ? advice : LOWEST_RATE;
	if (r < least)
		r = least;
	if (max > 0 && r > max)
		r = max;
	if (r < least)
		return too_low(err, least, max);
	*rate = r;
	return OTD_OK;
}

otd_rc payer_higher_rate(otd_i128 *rate, otd_i128 old_fee, uint64_t old_vsize, otd_i128 max,
			 otd_i128 least, struct otd_err *err)
{
	otd_i128 old, wants;
	if (old_fee < 0 || least < 0 || old_fee > INT64_MAX || least > INT64_MAX || !old_vsize)
		return otd_fail(err, OTD_E_OVERFLOW, "a fee or rate is out of range");
	old = (old_fee * 1250 + (otd_i128)old_vsize - 1) / (otd_i128)old_vsize;
	wants = (least * 11 + 9) / 10;
	*rate = old > wants ? old : wants;
	if (max > 0 && *rate > max)
		*rate = max;
	return *rate < least ? too_low(err, least, max) : OTD_OK;
}

struct remainder {
	otd_u128 rem;
	size_t i;
};

static int by_remainder(const void *a, const void *b)
{
	const struct remainder *x = a, *y = b;
	if (x->rem != y->rem)
		return x->rem > y->rem ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

otd_rc payer_split(otd_i128 *sent, const struct otd_pay_part *parts, size_t n, otd_i128 fee,
		   bool fee_by_miners)
{
	otd_i128 total = 0, left = fee;
	struct remainder *r = NULL;
	otd_rc rc = OTD_OK;
	for (size_t i = 0; !rc && i < n; i++) {
		sent[i] = parts[i].amount;
		rc = parts[i].amount > 0 ? otd_i128_add(&total, total, parts[i].amount)
					 : OTD_E_RANGE;
	}
	if (rc || !fee_by_miners || !n)
		return rc;
	if (fee < 0 || fee >= total)
		return OTD_E_RANGE;
	r = calloc(n, sizeof(*r));
	if (!r)
		return OTD_E_NOMEM;
	for (size_t i = 0; !rc && i < n; i++) {
		otd_i128 share;
		r[i].i = i;
		rc = otd_i128_muldiv(&share, &r[i].rem, fee, (otd_u128)parts[i].amount,
				     (otd_u128)total);
		sent[i] -= rc ? 0 : share;
		left -= rc ? 0 : share;
	}
	qsort(r, n, sizeof(*r), by_remainder);
	for (size_t i = 0; !rc && i < n && left > 0; i++, left--)
		sent[r[i].i]--;
	for (size_t i = 0; !rc && i < n; i++)
		rc = sent[i] > 0 ? OTD_OK : OTD_E_RANGE;
	free(r);
	return rc;
}

otd_i128 payer_least_amount(otd_i128 dust, bool fee_by_miners, uint32_t max_fee_ppm)
{
	otd_i128 q;
	otd_u128 rem;
	if (dust < 1)
		dust = 1;
	if (!fee_by_miners)
		return dust;
	/* a - ceil(a * ppm / 1e6) - 1 >= dust wherever a >= (dust + 2) * 1e6 / (1e6 - ppm). */
	if (max_fee_ppm > 999999)
		max_fee_ppm = 999999;
	if (otd_i128_muldiv(&q, &rem, dust + 2, 1000000, 1000000 - max_fee_ppm))
		return dust;
	return q + (rem != 0);
}

/* --- choosing --- */

static otd_rc fee_of(const struct payer_want *w, size_t n, otd_i128 change, uint64_t *vsize,
		     otd_i128 *fee, struct otd_err *err)
{
	otd_i128 step = 0;
	otd_rc rc = w->size(w->arg, vsize, n, change, err);
	if (rc)
		return rc;
	rc = payer_fee(fee, w->rate, *vsize);
	if (!rc && w->old_fee > 0)
		rc = payer_fee(&step, w->step_rate, *vsize);
	if (!rc && w->old_fee > 0 && *fee < w->old_fee + step)
		*fee = w->old_fee + step;
	/* A replacement must pay more, whatever the rates say. */
	if (!rc && w->old_fee > 0 && *fee <= w->old_fee)
		*fee = w->old_fee + 1;
	return rc ? otd_fail(err, rc, "the network fee does not fit") : OTD_OK;
}

/* With the first n coins, whose sum is over above the amounts: 1 it suffices, 0 it does not (*fee is
   what is needed then). */
static otd_rc fits(struct payer_choice *out, bool *ok, const struct payer_want *w, size_t n,
		   otd_i128 over, struct otd_err *err)
{
	otd_i128 fee = 0, change = 0;
	uint64_t vsize = 0;
	otd_rc rc = OTD_OK;
	*ok = false;
	if (over > 0) {
		rc = fee_of(w, n, over, &vsize, &fee, err);
		change = w->fee_by_miners ? over : over - fee;
		*ok = !rc && change > 0 && change >= w->dust;
	}
	/* Without change what is over goes to the network; where miners pay, nothing may be over. */
	if (!rc && !*ok) {
		change = 0;
		rc = fee_of(w, n, 0, &vsize, &fee, err);
		*ok = !rc && (w->fee_by_miners ? over == 0 : over >= fee);
		if (*ok && !w->fee_by_miners)
			fee = over;
	}
	*out = (struct payer_choice){n, fee, change, vsize, 0};
	return rc;
}

otd_rc payer_choose(struct payer_choice *out, const struct payer_want *w, struct otd_err *err)
{
	size_t limit = w->n < w->at_most ? w->n : w->at_most;
	otd_i128 sum = 0, need = w->total;
	bool ok = false;
	*out = (struct payer_choice){0};
	if (limit < w->at_least)
		limit = w->at_least < w->n ? w->at_least : w->n;
	for (size_t n = 1; n <= limit; n++) {
		if (otd_i128_add(&sum, sum, w->coins[n - 1].value))
			return otd_fail(err, OTD_E_OVERFLOW, "the sum of coins does not fit");
		if (n < w->at_least || sum < need)
			continue;
		otd_rc rc = fits(out, &ok, w, n, sum - w->total, err);
		if (rc || ok)
			return rc;
		/* More coins cost more still, so that nothing below this sum needs a try. */
		need = w->total + (w->fee_by_miners ? 0 : out->fee);
		if (need <= sum)
			need = sum + 1;
	}
	out->missing = need - sum > 0 ? need - sum : 1;
	return otd_fail(err, OTD_E_NOT_FOUND, "the coins do not suffice");
}

static int by_value(const void *a, const void *b)
{
	const struct otd_chain_coin *x = a, *y = b;
	int c;
	if (x->value != y->value)
		return x->value > y->value ? -1 : 1;
	c = memcmp(x->txid, y->txid, sizeof(x->txid));
	if (c)
		return c;
	return x->index < y->index ? -1 : x->index > y->index;
}

void payer_sort_coins(struct otd_chain_coin *coins, size_t n)
{
	if (n > 1)
		qsort(coins, n, sizeof(*coins), by_value);
}

bool payer_same_coin(const struct otd_chain_coin *a, const struct otd_pay_coin *b)
{
	return a->index == b->index && memcmp(a->txid, b->txid, sizeof(a->txid)) == 0;
}

void payer_to_chain(struct otd_chain_coin *to, const struct otd_pay_coin *from)
{
	*to = (struct otd_chain_coin){
		.index = from->index, .script_len = from->script_len, .value = from->value};
	memcpy(to->txid, from->txid, sizeof(to->txid));
	memcpy(to->script, from->script, sizeof(to->script));
}

void payer_to_pay(struct otd_pay_coin *to, const struct otd_chain_coin *from)
{
	*to = (struct otd_pay_coin){
		.index = from->index, .script_len = from->script_len, .value = from->value};
	memcpy(to->txid, from->txid, sizeof(to->txid));
	memcpy(to->script, from->script, sizeof(to->script));
}
