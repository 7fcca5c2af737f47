/*
 * One miner's connection, and the server it stands on; the inside of core/stratum. A dialect turns
 * lines into calls of otd_session_*(), and verdicts and jobs into lines. All [reactor].
 */
#ifndef OTD_STRATUM_SESSION_H
#define OTD_STRATUM_SESSION_H

#include "base/bytes.h"
#include "base/text.h"
#include "net/conn.h"
#include "stratum/agents.h"
#include "stratum/hosts.h"
#include "stratum/resume.h"
#include "stratum/stratum.h"
#include "stratum/vardiff.h"

#define OTD_SESSION_ID_MAX      64  /* bytes of a request's id, as it stands in the line */
#define OTD_SESSION_WORKERS     64  /* workers one connection may authorize */
#define OTD_SESSION_TARGETS     4   /* changes of difficulty remembered */
#define OTD_SESSION_REPEATS_MAX 255 /* times that one job is sent to one session */
#define OTD_SESSION_AGENT_MAX   64

struct otd_session;

/* What a dialect is. The second one is a second table of this kind. */
struct otd_dialect {
	const char *name;
	/* One line of the miner. */
	void (*line)(struct otd_session *s, struct otd_span line);
	/* Text that all sessions share, kept as job->front. NULL where memory ran out. */
	void *(*job_render)(const struct otd_job *job);
	void (*job_free)(void *rendered);
	/* Writes the job; repeat tells one sending of it from another. new_difficulty: its target
	   is not the one sent last. */
	void (*job_send)(struct otd_session *s, const struct otd_job *job, uint8_t repeat,
			 int64_t time_s, bool clean, const struct otd_u256 *new_target);
	/* The answer to request id into out. */
	void (*verdict)(struct otd_bytes *out, struct otd_span id, enum otd_share_verdict v);
	/* Of otd_session_authorize(); rc OTD_OK: yes. */
	void (*authorized)(struct otd_bytes *out, struct otd_span id, otd_rc rc,
			   struct otd_span reason);
	void (*reconnect)(struct otd_session *s, const char *host, uint16_t port, uint32_t wait_s);
	void (*show_message)(struct otd_session *s, const char *text);
	/* The bits that it may roll are others now. */
	void (*version_mask)(struct otd_session *s);
};

extern const struct otd_dialect otd_dialect_v1; /* v1/dialect.c */

/* What went wrong lately, for policy. */
struct otd_tally {
	int64_t since_ms;
	uint32_t count[OTD_OFFENCE_KINDS];
};

struct otd_session_worker {
	char *user; /* as the miner writes it; NULL: as ACCOUNT.NAME of worker */
	struct otd_pool_worker *worker;
	struct otd_tally *tally;    /* NULL: nothing yet */
	struct otd_rig *rig;        /* budget.h; NULL: nothing of it was refused */
	uint32_t accepted, refused; /* of this connection; counted where there is policy */
};

/* A request whose answer is not written yet, or waits for one before it. */
struct otd_answer {
	uint64_t since_ns; /* when its line came */
	uint8_t *text;     /* ready made; NULL: made of verdict */
	uint32_t text_len;
	uint8_t state; /* enum otd_answer_state */
	uint8_t verdict;
	uint8_t id_len;
	uint8_t is_share;
	char id[OTD_SESSION_ID_MAX];
};

enum otd_answer_state { OTD_ANSWER_WAITS = 0, OTD_ANSWER_VERDICT = 1, OTD_ANSWER_TEXT = 2 };

/* From this sending of a job on (order * 256 + repeat) shares are judged by target. */
struct otd_session_target {
	uint64_t from;
	struct otd_u256 target;
};

/* A port; it stays where it is as long as the server lives. */
struct otd_port {
	struct otd_stratum_port conf; /* first: sessions point to it */
	char scheme[64];
	uint32_t revision; /* counts changes of its difficulty */
};

struct otd_session {
	struct otd_stratum *st;
	struct otd_conn *conn; /* NULL: gone, only verdicts are awaited */
	const struct otd_dialect *dialect;
	const struct otd_stratum_port *port; /* of a struct otd_port */
	uint32_t port_revision;              /* that its difficulty follows */
	struct otd_session *prev, *next;     /* of all */
	size_t place;                        /* in st->open */
	struct otd_ticket ticket;
	bool has_ticket;
	bool tls;

	bool subscribed, closing, paused, leaving;
	bool job_due; /* the first job follows an answer that is not written yet */
	bool has_extranonce1;
	uint8_t extranonce1[OTD_JOB_EXTRANONCE1_MAX];
	uint32_t version_mask; /* as it was told last; 0: none */
	uint32_t asked_mask;   /* the bits that it can roll; 0: it does not */
	uint32_t bad_lines;
	uint64_t line_ns; /* when the line in hand came */
	int64_t opened_ms;
	const char *agent; /* agents.h; NULL: not told */

	struct otd_session_worker *workers;
	uint32_t n_workers;

	/* answers: a ring from head to tail; cap is a power of two, 0 while there are none: an idle
	   session has no ring */
	uint32_t answers_cap;
	struct otd_answer *answers;
	uint64_t head, tail;
	uint32_t outstanding; /* verdicts and address checks that will still come back */

	uint32_t n_targets;                 /* at most OTD_SESSION_TARGETS */
	struct otd_session_target *targets; /* as many; NULL: none */
	struct otd_vardiff vardiff;
	/* resume.c */
	uint64_t resume_id;           /* 0: it cannot be resumed */
	struct otd_resume_move *move; /* NULL: it is not on its way to another reactor */
	bool resume_failed;           /* it was looked for in vain */
	bool resumed;                 /* its miner has not been told its difficulty here */
	uint64_t sent_order;          /* of the job sent last; 0: none */
	int64_t sent_ms;
	uint32_t sent_repeat;

	/* policy.c */
	struct otd_host *host;    /* NULL: not counted */
	struct otd_tally *tally;  /* of no worker; NULL: nothing yet */
	int64_t difficulty_ms;    /* when scripts were asked last; 0: not yet */
	int64_t steer_ms;         /* how long the window was that the host would steer by, */
	int64_t steer_shares;     /* and its shares */
	uint32_t policy_revision; /* of the scripts that were asked */
	bool policy_fixed;        /* a script has fixed its difficulty */
};

/* Jobs on their way to the sessions of a pool. */
struct otd_broadcast {
	uint64_t order; /* of the job */
	size_t cursor;
	bool active, clean;
	bool gone; /* the pool is out of the settings */
	size_t sessions;
	int64_t began_ns;
};

struct otd_stratum {
	struct otd_stratum_conf conf;
	struct otd_env *env;
	struct otd_conns *conns;
	struct otd_doors *doors; /* of accept.c; NULL: there was none on a port with TLS yet */
	struct otd_session *all;
	struct otd_session **open; /* those with a connection */
	size_t n_open, cap_open;
	_Atomic size_t sessions;
	struct otd_port **ports; /* by number */
	size_t n_ports;
	struct otd_broadcast *broadcasts; /* by pool; OTD_POOLS_MAX of them */
	size_t n_pools;
	bool slice_posted, draining, drained_told;
	struct otd_timer *timer;
	size_t tick_cursor;
	struct otd_bytes scratch; /* one answer at a time */
	struct otd_agents agents;
	struct otd_resume resume;
	struct otd_answer
		*spare_answers; /* rings of the least size that nobody uses; n_spare_answers */
	uint32_t n_spare_answers;
	struct {
		bool on, told;
		struct otd_timer *timer;
		size_t cursor;
	} freeze; /* freeze.c */
	/* The decimal written last: sessions mostly get the one that others got. */
	struct {
		struct otd_u256 target, diff1;
		char text[OTD_DIFFICULTY_TEXT];
	} difficulty;
	/* When the journal was seen to move last, by who asked after our health. */
	struct {
		uint64_t durable;
		int64_t since_ms;
	} health;
	struct otd_metric *m_sessions, *m_latency, *m_malformed, *m_spread, *m_policy_skipped;
	struct {
		struct otd_hosts hosts;
		uint32_t revision; /* counts changes of scripts */
		uint64_t second_ns, began_ns, spent_ns;
	} policy;
	struct otd_budget budget;
	struct otd_metric *m_budget[OTD_BUDGET_BAN + 1]; /* by step */
};

/* --- for dialects --- */

/* The reactor's pool of a session. */
static inline const struct otd_reactor_pool *otd_session_pool(const struct otd_session *s)
{
	return otd_reactor_pool(s->st->conf.reactor, s->port->pool);
}

/* Difficulty 1 of its algorithm. */
struct otd_u256 otd_session_diff1(const struct otd_session *s);
int64_t otd_session_now_ms(const struct otd_session *s); /* monotonic */

/* Answers request id with text (a whole line), after the answers before it. */
void otd_session_answer(struct otd_session *s, const void *text, size_t n);
/* A line that answers nothing. */
void otd_session_notice(struct otd_session *s, const void *text, size_t n);
/* A line of n bytes that was no share of the usual shape: it cost a parser's work. */
void otd_session_parsed(struct otd_session *s, size_t n);
/* A line that is none of the dialect's, as bad as so many of them; closes after too many. False: it is
   closed. */
bool otd_session_bad_line(struct otd_session *s, uint32_t times);
void otd_session_close(struct otd_session *s, const char *reason);

/* OTD_OK: it has an extranonce1 and gets work. OTD_E_NOMEM: none is free. agent may be empty. */
otd_rc otd_session_subscribe(struct otd_session *s, struct otd_span agent);
/* Sends work now, where it is subscribed and there is any; after its answer is written. */
void otd_session_first_job(struct otd_session *s);
/* Answered by dialect->authorized(). user: ACCOUNT[.NAME]. */
void otd_session_authorize(struct otd_session *s, struct otd_span id, struct otd_span user,
			   struct otd_span password);
/* NULL: not authorized on this connection. */
struct otd_pool_worker *otd_session_worker(const struct otd_session *s, struct otd_span user);
/* Refuses a share without asking the reactor. */
void otd_session_refuse(struct otd_session *s, struct otd_span id, struct otd_pool_worker *w,
			enum otd_share_verdict v);
/* Fills client, request, pool, extranonce1, mask and target, and hands it in. */
void otd_session_submit(struct otd_session *s, struct otd_span id, struct otd_submit *sub,
			uint8_t repeat);
/* The miner asks for a difficulty, or for one no easier. */
void otd_session_suggest(struct otd_session *s, struct otd_u256 target);
void otd_session_floor(struct otd_session *s, struct otd_u256 target);

/* --- for the server --- */

struct otd_session *otd_session_create(struct otd_stratum *st, const struct otd_stratum_port *port,
				       const struct otd_ticket *ticket);
void otd_session_destroy(struct otd_session *s);
/* Lets go of its ring of answers where nothing waits: a small one, or of any size. */
void otd_session_ring_idle(struct otd_session *s, bool of_any_size);
void otd_stratum_rings_finish(struct otd_stratum *st);
/* Its connection is gone: destroyed now or with the last verdict. */
void otd_session_gone(struct otd_session *s);
void otd_session_send_job(struct otd_session *s, struct otd_job *job, bool clean);
/* The newest job again, with the time of now and the difficulty wanted now. */
void otd_session_send_again(struct otd_session *s);
/* By what a share of this sending (order of the job * 256 + repeat) is judged. */
struct otd_u256 otd_session_target(const struct otd_session *s, uint64_t sending);
/* From sending on, target: behind those that are there. Where memory is out, the newest of them is
   made no harder. */
void otd_session_target_add(struct otd_session *s, uint64_t sending, struct otd_u256 target);
/* How the miner of w writes its name, of len bytes, in buf or not. */
#define OTD_SESSION_USER_MAX (OTD_WORKER_ACCOUNT_MAX + OTD_WORKER_NAME_MAX + 2)
struct otd_span otd_session_user(const struct otd_session_worker *w,
				 char buf[OTD_SESSION_USER_MAX]);
/* Sets how it does; NUL does not occur in it. OTD_E_NOMEM. */
otd_rc otd_session_set_user(struct otd_session_worker *w, struct otd_span user);
/* An accepted share, judged by target: its pace may change the difficulty. */
void otd_session_paced(struct otd_session *s, struct otd_u256 target);
/* A change that the miner should know of now: where it was sent work already, that work again. */
void otd_session_target_changed(struct otd_session *s);
void otd_session_tick(struct otd_session *s, int64_t now_ms);
void otd_session_verdict(struct otd_session *s, const struct otd_verdict *v);
void otd_session_auth_answer(struct otd_session *s, uint64_t request, otd_rc rc,
			     struct otd_span account, struct otd_span reason);

/* --- session_ban.c --- */
/* Whether this worker may not come in; why is the text for its miner. */
bool otd_session_banned(const struct otd_session *s, struct otd_span account, struct otd_span name,
			char why[OTD_BAN_TEXT]);
/* Tells and closes the sessions that this ban is about. */
void otd_stratum_ban(struct otd_stratum *st, const struct otd_ban *ban);

/* --- session_budget.c --- */
otd_rc otd_stratum_budget_init(struct otd_stratum *st);
bool otd_session_out_of_budget(const struct otd_session *s, const struct otd_session_worker *w);
/* Another reactor has said this of a worker. */
void otd_stratum_budget_heard(struct otd_stratum *st, uint32_t from,
			      const struct otd_budget_word *w);
/* A share of a worker (NULL: of none) was refused: it is told, closed or kept out where there are too many. */
void otd_session_budget(struct otd_session *s, struct otd_session_worker *w,
			enum otd_share_verdict v);
/* Whether this worker is kept out here; why is for its miner. */
bool otd_session_kept_out(struct otd_session *s, struct otd_span account, struct otd_span name,
			  char *why, size_t cap);

/* --- change.c --- */
otd_rc otd_stratum_port_create(struct otd_port **out, const struct otd_stratum_port *conf);
otd_rc otd_stratum_ports_check(const struct otd_stratum_port *ports, size_t n, struct otd_err *err);
void otd_stratum_limits_default(struct otd_stratum_limits *l);
struct otd_conn_conf otd_stratum_conn_conf(const struct otd_stratum_limits *l);
void otd_stratum_limit(struct otd_stratum *st, const struct otd_stratum_limits *l);
/* Pools that are gone, and whose last session is. */
void otd_stratum_retire_pools(struct otd_stratum *st);

/* --- accept.c --- */
/* A session on this stream, attached to no loop; policy is not asked. NULL: the stream is closed, its ticket
   ended. The filter of from is taken in any case. */
struct otd_session *otd_stratum_open(struct otd_stratum *st, struct otd_stream *stream,
				     uint32_t port, const struct otd_ticket *ticket,
				     const struct otd_conn_origin *from);
/* Its pieces: room for one more, into the list of all, into that of those with a connection. */
otd_rc otd_stratum_open_room(struct otd_stratum *st);
void otd_stratum_enlist(struct otd_stratum *st, struct otd_session *s);
void otd_stratum_open_one(struct otd_stratum *st, struct otd_session *s);
/* The place of a connection goes back to the gate. ticket may be NULL. */
void otd_stratum_ended(struct otd_stratum *st, const struct otd_ticket *ticket);
/* Who has not said a byte yet is sent away. */
void otd_stratum_doors_clear(struct otd_stratum *st);

/* freeze.c: for the reactor's front. */
void otd_stratum_freeze(void *st, bool on);

/* Out of otd_stratum: takes the session from the lists, ends its ticket. */
void otd_stratum_forget(struct otd_stratum *st, struct otd_session *s);

#endif
