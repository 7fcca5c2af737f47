/* What people write of bans, and its one canonical form. See net/bans.h. */
#include "base/text.h"
#include "net/bans.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const scopes[] = {"unknown", "worker", "account", "ip", "prefix"};

const char *otd_ban_scope_name(enum otd_ban_scope s)
{
	return scopes[s >= OTD_BAN_WORKER && s <= OTD_BAN_PREFIX ? s : 0];
}

otd_rc otd_ban_scope_parse(enum otd_ban_scope *out, const char *s, size_t n)
{
	for (int i = OTD_BAN_WORKER; i <= OTD_BAN_PREFIX; i++) {
		if (strlen(scopes[i]) == n && memcmp(scopes[i], s, n) == 0) {
			*out = (enum otd_ban_scope)i;
			return OTD_OK;
		}
	}
	return OTD_E_INVALID;
}

/* UTF-8 without control characters. */
static bool clean(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t k = otd_utf8_sequence(s + i, n - i);
		if (!k || (unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
		/* C1 controls are two bytes: c2 80 to c2 9f. */
		if (k == 2 && (uint8_t)s[i] == 0xc2 && (uint8_t)s[i + 1] < 0xa0)
			return false;
		i += k;
	}
	return true;
}

/* For messages: the text itself where it can be shown. */
static const char *shown(char to[64], const char *s, size_t n)
{
	if (clean(s, n))
		(void)snprintf(to, 64, "'%.*s'", (int)(n < 60 ? n : 60), s);
	else
		(void)snprintf(to, 64, "that");
	return to;
}

/* --- addresses --- */

static unsigned width(const struct otd_ban_net *net)
{
	return net->family == 4 ? 32 : 128;
}

void otd_ban_net_cut(struct otd_ban_net *net, unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits > 8 * i ? bits - 8 * i : 0;
		if (keep < 8)
			net->address[i] &= (uint8_t)(0xff00u >> keep);
	}
	net->bits = (uint8_t)bits;
}

/* ::ffff:a.b.c.d/(96 + n) is a.b.c.d/n. */
static void unmap(struct otd_ban_net *net)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	if (net->family != 6 || net->bits < 96 || memcmp(net->address, mapped, 12) != 0)
		return;
	memmove(net->address, net->address + 12, 4);
	memset(net->address + 4, 0, 12);
	net->family = 4;
	net->bits -= 96;
}

bool otd_ban_host(struct otd_ban_net *out, const char *host)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, host, out->address) == 1)
		out->family = 4;
	else if (inet_pton(AF_INET6, host, out->address) == 1)
		out->family = 6;
	else
		return false;
	out->bits = (uint8_t)width(out);
	unmap(out);
	return true;
}

/* "ADDRESS" or "ADDRESS/BITS"; has_bits says which. */
static bool net_read(struct otd_ban_net *out, bool *has_bits, const char *s, size_t n)
{
	char host[INET6_ADDRSTRLEN + 1];
	const char *slash = memchr(s, '/', n);
	size_t len = slash ? (size_t)(slash - s) : n;
	uint64_t bits = 0;
	if (len == 0 || len >= sizeof(host) || memchr(s, 0, len))
		return false;
	memcpy(host, s, len);
	host[len] = 0;
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, host, out->address) == 1)
		out->family = 4;
	else if (inet_pton(AF_INET6, host, out->address) == 1)
		out->family = 6;
	else
		return false;
	out->bits = (uint8_t)width(out);
	*has_bits = slash != NULL;
	if (slash) {
		size_t rest = n - len - 1;
		if (rest == 0 || rest > 3 || (slash[1] == '0' && rest > 1) ||
		    otd_parse_u64(&bits, slash + 1, rest) || bits > width(out))
			return false;
		out->bits = (uint8_t)bits;
	}
	return true;
}

static void net_write(char out[OTD_BAN_WHAT_MAX + 1], const struct otd_ban_net *net, bool bits)
{
	char host[INET6_ADDRSTRLEN];
	if (!inet_ntop(net->family == 4 ? AF_INET : AF_INET6, net->address, host, sizeof(host)))
		host[0] = 0;
	(void)snprintf(out, OTD_BAN_WHAT_MAX + 1, bits ? "%s/%u" : "%s", host, net->bits);
}

static bool same_net(const struct otd_ban_net *a, const struct otd_ban_net *b)
{
	return memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static otd_rc ip_what(char *out, struct otd_ban_net *net, bool has_bits, struct otd_err *err)
{
	if (has_bits && net->bits == (net->family == 4 ? 32 : 128))
		has_bits = false;
	if (has_bits && !(net->family == 6 && net->bits == 64))
		return otd_fail(err, OTD_E_INVALID,
				"an ip has no prefix length (but /64, of IPv6); ban the prefix "
				"instead: 'prefix ADDRESS/BITS'");
	if (net->family == 6)
		otd_ban_net_cut(net, 64);
	net_write(out, net, net->family == 6);
	return OTD_OK;
}

static otd_rc prefix_what(char *out, struct otd_ban_net *net, bool has_bits, struct otd_err *err)
{
	struct otd_ban_net cut = *net;
	if (!has_bits)
		return otd_fail(err, OTD_E_INVALID,
				"a prefix is ADDRESS/BITS, such as 10.1.0.0/16 or 2001:db8::/32");
	otd_ban_net_cut(&cut, net->bits);
	net_write(out, &cut, true);
	/* Who meant one host and forgot the length must not shut out a network. */
	if (!same_net(net, &cut))
		return otd_fail(err, OTD_E_INVALID,
				"the address has bits behind the prefix; say %s where you mean "
				"that network",
				out);
	return OTD_OK;
}

static otd_rc net_what(char *out, enum otd_ban_scope scope, const char *s, size_t n,
		       struct otd_err *err)
{
	struct otd_ban_net net;
	char text[64];
	bool has_bits;
	if (!net_read(&net, &has_bits, s, n))
		return otd_fail(err, OTD_E_INVALID,
				"%s is no IPv4 or IPv6 address%s (names are not looked up)",
				shown(text, s, n),
				scope == OTD_BAN_PREFIX ? " with a prefix length" : "");
	unmap(&net);
	return scope == OTD_BAN_IP ? ip_what(out, &net, has_bits, err)
				   : prefix_what(out, &net, has_bits, err);
}

otd_rc otd_ban_net_parse(struct otd_ban_net *out, const char *what)
{
	struct otd_ban_net cut;
	bool has_bits;
	if (!net_read(out, &has_bits, what, strlen(what)))
		return OTD_E_INVALID;
	unmap(out);
	cut = *out;
	otd_ban_net_cut(&cut, out->bits);
	return same_net(out, &cut) ? OTD_OK : OTD_E_INVALID;
}

bool otd_ban_net_has(const struct otd_ban_net *net, const char *host)
{
	struct otd_ban_net h;
	if (!otd_ban_host(&h, host) || h.family != net->family)
		return false;
	otd_ban_net_cut(&h, net->bits);
	return same_net(&h, net);
}

bool otd_ban_net_loopback(const struct otd_ban_net *net)
{
	struct otd_ban_net own = {.family = 4, .bits = 8, .address = {127}}, other = *net;
	if (net->family == 6)
		own = (struct otd_ban_net){.family = 6, .bits = 128, .address = {[15] = 1}};
	/* They overlap where the shorter of the two holds the other. */
	unsigned bits = own.bits < net->bits ? own.bits : net->bits;
	otd_ban_net_cut(&own, bits);
	otd_ban_net_cut(&other, bits);
	return same_net(&own, &other);
}

/* --- names --- */

static otd_rc name_what(char *out, enum otd_ban_scope scope, const char *s, size_t n,
			struct otd_err *err)
{
	const char *form = scope == OTD_BAN_WORKER ? "POOL/ADDRESS.NAME" : "POOL/ADDRESS";
	const char *slash = memchr(s, '/', n);
	char text[64];
	if (n > OTD_BAN_WHAT_MAX)
		return otd_fail(err, OTD_E_INVALID, "%s has at most %d bytes", form,
				OTD_BAN_WHAT_MAX);
	if (!clean(s, n) || !slash || slash == s)
		return otd_fail(err, OTD_E_INVALID, "%s must be %s", shown(text, s, n), form);
	size_t rest = n - (size_t)(slash - s) - 1;
	const char *dot = memchr(slash + 1, '.', rest);
	if (rest == 0 || dot == slash + 1 || (dot != NULL) != (scope == OTD_BAN_WORKER))
		return otd_fail(err, OTD_E_INVALID, "%s must be %s%s", shown(text, s, n), form,
				scope == OTD_BAN_WORKER && !dot
					? " ('POOL/ADDRESS.' is the one without a name)"
					: "");
	memcpy(out, s, n);
	out[n] = 0;
	return OTD_OK;
}

otd_rc otd_ban_what(char out[OTD_BAN_WHAT_MAX + 1], enum otd_ban_scope scope, const char *s,
		    size_t n, struct otd_err *err)
{
	out[0] = 0;
	if (scope == OTD_BAN_IP || scope == OTD_BAN_PREFIX)
		return net_what(out, scope, s, n, err);
	return name_what(out, scope, s, n, err);
}

otd_rc otd_ban_reason_check(const char *s, size_t n, struct otd_err *err)
{
	if (n == 0)
		return otd_fail(err, OTD_E_INVALID,
				"a ban needs a reason: it is told to the miner");
	if (n > OTD_BAN_REASON_MAX)
		return otd_fail(err, OTD_E_INVALID, "a reason has at most %d bytes, this has %zu",
				OTD_BAN_REASON_MAX, n);
	if (!clean(s, n))
		return otd_fail(err, OTD_E_INVALID,
				"the reason has control characters or is not UTF-8");
	return OTD_OK;
}

/* --- for people --- */

char *otd_ban_time(char out[OTD_BAN_TIME], int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	if (!gmtime_r(&s, &tm) || !strftime(out, OTD_BAN_TIME, "%Y-%m-%d %H:%M:%S UTC", &tm))
		(void)snprintf(out, OTD_BAN_TIME, "%lld ms", (long long)ms);
	return out;
}

char *otd_ban_text(char out[OTD_BAN_TEXT], const char *reason, int64_t until_ms)
{
	char time[OTD_BAN_TIME];
	if (until_ms)
		(void)snprintf(out, OTD_BAN_TEXT, "banned until %s: %s",
			       otd_ban_time(time, until_ms), reason);
	else
		(void)snprintf(out, OTD_BAN_TEXT, "banned for good: %s", reason);
	return out;
}
