/* Linked with an executable stack, see test.cmake. */
#include "../toy.h"

BAD_PLUGIN
