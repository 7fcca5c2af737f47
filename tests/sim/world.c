#include "world.h"
#include "loop/loop.h"
#include "pool/acct/fees.h"
#include "store/store.h"
#include "tally.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEE_PPM 12345

void world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;
	(void)fprintf(stderr, "\nsim: seed %llu, life %u, t=%lld ms: ", (unsigned long long)w->seed,
		      w->life, (long long)sim_now_ms(w->sim));
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\nsim: again with OTEDAMA_SIM_FIRST=%llu OTEDAMA_SIM_SEEDS=1\n",
		      (unsigned long long)w->seed);
	exit(1);
}

const char *ident_pool(uint32_t ident)
{
	return ident % 4 == 3 ? "beta" : "alpha";
}

const char *ident_scheme(uint32_t ident)
{
	return ident % 4 == 2 ? "second" : ident % 4 == 1 ? "" : "main";
}

void ident_account(char to[32], uint32_t ident)
{
	(void)snprintf(to, 32, "address-%u", ident % 6);
}

void ident_worker(char to[32], uint32_t ident)
{
	(void)snprintf(to, 32, "rig%u", ident / 6);
}

uint64_t job_network_work(uint32_t job)
{
	return 1000 * (1 + job % 3);
}

struct model_epoch *world_epoch(struct world *w, uint64_t epoch)
{
	for (struct model_epoch *m = w->epochs; m; m = m->next)
		if (m->epoch == epoch)
			return m;
	return NULL;
}

/* --- reactors --- */

static void put_u128(uint8_t to[16], uint64_t v)
{
	memset(to, 0, 16);
	memcpy(to, &v, 8);
}

static size_t worker_record(uint8_t *to, uint32_t ident)
{
	char account[32], name[32];
	const char *pool = ident_pool(ident), *scheme = ident_scheme(ident);
	ident_account(account, ident);
	ident_worker(name, ident);
	struct otd_rec_worker r = {.worker = ident,
				   .pool_len = (uint16_t)strlen(pool),
				   .account_len = (uint16_t)strlen(account),
				   .name_len = (uint16_t)strlen(name),
				   .scheme_len = (uint16_t)strlen(scheme)};
	size_t n = sizeof(r);
	memcpy(to, &r, n);
	const char *texts[] = {pool, account, name, scheme};
	for (size_t i = 0; i < 4; i++) {
		memcpy(to + n, texts[i], strlen(texts[i]));
		n += strlen(texts[i]);
	}
	return n;
}

static size_t job_record(uint8_t *to, uint32_t job)
{
	struct otd_rec_job r = {.job = job, .pool_len = 5, .height = job};
	put_u128(r.network_work, job_network_work(job));
	memcpy(to, &r, sizeof(r));
	memcpy(to + sizeof(r), "alpha", 5);
	return sizeof(r) + 5;
}

static void restate(void *arg, struct otd_journal *j)
{
	struct reactor *r = arg;
	uint8_t b[256];
	for (uint32_t i = 0; i < IDENTS; i++)
		if (r->defined >> i & 1)
			(void)otd_journal_append(j, OTD_REC_WORKER, b, worker_record(b, i), NULL);
	for (uint32_t job = r->first_job; r->job && job <= r->job; job++)
		(void)otd_journal_append(j, OTD_REC_JOB, b, job_record(b, job), NULL);
}

static void on_synced(void *arg, uint64_t seq)
{
	struct reactor *r = arg;
	if (sim_dead(r->w->sim))
		return;
	if (seq > r->m->n)
		world_fail(r->w, "epoch %llu: synced %llu, appended %zu",
			   (unsigned long long)r->m->epoch, (unsigned long long)seq, r->m->n);
	r->m->acked = seq; /* the miners have their answers */
	otd_accounting_synced(r->w->acct, r->m->epoch, seq);
}

static bool append(struct reactor *r, uint16_t type, const void *p, size_t n,
		   struct model_record rec)
{
	struct model_epoch *m = r->m;
	uint64_t seq;
	if (otd_journal_append(r->j, type, p, n, &seq) != OTD_OK)
		return false;
	if (m->n == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 1024;
		m->rec = realloc(m->rec, m->cap * sizeof(*m->rec));
		if (!m->rec)
			abort();
	}
	if (seq != m->n + 1)
		world_fail(r->w, "epoch %llu: sequence %llu after %zu",
			   (unsigned long long)m->epoch, (unsigned long long)seq, m->n);
	m->rec[m->n++] = rec;
	return true;
}

static bool define(struct reactor *r, uint32_t ident)
{
	uint8_t b[256];
	struct sim *s = r->w->sim;
	uint32_t before = r->job;
	if (r->job == 0 || sim_chance(s, 10000)) {
		r->job = ++r->w->jobs;
		if (!append(r, OTD_REC_JOB, b, job_record(b, r->job),
			    (struct model_record){.kind = M_JOB, .job = r->job})) {
			r->job = before;
			return false;
		}
		if (before == 0)
			r->first_job = r->job;
	}
	if (r->defined >> ident & 1)
		return true;
	if (!append(r, OTD_REC_WORKER, b, worker_record(b, ident),
		    (struct model_record){.kind = M_WORKER, .ident = ident}))
		return false;
	r->defined |= 1u << ident;
	return true;
}

void world_block(struct reactor *r, uint32_t ident, uint64_t value)
{
	uint8_t b[512] = {0};
	struct world *w = r->w;
	struct model_record rec = {.kind = M_BLOCK,
				   .ident = ident,
				   .job = r->job,
				   .time_ms = r->m->rec[r->m->n - 1].time_ms,
				   .value = value,
				   .height = 100 + w->blocks,
				   .share_seq = r->m->n};
	struct otd_rec_block k = {.worker = ident,
				  .job = r->job,
				  .time_ms = rec.time_ms,
				  .share_seq = rec.share_seq,
				  .height = rec.height,
				  .header_len = 80,
				  .coinbase_len = 100};
	put_u128(k.value, rec.value);
	memcpy(k.hash, &rec.height, 8);
	memcpy(b, &k, sizeof(k));
	if (append(r, OTD_REC_BLOCK, b, sizeof(k) + 180, rec))
		w->blocks++;
}

bool world_share(struct reactor *r, uint32_t ident, uint64_t work)
{
	struct sim *s = r->w->sim;
	int64_t time_ms = otd_wall_ms(sim_env(s)) - (int64_t)sim_below(s, 2000);
	struct model_record rec = {
		.kind = M_SHARE, .ident = ident, .time_ms = time_ms, .work = work};
	if (!define(r, ident))
		return false;
	rec.job = r->job;
	struct otd_rec_share f = {.worker = ident, .job = r->job, .time_ms = time_ms};
	put_u128(f.work, rec.work);
	if (!append(r, OTD_REC_SHARE, &f, sizeof(f), rec))
		return false;
	r->w->shares++;
	return true;
}

static void refuse(struct reactor *r, uint32_t ident)
{
	struct sim *s = r->w->sim;
	struct otd_rec_refused f = {.worker = ident,
				    .reason = OTD_SHARE_STALE,
				    .count = 1 + sim_below(s, 3),
				    .time_ms = otd_wall_ms(sim_env(s))};
	if (define(r, ident))
		(void)append(r, OTD_REC_REFUSED, &f, sizeof(f),
			     (struct model_record){.kind = M_REFUSED,
						   .ident = ident,
						   .time_ms = f.time_ms,
						   .count = f.count});
}

static void mine(struct reactor *r)
{
	struct sim *s = r->w->sim;
	uint32_t ident = (uint32_t)sim_below(s, IDENTS);
	if (sim_chance(s, 50000))
		refuse(r, ident);
	else if (world_share(r, ident, 1 + sim_below(s, 64)) && sim_chance(s, 15000))
		world_block(r, ident, 312500000 + sim_below(s, 100000));
}

/* --- the coordinator's part --- */

static void on_block(void *arg, const struct otd_acct_block *b)
{
	struct world *w = arg;
	if (sim_dead(w->sim))
		return;
	for (size_t i = 0; i < w->n_watched; i++)
		if (w->watched[i].epoch == b->epoch && w->watched[i].share_seq == b->share_seq) {
			w->watched[i].state = b->state;
			return;
		}
	if (w->n_watched < sizeof(w->watched) / sizeof(w->watched[0]))
		w->watched[w->n_watched++] = (struct watched){b->epoch, b->share_seq, b->state};
}

static void on_release(void *arg, uint64_t epoch, uint64_t seq)
{
	struct world *w = arg;
	for (size_t i = 0; i < REACTORS; i++) {
		struct reactor *r = &w->reactor[i];
		if (!r->j || r->m->epoch != epoch)
			continue;
		if (seq > r->m->acked && !sim_dead(w->sim))
			world_fail(w, "epoch %llu: %llu released, %llu acknowledged",
				   (unsigned long long)epoch, (unsigned long long)seq,
				   (unsigned long long)r->m->acked);
		otd_journal_release(r->j, seq);
	}
}

static void judge(struct world *w)
{
	struct sim *s = w->sim;
	if (w->n_watched == 0)
		return;
	struct watched *b = &w->watched[sim_below(s, w->n_watched)];
	uint32_t to = b->state;
	if (b->state < OTD_BLOCK_ACCEPTED)
		to = sim_chance(s, 100000) ? OTD_BLOCK_ORPHANED : OTD_BLOCK_ACCEPTED;
	else if (b->state < OTD_BLOCK_MATURE)
		to = sim_chance(s, 200000)   ? OTD_BLOCK_ORPHANED
		     : sim_chance(s, 400000) ? OTD_BLOCK_MATURE
					     : OTD_BLOCK_CONFIRMING;
	else if (b->state == OTD_BLOCK_MATURE && sim_chance(s, 50000))
		to = OTD_BLOCK_ORPHANED; /* a deep reorganisation */
	otd_rc rc = otd_accounting_verdict(w->acct, b->epoch, b->share_seq, to,
					   (uint32_t)sim_below(s, 100));
	if (rc == OTD_OK)
		b->state = to;
	else if (rc != OTD_E_BUSY && !sim_dead(s))
		world_fail(w, "verdict %u on block %llu-%llu: %s", to, (unsigned long long)b->epoch,
			   (unsigned long long)b->share_seq, otd_rc_name(rc));
}

static void collect_fee(struct world *w, const struct otd_record *r)
{
	struct otd_rec_terms t;
	memcpy(&t, r->payload.ptr, sizeof(t));
	if (t.pool_len != 5 || memcmp(r->payload.ptr + sizeof(t), "alpha", 5) != 0)
		return;
	if (w->n_fees == w->cap_fees) {
		w->cap_fees = w->cap_fees ? 2 * w->cap_fees : 64;
		w->fees = realloc(w->fees, w->cap_fees * sizeof(*w->fees));
		if (!w->fees)
			abort();
	}
	w->fees[w->n_fees++] = (struct model_fee){t.time_ms, t.fee_ppm};
}

otd_i128 world_fee_of(const struct world *w, const char *pool, int64_t time_ms, otd_i128 value)
{
	otd_i128 ppm = w->n_fees ? w->fees[0].ppm : FEE_PPM;
	if (strcmp(pool, "alpha") != 0)
		return 0;
	for (size_t i = 0; i < w->n_fees; i++)
		if (w->fees[i].since_ms <= time_ms)
			ppm = w->fees[i].ppm;
	return (value * ppm + 999999) / 1000000;
}

void world_fee(struct world *w, int64_t ppm)
{
	w->fee_ppm = ppm;
	otd_accounting_fee(w->acct, "alpha", ppm, otd_wall_ms(sim_env(w->sim)));
}

/* An account's own, or the pool's again; of one that nobody knows yet it is refused. */
static void world_own_fee(struct world *w)
{
	char account[32];
	struct sim *s = w->sim;
	struct otd_acct_account_fee fee = {0};
	ident_account(account, (uint32_t)sim_below(s, IDENTS));
	fee.ppm = sim_chance(s, 300000) ? -1 : (int64_t)sim_below(s, 1000001);
	for (uint64_t n = sim_below(s, 4), left = 1000000; n > 0; n--) {
		struct otd_acct_recipient *to = &fee.to[fee.n_to++];
		to->ppm = (uint32_t)sim_below(s, left + 1);
		left -= to->ppm;
		if (sim_chance(s, 500000))
			ident_account(to->address, (uint32_t)sim_below(s, IDENTS));
		else
			(void)snprintf(to->address, sizeof(to->address), "gift-%u",
				       (unsigned)sim_below(s, 3));
	}
	otd_rc rc = otd_accounting_account_fee_to(w->acct, "alpha", account, &fee,
						  otd_wall_ms(sim_env(s)));
	if (rc != OTD_OK && rc != OTD_E_NOT_FOUND && rc != OTD_E_BUSY)
		world_fail(w, "a fee of an account is refused: %s", otd_rc_name(rc));
}

void world_collect(struct world *w, uint64_t seq)
{
	struct otd_record r;
	struct otd_err err = {0};
	otd_rc rc = OTD_OK;
	if (seq <= w->n_order)
		return;
	if (!w->order_reader)
		rc = otd_journal_reader_open(&w->order_reader, sim_env(w->sim),
					     "data/journal/coordinator", w->n_order + 1, &err);
	while (rc == OTD_OK) {
		rc = otd_journal_read(w->order_reader, &r, seq, &err);
		if (rc || r.seq <= w->n_order)
			continue;
		if (w->n_order == w->cap_order) {
			w->cap_order = w->cap_order ? 2 * w->cap_order : 1024;
			w->order = realloc(w->order, w->cap_order * sizeof(*w->order));
			if (!w->order)
				abort();
		}
		struct model_place *p = &w->order[w->n_order++];
		if (r.type == OTD_REC_BATCH) {
			struct otd_rec_batch b;
			memcpy(&b, r.payload.ptr, sizeof(b));
			*p = (struct model_place){false, false, b.epoch, b.first, b.last};
		} else if (r.type == OTD_REC_TERMS) {
			*p = (struct model_place){.terms = true};
			collect_fee(w, &r);
		} else if (r.type == OTD_REC_ACCOUNT_TERMS) {
			*p = (struct model_place){.terms = true}; /* no scheme sees it */
		} else {
			struct otd_rec_verdict v;
			memcpy(&v, r.payload.ptr, sizeof(v));
			*p = (struct model_place){true, false, v.epoch, v.share_seq, v.state};
		}
	}
	if (rc != OTD_E_NOT_FOUND)
		world_fail(w, "reading the order: %s", err.text);
}

/* --- a life --- */

/*
 * The database as it is, but for commits whose fate it cannot tell: they happened, or they did not.
 * While the world starts it is left in peace: a start that cannot tell refuses.
 */
static struct world *uncertain;
static const struct otd_store_ops *database_ops;

static otd_rc uncertain_commit(struct otd_instance *in)
{
	if (!uncertain || !uncertain->serving || uncertain->certain ||
	    !sim_chance(uncertain->sim, 20000))
		return database_ops->commit(in);
	if (sim_chance(uncertain->sim, 500000))
		(void)!database_ops->commit(in);
	else
		database_ops->rollback(in);
	return OTD_E_COMMIT_UNKNOWN;
}

static const struct otd_plugin_desc *database_plugin(void)
{
	static struct otd_store_ops ops;
	static struct otd_plugin_desc desc;
	desc = *otd_plugin_v1();
	database_ops = desc.ops.store;
	ops = *database_ops;
	ops.commit = uncertain_commit;
	desc.ops.store = &ops;
	return &desc;
}

static otd_rc create_main(void *arg, struct otd_plugin_instance **out, struct otd_err *err)
{
	return world_scheme(arg, "main", out, err);
}

static otd_rc create_second(void *arg, struct otd_plugin_instance **out, struct otd_err *err)
{
	return world_scheme(arg, "second", out, err);
}

otd_rc world_scheme(struct world *w, const char *scheme, struct otd_plugin_instance **out,
		    struct otd_err *err)
{
	const char *id = strcmp(scheme, "main") == 0 ? "pplns" : "tally";
	struct otd_plugin *p = otd_plugins_get(w->plugins, "payout", id, err);
	return p ? otd_instance_create(out, p, NULL, "payout", NULL, err) : err->rc;
}

static otd_rc open_store(struct world *w)
{
	const struct otd_plugins_conf conf = {.skip_vectors = true};
	struct otd_env *e = sim_env(w->sim);
	struct otd_err *err = &w->err;
	otd_rc rc = otd_plugins_create(&w->plugins, e, &conf, err);
	if (rc == OTD_OK)
		rc = otd_plugins_add_builtin(w->plugins, database_plugin(), err);
	if (rc == OTD_OK)
		rc = otd_plugins_add_builtin(w->plugins, tally_plugin(), err);
	if (rc == OTD_OK)
		rc = otd_plugins_add_builtin(w->plugins, sim_pplns_plugin(), err);
	if (rc == OTD_OK)
		rc = otd_files_rooted_create(&w->files, e->files, "data");
	if (rc)
		return rc;
	const struct otd_plugin_services services = {.files = w->files};
	struct otd_plugin *sqlite = otd_plugins_get(w->plugins, "store", "sqlite", err);
	rc = sqlite ? otd_instance_create(&w->database, sqlite, NULL, "store", &services, err)
		    : err->rc;
	if (rc == OTD_OK)
		rc = otd_store_create(&w->store, w->loop, w->database, err);
	return rc;
}

static otd_rc open_accounting(struct world *w)
{
	struct otd_acct_scheme a[2] = {{"main", create_main, w}, {"second", create_second, w}};
	const struct otd_acct_pool pools[2] = {
		{.name = "alpha",
		 .asset = "AAA",
		 .fee_ppm = w->fee_ppm,
		 .schemes = a,
		 .n_schemes = w->no_second ? 1 : 2},
		{.name = "beta", .asset = "BBB", .fee_ppm = 0, .schemes = a, .n_schemes = 1}};
	const struct otd_accounting_conf conf = {
		.loop = w->loop,
		.store = w->store,
		.data_dir = "data",
		.pools = pools,
		.n_pools = w->no_beta ? 1 : 2,
		.drop_unknown = w->drop_unknown,
		.merge_ms = 1 + (int64_t)sim_below(w->sim, 20),
		.commit_ms = 1 + (int64_t)sim_below(w->sim, 50),
		.snapshot_ms = 1 + (int64_t)sim_below(w->sim, 300),
		.segment_bytes = 1500,
		.max_bytes = 8 << 20,
	};
	return otd_accounting_create(&w->acct, &conf, &w->err);
}

static otd_rc open_reactor(struct world *w, struct reactor *r)
{
	uint64_t epoch;
	otd_rc rc = otd_accounting_new_epoch(w->acct, &epoch, r->dir, sizeof(r->dir), &w->err);
	if (rc)
		return rc;
	if (world_epoch(w, epoch))
		world_fail(w, "epoch %llu is given twice", (unsigned long long)epoch);
	r->m = calloc(1, sizeof(*r->m));
	if (!r->m)
		abort();
	r->m->epoch = epoch;
	r->m->next = w->epochs;
	w->epochs = r->m;
	r->w = w;
	r->defined = 0;
	r->job = 0;
	const struct otd_journal_conf jc = {.dir = r->dir,
					    .epoch = epoch,
					    .segment_bytes = 4000,
					    .max_bytes = 8 << 20,
					    .synced = on_synced,
					    .restate = restate,
					    .arg = r};
	return otd_journal_open(&r->j, w->loop, &jc, &w->err);
}

bool world_start(struct world *w)
{
	struct otd_env *e = sim_env(w->sim);
	const struct otd_accounting_events events = {
		.block = on_block, .release = on_release, .arg = w};
	w->err = (struct otd_err){0};
	w->n_watched = 0;
	w->fee_ppm = w->fee_ppm ? w->fee_ppm : FEE_PPM;
	otd_rc rc = e->files->make_dir(e->files->ctx, "data");
	if (rc == OTD_OK)
		rc = e->files->sync_dir(e->files->ctx, ".");
	if (rc == OTD_OK)
		rc = e->ops->loop_create(e, &w->loop, "all", &w->err);
	if (rc == OTD_OK)
		rc = open_store(w);
	if (rc == OTD_OK)
		rc = open_accounting(w);
	for (size_t i = 0; rc == OTD_OK && i < REACTORS; i++)
		rc = open_reactor(w, &w->reactor[i]);
	if (rc && !sim_dead(w->sim) && !w->may_refuse)
		world_fail(w, "start: %s (%s)", w->err.text, otd_rc_name(rc));
	if (rc || sim_dead(w->sim))
		return false;
	otd_accounting_start(w->acct, &events);
	uncertain = w;
	w->serving = true;
	return true;
}

void world_end(struct world *w)
{
	w->serving = false;
	uncertain = NULL;
	for (size_t i = 0; i < REACTORS; i++) {
		otd_journal_close(w->reactor[i].j);
		w->reactor[i].j = NULL;
	}
	otd_journal_reader_close(w->order_reader);
	w->order_reader = NULL;
	otd_accounting_destroy(w->acct);
	w->acct = NULL;
	otd_store_destroy(w->store);
	w->store = NULL;
	if (w->database)
		otd_instance_destroy(w->database);
	w->database = NULL;
	if (w->files)
		otd_files_rooted_destroy(w->files);
	w->files = NULL;
	if (w->plugins)
		otd_plugins_destroy(w->plugins);
	w->plugins = NULL;
	if (w->loop)
		sim_env(w->sim)->ops->loop_destroy(w->loop);
	w->loop = NULL;
}

void world_step(struct world *w, bool work)
{
	struct sim *s = w->sim;
	struct otd_acct_status *st = NULL;
	if (work) {
		for (uint64_t n = sim_below(s, 3); n > 0; n--)
			mine(&w->reactor[sim_below(s, REACTORS)]);
		if (sim_chance(s, 60000))
			judge(w);
		if (sim_chance(s, 2000))
			world_fee(w, 1 + (int64_t)sim_below(s, 1000000));
		if (sim_chance(s, 20000))
			world_own_fee(w);
	}
	if (!sim_step(s))
		return;
	if (sim_dead(s) || !sim_chance(s, 250000))
		return;
	if (otd_accounting_status(w->acct, &st, 3, 3) == OTD_OK) {
		world_collect(w, st->applied);
		for (size_t i = 0; i < st->n_blocks; i++)
			if (st->blocks[i].held)
				world_fail(w, "a block is held: %s",
					   st->n_alerts ? st->alerts[st->n_alerts - 1] : "?");
		otd_accounting_status_destroy(st);
	}
}

void world_free(struct world *w)
{
	while (w->epochs) {
		struct model_epoch *m = w->epochs;
		w->epochs = m->next;
		free(m->rec);
		free(m);
	}
	free(w->order);
	w->order = NULL;
	free(w->fees);
	w->fees = NULL;
}
