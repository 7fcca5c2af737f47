/*
 * Reactors in processes of their own (threads.processes): each runs threads.reactors of them, with a file
 * table, an address space and journals of its own. The pool accepts, counts at its gate and hands the
 * descriptor over; jobs, addresses and blocks go as messages of pool/msg.h over a link (loop/link.h).
 *
 * A process that dies costs its connections, which come back to the others, and nothing that was
 * acknowledged: its journals are made sound and merged, and a new process begins with new ones. All
 * [coordinator] but where it says otherwise.
 */
#ifndef OTD_APP_PROCESSES_H
#define OTD_APP_PROCESSES_H

#include "app/app.h"
#include "net/door.h"
#include "plugin/plugin.h"
#include "policy/policy.h"

#define OTD_PROCESS_FRAME_MAX   (16u << 20)
#define OTD_PROCESS_WAITING_MAX (64u << 20)
#define OTD_PROCESSES_REACTORS  64 /* in all processes: as the coordinator has room for */

struct otd_app_processes;
struct otd_app_plan;

/* Whether these settings want processes. [any-thread] */
bool otd_app_processes_wanted(const struct otd_settings *s);
/* Whether there is room for so many reactors; err names the key. [any-thread] */
otd_rc otd_app_processes_fit(const struct otd_settings_threads *t, struct otd_err *err);
/* Whether these scripts, built for reactors, can do without any: hooks about connections are asked by
   reactors, and processes have no scripts. [any-thread] */
otd_rc otd_app_processes_policy(const struct otd_settings *s, const struct otd_policy_set *scripts,
				struct otd_err *err);
/* Reactors that the gate has to choose from: of threads, or of all processes. */
uint16_t otd_app_reactors(const struct otd_app *app);

/* Makes their mailboxes and starts them; they serve a little later. Before the gate is made. */
otd_rc otd_app_processes_start(struct otd_app *app, struct otd_err *err);
/* They sync, and end. Blocks for a second at most. Takes what was not started. */
void otd_app_processes_stop(struct otd_app *app);

/* Takes an accepted stream that is attached to no loop; p NULL: it came by no proxy. */
void otd_app_processes_deliver(struct otd_app *app, struct otd_stream *s, uint32_t port,
			       const struct otd_ticket *ticket, const struct otd_preface *p);
/* Journals may be cut. */
void otd_app_processes_release(struct otd_app *app, uint64_t epoch, uint64_t seq);
/* A ban, or its end. */
void otd_app_processes_ban(struct otd_app *app, const struct otd_ban *ban, bool undo);
void otd_app_processes_say(struct otd_app *app, const char *text, bool reconnect);
/* The files of certificates are others now: they read them too. */
void otd_app_processes_renew(struct otd_app *app);
/* The log file was moved away. */
void otd_app_processes_reopen(struct otd_app *app);
size_t otd_app_processes_sessions(const struct otd_app *app);

/* A reload: text for all of them, made before anything is decided; NULL in *out: there are none. */
otd_rc otd_app_processes_change(const struct otd_app_plan *p, char **out, struct otd_err *err);
/* Goes to all; takes it. */
void otd_app_processes_tell(struct otd_app *app, char *change);
/* Whether all that live have it. */
bool otd_app_processes_have_it(const struct otd_app *app);

/*
 * Another image of an algorithm, in all processes or in none. ready(): all have prepared it (err->rc is 0), or
 * one cannot, and it is dropped everywhere. Then, in ready() or later, commit; taken(): all have it.
 */
struct otd_processes_swap {
	void (*ready)(void *arg, const struct otd_err *err);
	void (*taken)(void *arg);
	void *arg;
};
/* pl: a draft. *asked: how many there are to answer; 0: none runs, ready() is not called, and those that
   begin later have what is the newest then. */
otd_rc otd_app_processes_swap(struct otd_app *app, const struct otd_plugin *pl,
			      const struct otd_processes_swap *s, size_t *asked,
			      struct otd_err *err);
/* False: none of them is left, and taken() is not called. */
bool otd_app_processes_swap_commit(struct otd_app *app);
/* Nobody waits for it any more. */
void otd_app_processes_swap_forget(struct otd_app *app);

/* The i-th thing that needs a person; NULL: there are no more. */
const char *otd_app_processes_trouble(struct otd_app *app, size_t i);
/* ,"processes":[..] for the status; nothing where there are none. */
void otd_app_processes_status(struct otd_app *app, struct otd_bytes *out);

#endif
