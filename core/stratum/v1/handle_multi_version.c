/* mining.multi_version [n]: old Antminers ask before they roll versions without BIP 310. */
#include "stratum/v1/v1.h"

void otd_v1_handle_multi_version(struct otd_session *s, const struct otd_v1_request *q)
{
	otd_v1_answer_true(s, q);
}
