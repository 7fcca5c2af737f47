/*
 * The file of a plugin, judged as bytes before the dynamic linker sees it: dlopen trusts headers,
 * and one page of a segment that lies past the end of the file kills the process by SIGBUS.
 */
#include "plugin/internal.h"
#include <elf.h>
#include <string.h>

#if defined(__x86_64__)
#define OUR_MACHINE      EM_X86_64
#define OUR_MACHINE_NAME "x86-64"
#elif defined(__aarch64__)
#define OUR_MACHINE      EM_AARCH64
#define OUR_MACHINE_NAME "arm64"
#elif defined(__riscv) && __riscv_xlen == 64
#define OUR_MACHINE      EM_RISCV
#define OUR_MACHINE_NAME "riscv64"
#else
#error "name this machine's ELF constant here"
#endif

#define MAX_SEGMENTS 64u
#define MAX_NOTES    256u
#define MAX_DYNAMIC  4096u

struct image {
	const uint8_t *p;
	size_t n;
	const char *file;
	struct otd_err *err;
	Elf64_Ehdr head;
	Elf64_Phdr seg[MAX_SEGMENTS];
	struct otd_note_desc note;
	unsigned notes; /* of ours that were found */
};

static otd_rc broken(const struct image *im, const char *what)
{
	return otd_fail(
		im->err, OTD_E_CORRUPT,
		"%s: %s: the file is damaged or was cut short (it has %zu bytes); install it again",
		im->file, what, im->n);
}

static bool inside(const struct image *im, uint64_t at, uint64_t n)
{
	return at <= im->n && n <= im->n - at;
}

static otd_rc read_header(struct image *im)
{
	Elf64_Ehdr *h = &im->head;
	if (im->n < EI_NIDENT || memcmp(im->p, ELFMAG, SELFMAG) != 0)
		return otd_fail(im->err, OTD_E_CORRUPT,
				"%s: is not a shared object (it does not begin as ELF does)",
				im->file);
	if (im->p[EI_CLASS] != ELFCLASS64 || im->p[EI_DATA] != ELFDATA2LSB)
		return otd_fail(
			im->err, OTD_E_UNSUPPORTED,
			"%s: is not a 64-bit little-endian object; build it for " OUR_MACHINE_NAME,
			im->file);
	if (im->n < sizeof(*h))
		return broken(im, "its ELF header is incomplete");
	memcpy(h, im->p, sizeof(*h));
	if (h->e_machine != OUR_MACHINE)
		return otd_fail(im->err, OTD_E_UNSUPPORTED,
				"%s: is built for another processor (ELF machine %u); build it "
				"for " OUR_MACHINE_NAME,
				im->file, h->e_machine);
	if (h->e_type != ET_DYN || h->e_version != EV_CURRENT)
		return otd_fail(im->err, OTD_E_CORRUPT, "%s: is not a shared object (ELF type %u)",
				im->file, h->e_type);
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > MAX_SEGMENTS ||
	    !inside(im, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr)))
		return broken(im, "its program headers do not lie within it");
	/* The linker does not need the sections, but they are the last thing in a file. */
	if (h->e_shnum && (h->e_shentsize != sizeof(Elf64_Shdr) ||
			   !inside(im, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr))))
		return broken(im, "its section headers do not lie within it");
	memcpy(im->seg, im->p + h->e_phoff, (size_t)h->e_phnum * sizeof(Elf64_Phdr));
	return OTD_OK;
}

static otd_rc check_segments(const struct image *im)
{
	unsigned loads = 0;
	for (unsigned i = 0; i < im->head.e_phnum; i++) {
		const Elf64_Phdr *s = &im->seg[i];
		if (!inside(im, s->p_offset, s->p_filesz))
			return broken(im, "one of its segments ends past its end");
		if (s->p_type != PT_LOAD)
			continue;
		loads++;
		if (s->p_filesz > s->p_memsz || s->p_vaddr + s->p_memsz < s->p_vaddr ||
		    s->p_memsz > (1u << 30))
			return broken(im, "a segment has impossible sizes");
		if (s->p_align > 1 && ((s->p_align & (s->p_align - 1)) ||
				       (s->p_vaddr - s->p_offset) % s->p_align != 0))
			return broken(im, "a segment has an impossible alignment");
	}
	return loads ? OTD_OK : broken(im, "it has no segment to load");
}

/* Where address lies in the file, n bytes of it, or NULL. */
static const uint8_t *at_address(const struct image *im, uint64_t address, uint64_t n)
{
	for (unsigned i = 0; i < im->head.e_phnum; i++) {
		const Elf64_Phdr *s = &im->seg[i];
		if (s->p_type == PT_LOAD && address >= s->p_vaddr &&
		    address - s->p_vaddr <= s->p_filesz &&
		    n <= s->p_filesz - (address - s->p_vaddr))
			return im->p + s->p_offset + (address - s->p_vaddr);
	}
	return NULL;
}

static otd_rc check_dynamic(const struct image *im, const Elf64_Phdr *s)
{
	uint64_t strings = 0, strings_size = 0, n = s->p_filesz / sizeof(Elf64_Dyn);
	bool end = false;
	if (n > MAX_DYNAMIC || s->p_filesz > s->p_memsz || !at_address(im, s->p_vaddr, s->p_filesz))
		return broken(im, "its dynamic section does not lie within what is loaded");
	for (uint64_t i = 0; i < n && !end; i++) {
		Elf64_Dyn d;
		memcpy(&d, im->p + s->p_offset + i * sizeof(d), sizeof(d));
		if (d.d_tag == DT_RUNPATH || d.d_tag == DT_RPATH)
			return otd_fail(im->err, OTD_E_REFUSED,
					"%s: carries its own library search path (DT_%s), which a "
					"plugin may "
					"not: link it without -rpath",
					im->file, d.d_tag == DT_RPATH ? "RPATH" : "RUNPATH");
		if (d.d_tag == DT_STRTAB)
			strings = d.d_un.d_ptr;
		if (d.d_tag == DT_STRSZ)
			strings_size = d.d_un.d_val;
		end = d.d_tag == DT_NULL;
	}
	if (!end || !strings_size || !at_address(im, strings, strings_size))
		return broken(im, "its dynamic section is incomplete");
	return OTD_OK;
}

static uint64_t padded(uint32_t n, uint64_t align)
{
	return ((uint64_t)n + align - 1) & ~(align - 1);
}

static otd_rc take_note(struct image *im, const uint8_t *desc, uint32_t size)
{
	struct otd_note_desc *d = &im->note;
	if (im->notes++)
		return otd_fail(im->err, OTD_E_CORRUPT,
				"%s: has more than one Otedama note; a plugin has exactly one",
				im->file);
	if (size < sizeof(*d))
		return broken(im, "its Otedama note is too short");
	memcpy(d, desc, sizeof(*d));
	if (!memchr(d->kind, 0, sizeof(d->kind)) || !memchr(d->id, 0, sizeof(d->id)))
		return broken(im, "the texts of its Otedama note do not end");
	return OTD_OK;
}

static otd_rc walk_notes(struct image *im, const Elf64_Phdr *s)
{
	uint64_t align = s->p_align == 8 ? 8 : 4, at = 0;
	for (unsigned k = 0; at + sizeof(Elf64_Nhdr) <= s->p_filesz; k++) {
		const uint8_t *p = im->p + s->p_offset + at;
		uint64_t left = s->p_filesz - at - sizeof(Elf64_Nhdr);
		Elf64_Nhdr h;
		memcpy(&h, p, sizeof(h));
		uint64_t name = padded(h.n_namesz, align), desc = padded(h.n_descsz, align);
		/* The padding behind the last one may be missing. */
		if (k >= MAX_NOTES || name > left || h.n_descsz > left - name)
			return broken(im, "its notes do not lie within it");
		if (h.n_type == OTD_NOTE_TYPE && h.n_namesz == sizeof(OTD_NOTE_OWNER) &&
		    memcmp(p + sizeof(h), OTD_NOTE_OWNER, sizeof(OTD_NOTE_OWNER)) == 0) {
			otd_rc rc = take_note(im, p + sizeof(h) + name, h.n_descsz);
			if (rc)
				return rc;
		}
		at += sizeof(h) + name + desc;
	}
	return OTD_OK;
}

otd_rc otd_plugin_elf_check(struct otd_note_desc *out, const uint8_t *p, size_t n, const char *file,
			    struct otd_err *err)
{
	struct image im = {.p = p, .n = n, .file = file, .err = err};
	const struct otd_plugin_kind *kind;
	unsigned dynamic = 0;
	otd_rc rc = read_header(&im);
	if (!rc)
		rc = check_segments(&im);
	for (unsigned i = 0; !rc && i < im.head.e_phnum; i++) {
		if (im.seg[i].p_type == PT_NOTE)
			rc = walk_notes(&im, &im.seg[i]);
		else if (im.seg[i].p_type == PT_DYNAMIC && dynamic++ == 0)
			rc = check_dynamic(&im, &im.seg[i]);
	}
	if (rc)
		return rc;
	if (dynamic != 1)
		return broken(&im, "it has not exactly one dynamic section");
	if (!im.notes)
		return otd_fail(err, OTD_E_INVALID,
				"%s: is no Otedama plugin: it has no note of that owner "
				"(OTD_PLUGIN_NOTE in one of its files)",
				file);
	*out = im.note;
	rc = otd_plugin_abi_check(im.note.abi_major, im.note.abi_minor, file, err);
	if (!rc)
		rc = otd_plugin_kind_check(&kind, im.note.kind, file, err);
	if (!rc && !otd_plugin_id_ok(im.note.id))
		rc = otd_fail(err, OTD_E_CORRUPT,
			      "%s: the id in its note has other characters than a-z, 0-9 and '-'",
			      file);
	return rc;
}
