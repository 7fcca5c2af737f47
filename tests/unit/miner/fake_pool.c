#include "fake_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/text.h"
#include <otedama/sha256.h>
#include <stdio.h>
#include <string.h>

#define PREV      "0a8ce26f72b3f1b646a2a6c14ff763ae65831e939c085ae10019d66800000000"
#define COINBASE1 "01000000010000"
#define COINBASE2 "ffffffff00000000"
#define BRANCH    "1111111111111111111111111111111111111111111111111111111111111111"
#define VERSION   0x20000000u
#define MASK      0x00c00000u
#define NBITS     "1d00ffff"
#define NTIME     0x4966bc61u

static void flush(struct fake_pool *p)
{
	while (p->peer && p->out.len) {
		struct otd_span part = otd_bytes_span(&p->out);
		size_t n = 0;
		if (p->loop->env->ops->stream_write(p->peer, &n, &part, 1) || !n)
			break;
		otd_bytes_drop(&p->out, n);
	}
}

void fake_pool_say(struct fake_pool *p, const char *line)
{
	assert_int_equal(otd_bytes_text(&p->out, line), OTD_OK);
	assert_int_equal(otd_bytes_text(&p->out, "\n"), OTD_OK);
	flush(p);
}

void fake_pool_notify(struct fake_pool *p, bool clean)
{
	char line[800];
	(void)snprintf(line, sizeof(line),
		       "{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"job%u\",\"" PREV
		       "\",\"" COINBASE1 "\",\"" COINBASE2 "\",[\"" BRANCH "\"],\"%08x\",\"" NBITS
		       "\",\"%08x\",%s]}",
		       ++p->jobs, VERSION, NTIME, clean ? "true" : "false");
	fake_pool_say(p, line);
}

static void answer(struct fake_pool *p, const json_t *id, const char *rest)
{
	char line[600];
	(void)snprintf(line, sizeof(line), "{\"id\":%lld,%s}", (long long)json_integer_value(id),
		       rest);
	fake_pool_say(p, line);
}

static uint32_t hex_u32(const json_t *j)
{
	uint32_t v = 0;
	const char *s = json_string_value(j);
	assert_non_null(s);
	assert_int_equal(strlen(s), 8);
	assert_int_equal(otd_hex_u32(&v, s, 8), OTD_OK);
	return v;
}

static void put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* Builds the header as the protocol says, from the words of the submit alone. */
static const char *judge(struct fake_pool *p, const json_t *params)
{
	const char *extranonce2 = json_string_value(json_array_get(params, 2));
	const json_t *rolled = json_array_get(params, 5);
	uint8_t header[80] = {0}, bytes[200], pair[64], hash[32];
	uint32_t version = VERSION;
	char hex[400], job[32];
	size_t n;
	(void)snprintf(job, sizeof(job), "job%u", p->jobs);
	if (strcmp(json_string_value(json_array_get(params, 1)), job) != 0)
		return "stale";
	if (!extranonce2 || strlen(extranonce2) != 8)
		return "extranonce2 length";
	if (rolled) {
		uint32_t bits = hex_u32(rolled);
		if (bits & ~MASK)
			return "bits outside of the mask";
		version = (VERSION & ~MASK) | bits;
		p->rolled += bits != 0;
	}
	(void)snprintf(hex, sizeof(hex), "%s%s%s%s", COINBASE1, p->extranonce1, extranonce2,
		       COINBASE2);
	assert_int_equal(otd_hex_decode(bytes, sizeof(bytes), &n, hex, strlen(hex)), OTD_OK);
	otd_sha256d(pair, bytes, n);
	memset(pair + 32, 0x11, 32);
	otd_sha256d(header + 36, pair, 64);
	assert_int_equal(otd_hex_decode(bytes, 32, &n, PREV, 64), OTD_OK);
	for (int i = 0; i < 32; i++)
		header[4 + i] = bytes[i / 4 * 4 + 3 - i % 4];
	put_le32(header, version);
	put_le32(header + 68, hex_u32(json_array_get(params, 3)));
	put_le32(header + 72, 0x1d00ffff);
	put_le32(header + 76, hex_u32(json_array_get(params, 4)));
	otd_sha256d(hash, header, 80);
	if (otd_u256_cmp(otd_u256_from_le(hash), p->target) > 0)
		return "above the target";
	for (uint32_t i = 0; i < p->shares; i++) {
		if (memcmp(p->seen[i], header, 80) == 0)
			return "seen before";
	}
	assert_true(p->shares < 4096);
	memcpy(p->seen[p->shares], header, 80);
	return NULL;
}

static void on_submit(struct fake_pool *p, const json_t *id, const json_t *params)
{
	const char *bad = judge(p, params);
	if (bad && strcmp(bad, "stale") != 0) {
		p->bad_shares++;
		(void)snprintf(p->last_bad, sizeof(p->last_bad), "%s", bad);
	}
	if (bad) {
		answer(p, id, "\"result\":null,\"error\":[21,\"Job not found\",null]");
		return;
	}
	p->shares++;
	if (p->refuse_every && p->shares % p->refuse_every == 0)
		answer(p, id, "\"result\":null,\"error\":[22,\"Duplicate share\",null]");
	else
		answer(p, id, "\"result\":true,\"error\":null");
	if (p->on_share)
		p->on_share(p->arg);
}

static void on_line(struct fake_pool *p, const char *line, size_t n)
{
	json_t *msg = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *id = json_object_get(msg, "id"), *params = json_object_get(msg, "params");
	const char *method = json_string_value(json_object_get(msg, "method"));
	char text[300];
	assert_non_null(msg);
	if (!method) {
		(void)snprintf(p->reply[p->replies++ % 16], sizeof(p->reply[0]), "%.*s", (int)n,
			       line);
	} else if (strcmp(method, "mining.configure") == 0) {
		if (!p->mute_configure)
			answer(p, id,
			       p->configure
				       ? p->configure
				       : "\"result\":{\"version-rolling\":true,"
					 "\"version-rolling.mask\":\"00c00000\"},\"error\":null");
	} else if (strcmp(method, "mining.subscribe") == 0 && p->greeting) {
		fake_pool_say(p, p->greeting);
	} else if (strcmp(method, "mining.subscribe") == 0) {
		(void)snprintf(text, sizeof(text),
			       "\"result\":[[[\"mining.notify\",\"1\"]],\"%s\",4],\"error\":null",
			       p->extranonce1);
		answer(p, id, text);
	} else if (strcmp(method, "mining.authorize") == 0) {
		(void)snprintf(p->user, sizeof(p->user), "%s",
			       json_string_value(json_array_get(params, 0)));
		answer(p, id, p->authorize ? p->authorize : "\"result\":true,\"error\":null");
		(void)snprintf(text, sizeof(text),
			       "{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[%s]}",
			       p->difficulty);
		fake_pool_say(p, text);
		fake_pool_notify(p, true);
		if (p->also)
			fake_pool_say(p, p->also);
	} else if (strcmp(method, "mining.submit") == 0) {
		on_submit(p, id, params);
	} else {
		answer(p, id, "\"result\":null,\"error\":[20,\"Not supported.\",null]");
	}
	json_decref(msg);
}

static void on_peer(void *arg, unsigned events)
{
	struct fake_pool *p = arg;
	(void)events;
	while (p->peer) {
		uint8_t *to = otd_bytes_room(&p->in, 4096);
		size_t n = 0;
		otd_rc rc = p->loop->env->ops->stream_read(p->peer, &n, to, 4096);
		uint8_t *end;
		if (rc == OTD_E_BUSY)
			break;
		if (rc) {
			fake_pool_hang_up(p);
			break;
		}
		p->in.len += n;
		while (p->peer && (end = memchr(p->in.ptr, '\n', p->in.len))) {
			size_t len = (size_t)(end - p->in.ptr);
			on_line(p, (const char *)p->in.ptr, len);
			if (p->in.len > len)
				otd_bytes_drop(&p->in, len + 1);
		}
	}
	flush(p);
}

static void on_accept(void *arg, struct otd_stream *s)
{
	struct fake_pool *p = arg;
	fake_pool_hang_up(p);
	p->connections++;
	p->peer = s;
	assert_int_equal(p->loop->env->ops->stream_attach(p->loop, s, on_peer, p), OTD_OK);
	p->loop->env->ops->stream_watch(s, OTD_READABLE);
}

void fake_pool_hang_up(struct fake_pool *p)
{
	p->loop->env->ops->stream_close(p->peer);
	p->peer = NULL;
	otd_bytes_clear(&p->in);
	otd_bytes_clear(&p->out);
}

void fake_pool_open(struct fake_pool *p, struct otd_loop *l, uint16_t port)
{
	struct otd_err err;
	uint8_t be[32] = {0, 0, 0, 0, 0xff, 0xff};
	char host[64];
	p->loop = l;
	p->extranonce1 = p->extranonce1 ? p->extranonce1 : "deadbeef";
	p->difficulty = p->difficulty ? p->difficulty : "0.000001";
	assert_int_equal(otd_difficulty_parse(&p->target, p->difficulty, strlen(p->difficulty),
					      otd_u256_from_be(be)),
			 OTD_OK);
	otd_bytes_init(&p->in, 1u << 20);
	otd_bytes_init(&p->out, 1u << 20);
	if (l->env->ops->listen(l, &p->listener, "127.0.0.1", port, false, on_accept, p, &err))
		fail_msg("%s", err.text);
	l->env->ops->stream_peer(p->listener, host, sizeof(host), &p->port);
	assert_int_not_equal(p->port, 0);
}

void fake_pool_close(struct fake_pool *p)
{
	fake_pool_hang_up(p);
	p->loop->env->ops->stream_close(p->listener);
	p->listener = NULL;
	otd_bytes_finish(&p->in);
	otd_bytes_finish(&p->out);
}
