/* Its note says one thing, its descriptor another. */
#define BAD_NO_NOTE
#include "../toy.h"

OTD_PLUGIN_NOTE("algo/1", "other-id");
#undef BAD_ID
#define BAD_ID "another"

BAD_PLUGIN
