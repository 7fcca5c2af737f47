/* A plugin's file before any of its code runs: headers, segments, notes, dynamic section. */
#include "fuzz/memory.h"
#include "plugin/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct otd_note_desc note;
	struct otd_err err = {0};
	/* A copy of exactly n bytes, so that one byte too far is seen. */
	uint8_t *p = malloc(n ? n : 1);
	if (!p)
		return 0;
	memcpy(p, data, n);
	otd_rc rc = otd_plugin_elf_check(&note, p, n, "fuzz.so", &err);
	free(p);
	if (rc && !err.text[0])
		abort();
	/* What was taken names a kind and an id that end. */
	if (!rc &&
	    (!memchr(note.kind, 0, sizeof(note.kind)) || !memchr(note.id, 0, sizeof(note.id))))
		abort();
	return 0;
}
