/* mining.subscribe [agent, session?, ...]: gives an extranonce1, and work at once. */
#include "stratum/v1/v1.h"

#include <stdio.h>

void otd_v1_handle_subscribe(struct otd_session *s, const struct otd_v1_request *q)
{
	const json_t *agent = json_array_get(q->params, 0);
	const struct otd_reactor_pool *pool = otd_session_pool(s);
	struct otd_span name = {(const uint8_t *)"", 0};
	char hex[2 * OTD_JOB_EXTRANONCE1_MAX + 1], result[192];

	if (json_is_string(agent))
		name = (struct otd_span){(const uint8_t *)json_string_value(agent),
					 json_string_length(agent)};
	if (otd_session_subscribe(s, name)) {
		otd_v1_answer_error(s, q->id, OTD_V1_ERROR_OTHER,
				    "The pool is full, try another port or later");
		otd_session_close(s, "no extranonce is free");
		return;
	}
	otd_hex_encode(hex, s->extranonce1, pool->extranonce1_len);
	snprintf(result, sizeof(result),
		 "[[[\"mining.set_difficulty\",\"%s\"],[\"mining.notify\",\"%s\"]],\"%s\",%u]", hex,
		 hex, hex, pool->extranonce2_len);
	otd_v1_answer(s, q->id, result, "null");
	otd_session_first_job(s);
}
