/*
 * What one group commit costs on this disk: records of a journal's size are appended to a file with
 * room reserved ahead, then fdatasync. It is the floor of an answer's latency, and bounds how many
 * shares a second one connection that waits for each answer can have.
 *
 *   journal_sync FOLDER [SYNCS]     prints one JSON object
 */
#include "common/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD = 60, ROOM = 64 << 20, BATCH_MAX = 1600 };

static void fail(const char *what)
{
	fprintf(stderr, "journal_sync: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void measure(int fd, unsigned records, unsigned syncs, const char *before)
{
	static uint8_t batch[BATCH_MAX * RECORD];
	static struct measure_hist h;
	off_t at = 0;
	memset(&h, 0, sizeof(h));
	memset(batch, (int)records, sizeof(batch));
	for (unsigned i = 0; i < syncs; i++) {
		size_t n = (size_t)records * RECORD;
		int64_t start = measure_now_ns();
		if (at + (off_t)n > ROOM)
			at = 0;
		if (pwrite(fd, batch, n, at) != (ssize_t)n || fdatasync(fd) != 0)
			fail("write");
		at += (off_t)n;
		measure_add(&h, measure_now_ns() - start);
	}
	printf("%s\"%u\": {\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}", before, records,
	       measure_ms(&h, 50), measure_ms(&h, 99), (double)h.max_ns / 1e6);
}

int main(int argc, char **argv)
{
	static const unsigned records[] = {1, 16, 100, BATCH_MAX};
	unsigned long syncs = argc > 2 ? strtoul(argv[2], NULL, 10) : 300;
	if (argc < 2 || syncs == 0 || syncs > 100000) {
		fprintf(stderr, "usage: journal_sync FOLDER [SYNCS]\n");
		return 2;
	}
	int dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		fail(argv[1]);
	int fd = openat(dir, "journal_sync.tmp", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || unlinkat(dir, "journal_sync.tmp", 0) != 0 ||
	    posix_fallocate(fd, 0, ROOM) != 0)
		fail("a file in the folder");
	printf("{\"record_bytes\": %d, \"records_a_sync\": {", RECORD);
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
		measure(fd, records[i], (unsigned)syncs, i ? ", " : "");
	printf("}}\n");
	close(fd);
	close(dir);
	return 0;
}
