/*
 * Lists of networks that an operator keeps: who is let in past the limits by address (allow), who is not
 * let in (deny), and who gets a small part of the limits (grey). A list is made once, anywhere, and is
 * not changed while it is used; lookups cost a probe of a hash for each prefix length in use, however
 * many networks there are.
 *
 * Of networks that hold an address the longest prefix says what it is, whichever list it stands in.
 */
#ifndef OTD_NET_LISTS_H
#define OTD_NET_LISTS_H

#include "base/env.h"

#define OTD_LISTS_MAX      500000      /* networks, all lists together: about 50 MB */
#define OTD_LISTS_FILE_MAX (32u << 20) /* bytes of a file */

enum otd_list { OTD_LIST_NONE = 0, OTD_LIST_ALLOW = 1, OTD_LIST_DENY = 2, OTD_LIST_GREY = 3 };
#define OTD_LIST_KINDS 4

/* "allow", "deny", "grey"; "none". [any-thread] */
const char *otd_list_name(enum otd_list which);

struct otd_lists;

/* max: networks; 0 or too many: OTD_LISTS_MAX. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_lists_create(struct otd_lists **out, struct otd_env *e, size_t max);
void otd_lists_destroy(struct otd_lists *l); /* takes NULL */

/*
 * One network: ADDRESS, ADDRESS/BITS; an IPv4-mapped one is IPv4. The same one again is nothing new.
 * OTD_E_INVALID: none. OTD_E_EXISTS: it stands in another list. OTD_E_RANGE: too many. OTD_E_NOMEM.
 */
OTD_WARN_UNUSED otd_rc otd_lists_add(struct otd_lists *l, enum otd_list which, const char *s,
				     size_t n, struct otd_err *err);
/*
 * The text of a file: a network a line; what stands behind # or ; is a comment, blanks round it and
 * empty lines are nothing. Errors begin with "NAME:LINE: ", and some of it has been added.
 */
OTD_WARN_UNUSED otd_rc otd_lists_read(struct otd_lists *l, enum otd_list which, const char *name,
				      struct otd_span text, struct otd_err *err);

/* What a numeric address is; of what is no address OTD_LIST_NONE. l may be NULL. */
enum otd_list otd_lists_find(const struct otd_lists *l, const char *host);
size_t otd_lists_count(const struct otd_lists *l, enum otd_list which); /* networks */

#endif
