/* What the files of this module share. */
#ifndef OTD_MINER_INTERNAL_H
#define OTD_MINER_INTERNAL_H

#include "base/bytes.h"
#include "miner/miner.h"
#include "miner/tls.h"
#include "miner/work.h"
#include <jansson.h>
#include <pthread.h>

#define OTD_MINER_LINE_MAX    (1u << 20)
#define OTD_MINER_POOLS_MAX   16u
#define OTD_MINER_PENDING     256u /* submits without an answer */
#define OTD_MINER_SAMPLES     64u
#define OTD_MINER_FIRST_ID    100u /* of submits; below: the greeting */
#define OTD_MINER_FOUND_MAX   16u
#define OTD_MINER_RESULTS_MAX 4096u

enum otd_miner_request {
	REQ_CONFIGURE = 1,
	REQ_SUBSCRIBE = 2,
	REQ_AUTHORIZE = 3,
	REQ_EXTRANONCE = 4
};

struct otd_miner_pool {
	char *url;
	char host[256];
	uint16_t port;
	bool tls;
};

struct otd_miner_unit {
	struct otd_miner *m;
	struct otd_plugin_instance *hw;
	uint32_t device, unit;
	void *thread;
	volatile uint32_t stop; /* read by scan() */
	_Atomic uint64_t hashes;
	char name[64];
};

/* From a device thread to the loop. */
struct otd_miner_result {
	struct otd_miner_result *next;
	struct otd_miner_job *job; /* NULL: the unit has failed, text says why */
	uint8_t extranonce2[OTD_MINER_EXTRANONCE];
	uint32_t time_s, version;
	uint64_t nonce;
	bool block;
	char text[240];
};

struct otd_miner_pending {
	uint64_t id; /* 0: free */
	uint64_t sent_ns;
	otd_u128 work;
	bool block;
};

struct otd_miner {
	struct otd_loop *loop;
	struct otd_env *env;
	struct otd_miner_conf conf; /* its pointers are copies or NULL, but for the instances */
	struct otd_miner_pool pool[OTD_MINER_POOLS_MAX];
	struct otd_plugin_instance **hw;
	char *user, *password, *agent;
	struct otd_u256 diff1;

	/* --- devices: device.c --- */
	struct otd_miner_unit *units;
	uint32_t n_units, units_alive;
	pthread_mutex_t lock; /* over what stands up to results */
	pthread_cond_t wake;
	struct otd_miner_job *job; /* NULL: nothing to do */
	bool quit;
	struct otd_miner_result *results, *results_last;
	uint32_t n_results;
	bool posted;
	_Atomic uint64_t job_serial; /* of job; changes with it */
	uint64_t number;             /* by which posts find it */
	struct otd_miner *next_live;

	/* --- connection: client.c; loop only --- */
	enum otd_miner_state state;
	struct otd_stream *stream, *probe;
	struct otd_bytes in, out;
	struct otd_miner_tls *tls; /* NULL: no pool of the list is spoken to so */
	struct otd_bytes wire;     /* of TLS, what waits for the socket; out waits for TLS */
	bool over_tls;             /* this connection */
	struct otd_timer *tick, *retry;
	uint32_t at; /* pool in use */
	uint32_t failures, all_failures;
	char redirect_host[256]; /* client.reconnect; "": none */
	uint16_t redirect_port;
	int64_t redirect_wait_ms;
	uint64_t session; /* counts connections */
	uint64_t session_ns, heard_ns, asked_ns, probe_ns;
	enum otd_miner_request asked; /* the request whose answer is awaited; 0: none */
	bool session_good, closing;
	const char *drop; /* set while lines are handled: leave the pool, because */

	/* --- what the pool said: protocol.c --- */
	uint8_t extranonce1[OTD_MINER_EXTRANONCE];
	uint32_t extranonce1_len, extranonce2_len;
	uint8_t next_extranonce1
		[OTD_MINER_EXTRANONCE]; /* by set_extranonce, from the next job on */
	uint32_t next_extranonce1_len, next_extranonce2_len;
	uint32_t mask;
	struct otd_u256 target;
	char difficulty[40];
	uint64_t clean_serial;      /* jobs before it are worthless */
	uint64_t extranonce2_count; /* where the next job begins to count */
	uint64_t next_id;
	struct otd_miner_pending pending[OTD_MINER_PENDING];
	otd_fn finished; /* NULL: it goes on for ever */
	void *finished_arg;
	uint64_t finish_ns; /* when it was asked to finish; 0: it was not, or has */

	struct otd_miner_stats stats;
	uint64_t start_ns, last_accepted_ns, hashes_before;
	struct {
		uint64_t ns, hashes;
	} sample[OTD_MINER_SAMPLES];
	uint32_t n_samples;
};

/* --- miner.c --- */
void otd_miner_emit(struct otd_miner *m, enum otd_miner_event_kind kind, const char *fmt, ...)
	OTD_PRINTF(3, 4);
void otd_miner_emit_event(struct otd_miner *m, struct otd_miner_event *ev);
uint64_t otd_miner_hashes(struct otd_miner *m);

/* --- client.c --- */
/* HOST:PORT with or without scheme, IPv6 in brackets. */
otd_rc otd_miner_url(struct otd_miner_pool *out, const char *url, struct otd_err *err);
void otd_miner_connect(struct otd_miner *m);
/* Leaves the pool and comes back, here or elsewhere. */
void otd_miner_drop(struct otd_miner *m, const char *why);
void otd_miner_close(struct otd_miner *m);
void otd_miner_tick(void *arg);
otd_rc otd_miner_send(struct otd_miner *m, json_t *message); /* takes the reference */

/* --- protocol.c --- */
void otd_miner_greet(struct otd_miner *m);
/* One line, without its end. Sets m->drop where the pool is to be left. */
void otd_miner_line(struct otd_miner *m, const char *line, size_t n);
void otd_miner_ask(struct otd_miner *m, enum otd_miner_request what);
/* Text of the first element of "params", as it stands in the line: numbers keep their digits. */
bool otd_miner_raw_param(const char *line, size_t n, const char **out, size_t *len);

/* --- submit.c --- */
void otd_miner_take_result(struct otd_miner *m, struct otd_miner_result *r);
void otd_miner_answered(struct otd_miner *m, uint64_t id, const json_t *result,
			const json_t *error);
/* Pending submits get no answer any more. */
void otd_miner_forget(struct otd_miner *m);
/* Where it was asked to finish, and has. */
void otd_miner_check_finished(struct otd_miner *m);

/* --- device.c --- */
otd_rc otd_miner_devices_start(struct otd_miner *m, struct otd_err *err);
void otd_miner_devices_stop(struct otd_miner *m);
/* Takes the reference; NULL: pause. interrupt: what is under way is worthless. */
void otd_miner_devices_job(struct otd_miner *m, struct otd_miner_job *job, bool interrupt);
void otd_miner_enlist(struct otd_miner *m);
void otd_miner_delist(struct otd_miner *m); /* harmless where it is not enlisted */

#endif
