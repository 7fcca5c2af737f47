#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake fake;
static uint64_t now_ms;
static const char *cookie;

struct otd_timer {
	struct otd_timer *next;
	otd_fn fn;
	void *arg;
	uint64_t due_ms;
	int64_t repeat_ms;
	bool on;
};

struct otd_http {
	struct otd_http *next;
	struct fake_node *node;
	uint64_t due_ms;
	otd_http_fn fn;
	void *arg;
	otd_rc rc;
	int status;
	uint32_t kind;
	uint64_t held_height; /* a long poll: until the node's height differs */
	otd_i128 held_value;
	uint64_t waited_height; /* 0: none; not before its node has it */
	bool longpoll, lost;
	struct otd_chain_result res;
};

static struct otd_timer *timers;
static struct otd_http *https;

/* --- env --- */

static uint64_t mono(struct otd_env *e)
{
	(void)e;
	return now_ms * 1000000u + 1;
}

static int64_t wall(struct otd_env *e)
{
	(void)e;
	return (int64_t)now_ms + 1700000000000;
}

static otd_rc timer_create(struct otd_loop *l, struct otd_timer **out, otd_fn fn, void *arg)
{
	(void)l;
	struct otd_timer *t = calloc(1, sizeof(*t));
	t->fn = fn;
	t->arg = arg;
	t->next = timers;
	timers = t;
	*out = t;
	return OTD_OK;
}

static void timer_start(struct otd_timer *t, int64_t delay_ms, int64_t repeat_ms)
{
	t->on = true;
	t->due_ms = now_ms + (uint64_t)delay_ms;
	t->repeat_ms = repeat_ms;
}

static void timer_stop(struct otd_timer *t)
{
	t->on = false;
}

static void timer_destroy(struct otd_timer *t)
{
	struct otd_timer **at = &timers;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	free(t);
}

void fake_hash(uint8_t hash[32], uint64_t height, uint8_t fork)
{
	memset(hash, 0, 32);
	memcpy(hash, &height, sizeof(height));
	hash[20] = fork;
	hash[31] = 1;
}

static void fill_template(struct fake_node *n, struct otd_chain_template *t)
{
	t->handle = malloc(8);
	fake.templates_alive++;
	t->height = n->height + 1;
	fake_hash(t->prev, n->height, n->fork);
	t->nbits = 0x1d00ffff;
	struct otd_u256 target;
	(void)otd_target_from_nbits(&target, n->wrong_target ? 0x1c00ffff : t->nbits);
	otd_u256_to_le(t->target, target);
	t->version = 0x20000000;
	t->time_s = (int64_t)(now_ms / 1000) + 1700000000;
	t->value = n->value;
	t->fees = n->fees;
	if (n->longpoll)
		snprintf(t->longpoll_id, sizeof(t->longpoll_id), "at-%d", (int)n->height);
}

static void fill_submit(struct fake_node *n, const uint8_t hash[32], struct otd_chain_submit *s)
{
	s->verdict = OTD_CHAIN_ACCEPTED;
	for (size_t i = 0; i < n->n_blocks; i++) {
		if (memcmp(n->blocks[i], hash, 32) == 0)
			s->verdict = OTD_CHAIN_KNOWN;
	}
	if (s->verdict == OTD_CHAIN_ACCEPTED && n->n_blocks < 16) {
		memcpy(n->blocks[n->n_blocks++], hash, 32);
		n->height++;
	}
}

static void fill_block(struct fake_node *n, const struct otd_chain_call *q,
		       struct otd_chain_block *b)
{
	b->tip_height = n->height;
	b->place = OTD_CHAIN_NOT_YET;
	if (q->height > n->height)
		return;
	fake_hash(b->hash, q->height, n->fork);
	b->place = memcmp(b->hash, q->hash, 32) == 0 ? OTD_CHAIN_MAIN : OTD_CHAIN_OTHER;
	b->confirmations = b->place == OTD_CHAIN_MAIN ? n->height - q->height + 1 : 0;
}

static void fill(struct fake_node *n, const struct otd_chain_call *q, struct otd_chain_result *r)
{
	*r = (struct otd_chain_result){.size = sizeof(*r), .kind = q->kind};
	switch (q->kind) {
	case OTD_CHAIN_PROBE:
		snprintf(r->u.probe.network, sizeof(r->u.probe.network), "%s", n->network);
		r->u.probe.height = r->u.probe.headers = n->height;
		r->u.probe.syncing = n->syncing;
		break;
	case OTD_CHAIN_TIP:
		r->u.tip.height = n->height;
		fake_hash(r->u.tip.hash, n->height, n->fork);
		break;
	case OTD_CHAIN_TEMPLATE: fill_template(n, &r->u.tmpl); break;
	case OTD_CHAIN_HEADER:
		r->u.header.height = n->height;
		r->u.header.confirmations = 1;
		r->u.header.nbits = 0x1d00ffff;
		fake_hash(r->u.header.hash, n->height, n->fork);
		fake_hash(r->u.header.prev, n->height - 1, n->fork);
		break;
	case OTD_CHAIN_SUBMIT: fill_submit(n, q->hash, &r->u.submit); break;
	case OTD_CHAIN_WALLET: r->u.wallet.balance = 77; break;
	case OTD_CHAIN_SEND: r->u.send.verdict = OTD_CHAIN_SENT; break;
	case OTD_CHAIN_TX: r->u.tx.state = OTD_CHAIN_TX_WAITS; break;
	case OTD_CHAIN_COINS:
	case OTD_CHAIN_LOCK:
	case OTD_CHAIN_SIGN: break;
	default: fill_block(n, q, &r->u.block);
	}
}

static otd_rc http(struct otd_loop *l, struct otd_http **out, const struct otd_http_request *q,
		   otd_http_fn fn, void *arg)
{
	(void)l;
	struct otd_http *h = calloc(1, sizeof(*h));
	struct otd_chain_call call;
	memcpy(&call, q->body.ptr, sizeof(call));
	struct fake_node *n = &fake.node[q->url[strlen(q->url) - 1] - '0'];
	snprintf(n->url, sizeof(n->url), "%s", q->url);
	n->once = q->once;
	n->last_timeout_ms = q->timeout_ms;
	n->asked[call.kind]++;
	h->node = n;
	h->fn = fn;
	h->arg = arg;
	h->kind = call.kind;
	h->status = 200;
	h->due_ms = now_ms + 5;
	if (n->http_rc) {
		h->rc = n->http_rc;
	} else if (n->dead) {
		h->rc = OTD_E_IO;
	} else if (n->silent) {
		h->rc = OTD_E_TIMEOUT;
		h->due_ms = now_ms + (uint64_t)q->timeout_ms;
	} else if (n->password && (!q->password || strcmp(q->password, n->password) != 0)) {
		h->status = 401;
	} else if (call.kind == OTD_CHAIN_TEMPLATE && n->no_templates) {
		h->status = 500;
	} else if (call.kind == OTD_CHAIN_TIP && call.height && !n->waits && !n->answers_waits) {
		h->status = 404;
	} else if (call.kind == OTD_CHAIN_TIP && call.height && n->waits) {
		h->waited_height = call.height;
		h->due_ms = now_ms + (uint64_t)q->timeout_ms;
		h->rc = OTD_E_TIMEOUT;
	} else if (call.longpoll_id) {
		h->longpoll = true;
		h->held_height = n->height;
		h->held_value = n->value;
		h->due_ms = now_ms + (uint64_t)q->timeout_ms;
		h->rc = OTD_E_TIMEOUT;
	} else {
		fill(n, &call, &h->res);
		if (call.kind == OTD_CHAIN_TEMPLATE)
			h->due_ms += (uint64_t)n->template_ms;
	}
	if (call.kind == OTD_CHAIN_SUBMIT && n->mute_submit) {
		n->mute_submit = false;
		h->rc = OTD_E_TIMEOUT;
		h->due_ms = now_ms + (uint64_t)q->timeout_ms;
	}
	h->next = https;
	https = h;
	*out = h;
	return OTD_OK;
}

static void unlink_http(struct otd_http *h)
{
	struct otd_http **at = &https;
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
}

static void http_cancel(struct otd_http *h)
{
	unlink_http(h);
	if (h->kind == OTD_CHAIN_TEMPLATE && h->res.u.tmpl.handle) {
		free(h->res.u.tmpl.handle);
		fake.templates_alive--;
	}
	free(h);
}

static otd_rc f_open(void *ctx, struct otd_file **out, const char *path, uint32_t flags)
{
	(void)ctx, (void)path, (void)flags;
	*out = (struct otd_file *)(void *)&cookie;
	return cookie ? OTD_OK : OTD_E_NOT_FOUND;
}

static otd_rc f_read(void *ctx, struct otd_file *f, size_t *got, void *to, size_t n, uint64_t at)
{
	(void)ctx, (void)f, (void)at;
	*got = strlen(cookie) < n ? strlen(cookie) : n;
	memcpy(to, cookie, *got);
	return OTD_OK;
}

static void f_close(void *ctx, struct otd_file *f)
{
	(void)ctx, (void)f;
}

void fake_set_cookie(const char *text)
{
	cookie = text;
}

static const struct otd_files files = {.open = f_open, .read = f_read, .close = f_close};
static const struct otd_env_ops env_ops = {.mono_ns = mono,
					   .wall_ms = wall,
					   .timer_create = timer_create,
					   .timer_start = timer_start,
					   .timer_stop = timer_stop,
					   .timer_destroy = timer_destroy,
					   .http = http,
					   .http_cancel = http_cancel};
struct otd_env fake_env = {&env_ops, &files};
struct otd_loop fake_loop = {&fake_env, "test"};

/* A long poll ends when its node has news; it is filled in then. */
static void wake_longpolls(void)
{
	for (struct otd_http *h = https; h; h = h->next) {
		struct otd_chain_call tip = {.kind = OTD_CHAIN_TIP};
		if (h->waited_height && h->node->height >= h->waited_height) {
			h->waited_height = 0;
			h->due_ms = now_ms + 1;
			h->rc = OTD_OK;
			fill(h->node, &tip, &h->res);
		}
		if (!h->longpoll || (h->node->height == h->held_height &&
				     h->node->value == h->held_value && !h->node->dead))
			continue;
		struct otd_chain_call q = {.kind = OTD_CHAIN_TEMPLATE};
		h->longpoll = false;
		h->due_ms = now_ms + 5 + (uint64_t)h->node->template_ms;
		h->rc = h->node->dead ? OTD_E_IO : OTD_OK;
		if (!h->rc)
			fill(h->node, &q, &h->res);
	}
}

static bool step(void)
{
	struct otd_timer *t = NULL;
	struct otd_http *h = NULL;
	for (struct otd_timer *i = timers; i; i = i->next)
		t = i->on && i->due_ms <= now_ms && (!t || i->due_ms < t->due_ms) ? i : t;
	for (struct otd_http *i = https; i; i = i->next)
		h = i->due_ms <= now_ms && (!h || i->due_ms < h->due_ms) ? i : h;
	if (t && (!h || t->due_ms <= h->due_ms)) {
		t->on = t->repeat_ms > 0;
		t->due_ms += (uint64_t)t->repeat_ms;
		t->fn(t->arg);
	} else if (h) {
		unlink_http(h);
		struct otd_http_answer a = {.rc = h->rc,
					    .status = h->status,
					    .body = {(const uint8_t *)&h->res, sizeof(h->res)},
					    .error = h->rc == OTD_E_TIMEOUT ? "no answer in time"
									    : "connection refused"};
		h->fn(h->arg, &a);
		free(h);
	}
	return t || h;
}

void fake_run(int64_t ms)
{
	for (int64_t i = 0; i <= ms; i++) {
		wake_longpolls();
		while (step())
			wake_longpolls();
		if (i < ms)
			now_ms++;
	}
}

size_t fake_left(void)
{
	size_t n = 0;
	for (struct otd_timer *i = timers; i; i = i->next)
		n++;
	for (struct otd_http *i = https; i; i = i->next)
		n++;
	return n + fake.templates_alive;
}

/* --- the plugin --- */

static const char *words = "";

/* What a wallet's call points to must still be there, whatever became of the asker's. */
static void keep(const struct otd_chain_call *q)
{
	if (q->kind < OTD_CHAIN_WALLET)
		return;
	fake.last = *q;
	for (size_t i = 0; i < q->n_coins && i < 2; i++)
		fake.last_coin[i] = q->coins[i];
	snprintf(fake.last_raw, sizeof(fake.last_raw), "%.*s", (int)q->raw.len,
		 (const char *)q->raw.ptr);
	snprintf(fake.last_address, sizeof(fake.last_address), "%s", q->address ? q->address : "");
}

/* COINS and SIGN: n bytes, each its place's number. */
static otd_rc write_out(const struct fake_node *n, const struct otd_chain_call *q)
{
	size_t len = q->kind == OTD_CHAIN_COINS ? n->n_coins * sizeof(struct otd_chain_coin) : 5000;
	fake.answers++;
	q->out->len = len;
	if (len > q->out->cap)
		return OTD_E_RANGE;
	for (size_t i = 0; i < len; i++)
		q->out->ptr[i] = (uint8_t)i;
	return OTD_OK;
}

static otd_rc request(struct otd_instance *in, const struct otd_chain_call *q, struct otd_buf *b)
{
	(void)in;
	keep(q);
	if (q->raw.len == 5 && memcmp(q->raw.ptr, "wrong", 5) == 0) {
		words = "not to be written";
		return OTD_E_INVALID;
	}
	b->len = sizeof(*q) + 1500; /* longer than the host's first guess */
	if (b->cap < b->len)
		return OTD_E_RANGE;
	memset(b->ptr, 0, b->len);
	memcpy(b->ptr, q, sizeof(*q));
	return OTD_OK;
}

static otd_rc answer(struct otd_instance *in, const struct otd_chain_call *q, int status,
		     struct otd_span body, struct otd_chain_result *out)
{
	(void)in;
	words = status == 401   ? "it refuses user and password"
		: status == 500 ? "it has no peers"
				: "";
	if (status != 200)
		return status == 500 ? OTD_E_BUSY : OTD_E_REFUSED;
	memcpy(out, body.ptr, sizeof(*out));
	if (q->kind < OTD_CHAIN_WALLET)
		return OTD_OK;
	keep(q);
	words = fake.node[0].says ? "as the node says" : "";
	if (fake.node[0].says)
		return fake.node[0].says;
	return q->kind == OTD_CHAIN_COINS || q->kind == OTD_CHAIN_SIGN ? write_out(&fake.node[0], q)
								       : OTD_OK;
}

static otd_rc local(struct otd_instance *in, const struct otd_chain_call *q,
		    struct otd_chain_result *out)
{
	(void)in;
	OTD_ASSERT(!fake.in_call);
	fake.node[0].asked[q->kind]++;
	fill(&fake.node[0], q, out);
	keep(q);
	return q->out ? write_out(&fake.node[0], q) : OTD_OK;
}

static otd_rc command(struct otd_instance *in, struct otd_span text, struct otd_buf *out)
{
	(void)in, (void)text;
	fake.node[0].height += 1;
	out->len = 4;
	memcpy(out->ptr, "done", 4);
	return OTD_OK;
}

static otd_rc address(struct otd_instance *in, struct otd_span text, struct otd_buf *script)
{
	(void)in;
	words = "not an address";
	script->len = 1;
	script->ptr[0] = 0x51;
	return text.len ? OTD_OK : OTD_E_INVALID;
}

static void template_free(struct otd_instance *in, struct otd_template *t)
{
	(void)in;
	fake.templates_alive -= t != NULL;
	free(t);
}

static otd_rc put(struct otd_buf *b, size_t n)
{
	b->len = n;
	if (b->cap < n)
		return OTD_E_RANGE;
	memset(b->ptr, 'x', n);
	return OTD_OK;
}

static otd_rc first(struct otd_instance *in, const struct otd_template *from,
		    const struct otd_chain_header *h, int64_t now_s, struct otd_chain_template *out)
{
	struct fake_node n = {.height = h->height, .fork = h->hash[20], .value = 1};
	(void)in, (void)from, (void)now_s;
	words = "not at this height";
	if (h->height % 10 == 9)
		return OTD_E_UNSUPPORTED;
	fill_template(&n, out);
	return OTD_OK;
}

static otd_rc job(struct otd_instance *in, struct otd_template *t,
		  const struct otd_chain_coinbase *cb, struct otd_chain_job *out)
{
	(void)in, (void)t, (void)cb;
	otd_rc a = put(&out->coinbase1, 100), b = put(&out->coinbase2, 5000);
	otd_rc c = put(&out->branches, 32 * 20);
	return a ? a : b ? b : c;
}

static otd_rc assemble(struct otd_instance *in, struct otd_template *t, struct otd_span header,
		       struct otd_span coinbase, struct otd_buf *block)
{
	(void)in, (void)t;
	words = "header and coinbase do not belong together";
	return header.len == 80 ? put(block, 80 + coinbase.len) : OTD_E_INVALID;
}

static otd_rc pay_build(struct otd_instance *in, const struct otd_chain_pay *p, struct otd_buf *raw,
			struct otd_chain_pay_info *info)
{
	(void)in;
	info->vsize = p->n_coins;
	words = "the sums differ";
	return p->n_payees ? put(raw, 9000 * p->n_payees) : OTD_E_INVALID;
}

static otd_rc pay_check(struct otd_instance *in, const struct otd_chain_pay *p, struct otd_span raw,
			struct otd_chain_pay_info *info)
{
	(void)in, (void)p;
	info->txid[0] = raw.len ? raw.ptr[0] : 0;
	words = "it is empty";
	return raw.len ? OTD_OK : OTD_E_INVALID;
}

static otd_rc dust(struct otd_instance *in, struct otd_span script, otd_i128 *least)
{
	(void)in;
	*least = (otd_i128)script.len * 10;
	words = "no script";
	return script.len ? OTD_OK : OTD_E_INVALID;
}

static otd_rc canonical(struct otd_instance *in, struct otd_span text, struct otd_buf *out)
{
	(void)in;
	out->len = text.len;
	if (text.len > out->cap)
		return OTD_E_RANGE;
	for (size_t i = 0; i < text.len; i++)
		out->ptr[i] = text.ptr[i] | 0x20;
	return OTD_OK;
}

static struct otd_chain_ops ops;

void fake_pays(bool pays)
{
	ops.pay_build = pays ? pay_build : NULL;
	ops.pay_check = pays ? pay_check : NULL;
	ops.dust = pays ? dust : NULL;
	ops.canonical = pays ? canonical : NULL;
}

void fake_firsts(bool on)
{
	ops.template_first = on ? first : NULL;
}

void fake_reset(bool is_local)
{
	now_ms = 0;
	cookie = NULL;
	memset(&fake, 0, sizeof(fake));
	for (size_t i = 0; i < FAKE_NODES; i++) {
		fake.node[i].network = "main";
		fake.node[i].height = 100;
		fake.node[i].value = 5000;
	}
	ops = (struct otd_chain_ops){.size = sizeof(ops),
				     .request = request,
				     .answer = answer,
				     .local = is_local ? local : NULL,
				     .command = is_local ? command : NULL,
				     .address = address,
				     .template_free = template_free,
				     .job = job,
				     .assemble = assemble};
	fake_pays(true);
}

const struct otd_chain_ops *otd_instance_chain(const struct otd_plugin_instance *in)
{
	(void)in;
	return &ops;
}

struct otd_instance *otd_instance_self(const struct otd_plugin_instance *in)
{
	(void)in;
	return NULL;
}

const char *otd_instance_error(const struct otd_plugin_instance *in)
{
	(void)in;
	return words;
}

void otd_instance_clear_error(struct otd_plugin_instance *in)
{
	(void)in;
	words = "";
}

bool otd_thread_on(unsigned tags)
{
	(void)tags;
	return true;
}
