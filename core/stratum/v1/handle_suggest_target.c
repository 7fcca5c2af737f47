/* mining.suggest_target [64 hex digits, as people write a target]. */
#include "stratum/v1/v1.h"

void otd_v1_handle_suggest_target(struct otd_session *s, const struct otd_v1_request *q)
{
	const json_t *v = json_array_get(q->params, 0);
	uint8_t bytes[32];
	size_t n = 0;

	if (!json_is_string(v) ||
	    otd_hex_decode(bytes, sizeof(bytes), &n, json_string_value(v), json_string_length(v)) ||
	    n != sizeof(bytes) || otd_u256_is_zero(otd_u256_from_be(bytes))) {
		otd_v1_answer_error(s, q->id, OTD_V1_ERROR_OTHER,
				    "mining.suggest_target wants [64 hex digits]");
		return;
	}
	otd_v1_answer_true(s, q);
	otd_session_suggest(s, otd_u256_from_be(bytes));
}
