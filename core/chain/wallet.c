/* Questions to the one node whose wallet pays, and the plugin's part in a payment. */
#include "chain/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_TX 4096 /* bytes; the plugin says where it wants more */
#define MAX_TX   (4u << 20)

/* A call with all that it points to. */
struct asked {
	otd_wallet_fn fn; /* NULL: it is being called, or was */
	void *arg;
	struct otd_chain_call call;
	struct otd_chain_coin coins[];
};

/* --- the wallet's URL --- */

char *otd_chain_wallet_url(const char *url, const char *wallet)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
	static const char digits[] = "0123456789ABCDEF";
	size_t n = strlen(url), at;
	char *out = malloc(n + sizeof("/wallet/") + 3 * strlen(wallet));
	if (!out)
		return NULL;
	while (n && url[n - 1] == '/')
		n--;
	memcpy(out, url, n);
	memcpy(out + n, "/wallet/", 8);
	at = n + 8;
	for (const char *p = wallet; *p; p++) {
		if (strchr(plain, *p)) {
			out[at++] = *p;
			continue;
		}
		out[at++] = '%';
		out[at++] = digits[(uint8_t)*p >> 4];
		out[at++] = digits[(uint8_t)*p & 15];
	}
	out[at] = 0;
	return out;
}

/* --- questions --- */

static struct otd_chain_node *wallet_node(struct otd_chain *c)
{
	for (size_t i = 0; i < c->n_nodes; i++) {
		if (c->nodes[i]->roles & OTD_NODE_WALLET)
			return c->nodes[i];
	}
	return NULL;
}

bool otd_chain_can_pay(struct otd_chain *c, const char **why)
{
	const char *missing = NULL;
	if (!c->ops->pay_build || !c->ops->pay_check || !c->ops->dust)
		missing = "the coin's chain plugin cannot make payments";
	else if (!wallet_node(c))
		missing = "none of its nodes has the role wallet";
	if (why)
		*why = missing ? missing : "";
	return !missing;
}

/* What a failure means for whoever must not pay twice. */
static otd_rc verdict_of(const struct otd_chain_req *r, otd_rc rc)
{
	if (rc == OTD_OK || r->unsent)
		return rc ? OTD_E_CLOSED : OTD_OK;
	/* env's HTTP: nobody listens there, no such host, no such URL. All else may have arrived. */
	if (r->unanswered)
		return rc == OTD_E_REFUSED || rc == OTD_E_NOT_FOUND || rc == OTD_E_INVALID
			       ? OTD_E_CLOSED
			       : OTD_E_TIMEOUT;
	return rc == OTD_E_REFUSED || rc == OTD_E_BUSY ? rc : OTD_E_TIMEOUT;
}

static void answered(struct otd_chain_req *r, otd_rc rc, const struct otd_chain_result *res,
		     const char *why)
{
	struct asked *a = r->owned;
	otd_wallet_fn fn = a->fn;
	struct otd_err err = {0};
	if (rc)
		(void)otd_fail(&err, verdict_of(r, rc), "nodes.%s: %s", r->node->name, why);
	a->fn = NULL; /* fn may forget its own arg */
	fn(a->arg, &err, res, otd_bytes_span(&r->out));
}

/* Everything that call points to stands behind it in one block. NULL: no memory. */
static struct asked *copy_call(const struct otd_chain_call *call)
{
	size_t address = call->address ? strlen(call->address) + 1 : 0;
	size_t coins = call->n_coins * sizeof(struct otd_chain_coin);
	if (call->n_coins > OTD_CHAIN_MAX_ANSWER / sizeof(struct otd_chain_coin))
		return NULL;
	struct asked *a = calloc(1, sizeof(*a) + coins + call->raw.len + address);
	if (!a)
		return NULL;
	uint8_t *at = (uint8_t *)a->coins + coins;
	a->call = *call;
	a->call.longpoll_id = NULL;
	a->call.block = (struct otd_span){0};
	a->call.out = NULL;
	for (size_t i = 0; i < call->n_coins; i++) {
		const uint8_t *from = (const uint8_t *)call->coins + i * call->coin_stride;
		memcpy(&a->coins[i], from,
		       call->coin_stride < sizeof(a->coins[0]) ? call->coin_stride
							       : sizeof(a->coins[0]));
	}
	a->call.coins = a->coins;
	a->call.coin_stride = sizeof(a->coins[0]);
	if (call->raw.len)
		memcpy(at, call->raw.ptr, call->raw.len);
	a->call.raw.ptr = at;
	at += call->raw.len;
	if (address) {
		memcpy(at, call->address, address);
		a->call.address = (const char *)at;
	}
	return a;
}

otd_rc otd_chain_wallet(struct otd_chain *c, const struct otd_chain_call *call, otd_wallet_fn fn,
			void *arg, struct otd_err *err)
{
	const char *why;
	struct otd_chain_node *n = wallet_node(c);
	struct otd_chain_req *r;
	if (call->kind < OTD_CHAIN_WALLET || call->kind > OTD_CHAIN_TX)
		return otd_fail(err, OTD_E_INVALID, "call %u is none of a wallet's", call->kind);
	if (!otd_chain_can_pay(c, &why))
		return otd_fail(err, OTD_E_UNSUPPORTED, "coin %s: %s", c->coin, why);
	struct asked *a = copy_call(call);
	if (!a)
		return otd_fail(err, OTD_E_NOMEM, "no memory for a call to nodes.%s", n->name);
	a->fn = fn;
	a->arg = arg;
	if (c->started && !n->st.up) {
		char down[160];
		snprintf(down, sizeof(down), "it is down: %.140s",
			 n->st.last_error[0] ? n->st.last_error : "it has not answered yet");
		r = otd_chain_ask_not(n, &a->call, OTD_E_CLOSED, down, answered, NULL);
	} else {
		/* A wallet of many coins takes its time; one that did not sign in time is asked again. */
		bool slow = call->kind != OTD_CHAIN_WALLET && call->kind != OTD_CHAIN_SEND;
		int64_t ms = c->conf.timeout_ms;
		if (slow && ms < OTD_CHAIN_WALLET_MS)
			ms = OTD_CHAIN_WALLET_MS;
		r = otd_chain_ask(n, &a->call, ms, answered, NULL);
	}
	if (!r) {
		free(a);
		return otd_fail(err, OTD_E_NOMEM, "no memory for a call to nodes.%s", n->name);
	}
	r->owned = a;
	return OTD_OK;
}

void otd_chain_wallet_forget(struct otd_chain *c, void *arg)
{
	for (struct otd_chain_req *r = c->reqs, *next; r; r = next) {
		const struct asked *a = r->owned;
		next = r->next;
		if (r->done == answered && a->fn && a->arg == arg)
			otd_chain_cancel(r);
	}
}

/* --- the plugin's part --- */

static otd_rc fail(struct otd_chain *c, struct otd_err *err, otd_rc rc, const char *what)
{
	const char *why = otd_instance_error(c->conf.plugin);
	return otd_fail(err, rc, "%s: %s", what, *why ? why : otd_rc_name(rc));
}

static otd_rc cannot(struct otd_chain *c, struct otd_err *err)
{
	return otd_fail(err, OTD_E_UNSUPPORTED, "the chain plugin of coin %s cannot make payments",
			c->coin);
}

otd_rc otd_chain_pay_build(struct otd_chain *c, const struct otd_chain_pay *p,
			   struct otd_bytes *raw, struct otd_chain_pay_info *info,
			   struct otd_err *err)
{
	struct otd_chain_pay own = *p;
	size_t room = FIRST_TX;
	otd_rc rc = OTD_E_RANGE;
	if (!c->ops->pay_build)
		return cannot(c, err);
	own.size = sizeof(own);
	for (int i = 0; i < 2 && rc == OTD_E_RANGE && room <= MAX_TX; i++) {
		otd_bytes_clear(raw);
		struct otd_buf b = {.ptr = otd_bytes_room(raw, room), .cap = room};
		if (!b.ptr)
			return otd_fail(err, OTD_E_NOMEM, "no room for a payment");
		*info = (struct otd_chain_pay_info){.size = sizeof(*info)};
		OTD_ON(OTD_THREAD_COORDINATOR);
		otd_instance_clear_error(c->conf.plugin);
		rc = c->ops->pay_build(c->self, &own, &b, info);
		if (rc == OTD_OK)
			raw->len = b.len;
		if (rc == OTD_E_RANGE && b.len <= room)
			break;
		room = b.len;
	}
	return rc ? fail(c, err, rc, "cannot make the payment's transaction") : OTD_OK;
}

otd_rc otd_chain_pay_check(struct otd_chain *c, const struct otd_chain_pay *p, struct otd_span raw,
			   struct otd_chain_pay_info *info, struct otd_err *err)
{
	struct otd_chain_pay own = *p;
	if (!c->ops->pay_check)
		return cannot(c, err);
	own.size = sizeof(own);
	*info = (struct otd_chain_pay_info){.size = sizeof(*info)};
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(c->conf.plugin);
	otd_rc rc = c->ops->pay_check(c->self, &own, raw, info);
	return rc ? fail(c, err, rc, "the signed transaction is not the payment") : OTD_OK;
}

otd_rc otd_chain_dust(struct otd_chain *c, struct otd_span script, otd_i128 *least,
		      struct otd_err *err)
{
	if (!c->ops->dust)
		return cannot(c, err);
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(c->conf.plugin);
	otd_rc rc = c->ops->dust(c->self, script, least);
	return rc ? fail(c, err, rc, "no least amount for an output") : OTD_OK;
}

/* Without the plugin's help: in small letters where that is the same script. */
static otd_rc guess_canonical(struct otd_chain *c, const char *text, size_t n, char *out,
			      struct otd_err *err)
{
	uint8_t script[128], lower_script[128];
	size_t len = 0, lower_len = 0;
	otd_rc rc = otd_chain_address(c, text, n, script, sizeof(script), &len, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(text[i] | (text[i] >= 'A' && text[i] <= 'Z' ? 0x20 : 0));
	if (otd_chain_address(c, out, n, lower_script, sizeof(lower_script), &lower_len, NULL) ||
	    lower_len != len || memcmp(script, lower_script, len) != 0)
		memcpy(out, text, n);
	out[n] = 0;
	return OTD_OK;
}

otd_rc otd_chain_canonical(struct otd_chain *c, const char *text, size_t n, char *out, size_t cap,
			   struct otd_err *err)
{
	struct otd_buf b = {.ptr = (uint8_t *)out, .cap = cap};
	struct otd_span s = {(const uint8_t *)text, n};
	out[0] = 0;
	if (n > cap)
		return otd_fail(err, OTD_E_RANGE, "this is too long for an address");
	if (!c->ops->canonical)
		return guess_canonical(c, text, n, out, err);
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(c->conf.plugin);
	otd_rc rc = c->ops->canonical(c->self, s, &b);
	if (rc == OTD_E_RANGE || (rc == OTD_OK && b.len > cap))
		return otd_fail(err, OTD_E_RANGE, "this is too long for an address");
	if (rc) {
		const char *why = otd_instance_error(c->conf.plugin);
		return otd_fail(err, rc, "%s", *why ? why : otd_rc_name(rc));
	}
	out[b.len] = 0;
	return OTD_OK;
}
