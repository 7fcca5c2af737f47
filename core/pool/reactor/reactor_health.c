/* How far a reactor's journal is behind, for who asks after its health. */
#include "pool/reactor/reactor.h"
#include "pool/reactor/reactor_impl.h"

void otd_reactor_durable(const struct otd_reactor *r, uint64_t *appended, uint64_t *durable)
{
	*appended = otd_journal_last(r->journal);
	*durable = otd_journal_synced(r->journal);
}
