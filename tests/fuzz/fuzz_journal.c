/*
 * Journal segments: as raw bytes, or as frames with good checksums that the fuzzer then damages, so
 * that what lies behind the checksums is reached too. Recovery, then reading to the end.
 */
#include "base/text.h"
#include "fuzz/memory.h"
#include "pool/journal/journal.h"
#include "pool/journal/journal_check.h"
#include "pool/journal/journal_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct input {
	const uint8_t *p;
	size_t left;
};

static uint8_t take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

/* A segment from a script of frames; returns its length. */
static size_t build(uint8_t *to, size_t cap, struct input *in, uint64_t id, uint64_t *seq)
{
	struct otd_journal_header h = {id, 1 + take(in) % 2, *seq};
	otd_journal_header_put(to, &h);
	size_t at = OTD_JOURNAL_HEADER, group_at = at;
	uint16_t group = take(in);
	for (int frames = take(in) % 16; frames > 0; frames--) {
		uint8_t what = take(in);
		size_t len = take(in) % 64;
		if (at + OTD_JOURNAL_FRAME + len > cap)
			break;
		uint64_t s = what & 1 ? *seq + what / 64 : what & 2 ? *seq - 1 : (*seq)++;
		otd_journal_frame_put(to + at, (uint32_t)len, s, what / 8 % 8);
		for (size_t i = 0; i < len; i++)
			to[at + OTD_JOURNAL_FRAME + i] = take(in);
		at += OTD_JOURNAL_FRAME + len;
		if (what & 4) {
			otd_journal_frames_seal(to + group_at, at - group_at, id, group++, true);
			group_at = at;
		}
	}
	otd_journal_frames_seal(to + group_at, at - group_at, id, group, true);
	/* Room reserved ahead, or a torn end. */
	uint8_t end = take(in);
	if (end & 1 && at + end <= cap) {
		memset(to + at, 0, end);
		at += end;
	} else if (end & 2) {
		at -= (size_t)end / 4 < at ? (size_t)end / 4 : 0;
	}
	for (int flips = end & 4 ? take(in) % 4 : 0; flips > 0 && at; flips--) {
		size_t where = (size_t)(take(in) << 8 | take(in)) % at;
		to[where] ^= take(in);
	}
	return at;
}

/* A look changes nothing, finds all that a start would refuse, and the same sequences. */
static void look(struct memory *m, struct otd_env *env, struct otd_journal_report *found,
		 otd_rc *rc)
{
	uint32_t before = 0, after = 0;
	struct otd_err err = {0};
	for (int i = 0; i < MEMORY_FILES; i++)
		before = otd_crc32c(before, m->file[i].data, m->file[i].used ? m->file[i].len : 0);
	*rc = otd_journal_check(found, env, "journal", false, &err);
	for (int i = 0; i < MEMORY_FILES; i++)
		after = otd_crc32c(after, m->file[i].data, m->file[i].used ? m->file[i].len : 0);
	if (before != after || (*rc && !err.text[0]))
		abort();
}

static void read_all(struct memory *m, struct otd_env *env, struct otd_err *err)
{
	struct otd_journal_range range;
	struct otd_journal_reader *r = NULL;
	struct otd_record rec;
	struct otd_journal_report found;
	otd_rc checked;
	look(m, env, &found, &checked);
	otd_rc recovered = otd_journal_recover(env, "journal", &range, err);
	if (checked == OTD_OK && recovered && recovered != OTD_E_NOT_FOUND)
		abort();
	if (checked == OTD_OK && recovered == OTD_OK &&
	    (found.first != range.first || found.last != range.last || found.epoch != range.epoch))
		abort();
	if (recovered)
		return;
	if (otd_journal_reader_open(&r, env, "journal", range.first, err))
		return;
	/* What recovery called sound reads without a hole, each sequence once. */
	uint64_t want = range.first;
	otd_rc rc;
	while ((rc = otd_journal_read(r, &rec, range.last, err)) == OTD_OK) {
		if (rec.seq < range.first || rec.seq < want)
			continue; /* definitions restated */
		if (rec.seq != want++)
			abort();
	}
	if (rc == OTD_E_NOT_FOUND && want != range.last + 1)
		abort();
	if (rc != OTD_E_NOT_FOUND && !err->text[0])
		abort();
	otd_journal_reader_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t segment[8192];
	struct input in = {data, n};
	struct memory m;
	struct otd_err err = {0};
	memory_init(&m);
	struct otd_env env = {.files = &m.table};
	uint8_t mode = take(&in);
	if (mode == 0) {
		memory_put(&m, "00000001.otj", in.p, in.left);
	} else {
		uint64_t seq = 1 + mode % 3;
		for (uint64_t id = 1; id <= 1 + mode % 2u; id++) {
			char name[32];
			size_t len = build(segment, sizeof(segment), &in, id, &seq);
			if (!otd_journal_path(name, sizeof(name), "journal", id))
				abort();
			memory_put(&m, name, segment, len);
		}
	}
	read_all(&m, &env, &err);
	memory_finish(&m);
	return 0;
}
