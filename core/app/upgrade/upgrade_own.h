/* An upgrade as P1 keeps it: app_upgrade.c, upgrade_save.c and upgrade_hand.c. */
#ifndef OTD_APP_UPGRADE_OWN_H
#define OTD_APP_UPGRADE_OWN_H

#include "app/upgrade/upgrade.h"

enum otd_upgrade_stage {
	OTD_UPGRADE_OVER, /* given up; freed in the next round */
	OTD_UPGRADE_CHECKING,
	OTD_UPGRADE_FREEZING, /* answers and their commits are awaited */
	OTD_UPGRADE_FLUSHING, /* and then accounting; up to here there is a way back */
	OTD_UPGRADE_LAST,     /* a payment under way has a moment */
	OTD_UPGRADE_LEAVING   /* the loop has stopped */
};

struct otd_upgrade {
	struct otd_app *app;
	enum otd_upgrade_stage stage;
	int client; /* who asked, and waits; -1: nobody */
	char file[4096];
	int64_t wait_ms, began_ms, frozen_ms, last_ms;
	struct otd_worker *worker;
	struct otd_timer *timer;
	struct otd_heir_child child;
	struct otd_upgrade_hello hello;
	struct otd_err err;
	_Atomic bool stop;
	bool flushed, payer_quiet;
	/* what is handed over; descriptors of listeners first */
	struct otd_bytes image;
	struct otd_image_fds fds;
	size_t n_listeners, n_sessions;
	struct otd_bytes doors; /* their records; they come behind all sessions */
	struct otd_image_fds door_fds;
	struct otd_image_fds
		told; /* sent away with a last word, which they may not have read yet */
	int lock_fd;
	struct otd_program program;
};

/* Waits for the HELLO of one that was started. [any-thread] */
otd_rc otd_upgrade_meet(struct otd_heir_child *child, struct otd_upgrade_hello *hello,
			int64_t wait_ms, const _Atomic bool *stop, struct otd_err *err);

/* upgrade_told.c: no more is said to them; and they are closed, each when its peer has done so, or soon. */
void otd_upgrade_told_all(const struct otd_upgrade *u);
void otd_upgrade_close_told(struct otd_upgrade *u);
/* upgrade_doors.c: adds the part, and its descriptors to all. False: there is no memory. */
bool otd_upgrade_put_doors(struct otd_upgrade *u);
/* In P2, once there is no way back: lets them in. fd: n_doors descriptors, taken. pool_now as of
   otd_coordinator_load(). How many. */
size_t otd_upgrade_load_doors(struct otd_app *app, const struct otd_upgrade_image *image, int *fd,
			      uint32_t (*pool_now)(void *arg, uint32_t was), void *arg);

#endif
