/* client.get_version []: some ask the server what servers ask clients. */
#include "stratum/v1/v1.h"

void otd_v1_handle_get_version(struct otd_session *s, const struct otd_v1_request *q)
{
	otd_v1_answer(s, q->id, "\"otedama/" OTEDAMA_VERSION "\"", "null");
}
