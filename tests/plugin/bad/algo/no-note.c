/* Says nowhere what it is. */
#define BAD_NO_NOTE
#include "../toy.h"

BAD_PLUGIN
