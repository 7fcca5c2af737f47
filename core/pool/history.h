/*
 * Old counts of shares: rows of a minute become rows of an hour after some time, and those go after a
 * longer one. 10,000 workers make 0.8 GB of minutes a day and 14 MB of hours. A row of an hour is one of
 * its first minute. Nothing here is money.
 *
 * Each step is one transaction of a bounded number of rows, which takes rows away and adds their sums:
 * whatever dies in between, a share is counted once. How far it is stands in meta, 'history_minute'.
 */
#ifndef OTD_POOL_HISTORY_H
#define OTD_POOL_HISTORY_H

#include "base/env.h"
#include "base/metrics.h"
#include "store/store.h"

struct otd_history;

struct otd_history_conf {
	struct otd_loop *loop;
	struct otd_store *store;
	int64_t minutes_ms;          /* rows of a minute are kept so long */
	int64_t hours_ms;            /* and those of an hour so long; not less than minutes_ms */
	int64_t every_ms;            /* between two looks; 0: 60000 */
	int64_t pause_ms;            /* between two steps of one look; 0: 200 */
	struct otd_metrics *metrics; /* NULL: none */
};

/* Begins at once. [coordinator] */
otd_rc otd_history_create(struct otd_history **out, const struct otd_history_conf *conf,
			  struct otd_err *err);
/* What is kept from now on; looks at once where that is new. [coordinator] */
void otd_history_keep(struct otd_history *h, int64_t minutes_ms, int64_t hours_ms);
/* Before the store goes. Takes NULL. [coordinator] */
void otd_history_destroy(struct otd_history *h);

/* One step, as work that writes. */
struct otd_history_step {
	int64_t fold_before; /* minutes since 1970: hours wholly before it are made one row */
	int64_t drop_before;
	bool more;     /* out: there is more to do */
	uint64_t rows; /* out: taken away by this step */
};
otd_rc otd_history_step(void *step, struct otd_db *db, struct otd_err *err); /* [store] */

#endif
