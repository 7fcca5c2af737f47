/*
 * Sessions that may be resumed, over an orderly end and the next start: DATA_DIR/sessions.bin, with the hashes
 * that were accepted on the tips of then, so that a miner which comes back can have no share counted again.
 * After any other end there is no such file, and miners get new sessions.
 */
#ifndef OTD_APP_APP_SESSIONS_H
#define OTD_APP_APP_SESSIONS_H

#include "app/app.h"

#define OTD_SESSIONS_FILE_MAX \
	(1u << 26) /* bytes, some four million hashes; beyond it nothing is kept */

/* The loops of all reactors have stopped; they and their servers are there. */
void otd_app_sessions_save(struct otd_app *app);
/* Before loops run: takes the file in, and away. */
void otd_app_sessions_load(struct otd_app *app);

#endif
