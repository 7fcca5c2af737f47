/*
 * Chains: a node may answer anything. Every sort of answer is read, whole, cut and changed; a chain that
 * is its own node is asked everything; buffers that are too short are said to be.
 */
#include "app/check/plugin_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS      12u /* OTD_CHAIN_PROBE .. OTD_CHAIN_HEADER */
#define CHANGES    60u /* changed copies of each answer */
#define BODY_MAX   65536u
#define BUFFER_MAX (8u << 20)
#define SLOW_NS    100000000u /* of processor time, on the coordinator's loop */
#define DEEP       20000u

struct chain {
	const struct otd_chain_ops *ops;
	struct otd_pcheck_instance in;
	uint64_t worst_ns;
	const char *worst;
	uint64_t n_answers, n_taken;
};

static const char *const names[] = {"",      "PROBE",  "TIP",   "TEMPLATE", "SUBMIT",
				    "BLOCK", "WALLET", "COINS", "LOCK",     "SIGN",
				    "SEND",  "TX",     "HEADER"};

/* What nodes, proxies and liars send. */
static const char *const bodies[] = {
	"",
	" ",
	"null",
	"true",
	"0",
	"-1",
	"\"\"",
	"[]",
	"{}",
	"{",
	"[",
	"\"",
	"{\"result\":",
	"<html><body>502 Bad Gateway</body></html>",
	"{\"result\":null,\"error\":null,\"id\":1}",
	"{\"result\":true,\"error\":null,\"id\":1}",
	"{\"result\":0,\"error\":null,\"id\":1}",
	"{\"result\":\"\",\"error\":null,\"id\":1}",
	"{\"result\":\"zz\",\"error\":null,\"id\":1}",
	"{\"result\":[],\"error\":null,\"id\":1}",
	"{\"result\":[null],\"error\":null,\"id\":1}",
	"{\"result\":[[]],\"error\":null,\"id\":1}",
	"{\"result\":[{}],\"error\":null,\"id\":1}",
	"{\"result\":{},\"error\":null,\"id\":1}",
	"{\"result\":null,\"error\":{\"code\":-8,\"message\":\"no\"},\"id\":1}",
	"{\"result\":null,\"error\":{\"code\":-10,\"message\":\"Loading block "
	"index...\"},\"id\":1}",
	"{\"result\":null,\"error\":{\"code\":null,\"message\":null},\"id\":1}",
	"{\"result\":null,\"error\":\"no\",\"id\":1}",
	"{\"result\":null,\"error\":[],\"id\":null}",
	"[{\"result\":{},\"error\":null,\"id\":0},{\"result\":{},\"error\":null,\"id\":1}]",
	"[null,null,null,null,null,null,null,null]",
	"[{\"result\":null,\"error\":null,\"id\":0}]",
	"{\"result\":{\"chain\":\"main\",\"blocks\":-1,\"headers\":1e400,\"bestblockhash\":\"00\","
	"\"initialblockdownload\":3,\"warnings\":[1,2]},\"error\":null,\"id\":1}",
	"{\"result\":{\"blocks\":99999999999999999999999,\"headers\":null,\"chain\":{}},\"error\":"
	"null,"
	"\"id\":1}",
	"{\"result\":{\"version\":536870912,\"rules\":[\"segwit\"],\"previousblockhash\":"
	"\"0000000000000000000000000000000000000000000000000000000000000000\",\"transactions\":[],"
	"\"coinbasevalue\":5000000000,\"longpollid\":\"x\",\"target\":"
	"\"7fffff0000000000000000000000000000000000000000000000000000000000\",\"mintime\":1,"
	"\"curtime\":1700000000,\"bits\":\"207fffff\",\"height\":101,\"default_witness_"
	"commitment\":"
	"\"6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9\"},"
	"\"error\":null,\"id\":1}",
	"{\"result\":{\"version\":1,\"previousblockhash\":\"00\",\"transactions\":[{\"data\":"
	"\"00\","
	"\"txid\":\"00\",\"hash\":\"00\",\"fee\":-1,\"sigops\":-1,\"weight\":-1}],"
	"\"coinbasevalue\":-1,"
	"\"target\":\"\",\"curtime\":-1,\"bits\":\"\",\"height\":-1},\"error\":null,\"id\":1}",
	"{\"result\":{\"hash\":\"zz\",\"confirmations\":-1,\"height\":4294967296,\"time\":\"x\"},"
	"\"error\":null,\"id\":1}",
	"{\"result\":[{\"txid\":\"00\",\"vout\":-1,\"scriptPubKey\":\"0\",\"amount\":-0.1,"
	"\"confirmations\":-1,\"spendable\":1}],\"error\":null,\"id\":1}",
	"{\"result\":{\"hex\":\"0\",\"complete\":\"yes\",\"errors\":[{}]},\"error\":null,\"id\":1}",
	"{\"result\":{\"feerate\":1e-300,\"blocks\":2,\"mine\":{\"trusted\":1e300,\"immature\":-5}}"
	","
	"\"error\":null,\"id\":1}",
	"{\"result\":\"\\ud800\\u0000\",\"error\":null,\"id\":1}",
	"{\"result\":1,\"result\":2}",
};
#define N_BODIES (sizeof(bodies) / sizeof(bodies[0]))
static const int statuses[] = {200, 0, 401, 403, 404, 429, 500, 503};
#define N_STATUSES (sizeof(statuses) / sizeof(statuses[0]))

static const uint8_t some_bytes[96] = {1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};

/* --- calls --- */

struct asked {
	struct otd_chain_call call;
	struct otd_chain_coin coin;
	struct otd_buf out;
	uint8_t room[4096];
};

static void make_call(struct asked *a, uint32_t kind)
{
	memset(a, 0, sizeof(*a));
	a->out = (struct otd_buf){a->room, 0, sizeof(a->room)};
	memset(a->coin.txid, 7, sizeof(a->coin.txid));
	a->coin.value = 100000;
	a->coin.script_len = 22;
	a->coin.script[1] = 20;
	a->call = (struct otd_chain_call){.size = sizeof(a->call),
					  .kind = kind,
					  .block = {some_bytes, sizeof(some_bytes)},
					  .height = 101,
					  .raw = {some_bytes, 60},
					  .coins = &a->coin,
					  .coin_stride = sizeof(a->coin),
					  .n_coins = 1,
					  .confirmations = 1,
					  .out = &a->out};
	if (kind == OTD_CHAIN_COINS)
		a->call.n_coins = 0;
}

static void clocked(struct chain *c, uint64_t from, const char *what)
{
	uint64_t took = otd_pcheck_cpu_ns() - from;
	if (took > c->worst_ns) {
		c->worst_ns = took;
		c->worst = what;
	}
}

/* What came with an OTD_OK is given back. */
static void give_back(struct chain *c, uint32_t kind, struct otd_chain_result *r)
{
	if (kind == OTD_CHAIN_TEMPLATE && r->u.tmpl.handle)
		c->ops->template_free(c->in.self, r->u.tmpl.handle);
}

static void answer(struct chain *c, uint32_t kind, int status, const uint8_t *p, size_t n)
{
	struct otd_chain_result r = {.size = sizeof(r), .kind = kind};
	struct asked a;
	uint64_t from = otd_pcheck_cpu_ns();
	otd_rc rc;
	make_call(&a, kind);
	rc = c->ops->answer(c->in.self, &a.call, status, (struct otd_span){p, n}, &r);
	clocked(c, from, "answer()");
	c->n_answers++;
	if (rc > 0)
		otd_pcheck_fail("answer() to %s returns %d: 0 or one of enum otd_code", names[kind],
				rc);
	if (rc == OTD_OK) {
		c->n_taken++;
		give_back(c, kind, &r);
	}
	if (a.out.len > a.out.cap && rc != OTD_E_RANGE)
		otd_pcheck_fail("answer() to %s sets call.out->len above cap without OTD_E_RANGE",
				names[kind]);
}

/* A body that ends where memory ends, whole, cut, and changed. */
static bool answers_of(struct chain *c, uint32_t kind, const char *body, uint64_t *random)
{
	size_t n = strlen(body);
	uint8_t *p = otd_pcheck_guarded(n, 1);
	if (!p)
		return false;
	memcpy(p, body, n);
	otd_pcheck_at("answer() to %s, status and %zu bytes of '%.60s'", names[kind], n, body);
	for (size_t s = 0; s < N_STATUSES; s++)
		answer(c, kind, statuses[s], p, n);
	for (unsigned k = 0; n > 1 && k < CHANGES && !otd_pcheck_failed(); k++) {
		memcpy(p, body, n);
		for (unsigned i = 0; i < 1 + k % 3; i++)
			p[otd_pcheck_below(random, n)] = (uint8_t)otd_pcheck_random(random);
		otd_pcheck_at("answer() to %s, a changed copy of '%.60s'", names[kind], body);
		answer(c, kind, 200, p, n);
		size_t cut = 1 + otd_pcheck_below(random, n - 1);
		/* Its end is that of memory too. */
		memmove(p + cut, body, n - cut);
		otd_pcheck_at("answer() to %s, '%.60s' cut short", names[kind], body);
		answer(c, kind, 200, p + cut, n - cut);
	}
	return true;
}

/* Brackets within brackets: recursion ends the stack of whoever has no limit. */
static bool deep_answers(struct chain *c, uint32_t kind)
{
	static const char *const opening[] = {"[", "{\"result\":", "[[{\"a\":"};
	for (size_t i = 0; i < sizeof(opening) / sizeof(opening[0]); i++) {
		size_t n = strlen(opening[i]);
		uint8_t *p = malloc(n * DEEP);
		if (!p)
			return false;
		for (size_t k = 0; k < DEEP; k++)
			memcpy(p + k * n, opening[i], n);
		otd_pcheck_at("answer() to %s, %u times '%s'", names[kind], DEEP, opening[i]);
		answer(c, kind, 200, p, n * DEEP);
		free(p);
	}
	return true;
}

/* --- requests --- */

static void request_of(struct chain *c, uint32_t kind)
{
	struct otd_buf b = {0};
	struct asked a;
	otd_rc rc;
	make_call(&a, kind);
	otd_pcheck_at("request() for %s into a buffer of no bytes", names[kind]);
	rc = c->ops->request(c->in.self, &a.call, &b);
	if (rc == OTD_E_UNSUPPORTED && kind > OTD_CHAIN_BLOCK)
		return; /* a chain that cannot pay */
	if (!otd_pcheck_short_buffer("request()", rc, &b))
		return;
	if (b.len > BODY_MAX) {
		otd_pcheck_fail("request() for %s wants %zu bytes", names[kind], b.len);
		return;
	}
	b.cap = b.len;
	b.ptr = otd_pcheck_guarded(b.cap, 1);
	otd_pcheck_at("request() for %s into the %zu bytes that it asked for", names[kind], b.cap);
	rc = b.ptr ? c->ops->request(c->in.self, &a.call, &b) : OTD_E_NOMEM;
	if (rc || b.len > b.cap)
		otd_pcheck_fail("request() for %s into the %zu bytes that it asked for fails: %s%s",
				names[kind], b.cap, otd_rc_name(rc), otd_pcheck_words(&c->in));
}

/* --- a chain that is its own node --- */

static void local_calls(struct chain *c)
{
	for (uint32_t kind = 0; kind <= CALLS + 1; kind++) {
		struct otd_chain_result r = {.size = sizeof(r), .kind = kind};
		struct asked a;
		uint64_t from = otd_pcheck_cpu_ns();
		const char *name = kind <= CALLS ? names[kind] : "a call of the future";
		otd_rc rc;
		make_call(&a, kind);
		otd_pcheck_at("local() for %s", name);
		rc = c->ops->local(c->in.self, &a.call, &r);
		clocked(c, from, "local()");
		if (kind && kind <= OTD_CHAIN_TEMPLATE && rc)
			otd_pcheck_fail("local() for %s fails: %s%s", name, otd_rc_name(rc),
					otd_pcheck_words(&c->in));
		if (!rc && (kind == 0 || kind > CALLS))
			otd_pcheck_fail("local() takes a call that does not exist (%u): return "
					"OTD_E_UNSUPPORTED",
					kind);
		if (!rc)
			give_back(c, kind, &r);
	}
}

static void commands(struct chain *c)
{
	static const char *const words[] = {"",         " ",
					    "help",     "no-such-word",
					    "mine -1",  "mine 99999999999999999999",
					    "reorg 99", "\xff\xfe"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint8_t room[4096];
		struct otd_buf b = {room, 0, sizeof(room)};
		size_t n = strlen(words[i]);
		uint8_t *p = otd_pcheck_guarded(n, 1);
		otd_rc rc;
		if (!p)
			return;
		memcpy(p, words[i], n);
		otd_pcheck_at("command() '%s'", words[i]);
		rc = c->ops->command(c->in.self, (struct otd_span){p, n}, &b);
		if (b.len > b.cap && rc != OTD_E_RANGE)
			otd_pcheck_fail("command() sets len above cap without OTD_E_RANGE");
	}
}

/* --- addresses --- */

static void addresses(struct chain *c)
{
	static const char *const texts[] = {
		"",
		"x",
		" ",
		"1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
		"0x0000000000000000000000000000000000000000",
		"11111111111111111111111111111111111111111111111111111111111111111111111111111111",
		"bcrt1q\xff\xff\xff\xff",
		"tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c"};
	uint64_t random = 5;
	for (unsigned k = 0; k < 400 && !otd_pcheck_failed(); k++) {
		const char *text = texts[k % (sizeof(texts) / sizeof(texts[0]))];
		size_t n = strlen(text);
		uint8_t room[256], *p = otd_pcheck_guarded(n, 1);
		struct otd_buf b = {room, 0, sizeof(room)};
		struct otd_span s = {p, n};
		if (!p)
			return;
		memcpy(p, text, n);
		if (k > 20 && n)
			p[otd_pcheck_below(&random, n)] = (uint8_t)otd_pcheck_random(&random);
		otd_pcheck_at("address() '%.90s'", text);
		otd_rc rc = c->ops->address(c->in.self, s, &b);
		if (!rc && b.len == 0)
			otd_pcheck_fail("address() takes '%.90s' and gives an empty script", text);
		if (b.len > b.cap && rc != OTD_E_RANGE)
			otd_pcheck_fail("address() sets len above cap without OTD_E_RANGE");
		if (c->ops->canonical) {
			b = (struct otd_buf){room, 0, sizeof(room)};
			(void)!c->ops->canonical(c->in.self, s, &b);
		}
	}
}

/* --- opening --- */

static bool open_chain(struct chain *c)
{
	memset(c, 0, sizeof(*c));
	c->worst = "";
	if (!otd_pcheck_plugin(false) || !otd_pcheck_options() || !otd_pcheck_create_or_say(&c->in))
		return false;
	c->ops = otd_pcheck_plugin(false)->ops.chain;
	return true;
}

static void close_chain(struct chain *c)
{
	otd_pcheck_at("destroy()");
	otd_pcheck_destroy(&c->in);
	(void)otd_pcheck_leftovers(&c->in, "after destroy()");
	if (c->worst_ns > SLOW_NS)
		otd_pcheck_warn("%s works for %" PRIu64 " ms, and the coordinator waits for it",
				c->worst, c->worst_ns / 1000000);
}

/* For leaks and memory: a template where the chain is its own node, requests and answers otherwise. */
otd_rc otd_pcheck_walk_chain(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w)
{
	const struct otd_chain_ops *ops = otd_pcheck_plugin(false)->ops.chain;
	struct otd_chain_result r = {.size = sizeof(r), .kind = OTD_CHAIN_TEMPLATE};
	uint8_t room[4096];
	struct otd_buf b = {room, 0, sizeof(room)};
	struct asked a;
	otd_rc rc;
	make_call(&a, OTD_CHAIN_TEMPLATE);
	if (ops->local) {
		w->at = "local() for TEMPLATE";
		rc = ops->local(in->self, &a.call, &r);
		if (!rc) {
			otd_pcheck_sum(w, &r.u.tmpl.value, sizeof(r.u.tmpl.value));
			otd_pcheck_sum(w, &r.u.tmpl.n_tx, sizeof(r.u.tmpl.n_tx));
			ops->template_free(in->self, r.u.tmpl.handle);
		}
		return rc;
	}
	w->at = "request() for TEMPLATE";
	rc = ops->request(in->self, &a.call, &b);
	if (rc)
		return rc;
	/* Most are refused for what they say; that is an answer too. For want of memory is another. */
	w->at = "answer() to TEMPLATE";
	for (size_t i = 0; i < N_BODIES; i++) {
		bool failed = in->host.failed;
		r = (struct otd_chain_result){.size = sizeof(r), .kind = OTD_CHAIN_TEMPLATE};
		rc = ops->answer(in->self, &a.call, 200,
				 (struct otd_span){(const uint8_t *)bodies[i], strlen(bodies[i])},
				 &r);
		otd_pcheck_sum(w, &rc, sizeof(rc));
		if (!rc && r.u.tmpl.handle)
			ops->template_free(in->self, r.u.tmpl.handle);
		if (rc && failed != in->host.failed)
			return rc;
	}
	return OTD_OK;
}

void otd_pcheck_answers(void)
{
	struct chain c;
	uint64_t random = 3;
	if (!open_chain(&c))
		return;
	for (uint32_t kind = 1; c.ops->request && kind <= CALLS && !otd_pcheck_failed(); kind++)
		request_of(&c, kind);
	for (uint32_t kind = 1; c.ops->answer && kind <= CALLS; kind++) {
		for (size_t i = 0; i < N_BODIES && !otd_pcheck_failed(); i++) {
			if (!answers_of(&c, kind, bodies[i], &random))
				return;
		}
		if (!deep_answers(&c, kind))
			return;
	}
	if (c.ops->local)
		local_calls(&c);
	close_chain(&c);
	if (c.ops->answer)
		otd_pcheck_ok("%" PRIu64 " answers read that no node should give, %" PRIu64
			      " of them refused",
			      c.n_answers, c.n_answers - c.n_taken);
	else
		otd_pcheck_ok("is its own node, and was asked every call");
}

/* --- jobs and blocks --- */

/* A template: its own, or of the answer that is one on Bitcoin-like chains. */
static bool get_template(struct chain *c, struct otd_chain_result *r)
{
	struct asked a;
	make_call(&a, OTD_CHAIN_TEMPLATE);
	*r = (struct otd_chain_result){.size = sizeof(*r), .kind = OTD_CHAIN_TEMPLATE};
	if (c->ops->local)
		return c->ops->local(c->in.self, &a.call, r) == OTD_OK && r->u.tmpl.handle;
	for (size_t i = 0; i < N_BODIES; i++) {
		struct otd_span s = {(const uint8_t *)bodies[i], strlen(bodies[i])};
		if (c->ops->answer(c->in.self, &a.call, 200, s, r) == OTD_OK && r->u.tmpl.handle)
			return true;
	}
	return false;
}

/* A job into buffers of no room, then into what was asked for, which ends where memory does. */
static bool make_job(struct chain *c, struct otd_template *t, const struct otd_chain_coinbase *cb,
		     struct otd_chain_job *job)
{
	struct otd_buf *parts[] = {&job->coinbase1, &job->coinbase2, &job->branches};
	otd_rc rc;
	*job = (struct otd_chain_job){.size = sizeof(*job)};
	otd_pcheck_at("job() into buffers of no bytes");
	rc = c->ops->job(c->in.self, t, cb, job);
	if (rc == OTD_OK) {
		otd_pcheck_fail("job() into buffers of no bytes succeeds");
		return false;
	}
	if (rc != OTD_E_RANGE)
		return true; /* it does not like the payee; that is its right */
	for (size_t i = 0; i < 3; i++) {
		if (parts[i]->len > BUFFER_MAX) {
			otd_pcheck_fail("job() wants %zu bytes", parts[i]->len);
			return false;
		}
		parts[i]->cap = parts[i]->len;
		parts[i]->ptr = otd_pcheck_guarded(parts[i]->cap, 1);
		if (!parts[i]->ptr)
			return false;
	}
	otd_pcheck_at("job() into the bytes that it asked for");
	rc = c->ops->job(c->in.self, t, cb, job);
	if (rc)
		otd_pcheck_fail("job() into the bytes that it asked for fails: %s%s",
				otd_rc_name(rc), otd_pcheck_words(&c->in));
	else if (job->branches.len % 32)
		otd_pcheck_fail("job() gives %zu bytes of branches, no multiple of 32",
				job->branches.len);
	return !rc;
}

static void make_block(struct chain *c, struct otd_template *t, const struct otd_chain_job *job)
{
	size_t n = job->coinbase1.len + 8 + job->coinbase2.len;
	uint8_t *coinbase = otd_pcheck_guarded(n, 1), header[80] = {0};
	struct otd_buf b = {0};
	otd_rc rc;
	if (!coinbase || !job->coinbase1.len)
		return;
	memcpy(coinbase, job->coinbase1.ptr, job->coinbase1.len);
	memset(coinbase + job->coinbase1.len, 0x5a, 8);
	memcpy(coinbase + job->coinbase1.len + 8, job->coinbase2.ptr, job->coinbase2.len);
	otd_pcheck_at("assemble() into a buffer of no bytes");
	rc = c->ops->assemble(c->in.self, t, (struct otd_span){header, sizeof(header)},
			      (struct otd_span){coinbase, n}, &b);
	if (rc != OTD_E_RANGE)
		return; /* another length of header */
	b.cap = b.len < BUFFER_MAX ? b.len : 0;
	b.ptr = otd_pcheck_guarded(b.cap, 1);
	otd_pcheck_at("assemble() into the %zu bytes that it asked for", b.cap);
	rc = b.ptr ? c->ops->assemble(c->in.self, t, (struct otd_span){header, sizeof(header)},
				      (struct otd_span){coinbase, n}, &b)
		   : OTD_E_NOMEM;
	if (rc)
		otd_pcheck_fail("assemble() into the %zu bytes that it asked for fails: %s%s",
				b.cap, otd_rc_name(rc), otd_pcheck_words(&c->in));
	otd_pcheck_at("assemble() of a header and a coinbase of no bytes");
	b.len = 0;
	if (!c->ops->assemble(c->in.self, t, (struct otd_span){NULL, 0}, (struct otd_span){NULL, 0},
			      &b))
		otd_pcheck_fail("assemble() makes a block of a header of no bytes");
}

void otd_pcheck_work(void)
{
	struct chain c;
	struct otd_chain_result r;
	struct otd_chain_job job;
	uint8_t script[22] = {0, 20};
	struct otd_chain_payee payee = {.script = {script, sizeof(script)}, .value = -1};
	struct otd_chain_coinbase cb = {.size = sizeof(cb),
					.extranonce_len = 8,
					.payees = &payee,
					.payee_stride = sizeof(payee),
					.n_payees = 1,
					.tag = {(const uint8_t *)"/check/", 7}};
	bool got;
	if (!open_chain(&c))
		return;
	addresses(&c);
	if (c.ops->command)
		commands(&c);
	otd_pcheck_at("template_free(NULL)");
	c.ops->template_free(c.in.self, NULL);
	otd_pcheck_at("a template");
	got = get_template(&c, &r);
	if (got && make_job(&c, r.u.tmpl.handle, &cb, &job))
		make_block(&c, r.u.tmpl.handle, &job);
	otd_pcheck_at("template_free()");
	if (got)
		c.ops->template_free(c.in.self, r.u.tmpl.handle);
	close_chain(&c);
	if (got)
		otd_pcheck_ok("addresses, a job and a block of a template");
	else
		otd_pcheck_ok(
			"addresses; no template could be had here, so that job() and assemble() "
			"are not tried");
}
