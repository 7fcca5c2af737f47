/*
 * A file of strangers is run by a child first: a process of this very program under limits, that may
 * crash, hang or exit without anybody else noticing. The child says before each step what it does, so
 * that its end can be told in words. Shared by the loader, which tries every new digest so, and by
 * commands that look at a file longer than the loader does.
 *
 * Words on the wire: "STEP text\n" before a step; at the end "OK\n", or "ERR rc text\n"; anything else
 * is the command's own report, see otd_plugin_child_say().
 */
#ifndef OTD_PLUGIN_CHILD_H
#define OTD_PLUGIN_CHILD_H

#include "base/bytes.h"
#include "loop/child.h"

#define OTD_PLUGIN_CHILD_WALL_MS 60000
#define OTD_PLUGIN_CHILD_CPU_S   60u
#define OTD_PLUGIN_CHILD_MEMORY  ((uint64_t)8 << 30)

struct otd_plugin_child_conf {
	const char *const *argv;  /* [0] the path of this program; NULL-terminated */
	int64_t wall_ms;          /* 0: OTD_PLUGIN_CHILD_WALL_MS */
	const char *file;         /* of the plugin, for errors */
	struct otd_span input;    /* the child's standard input */
	const _Atomic bool *stop; /* true: it is given up; may be NULL */
};

/*
 * Runs it. OTD_OK: it came to its end and said OK; own then has its lines that are neither step nor
 * end (own may be NULL). Else err has one line: the file, what it did ("crashed with SIGSEGV ... in
 * create()"), or the error that the child reported, with its code. Blocks: not on a loop.
 */
OTD_WARN_UNUSED otd_rc otd_plugin_child_run(struct otd_bytes *own,
					    const struct otd_plugin_child_conf *conf,
					    struct otd_err *err);

/*
 * What a child's report and end come to, as run() tells it. report is taken to pieces: it may hold
 * anything, for the plugin could have written there, too.
 */
otd_rc otd_plugin_child_judge(struct otd_bytes *own, char *report, const struct otd_child_end *end,
			      struct otd_bytes *printed, const struct otd_plugin_child_conf *conf,
			      struct otd_err *err);

/*
 * The loader's own trial: `otedama plugin-trial FILE`, which no --help shows. It loads the file with its
 * known answers, and creates and destroys an instance with default options, and one for each line of
 * its input, a YAML flow mapping of options. A line [BEFORE, AFTER] is two such mappings: an instance with
 * the first is given the second by reconfigure(), and the first again; where it refuses the child says
 * OTD_PLUGIN_REFUSED and why.
 */
#define OTD_PLUGIN_REFUSED    "REFUSED"
#define OTD_PLUGIN_TRIAL_VERB "plugin-trial"

/* --- in the child --- */

/* What is done from now on: "create()", "hash_batch()". Fits struct otd_plugins_conf.step. */
void otd_plugin_child_step(const char *what);
/* A line of the command's own; it has no line break in it and begins with none of the words above. */
void otd_plugin_child_say(const char *line);
/* The last word. err NULL or rc OTD_OK: well. Returns the exit status, 0 or 1. */
int otd_plugin_child_end(const struct otd_err *err);

#endif
