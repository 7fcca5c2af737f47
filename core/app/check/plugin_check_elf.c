/* Symbols and flags of a shared object, see plugin_check_elf.h. */
#include "app/check/plugin_check_elf.h"

#include <string.h>

#define SEGMENTS_MAX 64u
#define DYNAMIC_MAX  4096u
#define SYMBOLS_MAX  (1u << 20)

static bool inside(const struct otd_elf *e, uint64_t at, uint64_t n)
{
	return at <= e->n && n <= e->n - at;
}

/* Reads n bytes at an offset of the file. */
static bool get(const struct otd_elf *e, void *to, uint64_t at, size_t n)
{
	if (!inside(e, at, n))
		return false;
	memcpy(to, e->p + at, n);
	return true;
}

/* A string that ends within the file and before limit bytes; NULL: none. */
static const char *text_at(const struct otd_elf *e, uint64_t at, uint64_t limit)
{
	if (!inside(e, at, 1))
		return NULL;
	if (limit > e->n - at)
		limit = e->n - at;
	return memchr(e->p + at, 0, (size_t)limit) ? (const char *)e->p + at : NULL;
}

static bool segment(const struct otd_elf *e, Elf64_Phdr *out, unsigned i)
{
	return i < e->head.e_phnum && i < SEGMENTS_MAX &&
	       get(e, out, e->head.e_phoff + (uint64_t)i * sizeof(*out), sizeof(*out));
}

/* Offset in the file of n bytes that are loaded at an address; false: they are not in it. */
static bool offset_of(const struct otd_elf *e, uint64_t *out, uint64_t address, uint64_t n)
{
	Elf64_Phdr s;
	for (unsigned i = 0; segment(e, &s, i); i++) {
		if (s.p_type == PT_LOAD && address >= s.p_vaddr &&
		    address - s.p_vaddr <= s.p_filesz && n <= s.p_filesz - (address - s.p_vaddr) &&
		    s.p_offset <= UINT64_MAX - (address - s.p_vaddr)) {
			*out = s.p_offset + (address - s.p_vaddr);
			return inside(e, *out, n);
		}
	}
	return false;
}

static bool get_loaded(const struct otd_elf *e, void *to, uint64_t address, size_t n)
{
	uint64_t at;
	return offset_of(e, &at, address, n) && get(e, to, at, n);
}

static const char *dynamic_text(const struct otd_elf *e, uint64_t i)
{
	uint64_t at;
	if (i >= e->n_strings || !offset_of(e, &at, e->strings, e->n_strings))
		return NULL;
	return text_at(e, at + i, e->n_strings - i);
}

/* The number of symbols stands in the hash tables only: DT_HASH says it, DT_GNU_HASH shows the last. */
static uint64_t count_by_hash(const struct otd_elf *e, uint64_t table)
{
	uint32_t head[2];
	return get_loaded(e, head, table, sizeof(head)) ? head[1] : 0;
}

static uint64_t count_by_gnu_hash(const struct otd_elf *e, uint64_t table)
{
	uint32_t head[4], last = 0, link = 0;
	uint64_t buckets, chains;
	if (!get_loaded(e, head, table, sizeof(head)) || head[0] > SYMBOLS_MAX ||
	    head[2] > SYMBOLS_MAX)
		return 0;
	buckets = table + sizeof(head) + (uint64_t)head[2] * 8;
	chains = buckets + (uint64_t)head[0] * 4;
	for (uint32_t i = 0; i < head[0]; i++) {
		uint32_t first;
		if (!get_loaded(e, &first, buckets + (uint64_t)i * 4, 4))
			return 0;
		last = first > last ? first : last;
	}
	if (last < head[1])
		return head[1]; /* nothing is exported: those before it are all */
	while (last < SYMBOLS_MAX &&
	       get_loaded(e, &link, chains + (uint64_t)(last - head[1]) * 4, 4)) {
		last++;
		if (link & 1)
			break;
	}
	return last;
}

/* What one entry says; addresses of tables are kept, libraries are read behind them. */
static void take_entry(struct otd_elf *e, const Elf64_Dyn *d, uint64_t *hash, uint64_t *gnu_hash)
{
	uint64_t v = d->d_un.d_val;
	switch (d->d_tag) {
	case DT_STRTAB: e->strings = v; break;
	case DT_STRSZ: e->n_strings = v; break;
	case DT_SYMTAB: e->symbols = v; break;
	case DT_HASH: *hash = v; break;
	case DT_GNU_HASH: *gnu_hash = v; break;
	case DT_INIT_ARRAY: e->init = v; break;
	case DT_INIT_ARRAYSZ: e->init_bytes = v; break;
	case DT_RELA: e->rela = v; break;
	case DT_RELASZ: e->rela_bytes = v; break;
	case DT_TEXTREL: e->text_relocations = true; break;
	case DT_RPATH:
	case DT_RUNPATH: e->runpath = true; break;
	case DT_BIND_NOW: e->lazy = false; break;
	case DT_FLAGS:
		e->text_relocations = e->text_relocations || (v & DF_TEXTREL);
		e->lazy = e->lazy && !(v & DF_BIND_NOW);
		break;
	case DT_FLAGS_1: e->lazy = e->lazy && !(v & DF_1_NOW); break;
	default: break;
	}
}

static bool read_dynamic(struct otd_elf *e, const Elf64_Phdr *s)
{
	uint64_t n = s->p_filesz / sizeof(Elf64_Dyn), hash = 0, gnu_hash = 0;
	Elf64_Dyn d;
	e->lazy = true;
	if (n > DYNAMIC_MAX)
		n = DYNAMIC_MAX;
	for (int pass = 0; pass < 2; pass++) {
		for (uint64_t i = 0; i < n; i++) {
			const char *name;
			if (!get(e, &d, s->p_offset + i * sizeof(d), sizeof(d)))
				return false;
			if (d.d_tag == DT_NULL)
				break;
			if (pass == 0)
				take_entry(e, &d, &hash, &gnu_hash);
			else if (d.d_tag == DT_NEEDED && e->n_needed < OTD_ELF_NEEDED &&
				 (name = dynamic_text(e, d.d_un.d_val)))
				e->needed[e->n_needed++] = name;
		}
	}
	e->n_symbols = hash ? count_by_hash(e, hash) : count_by_gnu_hash(e, gnu_hash);
	if (e->n_symbols > SYMBOLS_MAX)
		e->n_symbols = SYMBOLS_MAX;
	return true;
}

bool otd_elf_open(struct otd_elf *out, const uint8_t *p, size_t n)
{
	Elf64_Phdr s;
	bool dynamic = false, stack = false;
	memset(out, 0, sizeof(*out));
	out->p = p;
	out->n = n;
	if (!get(out, &out->head, 0, sizeof(out->head)) ||
	    memcmp(out->head.e_ident, ELFMAG, SELFMAG) != 0 ||
	    out->head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    out->head.e_phentsize != sizeof(Elf64_Phdr))
		return false;
	for (unsigned i = 0; segment(out, &s, i); i++) {
		if (s.p_type == PT_DYNAMIC && !dynamic)
			dynamic = read_dynamic(out, &s);
		if (s.p_type == PT_GNU_STACK) {
			stack = true;
			out->executable_stack = s.p_flags & PF_X;
		}
	}
	out->no_stack_note = !stack;
	return dynamic;
}

static void take_symbol(struct otd_elf_symbol *out, const Elf64_Sym *s, const char *name)
{
	unsigned bind = ELF64_ST_BIND(s->st_info), seen = ELF64_ST_VISIBILITY(s->st_other);
	out->name = name ? name : "";
	out->defined = s->st_shndx != SHN_UNDEF;
	out->exported =
		out->defined && bind != STB_LOCAL && (seen == STV_DEFAULT || seen == STV_PROTECTED);
	out->type = ELF64_ST_TYPE(s->st_info);
	out->section = s->st_shndx;
	out->value = s->st_value;
	out->size = s->st_size;
}

bool otd_elf_symbol(const struct otd_elf *e, struct otd_elf_symbol *out, uint64_t i)
{
	Elf64_Sym s;
	if (i >= e->n_symbols || !get_loaded(e, &s, e->symbols + i * sizeof(s), sizeof(s)))
		return false;
	take_symbol(out, &s, dynamic_text(e, s.st_name));
	return true;
}

static bool header(const struct otd_elf *e, Elf64_Shdr *out, unsigned i)
{
	return e->head.e_shentsize == sizeof(*out) && i < e->head.e_shnum &&
	       e->head.e_shoff <= UINT64_MAX - (uint64_t)i * sizeof(*out) &&
	       get(e, out, e->head.e_shoff + (uint64_t)i * sizeof(*out), sizeof(*out));
}

bool otd_elf_local_symbol(const struct otd_elf *e, struct otd_elf_symbol *out, uint64_t i)
{
	Elf64_Shdr h, strings;
	for (unsigned k = 0; header(e, &h, k); k++) {
		Elf64_Sym s;
		if (h.sh_type != SHT_SYMTAB)
			continue;
		if (i >= h.sh_size / sizeof(s) || h.sh_offset > e->n ||
		    !get(e, &s, h.sh_offset + i * sizeof(s), sizeof(s)) ||
		    !header(e, &strings, h.sh_link))
			return false;
		if (s.st_name >= strings.sh_size || strings.sh_offset > e->n)
			take_symbol(out, &s, NULL);
		else
			take_symbol(out, &s,
				    text_at(e, strings.sh_offset + s.st_name,
					    strings.sh_size - s.st_name));
		return true;
	}
	return false;
}

const char *otd_elf_section(const struct otd_elf *e, unsigned i, uint64_t *flags, uint64_t *size)
{
	Elf64_Shdr h, names;
	const char *name = NULL;
	*flags = *size = 0;
	if (!header(e, &h, i))
		return "";
	*flags = h.sh_flags;
	*size = h.sh_size;
	if (header(e, &names, e->head.e_shstrndx) && h.sh_name < names.sh_size &&
	    names.sh_offset <= e->n)
		name = text_at(e, names.sh_offset + h.sh_name, names.sh_size - h.sh_name);
	return name ? name : "";
}

bool otd_elf_constructor(const struct otd_elf *e, uint64_t *address, uint64_t i)
{
	uint64_t slot = e->init + i * sizeof(uint64_t);
	if (i >= e->init_bytes / sizeof(uint64_t) || i >= DYNAMIC_MAX ||
	    !get_loaded(e, address, slot, sizeof(*address)))
		return false;
	/* Where it is relocated the address stands with the relocation. */
	for (uint64_t k = 0; k < e->rela_bytes / sizeof(Elf64_Rela) && k < SYMBOLS_MAX; k++) {
		Elf64_Rela r;
		if (!get_loaded(e, &r, e->rela + k * sizeof(r), sizeof(r)))
			break;
		if (r.r_offset == slot)
			*address = (uint64_t)r.r_addend;
	}
	return true;
}
