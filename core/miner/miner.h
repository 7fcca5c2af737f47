/*
 * The other side of the wire: a client of a Stratum V1 pool that mines with hw plugins. One miner
 * talks to one pool at a time and fails over along its list. It lives on one loop; each unit of a
 * device has a thread of its own, which hands its results back by post.
 *
 *     otd_miner_create -> otd_miner_start -> (loop runs; events) -> otd_miner_destroy
 *
 * All functions here: on the loop given at create, or before it runs. [coordinator]
 */
#ifndef OTD_MINER_MINER_H
#define OTD_MINER_MINER_H

#include "base/env.h"
#include "plugin/plugin.h"

struct otd_miner;

enum otd_miner_state {
	OTD_MINER_STOPPED = 0,
	OTD_MINER_CONNECTING = 1,
	OTD_MINER_GREETING = 2, /* connected: configure, subscribe, authorize under way */
	OTD_MINER_MINING = 3,   /* authorized; has a job or waits for its first */
	OTD_MINER_WAITING = 4,  /* disconnected; tries again at once or after its back-off */
	OTD_MINER_NO_DEVICE = 5 /* every unit has failed: it goes on only after a new start */
};

enum otd_miner_event_kind {
	OTD_MINER_CONNECTED = 1, /* TCP stands, and TLS where it is wanted; text: host:port */
	OTD_MINER_DISCONNECTED,  /* text: why, and when it tries again */
	OTD_MINER_AUTHORIZED,
	OTD_MINER_UNAUTHORIZED, /* the pool does not take the user; text: its words */
	OTD_MINER_NEW_JOB,      /* text: job id; clean says whether older work is worthless */
	OTD_MINER_DIFFICULTY,   /* text: the number as the pool wrote it */
	OTD_MINER_ACCEPTED,     /* a share; latency_ms is set */
	OTD_MINER_REFUSED,      /* a share; code and text as the pool gave them */
	OTD_MINER_MESSAGE,      /* client.show_message; text is the pool's, printable only */
	OTD_MINER_FAILOVER,     /* goes to another pool of the list; text: its URL */
	OTD_MINER_DEVICE,       /* a unit could not be opened or has failed; text: why */
	OTD_MINER_PROTOCOL      /* the pool sent something we cannot use; text: what */
};

struct otd_miner_event {
	enum otd_miner_event_kind kind;
	uint32_t pool; /* index into urls */
	int32_t code;  /* REFUSED: 20 to 25 or what else the pool says; 0: none given */
	bool clean;    /* NEW_JOB */
	int64_t latency_ms;
	const char *text; /* for the length of the call, one line, never NULL */
};

/*
 * Whom stratum+ssl:// believes: by default a certificate for the name in the URL, in its time, signed by an
 * authority that the system knows. At most one of the three is given.
 */
#define OTD_MINER_PINS_MAX 16u
struct otd_miner_trust {
	struct otd_span ca;  /* PEM: these authorities instead of the system's; ptr NULL: none */
	const char *ca_file; /* for messages only */
	const char *const *pins; /* SHA-256 of certificates, in hex: these and no others, whatever
				    name and time stand in them */
	size_t n_pins;
	bool insecure; /* whatever the pool shows: anybody on the way can be the pool */
};

struct otd_miner_conf {
	struct otd_plugin_instance *algo; /* outlives the miner */
	struct otd_plugin_instance *const *hw;
	size_t n_hw;
	uint32_t threads; /* units to open, over all devices; 0: all there are */
	/* stratum+tcp://HOST:PORT, or HOST:PORT; stratum+ssl:// or stratum+tls:// over TLS; the first
	   is preferred */
	const char *const *urls;
	size_t n_urls;                /* at most 16 */
	const char *user;             /* ADDRESS.worker */
	const char *password;         /* NULL: "x" */
	const char *agent;            /* NULL: "otedama/VERSION" */
	struct otd_miner_trust trust; /* of pools over TLS */
	uint32_t version_mask;  /* bits we offer to roll; 0: 1fffe000. ~0u: none, no configure */
	uint32_t failures;      /* in a row before the next pool is tried; 0: 3 */
	int64_t retry_min_ms;   /* first back-off, doubles; 0: 1 s */
	int64_t retry_max_ms;   /* 0: 30 s */
	int64_t answer_ms;      /* the pool answers a request within this; 0: 15 s */
	int64_t silence_ms;     /* a pool that says nothing for so long is left; 0: 120 s */
	int64_t first_again_ms; /* on another pool, looks for the first this often; 0: 60 s */
	/* Called on the loop; may call otd_miner_stats and _stop, not _destroy. May be NULL. */
	void (*event)(void *arg, const struct otd_miner_event *ev);
	void *arg;
};

/* Copies what it needs of conf but the instances. Nothing connects yet; devices are not open. */
otd_rc otd_miner_create(struct otd_miner **out, struct otd_loop *l,
			const struct otd_miner_conf *conf, struct otd_err *err);
/* Opens devices and connects. OTD_E_NOT_FOUND: no device. */
otd_rc otd_miner_start(struct otd_miner *m, struct otd_err *err);
/* Sends no more shares; done(arg) once each one that was sent has its answer, or none came for
   answer_ms. Once; it may be called from within an event, done may be called before it returns. */
void otd_miner_finish(struct otd_miner *m, otd_fn done, void *arg);
/* Says goodbye to the pool and ends the device threads; waits for them (some 100 ms). */
void otd_miner_stop(struct otd_miner *m);
/* Stops first where need be. Takes NULL. Not from within an event. */
void otd_miner_destroy(struct otd_miner *m);

#define OTD_MINER_REASONS 12
struct otd_miner_stats {
	enum otd_miner_state state;
	uint32_t pool;      /* index of the pool in use */
	const char *url;    /* of it; lives as long as the miner */
	uint32_t units;     /* device threads at work */
	uint64_t hashes;    /* since start */
	int64_t elapsed_ms; /* since start */
	/* Hashes and time of the last 10 s and 60 s: otd_format_hashrate(hashes_10s, ms_10s). */
	uint64_t hashes_10s, hashes_60s;
	int64_t ms_10s, ms_60s;
	uint64_t found;    /* shares that devices found */
	uint64_t accepted; /* by the pool */
	uint64_t refused;
	uint64_t stale;   /* found for a job that was already worthless: not sent */
	uint64_t unknown; /* sent, and the connection went before the answer */
	uint64_t blocks;  /* of the accepted: met the network target too, as far as nbits says */
	otd_u128 accepted_work;
	uint64_t jobs, connects;
	int64_t last_accepted_ms; /* ago; -1: never */
	char difficulty[40];      /* of the job in work, as the pool wrote it; "" without one */
	char job[64];
	uint32_t n_reasons;
	struct {
		int32_t code;
		char text[64];
		uint64_t n;
	} reason[OTD_MINER_REASONS]; /* of refused; the last one gathers what found no room */
};
void otd_miner_stats(struct otd_miner *m, struct otd_miner_stats *out);
/* "connecting", "mining", ... */
const char *otd_miner_state_name(enum otd_miner_state s);

#endif
