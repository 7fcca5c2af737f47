/*
 * Known answers: headers of public Bitcoin chains. Each hash meets the nBits of its own header, and
 * was computed again with OpenSSL's libcrypto and with another miner's code.
 */
#ifndef SHA256D_VECTORS_H
#define SHA256D_VECTORS_H

#include <otedama/algo.h>

static const struct otd_algo_vector vectors[] = {
	{
		.header = "0100000000000000000000000000000000000000000000000000000000000000"
			  "000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa"
			  "4b1e5e4a29ab5f49ffff001d1dac2b7c",
		.hash = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
		.source = "Bitcoin mainnet genesis:"
			  " Bitcoin Core chainparams; header fields public",
		.height = 0,
		.real_block = 1,
	},
	{
		.header = "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d61900"
			  "00000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e8"
			  "57233e0e61bc6649ffff001d01e36299",
		.hash = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048",
		.source = "Bitcoin mainnet block 1:"
			  " public chain data",
		.height = 1,
		.real_block = 1,
	},
	{
		.header = "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a3080000"
			  "00000000e320b6c2fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0"
			  "f1fc122bc7f5d74df2b9441a42a14695",
		.hash = "00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d",
		.source = "Bitcoin mainnet block 125552:"
			  " Bitcoin wiki, block hashing algorithm page",
		.height = 125552,
		.real_block = 1,
	},
	{
		.header = "00000020790dfd29a6eab5667c8bb42511b3c370d19b03fe9070c10000000000"
			  "00000000ed32efbfafeb50a29fa29f7838cb3019af23d5623d6e310bce43d50b"
			  "8b9623776e86ec5930eb001884adf6b3",
		.hash = "000000000000000000185aaf82c613176413c407c061ba254f7ef5713d82078d",
		.source = "Bitcoin mainnet, header published as 491133:"
			  " ImportMathRepositories/Bitcoin_Block_Confirmation "
			  "src/block_headers.py; hash computed here, meets its own nBits",
		.height = 0,
		.real_block = 1,
	},
	{
		.header = "02000000b6ff0b1b1680a2862a30ca44d346d9e8910d334beb48ca0c00000000"
			  "000000009d10aa52ee949386ca9385695f04ede270dda20810decd12bc9b048a"
			  "aab3147124d95a5430c31b18fe9f0864",
		.hash = "000000000000000009a11b3972c8e532fe964de937c9e0096b43814e67af3728",
		.source = "Bitcoin mainnet header example, height not given:"
			  " Bitcoin developer reference, block headers page; hash computed here, "
			  "meets its own nBits",
		.height = 0,
		.real_block = 1,
	},
	{
		.header = "0100000000000000000000000000000000000000000000000000000000000000"
			  "000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa"
			  "4b1e5e4adae5494dffff001d1aa4ae18",
		.hash = "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
		.source = "Bitcoin testnet3 genesis:"
			  " Bitcoin Core chainparams",
		.height = 0,
		.real_block = 1,
	},
	{
		.header = "0100000000000000000000000000000000000000000000000000000000000000"
			  "000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa"
			  "4b1e5e4a008f4d5fae77031e8ad22203",
		.hash = "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
		.source = "Bitcoin signet genesis:"
			  " Bitcoin Core chainparams",
		.height = 0,
		.real_block = 1,
	},
};

#endif
