/* Which kind of thread this is. */
#include "plugin/plugin.h"
#include <stdatomic.h>

static _Thread_local unsigned mine;
static atomic_bool in_use; /* some thread has said what it is */

void otd_thread_is(unsigned tags)
{
	mine = tags;
	atomic_store_explicit(&in_use, true, memory_order_relaxed);
}

bool otd_thread_on(unsigned tags)
{
	return (mine & tags) != 0 || !atomic_load_explicit(&in_use, memory_order_relaxed);
}
