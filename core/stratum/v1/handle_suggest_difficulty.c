/* mining.suggest_difficulty [number]; some send it as a string. Before or after subscribe. */
#include "stratum/v1/v1.h"

void otd_v1_handle_suggest_difficulty(struct otd_session *s, const struct otd_v1_request *q)
{
	char text[OTD_V1_NUMBER_TEXT];
	struct otd_span n = otd_v1_number(json_array_get(q->params, 0), text);
	struct otd_u256 target;

	if (!n.len ||
	    otd_difficulty_parse(&target, (const char *)n.ptr, n.len, otd_session_diff1(s))) {
		otd_v1_answer_error(s, q->id, OTD_V1_ERROR_OTHER,
				    "mining.suggest_difficulty wants [number]");
		return;
	}
	otd_v1_answer_true(s, q);
	otd_session_suggest(s, target);
}
