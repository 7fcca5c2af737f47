/* Takes a state of any length for its own. */
#define BAD_RESTORE believing_restore
#include "../scheme.h"

static otd_rc believing_restore(struct otd_instance *in, struct otd_span state)
{
	memcpy(in->work, state.ptr, sizeof(in->work));
	memcpy(&in->total, state.ptr + sizeof(in->work), sizeof(in->total));
	return OTD_OK;
}

BAD_PLUGIN
