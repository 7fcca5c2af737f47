/*
 * Each coin file against its chain: a known block by the file's algorithm, and addresses of public
 * lists by its forms. What a file says wrong here would send a reward to nobody.
 */
#include "plugin_host.h"

#include "algo/scrypt/scrypt_impl.h"
#include "base/text.h"
#include <otedama/sha256.h>
#include <stdio.h>
#include <stdlib.h>

#define ZERO8 "00000000"
#define ZERO  ZERO8 ZERO8 ZERO8 ZERO8 ZERO8 ZERO8 ZERO8 ZERO8

struct known_address {
	const char *network, *text, *script;
};

struct known_coin {
	const char *file, *symbol, *algorithm, *mask;
	int64_t maturity;
	int64_t dust;       /* of an output to a public key's hash, in base units */
	const char *header; /* of a block that the algorithm mined */
	const char *id;     /* how the chain names it */
	struct known_address address[12];
};

static const struct known_coin coins[] = {
	{
		/* Bitcoin Core, chainparams.cpp; BIP 173 and BIP 350 (addresses) */
		"bitcoin",
		"BTC",
		"sha256d",
		"1fffe000",
		100,
		546,
		"01000000" ZERO "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
		"29ab5f49ffff001d1dac2b7c",
		"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
		{{"main", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
		  "0014751e76e8199196d454941c45d1b3a323f1433bd6"},
		 {"main", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
		  "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"},
		 {"test", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
		  "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262"}},
	},
	{
		/* Litecoin Core, chainparams.cpp and test/data/key_io_valid.json; the last two from
		   a litecoind 0.21.2.1 in regtest */
		"litecoin",
		"LTC",
		"scrypt",
		"1fffe000",
		100,
		5460,
		"01000000" ZERO "d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97"
		"b9aa8e4ef0ff0f1ecd513f7c",
		"12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2",
		{{"main", "LT2KVaAy1ppRuxRgrS5RNU3vBsy7RibPeA",
		  "76a914558dbca7118cd5894502767c7b2ffc21a22f54db88ac"},
		 {"main", "MHrYRxAiMNBTku3eoDHwhA1LQGDjUStZW2",
		  "a9146d328a5b2a20d943a641c8d29b6cc3c2d2df85d387"},
		 {"test", "mwXn5Vhicdav8Av3KMokx4YNuHoGRKxtWs",
		  "76a914afa9e672141e283dfbcc1cf28f3793a856d3878488ac"},
		 {"test", "QXaUgLHkZcbJb2j5XgMYzY8cF9YM48Y81Z",
		  "a9147860667e60a6545e18e541984094b29c9c46991b87"},
		 {"regtest", "mpWvR79tSrA5xeziB6mjNYWdaVRwBpgnUP",
		  "76a91462b790654f809d32202587c6a43456ffc1965d8388ac"},
		 {"regtest", "QgDNrG4nJpE4VV7PcFMFhkTgwAHWxWS7pj",
		  "a914d71bee7a1395c10c9ca9a7f53ac086b53e74369d87"},
		 {"regtest", "rltc1q53f6ukq78d85kwmy6nd239406tnm4whnmnk9hd",
		  "0014a453ae581e3b4f4b3b64d4daa896afd2e7babaf3"},
		 {"regtest",
		  "!tmweb1qqw60fl96ec9ddfk9pdu98wx49j0eplyhhuf20echh5hxqj4sev53uq4jfpns6384zsd7s4a5"
		  "hmp5jjry3y7wrxjauqh06gp2ntssvg9hk5rng4af",
		  "is an MWEB address"}},
	},
	{
		/* Dogecoin Core, chainparams.cpp and test/data/base58_keys_valid.json */
		"dogecoin",
		"DOGE",
		"scrypt",
		"00000000",
		240,
		1000000,
		"01000000" ZERO "696ad20e2dd4365c7459b4a4a5af743d5e92c6da3229e6532cd605f6533f2a5b"
		"24a6a152f0ff0f1e67860100",
		"1a91e3dace36e2be3bf030a65679fe821aa1d6ef92e7c9902eb318182c355691",
		{{"main", "DD4KSSuBJqcjuTcvUg1CgUKeurPUFeEZkE",
		  "76a91456d9b1d684d5abef32134ebc6883d75d3a53e9be88ac"},
		 {"main", "A7HRQk3GFCW2QasvdZxXuYj8kkQK5QrYLs",
		  "a914a2dd71f34fe73314d6e37c44035513f203aa400b87"},
		 {"main", "9zYnVRaekPtdKBYuPw5QiBtv3NNrzD2LLW",
		  "a91458fc66bf64b3c8d8accd80110bb6df6c1373593787"},
		 {"test", "nhRsrUaxZou6sewjqaS37cJrMRJRgwVXdk",
		  "76a9149131c29384f000c0d651660eefaf1717c8ca185588ac"},
		 {"test", "2MsvyG12kxxipe276Au4zKqvd2xdrBuHWb3",
		  "a914078457e357c6c4d8736515d14482089dd2a1f9f887"}},
	},
	{
		/* Block 478,559, the first after the split: its header in bitcoin-cash light-client tests,
		   its hash in Bitcoin Cash Node's checkpoints. Addresses: spec/cashaddr.md */
		"bitcoin-cash",
		"BCH",
		"sha256d",
		"1fffe000",
		100,
		546,
		"00000020432d350741fbf28f2e1486eabe2c4e143bfe2241af6518010000000000000000"
		"abaa4bd8a48c1c6bc08ee39b66065e5e9484304cab8b56d5eed3e40b1ac996c8"
		"99c480593547011822ca4ae8",
		"000000000000000000651ef99cb9fcbe0dadde1d424bd9f15ff20136191a5eec",
		{{"main", "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
		  "76a91476a04053bda0a88bda5177b86a15c3b29f55987388ac"},
		 {"main", "qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
		  "76a91476a04053bda0a88bda5177b86a15c3b29f55987388ac"},
		 {"main", "BITCOINCASH:QR95SY3J9XWD2AP32XKYKTTR4CVCU7AS4Y0QVERFUY",
		  "76a914cb481232299cd5743151ac4b2d63ae198e7bb0a988ac"},
		 {"main", "bitcoincash:qqq3728yw0y47sqn6l2na30mcw6zm78dzqre909m2r",
		  "76a914011f28e473c95f4013d7d53ec5fbc3b42df8ed1088ac"},
		 {"main", "bitcoincash:ppm2qsznhks23z7629mms6s4cwef74vcwvn0h829pq",
		  "a91476a04053bda0a88bda5177b86a15c3b29f55987387"},
		 {"main", "1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu",
		  "76a91476a04053bda0a88bda5177b86a15c3b29f55987388ac"},
		 {"main", "3CWFddi6m4ndiGyKqzYvsFYagqDLPVMTzC",
		  "a91476a04053bda0a88bda5177b86a15c3b29f55987387"},
		 {"main", "!bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6q",
		  "its checksum is wrong"},
		 {"test", "!bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
		  "is of network main, not of test"},
		 {"main", "!bitcoincash:Qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
		  "is not an address"}},
	},
	{
		/* Namecoin Core, chainparams.cpp; addresses: BroomCabinet, StaticNamecoinP2PKHAddress.java */
		"namecoin",
		"NMC",
		"sha256d",
		"00000000",
		100,
		546,
		"01000000" ZERO "0dcbd3e6f061215bf3b3383c8ce2ec201bc65acde32595449ac86890bd2dc641"
		"c133aa4dff7f001c92a11ea2",
		"000000000062b72c5e2ceb45fbc8587e807c155b0da735e6483dfba2f0a9c770",
		{{"main", "NAxZHe6yUCADnGAeCs4xrkgEKHjSFVrK5m",
		  "76a9149dc42a94d1852c6b42f93e8130d4a589bc3ffa1f88ac"}},
	},
	{
		/* DigiByte Core, chainparams.cpp (its block 1,380,000 is one of SHA-256d: the name that the
		   checkpoints give meets the nBits that its wallets have for it) and key_io_valid.json */
		"digibyte",
		"DGB",
		"sha256d",
		"1f7fe000",
		100,
		546,
		NULL,
		"00000000000001969b1e5836dd8bf6a001d96f4a16d336e09405b62b29feead6 1a02e03e",
		{{"main", "DSC6tGC2NvN6AHio2p8pU4seTbPKDi7KZb",
		  "76a914e6ec2d60813a79e9f5c3b28f22e155c475ee936c88ac"},
		 {"main", "SefNWSMmXAxc4N8sxHyg8hHXTTU9GojgzX",
		  "a914be84ccf5093ffeab492adcdef4e8155795897f5187"},
		 {"main", "36j4NfKv6Akva9amjWrLG6MuSQym1GuEmm",
		  "a914373b819a068f32b7a6b38b6b38729647cfde01c287"},
		 {"main", "dgb1qhyz5jznu8rxjz6emktwwkz5m0m4gr9q9rvhegc",
		  "0014b905490a7c38cd216b3bb2dceb0a9b7eea819405"},
		 {"main", "dgb1pva0l3ng2q0gt2t3rqqpqxk5y57l4u0xyryxdslrt76k5u54rvpssjpmuhq",
		  "5120675ff8cd0a03d0b52e230002035a84a7bf5e3cc4190cd87c6bf6ad4e52a36061"},
		 {"test", "sxnDwNPKaPKZd5ZgJfVfom8cX4ZJkYr1zL",
		  "76a914a6a9357cb1257c4539c729ba1b42f5aede3ef63f88ac"},
		 {"test", "yf4ztby3Z5cFgxjbTpnwzU2TNxn5oiorbW",
		  "a914cdaee5b3842699624d1c7ec1334dda3ff5a882a887"},
		 {"test", "dgbt1qznyt7p9zln65ydpuzfq8ksuz4hkvcwdl9qtcty",
		  "001414c8bf04a2fcf542343c12407b4382adeccc39bf"},
		 {"regtest", "t3RJSU3BGXUMgtUpbhjNX4w1BNsNJvnrG5",
		  "76a914d98cdc47adb355ee9bd477789bd4cb1fc85ab43788ac"},
		 {"regtest", "yY8GB7pMc18XSfewBPTp7UZEGgXqfMo3WT",
		  "a91481840612c707b3fec67f0ff1f17498e4af29d0f687"},
		 {"regtest", "dgbrt1qgmzq7xt3pkclw9d6emultxnhj4lumdldzeyypq",
		  "001446c40f19710db1f715bacef9f59a77957fcdb7ed"}},
	},
};

static char *load(const char *coin)
{
	char path[400];
	snprintf(path, sizeof(path), OTEDAMA_SOURCE_DIR "/etc/coins/%s.yaml", coin);
	FILE *f = fopen(path, "rb");
	if (!f)
		fail_msg("%s is missing", path);
	char *text = calloc(1, 8192);
	size_t n = fread(text, 1, 8191, f);
	fclose(f);
	assert_true(n > 0 && n < 8191);
	return text;
}

static void unhex(uint8_t *out, size_t n, const char *hex)
{
	size_t got;
	assert_int_equal(otd_hex_decode(out, n, &got, hex, strlen(hex)), OTD_OK);
	assert_int_equal(got, n);
}

static void pow_hash(uint8_t hash[32], const char *algorithm, const uint8_t header[80])
{
	if (strcmp(algorithm, "sha256d") == 0) {
		otd_sha256d(hash, header, 80);
		return;
	}
	assert_string_equal(algorithm, "scrypt");
	struct scrypt_conf c = {.n = 1024, .r = 1, .p = 1, .kernel = scrypt_kernel_choose(1)};
	c.lanes = c.kernel->lanes;
	void *scratch = aligned_alloc(64, scrypt_scratch_size(&c));
	const struct scrypt_job job = {.text = {header, 80}, .out = hash, .out_len = 32};
	scrypt_hash(&c, scratch, &job, 1);
	free(scratch);
}

static void assert_meets(const uint8_t hash[32], uint32_t nbits)
{
	struct otd_u256 target;
	assert_int_equal(otd_target_from_nbits(&target, nbits), OTD_OK);
	assert_true(otd_u256_cmp(otd_u256_from_le(hash), target) <= 0);
}

static void check_block(const struct known_coin *k)
{
	uint8_t header[80], id[32], hash[32];
	char hex[65];
	if (!k->header) {
		assert_int_equal(otd_hex_decode_reverse(hash, 32, k->id, 64), OTD_OK);
		assert_meets(hash, (uint32_t)strtoul(k->id + 65, NULL, 16));
		return;
	}
	unhex(header, 80, k->header);
	otd_sha256d(id, header, 80);
	otd_hex_encode_reverse(hex, id, 32);
	assert_string_equal(hex, k->id);
	pow_hash(hash, k->algorithm, header);
	assert_meets(hash, (uint32_t)header[72] | (uint32_t)header[73] << 8 |
				   (uint32_t)header[74] << 16 | (uint32_t)header[75] << 24);
}

/* The canonical text has the same script, and is its own. */
static void check_canonical(struct otd_plugin_instance *in, const char *text, const uint8_t *want,
			    size_t n)
{
	const struct otd_chain_ops *ops = otd_instance_chain(in);
	struct otd_instance *self = otd_instance_self(in);
	char one[128], two[128];
	uint8_t room[64];
	struct otd_buf a = {(uint8_t *)one, 0, sizeof(one)}, b = {(uint8_t *)two, 0, sizeof(two)};
	struct otd_buf script = {room, 0, sizeof(room)};
	struct otd_span s = {(const uint8_t *)text, strlen(text)};
	assert_int_equal(ops->canonical(self, s, &a), OTD_OK);
	s = (struct otd_span){a.ptr, a.len};
	assert_int_equal(ops->canonical(self, s, &b), OTD_OK);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(one, two, a.len);
	assert_int_equal(ops->address(self, s, &script), OTD_OK);
	assert_int_equal(script.len, n);
	assert_memory_equal(room, want, n);
}

static void check_dust(struct otd_plugin_instance *in, const struct known_coin *k)
{
	static const uint8_t p2pkh[25] = {0x76, 0xa9, 20, [23] = 0x88, [24] = 0xac};
	otd_i128 least = 0;
	assert_int_equal(otd_instance_chain(in)->dust(otd_instance_self(in),
						      (struct otd_span){p2pkh, 25}, &least),
			 OTD_OK);
	assert_true(least == k->dust);
}

/* In the text of an address a '!' says that it is refused with these words. */
static void check_address(struct plugin_host *h, struct otd_yaml_doc *doc,
			  const struct known_coin *k, const struct known_address *a)
{
	struct otd_plugin_instance *in;
	char set[80];
	uint8_t room[64], want[64];
	struct otd_buf script = {.ptr = room, .cap = sizeof(room)};
	bool refused = a->text[0] == '!';
	const char *text = a->text + refused;
	snprintf(set, sizeof(set), "chain.network=%s", a->network);
	assert_int_equal(otd_yaml_set(doc, set, &h->err), OTD_OK);
	struct otd_plugin *pl = otd_plugins_get(h->plugins, "chain", "bitcoin", &h->err);
	if (!pl || otd_instance_create(&in, pl, otd_yaml_get(otd_yaml_root(doc), "chain"), "chain",
				       &h->services, &h->err))
		fail_msg("%s", h->err.text);
	otd_rc rc = otd_instance_chain(in)->address(
		otd_instance_self(in), (struct otd_span){(const uint8_t *)text, strlen(text)},
		&script);
	if (refused) {
		assert_int_equal(rc, OTD_E_INVALID);
		if (!strstr(otd_instance_error(in), a->script))
			fail_msg("%s: %s", a->text, otd_instance_error(in));
	} else {
		if (rc)
			fail_msg("%s: %s", a->text, otd_instance_error(in));
		assert_int_equal(script.len, strlen(a->script) / 2);
		unhex(want, script.len, a->script);
		assert_memory_equal(script.ptr, want, script.len);
		check_canonical(in, text, want, script.len);
		check_dust(in, k);
	}
	otd_instance_destroy(in);
}

static void coin_files(void **state)
{
	struct plugin_host h;
	(void)state;
	plugin_host_init(&h);
	assert_int_equal(otd_plugins_add_builtin(h.plugins, otd_plugin_v1(), &h.err), OTD_OK);
	for (size_t i = 0; i < sizeof(coins) / sizeof(coins[0]); i++) {
		const struct known_coin *k = &coins[i];
		char *text = load(k->file);
		struct otd_yaml_doc *doc;
		if (otd_yaml_parse(&doc, text, strlen(text), k->file, &h.err))
			fail_msg("%s", h.err.text);
		const struct otd_yaml *root = otd_yaml_root(doc);
		const struct otd_yaml *algorithm = otd_yaml_get(root, "algorithm");
		assert_string_equal(otd_yaml_text(otd_yaml_get(root, "symbol")), k->symbol);
		assert_string_equal(otd_yaml_text(otd_yaml_get(root, "version_mask")), k->mask);
		assert_string_equal(otd_yaml_text(otd_yaml_get(algorithm, "use")), k->algorithm);
		assert_int_equal(otd_yaml_count(algorithm),
				 1); /* no options: those of pow_hash() */
		assert_int_equal(strtol(otd_yaml_text(otd_yaml_get(root, "maturity")), NULL, 10),
				 k->maturity);
		check_block(k);
		for (size_t n = 0; n < 12 && k->address[n].text; n++)
			check_address(&h, doc, k, &k->address[n]);
		otd_yaml_destroy(doc);
		free(text);
	}
	plugin_host_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(coin_files)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
