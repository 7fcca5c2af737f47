/* mining.authorize [user, password]: user is ADDRESS or ADDRESS.NAME; "d=N" in the password is the
   lowest difficulty that the miner wants. */
#include "stratum/v1/v1.h"

void otd_v1_handle_authorize(struct otd_session *s, const struct otd_v1_request *q)
{
	const json_t *user = json_array_get(q->params, 0), *password = json_array_get(q->params, 1);
	struct otd_span pass = {(const uint8_t *)"", 0};

	if (!json_is_string(user)) {
		otd_v1_answer_error(s, q->id, OTD_V1_ERROR_UNAUTHORIZED,
				    "mining.authorize wants [user, password]");
		return;
	}
	if (json_is_string(password))
		pass = (struct otd_span){(const uint8_t *)json_string_value(password),
					 json_string_length(password)};
	otd_session_authorize(s, q->id,
			      (struct otd_span){(const uint8_t *)json_string_value(user),
						json_string_length(user)},
			      pass);
}
