/* mining.extranonce.subscribe []: the extranonce of a session never changes here, so there is
   nothing to tell; true is what those who ask want to hear. */
#include "stratum/v1/v1.h"

void otd_v1_handle_extranonce_subscribe(struct otd_session *s, const struct otd_v1_request *q)
{
	otd_v1_answer_true(s, q);
}
