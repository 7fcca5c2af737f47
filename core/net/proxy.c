/* Both forms of the PROXY header, strictly: it comes from a program, and decides whom bans are about. */
#include "net/proxy.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <string.h>

#define V1_MAX   107 /* with CR LF, as the text of the protocol counts it */
#define V2_HEAD  16
#define TLV_CRC  0x03
#define IPV4_LEN 12
#define IPV6_LEN 36

static const uint8_t v2_begin[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
				     0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
static const char v1_begin[] = "PROXY ";

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* family: AF_INET or AF_INET6; address in network order. */
static otd_rc set_address(struct otd_proxy *out, int family, const void *address, uint16_t port)
{
	struct in6_addr six;
	const void *from = address;
	if (family == AF_INET6) {
		memcpy(&six, address, sizeof(six));
		if (IN6_IS_ADDR_V4MAPPED(&six)) {
			from = (const uint8_t *)&six + 12;
			family = AF_INET;
		}
	}
	if (!inet_ntop(family, from, out->host, sizeof(out->host)))
		return OTD_E_INVALID;
	out->port = port;
	out->has_address = true;
	return OTD_OK;
}

/* --- version 1: a line --- */

/* The next word of *at up to the blank or the end; words are parted by one blank. */
static bool next_word(char *to, size_t cap, const char **at, const char *end)
{
	const char *p = *at, *stop = memchr(p, ' ', (size_t)(end - p));
	size_t n = (size_t)((stop ? stop : end) - p);
	if (n == 0 || n >= cap)
		return false;
	memcpy(to, p, n);
	to[n] = '\0';
	*at = stop ? stop + 1 : end;
	return strlen(to) == n && (!stop || *at < end);
}

static bool read_port(uint16_t *to, const char *s)
{
	uint64_t v;
	if ((s[0] == '0' && s[1]) || otd_parse_u64(&v, s, strlen(s)) || v > 65535)
		return false;
	*to = (uint16_t)v;
	return true;
}

static otd_rc read_line(struct otd_proxy *out, const char *at, const char *end)
{
	char kind[8], source[46], target[46], from[8], to[8];
	uint8_t address[16], other[16];
	uint16_t port, unused;
	if (!next_word(kind, sizeof(kind), &at, end))
		return OTD_E_INVALID;
	if (strcmp(kind, "UNKNOWN") == 0)
		return OTD_OK; /* whatever stands behind it */
	int family = strcmp(kind, "TCP4") == 0 ? AF_INET : strcmp(kind, "TCP6") == 0 ? AF_INET6 : 0;
	if (!family || !next_word(source, sizeof(source), &at, end) ||
	    !next_word(target, sizeof(target), &at, end) ||
	    !next_word(from, sizeof(from), &at, end) || !next_word(to, sizeof(to), &at, end) ||
	    at != end || inet_pton(family, source, address) != 1 ||
	    inet_pton(family, target, other) != 1 || !read_port(&port, from) ||
	    !read_port(&unused, to))
		return OTD_E_INVALID;
	return set_address(out, family, address, port);
}

static otd_rc parse_v1(struct otd_proxy *out, size_t *used, struct otd_span in)
{
	const char *p = (const char *)in.ptr;
	size_t n = in.len < V1_MAX ? in.len : V1_MAX;
	const char *lf = memchr(p, '\n', n);
	if (!lf)
		return n == V1_MAX ? OTD_E_INVALID : OTD_E_BUSY;
	if (lf[-1] != '\r')
		return OTD_E_INVALID;
	*used = (size_t)(lf - p) + 1;
	return read_line(out, p + strlen(v1_begin), lf - 1);
}

/* --- version 2: bytes --- */

/* CRC-32C over the header, in which its own four bytes count as zeros. */
static bool crc_right(const uint8_t *p, size_t n, size_t at)
{
	static const uint8_t zeros[4];
	uint32_t is = (uint32_t)be16(p + at) << 16 | be16(p + at + 2);
	uint32_t crc = otd_crc32c(0, p, at);
	crc = otd_crc32c(crc, zeros, sizeof(zeros));
	return is == otd_crc32c(crc, p + at + 4, n - at - 4);
}

static otd_rc read_tlvs(const uint8_t *p, size_t n, size_t at)
{
	while (at < n) {
		if (n - at < 3 || n - at - 3 < be16(p + at + 1))
			return OTD_E_INVALID;
		size_t len = be16(p + at + 1);
		if (p[at] == TLV_CRC && (len != 4 || !crc_right(p, n, at + 3)))
			return OTD_E_INVALID;
		at += 3 + len;
	}
	return OTD_OK;
}

static otd_rc parse_v2(struct otd_proxy *out, size_t *used, struct otd_span in)
{
	const uint8_t *p = in.ptr;
	if (in.len < V2_HEAD)
		return OTD_E_BUSY;
	size_t len = be16(p + 14), n = V2_HEAD + len, address;
	if (p[12] >> 4 != 2 || (p[12] & 15) > 1 || n > OTD_PROXY_MAX)
		return OTD_E_INVALID;
	if (in.len < n)
		return OTD_E_BUSY;
	*used = n;
	if ((p[12] & 15) == 0) /* LOCAL: what follows is not to be looked at */
		return OTD_OK;
	switch (p[13]) {
	case 0x00: /* unspecified: as UNKNOWN */ return OTD_OK;
	case 0x11: address = IPV4_LEN; break;
	case 0x21: address = IPV6_LEN; break;
	default: return OTD_E_INVALID; /* miners come by TCP over IP */
	}
	if (len < address || read_tlvs(p, n, V2_HEAD + address))
		return OTD_E_INVALID;
	p += V2_HEAD;
	return address == IPV4_LEN ? set_address(out, AF_INET, p, be16(p + 8))
				   : set_address(out, AF_INET6, p, be16(p + 32));
}

otd_rc otd_proxy_parse(struct otd_proxy *out, size_t *used, struct otd_span in)
{
	size_t n = strlen(v1_begin);
	*out = (struct otd_proxy){0};
	*used = 0;
	if (!in.len)
		return OTD_E_BUSY;
	if (in.ptr[0] == v2_begin[0]) {
		size_t same = in.len < sizeof(v2_begin) ? in.len : sizeof(v2_begin);
		return memcmp(in.ptr, v2_begin, same) == 0 ? parse_v2(out, used, in)
							   : OTD_E_INVALID;
	}
	if (memcmp(in.ptr, v1_begin, in.len < n ? in.len : n) != 0)
		return OTD_E_INVALID;
	return in.len < n ? OTD_E_BUSY : parse_v1(out, used, in);
}
