/*
 * The writer. Two batches: one gathers appends, the other is with the sync worker; when that one
 * is durable they change places. Only the worker touches files; only one job is with it at a time.
 */
#include "pool/journal/journal.h"

#include "base/bytes.h"
#include "base/log.h"
#include "pool/journal/archive.h"
#include "pool/journal/journal_format.h"
#include <stdlib.h>
#include <string.h>

#define RESERVE_STEP (1u << 20)
#define RETRY_MS     1000
#define UNSYNCED_MAX (64u << 20) /* bytes in memory while the disk is slow */

struct segment {
	uint64_t id;
	uint64_t last; /* its last sequence */
	uint64_t bytes;
};

/* What is with the worker. */
struct job {
	struct otd_bytes head;  /* header and restated frames, for a new segment */
	struct otd_bytes batch; /* frames */
	uint64_t first, last;
	uint64_t id; /* of the segment it goes to */
	uint16_t group;
	bool begins; /* a new segment */
	bool stated; /* head holds what was restated for this batch */
	otd_rc rc;
	struct otd_err err;
};

struct otd_journal {
	struct otd_loop *loop;
	struct otd_env *env;
	struct otd_worker *worker;
	struct otd_timer *retry;
	struct otd_journal_conf conf;
	char *dir;
	uint64_t last, synced;
	struct otd_bytes gather;
	struct job job;
	bool running;  /* job is with the worker */
	bool deferred; /* kick() comes at the end of this round */
	bool failing;  /* job failed twice and waits for the retry */
	bool restating;
	bool closing;
	bool begun;     /* a segment of our own is in use */
	uint16_t group; /* the next one's in it */
	uint64_t next_id;
	struct segment *segments; /* oldest first; the last is in use */
	size_t n_segments, cap_segments;
	uint64_t segments_bytes;
	uint64_t released; /* by the latest release() */
	uint64_t allowed;  /* past max_bytes, by allow() */
	bool removing;
	uint64_t remove_id; /* the worker removes this one */
	bool remove_keeps;  /* by moving it to the archive */
	otd_rc remove_rc;
	/* the worker's */
	struct otd_file *file;
	uint64_t at, reserved;
};

static otd_rc add_segment(struct otd_journal *j, uint64_t id, uint64_t last, uint64_t bytes)
{
	if (j->n_segments == j->cap_segments) {
		size_t cap = j->cap_segments ? j->cap_segments * 2 : 16;
		struct segment *more = realloc(j->segments, cap * sizeof(*more));
		if (!more)
			return OTD_E_NOMEM;
		j->segments = more;
		j->cap_segments = cap;
	}
	j->segments[j->n_segments++] = (struct segment){id, last, bytes};
	j->segments_bytes += bytes;
	return OTD_OK;
}

/* --- on the worker --- */

static otd_rc disk_error(struct otd_journal *j, otd_rc rc, const char *what, const char *path)
{
	const struct otd_files *f = j->env->files;
	return otd_fail(&j->job.err, rc, "journal: cannot %s %s: %s", what, path,
			f->last_error(f->ctx));
}

static otd_rc write_at_end(struct otd_journal *j, const struct otd_bytes *b, const char *path)
{
	const struct otd_files *f = j->env->files;
	uint64_t end = j->at + b->len;
	if (end > j->reserved) {
		uint64_t want = (end / RESERVE_STEP + 1) * RESERVE_STEP;
		otd_rc rc = f->reserve(f->ctx, j->file, want);
		if (rc && rc != OTD_E_UNSUPPORTED)
			return disk_error(j, rc, "reserve room in", path);
		j->reserved = want;
	}
	otd_rc rc = f->write(f->ctx, j->file, b->ptr, b->len, j->at);
	if (rc)
		return disk_error(j, rc, "write", path);
	j->at = end;
	return OTD_OK;
}

static void abandon_file(struct otd_journal *j)
{
	j->env->files->close(j->env->files->ctx, j->file);
	j->file = NULL;
}

static void job_run(void *arg)
{
	struct otd_journal *j = arg;
	struct job *job = &j->job;
	const struct otd_files *f = j->env->files;
	char path[512];
	otd_rc rc = OTD_OK;
	if (!otd_journal_path(path, sizeof(path), j->dir, job->id)) {
		rc = otd_fail(&job->err, OTD_E_RANGE, "journal %s: the path is too long", j->dir);
		goto out;
	}
	if (job->begins) {
		abandon_file(j);
		j->at = j->reserved = 0;
		rc = f->open(f->ctx, &j->file, path,
			     OTD_OPEN_READ | OTD_OPEN_WRITE | OTD_OPEN_CREATE | OTD_OPEN_TRUNCATE);
		if (rc) {
			disk_error(j, rc, "create", path);
			goto out;
		}
		if (job->head.len > OTD_JOURNAL_HEADER)
			otd_journal_frames_seal(job->head.ptr + OTD_JOURNAL_HEADER,
						job->head.len - OTD_JOURNAL_HEADER, job->id,
						job->group, false);
		rc = write_at_end(j, &job->head, path);
		if (rc)
			goto out;
	}
	otd_journal_frames_seal(job->batch.ptr, job->batch.len, job->id, job->group, true);
	rc = write_at_end(j, &job->batch, path);
	if (rc)
		goto out;
	rc = f->sync(f->ctx, j->file);
	if (rc) {
		disk_error(j, rc, "sync", path);
		goto out;
	}
	if (job->begins) {
		rc = f->sync_dir(f->ctx, j->dir);
		if (rc)
			disk_error(j, rc, "sync", j->dir);
	}
out:
	/* After a failed sync nobody knows what of the file is on disk: it is left. One that was
	   begun just now holds nothing that was acknowledged. */
	if (rc) {
		abandon_file(j);
		if (job->begins)
			(void)f->remove(f->ctx, path);
	}
	job->rc = rc;
}

static void remove_run(void *arg)
{
	struct otd_journal *j = arg;
	const struct otd_files *f = j->env->files;
	char path[512];
	j->remove_rc = OTD_OK;
	/* Where it cannot be kept it goes, so that shares have the room. */
	bool kept = j->remove_keeps && otd_archive_move(j->env, j->dir, j->remove_id) == OTD_OK;
	if (!kept && otd_journal_path(path, sizeof(path), j->dir, j->remove_id)) {
		j->remove_rc = f->remove(f->ctx, path);
		if (j->remove_rc == OTD_E_NOT_FOUND)
			j->remove_rc = OTD_OK;
	}
	/* One at a time and on record, or a crash could leave a gap between older and newer ones. */
	if (j->remove_rc == OTD_OK)
		j->remove_rc = f->sync_dir(f->ctx, j->dir);
}

/* --- on the loop --- */

static void remove_next(struct otd_journal *j);

static void remove_done(void *arg)
{
	struct otd_journal *j = arg;
	j->removing = false;
	if (j->closing)
		return;
	if (j->remove_rc) {
		otd_log(OTD_LOG_WARN, "pool", "journal.remove",
			"dir=%s segment=%08llu error=%s kept=until-next-release", j->dir,
			(unsigned long long)j->remove_id, otd_rc_name(j->remove_rc));
		return;
	}
	OTD_ASSERT(j->n_segments > 1 && j->segments[0].id == j->remove_id);
	j->segments_bytes -= j->segments[0].bytes;
	j->n_segments--;
	memmove(j->segments, j->segments + 1, j->n_segments * sizeof(*j->segments));
	remove_next(j);
}

static void remove_next(struct otd_journal *j)
{
	if (j->removing || j->n_segments < 2 || j->segments[0].last > j->released)
		return;
	j->remove_id = j->segments[0].id;
	j->remove_keeps = j->conf.archive;
	j->removing = true;
	if (j->env->ops->worker_give(j->worker, remove_run, remove_done, j) != OTD_OK)
		j->removing = false;
}

void otd_journal_release(struct otd_journal *j, uint64_t seq)
{
	if (seq > j->synced)
		seq = j->synced;
	if (seq > j->released)
		j->released = seq;
	remove_next(j);
}

void otd_journal_archive(struct otd_journal *j, bool on)
{
	j->conf.archive = on;
}

/*
 * Fills job.head for a segment that begins with the job's first sequence. Restated once a batch:
 * what its writer knew when the batch was closed is what the batch needs, however often it is tried.
 */
static otd_rc make_head(struct otd_journal *j)
{
	struct job *job = &j->job;
	uint8_t header[OTD_JOURNAL_HEADER];
	struct otd_journal_header h = {
		.id = j->next_id, .epoch = j->conf.epoch, .first = job->first};
	otd_rc rc = OTD_OK;
	job->id = h.id;
	job->group = 0;
	job->begins = true;
	otd_journal_header_put(header, &h);
	if (!job->stated) {
		otd_bytes_clear(&job->head);
		rc = otd_bytes_add(&job->head, header, sizeof(header));
		if (rc == OTD_OK && j->conf.restate) {
			j->restating = true;
			j->conf.restate(j->conf.arg, j);
			j->restating = false;
			if (job->head.failed)
				rc = OTD_E_NOMEM;
		}
		job->stated = rc == OTD_OK;
	}
	if (rc)
		return otd_fail(&job->err, rc, "journal %s: no memory to begin a segment", j->dir);
	memcpy(job->head.ptr, header, sizeof(header));
	j->next_id++;
	return OTD_OK;
}

static void job_done(void *arg);

/* Gives the job, whose batch is filled, to the worker; anew: to a new segment. */
static otd_rc give(struct otd_journal *j, bool anew)
{
	struct job *job = &j->job;
	job->err = (struct otd_err){0};
	job->begins = false;
	job->group = j->group;
	if (anew) {
		otd_rc rc = make_head(j);
		if (rc)
			return rc;
	}
	j->running = true;
	otd_rc rc = j->env->ops->worker_give(j->worker, job_run, job_done, j);
	if (rc) {
		j->running = false;
		return otd_fail(&job->err, rc, "journal %s: its worker takes no work", j->dir);
	}
	return OTD_OK;
}

static void fail(struct otd_journal *j)
{
	bool first = !j->failing;
	j->failing = true;
	j->env->ops->timer_start(j->retry, RETRY_MS, 0);
	if (first) {
		otd_log(OTD_LOG_ERROR, "pool", "journal.failed", "dir=%s error=\"%s\"", j->dir,
			j->job.err.text);
		if (j->conf.failed)
			j->conf.failed(j->conf.arg, &j->job.err);
	}
}

/* The segment in use is full, or there is none yet. */
static bool must_begin(const struct otd_journal *j)
{
	return !j->begun ||
	       j->segments[j->n_segments - 1].bytes + j->gather.len > j->conf.segment_bytes;
}

/* Makes what was gathered the next job. */
static bool seal(struct otd_journal *j)
{
	struct job *job = &j->job;
	if (j->gather.len == 0)
		return false;
	struct otd_bytes empty = job->batch;
	otd_bytes_clear(&empty);
	job->batch = j->gather;
	j->gather = empty;
	job->first = job->last + 1;
	job->last = j->last;
	return true;
}

static void kick(struct otd_journal *j)
{
	if (j->running || j->failing)
		return;
	bool anew = must_begin(j);
	if (seal(j) && give(j, anew) != OTD_OK)
		fail(j);
}

/* Books a job that is durable. */
static otd_rc book(struct otd_journal *j)
{
	struct job *job = &j->job;
	if (job->begins) {
		otd_rc rc = add_segment(j, job->id, job->last, job->head.len);
		if (rc)
			return rc;
		j->begun = true;
		j->group = 0;
		otd_bytes_clear(&job->head);
	}
	struct segment *s = &j->segments[j->n_segments - 1];
	s->last = job->last;
	s->bytes += job->batch.len;
	j->segments_bytes += job->batch.len;
	j->group = (j->group + 1) & OTD_JOURNAL_GROUP_MASK;
	j->synced = job->last;
	otd_bytes_clear(&job->batch);
	job->stated = false;
	return OTD_OK;
}

static void job_done(void *arg)
{
	struct otd_journal *j = arg;
	struct job *job = &j->job;
	j->running = false;
	if (job->rc == OTD_OK)
		job->rc = book(j);
	if (j->closing)
		return;
	if (job->rc) {
		/* Once more in a new segment at once; after that with a pause. */
		if (job->begins || give(j, true) != OTD_OK)
			fail(j);
		return;
	}
	if (j->failing) {
		j->failing = false;
		otd_log(OTD_LOG_INFO, "pool", "journal.recovered", "dir=%s", j->dir);
	}
	kick(j);
	if (j->conf.synced)
		j->conf.synced(j->conf.arg, j->synced);
}

static void on_retry(void *arg)
{
	struct otd_journal *j = arg;
	if (j->failing && !j->running && give(j, true) != OTD_OK)
		fail(j);
}

static void on_round_end(void *arg)
{
	struct otd_journal *j = arg;
	j->deferred = false;
	if (j->closing)
		free(j);
	else
		kick(j);
}

static otd_rc add_frame(struct otd_bytes *b, uint64_t seq, uint16_t type, const void *payload,
			size_t n)
{
	uint8_t *p = otd_bytes_room(b, OTD_JOURNAL_FRAME + n);
	if (!p)
		return OTD_E_NOMEM;
	otd_journal_frame_put(p, (uint32_t)n, seq, type);
	if (n)
		memcpy(p + OTD_JOURNAL_FRAME, payload, n);
	b->len += OTD_JOURNAL_FRAME + n;
	return OTD_OK;
}

otd_rc otd_journal_append(struct otd_journal *j, uint16_t type, const void *payload, size_t n,
			  uint64_t *seq)
{
	if (n > OTD_JOURNAL_PAYLOAD_MAX)
		return OTD_E_RANGE;
	if (j->restating) {
		if (seq)
			*seq = j->job.first - 1;
		return add_frame(&j->job.head, j->job.first - 1, type, payload, n);
	}
	if ((j->failing && !j->allowed) ||
	    otd_journal_bytes(j) + OTD_JOURNAL_FRAME + n > j->conf.max_bytes + j->allowed)
		return OTD_E_BUSY;
	if (!j->running && !j->deferred) {
		if (j->env->ops->defer(j->loop, on_round_end, j) != OTD_OK)
			return OTD_E_BUSY;
		j->deferred = true;
	}
	if (add_frame(&j->gather, j->last + 1, type, payload, n) != OTD_OK)
		return OTD_E_BUSY;
	j->last++;
	if (seq)
		*seq = j->last;
	return OTD_OK;
}

void otd_journal_allow(struct otd_journal *j, uint64_t bytes)
{
	j->allowed = bytes;
}

uint64_t otd_journal_last(const struct otd_journal *j)
{
	return j->last;
}

uint64_t otd_journal_synced(const struct otd_journal *j)
{
	return j->synced;
}

uint64_t otd_journal_bytes(const struct otd_journal *j)
{
	return j->segments_bytes + j->gather.len + j->job.batch.len;
}

/* --- open and close --- */

/* What earlier runs left counts as segments that can be released. */
static otd_rc adopt(struct otd_journal *j, struct otd_err *err)
{
	const struct otd_files *f = j->env->files;
	struct otd_journal_range range = {.epoch = j->conf.epoch};
	struct otd_journal_ids ids = {0};
	otd_rc rc = otd_journal_recover(j->env, j->dir, &range, err);
	if (rc == OTD_E_NOT_FOUND)
		range.epoch = j->conf.epoch;
	else if (rc)
		return rc;
	if (range.epoch != j->conf.epoch)
		return otd_fail(err, OTD_E_INVALID,
				"journal %s: it is of epoch %llu, not of %llu; move it away",
				j->dir, (unsigned long long)range.epoch,
				(unsigned long long)j->conf.epoch);
	j->last = j->synced = j->job.last = range.last;
	rc = otd_journal_ids(&ids, j->env, j->dir, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < ids.n; i++) {
		char path[512];
		struct otd_file *file = NULL;
		uint64_t bytes = 0;
		if (otd_journal_path(path, sizeof(path), j->dir, ids.id[i]) &&
		    f->open(f->ctx, &file, path, OTD_OPEN_READ) == OTD_OK)
			(void)f->length(f->ctx, file, &bytes);
		f->close(f->ctx, file);
		/* Ends at or before the whole's last: kept a little longer than needed, never less. */
		rc = add_segment(j, ids.id[i], range.last, bytes);
		if (rc)
			break;
		j->next_id = ids.id[i] + 1;
	}
	otd_journal_ids_finish(&ids);
	if (rc)
		return otd_fail(err, rc, "journal %s: out of memory", j->dir);
	return OTD_OK;
}

/* The folder of a path, "." where it has none. */
static void parent_of(char *to, size_t cap, const char *path)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n >= cap)
		n = cap - 1;
	memcpy(to, path, n);
	to[n] = '\0';
	if (n == 0)
		memcpy(to, ".", 2);
}

otd_rc otd_journal_open(struct otd_journal **out, struct otd_loop *l,
			const struct otd_journal_conf *conf, struct otd_err *err)
{
	const struct otd_files *f = l->env->files;
	struct otd_journal *j = calloc(1, sizeof(*j));
	char parent[512];
	otd_rc rc;
	*out = NULL;
	if (!j)
		return otd_fail(err, OTD_E_NOMEM, "journal %s: out of memory", conf->dir);
	j->loop = l;
	j->env = l->env;
	j->conf = *conf;
	j->next_id = 1;
	otd_bytes_init(&j->gather, UNSYNCED_MAX);
	otd_bytes_init(&j->job.batch, UNSYNCED_MAX);
	otd_bytes_init(&j->job.head, UNSYNCED_MAX);
	j->dir = malloc(strlen(conf->dir) + 1);
	if (!j->dir) {
		rc = otd_fail(err, OTD_E_NOMEM, "journal %s: out of memory", conf->dir);
		goto out;
	}
	memcpy(j->dir, conf->dir, strlen(conf->dir) + 1);
	j->conf.dir = j->dir;
	parent_of(parent, sizeof(parent), j->dir);
	rc = f->make_dir(f->ctx, j->dir);
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, parent);
	if (rc) {
		otd_fail(err, rc, "journal %s: cannot make the folder: %s", j->dir,
			 f->last_error(f->ctx));
		goto out;
	}
	rc = adopt(j, err);
	if (rc)
		goto out;
	rc = l->env->ops->timer_create(l, &j->retry, on_retry, j);
	if (rc) {
		otd_fail(err, rc, "journal %s: no timer", j->dir);
		goto out;
	}
	rc = l->env->ops->worker_create(l, &j->worker, "journal", err);
out:
	if (rc)
		otd_journal_close(j);
	else
		*out = j;
	return rc;
}

/* What is not durable yet, on the calling thread. */
static void write_rest(struct otd_journal *j)
{
	bool anew = true;
	for (int tries = 0; tries < 2;) {
		if (j->job.batch.len == 0) {
			anew = must_begin(j);
			if (!seal(j))
				return;
		}
		j->job.begins = false;
		j->job.group = j->group;
		if (anew && make_head(j) != OTD_OK)
			return;
		job_run(j);
		if (j->job.rc == OTD_OK && book(j) == OTD_OK) {
			tries = 0;
			continue;
		}
		anew = true;
		tries++;
	}
	otd_log(OTD_LOG_ERROR, "pool", "journal.lost", "dir=%s unacknowledged=%llu error=\"%s\"",
		j->dir, (unsigned long long)(j->last - j->synced), j->job.err.text);
}

void otd_journal_close(struct otd_journal *j)
{
	if (!j)
		return;
	j->closing = true;
	if (j->worker) {
		j->env->ops->worker_destroy(j->worker);
		write_rest(j);
	}
	if (j->retry)
		j->env->ops->timer_destroy(j->retry);
	abandon_file(j);
	otd_bytes_finish(&j->gather);
	otd_bytes_finish(&j->job.batch);
	otd_bytes_finish(&j->job.head);
	free(j->segments);
	free(j->dir);
	if (!j->deferred) /* or the end of this round frees it */
		free(j);
}
