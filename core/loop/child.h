/*
 * Another program for a short while: what it writes, and how it ends. It is exec'ed, never forked
 * beside threads; it inherits no descriptor but its own three and a pipe for its report, and of the
 * environment only what sanitizers read, so that no secret of ours is in it.
 */
#ifndef OTD_LOOP_CHILD_H
#define OTD_LOOP_CHILD_H

#include "base/bytes.h"
#include "base/err.h"

#define OTD_CHILD_INPUT_MAX 32768u /* bytes: a pipe holds that much at once */
#define OTD_CHILD_REPORT_FD 3      /* in the child: where its report goes */

struct otd_child_conf {
	const char *const *argv;  /* [0] is the program's path; NULL-terminated */
	int64_t wall_ms;          /* killed after it */
	const _Atomic bool *stop; /* true: killed now; may be NULL */
	struct otd_span input;    /* what it reads on standard input, at most OTD_CHILD_INPUT_MAX */
};

struct otd_child_end {
	bool timed_out; /* it was killed because it took too long */
	bool stopped;   /* it was killed because conf.stop said so */
	int signal;     /* that it died of; 0: it exited */
	int status;     /* of its exit */
};

struct otd_child_limits {
	uint64_t cpu_s;  /* processor time; 0: no limit */
	uint64_t memory; /* bytes of address space; 0: no limit. None under sanitizers. */
};

/*
 * Runs it to its end. What it writes on OTD_CHILD_REPORT_FD goes into report, standard output and
 * error into printed, each as far as its maximum (more is read and lost). OTD_OK: it ran, *end says how
 * it went. Blocks: not on a loop. [any-thread]
 */
OTD_WARN_UNUSED otd_rc otd_child_run(struct otd_child_end *end, struct otd_bytes *report,
				     struct otd_bytes *printed, const struct otd_child_conf *conf,
				     struct otd_err *err);
/*
 * In the child, first of all: no core file, no file made longer, it ends with its parent, the limits.
 * What the system does not let it set stays as it is: the parent's clock holds in any case.
 */
void otd_child_confine(const struct otd_child_limits *limits);
/* One piece of the report; ends the process where nobody reads it. Safe beside anything. */
void otd_child_report(const void *p, size_t n);
/* "SIGSEGV (it used memory that is not its own)": for errors. */
const char *otd_child_signal(int signum);

#endif
