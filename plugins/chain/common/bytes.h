/*
 * What both chains of Bitcoin's form share, part 1: bytes. Buffers grow in the host's memory; a
 * reader never passes the end of what it was given. btc_ is the prefix of this folder: the form of
 * transactions and blocks is Bitcoin's, whichever coin.
 */
#ifndef OTD_PLUGIN_CHAIN_BYTES_H
#define OTD_PLUGIN_CHAIN_BYTES_H

#include <otedama/plugin.h>

/* The host's memory and error text of one instance. */
struct btc_host {
	const struct otd_host_core *core;
	struct otd_host *h;
};

static inline void *btc_alloc(const struct btc_host *host, size_t n)
{
	return host->core->alloc(host->h, n);
}

static inline void btc_free(const struct btc_host *host, void *p)
{
	host->core->free(host->h, p);
}

/* Says why, in words, and returns rc. */
#define btc_fail(host, rc, ...) ((host)->core->set_error((host)->h, __VA_ARGS__), (otd_rc)(rc))

struct btc_buf {
	const struct btc_host *host;
	uint8_t *ptr;
	size_t len, cap;
	bool failed; /* memory ran out; nothing was added since */
};

void btc_buf_init(struct btc_buf *b, const struct btc_host *host);
void btc_buf_finish(struct btc_buf *b);
void btc_put(struct btc_buf *b, const void *p, size_t n);
void btc_put_u8(struct btc_buf *b, uint8_t v);
void btc_put_u32(struct btc_buf *b, uint32_t v); /* least significant byte first */
void btc_put_u64(struct btc_buf *b, uint64_t v);
void btc_put_varint(struct btc_buf *b, uint64_t v); /* CompactSize */
/* Text by format, no terminating zero. At most 1000 bytes at once. */
void btc_put_text(struct btc_buf *b, const char *fmt, ...) OTD_PRINTF(2, 3);
/* Lower-case digits of n bytes. */
void btc_put_hex(struct btc_buf *b, const void *p, size_t n);
/* Copies to a buffer of the host's: OTD_E_RANGE with out->len what it needs. */
otd_rc btc_give(struct otd_buf *out, const void *p, size_t n);

struct btc_reader {
	const uint8_t *ptr;
	size_t left;
	bool failed;
};

/* The next n bytes, or NULL (and failed) where there are fewer. */
const uint8_t *btc_take(struct btc_reader *r, size_t n);
uint8_t btc_get_u8(struct btc_reader *r);
uint32_t btc_get_u32(struct btc_reader *r);
uint64_t btc_get_u64(struct btc_reader *r);
uint64_t btc_get_varint(struct btc_reader *r); /* fails on forms longer than needed */

static inline uint32_t btc_load_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void btc_store_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* n hex digits, either case, into n / 2 bytes. */
bool btc_unhex(uint8_t *out, const char *hex, size_t n);
/* 64 digits as people write hashes into 32 bytes, least significant first. */
bool btc_unhex_hash(uint8_t out[32], const char *hex, size_t n);
/* out has 65 bytes. Returns out. */
char *btc_hash_text(char out[65], const uint8_t hash[32]);

#endif
