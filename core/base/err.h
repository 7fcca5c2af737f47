/* Errors: a code, and one line for a person that says what, where and what to do. */
#ifndef OTD_BASE_ERR_H
#define OTD_BASE_ERR_H

#include <otedama/types.h>

struct otd_err {
	otd_rc rc;
	char text[512];
};

/* Sets text and rc and returns rc, so that "return otd_fail(err, OTD_E_RANGE, ...)" works. err may
   be NULL. Never put a secret into it. [any-thread] */
otd_rc otd_fail(struct otd_err *err, otd_rc rc, const char *fmt, ...) OTD_PRINTF(3, 4);
/* Puts "prefix: " before what is there; returns err->rc, OTD_E_INVALID where err is NULL. */
otd_rc otd_fail_prefix(struct otd_err *err, const char *fmt, ...) OTD_PRINTF(2, 3);
/* A short fixed name: "invalid", "not found". Never NULL. */
const char *otd_rc_name(otd_rc rc);

/* For our own logic only; never reachable from a peer, a script, a plugin or a file. Always on. */
#define OTD_ASSERT(cond) ((cond) ? (void)0 : otd_assert_failed(#cond, __FILE__, __LINE__))
_Noreturn void otd_assert_failed(const char *cond, const char *file, int line);

#endif
