/*
 * Basic types that cross between the host and plugins.
 *
 * Laws that hold for every header of this folder:
 *  - argument order: object, outputs, in-outs, inputs; a length follows its pointer;
 *  - no ownership crosses: a buffer belongs to the caller for the length of the call;
 *  - a function that can fail returns otd_rc: 0 or one of the negative codes below;
 *  - every struct that crosses starts with its size and only grows at its end;
 *  - a thread tag in brackets stands on every function pointer, see plugin.h.
 */
#ifndef OTEDAMA_TYPES_H
#define OTEDAMA_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define OTD_WARN_UNUSED      __attribute__((warn_unused_result))
#define OTD_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define OTD_EXPORT           __attribute__((visibility("default")))
#else
#define OTD_WARN_UNUSED
#define OTD_PRINTF(fmt, arg)
#define OTD_EXPORT
#endif

/* 0 is success; everything else is one of enum otd_code. */
typedef int32_t otd_rc;

enum otd_code {
	OTD_OK = 0,
	OTD_E_INVALID = -1,      /* an argument or a text does not have the required form */
	OTD_E_RANGE = -2,        /* too large, too small, or the buffer is too short */
	OTD_E_NOMEM = -3,        /* memory or a declared limit is exhausted */
	OTD_E_IO = -4,           /* a file or socket failed; the message names which and why */
	OTD_E_NOT_FOUND = -5,    /* what was asked for does not exist */
	OTD_E_EXISTS = -6,       /* it exists already */
	OTD_E_BUSY = -7,         /* not now; ask again later */
	OTD_E_TIMEOUT = -8,      /* the other side did not answer in time */
	OTD_E_REFUSED = -9,      /* the other side answered: no */
	OTD_E_CORRUPT = -10,     /* stored data fails its check */
	OTD_E_VERSION = -11,     /* made by an incompatible version */
	OTD_E_UNSUPPORTED = -12, /* this build or plugin cannot do it */
	OTD_E_OVERFLOW = -13,    /* an integer would not fit */
	OTD_E_STALE = -14,       /* it was right once: an old job, an old tip */
	OTD_E_CLOSED = -15,      /* the peer, file or service has gone */
	OTD_E_COMMIT_UNKNOWN =
		-16 /* a commit was sent and its fate is unknown: read the position again */
};

/* Bytes that somebody else owns. ptr may be NULL only where len is 0. */
struct otd_span {
	const uint8_t *ptr;
	size_t len;
};

/*
 * The caller's storage, to be written to. A function that fills it sets len; where cap is too
 * small it writes nothing, sets len to what it needs and returns OTD_E_RANGE.
 */
struct otd_buf {
	uint8_t *ptr;
	size_t len;
	size_t cap;
};

#ifdef __cplusplus
}
#endif
#endif
