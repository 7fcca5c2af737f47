/* A buffered look at one segment, frame by frame. */
#ifndef OTD_POOL_JOURNAL_WINDOW_H
#define OTD_POOL_JOURNAL_WINDOW_H

#include "pool/journal/journal_format.h"

struct otd_journal_window {
	struct otd_env *env;
	struct otd_file *file;
	uint64_t id;
	struct otd_journal_header header;
	bool has_header; /* false: it is damaged, or was never written */
	uint8_t *buf;    /* holds bytes [base, base + len) of the file */
	size_t cap, len;
	uint64_t base;
	uint64_t at; /* the next frame */
	char path[512];
	uint8_t *whole; /* of an archived segment: all of it, unpacked; file is NULL */
	size_t whole_len;
};

/* Opens segment id of dir and reads its header. w is zeroed or was opened before. */
otd_rc otd_journal_window_open(struct otd_journal_window *w, struct otd_env *e, const char *dir,
			       uint64_t id, uint32_t flags, struct otd_err *err);
/* For reading, wherever it lies: in dir, or in its archive. */
otd_rc otd_journal_window_open_any(struct otd_journal_window *w, struct otd_env *e, const char *dir,
				   uint64_t id, struct otd_err *err);
otd_rc otd_journal_window_length(struct otd_journal_window *w, uint64_t *length,
				 struct otd_err *err);
void otd_journal_window_finish(struct otd_journal_window *w);
/*
 * What stands at w->at; never SHORT: a frame that the file's end cuts off is BAD. Where GOOD,
 * payload is valid until the next call and otd_journal_window_next() steps over it. What is not
 * GOOD was read from the file in this call, so that a live journal is not judged by old bytes.
 */
otd_rc otd_journal_window_look(struct otd_journal_window *w, enum otd_journal_look *look,
			       struct otd_journal_frame *f, struct otd_span *payload,
			       struct otd_err *err);
void otd_journal_window_next(struct otd_journal_window *w, const struct otd_journal_frame *f);

#endif
