/* Payout schemes: groups of shares, blocks, their state as bytes. Deterministic: what a scheme is
   told follows from the order alone, so that a replay gives the same state. */
#include "base/log.h"
#include "pool/acct/acct.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_VERSION 1u

otd_rc acct_block_number(uint64_t *out, uint64_t epoch, uint64_t share_seq)
{
	if (epoch >> 24 || share_seq >> 40)
		return OTD_E_OVERFLOW;
	*out = epoch << 40 | share_seq;
	return OTD_OK;
}

otd_rc acct_scheme_create(struct acct_scheme *s, const struct otd_acct_scheme *conf,
			  struct otd_err *err)
{
	s->name = acct_copy(conf->name, strlen(conf->name));
	s->group = 1;
	if (!s->name)
		return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	return conf->create(conf->arg, &s->instance, err);
}

void acct_scheme_finish(struct acct_scheme *s)
{
	if (s->instance)
		otd_instance_destroy(s->instance);
	free(s->name);
	free(s->shares);
	*s = (struct acct_scheme){0};
}

static void broken(struct otd_accounting *a, struct acct_scheme *s, const char *what, otd_rc rc)
{
	s->broken = true;
	const char *said = otd_instance_error(s->instance);
	acct_alert(a,
		   "pool %s: payout scheme %s failed at %s (%s): its blocks are held from now on; "
		   "mend the plugin and restart, shares since then are played again",
		   s->pool->name, s->name, what, said[0] ? said : otd_rc_name(rc));
}

void acct_scheme_flush(struct otd_accounting *a, struct acct_scheme *s)
{
	if (s->n == 0)
		return;
	const struct otd_payout_batch batch = {
		.size = sizeof(batch),
		.stride = sizeof(*s->shares),
		.shares = s->shares,
		.n = s->n,
		.time_ms = s->last_ms,
		.network_work = s->network_work,
	};
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(s->instance);
	otd_rc rc = s->broken ? OTD_OK
			      : otd_instance_payout(s->instance)
					->shares(otd_instance_self(s->instance), &batch);
	s->n = 0;
	s->group++;
	if (rc)
		broken(a, s, "shares", rc);
}

void acct_scheme_share(struct otd_accounting *a, struct acct_seat *seat, otd_u128 work,
		       otd_u128 network_work, int64_t time_ms)
{
	struct acct_scheme *s = seat->scheme;
	if (a->current <= s->seq)
		return;
	/* A group has one network work and one time; the time never goes back. */
	if (s->network_work != network_work)
		acct_scheme_flush(a, s);
	s->network_work = network_work;
	if (time_ms > s->last_ms)
		s->last_ms = time_ms;
	s->round_work += work;
	if (seat->group == s->group && seat->index < s->n) {
		s->shares[seat->index].work += work;
		return;
	}
	struct otd_payout_share *to = acct_room(s->shares, &s->n, &s->cap, sizeof(*to));
	if (!to) {
		acct_stop(a, "out of memory");
		return;
	}
	s->shares = to;
	seat->group = s->group;
	seat->index = s->n;
	s->shares[s->n++] = (struct otd_payout_share){seat->account->id, work};
}

struct sink {
	struct acct_credit *credits;
	size_t n, cap;
	otd_i128 sum;
	const char *wrong;
};

static otd_rc take_credit(void *ctx, uint64_t account, otd_i128 amount)
{
	struct sink *k = ctx;
	if (account == 0 || amount <= 0) {
		k->wrong = "a credit has no account or is not positive";
		return OTD_E_INVALID;
	}
	if (otd_i128_add(&k->sum, k->sum, amount) != OTD_OK) {
		k->wrong = "credits overflow";
		return OTD_E_OVERFLOW;
	}
	struct acct_credit *to = acct_room(k->credits, &k->n, &k->cap, sizeof(*to));
	if (!to) {
		k->wrong = "out of memory";
		return OTD_E_NOMEM;
	}
	k->credits = to;
	k->credits[k->n++] = (struct acct_credit){account, amount};
	return OTD_OK;
}

/* An account's number must be one that we gave, in this pool. */
static bool accounts_are_ours(struct otd_accounting *a, const struct acct_scheme *s,
			      const struct sink *k)
{
	for (size_t i = 0; i < k->n; i++) {
		const struct acct_account *c = acct_account_by_id(a, k->credits[i].account);
		if (!c || c->pool != s->pool)
			return false;
	}
	return true;
}

bool acct_scheme_block(struct otd_accounting *a, struct acct_scheme *s,
		       const struct otd_payout_block *block, struct acct_credit **credits,
		       size_t *n, char *why, size_t cap)
{
	struct sink k = {0};
	const struct otd_payout_sink sink = {
		.size = sizeof(sink), .ctx = &k, .credit = take_credit};
	struct otd_payout_block in = *block;
	*credits = NULL;
	*n = 0;
	if (a->current <= s->seq)
		return true;
	s->round_work = 0;
	if (in.time_ms < s->last_ms)
		in.time_ms = s->last_ms;
	s->last_ms = in.time_ms;
	if (s->broken) {
		(void)snprintf(why, cap, "payout scheme %s failed before", s->name);
		return false;
	}
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(s->instance);
	otd_rc rc =
		otd_instance_payout(s->instance)->block(otd_instance_self(s->instance), &in, &sink);
	if (rc) {
		const char *said = otd_instance_error(s->instance);
		(void)snprintf(why, cap, "%s",
			       k.wrong   ? k.wrong
			       : said[0] ? said
					 : otd_rc_name(rc));
		broken(a, s, "block", rc);
	} else if (k.wrong || k.sum != block->amount) {
		(void)snprintf(why, cap, "%s",
			       k.wrong ? k.wrong : "credits do not sum to the amount");
		rc = OTD_E_INVALID;
	} else if (!accounts_are_ours(a, s, &k)) {
		(void)snprintf(why, cap, "a credit names an account that is not of this pool");
		rc = OTD_E_INVALID;
	}
	if (rc) {
		free(k.credits);
		return false;
	}
	*credits = k.credits;
	*n = k.n;
	return true;
}

void acct_scheme_verdict(struct otd_accounting *a, struct acct_scheme *s, uint64_t block,
			 uint32_t state)
{
	const struct otd_payout_ops *ops = otd_instance_payout(s->instance);
	otd_rc rc = OTD_OK;
	if (a->current <= s->seq || s->broken)
		return;
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(s->instance);
	if (state == OTD_BLOCK_ORPHANED && ops->orphan)
		rc = ops->orphan(otd_instance_self(s->instance), block);
	else if (state == OTD_BLOCK_MATURE && ops->mature)
		rc = ops->mature(otd_instance_self(s->instance), block);
	if (rc)
		broken(a, s, state == OTD_BLOCK_ORPHANED ? "orphan" : "mature", rc);
}

/* --- the state as bytes: our part, then the plugin's --- */

static void put_u128(uint8_t *to, otd_u128 v)
{
	for (int i = 0; i < 16; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static otd_u128 get_u128(const uint8_t *from)
{
	otd_u128 v = 0;
	for (int i = 15; i >= 0; i--)
		v = v << 8 | from[i];
	return v;
}

otd_rc acct_scheme_save(struct acct_scheme *s, struct otd_bytes *out)
{
	uint8_t head[ACCT_HEAD] = {STATE_VERSION};
	struct otd_buf buf = {0};
	const struct otd_payout_ops *ops = otd_instance_payout(s->instance);
	struct otd_instance *self = otd_instance_self(s->instance);
	put_u128(head + 16, (otd_u128)(uint64_t)s->last_ms);
	put_u128(head + 32, s->network_work);
	put_u128(head + 48, s->round_work);
	otd_bytes_clear(out);
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_rc rc = otd_bytes_add(out, head, sizeof(head));
	for (size_t room = 4096; rc == OTD_OK; room = buf.len) {
		buf.ptr = otd_bytes_room(out, room);
		buf.cap = room;
		buf.len = 0;
		if (!buf.ptr)
			return OTD_E_NOMEM;
		rc = ops->snapshot(self, &buf);
		if (rc == OTD_OK)
			break;
		if (rc == OTD_E_RANGE && buf.len > room)
			rc = OTD_OK;
	}
	if (rc == OTD_OK)
		out->len += buf.len;
	return rc;
}

otd_rc acct_scheme_restore(struct acct_scheme *s, struct otd_span state, uint64_t seq,
			   struct otd_err *err)
{
	if (state.len < ACCT_HEAD || state.ptr[0] != STATE_VERSION)
		return otd_fail(err, OTD_E_VERSION,
				"pool %s: the saved state of payout scheme %s is of another "
				"version; start the release that wrote it, or restore a backup",
				s->pool->name, s->name);
	s->last_ms = (int64_t)(uint64_t)get_u128(state.ptr + 16);
	s->network_work = get_u128(state.ptr + 32);
	s->round_work = get_u128(state.ptr + 48);
	s->seq = seq;
	const struct otd_span own = {state.ptr + ACCT_HEAD, state.len - ACCT_HEAD};
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(s->instance);
	otd_rc rc = otd_instance_payout(s->instance)->restore(otd_instance_self(s->instance), own);
	if (rc) {
		const char *said = otd_instance_error(s->instance);
		return otd_fail(err, rc,
				"pool %s: payout scheme %s cannot take its saved state: %s; was "
				"the scheme of that name changed? Give the new one another name",
				s->pool->name, s->name, said[0] ? said : otd_rc_name(rc));
	}
	return OTD_OK;
}
