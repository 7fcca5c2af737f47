/* Linked with a search path of its own, see test.cmake. */
#include "../toy.h"

BAD_PLUGIN
