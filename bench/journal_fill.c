/*
 * Journals as a pool leaves them that was killed with many shares which its database does not have yet.
 *
 *   journal_fill REACTOR_DIR EPOCH COORDINATOR_DIR EPOCH SHARES ORDERED WORKERS POOL ACCOUNT
 *
 * SHARES in the reactor's journal, of WORKERS names of ACCOUNT, as fast as they can be written; the first ORDERED
 * of them have their place in the coordinator's journal, in batches of 8192, behind what stands there already.
 * Segments are numbered behind those that are there. For pools that are stopped. Layout: core/pool/journal/journal_format.h.
 */
#include "common/measure.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 48, FRAME = 20, SEGMENT = 64 << 20, GROUP = 2000, BATCH = 8192, LINE = 256 };

struct journal {
	const char *dir;
	uint64_t epoch, id, seq; /* of the segment; of the next record */
	FILE *file;
	size_t at;
	uint16_t group;
	unsigned in_group;
	void (*define)(struct journal *j);
};

static uint64_t workers;
static const char *pool, *account;

static void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "journal_fill: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(1);
}

static uint32_t crc_of(uint32_t crc, const uint8_t *p, size_t n)
{
	static uint32_t table[256];
	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;
			for (int k = 0; k < 8; k++)
				c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
			table[i] = c;
		}
	crc = ~crc;
	for (size_t i = 0; i < n; i++)
		crc = crc >> 8 ^ table[(crc ^ p[i]) & 255];
	return ~crc;
}

static void put(uint8_t *to, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static void write_all(struct journal *j, const uint8_t *p, size_t n)
{
	if (fwrite(p, 1, n, j->file) != n)
		fail("cannot write below %s: %s", j->dir, strerror(errno));
	j->at += n;
}

static void frame(struct journal *j, uint64_t seq, uint16_t type, const uint8_t *payload, size_t n,
		  bool last)
{
	uint8_t buf[FRAME + LINE], head[12];
	put(buf, n + 1, 4);
	put(buf + 8, seq, 8);
	put(buf + 16, type, 2);
	put(buf + 18, (j->group & 0x7fffu) | (last ? 0x8000u : 0), 2);
	memcpy(buf + FRAME, payload, n);
	put(head, j->id, 8);
	memcpy(head + 8, buf, 4);
	put(buf + 4, crc_of(crc_of(0, head, 12), buf + 8, FRAME - 8 + n), 4);
	write_all(j, buf, FRAME + n);
	if (last)
		j->group++;
}

static void begin(struct journal *j)
{
	uint8_t h[HEADER] = "OTDJRNL";
	char path[600];
	/* As a pool's are: or the start would pay for our writing. */
	if (j->file && (fflush(j->file) || fsync(fileno(j->file)) || fclose(j->file)))
		fail("cannot close a segment of %s: %s", j->dir, strerror(errno));
	j->id++;
	snprintf(path, sizeof(path), "%s/%08llu.otj", j->dir, (unsigned long long)j->id);
	j->file = fopen(path, "wx");
	if (!j->file)
		fail("cannot make %s: %s", path, strerror(errno));
	put(h + 8, 1, 4);
	put(h + 16, j->id, 8);
	put(h + 24, j->epoch, 8);
	put(h + 32, j->seq, 8);
	put(h + 40, crc_of(0, h, 40), 4);
	j->at = 0;
	j->group = 0;
	j->in_group = 0;
	write_all(j, h, sizeof(h));
	if (j->define)
		j->define(j);
}

static void append(struct journal *j, uint16_t type, const uint8_t *payload, size_t n, bool end)
{
	bool last = end || j->in_group + 1 == GROUP;
	if (!j->file || (j->at > SEGMENT && j->in_group == 0))
		begin(j);
	frame(j, j->seq++, type, payload, n, last);
	j->in_group = last ? 0 : j->in_group + 1;
}

/* Workers 0 to n - 1 and job 1, in each segment. */
static void define_all(struct journal *j)
{
	uint8_t p[LINE];
	char name[24];
	size_t pool_n = strlen(pool), account_n = strlen(account);
	for (uint64_t i = 0; i < workers; i++) {
		size_t n = (size_t)snprintf(name, sizeof(name), "w%llu", (unsigned long long)i);
		put(p, i, 4);
		put(p + 4, pool_n, 2);
		put(p + 6, account_n, 2);
		put(p + 8, n, 2);
		put(p + 10, 0, 2);
		memcpy(p + 12, pool, pool_n);
		memcpy(p + 12 + pool_n, account, account_n);
		memcpy(p + 12 + pool_n + account_n, name, n);
		frame(j, j->seq - 1, 1, p, 12 + pool_n + account_n + n, false);
	}
	memset(p, 0, 32);
	put(p, 1, 4);
	put(p + 4, pool_n, 2);
	put(p + 8, 1, 8);
	put(p + 16, 1ull << 60, 8);
	memcpy(p + 32, pool, pool_n);
	frame(j, j->seq - 1, 2, p, 32 + pool_n, false);
}

/* What is there already: the newest segment, and its last sequence. */
static void look(struct journal *j)
{
	char path[600];
	uint8_t h[FRAME];
	uint64_t newest = 0;
	DIR *d = opendir(j->dir);
	for (struct dirent *e; d && (e = readdir(d));) {
		unsigned long long id = strtoull(e->d_name, NULL, 10);
		newest = strstr(e->d_name, ".otj") && id > newest ? id : newest;
	}
	if (!d)
		fail("cannot read %s: %s", j->dir, strerror(errno));
	closedir(d);
	j->id = newest;
	j->seq = 1;
	if (!newest)
		return;
	snprintf(path, sizeof(path), "%s/%08llu.otj", j->dir, (unsigned long long)newest);
	FILE *f = fopen(path, "rb");
	if (!f || fseek(f, 32, SEEK_SET) != 0 || fread(h, 1, 8, f) != 8)
		fail("cannot read %s", path);
	memcpy(&j->seq, h, 8);
	fseek(f, HEADER, SEEK_SET);
	while (fread(h, 1, FRAME, f) == FRAME) {
		uint32_t n;
		uint64_t seq;
		memcpy(&n, h, 4);
		memcpy(&seq, h + 8, 8);
		if (!n)
			break;
		if (seq >= j->seq)
			j->seq = seq + 1;
		fseek(f, (long)n - 1, SEEK_CUR);
	}
	fclose(f);
}

static uint64_t number(const char *s)
{
	char *end;
	unsigned long long n = strtoull(s, &end, 10);
	if (!*s || *end)
		fail("'%s' is not a number", s);
	return n;
}

int main(int argc, char **argv)
{
	if (argc != 10) {
		fprintf(stderr, "usage: journal_fill REACTOR_DIR EPOCH COORDINATOR_DIR EPOCH "
				"SHARES ORDERED "
				"WORKERS POOL ACCOUNT\n");
		return 2;
	}
	struct journal r = {.dir = argv[1], .epoch = number(argv[2]), .define = define_all};
	struct journal c = {.dir = argv[3], .epoch = number(argv[4])};
	uint64_t shares = number(argv[5]), ordered = number(argv[6]);
	uint8_t share[40] = {0}, batch[24];
	workers = number(argv[7]);
	pool = argv[8];
	account = argv[9];
	if (!workers || ordered > shares || strlen(pool) + strlen(account) > 150)
		fail("no worker, more ordered than shares, or names that are too long");
	look(&r);
	look(&c);
	uint64_t first = r.seq, now_ms = (uint64_t)time(NULL) * 1000;
	put(share + 4, 1, 4);
	put(share + 16, 4, 8);
	for (uint64_t i = 0; i < shares; i++) {
		put(share, i % workers, 4);
		/* An hour before now, evenly. */
		put(share + 8, now_ms - 3600000 + i * 3600000 / shares, 8);
		put(share + 32, i, 8);
		append(&r, 3, share, sizeof(share), i + 1 == shares);
	}
	for (uint64_t done = 0; done < ordered; done += BATCH) {
		uint64_t n = ordered - done < BATCH ? ordered - done : BATCH;
		put(batch, r.epoch, 8);
		put(batch + 8, first + done, 8);
		put(batch + 16, first + done + n - 1, 8);
		append(&c, 32, batch, sizeof(batch), true);
	}
	if ((r.file && (fflush(r.file) || fsync(fileno(r.file)))) ||
	    (c.file && (fflush(c.file) || fsync(fileno(c.file)))))
		fail("cannot sync: %s", strerror(errno));
	printf("{\"shares\": %llu, \"first\": %llu, \"last\": %llu}\n", (unsigned long long)shares,
	       (unsigned long long)first, (unsigned long long)r.seq - 1);
	return 0;
}
