/* Plugins in memory for the tests of this folder. */
#ifndef TEST_TOY_H
#define TEST_TOY_H

#include "plugin_host.h"
#include <otedama/sha256.h>

/* --- an algorithm: SHA-256d of 80 bytes, with faults on demand --- */
enum toy_fault { TOY_RIGHT, TOY_WRONG, TOY_REVERSED, TOY_ONE_LANE, TOY_SCAN_BLIND, TOY_FAILS };
extern enum toy_fault toy_fault;
extern struct otd_plugin_desc toy_algo; /* writable: tests bend it and put it back */
extern struct otd_base_ops toy_base;
extern struct otd_algo_ops toy_algo_ops;
extern struct otd_algo_vector toy_vectors[2];
extern uint32_t toy_identity;

/* --- a chain with every type of option that does nothing --- */
struct toy_options {
	bool flag;
	int64_t count, choice, time_ms, bytes, rate_ppm;
	const char *text, *secret;
	struct otd_span hex;
	struct otd_option_list list;
	struct otd_option_window window;
};
extern const struct toy_options *toy_seen; /* what create() got last */
extern struct otd_host *toy_host;
extern const struct otd_host_core *toy_core;
extern const char *toy_refusal; /* create() fails with this text; NULL: it does not */
extern const void *toy_clock, *toy_files, *toy_hash; /* the services that create() got */
extern struct otd_plugin_desc toy_chain, toy_payout;
extern struct otd_option toy_table[];

#endif
