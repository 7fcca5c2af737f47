/* mining.ping []: is somebody there? */
#include "stratum/v1/v1.h"

void otd_v1_handle_ping(struct otd_session *s, const struct otd_v1_request *q)
{
	otd_v1_answer(s, q->id, "\"pong\"", "null");
}
