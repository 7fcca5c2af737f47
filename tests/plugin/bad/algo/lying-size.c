/* A descriptor that says it is shorter than any ever was. */
#define BAD_DESC_SIZE 24
#include "../toy.h"

BAD_PLUGIN
