/* Shared by sim_env.c, sim_net.c, sim_http.c and sim_disk.c. */
#ifndef OTD_SIM_INTERNAL_H
#define OTD_SIM_INTERNAL_H

#include "sim.h"

struct disk;
struct sim_net;

/* Something that another machine does. */
struct outside {
	struct outside *next;
	sim_outside_fn fn;
	void *arg;
	uint64_t due_ns;
};

struct server {
	struct server *next;
	char url[96];
	sim_server_fn fn;
	bool (*up)(void *arg);
	void *arg;
};

struct sim {
	struct otd_env env;
	struct otd_files files;
	struct disk *disk;
	uint64_t random[2];
	uint64_t now_ns;
	bool dead;
	uint64_t crash_in;
	uint64_t crash_at[SIM_POINTS];
	uint64_t points[SIM_POINTS], kills[SIM_POINTS];
	bool (*at_points)(void *arg, enum sim_point kind);
	void *at_points_arg;
	struct sim_loop *loops;
	struct otd_worker *workers;
	struct otd_timer *timers;
	struct outside *outside;
	struct server *servers;
	struct otd_http *https;
	struct sim_net *net; /* NULL: nobody has used it */
	struct otd_env_ops ops;
	uint64_t steps, digest;
	void (*on_step)(void *arg);
	void *on_step_arg;
	uint32_t http_ppm;
	uint64_t http_fired[SIM_HTTP_FAULTS], http_orphans;
};

/* Of the simulation itself, never NULL; these do not fail where the pool's memory is made to. */
void *sim_new(size_t n, size_t size); /* zeroed */
void *sim_mem(size_t n);
void *sim_more(void *p, size_t n);
char *sim_text(const char *s);
/* Code of the pool runs, not the simulation's. */
extern bool sim_pool_runs;
void sim_call(otd_fn fn, void *arg);
/* Into the digest: what went to or came from the world. */
void sim_note(struct sim *s, const void *p, size_t n);

/* --- sim_http.c --- */
otd_rc sim_http(struct otd_loop *l, struct otd_http **out, const struct otd_http_request *r,
		otd_http_fn fn, void *arg);
void sim_http_cancel(struct otd_http *h);
/* When it has something to do next; the next of the list. */
uint64_t sim_http_due(const struct otd_http *h);
struct otd_http *sim_http_next(const struct otd_http *h);
void sim_http_run(struct otd_http *h);
void sim_http_free_servers(struct sim *s);
/* What waits outside and never comes, where it is a request. */
void sim_http_free_outside(sim_outside_fn fn, void *arg);

/* --- sim_net.c --- */
struct otd_stream;
void sim_net_ops(struct otd_env_ops *to);
void sim_net_free(struct sim *s);
struct otd_stream *sim_net_first(struct sim *s);
struct otd_stream *sim_net_next(const struct otd_stream *st);
uint64_t sim_net_due(const struct otd_stream *st); /* when it is ready; UINT64_MAX: not by itself */
void sim_net_run(struct otd_stream *st);

struct disk *disk_create(struct sim *s);
void disk_destroy(struct disk *d);
void disk_table(struct disk *d, struct otd_files *to);
void disk_reboot(struct disk *d);
size_t disk_open_files(struct disk *d);

#endif
