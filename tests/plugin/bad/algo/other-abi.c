/* Of a plugin ABI to come. What it does as it is loaded must never be done: it makes a file. */
#define BAD_NO_NOTE
#include "../toy.h"

#include <fcntl.h>
#include <unistd.h>

__attribute__((section(".note.otedama"), used, aligned(4))) static const struct otd_note note = {
	8,
	sizeof(struct otd_note_desc),
	OTD_NOTE_TYPE,
	OTD_NOTE_OWNER,
	{OTD_ABI_MAJOR + 9, 0, 0, "algo/1", BAD_ID}};

__attribute__((constructor)) static void too_early(void)
{
	(void)!close(creat(BAD_MARKER, 0644));
}

BAD_PLUGIN
