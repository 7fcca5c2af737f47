/* One digit of its known answer is wrong. */
#define BAD_VECTORS TOY_VECTOR(TOY_ZEROS_31 "02")
#include "../toy.h"

BAD_PLUGIN
