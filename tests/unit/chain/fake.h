/*
 * A world in small for core/chain: virtual time, nodes that answer as a test tells them to, and a
 * plugin whose wire form is the structs themselves. It stands in for the plugin host, which these
 * tests do not load.
 */
#ifndef OTD_TEST_CHAIN_FAKE_H
#define OTD_TEST_CHAIN_FAKE_H

#include "chain/chain.h"
#include "chain/impl.h"

#define FAKE_NODES 3

struct fake_node {
	bool dead;         /* refuses connections */
	bool silent;       /* takes them and says nothing */
	bool mute_submit;  /* takes the next block, and its answer is lost */
	bool no_templates; /* says that it has no peers */
	bool longpoll;
	const char *network;
	const char *password; /* NULL: any */
	bool syncing;
	uint64_t height;
	uint8_t fork; /* part of its hashes */
	otd_i128 value, fees;
	bool wrong_target;
	bool waits;          /* holds a TIP that asks for a height */
	bool answers_waits;  /* answers it at once; neither: it does not know the question */
	int64_t template_ms; /* that it takes for one */
	otd_rc http_rc;      /* of every request: nothing else happens */
	otd_rc says;         /* what the plugin makes of an answer to a wallet's call */
	size_t n_coins;      /* of its wallet */
	char url[200];       /* of the last request */
	bool once;           /* and how it was to be sent */
	int64_t last_timeout_ms;
	uint8_t blocks[16][32]; /* what it took */
	size_t n_blocks, asked[OTD_CHAIN_KINDS];
};

struct fake {
	struct fake_node node[FAKE_NODES];
	size_t templates_alive;
	size_t answers; /* how often the plugin was given something to read */
	/* What the plugin was last asked, and the first coin, raw and address behind the pointers. */
	struct otd_chain_call last;
	struct otd_chain_coin last_coin[2];
	char last_raw[16], last_address[16];
	bool in_call; /* a function of core/chain is running for the test */
};

extern struct fake fake;
extern struct otd_env fake_env;
extern struct otd_loop fake_loop;

/* Back to nothing: time 0, all nodes alive on network "main" at height 100. */
void fake_reset(bool local);
/* Whether its plugin has the operations of a payment; after fake_reset() it has. */
void fake_pays(bool pays);
/* Whether it makes first jobs; after fake_reset() it does not. */
void fake_firsts(bool on);
/* Lets virtual time pass. */
void fake_run(int64_t ms);
/* Timers and requests that nobody took back. */
size_t fake_left(void);
void fake_set_cookie(const char *text); /* of every cookie file; NULL: none is there */
void fake_hash(uint8_t hash[32], uint64_t height, uint8_t fork);

#endif
