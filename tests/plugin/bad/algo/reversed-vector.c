/* Its known answer is written the wrong way round. */
#define BAD_VECTORS TOY_VECTOR("01" TOY_ZEROS_31)
#include "../toy.h"

BAD_PLUGIN
