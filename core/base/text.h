/*
 * Text forms of numbers, at the edges only (YAML, wire, JSON, people). All strict: what is not
 * wholly a number of the stated form is OTD_E_INVALID, what does not fit OTD_E_RANGE.
 */
#ifndef OTD_BASE_TEXT_H
#define OTD_BASE_TEXT_H

#include <otedama/types.h>
#include <otedama/u256.h>

/* --- hex: even number of digits, either case in, lower case out --- */
otd_rc otd_hex_decode(uint8_t *out, size_t cap, size_t *len, const char *hex, size_t n);
/* out has 2 * n + 1 bytes; terminated. */
void otd_hex_encode(char *out, const void *in, size_t n);
/* As otd_hex_encode but last byte first: how people write hashes. */
void otd_hex_encode_reverse(char *out, const void *in, size_t n);
otd_rc otd_hex_decode_reverse(uint8_t *out, size_t exact, const char *hex, size_t n);
/* Up to 8 hex digits, an integer. */
otd_rc otd_hex_u32(uint32_t *out, const char *hex, size_t n);

/* --- decimal integers --- */
otd_rc otd_parse_u64(uint64_t *out, const char *s, size_t n);
otd_rc otd_parse_i128(otd_i128 *out, const char *s, size_t n);
#define OTD_I128_TEXT 41
char *otd_format_i128(char out[OTD_I128_TEXT], otd_i128 v); /* returns out */

/* --- amounts: base units and decimals ("0.05", 8 decimals = 5000000) --- */
otd_rc otd_parse_amount(otd_i128 *out, const char *s, size_t n, unsigned decimals);
#define OTD_AMOUNT_TEXT 64
char *otd_format_amount(char out[OTD_AMOUNT_TEXT], otd_i128 v, unsigned decimals);

/* --- units of the YAML --- */
otd_rc otd_parse_duration(int64_t *ms, const char *s, size_t n); /* 500ms 10s 5m 2h 7d */
otd_rc otd_parse_size(int64_t *bytes, const char *s, size_t n);  /* 64KiB 2MiB 1GiB 4096 */
otd_rc otd_parse_rate(int64_t *ppm, const char *s, size_t n);    /* 1% 0.25% */

/*
 * --- difficulty: a decimal with optional exponent against the target of difficulty 1 ---
 * target = diff1 / difficulty, rounded down, at most 2^256 - 1, at least 1. Accepts "1024",
 * "0.001", "1e-9". OTD_E_RANGE for zero and for more than 40 digits.
 */
otd_rc otd_difficulty_parse(struct otd_u256 *target, const char *s, size_t n,
			    struct otd_u256 diff1);
#define OTD_DIFFICULTY_TEXT 40
/* Shortest of at most 17 significant digits; whole numbers without a point. A JSON number. */
char *otd_difficulty_format(char out[OTD_DIFFICULTY_TEXT], struct otd_u256 target,
			    struct otd_u256 diff1);
/* work with three significant digits and a unit: "12.3 MH". hashes over ms gives "4.5 MH/s". */
#define OTD_RATE_TEXT 24
char *otd_format_hashrate(char out[OTD_RATE_TEXT], otd_u128 work, int64_t ms);

/* --- addresses --- */
/* Base58Check: payload without checksum, its first byte the version. */
otd_rc otd_base58check_decode(uint8_t *out, size_t cap, size_t *len, const char *s, size_t n);
otd_rc otd_base58check_encode(char *out, size_t cap, const void *in, size_t n);
/* Segwit address (BIP 173, BIP 350): checks hrp, checksum kind by version, padding, lengths. */
otd_rc otd_segwit_decode(uint8_t *version, uint8_t program[40], size_t *len, const char *hrp,
			 const char *s, size_t n);
otd_rc otd_segwit_encode(char *out, size_t cap, const char *hrp, uint8_t version,
			 const uint8_t *program, size_t n);

/* Length of the valid UTF-8 sequence at s (RFC 3629), 1 to 4, of at most n bytes; 0: none. */
size_t otd_utf8_sequence(const void *s, size_t n);

/* Of names, the one nearest to word (by edit distance, at most a third of its length); NULL: none.
 */
const char *otd_nearest(const char *word, const char *const *names, size_t n);
/* "; did you mean 'NAME'?" of the nearest one, or "", to end a message with. Returns out. */
#define OTD_HINT_TEXT 96
const char *otd_nearest_hint(char out[OTD_HINT_TEXT], const char *word, const char *const *names,
			     size_t n);

/* Constant time. For secrets. */
bool otd_equal_secret(const void *a, const void *b, size_t n);
uint32_t otd_crc32c(uint32_t crc, const void *p, size_t n); /* Castagnoli; start with 0 */

#endif
