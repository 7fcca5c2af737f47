/* UTF-8. Source: RFC 3629, section 4: no surrogates, no overlong forms, at most U+10FFFF. */
#include "base/text.h"

size_t otd_utf8_sequence(const void *text, size_t n)
{
	const uint8_t *s = text;
	if (n == 0)
		return 0;
	uint8_t c = s[0], low = 0x80, high = 0xbf;
	size_t len;
	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}
