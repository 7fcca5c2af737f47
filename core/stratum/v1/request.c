/* Lines read by jansson, see v1/v1.h. */
#include "stratum/v1/v1.h"

#include <string.h>

/* The id as JSON text, so that it goes back as it came. */
static otd_rc id_text(char to[OTD_SESSION_ID_MAX + 1], struct otd_span *id, const json_t *v)
{
	size_t n;

	if (!v)
		v = json_null();
	if (json_is_object(v) || json_is_array(v))
		return OTD_E_INVALID;
	n = json_dumpb(v, to, OTD_SESSION_ID_MAX, JSON_ENCODE_ANY | JSON_COMPACT);
	if (n == 0 || n > OTD_SESSION_ID_MAX)
		return OTD_E_INVALID;
	to[n] = 0;
	*id = (struct otd_span){(const uint8_t *)to, n};
	return OTD_OK;
}

otd_rc otd_v1_read_request(struct otd_v1_request *q, json_t **root, char id[OTD_SESSION_ID_MAX + 1],
			   struct otd_span line)
{
	enum otd_v1_shape shape = otd_v1_shape_of(line);
	json_error_t error;
	const json_t *method;

	memset(q, 0, sizeof(*q));
	q->id = (struct otd_span){(const uint8_t *)"null", 4};
	*root = NULL;
	if (shape != OTD_V1_SHAPE_OBJECT)
		return shape == OTD_V1_SHAPE_HUGE ? OTD_E_RANGE : OTD_E_INVALID;
	*root = json_loadb((const char *)line.ptr, line.len, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(*root))
		return OTD_E_INVALID;
	if (id_text(id, &q->id, json_object_get(*root, "id")))
		return OTD_E_INVALID;
	method = json_object_get(*root, "method");
	if (!method && (json_object_get(*root, "result") || json_object_get(*root, "error")))
		return OTD_E_NOT_FOUND;
	q->method = json_string_value(method);
	q->params = json_object_get(*root, "params");
	if (json_is_null(q->params))
		q->params = NULL;
	return q->method && (!q->params || json_is_array(q->params)) ? OTD_OK : OTD_E_INVALID;
}

struct otd_span otd_v1_number(const json_t *v, char to[OTD_V1_NUMBER_TEXT])
{
	struct otd_span s = {(const uint8_t *)to, 0};

	if (json_is_string(v)) {
		s.ptr = (const uint8_t *)json_string_value(v);
		s.len = json_string_length(v);
	} else if (json_is_number(v)) {
		size_t n = json_dumpb(v, to, OTD_V1_NUMBER_TEXT,
				      JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
		s.len = n <= OTD_V1_NUMBER_TEXT ? n : 0;
	}
	return s;
}
