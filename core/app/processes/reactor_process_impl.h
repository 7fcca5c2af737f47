/* What the files of a reactor process share (reactor_process.c, process_*.c). Nothing else includes it. */
#ifndef OTD_APP_REACTOR_PROCESS_IMPL_H
#define OTD_APP_REACTOR_PROCESS_IMPL_H

#include <jansson.h>
#include <stdatomic.h>

#include "app/app.h"
#include "app/processes/process_setup.h"
#include "loop/link.h"

#define INSTANCES_MAX (OTD_POOLS_MAX + 1)

struct instance {
	char *algo, *options, *path; /* options: a YAML mapping in one line; NULL: none */
	struct otd_plugin_instance *in;
	struct otd_plugin_instance *fresh; /* of a swap that is prepared */
};

struct swap;
struct old;

/* A certificate by the names of its files. */
struct certificate {
	char *certificate, *key;
	struct otd_tls *tls;
};

struct process;

struct one {
	struct process *process;
	uint32_t index; /* among all reactors */
	struct otd_loop *loop;
	void *thread;
	struct otd_reactor *reactor;
	struct otd_stratum *stratum;
	struct otd_stratum_policy ask;
};

struct process {
	json_t *setup;
	struct otd_metrics *metrics;
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_link *link;
	struct otd_mailbox *to_pool; /* what reactors send to the coordinator */
	struct otd_plugins *plugins;
	struct instance *instances;
	size_t n_instances, n_pools;
	uint32_t instance_of[OTD_POOLS_MAX]; /* of a pool, by their numbers */
	struct swap *swap;                   /* another image of an algorithm is on its way */
	struct old *old;                     /* instances that jobs of before still have */
	_Atomic bool stopping;
	struct otd_process_ports ports;
	struct otd_tls_tickets *tickets;
	struct certificate *certificates;
	size_t n_certificates;
	struct one *ones;
	size_t n_ones;
	uint32_t first;
	struct otd_timer *second;
	size_t changing; /* reactors that do not have the last change yet */
	bool ending;
	int status;
};

/* It ends with an error, and another process begins. */
void process_give_up(struct process *p, const char *why);

/* The pool takes what it is sent, or is as good as gone. */
void process_send(struct process *p, const struct otd_msg *m);
void process_send_head(struct process *p, enum otd_msg_type type);

/* process_algo.c */
/* The pools of a setup or a change; names live as long as json. *out is the caller's to free. */
otd_rc process_pools_make(struct process *p, const json_t *json, struct otd_reactor_pool **out,
			  size_t *n, struct otd_err *err);
void process_swap_prepare(struct process *p, struct otd_span text);
void process_swap_commit(struct process *p);
/* What is prepared, or what no reactor has taken so far; the reactors' threads do not run then. */
void process_swap_drop(struct process *p);
void process_algos_free(struct process *p); /* after the reactors */

/* process_policy.c */
void process_ask_init(struct one *o);

#endif
