/*
 * otedama plugin check: what its files share.
 *
 * What a file is stands in its bytes: those checks run nothing of it (plugin_check_file.c). What it
 * does is tried in children, one for each check, so that a crash, an exit or an endless loop is an
 * answer and not the end of the command. A child says over a pipe what it is about to call and what
 * it found; the parent adds how the child ended.
 */
#ifndef OTD_APP_PLUGIN_CHECK_H
#define OTD_APP_PLUGIN_CHECK_H

#include "base/bytes.h"
#include "base/env.h"
#include "plugin/plugin.h"

/* Worse is greater. */
enum otd_pcheck_result {
	OTD_PCHECK_OK = 0,
	OTD_PCHECK_SKIP = 1, /* could not be tried, and why */
	OTD_PCHECK_WARN = 2, /* worth knowing; no reason to refuse it */
	OTD_PCHECK_FAIL = 3
};

#define OTD_PCHECK_FIGURES 8

/* A number that a check measured, for --json. */
struct otd_pcheck_figure {
	char name[32];
	uint64_t value;
};

/* One check's line. */
struct otd_pcheck_line {
	const char *name; /* "imports" */
	enum otd_pcheck_result result;
	bool usable;           /* the child said that others may go on from here */
	struct otd_bytes text; /* what, where, what to do; of the worst result only */
	struct otd_pcheck_figure figures[OTD_PCHECK_FIGURES];
	size_t n_figures;
};

/* Adds a finding: a worse one replaces what is there, an equal one is added to it. */
void otd_pcheck_say(struct otd_pcheck_line *l, enum otd_pcheck_result result, const char *fmt, ...)
	OTD_PRINTF(3, 4);

/* --- plugin_check_file.c: what the bytes say; nothing of them runs --- */

struct otd_pcheck_file {
	const char *path;
	const uint8_t *p;
	size_t n;
	struct otd_note_desc note; /* set by the check "note" */
};

struct otd_pcheck_file_rule {
	const char *name;
	void (*run)(struct otd_pcheck_file *f, struct otd_pcheck_line *l);
};
/* Those whose failure makes the rest senseless stand first. */
#define OTD_PCHECK_FILE_FIRST 1
extern const struct otd_pcheck_file_rule otd_pcheck_file_rules[];
extern const size_t otd_pcheck_n_file_rules;

/* --- plugin_check_imports.c --- */

/* Why a plugin may not call this, and what it does instead; NULL: it may. */
const char *otd_pcheck_import(const char *symbol, const char *kind);
/* Whether a library may be needed without a word. */
bool otd_pcheck_library(const char *name);

/* --- plugin_check_stage.c: in the parent, a child for a stage --- */

struct otd_pcheck_stage {
	const char *name;
	const char *kind; /* NULL: every kind */
	void (*run)(void);
};
extern const struct otd_pcheck_stage otd_pcheck_stages[];
extern const size_t otd_pcheck_n_stages;

struct otd_pcheck_job {
	const char *file, *options; /* options: YAML or NULL */
	int64_t limit_ms;           /* of one child */
};
/* Runs a stage in a child; what the child printed is added to printed. False: it could not run. */
bool otd_pcheck_stage_run(struct otd_pcheck_line *l, struct otd_bytes *printed,
			  const struct otd_pcheck_stage *stage, const struct otd_pcheck_job *job);
/* The child: argv is STAGE FILE [OPTIONS]. Returns its exit status. */
int otd_pcheck_stage_child(int argc, char **argv);

/* --- in the child: what it says (plugin_check_child.c) --- */

void otd_pcheck_at(const char *fmt, ...) OTD_PRINTF(1, 2); /* what is called next, in words */
void otd_pcheck_ok(const char *fmt, ...) OTD_PRINTF(1, 2);
void otd_pcheck_skip(const char *fmt, ...) OTD_PRINTF(1, 2);
void otd_pcheck_warn(const char *fmt, ...) OTD_PRINTF(1, 2);
void otd_pcheck_fail(const char *fmt, ...) OTD_PRINTF(1, 2);
void otd_pcheck_usable(void); /* later stages can be tried, whatever else is wrong here */
bool otd_pcheck_failed(void); /* whether something failed in this child */
void otd_pcheck_figure(const char *name, uint64_t value);

/* The file's plugin, loaded once in this child. NULL: it was said why. */
const struct otd_plugin_desc *otd_pcheck_plugin(bool with_vectors);
/* Its option struct, filled from --options and the defaults; NULL: it was said why. */
const void *otd_pcheck_options(void);
bool otd_pcheck_is(const char *kind); /* without revision */

/* --- plugin_check_host.c: the host of an instance in a check --- */

struct otd_pcheck_block;

struct otd_pcheck_host {
	struct otd_pcheck_block *blocks; /* given and not freed */
	size_t n_blocks, n_bytes;
	uint64_t n_allocs;       /* asked for so far */
	uint64_t fail_at;        /* this one fails; 0: none */
	bool failed;             /* it did */
	uint64_t jitter;         /* not 0: addresses differ from those of another host */
	bool creating;           /* service() answers now */
	char error[241];         /* of set_error */
	char fault[200];         /* what it did that no plugin may; "" */
	struct otd_files *files; /* made when asked for */
};

/* One instance under such a host. */
struct otd_pcheck_instance {
	struct otd_pcheck_host host;
	struct otd_instance *self;
};

/* create() with the options of the command. On failure nothing is to be destroyed; the host's facts
   stay for otd_pcheck_leftovers(). in is zeroed but for host.fail_at and host.jitter. */
otd_rc otd_pcheck_create(struct otd_pcheck_instance *in);
/* destroy(), where there is one. */
void otd_pcheck_destroy(struct otd_pcheck_instance *in);
/* Frees what the plugin left, and says by a FAIL what that was, and what it did that none may.
   when: "after destroy()". False: something was wrong. */
bool otd_pcheck_leftovers(struct otd_pcheck_instance *in, const char *when);
/* create() that must succeed: false, and it was said. */
bool otd_pcheck_create_or_say(struct otd_pcheck_instance *in);
/* " (WORDS of set_error)" or "". */
const char *otd_pcheck_words(const struct otd_pcheck_instance *in);

/* --- plugin_check_files.c: files in memory, for the service files/1 --- */
struct otd_files *otd_pcheck_files_create(void); /* NULL: no memory */
void otd_pcheck_files_destroy(struct otd_files *f);

/* --- plugin_check_tools.c: small things that checks need --- */

uint64_t otd_pcheck_random(uint64_t *state); /* the same in every run */
uint64_t otd_pcheck_below(uint64_t *state, uint64_t n);
uint64_t otd_pcheck_cpu_ns(void); /* processor time of this thread */
uint64_t otd_pcheck_mono_ns(void);
/* n bytes whose end, or that of n rounded up to align, is the end of mapped memory: one byte more kills.
   Never freed. NULL: no memory. */
uint8_t *otd_pcheck_guarded(size_t n, size_t align);
/* n bytes of otd_pcheck_guarded(), filled in, may only be read from now on: writing kills. */
void otd_pcheck_read_only(uint8_t *p, size_t n);
/* Leaves other bytes on the stack below the caller than the last call did. */
void otd_pcheck_dirty_stack(uint8_t with);
unsigned otd_pcheck_threads(void); /* of this process */
unsigned otd_pcheck_open_files(void);
uint64_t otd_pcheck_heap(void);     /* bytes by malloc and its kin; 0 under sanitizers */
uint64_t otd_pcheck_resident(void); /* bytes of memory in use; 0 under sanitizers */
/* Runs fn(arg, i) on n threads at once, for i in 0 .. n - 1, and waits. False: no threads. */
bool otd_pcheck_on_threads(unsigned n, void (*fn)(void *arg, unsigned i), void *arg);
/* Whether an OTD_E_RANGE answer kept the rules for buffers: says a FAIL where it did not. */
bool otd_pcheck_short_buffer(const char *what, otd_rc rc, const struct otd_buf *b);

/* --- kinds: a few calls of each sort, as a pool makes them, on an instance --- */

struct otd_pcheck_walk {
	const char *at; /* the call that was made last */
	uint64_t sum;   /* of all that the calls gave: the same in every walk */
};
/* Adds what a call gave. */
void otd_pcheck_sum(struct otd_pcheck_walk *w, const void *p, size_t n);
/* The first error. */
otd_rc otd_pcheck_walk(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w);
otd_rc otd_pcheck_walk_algo(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w);
otd_rc otd_pcheck_walk_payout(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w);
otd_rc otd_pcheck_walk_chain(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w);
otd_rc otd_pcheck_walk_hw(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w);
otd_rc otd_pcheck_walk_store(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w);

/* --- the stages --- */
void otd_pcheck_load(void); /* plugin_check_base.c */
void otd_pcheck_option_table(void);
void otd_pcheck_lives(void);
void otd_pcheck_leaks(void);
void otd_pcheck_memory(void);
void otd_pcheck_reconfigure(void);     /* plugin_check_reconfigure.c */
#define OTD_PCHECK_OPTION_STRUCTS 512u /* that it makes, at most */
void otd_pcheck_vectors(void);         /* plugin_check_algo.c */
void otd_pcheck_real_block(void);
void otd_pcheck_facts(void);
void otd_pcheck_prepare(void);
void otd_pcheck_batch(void);
void otd_pcheck_scan(void);
void otd_pcheck_parallel(void);
void otd_pcheck_speed(void);
void otd_pcheck_credits(void); /* plugin_check_payout.c */
void otd_pcheck_replay(void);
void otd_pcheck_order(void);
void otd_pcheck_state(void);
void otd_pcheck_answers(void); /* plugin_check_chain.c */
void otd_pcheck_work(void);
void otd_pcheck_devices(void);  /* plugin_check_hw.c */
void otd_pcheck_database(void); /* plugin_check_store.c */

#endif
