/* What the files of this module share. */
#ifndef OTD_PLUGIN_INTERNAL_H
#define OTD_PLUGIN_INTERNAL_H

#include "base/bytes.h"
#include "plugin/plugin.h"
#include <pthread.h>
#include <stdatomic.h>

#define OTD_PLUGIN_FILE_MAX    (64u << 20) /* bytes of a plugin's file */
#define OTD_PLUGIN_OPTIONS_MAX 256u
#define OTD_PLUGIN_VECTORS_MAX 4096u

struct otd_plugins {
	struct otd_env *env;
	char **dirs;
	size_t n_dirs;
	char **enable;
	size_t n_enable;
	char *private_dir; /* NULL: load in place */
	bool skip_vectors, safe_mode;
	char *trial_program; /* NULL: no trial */
	int64_t trial_ms;
	const _Atomic bool *trial_stop;
	char **digests; /* "KIND/ID=SHA256" */
	size_t n_digests;
	void (*step)(const char *what); /* or NULL */
	_Atomic uint32_t copies;        /* private ones made, for their names */
	struct otd_plugin *first, *last;
};

/* One kind of plugin that this host knows. */
struct otd_plugin_kind {
	const char *name; /* without revision */
	uint32_t revision;
	size_t ops_size;
	const char *services; /* names of the services that it gets, blank-separated */
	const struct otd_plugin_callback *required;
	size_t n_required;
	/* The coordinator alone calls its instances, and nothing is replayed through them: a reload may
	   give them new options by reconfigure(). */
	bool live_options;
};

struct otd_plugin_callback {
	const char *name;
	size_t offset;
};

struct otd_plugin {
	struct otd_plugins *set;
	struct otd_plugin *next;
	const struct otd_plugin_kind *kind;
	char *file;      /* where it was found */
	char *copy;      /* the private copy that is mapped; NULL: none */
	void *image;     /* of dlopen; NULL for a builtin */
	char digest[65]; /* "" for a builtin */
	uint32_t n_instances;
	uint32_t generation; /* 0: a draft */
	bool retired;
	/* Copies; the strings that they point to stay in the image, which is never unmapped. */
	struct otd_plugin_desc desc;
	struct otd_base_ops base;
	union {
		struct otd_algo_ops algo;
		struct otd_payout_ops payout;
		struct otd_hw_ops hw;
		struct otd_chain_ops chain;
		struct otd_store_ops store;
	} ops;
	struct otd_option *options;
	struct otd_algo_vector *vectors;
};

/* The plugin's handle of the host; first member of an instance. */
struct otd_host {
	struct otd_plugin_instance *in;
};

struct otd_plugin_memory; /* header of one allocation */

struct otd_plugin_instance {
	struct otd_host host;
	struct otd_plugin *plugin;
	struct otd_env *env;
	struct otd_instance *self;
	uint64_t serial; /* never given twice in a process */
	char *path;
	void *options; /* the plugin's option struct */
	struct otd_plugin_arena *arena;
	struct otd_plugin_kept *kept; /* options of before reconfigure() */
	struct otd_plugin_services services;
	struct otd_files *root; /* made here from services.files_dir */
	void *hash_scratch;     /* of services.hash_with */
	struct otd_algo_info info;
	size_t max_memory;
	pthread_mutex_t lock; /* over the list of allocations */
	struct otd_plugin_memory *memory;
	_Atomic size_t used;
	bool creating; /* service() answers now */
};

/* --- kind.c --- */
/* By name without revision; NULL. */
const struct otd_plugin_kind *otd_plugin_kind_find(const char *name, size_t n);
/* "algo/1" against what this host knows; otherwise words in err. */
otd_rc otd_plugin_kind_check(const struct otd_plugin_kind **out, const char *kind, const char *file,
			     struct otd_err *err);
otd_rc otd_plugin_abi_check(uint32_t major, uint32_t minor, const char *file, struct otd_err *err);
/* Lower case letters, digits and '-', 1 to 31 of them. */
bool otd_plugin_id_ok(const char *id);

/* --- elf.c --- */
/* Checks a whole file in memory and reads its note; runs nothing. */
otd_rc otd_plugin_elf_check(struct otd_note_desc *out, const uint8_t *p, size_t n, const char *file,
			    struct otd_err *err);

/* --- file.c --- */
/* Reads it whole; free() it. */
otd_rc otd_plugin_file_read(uint8_t **out, size_t *n, struct otd_env *e, const char *file,
			    struct otd_err *err);
/* Makes DIR/NAME with these contents, durable or not. */
otd_rc otd_plugin_file_write(struct otd_env *e, const char *file, const void *p, size_t n,
			     struct otd_err *err);

/* --- load.c --- */
/* Everything up to the list of the set: *out is a draft. kind and id may be NULL. */
otd_rc otd_plugin_from_file(struct otd_plugins *p, struct otd_plugin **out, const char *kind,
			    const char *id, const char *file, const char *options,
			    struct otd_err *err);
void otd_plugin_free(struct otd_plugin *pl);
static inline void otd_plugin_step(const struct otd_plugins *p, const char *what)
{
	if (p->step)
		p->step(what);
}

/* --- trial.c --- */
/* Whether the configuration lets a file of this digest be this plugin. */
otd_rc otd_plugin_pin_check(const struct otd_plugins *p, const char *kind, const char *id,
			    const char *digest, const char *file, struct otd_err *err);
/* Has the copy run by a child, where its digest has not passed before or there are options. */
otd_rc otd_plugin_trial(struct otd_plugins *p, const struct otd_plugin *pl, const char *options,
			struct otd_err *err);

/* The child of the trial with this input; its own lines go into own. No trial is set: OTD_OK, no lines. */
otd_rc otd_plugin_trial_run(const struct otd_plugin *pl, struct otd_span input,
			    struct otd_bytes *own, struct otd_err *err);

/* --- reconfigure.c --- */
struct otd_plugin_kept {
	struct otd_plugin_kept *next;
	void *options;
};
void otd_plugin_kept_free(struct otd_plugin_kept *k); /* takes NULL */

/* --- desc.c --- */
/* Checks a descriptor and copies it with all its tables into pl. */
otd_rc otd_plugin_desc_copy(struct otd_plugin *pl, const struct otd_plugin_desc *d,
			    struct otd_err *err);

/* --- options.c --- */
struct otd_plugin_arena {
	struct otd_plugin_arena *next;
	uint8_t data[];
};
void *otd_plugin_arena_alloc(struct otd_plugin_arena **a, size_t n); /* zeroed; NULL: no memory */
void otd_plugin_arena_free(struct otd_plugin_arena *a);
/*
 * Fills the plugin's option struct (zeroed, options_size bytes) from a mapping and the defaults;
 * texts go into the arena.
 */
otd_rc otd_plugin_options_fill(void *to, struct otd_plugin_arena **arena,
			       const struct otd_plugin *pl, const struct otd_yaml *map,
			       const char *path, struct otd_err *err);
/* The defaults are values of their own options. */
otd_rc otd_plugin_options_check(const struct otd_plugin *pl, struct otd_err *err);
/* Of "NAME: what": the row of that name, NULL. */
const struct otd_option *otd_plugin_option_said(const struct otd_plugin *pl, const char *text);
const char *otd_plugin_option_type_name(uint32_t type);

/* --- vectors.c --- */
otd_rc otd_plugin_vectors_check(struct otd_plugin *pl, struct otd_err *err);

/* --- host.c --- */
extern const struct otd_host_core otd_plugin_host_core;
/* Frees what the plugin did not, and says so. */
void otd_plugin_memory_finish(struct otd_plugin_instance *in);

#endif
