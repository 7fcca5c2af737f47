/* What the bytes of a plugin's file say: symbols, libraries, flags. None of its code runs. */
#include "app/check/plugin_check.h"

#include <inttypes.h>
#include <string.h>

#include "app/check/plugin_check_elf.h"
/* For otd_plugin_elf_check(): the very judgement of the host, on bytes in memory. */
#include "plugin/internal.h"

#define LISTED_MAX   8u  /* names in one line */
#define STATICS_SOME 64u /* writable bytes that compilers and their libraries put there */

/* The kernels of the SDK read which of them to use; this text is how they are known when stripped. */
static const char sdk_variable[] = "OTEDAMA_SHA256";

static void check_note(struct otd_pcheck_file *f, struct otd_pcheck_line *l)
{
	struct otd_err err = {0};
	size_t n = strlen(f->path);
	if (otd_plugin_elf_check(&f->note, f->p, f->n, f->path, &err)) {
		memset(&f->note, 0, sizeof(f->note));
		otd_pcheck_say(l, OTD_PCHECK_FAIL, "%s",
			       strncmp(err.text, f->path, n) == 0 ? err.text + n + 2 : err.text);
		return;
	}
	otd_pcheck_say(l, OTD_PCHECK_OK, "%s %s, ABI %u.%u (this host: %u.%u)", f->note.kind,
		       f->note.id, f->note.abi_major, f->note.abi_minor, OTD_ABI_MAJOR,
		       OTD_ABI_MINOR);
}

/* Names that are told up to LISTED_MAX, then counted. */
struct names {
	char text[400];
	size_t len, n;
};

static void add_name(struct names *to, const char *name)
{
	size_t n = strnlen(name, 60);
	if (to->n++ < LISTED_MAX && to->len + n + 3 < sizeof(to->text)) {
		if (to->len) {
			memcpy(to->text + to->len, ", ", 2);
			to->len += 2;
		}
		for (size_t i = 0; i < n; i++)
			to->text[to->len++] = name[i] > ' ' && name[i] < 127 ? name[i] : '?';
	}
	to->text[to->len] = 0;
}

static const char *more(const struct names *of)
{
	return of->n > LISTED_MAX ? " and others" : "";
}

/* Opens the file for a rule; the note was right, so that it can be. */
static bool open_file(const struct otd_pcheck_file *f, struct otd_elf *e, struct otd_pcheck_line *l)
{
	if (otd_elf_open(e, f->p, f->n))
		return true;
	otd_pcheck_say(l, OTD_PCHECK_FAIL, "its dynamic section cannot be read");
	return false;
}

static void check_exports(struct otd_pcheck_file *f, struct otd_pcheck_line *l)
{
	struct otd_elf e;
	struct otd_elf_symbol s;
	struct names others = {0};
	bool entry = false;
	if (!open_file(f, &e, l))
		return;
	for (uint64_t i = 0; otd_elf_symbol(&e, &s, i); i++) {
		/* Versions of symbols are themselves symbols of no section. */
		if (!s.exported || s.section == SHN_ABS)
			continue;
		if (strcmp(s.name, OTD_PLUGIN_ENTRY) == 0)
			entry = true;
		else
			add_name(&others, s.name);
	}
	if (!entry)
		otd_pcheck_say(l, OTD_PCHECK_FAIL,
			       "does not export " OTD_PLUGIN_ENTRY "(): mark it OTD_EXPORT");
	if (others.n)
		otd_pcheck_say(l, OTD_PCHECK_FAIL,
			       "exports %s%s beside " OTD_PLUGIN_ENTRY
			       ": compile with -fvisibility=hidden, link with "
			       "-Wl,--exclude-libs,ALL",
			       others.text, more(&others));
	if (entry && !others.n)
		otd_pcheck_say(l, OTD_PCHECK_OK, OTD_PLUGIN_ENTRY " alone");
}

static void check_libraries(struct otd_pcheck_file *f, struct otd_pcheck_line *l)
{
	struct otd_elf e;
	struct names others = {0};
	if (!open_file(f, &e, l))
		return;
	for (size_t i = 0; i < e.n_needed; i++) {
		if (!otd_pcheck_library(e.needed[i]))
			add_name(&others, e.needed[i]);
	}
	if (others.n)
		otd_pcheck_say(l, OTD_PCHECK_WARN,
			       "needs %s%s: who runs it must have that, and its code runs in the "
			       "pool unseen by these checks",
			       others.text, more(&others));
	else
		otd_pcheck_say(l, OTD_PCHECK_OK, "libc and its kin");
}

static void check_linking(struct otd_pcheck_file *f, struct otd_pcheck_line *l)
{
	struct otd_elf e;
	if (!open_file(f, &e, l))
		return;
	if (e.runpath)
		otd_pcheck_say(l, OTD_PCHECK_FAIL,
			       "carries its own library search path: link it without -rpath");
	if (e.text_relocations)
		otd_pcheck_say(l, OTD_PCHECK_FAIL,
			       "has relocations in its code: compile with -fPIC");
	if (e.executable_stack || e.no_stack_note)
		otd_pcheck_say(l, OTD_PCHECK_FAIL,
			       "wants an executable stack: an assembler file without "
			       ".note.GNU-stack, or nested functions");
	if (e.lazy)
		otd_pcheck_say(l, OTD_PCHECK_WARN,
			       "binds its calls when they are first made: link with -Wl,-z,now");
	if (l->result < OTD_PCHECK_WARN)
		otd_pcheck_say(l, OTD_PCHECK_OK,
			       "no search path, no relocations in code, no executable stack");
}

/* Whether getenv() is the kernels' of libotedama-sha256, which choose by it in tests. */
static bool is_sdk_call(const struct otd_pcheck_file *f, const char *symbol)
{
	return strcmp(symbol, "getenv") == 0 &&
	       memmem(f->p, f->n, sdk_variable, sizeof(sdk_variable)) != NULL;
}

static void check_imports(struct otd_pcheck_file *f, struct otd_pcheck_line *l)
{
	struct otd_elf e;
	struct otd_elf_symbol s;
	size_t n = 0, bad = 0;
	if (!open_file(f, &e, l))
		return;
	for (uint64_t i = 1; otd_elf_symbol(&e, &s, i); i++) {
		const char *instead;
		if (s.defined)
			continue;
		n++;
		instead = otd_pcheck_import(s.name, f->note.kind);
		if (instead && !is_sdk_call(f, s.name) && bad++ < LISTED_MAX)
			otd_pcheck_say(l, OTD_PCHECK_FAIL, "%s (%s)", s.name, instead);
	}
	if (bad > LISTED_MAX)
		otd_pcheck_say(l, OTD_PCHECK_FAIL, "and %zu others", bad - LISTED_MAX);
	otd_pcheck_say(l, OTD_PCHECK_OK, "%zu names, none that a plugin may not call", n);
}

/* --- what is writable, and what runs before the host has asked --- */

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* Words that the compiler, its library, or the SDK's kernels put there. */
static bool known_static(const char *name, bool sdk)
{
	static const char *const known[] = {
		"completed.",     "__dso_handle",       "object.",    "__TMC_END__",
		"__frame_dummy",  "__do_global",        "__EH_FRAME", "__cpu_model",
		"__cpu_features", "__aarch64_have_lse", "_DYNAMIC",   "_GLOBAL_OFFSET"};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (begins(name, known[i]))
			return true;
	}
	/* libotedama-sha256 keeps which kernel it chose; two threads choose the same. */
	return sdk && strcmp(name, "chosen") == 0;
}

static bool is_writable_data(const char *section)
{
	static const char *const writable[] = {".data", ".bss", ".tdata", ".tbss"};
	for (size_t i = 0; i < sizeof(writable) / sizeof(writable[0]); i++) {
		size_t n = strlen(writable[i]);
		/* .data.rel.ro is written by the linker only */
		if (begins(section, writable[i]) && !begins(section, ".data.rel.ro") &&
		    (section[n] == 0 || section[n] == '.'))
			return true;
	}
	return false;
}

static void check_statics(struct otd_pcheck_file *f, struct otd_pcheck_line *l)
{
	struct otd_elf e;
	struct otd_elf_symbol s;
	struct names found = {0};
	bool sdk = memmem(f->p, f->n, sdk_variable, sizeof(sdk_variable)) != NULL, any = false;
	uint64_t flags, size, bytes = 0;
	if (!open_file(f, &e, l))
		return;
	for (uint64_t i = 0; otd_elf_local_symbol(&e, &s, i); i++) {
		any = true;
		if (s.defined && (s.type == STT_OBJECT || s.type == STT_TLS) && s.size &&
		    is_writable_data(otd_elf_section(&e, s.section, &flags, &size)) &&
		    !known_static(s.name, sdk))
			add_name(&found, s.name);
	}
	if (found.n)
		otd_pcheck_say(l, OTD_PCHECK_FAIL,
			       "keeps %s%s, which all instances and threads share: state belongs "
			       "into the instance, tables are const",
			       found.text, more(&found));
	for (unsigned i = 0; !any && i < e.head.e_shnum; i++) {
		if (is_writable_data(otd_elf_section(&e, i, &flags, &size)))
			bytes += size;
	}
	if (!any && bytes > STATICS_SOME)
		otd_pcheck_say(l, OTD_PCHECK_WARN,
			       "%" PRIu64 " bytes are writable and all instances share them; it is "
			       "stripped, so that their names cannot be told",
			       bytes);
	otd_pcheck_say(l, OTD_PCHECK_OK,
		       any ? "nothing writable of its own"
			   : "stripped; next to nothing is writable");
}

/* The function at an address, by .symtab; "" where that is stripped. */
static const char *function_at(const struct otd_elf *e, uint64_t address)
{
	struct otd_elf_symbol s;
	for (uint64_t i = 0; otd_elf_local_symbol(e, &s, i); i++) {
		if (s.defined && s.type == STT_FUNC && s.value == address)
			return s.name;
	}
	return "";
}

static void check_constructors(struct otd_pcheck_file *f, struct otd_pcheck_line *l)
{
	static const char *const known[] = {"frame_dummy", "__cpu_indicator_init",
					    "init_have_lse_atomics", "__init_cpu_features"};
	struct otd_elf e;
	struct names found = {0};
	uint64_t address;
	unsigned unnamed = 0;
	if (!open_file(f, &e, l))
		return;
	for (uint64_t i = 0; otd_elf_constructor(&e, &address, i); i++) {
		const char *name = function_at(&e, address);
		bool ok = !address;
		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			ok = ok || strcmp(name, known[k]) == 0;
		if (!name[0])
			unnamed++;
		else if (!ok)
			add_name(&found, name);
	}
	if (found.n)
		otd_pcheck_say(l, OTD_PCHECK_FAIL,
			       "%s%s run%s as soon as it is loaded, before the host has asked for "
			       "anything: do it in create()",
			       found.text, more(&found), found.n == 1 ? "s" : "");
	/* The compiler's own are two at most. */
	if (unnamed > 2)
		otd_pcheck_say(l, OTD_PCHECK_WARN,
			       "%u functions run as soon as it is loaded; it is stripped, so that "
			       "their names cannot be told",
			       unnamed);
	otd_pcheck_say(l, OTD_PCHECK_OK, "none but the compiler's");
}

const struct otd_pcheck_file_rule otd_pcheck_file_rules[] = {
	{"note", check_note},
	{"exports", check_exports},
	{"libraries", check_libraries},
	{"linking", check_linking},
	{"imports", check_imports},
	{"statics", check_statics},
	{"constructors", check_constructors},
};
const size_t otd_pcheck_n_file_rules =
	sizeof(otd_pcheck_file_rules) / sizeof(otd_pcheck_file_rules[0]);
