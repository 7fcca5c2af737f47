/* See net/lists.h. */
#include "net/lists.h"

#include "base/map.h"
#include "net/bans.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX  18
#define NET_TEXT 64 /* the longest network as text fits, and more is none */

struct otd_lists {
	struct otd_map *map; /* network -> enum otd_list */
	size_t max;
	uint32_t bits4[33], bits6[129]; /* networks of this prefix length */
	size_t count[OTD_LIST_KINDS];
};

const char *otd_list_name(enum otd_list which)
{
	static const char *const name[OTD_LIST_KINDS] = {"none", "allow", "deny", "grey"};

	return name[which < OTD_LIST_KINDS ? which : 0];
}

otd_rc otd_lists_create(struct otd_lists **out, struct otd_env *e, size_t max)
{
	struct otd_lists *l = calloc(1, sizeof(*l));
	uint8_t seed[16];

	*out = NULL;
	if (!l)
		return OTD_E_NOMEM;
	l->max = max && max < OTD_LISTS_MAX ? max : OTD_LISTS_MAX;
	e->ops->random(e, seed, sizeof(seed));
	l->map = otd_map_create(seed, l->max);
	if (!l->map) {
		free(l);
		return OTD_E_NOMEM;
	}
	*out = l;
	return OTD_OK;
}

void otd_lists_destroy(struct otd_lists *l)
{
	if (!l)
		return;
	otd_map_destroy(l->map);
	free(l);
}

static size_t key_of(uint8_t key[KEY_MAX], const struct otd_ban_net *net)
{
	size_t n = net->family == 4 ? 4 : 16;

	key[0] = net->family;
	key[1] = net->bits;
	memcpy(key + 2, net->address, n);
	return 2 + n;
}

/* Why it is none; a ban's words are the ones that people know. */
static otd_rc no_network(const char *s, size_t n, struct otd_err *err)
{
	char what[OTD_BAN_WHAT_MAX + 1];
	struct otd_err why = {0};

	if (!n)
		return otd_fail(err, OTD_E_INVALID, "there is no address");
	/* Not empty where only bits behind the prefix are wrong. */
	if (otd_ban_what(what, OTD_BAN_PREFIX, s, n, &why) == OTD_OK)
		return otd_fail(err, OTD_E_INVALID, "%s is no network", what);
	return otd_fail(err, OTD_E_INVALID, "%s", why.text);
}

otd_rc otd_lists_add(struct otd_lists *l, enum otd_list which, const char *s, size_t n,
		     struct otd_err *err)
{
	char text[NET_TEXT];
	uint8_t key[KEY_MAX];
	struct otd_ban_net net;
	uint64_t old;

	if (n == 0 || n >= sizeof(text) || memchr(s, 0, n))
		return no_network(s, n, err);
	memcpy(text, s, n);
	text[n] = '\0';
	if (otd_ban_net_parse(&net, text) != OTD_OK)
		return no_network(s, n, err);
	size_t len = key_of(key, &net);
	if (otd_map_count(l->map) >= l->max && !otd_map_get(l->map, key, len, &old))
		return otd_fail(err, OTD_E_RANGE,
				"more than %zu networks; larger prefixes hold more addresses",
				l->max);
	otd_rc rc = otd_map_add(l->map, key, len, which, &old);
	if (rc == OTD_E_EXISTS)
		return old == (uint64_t)which
			       ? OTD_OK
			       : otd_fail(err, OTD_E_EXISTS, "%s stands in the list %s already",
					  text, otd_list_name((enum otd_list)old));
	if (rc)
		return otd_fail(err, rc, "out of memory");
	++*(net.family == 4 ? &l->bits4[net.bits] : &l->bits6[net.bits]);
	l->count[which]++;
	return OTD_OK;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

otd_rc otd_lists_read(struct otd_lists *l, enum otd_list which, const char *name,
		      struct otd_span text, struct otd_err *err)
{
	const char *at = (const char *)text.ptr, *end = at + text.len;

	for (size_t line = 1; at < end; line++) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		const char *stop = lf ? lf : end, *from = at;
		struct otd_err why = {0};
		for (const char *c = at; c < stop; c++) {
			if (*c == '#' || *c == ';')
				stop = c;
		}
		while (from < stop && is_blank(*from))
			from++;
		while (stop > from && is_blank(stop[-1]))
			stop--;
		if (stop > from) {
			otd_rc rc = otd_lists_add(l, which, from, (size_t)(stop - from), &why);
			if (rc)
				return otd_fail(err, rc, "%s:%zu: %s", name, line, why.text);
		}
		at = lf ? lf + 1 : end;
	}
	return OTD_OK;
}

enum otd_list otd_lists_find(const struct otd_lists *l, const char *host)
{
	struct otd_ban_net net;
	uint8_t key[KEY_MAX];
	uint64_t which;

	if (!l || !otd_map_count(l->map) || !otd_ban_host(&net, host))
		return OTD_LIST_NONE;
	const uint32_t *count = net.family == 4 ? l->bits4 : l->bits6;
	for (int bits = net.bits; bits >= 0; bits--) {
		if (!count[bits])
			continue;
		otd_ban_net_cut(&net, (unsigned)bits);
		size_t n = key_of(key, &net);
		if (otd_map_get(l->map, key, n, &which))
			return (enum otd_list)which;
	}
	return OTD_LIST_NONE;
}

size_t otd_lists_count(const struct otd_lists *l, enum otd_list which)
{
	return l ? l->count[which] : 0;
}
