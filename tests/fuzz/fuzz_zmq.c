/*
 * What a publisher sends, in pieces whose lengths the first byte gives: no more is kept than a frame, a
 * notice comes only behind a READY of a publisher, and however the bytes are cut the same comes of them.
 */
#include "chain/zmq.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct seen {
	struct otd_zmq_reader r;
	unsigned notices, sum;
};

static void on_notice(void *arg, const struct otd_zmq_notice *n)
{
	struct seen *s = arg;
	if (!s->r.ready)
		abort();
	s->notices++;
	for (size_t i = 0; i < sizeof(n->hash); i++)
		s->sum = s->sum * 31 + n->hash[i];
	s->sum += n->numbered ? n->number : 0;
}

static otd_rc feed(struct seen *s, const uint8_t *data, size_t n, size_t step)
{
	struct otd_err err = {0};
	otd_rc rc = OTD_OK;
	otd_zmq_reader_init(&s->r);
	s->notices = s->sum = 0;
	for (size_t i = 0; i < n && !rc; i += step) {
		rc = otd_zmq_read(&s->r, data + i, n - i < step ? n - i : step, on_notice, s, &err);
		if (s->r.in.len > 2 * OTD_ZMQ_FRAME_MAX + OTD_ZMQ_GREETING || (rc && !err.text[0]))
			abort();
	}
	otd_zmq_reader_finish(&s->r);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct seen one, many;
	if (n < 2)
		return 0;
	otd_rc whole = feed(&one, data + 1, n - 1, n - 1);
	otd_rc cut = feed(&many, data + 1, n - 1, 1 + data[0] % 64);
	if (!whole != !cut || one.notices != many.notices || one.sum != many.sum)
		abort();
	return 0;
}
