/*
 * Sessions as bytes, for another process that goes on with their connections ("otedama upgrade"). A record
 * is one session: behind its length stands a version, then members in a fixed order, and members are only
 * ever added at the end. So a reader leaves what it does not know, and gives what an older writer did not
 * know its value of before. Only where that is not enough OTD_SESSION_RECORD_OLDEST is raised.
 */
#ifndef OTD_STRATUM_IMAGE_H
#define OTD_STRATUM_IMAGE_H

#include "base/pack.h"
#include "net/door.h"
#include "pool/image.h"
#include "stratum/stratum.h"
#include "stratum/vardiff.h"

#ifndef OTD_SESSION_RECORD
#define OTD_SESSION_RECORD 1 /* that we write */
#endif
#define OTD_SESSION_RECORD_OLDEST 1 /* that we read */

#define OTD_SESSION_RECORD_TARGETS 16
#define OTD_SESSION_RECORD_HOST    64

enum otd_session_flag {
	OTD_SESSION_SUBSCRIBED = 1u << 0,
	OTD_SESSION_EXTRANONCE = 1u << 1, /* it has an extranonce1 */
	OTD_SESSION_JOB_DUE = 1u << 2,
	OTD_SESSION_HAD_LINE = 1u << 3,
	OTD_SESSION_POLICY_FIXED = 1u << 4,
	OTD_SESSION_VARDIFF_FIXED = 1u << 5
};

/* Spans point into the bytes that it was read from. Times are of the monotonic clock, which processes of one
   machine share. */
struct otd_session_record {
	uint16_t version;
	uint32_t pool; /* its number in the process that wrote it */
	uint16_t port; /* on which it came in */
	char host[OTD_SESSION_RECORD_HOST];
	uint16_t peer_port;
	uint32_t flags; /* enum otd_session_flag */
	struct otd_span extranonce1;
	uint32_t version_mask, asked_mask, bad_lines;
	int64_t opened_ms;
	struct otd_span agent;
	struct otd_vardiff vardiff;
	uint8_t n_targets;
	struct {
		uint64_t from; /* order of a job * 256 + repeat, of the reactor that wrote it */
		struct otd_u256 target;
	} targets[OTD_SESSION_RECORD_TARGETS];
	uint64_t sent_order;
	uint32_t sent_repeat;
	int64_t sent_ms;
	uint16_t n_workers;
	struct otd_unpack workers; /* read by otd_session_record_worker() */
	struct otd_span in, out;   /* read and not yet looked at; written and not yet sent */
	uint64_t resume_id;        /* stratum/resume.h; 0: none */
};

struct otd_session_record_worker {
	struct otd_span user, account, name; /* as the miner wrote it; canonical; of the worker */
	uint64_t accepted, refused;
};

/* workers: n_workers records, one behind the other, as otd_session_record_add_worker() writes them. */
void otd_session_record_add_worker(struct otd_bytes *workers,
				   const struct otd_session_record_worker *w);
void otd_session_record_write(struct otd_bytes *out, const struct otd_session_record *r,
			      struct otd_span workers);
/* The next record. OTD_E_CORRUPT: it is none, or says what no session can have; OTD_E_VERSION. */
otd_rc otd_session_record_read(struct otd_session_record *r, struct otd_unpack *from,
			       struct otd_err *err);
/* False: there are no more, or it is cut short. */
bool otd_session_record_worker(struct otd_session_record *r, struct otd_session_record_worker *w);

/* --- all of a server; its loop has stopped, everything is answered --- */

struct otd_image_fds {
	int *fd;
	size_t n, cap;
};

/*
 * A record each into out, and its descriptor, in the same order, into fds. Sessions that cannot go (they are
 * closing, or TLS lies between) stay and end with the server; those with TLS have been told to connect again, and
 * their descriptors are in told: open until their peers have read that. Returns how many went.
 */
size_t otd_stratum_save(struct otd_stratum *st, struct otd_bytes *out, struct otd_image_fds *fds,
			struct otd_image_fds *told);

/*
 * Who has not said yet what it is (net/door.h), one record each: a proxy's connection without its header, or
 * one on a port with TLS without its first byte.
 */
struct otd_door_record {
	uint8_t kind;                       /* enum otd_door_kind */
	char listen[72];                    /* of a proxy's: the listener's address; else "" */
	uint32_t pool, reactor;             /* else: their numbers in the process that wrote it */
	uint16_t port;                      /* on which it came in */
	char host[OTD_SESSION_RECORD_HOST]; /* what a proxy has said already; "": nothing */
	uint16_t peer_port;
	int64_t until_ms;     /* monotonic */
	struct otd_span read; /* of a header */
};
/* Adds the record and the descriptor of this stream, which is taken. 1; 0: there is no memory, it is closed. */
size_t otd_door_record_add(struct otd_bytes *out, struct otd_image_fds *fds,
			   const struct otd_door_record *r, struct otd_env *e,
			   struct otd_stream *s);
otd_rc otd_door_record_read(struct otd_door_record *r, struct otd_unpack *from,
			    struct otd_err *err);
/* As otd_stratum_save(), for those who stand at its door. */
size_t otd_stratum_save_doors(struct otd_stratum *st, struct otd_bytes *out,
			      struct otd_image_fds *fds);

/* After it: sessions that may be resumed, those among them that stay. */
void otd_stratum_save_kept(struct otd_stratum *st, struct otd_bytes *out);
/* The extranonce1 of the next one of them; false at the end, or where it cannot be read. */
bool otd_stratum_kept_extranonce(struct otd_unpack *kept, struct otd_span *extranonce1);
/*
 * Before the loop runs, and after the jobs of before are there. pool_now(arg, was) is our number of a pool,
 * UINT32_MAX: it is gone; orders(arg, was) where its jobs stand now, NULL: they are gone. OTD_E_CORRUPT: what
 * comes from there on was left out. shift_ms: of our monotonic clock against that of before.
 */
otd_rc otd_stratum_load_kept(struct otd_stratum *st, struct otd_span kept, int64_t shift_ms,
			     uint32_t (*pool_now)(void *arg, uint32_t was), void *arg,
			     const struct otd_job_orders *(*orders)(void *arg, uint32_t was));

/*
 * Before the loop runs: the jobs of before are rendered, then sessions come in. fd is taken in any case. port:
 * our number of it. OTD_OK: it is a session here, its ticket too; else it is closed and the ticket not used.
 */
void otd_stratum_load_jobs(struct otd_stratum *st);
otd_rc otd_stratum_load(struct otd_stratum *st, int fd, uint32_t port,
			const struct otd_ticket *ticket, struct otd_session_record *r,
			const struct otd_job_orders *orders);

#endif
