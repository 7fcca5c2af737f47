/* What processes.c and processes_link.c share. Nothing else includes it. */
#ifndef OTD_APP_PROCESSES_IMPL_H
#define OTD_APP_PROCESSES_IMPL_H

#include <sys/types.h>

#include "app/app_ban.h"
#include "app/app_parts.h"
#include "app/processes/process_setup.h"
#include "app/processes/processes.h"
#include "loop/link.h"
#include "loop/process.h"

enum process_state {
	PROCESS_DOWN,     /* waits for its next start */
	PROCESS_EPOCHS,   /* journals are made for it */
	PROCESS_STARTING, /* it runs, and has not said that it serves */
	PROCESS_UP,
	PROCESS_ENDING /* its link has ended; it is about to be gone */
};

struct process;

/* A reactor by its number, whichever process has it now. */
struct seat {
	struct process *process;
	uint32_t index;
	struct otd_mailbox *mailbox; /* what the coordinator sends to */
	struct otd_process_reactor now;
	bool drained;
};

/* Connections of one address that a process has. */
struct held {
	struct otd_ticket ticket;
	uint32_t n; /* 0: an unused place */
};

/* What a gauge of a process has added to ours. */
struct gauge {
	struct otd_metric *metric;
	int64_t n;
};

struct process {
	struct otd_app *app;
	uint32_t number, first; /* first of its reactors */
	enum process_state state;
	struct otd_link *link;
	pid_t pid;
	size_t n_epochs; /* made for this start */
	struct otd_timer *timer;
	int64_t backoff_ms, began_ms, heard_ms; /* monotonic */
	bool killed;                            /* by us: it did not answer */
	struct held *held;                      /* open addressing; n_held of cap_held in use */
	size_t n_held, cap_held, sessions;
	struct gauge *gauges;
	size_t n_gauges, cap_gauges;
	size_t changing; /* changes that it has not answered */
	enum { SWAP_NONE, SWAP_ASKED, SWAP_READY, SWAP_TAKING } swap;
	uint64_t deaths;
	char trouble[300];
};

/* A newcomer that waits for a process to serve. */
struct pending {
	struct otd_stream *stream;
	uint32_t port;
	struct otd_ticket ticket;
	bool has_preface;
	struct otd_proxy proxy;
	uint8_t *early;
	size_t early_len;
	int64_t since_ms;
};
#define PENDING_MAX 1024 /* of them */

/* A worker that is kept out: said again to a process that begins. */
struct kept {
	struct otd_msg *word; /* NULL: an unused place */
	int64_t until_ms;
};
#define KEPT_MAX 1024 /* the last of them */

struct otd_app_processes {
	size_t n, reactors; /* reactors of each */
	struct process *process;
	struct seat *seat; /* of all reactors */
	struct otd_timer *watch;
	bool stopping;
	struct pending *pending; /* the oldest first; room for PENDING_MAX */
	size_t n_pending;
	struct kept *kept; /* a ring of KEPT_MAX */
	size_t n_kept;     /* in all */
	size_t capacity;   /* connections that one process has room for */
	struct {
		struct otd_processes_swap told; /* who is told; ready NULL: there is no swap */
		bool preparing;                 /* no process begins meanwhile */
		size_t waiting;                 /* processes that have not answered */
		struct otd_err err;             /* the first that cannot */
	} swap;
	uint8_t tickets[OTD_PROCESS_TICKETS_MAX]; /* as they were told last */
	size_t tickets_len;
	char none[120];
	struct otd_metric *m_up, *m_deaths, *m_refused;
};

int64_t processes_now_ms(const struct otd_app *app);

/* processes_link.c */
/* For the link of p. */
void process_on_frame(void *arg, struct otd_span payload, int fd);
/* For the mailbox of a seat. */
void process_on_message(void *arg, const struct otd_msg *m);
/* Says for the reactors of one that is gone that they are drained. */
void process_say_drained(struct process *p);
/* Who is kept out by the budget of refused shares; its reactors are new. */
void process_say_kept(struct process *p);
void processes_kept_free(struct otd_app_processes *all);
/* All connections of it are gone. */
void process_release_all(struct process *p);
void process_gauges_back(struct process *p);
/* Newcomers that waited go to who serves now; those since before are sent away. */
void processes_admit(struct otd_app *app, int64_t before_ms);

/* processes_swap.c */
void process_swap_answered(struct process *p, struct otd_span text);
void process_swap_taken(struct process *p);
/* Its link has ended. */
void process_swap_gone(struct process *p);

/* processes.c */
/* It said that it serves. */
void process_is_up(struct process *p);
/* It does not do what it should: it ends, and another one begins. */
void process_kill(struct process *p, const char *why);

#endif
