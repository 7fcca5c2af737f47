/*
 * The chain on disk: one file that only grows. A frame is MAGIC, length, type and payload, and the
 * first 8 bytes of the SHA-256 of type and payload; it is synced before anybody hears of it. What a
 * crash left torn at the end is cut at start; damage before good frames is refused.
 */
#include "devnet.h"

#include <otedama/sha256.h>
#include <string.h>

#define FILE_NAME "chain.dat"
#define MAGIC     0x3156444fu /* "ODV1" */
#define HEAD      8
#define SUM       8
#define MAX_FRAME (1u << 30)

static otd_rc io(struct otd_instance *in, otd_rc rc, const char *what)
{
	return btc_fail(&in->host, rc, "devnet: %s " FILE_NAME ": %s", what,
			in->files->last_error(in->files->ctx));
}

otd_rc devnet_file_append(struct otd_instance *in, uint8_t type, struct otd_span payload)
{
	struct btc_buf b;
	uint8_t sum[32];
	if (!in->files)
		return OTD_OK;
	btc_buf_init(&b, &in->host);
	btc_put_u32(&b, MAGIC);
	btc_put_u32(&b, (uint32_t)payload.len + 1);
	btc_put_u8(&b, type);
	btc_put(&b, payload.ptr, payload.len);
	if (!b.failed) {
		otd_sha256(sum, b.ptr + HEAD, b.len - HEAD);
		btc_put(&b, sum, SUM);
	}
	otd_rc rc = b.failed ? btc_fail(&in->host, OTD_E_NOMEM, "no memory for a block") : OTD_OK;
	if (rc == OTD_OK) {
		rc = in->files->write(in->files->ctx, in->file, b.ptr, b.len, in->file_end);
		if (rc)
			rc = io(in, rc, "cannot write");
	}
	if (rc == OTD_OK) {
		rc = in->files->sync(in->files->ctx, in->file);
		if (rc)
			rc = io(in, rc, "cannot sync");
	}
	if (rc == OTD_OK)
		in->file_end += b.len;
	btc_buf_finish(&b);
	return rc;
}

/*
 * The frame at *at into *frame (the instance's memory), *at past it. OTD_E_NOT_FOUND: the end, or
 * no good frame here.
 */
static otd_rc read_frame(struct otd_instance *in, struct otd_span *frame, uint64_t *at,
			 uint64_t length)
{
	uint8_t head[HEAD], sum[32];
	size_t got = 0;
	otd_rc rc = in->files->read(in->files->ctx, in->file, &got, head, HEAD, *at);
	if (rc)
		return io(in, rc, "cannot read");
	uint32_t n = got == HEAD ? btc_load_u32(head + 4) : 0;
	if (got < HEAD || btc_load_u32(head) != MAGIC || n < 1 || n > MAX_FRAME ||
	    length - *at < (uint64_t)HEAD + n + SUM)
		return OTD_E_NOT_FOUND;
	uint8_t *p = btc_alloc(&in->host, (size_t)n + SUM);
	if (!p)
		return btc_fail(&in->host, OTD_E_NOMEM, "no memory for a block");
	rc = in->files->read(in->files->ctx, in->file, &got, p, (size_t)n + SUM, *at + HEAD);
	if (rc)
		rc = io(in, rc, "cannot read");
	otd_sha256(sum, p, n);
	if (rc == OTD_OK && (got != (size_t)n + SUM || memcmp(sum, p + n, SUM) != 0))
		rc = OTD_E_NOT_FOUND;
	if (rc) {
		btc_free(&in->host, p);
		return rc;
	}
	*frame = (struct otd_span){p, n};
	*at += (uint64_t)HEAD + n + SUM;
	return OTD_OK;
}

static otd_rc replay_block(struct otd_instance *in, struct otd_span raw)
{
	const char *reason;
	otd_rc rc = devnet_connect(in, &reason, raw, DEVNET_CHECK_REPLAY);
	if (rc == OTD_OK && reason)
		rc = btc_fail(&in->host, OTD_E_CORRUPT,
			      "devnet: block %zu in " FILE_NAME " does not stand (%s); move the "
			      "file away to begin a new chain",
			      in->n_blocks, reason);
	return rc;
}

static otd_rc replay(struct otd_instance *in, struct otd_span frame)
{
	struct btc_reader r = {frame.ptr + 1, frame.len - 1, false};
	otd_rc rc = OTD_OK;
	if (frame.ptr[0] == 'G') {
		if (r.left == 32 && memcmp(r.ptr, in->block[0].hash, 32) == 0)
			return OTD_OK;
		return btc_fail(&in->host, OTD_E_VERSION,
				"devnet: " FILE_NAME " belongs to another chain (another "
				"algorithm?); move it away to begin a new one");
	}
	if (frame.ptr[0] == 'B')
		return replay_block(in, (struct otd_span){r.ptr, r.left});
	if (frame.ptr[0] != 'R')
		return btc_fail(&in->host, OTD_E_VERSION,
				"devnet: " FILE_NAME " is of a newer version; move it away");
	for (uint32_t n = btc_get_u32(&r); n > 0 && rc == OTD_OK; n--)
		rc = devnet_disconnect(in);
	while (rc == OTD_OK && r.left && !r.failed) {
		size_t n = btc_get_u32(&r);
		const uint8_t *raw = btc_take(&r, n);
		if (raw)
			rc = replay_block(in, (struct otd_span){raw, n});
	}
	return rc;
}

/* A good frame anywhere behind at: then what is wrong at at is damage, not a torn end. */
static otd_rc look_behind(struct otd_instance *in, uint64_t at, uint64_t length)
{
	uint8_t chunk[65536];
	for (uint64_t base = at + 1; base + HEAD + SUM < length; base += sizeof(chunk) - 3) {
		size_t got = 0;
		otd_rc rc =
			in->files->read(in->files->ctx, in->file, &got, chunk, sizeof(chunk), base);
		if (rc)
			return io(in, rc, "cannot read");
		for (size_t i = 0; i + 4 <= got; i++) {
			struct otd_span frame = {0};
			uint64_t next = base + i;
			if (btc_load_u32(chunk + i) != MAGIC ||
			    read_frame(in, &frame, &next, length) != OTD_OK)
				continue;
			btc_free(&in->host, (void *)(uintptr_t)frame.ptr);
			return btc_fail(&in->host, OTD_E_CORRUPT,
					"devnet: " FILE_NAME " is damaged at byte %llu, with good "
					"blocks behind; move it away to begin a new chain",
					(unsigned long long)at);
		}
	}
	return OTD_OK;
}

static otd_rc read_all(struct otd_instance *in, uint64_t length)
{
	uint64_t at = 0;
	otd_rc rc = OTD_OK;
	while (rc == OTD_OK && at < length) {
		struct otd_span frame = {0};
		rc = read_frame(in, &frame, &at, length);
		if (rc == OTD_E_NOT_FOUND) {
			rc = look_behind(in, at, length);
			break;
		}
		if (rc == OTD_OK)
			rc = replay(in, frame);
		btc_free(&in->host, (void *)(uintptr_t)frame.ptr);
	}
	in->file_end = at;
	if (rc == OTD_OK && at < length) {
		rc = in->files->truncate(in->files->ctx, in->file, at);
		rc = rc ? io(in, rc, "cannot cut the torn end of") : OTD_OK;
	}
	devnet_pool_finish(&in->host, &in->sends); /* the mempool does not outlive a restart */
	return rc;
}

otd_rc devnet_file_open(struct otd_instance *in)
{
	const struct otd_files *f = in->files;
	uint64_t length = 0;
	if (!f)
		return OTD_OK;
	otd_rc rc = f->open(f->ctx, &in->file, FILE_NAME,
			    OTD_OPEN_READ | OTD_OPEN_WRITE | OTD_OPEN_CREATE);
	if (rc)
		return io(in, rc, "cannot open");
	rc = f->lock(f->ctx, in->file, true);
	if (rc == OTD_OK)
		rc = f->length(f->ctx, in->file, &length);
	if (rc)
		return io(in, rc, "cannot lock");
	rc = read_all(in, length);
	if (rc == OTD_OK && in->file_end == 0) {
		rc = devnet_file_append(in, 'G', (struct otd_span){in->block[0].hash, 32});
		if (rc == OTD_OK && f->sync_dir(f->ctx, "."))
			rc = io(in, OTD_E_IO, "cannot sync the folder of");
	}
	return rc;
}
