/*
 * Stratum V1 as the benches speak it. Written from the protocol and apart from the pool's own code,
 * so that a mistake there is not hidden by the same one here; only the SHA-256 kernels are shared.
 */
#ifndef OTD_BENCH_WIRE_H
#define OTD_BENCH_WIRE_H

#include <otedama/types.h>

enum { WIRE_BRANCHES_MAX = 32, WIRE_EXTRANONCE_MAX = 32, WIRE_JOB_ID_MAX = 64 };

struct wire_span {
	const char *p;
	size_t n;
};

/* The values of a line's members as they stand in it; n is 0 where one is missing. */
struct wire_line {
	struct wire_span id, method, params, result, error;
};

/* False: not one JSON object. */
bool wire_read_line(struct wire_line *out, const char *p, size_t n);
/* The i-th value of an array; false where there is none. */
bool wire_item(struct wire_span *out, struct wire_span array, size_t i);
/* Up to max values in one pass; how many there were. */
size_t wire_items(struct wire_span *out, size_t max, struct wire_span array);
/* The text between the quotes, escapes left as they are; n is 0 where it is no string. */
struct wire_span wire_text(struct wire_span v);
bool wire_is(struct wire_span v, const char *what);
/* Decodes hexadecimal digits; the number of bytes, or -1. */
int wire_unhex(uint8_t *out, size_t cap, struct wire_span hex);
char *wire_hex(char *to, const uint8_t *from, size_t n); /* returns the end; no NUL */
char *wire_hex_u32(char *to, uint32_t v);
/* An unsigned decimal; -1 where it is none. */
int64_t wire_number(struct wire_span v);

/* What a notify says. Coinbase halves are allocated, and belong to it. */
struct wire_job {
	char id[WIRE_JOB_ID_MAX];
	size_t id_len;
	uint8_t *coinbase; /* coinb1, then coinb2 */
	size_t coinbase1_len, coinbase2_len;
	uint8_t branches[WIRE_BRANCHES_MAX][32];
	size_t n_branches;
	uint8_t prev[32]; /* as in the header */
	uint32_t version, nbits, ntime;
	bool clean;
};

/* Reads the params of a notify over what job held before. False: malformed; job is then empty. */
bool wire_job_read(struct wire_job *job, struct wire_span params);
void wire_job_finish(struct wire_job *job);
/* The 80 bytes of a header, the coinbase hashed and folded with the branches. */
void wire_header(uint8_t header[80], const struct wire_job *job, const uint8_t *en1, size_t en1_len,
		 const uint8_t *en2, size_t en2_len, uint32_t ntime, uint32_t nonce);
/* Difficulty to target, never easier than the exact one (by less than 1 in 10^14). */
void wire_target(uint8_t target_le[32], double difficulty);

#endif
