/* Messages between coordinator and reactors: what the check passes, a reactor can build a job of. */
#include "base/err.h"
#include "pool/job.h"
#include "pool/msg.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint8_t touch(struct otd_span s)
{
	uint8_t x = 0;
	for (size_t i = 0; i < s.len; i++)
		x ^= s.ptr[i];
	return x;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static volatile uint8_t seen;
	/* Aligned as malloc has it, and no byte more than n. */
	uint8_t *p = malloc(n ? n : 1);
	if (!p)
		return 0;
	memcpy(p, data, n);
	struct otd_msg *m = (struct otd_msg *)(void *)p;
	if (n >= sizeof(*m) && (data[0] & 1) == 0)
		m->size = (uint32_t)n; /* most lengths would be refused at once */
	if (otd_msg_check(p, n)) {
		if (m->type == OTD_MSG_JOB) {
			const struct otd_msg_job *j = (void *)p;
			seen ^= touch(otd_msg_get(p, j->coinbase1));
			seen ^= touch(otd_msg_get(p, j->coinbase2));
			seen ^= touch(otd_msg_get(p, j->branches));
		} else if (m->type == OTD_MSG_AUTH) {
			seen ^= touch(otd_msg_get(p, ((struct otd_msg_auth *)(void *)p)->account));
		} else if (m->type == OTD_MSG_AUTH_ANSWER) {
			const struct otd_msg_auth_answer *a = (void *)p;
			seen ^= touch(otd_msg_get(p, a->account));
			seen ^= touch(otd_msg_get(p, a->reason));
		} else if (m->type == OTD_MSG_BLOCK) {
			const struct otd_msg_block *b = (void *)p;
			seen ^= touch(otd_msg_get(p, b->account));
			seen ^= touch(otd_msg_get(p, b->worker));
			seen ^= touch(otd_msg_get(p, b->header));
			seen ^= touch(otd_msg_get(p, b->coinbase));
		}
	}
	free(p);
	return 0;
}
