/*
 * The append-only journal: what is in it after its sync is never lost, and a miner's share is
 * acknowledged only then. One writer (a reactor, or the coordinator), any number of readers; each
 * journal has its own sync worker.
 *
 * On disk: DIR/NNNNNNNN.otj segments. A segment starts with a header (magic, version, segment id,
 * epoch, first sequence, CRC); then frames {u32 length, u32 crc, u64 sequence, u16 type, u16 group,
 * payload}, where the CRC-32C covers segment id, length, sequence, type, group and payload. length
 * is that of the payload plus one: zero is the end (room reserved ahead). Sequences count by one
 * over the life of a journal, from 1. A segment restates what its readers need (see
 * otd_journal_conf.restate), so that older ones can go; those frames come first and bear the
 * sequence before the segment's first. Numbers are little-endian. group counts group commits in its
 * low 15 bits and marks the last frame of one in its highest: a group is written only after the one
 * before it was synced, which tells a torn tail from damage.
 *
 * Failure: a torn last frame is cut off at open; a bad one with good ones behind it is corruption,
 * and open refuses, naming file and range. A failed sync is never repeated on the same file: the
 * segment is left, and what was not acknowledged is written again into a new one (readers drop
 * the repeated sequences). A new segment and its folder are synced before the first
 * acknowledgement from it.
 */
#ifndef OTD_POOL_JOURNAL_H
#define OTD_POOL_JOURNAL_H

#include "base/env.h"

struct otd_journal;
struct otd_journal_reader;

struct otd_journal_conf {
	const char *dir;
	uint64_t epoch;         /* whose journal it is; in every segment's header */
	uint64_t segment_bytes; /* a new segment past this */
	uint64_t max_bytes; /* unsynced and not yet released together; past it, append refuses */
	bool archive; /* what is released is moved to its archive (pool/journal/archive.h), not removed */
	/* [writer's loop] everything up to seq is durable. */
	void (*synced)(void *arg, uint64_t seq);
	/* [writer's loop] the disk fails; appends refuse until it recovers (synced comes then). */
	void (*failed)(void *arg, const struct otd_err *err);
	/*
	 * Called when a segment begins: append what its readers must know, the definitions of all
	 * that was appended and is not yet synced included. These records take no sequences of
	 * their own. Never from within an append. May be NULL. [writer's loop]
	 */
	void (*restate)(void *arg, struct otd_journal *j);
	void *arg;
};

/* Blocks; before the loop serves. Recovers what is in dir, and continues its sequence. */
otd_rc otd_journal_open(struct otd_journal **out, struct otd_loop *l,
			const struct otd_journal_conf *conf, struct otd_err *err);
/* Syncs what is appended, then closes; blocks. Takes NULL. */
void otd_journal_close(struct otd_journal *j);
/*
 * Copies the record; it goes to disk with the group commit that starts at the end of this round of
 * the loop or when the running one ends. OTD_E_BUSY: the bound is reached or the disk fails;
 * nothing was taken and the share must be refused. [writer's loop]
 */
otd_rc otd_journal_append(struct otd_journal *j, uint16_t type, const void *payload, size_t n,
			  uint64_t *seq);
/*
 * From now on (until it is called with 0) the bound is so many bytes further away, and a disk that
 * fails is no reason to refuse: the record waits in memory. For what must not be lost, such as the
 * share that found a block: that goes to the nodes in any case. [writer's loop]
 */
void otd_journal_allow(struct otd_journal *j, uint64_t bytes);
uint64_t otd_journal_last(const struct otd_journal *j);   /* appended */
uint64_t otd_journal_synced(const struct otd_journal *j); /* durable */
/* Segments wholly at or before seq may go; the newest stays. [writer's loop] */
void otd_journal_release(struct otd_journal *j, uint64_t seq);
/* Whether those that go from now on are archived; as conf.archive says at first. [writer's loop] */
void otd_journal_archive(struct otd_journal *j, bool on);
uint64_t otd_journal_bytes(const struct otd_journal *j);

struct otd_record {
	uint64_t seq;
	uint16_t type;
	struct otd_span payload; /* until the next call on the reader */
};

/*
 * What lies in dir: sequences first to last (last is first - 1 where there are none). Blocks. Makes
 * it sound as open does (torn tail cut, everything synced), or OTD_E_CORRUPT. Only where nobody
 * writes it. OTD_E_NOT_FOUND: no segment.
 */
struct otd_journal_range {
	uint64_t epoch, first, last;
};
otd_rc otd_journal_recover(struct otd_env *e, const char *dir, struct otd_journal_range *out,
			   struct otd_err *err);
/* The same, and each good record is shown on the way: in order, those that a segment restates and those that
   a later segment repeats too. */
typedef void (*otd_journal_each_fn)(void *arg, const struct otd_record *r);
otd_rc otd_journal_recover_each(struct otd_env *e, const char *dir, struct otd_journal_range *out,
				otd_journal_each_fn each, void *arg, struct otd_err *err);

/*
 * Reads a journal (of this or another thread, alive or left over) from sequence from on. Records
 * of lower sequence that stand in the same segment come first: they may hold definitions. Blocks.
 */
otd_rc otd_journal_reader_open(struct otd_journal_reader **out, struct otd_env *e, const char *dir,
			       uint64_t from, struct otd_err *err);
/* The same, over what is in the journal's archive too (journal_format.h). */
otd_rc otd_journal_reader_open_all(struct otd_journal_reader **out, struct otd_env *e,
				   const char *dir, uint64_t from, struct otd_err *err);
/* OTD_E_NOT_FOUND: no more yet. Call with limit, the last sequence known to be durable; records
   past it are not given, even where they are on disk. OTD_E_CORRUPT: err names file and range. */
otd_rc otd_journal_read(struct otd_journal_reader *r, struct otd_record *out, uint64_t limit,
			struct otd_err *err);
void otd_journal_reader_close(struct otd_journal_reader *r);

#endif
