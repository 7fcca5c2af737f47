/*
 * What plugins were built against still holds: each frozen file of this folder (freeze.py) is a list
 * of facts about the headers of its time. A break is a compiler's error that names the fact.
 */
#include <otedama/algo.h>
#include <otedama/chain.h>
#include <otedama/files.h>
#include <otedama/hw.h>
#include <otedama/option.h>
#include <otedama/payout.h>
#include <otedama/plugin.h>
#include <otedama/sha256.h>
#include <otedama/store.h>
#include <otedama/types.h>
#include <otedama/u256.h>

#define OTD_FROZEN(what, value) _Static_assert((what) == (value), #what " was " #value)
/* Of its own version exactly; later ones may be longer. */
#define OTD_FROZEN_SIZE(major, minor, what, value)                              \
	_Static_assert((OTD_ABI_MAJOR == (major) && OTD_ABI_MINOR > (minor))    \
			       ? (what) >= (value)                              \
			       : OTD_ABI_MAJOR != (major) || (what) == (value), \
		       #what " was " #value)

#include "abi_0_1.h"
#include "abi_0_2.h"
#include "abi_0_3.h"

int main(void)
{
	return 0;
}
