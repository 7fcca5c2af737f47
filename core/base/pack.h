/*
 * Numbers and bytes in a row, for what goes from one process to another: least significant byte first,
 * lengths in front. A writer adds to otd_bytes, whose failed says at the end whether all of it is there; a
 * reader never passes the end of what it was given, and its failed says whether it would have.
 */
#ifndef OTD_BASE_PACK_H
#define OTD_BASE_PACK_H

#include "base/bytes.h"
#include <otedama/u256.h>

void otd_pack_u8(struct otd_bytes *b, uint8_t v);
void otd_pack_u16(struct otd_bytes *b, uint16_t v);
void otd_pack_u32(struct otd_bytes *b, uint32_t v);
void otd_pack_u64(struct otd_bytes *b, uint64_t v);
void otd_pack_i64(struct otd_bytes *b, int64_t v);
void otd_pack_u256(struct otd_bytes *b, struct otd_u256 v);
/* 32 bits of length, then the bytes. */
void otd_pack_span(struct otd_bytes *b, struct otd_span s);
void otd_pack_text(struct otd_bytes *b, const char *s); /* the same of a text */

/* A length of 32 bits that is not known yet: begin gives its place, end puts in what was added since. */
size_t otd_pack_begin(struct otd_bytes *b);
void otd_pack_end(struct otd_bytes *b, size_t begun);

/* Once failed it stays so, and gives zeros. */
struct otd_unpack {
	const uint8_t *ptr;
	size_t left;
	bool failed;
};

static inline struct otd_unpack otd_unpack_of(struct otd_span s)
{
	return (struct otd_unpack){s.ptr, s.len, false};
}

/* The next n bytes; NULL and failed where there are fewer. */
const uint8_t *otd_unpack_take(struct otd_unpack *u, size_t n);
uint8_t otd_unpack_u8(struct otd_unpack *u);
uint16_t otd_unpack_u16(struct otd_unpack *u);
uint32_t otd_unpack_u32(struct otd_unpack *u);
uint64_t otd_unpack_u64(struct otd_unpack *u);
int64_t otd_unpack_i64(struct otd_unpack *u);
struct otd_u256 otd_unpack_u256(struct otd_unpack *u);
struct otd_span otd_unpack_span(struct otd_unpack *u);
/* Into to, cut to cap - 1 bytes and ended by a zero; fails where it is longer or holds a zero. */
void otd_unpack_text(struct otd_unpack *u, char *to, size_t cap);
/* The bytes that a length stands in front of, as a reader of their own. */
struct otd_unpack otd_unpack_part(struct otd_unpack *u);

#endif
