/*
 * The plugin contract.
 *
 * A plugin is a shared object that exports one function, otd_plugin_v1(), and carries one ELF note
 * (OTD_PLUGIN_NOTE) that says what it is. The host reads the note and refuses a file before any of
 * its code runs. A plugin links nothing of the host: what it needs it gets as tables of functions.
 *
 * Threads. Every function pointer has a tag:
 *   [coordinator]         the one loop thread that owns jobs, accounting and chains
 *   [reactor]             a loop thread that owns sessions; several, one call an instance at a time
 *   [store]               the thread that talks to the database
 *   [compute]             a thread that may work long; one call an instance at a time
 *   [compute, reentrant]  any thread, several at once on one instance
 *   [device]              the thread that the host made for one device
 *   [any-thread]          wherever
 * A plugin starts no thread, prints nothing, never aborts or exits, and keeps no writable statics.
 *
 * Services that an instance gets, by kind (core, that is struct otd_host_core, goes to all):
 *   algo    core
 *   payout  core                       no clock, no files, no randomness: it is replayed
 *   hw      core clock/1
 *   chain   core clock/1 files/1 hash/1
 *   store   core clock/1 files/1
 */
#ifndef OTEDAMA_PLUGIN_H
#define OTEDAMA_PLUGIN_H

#include <otedama/option.h>
#include <otedama/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * abi_major is 0 until five algorithms have been through it; then 1. Major must match, minor may
 * differ either way: what the older side does not know is not there (see OTD_HAS).
 */
#define OTD_ABI_MAJOR 0
#define OTD_ABI_MINOR 3

struct otd_host;     /* the host's handle of one instance */
struct otd_instance; /* the plugin's own state of one instance */

enum otd_log_level {
	OTD_LOG_ERROR = 0,
	OTD_LOG_WARN = 1,
	OTD_LOG_INFO = 2,
	OTD_LOG_DEBUG = 3,
	OTD_LOG_TRACE = 4
};

/* Whether the other side's struct is long enough to have the member, and it is set. */
#define OTD_HAS(p, member) \
	((p)->size >= offsetof(__typeof__(*(p)), member) + sizeof((p)->member) && (p)->member)

/* What every instance gets at create(); valid until destroy() returns. */
struct otd_host_core {
	uint32_t size;
	uint32_t abi_major, abi_minor;
	uint32_t reserved;
	/* event is a stable dotted name ("template.rejected"), text is logfmt pairs. [any-thread]
	 */
	void (*log)(struct otd_host *h, int level, const char *event, const char *text);
	/* Zeroed, aligned to 64. NULL where the plugin's limit or memory is exhausted. [any-thread]
	 */
	void *(*alloc)(struct otd_host *h, size_t n);
	void (*free)(struct otd_host *h, void *p); /* takes NULL. [any-thread] */
	/* Says in words why this call fails; at most 240 bytes are kept. [any-thread, of the call]
	 */
	void (*set_error)(struct otd_host *h, const char *fmt, ...) OTD_PRINTF(2, 3);
	/* A service table by name and revision, "clock/1"; NULL where the kind does not get it.
	   [coordinator], during create() */
	const void *(*service)(struct otd_host *h, const char *name);
};

/* "clock/1" */
struct otd_host_clock {
	uint32_t size, reserved;
	uint64_t (*mono_ns)(struct otd_host *h); /* [any-thread] */
	int64_t (*wall_ms)(struct otd_host *h);  /* since 1970, UTC. [any-thread] */
};

/* "hash/1": the algorithm of the coin that a chain instance belongs to. */
struct otd_host_hash {
	uint32_t size, reserved;
	/* Proof-of-work hash of a header, little-endian 256-bit integer. [coordinator] */
	otd_rc (*pow)(struct otd_host *h, uint8_t hash[32], struct otd_span header,
		      uint64_t height);
	/* The hash by which the chain names the block (often the same). [coordinator] */
	otd_rc (*identity)(struct otd_host *h, uint8_t hash[32], struct otd_span header,
			   uint64_t height);
};

/* Operations that every kind has. */
struct otd_base_ops {
	uint32_t size, reserved;
	/* options points to the plugin's filled struct, valid until destroy(). [coordinator] */
	otd_rc (*create)(struct otd_instance **out, struct otd_host *h,
			 const struct otd_host_core *core, const void *options);
	/*
	 * New values of RELOADABLE options; NULL where there are none. options is another filled
	 * struct of the plugin's, valid until destroy() like the one before: what of it is not
	 * RELOADABLE is as it was. Takes all of it and returns OTD_OK, or changes nothing and says
	 * "NAME: what" by set_error(). May be called again with the options of before, where
	 * something else refuses the reload: that may not fail. service() gives nothing here.
	 * Between two calls of the instance, never within one; between request() and answer() of
	 * one call it may come. Kind chain: a reload calls it. The others get a value that changes
	 * by a restart, and are not called: docs/plugin-contract.md. [coordinator]
	 */
	otd_rc (*reconfigure)(struct otd_instance *in, const void *options);
	/* No other call is running or comes later. Takes NULL. [coordinator] */
	void (*destroy)(struct otd_instance *in);
};

struct otd_algo_ops;
struct otd_payout_ops;
struct otd_hw_ops;
struct otd_chain_ops;
struct otd_store_ops;
struct otd_algo_vector;

union otd_kind_ops {
	const struct otd_algo_ops *algo;     /* "algo/1", algo.h */
	const struct otd_payout_ops *payout; /* "payout/1", payout.h */
	const struct otd_hw_ops *hw;         /* "hw/1", hw.h */
	const struct otd_chain_ops *chain;   /* "chain/1", chain.h */
	const struct otd_store_ops *store;   /* "store/1", store.h */
	const void *any;
};

struct otd_plugin_desc {
	uint32_t size;
	uint16_t abi_major, abi_minor;
	const char *kind;      /* with its revision: "algo/1" */
	const char *id;        /* "sha256d": lower case, digits, '-' */
	const char *version;   /* semver */
	const char *license;   /* SPDX */
	const char *build;     /* compiler and source revision, for people */
	const char *summary;   /* one line for lists */
	uint32_t options_size; /* sizeof of the plugin's option struct */
	uint32_t option_size;  /* sizeof of a row of the table */
	uint32_t n_options;
	uint32_t reserved;
	const struct otd_option *options;
	const struct otd_base_ops *base;
	union otd_kind_ops ops;
	/* Known answers, algo only: the host checks them at load on the path that will be used. */
	const struct otd_algo_vector *vectors;
	uint32_t n_vectors, vector_size;
};

/* The only exported symbol. The descriptor is const and lives as long as the image. */
typedef const struct otd_plugin_desc *(*otd_plugin_entry)(void);
OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void);
#define OTD_PLUGIN_ENTRY "otd_plugin_v1"

/*
 * The note: section .note.otedama, owner "Otedama", type 1, descriptor of 72 bytes. The kind
 * stands in it with its revision.
 */
#define OTD_NOTE_OWNER "Otedama"
#define OTD_NOTE_TYPE  1

struct otd_note_desc {
	uint16_t abi_major, abi_minor;
	uint32_t reserved;
	char kind[32];
	char id[32];
};

struct otd_note {
	uint32_t name_size, desc_size, type;
	char name[8]; /* OTD_NOTE_OWNER with its final zero */
	struct otd_note_desc desc;
};

#define OTD_PLUGIN_NOTE(note_kind, note_id)                                          \
	__attribute__((section(".note.otedama"), used,                               \
		       aligned(4))) static const struct otd_note otd_plugin_note = { \
		8,                                                                   \
		sizeof(struct otd_note_desc),                                        \
		OTD_NOTE_TYPE,                                                       \
		OTD_NOTE_OWNER,                                                      \
		{OTD_ABI_MAJOR, OTD_ABI_MINOR, 0, note_kind, note_id}}

#ifdef __cplusplus
}
#endif
#endif
