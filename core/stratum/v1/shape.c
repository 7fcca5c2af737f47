/*
 * What a line looks like, before a parser makes a tree of it: brackets cost jansson two allocations each,
 * and a peer nothing. RFC 8259, section 9: "An implementation may set limits on the maximum depth of
 * nesting." tests/fuzz/fuzz_submit.c holds it against jansson.
 */
#include "stratum/v1/v1.h"

static const uint8_t *skip_blanks(const uint8_t *p, const uint8_t *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p;
}

/* p stands behind the opening quote; returns where the closing one is, end where there is none. */
static const uint8_t *string_end(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p != '"')
		p += *p == '\\' && end - p > 1 ? 2 : 1;
	return p;
}

enum otd_v1_shape otd_v1_shape_of(struct otd_span line)
{
	const uint8_t *end = line.ptr + line.len, *p = skip_blanks(line.ptr, end);
	unsigned depth = 0, values = 0;
	bool object = p < end && *p == '{';

	/* Neither number nor text is a request; a list is none either, but may be a flood of brackets. */
	if (p == end || (*p != '{' && *p != '['))
		return OTD_V1_SHAPE_NONE;
	for (; p < end; p++) {
		switch (*p) {
		case '"':
			p = string_end(p + 1, end);
			if (p == end)
				return OTD_V1_SHAPE_NONE;
			break;
		case '{':
		case '[':
			if (++depth > OTD_V1_DEPTH_MAX || ++values > OTD_V1_VALUES_MAX)
				return OTD_V1_SHAPE_HUGE;
			break;
		case ',':
			if (++values > OTD_V1_VALUES_MAX)
				return OTD_V1_SHAPE_HUGE;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return object && skip_blanks(p + 1, end) == end
					       ? OTD_V1_SHAPE_OBJECT
					       : OTD_V1_SHAPE_NONE;
			break;
		default: break;
		}
	}
	return OTD_V1_SHAPE_NONE;
}
