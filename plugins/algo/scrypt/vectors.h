/*
 * Known answers. Those of public chains meet the nBits of their own headers; all were computed again
 * with OpenSSL's EVP_PBE_scrypt.
 */
#ifndef SCRYPT_VECTORS_H
#define SCRYPT_VECTORS_H

#include <otedama/algo.h>

static const struct otd_algo_vector vectors[] = {
	{
		.header = "0100000000000000000000000000000000000000000000000000000000000000"
			  "00000000d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6"
			  "bafbdd97b9aa8e4ef0ff0f1ecd513f7c",
		.hash = "0000050c34a64b415b6b15b37f2216634b5b1669cb9a2e38d76f7213b0671e00",
		.source = "Litecoin genesis: Litecoin Core chainparams",
		.real_block = 1,
	},
	{
		.header = "0100000000000000000000000000000000000000000000000000000000000000"
			  "00000000696ad20e2dd4365c7459b4a4a5af743d5e92c6da3229e6532cd605f6"
			  "533f2a5b24a6a152f0ff0f1e67860100",
		.hash = "0000026f3f7874ca0c251314eaed2d2fcf83d7da3acfaacf59417d485310b448",
		.source = "Dogecoin genesis: Dogecoin Core chainparams",
		.real_block = 1,
	},
	{
		.header = "0200000011f1fe21e0b66dc214be46366465cb95d29830e31ddd225a11349a83"
			  "6a993bf7b5db36b3e5593d039779bff204d132b65ee029a2e499ebeb5a4b19cb"
			  "e862eee2b623cc5276676c1c000e1c60",
		.hash = "00000000335c88172421df73a1c1f22f4d7c23d8ef34c78d728c4eff3ba24a34",
		.source = "scrypt-chain header listed as height 12095 (chain not stated): "
			  "Electrum-derived wallet test_scrypt unit test; meets its own nBits",
		.height = 12095,
		.real_block = 1,
	},
	{
		.header = "020000004c1271c211717198227392b029a64a7971931d351b387bb80db027f2"
			  "70411e398a07046f7d4a08dd815412a8712f874a7ebf0507e3878bd24e20a3b7"
			  "3fd750a667d2f451eac7471b00de6659",
		.hash = "00000000002bef4107f882f6115e0b01f348d21195dacd3582aa2dabd7985806",
		.source = "scrypt_hashtest #0: dogecoin/dogecoin 499cffec "
			  "src/test/scrypt_tests.cpp (same list in Litecoin)",
		.real_block = 1,
	},
	{
		.header = "02000000a72c8a177f523946f42f22c3e86b8023221b4105e8007e59e81f6beb"
			  "013e29aaf635295cb9ac966213fb56e046dc71df5b3f7f67ceaeab24038e743f"
			  "883aff1aaafaf551eac7471b0166249b",
		.hash = "00000000000b40f895f288e13244728a6c2d9d59d8aff29c65f8dd5114a8ca81",
		.source = "scrypt_hashtest #2: dogecoin/dogecoin 499cffec "
			  "src/test/scrypt_tests.cpp (same list in Litecoin)",
		.real_block = 1,
	},
	{
		.header = "010000007824bc3a8a1b4628485eee3024abd8626721f7f870f8ad4d2f33a271"
			  "55167f6a4009d1285049603888fe85a84b6c803a53305a8d497965a5e896e1a0"
			  "0568359589faf551eac7471b0065434e",
		.hash = "00000000003007005891cd4923031e99d8e8d72f6e8e7edc6a86181897e105fe",
		.source = "scrypt_hashtest #3: dogecoin/dogecoin 499cffec "
			  "src/test/scrypt_tests.cpp (same list in Litecoin)",
		.real_block = 1,
	},
	{
		.header = "0100000000000000000000000000000000000000000000000000000000000000"
			  "00000000d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6"
			  "bafbdd97b9aa8e4ef0ff0f1eed020000",
		.hash = "000e5057f0f6648e54de91e2eb0bbabe3fc4e2dfd4d3a21d74d5c14beed39d51",
		.options = "{n: 2048}",
		.source = "Litecoin's genesis header, another nonce and parameters: with "
			  "OpenSSL 3.0.22, EVP_PBE_scrypt",
	},
	{
		.header = "0100000000000000000000000000000000000000000000000000000000000000"
			  "00000000d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6"
			  "bafbdd97b9aa8e4ef0ff0f1ed4160000",
		.hash = "0009c927df1df10610c38cf6671dcf00410514c4b7d32e4bbb3b273767da6bed",
		.options = "{p: 2}",
		.source = "Litecoin's genesis header, another nonce and parameters: with "
			  "OpenSSL 3.0.22, EVP_PBE_scrypt",
	},
	{
		.header = "0100000000000000000000000000000000000000000000000000000000000000"
			  "00000000d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6"
			  "bafbdd97b9aa8e4ef0ff0f1e40690000",
		.hash = "0000200e74e8865a85db9d66b73a849ed38f5ca1a43c83c386a6a6a3db8cc9c5",
		.options = "{n: 64, r: 3, p: 5}",
		.source = "Litecoin's genesis header, another nonce and parameters: with "
			  "OpenSSL 3.0.22, EVP_PBE_scrypt",
	},
};

#endif
