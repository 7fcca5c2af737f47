/*
 * otedama upgrade: the running process P1 hands its listening sockets, connections with their sessions, work
 * and the lock of data_dir to a new one, P2, that it has started.
 *
 *     P1 [serves]    starts P2 (loop/heir.h)       P2 reads settings, loads and tries plugins
 *                                           <----- HELLO: what it is, and understands
 *        [freezes]   answers what came, accounting into SQL, everything is torn down but descriptors
 *                    TAKE (image, lock), FDS.. --> each packet is acknowledged
 *                                                  P2 opens data_dir, takes sessions in; nothing runs yet
 *                                           <----- LOADED
 *                    GO, and ends --------------->  P2 serves
 *
 * Until GO no byte of a client was read by P2, so P1 may take all of it back: where P2 says FAILED, dies or
 * says nothing for too long, P1 starts its own program as the heir, with the settings that are in force here:
 * their file may say something else by now, which nobody has tried. P2 takes the end of P1 for GO: P1 ends
 * P2 before it starts another.
 */
#ifndef OTD_APP_UPGRADE_H
#define OTD_APP_UPGRADE_H

#include "app/app.h"
#include "loop/heir.h"
#include "stratum/image.h"

#define OTD_UPGRADE_OPTION "--take-over" /* of serve: it was started as an heir */
#define OTD_UPGRADE_BACK \
	"--take-back" /* the same, of this very program, with its settings: SETTINGS */
/* The form of all but sessions' records: 1 had no OTD_UPGRADE_DOORS, and takes no descriptors of them. */
#define OTD_UPGRADE_IMAGE     2
#define OTD_UPGRADE_DOORS_IN  2
#define OTD_UPGRADE_WAIT_MS   30000
#define OTD_UPGRADE_FREEZE_MS 5000 /* for answers and commits; then all goes on as before */

/* --- packets: upgrade_wire.c --- */

enum otd_upgrade_word {
	OTD_UPGRADE_HELLO = 1,
	OTD_UPGRADE_FAILED = 2,
	OTD_UPGRADE_ACK = 3,
	OTD_UPGRADE_LOADED = 4,
	OTD_UPGRADE_TAKE = 16,
	OTD_UPGRADE_FDS = 17,
	OTD_UPGRADE_GO = 18,
	OTD_UPGRADE_SETTINGS =
		19 /* before HELLO: what is in force, as memory (config/settings_image.h) */
};

struct otd_upgrade_hello {
	char version[64];
	uint32_t image, image_oldest;   /* forms that it writes, and reads from */
	uint32_t record, record_oldest; /* the same of sessions */
	int64_t schema;                 /* of the database, that it wants */
	uint64_t folder[2];             /* data_dir: device and number; zeros: not there */
};
/* data_dir may be NULL: none. */
void otd_upgrade_hello_own(struct otd_upgrade_hello *h, const char *data_dir);
void otd_upgrade_hello_write(struct otd_bytes *out, const struct otd_upgrade_hello *h);
otd_rc otd_upgrade_hello_read(struct otd_upgrade_hello *h, struct otd_span from,
			      struct otd_err *err);
/* Whether ours may hand over to theirs; why not and what to do instead, in words. */
otd_rc otd_upgrade_fits(const struct otd_upgrade_hello *ours,
			const struct otd_upgrade_hello *theirs, struct otd_err *err);

/* --- the image: upgrade_image.c --- */

/* Parts one behind the other: kind (32 bits), length (64), bytes. A reader leaves kinds that it does not know. */
enum otd_upgrade_part {
	OTD_UPGRADE_META = 1,
	OTD_UPGRADE_POOLS = 2,
	OTD_UPGRADE_LISTENERS = 3,
	OTD_UPGRADE_COORDINATOR = 4,
	OTD_UPGRADE_REACTOR = 5,
	OTD_UPGRADE_SESSIONS = 6,
	OTD_UPGRADE_KEPT = 7, /* sessions that may be resumed */
	OTD_UPGRADE_DOORS = 8 /* who has not sent a first byte: struct otd_door_record */
};
void otd_upgrade_image_begin(struct otd_bytes *out);
size_t otd_upgrade_part_begin(struct otd_bytes *out, enum otd_upgrade_part kind);
void otd_upgrade_part_end(struct otd_bytes *out, size_t begun);
/* After otd_upgrade_image_start(): the next part; false at the end, in->failed where it is cut short. */
otd_rc otd_upgrade_image_start(struct otd_unpack *in, struct otd_span image, struct otd_err *err);
bool otd_upgrade_part_next(struct otd_unpack *in, uint32_t *kind, struct otd_unpack *part);

struct otd_upgrade_meta {
	char version[64];   /* of the program that wrote it */
	int64_t frozen_ms;  /* monotonic: since then nobody was answered */
	int64_t started_ms; /* wall clock: of the first program */
	uint32_t times;     /* that it was upgraded before */
	uint32_t n_fds;     /* all descriptors: of listeners, of sessions, of doors */
	uint32_t n_reactors;
};

#define OTD_UPGRADE_REACTORS_MAX 64

/* What P2 makes of it; spans lie in the image. */
struct otd_upgrade_image {
	struct otd_upgrade_meta meta;
	struct otd_upgrade_pool {
		char name[65], coin[65], network[33];
		uint32_t extranonce1_len, extranonce2_len;
	} * pools;
	size_t n_pools;
	struct otd_upgrade_listener {
		char host[65];
		uint16_t port;
	} * listeners;
	size_t n_listeners;
	struct otd_span coordinator; /* empty: there was no work */
	struct otd_upgrade_reactor {
		struct otd_span *pools; /* n_pools of the image */
		struct otd_span sessions, kept;
		uint32_t n_sessions;
	} reactors[OTD_UPGRADE_REACTORS_MAX];
	size_t n_sessions;
	struct otd_span doors; /* n_doors records */
	size_t n_doors;
	uint8_t kept_epochs[4096 / 8]; /* low bits of epochs whose extranonce1s are in use */
};
otd_rc otd_upgrade_image_read(struct otd_upgrade_image *to, struct otd_span image,
			      struct otd_err *err);
void otd_upgrade_image_finish(struct otd_upgrade_image *i);
bool otd_upgrade_epoch_kept(const struct otd_upgrade_image *i, uint64_t epoch);
/* Which of n reactors session number k of reactor from goes to; and whether reactor to gets the work of from. */
uint32_t otd_upgrade_reactor_of(uint32_t from, uint32_t n_before, uint32_t k, uint32_t n);
bool otd_upgrade_reactor_serves(uint32_t to, uint32_t n, uint32_t from, uint32_t n_before);

/* --- P1 --- */

struct otd_upgrade; /* app_upgrade.c */

/* app_upgrade.c: "upgrade WAIT_MS [FILE]" */
void otd_app_upgrade_request(struct otd_app *app, struct otd_control_request *r, const char *words);
/* Whether one is under way. */
bool otd_app_upgrade_busy(const struct otd_app *app);
/* It is given up: the pool ends. */
void otd_app_upgrade_cancel(struct otd_app *app);
/* Everything is frozen and in SQL: the loop has stopped for the hand-over. */
bool otd_app_upgrade_leaves(const struct otd_app *app);
/* Within otd_app_stop(), where it leaves: takes what is to be handed over. */
void otd_app_upgrade_save_listeners(
	struct otd_app *app); /* before they go; and what pools there are */
void otd_app_upgrade_save_reactor(struct otd_app *app, size_t i); /* its thread has ended */
void otd_app_upgrade_save_coordinator(struct otd_app *app);
void otd_app_upgrade_save_lock(struct otd_app *app);
/* upgrade_doors.c: who has not sent a first byte, of a listener and of a reactor. */
void otd_app_upgrade_save_listener_doors(struct otd_app *app, size_t i);
void otd_app_upgrade_save_reactor_doors(struct otd_app *app, size_t i);
void otd_app_upgrade_release(struct otd_app *app); /* its timer and thread, before the loop goes */
/* Without a hand-over: frees it. */
void otd_app_upgrade_free(struct otd_app *app);
/* After otd_app_stop(): to P2, or to a program as this one. Exit status. Takes app->upgrade. */
int otd_app_upgrade_hand_over(struct otd_app *app);

/* --- P2: upgrade_heir.c --- */

struct otd_heir;
/* One that was started by OTD_UPGRADE_BACK: the settings that were in force, into app->settings. Blocks. */
otd_rc otd_heir_settings(struct otd_app *app, struct otd_err *err);
/* A reload has read the file: its settings are in force. */
void otd_heir_file_was_read(struct otd_app *app);
/* For people: that the settings in force are those of before an upgrade that failed. "": they are not. */
const char *otd_heir_trouble(struct otd_app *app);
/* Settings are read. Checks, says HELLO and waits for the image; blocks. */
otd_rc otd_heir_prepare(struct otd_app *app, struct otd_err *err);
/* The lock that came with it; -1: this is no heir, or it was taken. */
int otd_heir_lock(struct otd_app *app);
/* Whether no session that comes has an extranonce1 of this epoch. */
bool otd_heir_epoch_is_free(const struct otd_app *app, uint64_t epoch);
/* The socket that listens there; -1: none came. */
int otd_heir_listener(struct otd_app *app, const char *host, uint16_t port);
/* Chains, coordinator, reactors, gate and listeners are there and do not run: work and sessions. */
otd_rc otd_heir_load(struct otd_app *app, struct otd_err *err);
/* Says LOADED and waits for GO. From then on all of it is ours. */
otd_rc otd_heir_go(struct otd_app *app, struct otd_err *err);
/* Says why this is no good, where the other end waits for it; also where there is no heir yet. */
void otd_heir_fail(struct otd_app *app, const struct otd_err *err);
/* Closes what was not used. */
void otd_heir_finish(struct otd_app *app);
/* For status: "," and what is known of the last upgrade; nothing where there was none. */
void otd_heir_status(const struct otd_app *app, struct otd_bytes *json);

#endif
