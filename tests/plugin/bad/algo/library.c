/* Linked with a library that not everybody has, see test.cmake. */
#include "../toy.h"

BAD_PLUGIN
