/*
 * Plugins: find, verify, load, make instances. A file is refused by its note before any of its code
 * runs; descriptors and tables are copied into zeroed structs of our own, so that nobody behind
 * this header ever tests a size. All [coordinator] (or before loops run) unless said otherwise.
 */
#ifndef OTD_PLUGIN_PLUGIN_H
#define OTD_PLUGIN_PLUGIN_H

#include "base/env.h"
#include <otedama/algo.h>
#include <otedama/chain.h>
#include <otedama/hw.h>
#include <otedama/payout.h>
#include <otedama/plugin.h>
#include <otedama/store.h>

struct otd_plugins;         /* the set of loaded plugins */
struct otd_plugin;          /* one loaded image */
struct otd_plugin_instance; /* one instance of it */
struct otd_yaml;            /* config/yaml.h: a node of the configuration tree */

struct otd_plugins_conf {
	const char *const *dirs; /* searched in order; KIND/ID.so below each */
	size_t n_dirs;
	const char *const
		*enable; /* "algo/scrypt", "payout/ *": what may be loaded; nothing else is */
	size_t n_enable;
	bool skip_vectors; /* tests only */
	/* A folder of ours (made where it is missing): a file is copied into it under a name of its
	   digest before it is loaded, so that a change of the original does not reach what runs.
	   Copies that an earlier run left there are removed. NULL: files are loaded in place. */
	const char *private_dir;
	/* This program, which tries a file of a digest that has not passed before in a child of its
	   own (plugin/child.h) before any of its code runs here: known answers, create and destroy.
	   What has passed is remembered in private_dir. NULL, or no private_dir: no trial. */
	const char *trial_program;
	int64_t trial_ms;               /* it may take so long; 0: a minute */
	const _Atomic bool *trial_stop; /* true: a trial under way is given up; NULL: never */
	/* "KIND/ID=SHA256", hex: a plugin that is named loads only with one of its digests. */
	const char *const *digests;
	size_t n_digests;
	bool safe_mode; /* a plugin that is not named there does not load */
	/* For the child of a trial: called before code of the plugin runs, with what does. */
	void (*step)(const char *what);
};

otd_rc otd_plugins_create(struct otd_plugins **out, struct otd_env *e,
			  const struct otd_plugins_conf *conf, struct otd_err *err);
void otd_plugins_destroy(struct otd_plugins *p);

/* What may be loaded from now on; what is loaded stays. Prepared first, so that it cannot fail later. */
struct otd_plugins_enable;
otd_rc otd_plugins_enable_create(struct otd_plugins_enable **out, const char *const *enable,
				 size_t n, struct otd_err *err);
void otd_plugins_enable_destroy(struct otd_plugins_enable *e); /* takes NULL */
bool otd_plugins_enable_has(const struct otd_plugins_enable *e, const char *kind, const char *id);
/* Puts it in force; e has then what was in force before. */
void otd_plugins_enable_swap(struct otd_plugins *p, struct otd_plugins_enable *e);

/*
 * A descriptor in memory takes part as if it had been found in a file: same checks, no enable list.
 * For tests. The descriptor outlives the set.
 */
otd_rc otd_plugins_add_builtin(struct otd_plugins *p, const struct otd_plugin_desc *desc,
			       struct otd_err *err);

/* Loads kind ("algo", without revision) and id where it is not loaded yet. NULL: err says why. */
struct otd_plugin *otd_plugins_get(struct otd_plugins *p, const char *kind, const char *id,
				   struct otd_err *err);
/*
 * Loads the file at this path, wherever it lies: for commands that are given a FILE. Same checks, but
 * no enable list and no rule of place; its note says kind and id. NULL: err says why.
 */
struct otd_plugin *otd_plugins_get_file(struct otd_plugins *p, const char *file,
					struct otd_err *err);
/* Calls each for every plugin that is loaded: the newest of its kind and id, and those with instances. */
void otd_plugins_each(struct otd_plugins *p, void (*each)(void *arg, struct otd_plugin *pl),
		      void *arg);

/*
 * --- generations ---
 * A plugin that is loaded again is another image with statics of its own, whatever its bytes: A, B, A
 * are three. Instances stay with the image that they were made of; the newest is what get() gives.
 * Code is never unmapped, so each costs memory until the process ends: 16 of one plugin are warned of.
 */
/* Where get() would take it from: into to, cap bytes. */
otd_rc otd_plugins_find_file(struct otd_plugins *p, char *to, size_t cap, const char *kind,
			     const char *id, struct otd_err *err);
/*
 * Judges, copies, tries, maps a file and hashes its known answers: a draft, which nobody sees yet and
 * of which instances may be made. kind and id: what it must be; NULL: its note says. It lies anywhere.
 * options: of the instances that are wanted, a YAML flow mapping a line: the trial makes those too, and
 * takes place even where the digest has passed; NULL: none. At most OTD_CHILD_INPUT_MAX bytes.
 * Long; the set is not changed. A thread of its own, that counts as [coordinator]: nobody else has
 * the image.
 */
otd_rc otd_plugins_draft(struct otd_plugins *p, struct otd_plugin **out, const char *kind,
			 const char *id, const char *file, const char *options,
			 struct otd_err *err);
/* From now on it is the newest of its kind and id. */
void otd_plugin_publish(struct otd_plugin *draft);
/* A draft without instances. Takes NULL. */
void otd_plugin_discard(struct otd_plugin *draft);
/* The newest one that was not retired; NULL: none is loaded. */
struct otd_plugin *otd_plugins_newest(const struct otd_plugins *p, const char *kind,
				      const char *id);
/* get() gives it no more, and loads the file anew. OTD_E_BUSY: it has instances. */
otd_rc otd_plugin_retire(struct otd_plugin *pl, struct otd_err *err);

struct otd_plugin_state {
	const char *kind, *id, *version, *file, *digest;
	uint32_t generation; /* of this kind and id, from 1 */
	uint32_t instances;
	bool newest;
};
void otd_plugin_state(const struct otd_plugin *pl, struct otd_plugin_state *out);

/* A file that lies in the folders, loaded or not. */
struct otd_plugin_found {
	const char *kind, *id; /* by its place: KIND/ID.so */
	const char *file;
	const struct otd_note_desc *note; /* NULL: refused by its note */
	const char *refused;              /* why; "" where it is not */
	bool enabled;
	struct otd_plugin *loaded; /* NULL: not */
};
/* Calls each for every KIND/ID.so of the folders, in order; runs none of their code. */
otd_rc otd_plugins_found(struct otd_plugins *p,
			 void (*each)(void *arg, const struct otd_plugin_found *f), void *arg,
			 struct otd_err *err);

/* The host's own zero-filled copy of the descriptor and tables. */
const struct otd_plugin_desc *otd_plugin_desc(const struct otd_plugin *pl);
/* The file that is mapped: our own copy, where there is a private_dir. Stays while the image has instances. */
const char *otd_plugin_image(const struct otd_plugin *pl);
/* SHA-256 of the file, hex. */
const char *otd_plugin_digest(const struct otd_plugin *pl);

/* What the note of a file says; runs nothing of it. OTD_E_VERSION, _INVALID, _CORRUPT with words.
 */
otd_rc otd_plugin_read_note(struct otd_note_desc *out, struct otd_env *e, const char *file,
			    struct otd_err *err);

struct otd_bytes;
/* For `plugin info`: what the note says, and of a loaded one the options; text or one JSON object.
 */
otd_rc otd_plugin_describe_note(struct otd_bytes *out, const struct otd_note_desc *note,
				const char *file, bool json);
otd_rc otd_plugin_describe(struct otd_bytes *out, const struct otd_plugin *pl, bool json);

/* Services beyond core, which their owners fill in per instance; NULL where there is none. */
struct otd_plugin_services {
	const struct otd_files *files; /* rooted for this instance */
	const struct otd_host_hash *hash;
	struct otd_plugin_instance *hash_with; /* algo instance behind "hash/1" */
	size_t max_memory;                     /* bytes by alloc; 0: 1 GiB */
	/* Where files is NULL: "files/1" is rooted in this folder (made where it is missing); NULL:
	   none. */
	const char *files_dir;
};

/*
 * options: the YAML mapping of the instance (NULL: all defaults); where it came from stands in
 * errors ("etc/pool.yaml:12:5: pools.ltc.algorithm.n: 1000 is not a power of two"). path: its
 * dotted path, for those messages and for logs. A plugin whose create() fails with the text
 * "NAME: what" of an option NAME is reported at that option's place. Keys `use` and `scheme` at the
 * top of the mapping (which plugin) are skipped where the plugin has no option of that name.
 */
otd_rc otd_instance_create(struct otd_plugin_instance **out, struct otd_plugin *pl,
			   const struct otd_yaml *options, const char *path,
			   const struct otd_plugin_services *services, struct otd_err *err);
void otd_instance_destroy(struct otd_plugin_instance *in);
/* "hash/1" of this instance answers by another algo instance from now on. */
otd_rc otd_instance_hash_with(struct otd_plugin_instance *in, struct otd_plugin_instance *algo);

/*
 * --- new options for an instance that runs ---
 * Whether a reload may give a new value of this option to instances of this plugin: the kind is one that
 * only the coordinator calls, the option is RELOADABLE, and there is a reconfigure(). [any-thread]
 */
bool otd_plugin_takes(const struct otd_plugin *pl, const char *option);
struct otd_instance_change;
/* Reads and checks them; the instance knows nothing of it. options outlives the change. [coordinator] */
otd_rc otd_instance_prepare(struct otd_instance_change **out, struct otd_plugin_instance *in,
			    const struct otd_yaml *options, struct otd_err *err);
/* Calls reconfigure(). Where it refuses, nothing has changed, and err has its words at the option's place.
   [coordinator] */
otd_rc otd_instance_reconfigure(struct otd_instance_change *c, struct otd_err *err);
/* Back to the options of before, where they were taken. [coordinator] */
void otd_instance_take_back(struct otd_instance_change *c);
void otd_instance_change_finish(struct otd_instance_change *c); /* takes NULL. [coordinator] */
/*
 * Has a child process make an instance with the options before, and give it those after and back: err says
 * at which step it crashed or hung, or why it refused. Blocks; a thread of its own.
 */
otd_rc otd_plugin_try_options(const struct otd_plugin *pl, const struct otd_yaml *before,
			      const struct otd_yaml *after, const char *path, struct otd_err *err);
/* That child's part; it reports on its own. */
void otd_instance_try_in_child(struct otd_plugin_instance *in, const struct otd_yaml *after);

struct otd_plugin *otd_instance_plugin(const struct otd_plugin_instance *in);
struct otd_instance *otd_instance_self(const struct otd_plugin_instance *in); /* for the ops */
/* Tables with every optional member zero where the plugin has none; never NULL for its kind. */
const struct otd_algo_ops *otd_instance_algo(const struct otd_plugin_instance *in);
const struct otd_payout_ops *otd_instance_payout(const struct otd_plugin_instance *in);
const struct otd_hw_ops *otd_instance_hw(const struct otd_plugin_instance *in);
const struct otd_chain_ops *otd_instance_chain(const struct otd_plugin_instance *in);
const struct otd_store_ops *otd_instance_store(const struct otd_plugin_instance *in);
/* algo: its facts, asked once at create. */
const struct otd_algo_info *otd_instance_algo_info(const struct otd_plugin_instance *in);
/* What the plugin said by set_error in its last failing call on this thread; "" where nothing. */
const char *otd_instance_error(const struct otd_plugin_instance *in);
/* Clears that; call before a call whose error you want to show. */
void otd_instance_clear_error(struct otd_plugin_instance *in);
/* Bytes that the instance holds by alloc. [any-thread] */
size_t otd_instance_memory(const struct otd_plugin_instance *in);
/*
 * Scratch memory for one hashing thread of an algo instance, as its info asks; NULL in *out where
 * it needs none. Give back by otd_scratch_free. [any-thread]
 */
otd_rc otd_scratch_alloc(void **out, const struct otd_algo_info *info);
void otd_scratch_free(void *scratch); /* takes NULL */

/* Code is taken only from root or from the user that runs this program, out of a file and a folder that
   nobody else may write; also Lua scripts. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_plugin_trusted(const char *file, struct otd_err *err);

/*
 * Thread tags, asserted in debug builds: each thread says once what it is; calls of plugin
 * functions go through OTD_ON(tag) at the call site's module. Until the first thread of the process
 * has said what it is, every thread counts as any.
 */
enum otd_thread_tag {
	OTD_THREAD_COORDINATOR = 1,
	OTD_THREAD_REACTOR = 2,
	OTD_THREAD_STORE = 4,
	OTD_THREAD_COMPUTE = 8,
	OTD_THREAD_DEVICE = 16
};
void otd_thread_is(unsigned tags); /* of this thread; a one-loop program is several */
bool otd_thread_on(unsigned tags);
#ifdef NDEBUG
#define OTD_ON(tags) ((void)0)
#else
#define OTD_ON(tags) OTD_ASSERT(otd_thread_on(tags))
#endif

#endif
