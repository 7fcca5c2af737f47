/*
 * All journals of a data folder against each other, and against what SQL says it has. Nothing is changed;
 * a pool may be running.
 */
#ifndef OTD_POOL_JOURNAL_VERIFY_H
#define OTD_POOL_JOURNAL_VERIFY_H

#include "pool/journal/journal_check.h"

/* A journal's name is that of its folder. */
#define OTD_JOURNAL_COORDINATOR "coordinator"
#define OTD_JOURNAL_NAME        32 /* room for "r-EPOCH" */

/* The reactors' journals that lie below data_dir, also those only in the archive; by number. */
struct otd_journal_epochs {
	uint64_t *epoch;
	size_t n;
};
otd_rc otd_journal_epochs(struct otd_journal_epochs *out, struct otd_env *e, const char *data_dir,
			  struct otd_err *err);
void otd_journal_epochs_finish(struct otd_journal_epochs *l);
/* DATA/journal/NAME; epoch 0: the coordinator's. False: the path is too long. */
bool otd_journal_dir(char *to, size_t cap, const char *data_dir, uint64_t epoch);

/* What the database holds; at one moment. */
struct otd_journal_sql {
	bool known;
	uint64_t position; /* of the coordinator's journal */
	uint64_t saved;    /* the same: of the payout schemes' last save */
	uint64_t (*next)(void *arg, uint64_t epoch); /* the first sequence it does not have; 0: not
							known there */
	void *arg;
};

struct otd_journal_verify {
	/* given */
	struct otd_env *env;
	const char *data_dir;
	bool live; /* journals are being written */
	struct otd_journal_sql sql;
	/* Each journal, and what is wrong with it or NULL; epoch 0: the coordinator's. */
	void (*journal)(void *arg, uint64_t epoch, const struct otd_journal_report *r,
			const char *wrong);
	/* What does not fit together, in a line with what to do. */
	void (*problem)(void *arg, const char *text);
	void *arg;
	/* out */
	uint64_t journals, problems; /* the latter with those that journal() told */
	uint64_t batches, verdicts, terms;
	uint64_t ordered; /* records that are in the order */
	uint64_t waiting; /* durable in reactors' journals, not in the order yet */
	uint64_t saves;   /* of payout schemes, in the archive */
	uint64_t behind;  /* records of the coordinator's journal that SQL does not have yet */
};

/* Blocks. OTD_OK: it was done; v->problems says what came of it. */
otd_rc otd_journal_verify(struct otd_journal_verify *v, struct otd_err *err);

#endif
