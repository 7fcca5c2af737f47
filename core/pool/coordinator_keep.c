/* Templates on the disk, and the blocks that are put together of them. See pool/coordinator.h. */
#include "pool/coordinator_impl.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/text.h"

struct job *otd_coordinator_job(struct pool *p, uint32_t number)
{
	for (size_t i = 0; i < JOBS_KEPT; i++) {
		if (number && p->jobs[i].number == number)
			return &p->jobs[i];
	}
	return NULL;
}

/* --- templates on the disk --- */

/* Whether another pool of this chain has the same template, and it was kept for that. */
static bool kept_by_another(const struct otd_coordinator *c, const struct pool *p,
			    const struct job *j)
{
	for (size_t i = 0; i < c->n_pools; i++) {
		const struct pool *q = &c->pools[i];
		if (q == p || q->conf.chain != p->conf.chain || !q->n_kept)
			continue;
		if (q->jobs[(q->n_kept - 1) % JOBS_KEPT].handle == j->handle &&
		    q->jobs[(q->n_kept - 1) % JOBS_KEPT].number)
			return true;
	}
	return false;
}

static void keep_template(struct otd_coordinator *c, struct pool *p, const struct job *j)
{
	struct otd_err err = {0};
	struct otd_bytes head, body;
	if (!otd_chain_can_save(p->conf.chain) || kept_by_another(c, p, j))
		return;
	const struct otd_chain_template *t = otd_chain_template_of(p->conf.chain, j->handle);
	otd_bytes_init(&head, OTD_TEMPLATE_HEAD);
	otd_bytes_init(&body, OTD_TEMPLATE_BODY);
	if (otd_chain_save(p->conf.chain, j->handle, &head, &body, &err) == OTD_OK) {
		otd_templates_keep(c->templates, p->conf.chain, t->height, t->prev, &head, &body);
		return;
	}
	otd_log(OTD_LOG_WARN, "pool", "template.not_kept", "pool=%s height=%" PRIu64 " error=%s",
		p->conf.name, t->height, OTD_Q(err.text));
	otd_bytes_finish(&head);
	otd_bytes_finish(&body);
}

/* One at a time: each copies up to some megabytes. */
void otd_coordinator_keep(void *arg)
{
	struct otd_coordinator *c = arg;
	for (size_t i = 0; i < c->n_pools; i++) {
		struct pool *p = &c->pools[i];
		if (!p->conf.chain || p->n_kept == p->n_jobs)
			continue;
		if (p->n_jobs - p->n_kept > JOBS_KEPT)
			p->n_kept = p->n_jobs - JOBS_KEPT;
		keep_template(c, p, &p->jobs[p->n_kept % JOBS_KEPT]);
		p->n_kept++;
		c->conf.env->ops->timer_start(c->keep, KEEP_MS, 0);
		return;
	}
	/* What earlier runs left was for blocks of their journals: those have files of their own now. */
	if (c->earlier && otd_blocks_written(c->blocks)) {
		otd_templates_cut_earlier(c->templates);
		c->earlier = false;
	}
}

/* --- blocks that only a journal has --- */

struct again {
	struct otd_chain *chain;
	const struct otd_acct_found *f;
	struct otd_bytes block;
};

static bool assemble_again(void *arg, struct otd_span head, struct otd_span body,
			   struct otd_err *err)
{
	struct again *a = arg;
	struct otd_template *t = NULL;
	if (otd_chain_load(a->chain, &t, head, body, false, err) != OTD_OK)
		return false;
	otd_chain_keep(a->chain, t);
	otd_rc rc = otd_chain_assemble(a->chain, t, a->f->header, a->f->coinbase, &a->block, err);
	otd_chain_drop(a->chain, t);
	return rc == OTD_OK;
}

static otd_rc put_together(struct otd_coordinator *c, struct pool *p,
			   const struct otd_acct_found *f, struct otd_bytes *out,
			   struct otd_err *err)
{
	struct again a = {.chain = p->conf.chain, .f = f, .block = *out};
	struct job *j = otd_coordinator_job(p, f->job);
	/* A number may be that of another run's job: the plugin compares header and template. */
	otd_rc rc = OTD_E_NOT_FOUND;
	if (j)
		rc = otd_chain_assemble(a.chain, j->handle, f->header, f->coinbase, &a.block, err);
	if (rc != OTD_OK && f->at_start)
		rc = otd_templates_find(c->templates, f->height, f->prev, assemble_again, &a, err);
	else if (rc != OTD_OK && !j)
		otd_fail(err, rc, "its job %u is gone", f->job);
	*out = a.block;
	return rc;
}

/* What became of it; err: why not. */
static void log_found(const struct otd_acct_found *f, const struct otd_err *err)
{
	char hash[65];
	otd_hex_encode_reverse(hash, f->hash, 32);
	if (err->rc == OTD_OK)
		otd_log(OTD_LOG_WARN, "pool", "block.recovered",
			"pool=%s height=%" PRIu64 " hash=%s share=%" PRIu64 "-%" PRIu64,
			f->pool_name, f->height, hash, f->epoch, f->share_seq);
	else
		otd_log(OTD_LOG_ERROR, "pool", "block.not_recovered",
			"height=%" PRIu64 " hash=%s share=%" PRIu64 "-%" PRIu64 " pool=%s error=%s",
			f->height, hash, f->epoch, f->share_seq, OTD_Q(f->pool_name),
			OTD_Q(err->text));
}

void otd_coordinator_found(struct otd_coordinator *c, const struct otd_acct_found *f)
{
	struct otd_err err = {0};
	struct otd_block_name name = {
		.pool = f->pool, .epoch = f->epoch, .share_seq = f->share_seq, .height = f->height};
	struct otd_bytes block;
	if (otd_blocks_knows(c->blocks, f->hash))
		return;
	memcpy(name.hash, f->hash, 32);
	otd_bytes_init(&block, OTD_TEMPLATE_BODY);
	if (f->pool >= c->n_pools || !c->pools[f->pool].conf.chain)
		err.rc = otd_fail(&err, OTD_E_NOT_FOUND, "its pool is not in the configuration");
	else
		err.rc = put_together(c, &c->pools[f->pool], f, &block, &err);
	log_found(f, &err);
	if (err.rc == OTD_OK)
		otd_blocks_found(c->blocks, &name, otd_bytes_span(&block));
	otd_bytes_finish(&block);
}
