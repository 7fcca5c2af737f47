/* mining.get_transactions [job]: the list is megabytes long and nearly nobody gives it. */
#include "stratum/v1/v1.h"

void otd_v1_handle_get_transactions(struct otd_session *s, const struct otd_v1_request *q)
{
	otd_v1_answer_error(s, q->id, OTD_V1_ERROR_OTHER, "Not supported.");
}
