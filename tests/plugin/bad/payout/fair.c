/* Nothing is wrong with it. */
#include "../scheme.h"

BAD_PLUGIN
