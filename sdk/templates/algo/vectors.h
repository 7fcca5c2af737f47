/*
 * Known answers. The host hashes them each time it loads the plugin, and refuses it where one is
 * wrong. header and hash are hex; hash is as people write it, most significant digit first. At least
 * one should be a block of a real chain (.real_block = 1).
 */
#ifndef VECTORS_H
#define VECTORS_H

#include <otedama/algo.h>

static const struct otd_algo_vector vectors[] = {
	{
		.header = "01000000"
			  "0000000000000000000000000000000000000000000000000000000000000000"
			  "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
			  "29ab5f49ffff001d1dac2b7c",
		.hash = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
		.source = "Bitcoin, block 0",
		.real_block = 1,
	},
	{
		.header = "01000000"
			  "6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000"
			  "982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e"
			  "61bc6649ffff001d01e36299",
		.hash = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048",
		.source = "Bitcoin, block 1",
		.height = 1,
		.real_block = 1,
	},
};

#endif
