#include "pool/coordinator_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/text.h"
#include "pool/image.h"
#include "pool/job.h"
#include "pool/reactor/reactor.h"

static struct otd_msg *copy_msg(const struct otd_msg *m)
{
	struct otd_msg *c = otd_msg_create(m->type, m->reactor, m->fixed, m->size - m->fixed);
	if (c) {
		memcpy(c, m, m->size);
	}
	return c;
}

static void send_copy(struct otd_coordinator *c, uint32_t i, const struct otd_msg *m)
{
	struct otd_msg *copy = copy_msg(m);
	if (copy)
		copy->reactor = i;
	if (!copy || otd_mailbox_send(c->reactors[i].mailbox, copy) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "pool", "message.lost", "type=%u reactor=%u", m->type, i);
}

static void broadcast(struct otd_coordinator *c, const struct otd_msg *m)
{
	for (uint32_t i = 0; i < c->n_reactors; i++) {
		if (c->reactors[i].mailbox)
			send_copy(c, i, m);
	}
}

/* The job's place in the ring; the template of the job that was there is given back. */
static struct job *remember(struct otd_coordinator *c, struct pool *p, struct otd_template *t)
{
	struct job *j = &p->jobs[p->n_jobs++ % JOBS_KEPT];
	if (j->number)
		otd_chain_drop(p->conf.chain, j->handle);
	otd_chain_keep(p->conf.chain, t);
	j->handle = t;
	j->number = ++c->last_job;
	return j;
}

static void put_u128(uint8_t to[16], otd_u128 v)
{
	for (int i = 0; i < 16; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

/* What makes a block here: the network target, or on a test network its floor where that is harder. */
static struct otd_u256 block_target(const struct pool *p, const struct otd_chain_template *t)
{
	struct otd_u256 network = otd_u256_from_le(t->target);
	if (p->conf.has_floor && otd_u256_cmp(p->conf.floor_target, network) < 0)
		return p->conf.floor_target;
	return network;
}

static struct otd_msg *job_message(struct pool *p, size_t index, const struct job *j,
				   const struct otd_chain_template *t, bool new_tip)
{
	size_t extra = p->parts.coinbase1.len + p->parts.coinbase2.len + p->parts.branches.len;
	struct otd_msg *head = otd_msg_create(OTD_MSG_JOB, 0, sizeof(struct otd_msg_job), extra);
	struct otd_msg_job *m = (struct otd_msg_job *)head;
	if (!m)
		return NULL;
	struct otd_u256 target = block_target(p, t);
	m->pool = (uint32_t)index;
	m->job = j->number;
	m->flags = new_tip ? OTD_JOB_CLEAN | OTD_JOB_URGENT : 0;
	m->version = t->version;
	m->nbits = t->nbits;
	m->version_mask = p->conf.version_mask;
	m->height = t->height;
	m->time_s = t->time_s;
	m->min_time_s = t->min_time_s;
	memcpy(m->prev, t->prev, 32);
	otd_u256_to_le(m->block_target, target);
	put_u128(m->network_work, otd_target_work(target));
	put_u128(m->value, (otd_u128)t->value);
	m->extranonce1_len = p->conf.extranonce1_len;
	m->extranonce2_len = p->conf.extranonce2_len;
	m->coinbase1 = otd_msg_put(head, p->parts.coinbase1.ptr, p->parts.coinbase1.len);
	m->coinbase2 = otd_msg_put(head, p->parts.coinbase2.ptr, p->parts.coinbase2.len);
	m->branches = otd_msg_put(head, p->parts.branches.ptr, p->parts.branches.len);
	return head;
}

/* What the coinbase says of us: in front of it the number of our stay on this tip, where it is not the first;
   a tag is cut at its end, so that the number is never lost. */
static void tag_of(struct pool *p, const uint8_t prev[32], char *to, size_t cap)
{
	uint32_t stay = otd_tips_enter(&p->tips, prev);
	if (stay)
		(void)snprintf(to, cap, "%u%s", stay, p->conf.tag);
	else
		(void)snprintf(to, cap, "%s", p->conf.tag);
}

void otd_coordinator_template(struct otd_coordinator *c, size_t pool,
			      const struct otd_chain_template *t, bool new_tip)
{
	struct pool *p = &c->pools[pool];
	struct otd_err err = {0};
	if (p->removed)
		return;
	char tag[TAG_BYTES + 16];
	tag_of(p, t->prev, tag, sizeof(tag));
	struct otd_chain_payee payee = {.script = p->conf.script, .value = -1};
	struct otd_chain_coinbase cb = {
		.size = sizeof(cb),
		.extranonce_len = p->conf.extranonce1_len + p->conf.extranonce2_len,
		.payees = &payee,
		.payee_stride = sizeof(payee),
		.n_payees = 1,
		.tag = {(const uint8_t *)tag, strlen(tag)},
	};
	if (otd_chain_job(p->conf.chain, t->handle, &cb, &p->parts, &err) != OTD_OK) {
		char quoted[600];
		otd_log(OTD_LOG_ERROR, "pool", "job.failed", "pool=%s height=%" PRIu64 " error=%s",
			p->conf.name, t->height,
			otd_log_quote(quoted, sizeof(quoted), err.text, strlen(err.text)));
		return;
	}
	struct job *j = remember(c, p, t->handle);
	struct otd_msg *m = job_message(p, pool, j, t, new_tip);
	if (!m) {
		otd_log(OTD_LOG_ERROR, "pool", "job.failed", "pool=%s error=\"out of memory\"",
			p->conf.name);
		return;
	}
	broadcast(c, m);
	c->conf.env->ops->timer_start(c->keep, KEEP_MS, 0);
	otd_msg_destroy(p->current);
	p->current = m;
	otd_metric_add(p->m_jobs, 1);
	otd_log(OTD_LOG_DEBUG, "pool", "job.new",
		"pool=%s job=%u height=%" PRIu64 " tx=%u clean=%d", p->conf.name, j->number,
		t->height, t->n_tx, new_tip);
}

/* Checks an address and writes the one text of it: its account, however it was written. */
static otd_rc check_address(struct otd_coordinator *c, uint32_t pool, struct otd_span in,
			    char out[ADDRESS_BYTES], struct otd_err *err)
{
	if (pool >= c->n_pools || !c->pools[pool].conf.chain)
		return otd_fail(err, OTD_E_INVALID, "this pool is not there any more");
	if (in.len >= ADDRESS_BYTES)
		return otd_fail(err, OTD_E_INVALID, "this is too long for an address");
	return otd_chain_canonical(c->pools[pool].conf.chain, (const char *)in.ptr, in.len, out,
				   ADDRESS_BYTES - 1, err);
}

static void on_auth(struct otd_coordinator *c, const struct otd_msg_auth *m)
{
	struct otd_err err = {0};
	char canonical[ADDRESS_BYTES];
	struct otd_span account = otd_msg_get(m, m->account);
	otd_rc rc = check_address(c, m->pool, account, canonical, &err);
	if (rc == OTD_OK)
		account = (struct otd_span){(const uint8_t *)canonical, strlen(canonical)};
	size_t reason_len = strlen(err.text);
	struct otd_msg *head =
		otd_msg_create(OTD_MSG_AUTH_ANSWER, m->head.reactor,
			       sizeof(struct otd_msg_auth_answer), account.len + reason_len);
	struct otd_msg_auth_answer *a = (struct otd_msg_auth_answer *)head;
	if (!a || m->head.reactor >= c->n_reactors) {
		otd_msg_destroy(head);
		return;
	}
	a->pool = m->pool;
	a->rc = rc;
	a->token = m->token;
	a->account = otd_msg_put(head, account.ptr, account.len);
	a->reason = otd_msg_put(head, err.text, reason_len);
	if (otd_mailbox_send(c->reactors[m->head.reactor].mailbox, head) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "pool", "message.lost", "type=%d", OTD_MSG_AUTH_ANSWER);
}

static void on_block(struct otd_coordinator *c, const struct otd_msg_block *m)
{
	struct otd_err err = {0};
	struct otd_block_name name = {
		.pool = m->pool, .epoch = m->epoch, .share_seq = m->share_seq, .height = m->height};
	char hash[65], quoted[600];
	if (m->pool >= c->n_pools || !c->pools[m->pool].conf.chain)
		return;
	struct pool *p = &c->pools[m->pool];
	struct job *j = otd_coordinator_job(p, m->job);
	struct otd_bytes block;
	memcpy(name.hash, m->hash, 32);
	otd_hex_encode_reverse(hash, m->hash, 32);
	struct otd_span account = otd_msg_get(m, m->account), worker = otd_msg_get(m, m->worker);
	char account_text[2 * ADDRESS_BYTES], worker_text[2 * ADDRESS_BYTES];
	otd_log(OTD_LOG_INFO, "pool", "block.found",
		"pool=%s height=%" PRIu64 " hash=%s account=%s worker=%s share=%" PRIu64
		"-%" PRIu64,
		p->conf.name, m->height, hash,
		otd_log_quote(account_text, sizeof(account_text), (const char *)account.ptr,
			      account.len),
		otd_log_quote(worker_text, sizeof(worker_text), (const char *)worker.ptr,
			      worker.len),
		m->epoch, m->share_seq);
	otd_metric_add(p->m_blocks, 1);
	otd_bytes_init(&block, 64u << 20);
	otd_rc rc = OTD_E_STALE;
	if (j)
		rc = otd_chain_assemble(p->conf.chain, j->handle, otd_msg_get(m, m->header),
					otd_msg_get(m, m->coinbase), &block, &err);
	else
		otd_fail(&err, rc, "its job %u is more than %d jobs old", m->job, JOBS_KEPT);
	if (rc == OTD_OK)
		otd_blocks_found(c->blocks, &name, otd_bytes_span(&block));
	else
		otd_log(OTD_LOG_ERROR, "pool", "block.lost", "pool=%s hash=%s error=%s",
			p->conf.name, hash,
			otd_log_quote(quoted, sizeof(quoted), err.text, strlen(err.text)));
	otd_bytes_finish(&block);
}

static void on_drained(struct otd_coordinator *c, const struct otd_msg_position *m)
{
	if (m->head.reactor >= c->n_reactors)
		return;
	if (c->reactors[m->head.reactor].owes) {
		c->reactors[m->head.reactor].owes = false;
		return;
	}
	c->reactors[m->head.reactor].drained = true;
	for (uint32_t i = 0; i < c->n_reactors; i++) {
		if (c->reactors[i].mailbox && !c->reactors[i].drained)
			return;
	}
	if (c->drained)
		c->drained(c->drained_arg);
	c->drained = NULL;
}

static void on_pool_gone(struct otd_coordinator *c, const struct otd_msg_pool_gone *m)
{
	if (m->pool >= c->n_pools || m->head.reactor >= REACTORS_MAX)
		return;
	c->pools[m->pool].farewell[m->head.reactor] =
		(struct farewell){.said = true, .epoch = m->epoch, .seq = m->seq};
}

/* What one reactor says of a worker's refused shares is for all others. */
static void on_budget(struct otd_coordinator *c, const struct otd_msg_budget *m)
{
	struct otd_msg *copy = copy_msg(&m->head);
	if (!copy)
		return; /* the others count without it */
	copy->type = OTD_MSG_BUDGET_HEARD;
	((struct otd_msg_budget *)copy)->from = m->head.reactor;
	for (uint32_t i = 0; i < c->n_reactors; i++) {
		if (c->reactors[i].mailbox && i != m->head.reactor)
			send_copy(c, i, copy);
	}
	otd_msg_destroy(copy);
}

static void on_message(void *arg, const struct otd_msg *m)
{
	struct otd_coordinator *c = arg;
	const struct otd_msg_position *at = (const struct otd_msg_position *)m;
	switch (m->type) {
	case OTD_MSG_AUTH: on_auth(c, (const struct otd_msg_auth *)m); break;
	case OTD_MSG_BLOCK: on_block(c, (const struct otd_msg_block *)m); break;
	case OTD_MSG_SYNCED: otd_accounting_synced(c->conf.accounting, at->epoch, at->seq); break;
	case OTD_MSG_DRAINED:
		otd_accounting_synced(c->conf.accounting, at->epoch, at->seq);
		on_drained(c, at);
		break;
	case OTD_MSG_POOL_GONE: on_pool_gone(c, (const struct otd_msg_pool_gone *)m); break;
	case OTD_MSG_BUDGET: on_budget(c, (const struct otd_msg_budget *)m); break;
	default: otd_log(OTD_LOG_ERROR, "pool", "message.unknown", "type=%u", m->type);
	}
}

static otd_rc on_verdict(void *arg, uint64_t epoch, uint64_t share_seq, enum otd_block_state state,
			 uint32_t confirmations)
{
	struct otd_coordinator *c = arg;
	return otd_accounting_verdict(c->conf.accounting, epoch, share_seq, state, confirmations);
}

otd_rc otd_coordinator_check(const struct otd_coordinator *c,
			     const struct otd_coordinator_pool *pools, size_t n,
			     struct otd_err *err)
{
	if (n > OTD_POOLS_MAX - c->n_pools)
		return otd_fail(err, OTD_E_RANGE,
				"this process has had %zu pools, of %d in its life: restart it",
				c->n_pools, OTD_POOLS_MAX);
	for (size_t i = 0; i < n; i++) {
		const char *name = pools[i].name;
		if (pools[i].script.len > SCRIPT_BYTES)
			return otd_fail(err, OTD_E_RANGE,
					"pools.%s: the coinbase script is too long", name);
		if (pools[i].extranonce1_len + pools[i].extranonce2_len > EXTRANONCE_BYTES)
			return otd_fail(err, OTD_E_RANGE, "pools.%s: extranonce is too long", name);
	}
	return OTD_OK;
}

size_t otd_coordinator_add_pool(struct otd_coordinator *c, const struct otd_coordinator_pool *conf)
{
	size_t number = c->n_pools;
	struct pool *p = &c->pools[number];
	char labels[96];
	OTD_ASSERT(number < OTD_POOLS_MAX);
	p->conf = *conf;
	snprintf(p->name, sizeof(p->name), "%s", conf->name);
	snprintf(p->tag, sizeof(p->tag), "%s", conf->tag);
	p->conf.name = p->name;
	p->conf.tag = p->tag;
	memcpy(p->script, conf->script.ptr, conf->script.len);
	p->conf.script.ptr = p->script;
	otd_bytes_init(&p->parts.coinbase1, 64 << 10);
	otd_bytes_init(&p->parts.coinbase2, 1 << 20);
	otd_bytes_init(&p->parts.branches, 32 * 32);
	snprintf(labels, sizeof(labels), "pool=\"%.60s\"", p->name);
	p->m_jobs = otd_metric(c->conf.metrics, OTD_COUNTER, "otd_jobs_total", labels,
			       "Jobs made from templates");
	p->m_blocks = otd_metric(c->conf.metrics, OTD_COUNTER, "otd_blocks_found_total", labels,
				 "Shares that met the network target");
	c->block_pools[number] =
		(struct otd_blocks_pool){p->name, conf->chain, conf->maturity, conf->orphan_depth};
	c->n_pools++;
	if (c->blocks)
		otd_blocks_pools(c->blocks, c->n_pools);
	return number;
}

static otd_rc init_pools(struct otd_coordinator *c, struct otd_err *err)
{
	/* Zeroed pages are not there until they are used. */
	c->pools = calloc(OTD_POOLS_MAX, sizeof(*c->pools));
	c->block_pools = calloc(OTD_POOLS_MAX, sizeof(*c->block_pools));
	if (!c->pools || !c->block_pools)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	otd_rc rc = otd_coordinator_check(c, c->conf.pools, c->conf.n_pools, err);
	for (size_t i = 0; rc == OTD_OK && i < c->conf.n_pools; i++)
		(void)otd_coordinator_add_pool(c, &c->conf.pools[i]);
	return rc;
}

void otd_coordinator_change_pool(struct otd_coordinator *c, size_t pool,
				 const struct otd_coordinator_pool *conf)
{
	struct pool *p = &c->pools[pool];
	snprintf(p->tag, sizeof(p->tag), "%s", conf->tag);
	p->conf.version_mask = conf->version_mask;
	p->conf.maturity = conf->maturity;
	p->conf.orphan_depth = conf->orphan_depth;
	c->block_pools[pool].maturity = conf->maturity;
	c->block_pools[pool].orphan_depth = conf->orphan_depth;
}

void otd_coordinator_remove_pool(struct otd_coordinator *c, size_t pool)
{
	c->pools[pool].removed = true;
}

static bool is_merged(struct otd_coordinator *c, struct pool *p, struct farewell *f)
{
	return otd_accounting_is_done(c->conf.accounting, p->name, f->epoch, f->seq, &f->merged);
}

bool otd_coordinator_is_gone(struct otd_coordinator *c, size_t pool)
{
	struct pool *p = &c->pools[pool];
	if (!p->removed || otd_blocks_has(c->blocks, pool))
		return false;
	for (uint32_t i = 0; i < c->n_reactors; i++) {
		if (c->reactors[i].mailbox &&
		    (!p->farewell[i].said || !is_merged(c, p, &p->farewell[i])))
			return false;
	}
	return true;
}

/* Templates and buffers. */
static void free_pool(struct pool *p)
{
	for (size_t k = 0; k < JOBS_KEPT; k++) {
		if (p->jobs[k].number)
			otd_chain_drop(p->conf.chain, p->jobs[k].handle);
		p->jobs[k].number = 0;
	}
	otd_msg_destroy(p->current);
	p->current = NULL;
	otd_bytes_finish(&p->parts.coinbase1);
	otd_bytes_finish(&p->parts.coinbase2);
	otd_bytes_finish(&p->parts.branches);
}

void otd_coordinator_forget_pool(struct otd_coordinator *c, size_t pool)
{
	struct pool *p = &c->pools[pool];
	OTD_ASSERT(p->removed);
	free_pool(p);
	p->conf.chain = NULL;
	c->block_pools[pool].chain = NULL;
}

otd_rc otd_coordinator_create(struct otd_coordinator **out, const struct otd_coordinator_conf *conf,
			      struct otd_err *err)
{
	struct otd_coordinator *c = calloc(1, sizeof(*c));
	otd_rc rc = OTD_E_NOMEM;
	*out = NULL;
	if (!c)
		return otd_fail(err, rc, "out of memory");
	c->conf = *conf;
	c->earlier = true;
	rc = init_pools(c, err);
	if (rc == OTD_OK) {
		struct otd_blocks_conf blocks = {.env = conf->env,
						 .loop = conf->loop,
						 .data_dir = conf->data_dir,
						 .pools = c->block_pools,
						 .n_pools = c->n_pools,
						 .pools_max = OTD_POOLS_MAX,
						 .watch_ms = conf->watch_ms,
						 .verdict = on_verdict,
						 .arg = c};
		rc = otd_blocks_create(&c->blocks, &blocks, err);
	}
	if (rc == OTD_OK)
		rc = otd_templates_create(&c->templates, conf->env, otd_blocks_disk(c->blocks),
					  conf->data_dir, err);
	if (rc == OTD_OK)
		rc = conf->env->ops->timer_create(conf->loop, &c->keep, otd_coordinator_keep, c);
	if (rc == OTD_OK)
		rc = otd_mailbox_create(&c->mailbox, conf->loop, on_message, c);
	if (rc != OTD_OK) {
		otd_coordinator_destroy(c);
		return rc;
	}
	*out = c;
	return OTD_OK;
}

void otd_coordinator_destroy(struct otd_coordinator *c)
{
	if (!c)
		return;
	otd_mailbox_destroy(c->mailbox);
	if (c->keep)
		c->conf.env->ops->timer_destroy(c->keep);
	otd_blocks_destroy(c->blocks);
	otd_templates_destroy(c->templates);
	for (size_t i = 0; c->pools && i < c->n_pools; i++)
		free_pool(&c->pools[i]);
	free(c->pools);
	free(c->block_pools);
	free(c->reactors);
	free(c);
}

struct otd_mailbox *otd_coordinator_mailbox(struct otd_coordinator *c)
{
	return c->mailbox;
}

otd_rc otd_coordinator_add_reactor(struct otd_coordinator *c, uint32_t index,
				   struct otd_mailbox *mailbox)
{
	if (index >= REACTORS_MAX)
		return OTD_E_RANGE;
	if (index >= c->n_reactors) {
		struct reactor *r = realloc(c->reactors, (index + 1) * sizeof(*r));
		if (!r)
			return OTD_E_NOMEM;
		memset(r + c->n_reactors, 0, (index + 1 - c->n_reactors) * sizeof(*r));
		c->reactors = r;
		c->n_reactors = index + 1;
	}
	c->reactors[index] = (struct reactor){.mailbox = mailbox};
	for (size_t i = 0; i < c->n_pools; i++) {
		if (c->pools[i].current && !c->pools[i].removed)
			send_copy(c, index, c->pools[i].current);
	}
	return OTD_OK;
}

otd_rc otd_coordinator_start(struct otd_coordinator *c, struct otd_err *err)
{
	return otd_blocks_start(c->blocks, err);
}

void otd_coordinator_block(struct otd_coordinator *c, const struct otd_acct_block *b)
{
	struct otd_block_name name = {
		.pool = b->pool, .epoch = b->epoch, .share_seq = b->share_seq, .height = b->height};
	if (b->pool >= c->n_pools || !c->pools[b->pool].conf.chain)
		return;
	memcpy(name.hash, b->hash, 32);
	otd_blocks_on_record(c->blocks, &name, b->state, b->confirmations);
}

void otd_coordinator_drain(struct otd_coordinator *c, otd_fn drained, void *arg)
{
	struct otd_msg *m = otd_msg_create(OTD_MSG_DRAIN, 0, sizeof(struct otd_msg), 0);
	for (uint32_t i = 0; i < c->n_reactors; i++)
		c->reactors[i].drained = false;
	c->drained = drained;
	c->drained_arg = arg;
	if (m)
		broadcast(c, m);
	otd_msg_destroy(m);
}

otd_rc otd_coordinator_freeze(struct otd_coordinator *c, otd_fn frozen, void *arg)
{
	for (uint32_t i = 0; i < c->n_reactors; i++) {
		if (c->reactors[i].owes)
			return OTD_E_BUSY;
		c->reactors[i].drained = false;
	}
	struct otd_msg *m = otd_msg_create(OTD_MSG_FREEZE, 0, sizeof(struct otd_msg), 0);
	if (!m)
		return OTD_E_NOMEM;
	c->drained = frozen;
	c->drained_arg = arg;
	broadcast(c, m);
	otd_msg_destroy(m);
	return OTD_OK;
}

void otd_coordinator_thaw(struct otd_coordinator *c)
{
	struct otd_msg *m = otd_msg_create(OTD_MSG_THAW, 0, sizeof(struct otd_msg), 0);
	c->drained = NULL;
	for (uint32_t i = 0; i < c->n_reactors; i++)
		c->reactors[i].owes = c->reactors[i].mailbox && !c->reactors[i].drained;
	if (m)
		broadcast(c, m);
	else
		otd_log(OTD_LOG_ERROR, "pool", "message.lost", "type=%d", OTD_MSG_THAW);
	otd_msg_destroy(m);
}

void otd_coordinator_release(struct otd_coordinator *c, uint32_t reactor, uint64_t epoch,
			     uint64_t seq)
{
	struct otd_msg *head = NULL;
	if (reactor < c->n_reactors && c->reactors[reactor].mailbox)
		head = otd_msg_create(OTD_MSG_RELEASE, reactor, sizeof(struct otd_msg_position), 0);
	if (!head)
		return;
	struct otd_msg_position *m = (struct otd_msg_position *)head;
	m->epoch = epoch;
	m->seq = seq;
	/* Lost where the reactor has gone: its folder is then removed as a whole after a restart. */
	if (otd_mailbox_send(c->reactors[reactor].mailbox, head) != OTD_OK)
		otd_log(OTD_LOG_WARN, "pool", "message.lost", "type=%d", OTD_MSG_RELEASE);
}

bool otd_coordinator_leaving(const struct otd_coordinator *c)
{
	return otd_blocks_leaving(c->blocks);
}

const char *otd_coordinator_trouble(struct otd_coordinator *c, size_t pool)
{
	return otd_blocks_trouble(c->blocks, pool);
}

/* --- to another process, see pool/image.h --- */

#define IMAGE_VERSION 1

bool otd_coordinator_can_save(struct otd_coordinator *c, const char **why)
{
	for (size_t i = 0; i < c->n_pools; i++) {
		*why = c->pools[i].name;
		if (c->pools[i].conf.chain && !otd_chain_can_save(c->pools[i].conf.chain))
			return false;
	}
	return true;
}

/* Transactions of templates, each different set once. */
struct bodies {
	struct otd_bytes *at;
	uint32_t n;
};

/* Takes b: it is there already, or it is now. */
static uint32_t body_number(struct bodies *all, struct otd_bytes *b)
{
	for (uint32_t i = all->n; i-- > 0;) {
		if (all->at[i].len == b->len &&
		    (!b->len || memcmp(all->at[i].ptr, b->ptr, b->len) == 0)) {
			otd_bytes_finish(b);
			return i;
		}
	}
	all->at[all->n] = *b;
	return all->n++;
}

static otd_rc save_template(struct pool *p, const struct job *j, struct bodies *bodies,
			    struct otd_bytes *out, struct otd_err *err)
{
	struct otd_bytes head, body;
	otd_bytes_init(&head, 1u << 20);
	otd_bytes_init(&body, 64u << 20);
	otd_rc rc = otd_chain_save(p->conf.chain, j->handle, &head, &body, err);
	if (rc == OTD_OK) {
		size_t part = otd_pack_begin(out);
		otd_pack_u32(out, j->number);
		otd_pack_span(out, otd_bytes_span(&head));
		otd_pack_u32(out, body_number(bodies, &body));
		otd_pack_end(out, part);
	} else {
		otd_bytes_finish(&body);
	}
	otd_bytes_finish(&head);
	return rc;
}

/* The newest jobs, back to the second tip before: reactors know no others. The oldest of them, counted from 1. */
static uint32_t oldest_known(struct pool *p)
{
	const uint8_t *tips[2] = {NULL, NULL};
	uint32_t n = p->n_jobs;
	for (; n > 0 && p->n_jobs - n < OTD_JOB_RING; n--) {
		const struct job *j = &p->jobs[(n - 1) % JOBS_KEPT];
		const uint8_t *prev = otd_chain_template_of(p->conf.chain, j->handle)->prev;
		size_t t = 0;
		while (t < 2 && tips[t] && memcmp(tips[t], prev, 32) != 0)
			t++;
		if (t == 2)
			break;
		tips[t] = prev;
	}
	return n + 1;
}

static otd_rc save_pool(struct pool *p, struct bodies *bodies, struct otd_bytes *out,
			struct otd_err *err)
{
	bool is = p->conf.chain && !p->removed && otd_chain_can_save(p->conf.chain);
	uint32_t from = is && p->n_jobs ? oldest_known(p) : 1;
	uint32_t n = is && p->n_jobs ? p->n_jobs - from + 1 : 0;
	otd_rc rc = OTD_OK;
	otd_pack_u32(out, n);
	for (uint32_t i = from; rc == OTD_OK && i < from + n; i++)
		rc = save_template(p, &p->jobs[(i - 1) % JOBS_KEPT], bodies, out, err);
	return rc;
}

otd_rc otd_coordinator_save(struct otd_coordinator *c, struct otd_bytes *out, struct otd_err *err)
{
	struct bodies bodies = {.at = calloc(c->n_pools * OTD_JOB_RING + 1, sizeof(*bodies.at))};
	otd_rc rc = bodies.at ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	otd_pack_u16(out, IMAGE_VERSION);
	otd_pack_u32(out, c->last_job);
	size_t pools = otd_pack_begin(out);
	otd_pack_u32(out, (uint32_t)c->n_pools);
	for (size_t i = 0; i < c->n_pools && rc == OTD_OK; i++)
		rc = save_pool(&c->pools[i], &bodies, out, err);
	otd_pack_end(out, pools);
	otd_pack_u32(out, bodies.n);
	for (uint32_t i = 0; i < bodies.n; i++) {
		otd_pack_span(out, otd_bytes_span(&bodies.at[i]));
		otd_bytes_finish(&bodies.at[i]);
	}
	free(bodies.at);
	if (rc == OTD_OK && out->failed)
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory to hand work over");
	return rc;
}

static otd_rc corrupt(struct otd_err *err)
{
	return otd_fail(err, OTD_E_CORRUPT, "what was handed over is no image of templates");
}

static otd_rc load_template(struct otd_coordinator *c, struct pool *p, struct otd_unpack *in,
			    const struct otd_span *bodies, uint32_t n_bodies, bool newest,
			    struct otd_err *err)
{
	struct otd_unpack t = otd_unpack_part(in);
	uint32_t number = otd_unpack_u32(&t);
	struct otd_span head = otd_unpack_span(&t);
	uint32_t body = otd_unpack_u32(&t);
	struct otd_template *handle = NULL;
	if (t.failed || body >= n_bodies || number == 0 || number > c->last_job)
		return corrupt(err);
	if (!p)
		return OTD_OK; /* not of this process */
	otd_rc rc = otd_chain_load(p->conf.chain, &handle, head, bodies[body], newest, err);
	if (rc)
		return rc;
	uint32_t last = c->last_job;
	struct job *j = remember(c, p, handle);
	c->last_job = last;
	j->number = number;
	return OTD_OK;
}

otd_rc otd_coordinator_load(struct otd_coordinator *c, struct otd_span image,
			    uint32_t (*number)(void *arg, uint32_t was), void *arg,
			    struct otd_err *err)
{
	struct otd_unpack in = otd_unpack_of(image);
	uint16_t version = otd_unpack_u16(&in);
	c->last_job = otd_unpack_u32(&in);
	struct otd_unpack pools = otd_unpack_part(&in);
	uint32_t n_bodies = otd_unpack_u32(&in);
	if (in.failed || version < 1 || n_bodies > in.left / 4)
		return corrupt(err);
	struct otd_span *bodies = calloc(n_bodies ? n_bodies : 1, sizeof(*bodies));
	otd_rc rc = bodies ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (uint32_t i = 0; i < n_bodies && rc == OTD_OK; i++)
		bodies[i] = otd_unpack_span(&in);
	uint32_t n_pools = otd_unpack_u32(&pools);
	for (uint32_t i = 0; i < n_pools && rc == OTD_OK; i++) {
		uint32_t n = otd_unpack_u32(&pools), to = number(arg, i);
		if (in.failed || pools.failed || n > OTD_JOB_RING)
			rc = corrupt(err);
		for (uint32_t k = 0; k < n && rc == OTD_OK; k++)
			rc = load_template(c, to < c->n_pools ? &c->pools[to] : NULL, &pools,
					   bodies, n_bodies, k + 1 == n, err);
	}
	free(bodies);
	return rc;
}
