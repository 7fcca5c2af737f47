/*
 * Another instance of payout schemes, between two records of the order. The state goes over as bytes;
 * the new one must give the same bytes back, or nothing changes.
 */
#include "base/log.h"
#include "base/text.h"
#include "pool/acct/acct.h"
#include <otedama/sha256.h>
#include <string.h>

#define STATE_MAX (256u << 20)

static struct acct_scheme *scheme_named(const struct otd_accounting *a, const char *pool,
					const char *scheme)
{
	struct acct_pool *p = acct_pool_named(a, pool, strlen(pool));
	for (size_t i = 0; p && i < p->n_schemes; i++) {
		if (strcmp(p->schemes[i].name, scheme) == 0)
			return &p->schemes[i];
	}
	return NULL;
}

/* Our own part of a state is not the plugin's business: only what is behind it is handed over. */
static struct otd_span own_part(const struct otd_bytes *b)
{
	struct otd_span s = {b->ptr + ACCT_HEAD, b->len - ACCT_HEAD};
	return s;
}

static otd_rc save_of(struct otd_bytes *out, struct acct_scheme *s, struct otd_plugin_instance *in,
		      const char *which, struct otd_err *err)
{
	struct acct_scheme view = *s;
	view.instance = in;
	otd_instance_clear_error(in);
	otd_rc rc = acct_scheme_save(&view, out);
	const char *said = otd_instance_error(in);
	return rc ? otd_fail(err, rc,
			     "pool %s: payout scheme %s: the %s one cannot save its state: %s",
			     s->pool->name, s->name, which, said[0] ? said : otd_rc_name(rc))
		  : OTD_OK;
}

static otd_rc hand_over(struct acct_scheme *s, struct otd_acct_swap *w, struct otd_err *err)
{
	const struct otd_payout_ops *ops = otd_instance_payout(w->fresh);
	struct otd_bytes before, after;
	otd_rc rc;
	otd_bytes_init(&before, STATE_MAX);
	otd_bytes_init(&after, STATE_MAX);
	rc = save_of(&before, s, s->instance, "old", err);
	if (rc)
		goto out;
	otd_instance_clear_error(w->fresh);
	rc = ops->restore(otd_instance_self(w->fresh), own_part(&before));
	if (rc) {
		const char *said = otd_instance_error(w->fresh);
		rc = otd_fail(
			err, rc,
			"pool %s: payout scheme %s: the new one does not take the state of the "
			"old one: %s",
			s->pool->name, s->name, said[0] ? said : otd_rc_name(rc));
		goto out;
	}
	rc = save_of(&after, s, w->fresh, "new", err);
	if (rc)
		goto out;
	otd_sha256(w->digest, own_part(&before).ptr, own_part(&before).len);
	uint8_t digest[32];
	otd_sha256(digest, own_part(&after).ptr, own_part(&after).len);
	if (memcmp(digest, w->digest, 32) != 0) {
		char is[65], was[65];
		otd_hex_encode(is, digest, 32);
		otd_hex_encode(was, w->digest, 32);
		rc = otd_fail(
			err, OTD_E_CORRUPT,
			"pool %s: payout scheme %s: what the new one made of the state is not the "
			"same (digest %.16s, the old one's is %.16s)",
			s->pool->name, s->name, is, was);
	}
out:
	otd_bytes_finish(&before);
	otd_bytes_finish(&after);
	return rc;
}

otd_rc otd_accounting_swap(struct otd_accounting *a, struct otd_acct_swap *swaps, size_t n,
			   uint64_t *seq, struct otd_err *err)
{
	OTD_ON(OTD_THREAD_COORDINATOR);
	if (a->stopped[0])
		return otd_fail(err, OTD_E_BUSY, "accounting has stopped: %s", a->stopped);
	for (size_t i = 0; i < n; i++) {
		struct acct_scheme *s = scheme_named(a, swaps[i].pool, swaps[i].scheme);
		if (!s || s->broken)
			return otd_fail(
				err, s ? OTD_E_INVALID : OTD_E_NOT_FOUND,
				"pool %s: payout scheme %s %s", swaps[i].pool, swaps[i].scheme,
				s ? "failed before, its state is not to be trusted: restart, "
				    "and its shares are played again"
				  : "is not there");
		OTD_ASSERT(s->n == 0); /* every entry ends with a flush */
		otd_rc rc = hand_over(s, &swaps[i], err);
		if (rc)
			return rc;
	}
	for (size_t i = 0; i < n; i++) {
		struct acct_scheme *s = scheme_named(a, swaps[i].pool, swaps[i].scheme);
		char digest[65];
		otd_instance_destroy(s->instance);
		s->instance = swaps[i].fresh;
		otd_hex_encode(digest, swaps[i].digest, 32);
		otd_log(OTD_LOG_INFO, "pool", "payout.swapped",
			"pool=%s scheme=%s sequence=%llu state=%s", OTD_Q(s->pool->name),
			OTD_Q(s->name), (unsigned long long)a->applied, digest);
	}
	*seq = a->applied;
	/* A start plays from the last save: soon from here, so that the new one plays its own. */
	a->saved_ms = acct_mono_ms(a) - a->conf.snapshot_ms;
	return OTD_OK;
}

void otd_accounting_schemes(struct otd_accounting *a,
			    void (*each)(void *arg, const char *pool, const char *scheme,
					 const struct otd_plugin_instance *in),
			    void *arg)
{
	for (size_t i = 0; i < a->n_pools; i++) {
		const struct acct_pool *p = a->pools[i];
		for (size_t k = 0; k < p->n_schemes; k++)
			each(arg, p->name, p->schemes[k].name, p->schemes[k].instance);
	}
}
