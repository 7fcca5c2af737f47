/* Nothing is wrong with it: every other one differs from it in one thing. */
#include "../toy.h"

BAD_PLUGIN
