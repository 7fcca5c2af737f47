/* The reader of symbols and flags behind `otedama plugin check`, on any bytes at all. */
#include "app/check/plugin_check_elf.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum(const char *s)
{
	uint64_t n = 0;
	while (*s)
		n = n * 31 + (uint8_t)*s++;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct otd_elf e;
	struct otd_elf_symbol s;
	volatile uint64_t seen = 0;
	uint64_t flags, bytes, address;
	if (!otd_elf_open(&e, data, size))
		return 0;
	for (size_t i = 0; i < e.n_needed; i++)
		seen += sum(e.needed[i]);
	/* Counts are the file's to claim; a few thousand show what all would. */
	for (uint64_t i = 0; i < 4096 && otd_elf_symbol(&e, &s, i); i++)
		seen += sum(s.name);
	for (uint64_t i = 0; i < 4096 && otd_elf_local_symbol(&e, &s, i); i++)
		seen += sum(s.name) + sum(otd_elf_section(&e, s.section, &flags, &bytes));
	for (uint64_t i = 0; i < 16 && otd_elf_constructor(&e, &address, i); i++)
		seen += address;
	return 0;
}
