/*
 * What stands in a shared object beyond its note: symbols, libraries, flags. Reads bytes that anybody
 * may have written: nothing is trusted, what lies outside of the file is not there.
 */
#ifndef OTD_APP_PLUGIN_CHECK_ELF_H
#define OTD_APP_PLUGIN_CHECK_ELF_H

#include <otedama/types.h>

#include <elf.h>

#define OTD_ELF_NEEDED 32

struct otd_elf {
	const uint8_t *p;
	size_t n;
	Elf64_Ehdr head;
	bool text_relocations, runpath, lazy, executable_stack, no_stack_note;
	const char *needed[OTD_ELF_NEEDED];
	size_t n_needed;
	/* Of .dynsym: address and number, and the strings beside it. */
	uint64_t symbols, n_symbols, strings, n_strings;
	uint64_t init, init_bytes; /* DT_INIT_ARRAY */
	uint64_t rela, rela_bytes; /* DT_RELA */
};

struct otd_elf_symbol {
	const char *name;       /* never NULL */
	bool defined, exported; /* exported: defined, global or weak, and to be seen */
	unsigned type;          /* STT_ */
	unsigned section;
	uint64_t value, size;
};

/* False: it is not a shared object of 64 bits, or has no dynamic section. out keeps p. */
bool otd_elf_open(struct otd_elf *out, const uint8_t *p, size_t n);
/* Dynamic symbol i of n_symbols; false: it does not lie in the file. */
bool otd_elf_symbol(const struct otd_elf *e, struct otd_elf_symbol *out, uint64_t i);
/* Symbol i of .symtab, which strip removes; false: there is none (any more). */
bool otd_elf_local_symbol(const struct otd_elf *e, struct otd_elf_symbol *out, uint64_t i);
/* Name of a section; "" where there is none. */
const char *otd_elf_section(const struct otd_elf *e, unsigned i, uint64_t *flags, uint64_t *size);
/* Constructor i of DT_INIT_ARRAY: its address; false: past the last. */
bool otd_elf_constructor(const struct otd_elf *e, uint64_t *address, uint64_t i);

#endif
