/* otedama hash ALGO HEX: the hash of a header, as a 256-bit number, most significant byte first. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/cmd/cmd.h"
#include "app/cmd/plugin_file.h"
#include "base/text.h"

#define HEADER_MAX 4096

struct input {
	const char *algo, *file, *header; /* algo NULL: file */
	const char *seed, *height, *nonce, *options, *dir;
};

static int decode(const struct otd_cmd *cmd, const struct input *in, struct otd_algo_item *item,
		  uint8_t header[HEADER_MAX], uint8_t seed[32])
{
	size_t n, seed_len = 0;
	if (otd_hex_decode(header, HEADER_MAX, &n, in->header, strlen(in->header)) != OTD_OK ||
	    n == 0)
		return otd_cmd_fail(cmd,
				    "HEX is not a header: an even number of hex digits, at most %d",
				    2 * HEADER_MAX);
	item->header = (struct otd_span){header, n};
	if (in->seed) {
		if (otd_hex_decode(seed, 32, &seed_len, in->seed, strlen(in->seed)) ||
		    seed_len != 32)
			return otd_cmd_fail(cmd, "--seed wants 64 hex digits");
		item->seed = (struct otd_span){seed, 32};
	}
	if (in->height && otd_parse_u64(&item->height, in->height, strlen(in->height)))
		return otd_cmd_fail(cmd, "--height wants a whole number, not '%s'", in->height);
	if (in->nonce && otd_parse_u64(&item->nonce, in->nonce, strlen(in->nonce)))
		return otd_cmd_fail(cmd, "--nonce wants a whole number, not '%s'", in->nonce);
	return OTD_EXIT_OK;
}

static int hash(const struct otd_cmd *cmd, const struct input *in)
{
	uint8_t header[HEADER_MAX], seed[32];
	struct otd_algo_item item = {0};
	struct otd_tool tool;
	struct otd_plugin_instance *algo = NULL;
	struct otd_err err = {0};
	void *scratch = NULL;
	int exit_status = decode(cmd, in, &item, header, seed);
	if (exit_status != OTD_EXIT_OK)
		return exit_status;
	otd_rc rc = otd_tool_init(&tool, in->dir, &err);
	if (rc != OTD_OK)
		return otd_cmd_fail(cmd, "%s", err.text);
	rc = otd_tool_algo(&tool, &algo, in->algo, in->file, in->options, &err);
	if (rc == OTD_OK) {
		rc = otd_scratch_alloc(&scratch, otd_instance_algo_info(algo));
		if (rc == OTD_OK)
			rc = otd_algo_prepare_all(algo, item.height, item.seed);
		if (rc == OTD_OK)
			rc = otd_instance_algo(algo)->hash_batch(otd_instance_self(algo), scratch,
								 &item, sizeof(item), 1);
		if (rc == OTD_OK)
			rc = item.rc;
		if (rc != OTD_OK)
			otd_fail(&err, rc, "%s wants a header of %u bytes, this one has %zu%s%s",
				 in->algo ? in->algo : in->file,
				 otd_instance_algo_info(algo)->header_len, item.header.len,
				 *otd_instance_error(algo) ? ": " : "", otd_instance_error(algo));
	}
	if (rc == OTD_OK) {
		char text[65];
		otd_hex_encode_reverse(text, item.hash, 32);
		printf("%s\n", text);
	} else {
		exit_status = otd_cmd_fail(cmd, "%s", err.text);
	}
	otd_scratch_free(scratch);
	if (algo)
		otd_instance_destroy(algo);
	otd_tool_finish(&tool);
	return exit_status;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct input in = {0};
	const struct otd_arg args[] = {
		{"--seed", 0, "HEX", "32 bytes, for algorithms with epochs", .text = &in.seed},
		{"--height", 0, "N", "of the block, for algorithms that depend on it",
		 .text = &in.height},
		{"--nonce", 0, "N", "where the nonce is not part of the header", .text = &in.nonce},
		{"--options", 0, "YAML", "of the algorithm: '{n: 2048}'", .text = &in.options},
		{"--plugin", 0, "FILE", "this file instead of an installed algorithm",
		 .text = &in.file},
		{"--plugin-dir", 0, "DIR", "where KIND/ID.so is looked for", .text = &in.dir},
	};
	const char *words[2];
	size_t n_words;
	int exit_status = otd_args_parse(cmd, args, 6, argc, argv, words, &n_words, 1, 2);
	if (exit_status >= 0)
		return exit_status;
	if ((n_words == 2) == (in.file != NULL)) {
		otd_cmd_fail(cmd, "usage: otedama hash %s", cmd->usage);
		return OTD_EXIT_USAGE;
	}
	in.algo = n_words == 2 ? words[0] : NULL;
	in.header = words[n_words - 1];
	return hash(cmd, &in);
}

const struct otd_cmd otd_cmd_hash = {
	.name = "hash",
	.usage = "ALGO HEX | --plugin FILE HEX [--seed HEX] [--height N] [--nonce N]",
	.summary = "the hash of a header, by an algorithm plugin",
	.more = "HEX is the header as bytes, its nonce in place. Prints one line: the hash as a "
		"256-bit\n"
		"number, most significant byte first, as block explorers show it.",
	.run = run,
};
