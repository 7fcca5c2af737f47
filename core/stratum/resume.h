/*
 * Sessions that resume: a miner whose connection was lost says the id that mining.subscribe gave it, and
 * gets its extranonce1 and difficulty again, so that what it worked on meanwhile is worth something.
 * Inside of core/stratum. [reactor]
 *
 * An id is the number of the reactor and 64 random bits. It is good once: whoever resumes gets a new one, so
 * of two that claim the same the first has it. A session that still stands gives way, as one does whose
 * miner lost its way to us. The hashes that were accepted are known to the reactor of before, so a
 * connection that came in elsewhere is taken there, between two lines.
 *
 * Between end and resumption an extranonce1 is nobody else's. Over a restart its hashes go along
 * (otd_stratum_resume_save()), so that no share is counted by both.
 */
#ifndef OTD_STRATUM_RESUME_H
#define OTD_STRATUM_RESUME_H

#include "base/map.h"
#include "base/pack.h"
#include "stratum/stratum.h"

#define OTD_RESUME_TEXT 18    /* characters of an id */
#define OTD_RESUME_MAX  65536 /* sessions that one reactor keeps; the oldest give way */

struct otd_session;
struct otd_resume_kept;
struct otd_resume_move;

/* What a server keeps. Zeroed is empty. */
struct otd_resume {
	struct otd_map *map;                  /* id -> struct otd_resume_kept; NULL: none yet */
	struct otd_resume_kept *first, *last; /* the first ends first */
	size_t n;
	int64_t looked_ms; /* second in which sessions that stand were searched, and how often */
	uint32_t looks;
	_Atomic uint32_t leaving; /* connections on their way to other reactors */
	struct otd_metric *m_resumed, *m_moved;
};

enum otd_resume_result {
	OTD_RESUME_NO = 0, /* nobody knows this id: a new session */
	OTD_RESUME_YES = 1,
	OTD_RESUME_MOVES = 2 /* not to be answered here */
};

void otd_resume_init(struct otd_stratum *st);
void otd_resume_finish(struct otd_stratum *st);
/* Gives s, which is about to subscribe, what the session of id had. line: the request as it came. */
enum otd_resume_result otd_session_resume(struct otd_session *s, struct otd_span id,
					  struct otd_span line);
/* Its id from now on, for its miner. Returns to; "" where it cannot be resumed. */
const char *otd_session_resume_id(struct otd_session *s, char to[OTD_RESUME_TEXT + 1]);
/* At its end: true: its extranonce1 is kept. */
bool otd_session_keep(struct otd_session *s);
/* resume_move.c: takes its connection to another reactor, where the request is read again. False: it cannot
   go. */
bool otd_session_move(struct otd_session *s, uint32_t reactor, struct otd_span line);
/* It ends on the way there. */
void otd_session_move_end(struct otd_session *s);
/* Those whose time is over. */
void otd_resume_tick(struct otd_stratum *st, int64_t now_ms);
/* A pool that has gone. */
void otd_resume_forget_pool(struct otd_stratum *st, uint32_t pool);

#endif
