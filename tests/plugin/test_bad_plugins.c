/*
 * Files that are not what they say: each is refused with words, none is run, and none kills the
 * process. They are copies of a plugin that works, changed in one place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "loop/loop.h"
#include "plugin/plugin.h"
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_OF(x)  #x
#define TEXT_OF2(x) TEXT_OF(x)
#define MINOR       TEXT_OF2(OTD_ABI_MINOR)

static struct otd_env *env;
static struct otd_err err;
static char dir[64], file[160], private_dir[80];
static uint8_t *good;
static size_t good_len;

static void put(const void *p, size_t n)
{
	FILE *f;
	(void)unlink(file); /* an image of it may still be mapped */
	f = fopen(file, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(file, 0644), 0);
}

/* Loads hw/cpu from dir: OTD_OK or the reason, with its words in err. */
static otd_rc try_load(const char *private, const char *enable)
{
	const char *dirs[] = {"/nonexistent", dir}, *enabled[] = {enable};
	struct otd_plugins_conf conf = {.dirs = dirs,
					.n_dirs = 2,
					.enable = enabled,
					.n_enable = 1,
					.private_dir = private};
	struct otd_plugins *p;
	otd_rc rc;
	memset(&err, 0, sizeof(err));
	assert_int_equal(otd_plugins_create(&p, env, &conf, &err), OTD_OK);
	rc = otd_plugins_get(p, "hw", "cpu", &err) ? OTD_OK : err.rc;
	otd_plugins_destroy(p);
	return rc;
}

static void refused(const char *words)
{
	otd_rc rc = try_load(private_dir, "hw/*");
	if (!rc)
		fail_msg("loaded, but should be refused: %s", words);
	if (!strstr(err.text, words))
		fail_msg("got  %s\nwant ...%s...", err.text, words);
	assert_non_null(strstr(err.text, dir));
	assert_null(strchr(err.text, '\n'));
}

/* A copy of the good file, to be bent. */
static uint8_t *copy(void)
{
	uint8_t *p = malloc(good_len);
	assert_non_null(p);
	memcpy(p, good, good_len);
	return p;
}

static uint8_t *find(uint8_t *p, const void *what, size_t n)
{
	uint8_t *at = memmem(p, good_len, what, n);
	assert_non_null(at);
	return at;
}

static Elf64_Phdr *segment(uint8_t *p, uint32_t type, unsigned nth)
{
	Elf64_Ehdr *h = (void *)p;
	Elf64_Phdr *s = (void *)(p + h->e_phoff);
	for (unsigned i = 0; i < h->e_phnum; i++) {
		if (s[i].p_type == type && nth-- == 0)
			return &s[i];
	}
	fail_msg("no segment of type %u", type);
	return NULL;
}

static struct otd_note *note_of(uint8_t *p)
{
	uint8_t head[20] = {8, 0, 0, 0, 72, 0, 0, 0, 1, 0, 0, 0, 'O', 't', 'e', 'd', 'a', 'm', 'a'};
	return (void *)find(p, head, sizeof(head));
}

static int setup(void **state)
{
	char path[200];
	FILE *f = fopen(OTEDAMA_BUILD_DIR "/plugins/hw/cpu.so", "rb");
	(void)state;
	assert_non_null(f);
	good = malloc(16u << 20);
	assert_non_null(good);
	good_len = fread(good, 1, 16u << 20, f);
	(void)fclose(f);
	(void)snprintf(dir, sizeof(dir), "/tmp/otd-bad-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/hw", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(file, sizeof(file), "%s/hw/cpu.so", dir);
	(void)snprintf(private_dir, sizeof(private_dir), "%s/run", dir);
	return otd_env_real_create(&env, NULL, &err);
}

static int teardown(void **state)
{
	char path[200];
	(void)state;
	(void)unlink(file);
	(void)snprintf(path, sizeof(path), "%s/hw", dir);
	(void)rmdir(path);
	(void)rmdir(private_dir);
	(void)rmdir(dir);
	free(good);
	otd_env_real_destroy(env);
	return 0;
}

static void the_good_one_loads(void **state)
{
	(void)state;
	put(good, good_len);
	if (try_load(private_dir, "hw/cpu"))
		fail_msg("%s", err.text);
	assert_int_equal(try_load(NULL, "*"), OTD_OK);
	assert_int_equal(try_load(NULL, "h*/c*u"), OTD_OK);
	/* Nothing is left of the private copy. */
	assert_int_equal(rmdir(private_dir), 0);
}

static void not_enabled(void **state)
{
	(void)state;
	put(good, good_len);
	assert_int_equal(try_load(NULL, "hw/cp"), OTD_E_REFUSED);
	assert_non_null(strstr(err.text, "add hw/cpu to plugins.enable"));
	assert_int_equal(unlink(file), 0);
	assert_int_equal(try_load(NULL, "*"), OTD_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "no file hw/cpu.so below /nonexistent, /tmp/otd-bad-"));
}

/* Every length that could matter: none loads, none dies. */
static void truncated(void **state)
{
	const Elf64_Ehdr *h = (const void *)good;
	size_t step = good_len / 97 + 1, tried = 0;
	(void)state;
	for (size_t n = 1; n < good_len; n += n < 128 ? 1 : step) {
		put(good, n);
		if (try_load(private_dir, "*") == OTD_OK)
			fail_msg("loaded with %zu of %zu bytes", n, good_len);
		tried++;
	}
	assert_true(tried > 200);
	const size_t edges[] = {h->e_phoff,     h->e_phoff + 55, 4095,           4096,        4097,
				h->e_shoff - 1, h->e_shoff,      h->e_shoff + 1, good_len - 1};
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		put(good, edges[i]);
		refused("cut short");
	}
	put(good, 0);
	refused("is empty");
}

/* Without section headers a cut file is judged by its segments alone. */
static void truncated_without_sections(void **state)
{
	uint8_t *p = copy();
	Elf64_Ehdr *h = (void *)p;
	size_t end = 0;
	(void)state;
	h->e_shnum = 0;
	h->e_shoff = 0;
	for (unsigned i = 0; i < h->e_phnum; i++) {
		const Elf64_Phdr *s = (const void *)(p + h->e_phoff + i * sizeof(*s));
		if (s->p_type == PT_LOAD && s->p_offset + s->p_filesz > end)
			end = s->p_offset + s->p_filesz;
	}
	put(p, end);
	if (try_load(NULL, "*"))
		fail_msg("%s", err.text);
	put(p, end - 1);
	refused("segments ends past its end");
	put(p, end / 2);
	refused("segments ends past its end");
	free(p);
}

static void not_an_object(void **state)
{
	uint8_t noise[5000];
	uint8_t *p = copy();
	Elf64_Ehdr *h = (void *)p;
	(void)state;
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 2654435761u >> 13);
	put(noise, sizeof(noise));
	refused("does not begin as ELF does");
	memcpy(noise, ELFMAG, SELFMAG);
	noise[EI_CLASS] = ELFCLASS64;
	noise[EI_DATA] = ELFDATA2LSB;
	put(noise, sizeof(noise));
	refused("another processor");
	p[EI_CLASS] = ELFCLASS32;
	put(p, good_len);
	refused("is not a 64-bit");
	p[EI_CLASS] = ELFCLASS64;
	h->e_machine = EM_PPC64;
	put(p, good_len);
	refused("built for another processor (ELF machine 21)");
	memcpy(p, good, good_len);
	h->e_type = ET_REL;
	put(p, good_len);
	refused("is not a shared object (ELF type 1)");
	free(p);
}

static void lying_headers(void **state)
{
	uint8_t *p = copy();
	Elf64_Ehdr *h = (void *)p;
	(void)state;
	h->e_phoff = UINT64_MAX - 8;
	put(p, good_len);
	refused("program headers do not lie within it");
	memcpy(p, good, good_len);
	h->e_phnum = 60000;
	put(p, good_len);
	refused("program headers do not lie within it");
	memcpy(p, good, good_len);
	segment(p, PT_LOAD, 1)->p_filesz = UINT64_MAX - 100;
	put(p, good_len);
	refused("segments ends past its end");
	memcpy(p, good, good_len);
	segment(p, PT_LOAD, 1)->p_memsz = 1;
	put(p, good_len);
	refused("impossible sizes");
	memcpy(p, good, good_len);
	segment(p, PT_LOAD, 1)->p_align = 12288;
	put(p, good_len);
	refused("impossible alignment");
	memcpy(p, good, good_len);
	segment(p, PT_DYNAMIC, 0)->p_vaddr += 1u << 20;
	put(p, good_len);
	refused("dynamic section does not lie within");
	memcpy(p, good, good_len);
	segment(p, PT_DYNAMIC, 0)->p_filesz = 32;
	put(p, good_len);
	refused("dynamic section is incomplete");
	free(p);
}

static void search_paths(void **state)
{
	uint8_t *p = copy();
	Elf64_Dyn *d = (void *)(p + segment(p, PT_DYNAMIC, 0)->p_offset);
	(void)state;
	while (d->d_tag != DT_FINI)
		d++;
	d->d_tag = DT_RUNPATH;
	put(p, good_len);
	refused("carries its own library search path (DT_RUNPATH)");
	d->d_tag = DT_RPATH;
	put(p, good_len);
	refused("carries its own library search path (DT_RPATH)");
	free(p);
}

static void bad_notes(void **state)
{
	uint8_t *p = copy();
	struct otd_note *n = note_of(p);
	(void)state;
	n->name[0] = 'X';
	put(p, good_len);
	refused("has no note of that owner");
	n->name[0] = 'O';
	n->desc_size = 0xfffffff0;
	put(p, good_len);
	refused("notes do not lie within it");
	n->desc_size = 72;
	n->desc.abi_major = OTD_ABI_MAJOR + 9;
	put(p, good_len);
	refused("is made for plugin ABI 9." MINOR ", this host has 0." MINOR
		": the plugin is newer; update "
		"otedama");
	n->desc.abi_major = OTD_ABI_MAJOR;
	memset(n->desc.id, 'a', sizeof(n->desc.id));
	put(p, good_len);
	refused("texts of its Otedama note do not end");
	memset(n->desc.id, 0, sizeof(n->desc.id));
	memcpy(n->desc.id, "gpu", 3);
	put(p, good_len);
	refused("is hw/1 gpu by its note and lies in the wrong place");
	memset(n->desc.id, 0, sizeof(n->desc.id));
	memcpy(n->desc.id, "cpu", 3);
	memcpy(n->desc.kind, "hw/9", 4);
	put(p, good_len);
	refused("is of kind hw/9, this host takes hw/1");
	memcpy(n->desc.kind, "algo/1", 6);
	put(p, good_len);
	refused("is algo/1 cpu by its note and lies in the wrong place");
	free(p);
}

static void no_entry(void **state)
{
	uint8_t *p = copy();
	uint8_t *name = p;
	(void)state;
	/* The name stands in .dynstr and, where it is not stripped, in .strtab. */
	while ((name = memmem(name, good_len - (size_t)(name - p), OTD_PLUGIN_ENTRY,
			      sizeof(OTD_PLUGIN_ENTRY))))
		*name = 'x';
	put(p, good_len);
	refused("does not export otd_plugin_v1()");
	free(p);
}

static void owner_and_mode(void **state)
{
	char folder[200];
	(void)state;
	put(good, good_len);
	assert_int_equal(chmod(file, 0664), 0);
	refused("its group may write it (mode 0664)");
	assert_int_equal(chmod(file, 0646), 0);
	refused("others may write it (mode 0646)");
	assert_int_equal(chmod(file, 0644), 0);
	(void)snprintf(folder, sizeof(folder), "%s/hw", dir);
	assert_int_equal(chmod(folder, 0775), 0);
	refused("its group may write it (mode 0775)");
	assert_int_equal(chmod(folder, 0755), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(file, 12345, 0), 0);
		refused("belongs to user 12345");
	}
}

/* What one finds, without running any of it. */
static void count_found(void *arg, const struct otd_plugin_found *f)
{
	int *n = arg;
	if (f->note) {
		assert_string_equal(f->note->id, "cpu");
		n[0]++;
	} else {
		assert_non_null(strstr(f->refused, "cut short"));
		n[1]++;
	}
	assert_true(f->enabled);
	assert_null(f->loaded);
}

static void listing(void **state)
{
	const char *dirs[] = {"/nonexistent", dir}, *enabled[] = {"*"};
	struct otd_plugins_conf conf = {
		.dirs = dirs, .n_dirs = 2, .enable = enabled, .n_enable = 1};
	struct otd_plugins *p;
	int n[2] = {0, 0};
	(void)state;
	assert_int_equal(otd_plugins_create(&p, env, &conf, &err), OTD_OK);
	put(good, good_len);
	assert_int_equal(otd_plugins_found(p, count_found, n, &err), OTD_OK);
	put(good, good_len - 1);
	assert_int_equal(otd_plugins_found(p, count_found, n, &err), OTD_OK);
	assert_int_equal(n[0], 1);
	assert_int_equal(n[1], 1);
	otd_plugins_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_good_one_loads),
		cmocka_unit_test(not_enabled),
		cmocka_unit_test(truncated),
		cmocka_unit_test(truncated_without_sections),
		cmocka_unit_test(not_an_object),
		cmocka_unit_test(lying_headers),
		cmocka_unit_test(search_paths),
		cmocka_unit_test(bad_notes),
		cmocka_unit_test(no_entry),
		cmocka_unit_test(owner_and_mode),
		cmocka_unit_test(listing),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
