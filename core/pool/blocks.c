#include "pool/blocks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/text.h"
#include "pool/block_file.h"

#define RESUBMIT_MS    10000 /* while no node has taken it */
#define RECORD_WAIT_MS 60000 /* a block whose share never reached the journal is told to a person */
#define GUARD_MS       10000 /* between two looks at a mature block, each after another tip */

struct block {
	struct block *next;
	struct otd_blocks *owner;
	struct otd_block_name name;
	char hash_text[65];
	char path[512];
	struct otd_bytes bytes;     /* the whole block; empty where only accounting knows it */
	enum otd_block_state state; /* as far as we know */
	enum otd_block_state told;  /* as accounting knows */
	uint32_t confirmations, told_confirmations;
	uint32_t nodes_took, nodes_refused;
	int64_t found_ms, submitted_ms, placed_ms; /* monotonic */
	uint8_t placed_tip[32];                    /* when it was placed last */
	bool on_record, has_file, submitted, submitting, placing, writing;
	bool safe; /* mature, and twice as deep as that takes */
	char refusal[160];
	struct otd_err write_err;
};

struct otd_blocks {
	struct otd_blocks_conf conf;
	struct block *list;
	struct otd_worker *disk;
	struct otd_timer *watch;
	char *folder;
	char *trouble; /* pools_max texts of TROUBLE bytes */
	bool left;     /* a file of a pool that is not there */
};

#define TROUBLE 640

/* Monotonic, for what waits: a wall clock that is set back must not put off a block. */
static int64_t now_ms(const struct otd_blocks *b)
{
	return (int64_t)(otd_mono_ns(b->conf.env) / 1000000);
}

static char *trouble_of(struct otd_blocks *b, size_t pool)
{
	return b->trouble + pool * TROUBLE;
}

static bool is_final(const struct block *k)
{
	return k->state == OTD_BLOCK_MATURE || k->state == OTD_BLOCK_ORPHANED;
}

/* By identity: a block whose share the journal did not take has no number. */
static struct block *find(const struct otd_blocks *b, const uint8_t hash[32])
{
	for (struct block *k = b->list; k; k = k->next) {
		if (memcmp(k->name.hash, hash, 32) == 0)
			return k;
	}
	return NULL;
}

static void destroy_block(struct block *k)
{
	otd_bytes_finish(&k->bytes);
	free(k);
}

static struct block *add(struct otd_blocks *b, const struct otd_block_name *name)
{
	struct block *k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->owner = b;
	k->name = *name;
	k->state = k->told = OTD_BLOCK_CANDIDATE;
	k->found_ms = now_ms(b);
	otd_bytes_init(&k->bytes, OTD_BLOCK_FILE_MAX);
	otd_hex_encode_reverse(k->hash_text, name->hash, 32);
	snprintf(k->path, sizeof(k->path), "%s/%s-%" PRIu64 "-%s.block", b->folder,
		 b->conf.pools[name->pool].name, name->height, k->hash_text);
	k->next = b->list;
	b->list = k;
	return k;
}

/* Tells accounting what it may know: nothing before it has the block on record. */
static void tell(struct block *k)
{
	struct otd_blocks *b = k->owner;
	if (!k->on_record || (k->state == k->told && k->confirmations == k->told_confirmations))
		return;
	otd_rc rc = b->conf.verdict(b->conf.arg, k->name.epoch, k->name.share_seq, k->state,
				    k->confirmations);
	if (rc == OTD_E_BUSY)
		return; /* the watch says it again */
	k->told = k->state;
	k->told_confirmations = k->confirmations;
	if (rc != OTD_OK)
		otd_log(OTD_LOG_ERROR, "pool", "block.verdict_refused",
			"height=%" PRIu64 " hash=%s state=%s error=%s", k->name.height,
			k->hash_text, otd_block_state_name(k->state), otd_rc_name(rc));
}

static void became(struct block *k, enum otd_block_state state, uint32_t confirmations)
{
	const char *pool = k->owner->conf.pools[k->name.pool].name;
	if (state != k->state)
		otd_log(OTD_LOG_INFO, "pool", "block.state",
			"pool=%s height=%" PRIu64 " hash=%s state=%s confirmations=%u", pool,
			k->name.height, k->hash_text, otd_block_state_name(state), confirmations);
	k->state = state;
	k->confirmations = confirmations;
	if (state >= OTD_BLOCK_ACCEPTED)
		trouble_of(k->owner, k->name.pool)[0] = '\0';
	tell(k);
}

static void on_submit(void *arg, const char *node, const struct otd_chain_submit *v)
{
	struct block *k = arg;
	struct otd_blocks *b = k->owner;
	const char *pool = b->conf.pools[k->name.pool].name;
	char quoted[200];
	if (node) {
		bool took = v->verdict == OTD_CHAIN_ACCEPTED || v->verdict == OTD_CHAIN_KNOWN;
		otd_log(took ? OTD_LOG_INFO : OTD_LOG_WARN, "pool", "block.submitted",
			"pool=%s height=%" PRIu64 " node=%s took=%s reason=%s", pool,
			k->name.height, node, took ? "yes" : "no",
			otd_log_quote(quoted, sizeof(quoted), v->reason, strlen(v->reason)));
		k->nodes_took += took;
		if (!took) {
			k->nodes_refused++;
			snprintf(k->refusal, sizeof(k->refusal), "%s: %.100s", node, v->reason);
		}
		if (took && k->state < OTD_BLOCK_ACCEPTED)
			became(k, OTD_BLOCK_ACCEPTED, 0);
		return;
	}
	k->submitting = false;
	if (k->nodes_took == 0 && k->state < OTD_BLOCK_ACCEPTED)
		snprintf(trouble_of(b, k->name.pool), TROUBLE,
			 "block %.64s at height %" PRIu64 " was taken by no node (%s); it is kept "
			 "in %.100s and handed in again every %d s",
			 k->hash_text, k->name.height, k->refusal[0] ? k->refusal : "none answered",
			 k->path, RESUBMIT_MS / 1000);
}

static void submit(struct block *k)
{
	struct otd_blocks *b = k->owner;
	if (k->submitting || k->bytes.len == 0)
		return;
	k->submitted_ms = now_ms(b);
	k->submitted = k->submitting = true;
	k->refusal[0] = '\0';
	if (k->state < OTD_BLOCK_SUBMITTED)
		became(k, OTD_BLOCK_SUBMITTED, 0);
	if (otd_chain_submit(b->conf.pools[k->name.pool].chain, otd_bytes_span(&k->bytes),
			     k->name.hash, on_submit, k) != OTD_OK)
		k->submitting = false;
}

static void write_run(void *arg) /* [disk] */
{
	struct block *k = arg;
	struct otd_blocks *b = k->owner;
	k->write_err.rc = otd_block_file_write(b->conf.env->files, b->folder, k->path,
					       b->conf.pools[k->name.pool].name, &k->name,
					       otd_bytes_span(&k->bytes), &k->write_err);
}

static void write_done(void *arg)
{
	struct block *k = arg;
	k->writing = false;
	k->has_file = k->write_err.rc == OTD_OK;
	if (!k->has_file) {
		char quoted[300];
		otd_log(OTD_LOG_ERROR, "pool", "block.not_written",
			"height=%" PRIu64 " hash=%s error=%s", k->name.height, k->hash_text,
			otd_log_quote(quoted, sizeof(quoted), k->write_err.text,
				      strlen(k->write_err.text)));
	}
}

void otd_blocks_found(struct otd_blocks *b, const struct otd_block_name *name,
		      struct otd_span block)
{
	const struct otd_env_ops *ops = b->conf.env->ops;
	struct block *k = find(b, name->hash);
	if (k && k->bytes.len)
		return;
	/* One that only accounting knew until now keeps what it knows. */
	if (!k)
		k = add(b, name);
	if (!k || otd_bytes_add(&k->bytes, block.ptr, block.len) != OTD_OK) {
		otd_log(OTD_LOG_ERROR, "pool", "block.lost",
			"height=%" PRIu64 " error=\"out of memory\"", name->height);
		return;
	}
	/* To the disk and to the nodes at the same time: neither a slow disk nor a kill between the two
	   may cost the block. */
	submit(k);
	k->writing = ops->worker_give(b->disk, write_run, write_done, k) == OTD_OK;
}

bool otd_blocks_knows(const struct otd_blocks *b, const uint8_t hash[32])
{
	const struct block *k = find(b, hash);
	return k && k->bytes.len;
}

bool otd_blocks_written(const struct otd_blocks *b)
{
	for (const struct block *k = b->list; k; k = k->next) {
		if (k->bytes.len && !k->has_file)
			return false;
	}
	return true;
}

struct otd_worker *otd_blocks_disk(struct otd_blocks *b)
{
	return b->disk;
}

void otd_blocks_on_record(struct otd_blocks *b, const struct otd_block_name *name,
			  enum otd_block_state state, uint32_t confirmations)
{
	struct block *k = find(b, name->hash);
	if (!k && (state == OTD_BLOCK_MATURE || state == OTD_BLOCK_ORPHANED))
		return;
	if (!k)
		k = add(b, name);
	if (!k)
		return;
	k->on_record = true;
	k->told = state;
	k->told_confirmations = confirmations;
	if (k->state < state)
		k->state = state;
	tell(k);
}

static void on_place(void *arg, const struct otd_err *err, const struct otd_chain_block *p)
{
	struct block *k = arg;
	const struct otd_blocks_pool *pool = &k->owner->conf.pools[k->name.pool];
	k->placing = false;
	if (err->rc != OTD_OK)
		return;
	if (p->place == OTD_CHAIN_MAIN) {
		uint32_t n =
			p->confirmations > UINT32_MAX ? UINT32_MAX : (uint32_t)p->confirmations;
		k->safe = n / 2 >= pool->maturity;
		if (k->state != OTD_BLOCK_MATURE)
			became(k, n >= pool->maturity ? OTD_BLOCK_MATURE : OTD_BLOCK_CONFIRMING, n);
		return;
	}
	/* One node's short-lived fork must not reverse credits: wait until the other block is deep. */
	if (p->place == OTD_CHAIN_OTHER && p->tip_height + 1 >= k->name.height + pool->orphan_depth)
		became(k, OTD_BLOCK_ORPHANED, 0);
	else if (k->state == OTD_BLOCK_CONFIRMING)
		became(k, OTD_BLOCK_ACCEPTED, 0);
}

static void remove_run(void *arg) /* [disk] */
{
	struct block *k = arg;
	const struct otd_files *f = k->owner->conf.env->files;
	/* What cannot be removed is found at the next start, is final then, and is removed there. */
	(void)f->remove(f->ctx, k->path);
}

static void remove_done(void *arg)
{
	destroy_block(arg);
}

/* Takes a final block that everybody knows of out of the list. */
static void retire(struct block *k)
{
	struct otd_blocks *b = k->owner;
	struct block **p = &b->list;
	while (*p != k)
		p = &(*p)->next;
	*p = k->next;
	if (!k->has_file ||
	    b->conf.env->ops->worker_give(b->disk, remove_run, remove_done, k) != OTD_OK)
		destroy_block(k);
}

/*
 * A file from an earlier run whose block came to its end there: accounting names only blocks that are
 * not final, so it is asked by saying the verdict once more.
 */
static void ask_record(struct block *k)
{
	struct otd_blocks *b = k->owner;
	otd_rc rc = b->conf.verdict(b->conf.arg, k->name.epoch, k->name.share_seq, k->state,
				    k->confirmations);
	if (rc == OTD_E_NOT_FOUND || rc == OTD_E_BUSY)
		return;
	k->on_record = true;
	k->told = k->state;
	k->told_confirmations = k->confirmations;
}

/* Mature credits are spendable, but a reorganisation may still come: the deeper, the less likely. */
static bool to_be_guarded(struct block *k, int64_t now)
{
	const struct otd_chain_template *t =
		otd_chain_template(k->owner->conf.pools[k->name.pool].chain);
	if (k->state != OTD_BLOCK_MATURE || k->safe || now - k->placed_ms < GUARD_MS || !t ||
	    memcmp(t->prev, k->placed_tip, 32) == 0)
		return false;
	memcpy(k->placed_tip, t->prev, 32);
	return true;
}

static void place(struct block *k, int64_t now)
{
	k->placed_ms = now;
	k->placing = true;
	if (otd_chain_place(k->owner->conf.pools[k->name.pool].chain, k->name.height, k->name.hash,
			    on_place, k) != OTD_OK)
		k->placing = false;
}

static void look_after(struct block *k, int64_t now)
{
	struct otd_blocks *b = k->owner;
	bool quiet = !k->writing && !k->submitting; /* nobody else holds it */
	if (k->placing)
		return;
	if (is_final(k) && !k->on_record && k->has_file)
		ask_record(k);
	tell(k);
	if (is_final(k) && k->told == k->state && k->on_record && quiet &&
	    (k->safe || k->state == OTD_BLOCK_ORPHANED)) {
		retire(k);
		return;
	}
	if (!k->on_record && now - k->found_ms > RECORD_WAIT_MS) {
		snprintf(trouble_of(b, k->name.pool), TROUBLE,
			 "block %.64s at height %" PRIu64
			 " is not in the journal: the pool stopped "
			 "before its share was kept, so nobody is credited; see %.100s",
			 k->hash_text, k->name.height, k->path);
	}
	if (is_final(k) && !to_be_guarded(k, now))
		return;
	if (k->state < OTD_BLOCK_ACCEPTED &&
	    (!k->submitted || now - k->submitted_ms >= RESUBMIT_MS))
		submit(k);
	place(k, now);
}

static void on_watch(void *arg)
{
	struct otd_blocks *b = arg;
	int64_t now = now_ms(b);
	for (struct block *k = b->list, *next; k; k = next) {
		next = k->next;
		look_after(k, now);
	}
}

static bool load_one(void *arg, const char *file)
{
	struct otd_blocks *b = arg;
	struct otd_block_name name = {0};
	char pool[64], path[512];
	struct otd_bytes bytes;
	struct otd_err err = {0};
	size_t n = strlen(file);
	if (n < 6 || strcmp(file + n - 6, ".block") != 0)
		return true;
	snprintf(path, sizeof(path), "%s/%s", b->folder, file);
	otd_bytes_init(&bytes, OTD_BLOCK_FILE_MAX);
	otd_rc rc = otd_block_file_read(b->conf.env->files, path, pool, sizeof(pool), &name, &bytes,
					&err);
	for (name.pool = 0; rc == OTD_OK && name.pool < b->conf.n_pools; name.pool++) {
		if (b->conf.pools[name.pool].chain &&
		    strcmp(b->conf.pools[name.pool].name, pool) == 0)
			break;
	}
	if (rc != OTD_OK || name.pool == b->conf.n_pools) {
		b->left = b->left || rc == OTD_OK;
		char quoted[300];
		const char *why = rc ? err.text : "its pool is not in the configuration";
		otd_log(OTD_LOG_WARN, "pool", "block.file_left", "file=%s error=%s", path,
			otd_log_quote(quoted, sizeof(quoted), why, strlen(why)));
		otd_bytes_finish(&bytes);
		return true;
	}
	struct block *k = find(b, name.hash);
	bool busy = k && (k->writing || k->bytes.len);
	if (!k)
		k = add(b, &name);
	if (k && busy) {
		otd_bytes_finish(&bytes);
	} else if (k) {
		otd_bytes_finish(&k->bytes);
		k->bytes = bytes;
		k->has_file = true;
		snprintf(k->path, sizeof(k->path), "%s", path);
	} else {
		otd_bytes_finish(&bytes);
	}
	return true;
}

#define UNFINISHED ".block.new"

struct unfinished {
	char name[16][256];
	size_t n;
};

static bool take_unfinished(void *arg, const char *file)
{
	struct unfinished *u = arg;
	size_t n = strlen(file), end = strlen(UNFINISHED);
	if (n > end && n < sizeof(u->name[0]) && strcmp(file + n - end, UNFINISHED) == 0)
		memcpy(u->name[u->n++], file, n + 1);
	return u->n < sizeof(u->name) / sizeof(u->name[0]);
}

/* The process died while it wrote a candidate: where all of it is there, its writing is finished. */
static void finish_writes(struct otd_blocks *b)
{
	const struct otd_files *f = b->conf.env->files;
	struct unfinished u = {.n = 0};
	if (f->list(f->ctx, b->folder, take_unfinished, &u) != OTD_OK)
		return; /* told by the listing that follows */
	for (size_t i = 0; i < u.n; i++) {
		struct otd_block_name name = {0};
		char pool[64], path[512];
		struct otd_bytes bytes;
		struct otd_err err = {0};
		otd_bytes_init(&bytes, OTD_BLOCK_FILE_MAX);
		snprintf(path, sizeof(path), "%s/%s", b->folder, u.name[i]);
		otd_rc rc = otd_block_file_read(f, path, pool, sizeof(pool), &name, &bytes, &err);
		path[strlen(path) - strlen(".new")] = '\0';
		if (rc == OTD_OK)
			rc = otd_block_file_write(f, b->folder, path, pool, &name,
						  otd_bytes_span(&bytes), &err);
		otd_log(OTD_LOG_WARN, "pool", rc ? "block.half_written" : "block.writing_finished",
			"file=%s.new error=%s", path, OTD_Q(err.text));
		otd_bytes_finish(&bytes);
	}
}

otd_rc otd_blocks_start(struct otd_blocks *b, struct otd_err *err)
{
	const struct otd_files *f = b->conf.env->files;
	finish_writes(b);
	otd_rc rc = f->list(f->ctx, b->folder, load_one, b);
	if (rc != OTD_OK)
		return otd_fail(err, rc, "cannot read %s: %s", b->folder, f->last_error(f->ctx));
	b->conf.env->ops->timer_start(b->watch, b->conf.watch_ms, b->conf.watch_ms);
	return OTD_OK;
}

void otd_blocks_pools(struct otd_blocks *b, size_t n_pools)
{
	const struct otd_files *f = b->conf.env->files;
	OTD_ASSERT(n_pools <= b->conf.pools_max);
	b->conf.n_pools = n_pools;
	if (!b->left)
		return;
	b->left = false;
	/* A handful of files, and only where a pool was taken out with blocks on their way. */
	if (f->list(f->ctx, b->folder, load_one, b) != OTD_OK)
		b->left = true;
}

bool otd_blocks_has(const struct otd_blocks *b, size_t pool)
{
	for (const struct block *k = b->list; k; k = k->next) {
		if (k->name.pool == pool)
			return true;
	}
	return false;
}

otd_rc otd_blocks_create(struct otd_blocks **out, const struct otd_blocks_conf *conf,
			 struct otd_err *err)
{
	const struct otd_files *f = conf->env->files;
	const struct otd_env_ops *ops = conf->env->ops;
	struct otd_blocks *b = calloc(1, sizeof(*b));
	size_t n = strlen(conf->data_dir) + sizeof("/blocks");
	otd_rc rc = OTD_E_NOMEM;
	if (b) {
		b->conf = *conf;
		if (b->conf.pools_max < conf->n_pools)
			b->conf.pools_max = conf->n_pools;
		b->folder = malloc(n);
		b->trouble = calloc(b->conf.pools_max ? b->conf.pools_max : 1, TROUBLE);
	}
	if (!b || !b->folder || !b->trouble) {
		otd_fail(err, rc, "out of memory");
		goto out;
	}
	snprintf(b->folder, n, "%s/blocks", conf->data_dir);
	rc = f->make_dir(f->ctx, b->folder);
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, conf->data_dir);
	if (rc != OTD_OK) {
		otd_fail(err, rc, "cannot make %s: %s", b->folder, f->last_error(f->ctx));
		goto out;
	}
	rc = ops->worker_create(conf->loop, &b->disk, "blocks", err);
	if (rc == OTD_OK)
		rc = ops->timer_create(conf->loop, &b->watch, on_watch, b);
out:
	if (rc != OTD_OK) {
		otd_blocks_destroy(b);
		b = NULL;
	}
	*out = b;
	return rc;
}

void otd_blocks_destroy(struct otd_blocks *b)
{
	if (!b)
		return;
	if (b->disk)
		b->conf.env->ops->worker_destroy(b->disk);
	if (b->watch)
		b->conf.env->ops->timer_destroy(b->watch);
	while (b->list) {
		struct block *k = b->list;
		b->list = k->next;
		destroy_block(k);
	}
	free(b->folder);
	free(b->trouble);
	free(b);
}

const char *otd_blocks_trouble(struct otd_blocks *b, size_t pool)
{
	return pool < b->conf.n_pools ? trouble_of(b, pool) : "";
}

bool otd_blocks_leaving(const struct otd_blocks *b)
{
	for (const struct block *k = b->list; k; k = k->next) {
		if (k->writing || (k->submitting && k->state < OTD_BLOCK_ACCEPTED))
			return true;
	}
	return false;
}
