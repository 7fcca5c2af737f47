/* The algorithm, as plugin.c and test.c see it. This and hash.c are yours to change. */
#ifndef HASH_H
#define HASH_H

#include <stddef.h>

enum {
	HEADER_LEN = 80,   /* bytes of a block header with its nonce; Bitcoin's kin: 80 */
	NONCE_OFFSET = 76, /* where in the header the nonce stands */
	NONCE_LEN = 4,     /* 4 or 8 */
	/* A hash is a number. 0: the first byte of the digest is its least significant one, as in
	   Bitcoin and nearly all that came after; 1: the most significant one. */
	DIGEST_BE = 0,
};

/*
 * len bytes at in to a digest of 32 bytes at out. Several threads call it at once: it keeps no
 * static variables, prints nothing and never exits.
 */
void hash(const void *in, size_t len, void *out);

#endif
