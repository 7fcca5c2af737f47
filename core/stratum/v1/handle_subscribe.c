/* mining.subscribe [agent, session?, ...]: gives an extranonce1, and work at once. */
#include "stratum/v1/v1.h"

#include <stdio.h>

void otd_v1_handle_subscribe(struct otd_session *s, const struct otd_v1_request *q)
{
	const json_t *agent = json_array_get(q->params, 0);
	const struct otd_reactor_pool *pool = otd_session_pool(s);
	struct otd_span name = {(const uint8_t *)"", 0};
	char hex[2 * OTD_JOB_EXTRANONCE1_MAX + 1], result[192];
	char id[OTD_RESUME_TEXT + 1];

	if (json_is_string(agent))
		name = (struct otd_span){(const uint8_t *)json_string_value(agent),
					 json_string_length(agent)};
	const json_t *before = json_array_get(q->params, 1);
	if (json_is_string(before) &&
	    otd_session_resume(s,
			       (struct otd_span){(const uint8_t *)json_string_value(before),
						 json_string_length(before)},
			       q->line) == OTD_RESUME_MOVES)
		return;
	if (otd_session_subscribe(s, name)) {
		otd_v1_answer_error(s, q->id, OTD_V1_ERROR_OTHER,
				    "The pool is full, try another port or later");
		otd_session_close(s, "no extranonce is free");
		return;
	}
	otd_hex_encode(hex, s->extranonce1, pool->extranonce1_len);
	/* Miners say the id of mining.notify when they come back. */
	if (!*otd_session_resume_id(s, id))
		snprintf(id, sizeof(id), "%s", hex);
	snprintf(result, sizeof(result),
		 "[[[\"mining.set_difficulty\",\"%s\"],[\"mining.notify\",\"%s\"]],\"%s\",%u]", hex,
		 id, hex, pool->extranonce2_len);
	otd_v1_answer(s, q->id, result, "null");
	otd_session_first_job(s);
}
