/* A pool in small, on the same loop as the miner: it judges every share by itself. */
#ifndef TEST_FAKE_POOL_H
#define TEST_FAKE_POOL_H

#include "base/bytes.h"
#include "base/env.h"
#include <jansson.h>
#include <otedama/u256.h>

struct fake_pool {
	struct otd_loop *loop;
	struct otd_stream *listener, *peer;
	struct otd_bytes in, out;
	uint16_t port;
	/* how it behaves */
	const char *difficulty; /* as sent */
	const char *authorize;  /* answer to it; NULL: true */
	const char *greeting;   /* sent in place of the answer to subscribe; NULL: none */
	const char *also;       /* sent behind the first notify */
	const char *configure;  /* answer; NULL: version rolling with mask 00c00000 */
	bool mute_configure;
	uint32_t refuse_every; /* n-th share is refused as a duplicate */
	const char *extranonce1;
	struct otd_u256 target;
	/* what it saw */
	uint32_t connections, shares, bad_shares, rolled, replies, jobs;
	char user[64], reply[16][256];
	char last_bad[200];
	uint8_t seen[4096][80]; /* headers */
	void (*on_share)(void *arg);
	void *arg;
};

/* port 0: any, told in p->port. */
void fake_pool_open(struct fake_pool *p, struct otd_loop *l, uint16_t port);
void fake_pool_close(struct fake_pool *p);
void fake_pool_hang_up(struct fake_pool *p);
void fake_pool_say(struct fake_pool *p, const char *line);
void fake_pool_notify(struct fake_pool *p, bool clean);

#endif
