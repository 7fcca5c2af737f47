/*
 * A reactor on a real loop in a thread of its own, with a journal in a temporary folder, and a
 * coordinator that answers addresses and keeps blocks. The test's thread talks to it by posts.
 */
#ifndef TESTS_UNIT_POOL_REACTOR_RIG_H
#define TESTS_UNIT_POOL_REACTOR_RIG_H

#include "job_message.h"
#include "loop/loop.h"
#include "pool/journal/journal.h"
#include "pool/reactor/reactor.h"
#include "test_algo.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RIG_EPOCH 7

struct rig {
	char dir[64];
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_metrics *metrics;
	struct otd_mailbox *coordinator;
	struct otd_reactor *reactor;
	struct otd_reactor_pool pool;
	void *thread;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned n_blocks, n_auth, n_drained, n_gone;
	uint64_t synced;          /* as told by the newest OTD_MSG_SYNCED */
	uint64_t block_share;     /* of the last block */
	uint64_t synced_at_block; /* durable when its message came */
	uint8_t block_header[80], block_hash[32];
	size_t block_coinbase_len;
	char block_worker[80];
};

/* Addresses that begin with "good" are of this chain; "Good" is another way to write it. */
static inline void rig_answer(struct rig *r, const struct otd_msg_auth *a)
{
	struct otd_span account = otd_msg_get(a, a->account);
	bool good = account.len >= 4 && !memcmp(account.ptr + 1, "ood", 3);
	char text[160];
	struct otd_msg *m =
		otd_msg_create(OTD_MSG_AUTH_ANSWER, 0, sizeof(struct otd_msg_auth_answer), 256);
	struct otd_msg_auth_answer *out = (struct otd_msg_auth_answer *)m;

	out->pool = a->pool;
	out->token = a->token;
	out->rc = good ? OTD_OK : OTD_E_INVALID;
	if (good) {
		memcpy(text, account.ptr, account.len);
		text[0] = 'g';
		out->account = otd_msg_put(m, text, account.len);
	} else {
		out->reason = otd_msg_put(m, "not an address of \"this\" chain", 30);
	}
	if (otd_mailbox_send(otd_reactor_mailbox(r->reactor), m))
		abort();
}

static inline void rig_message(void *arg, const struct otd_msg *m)
{
	struct rig *r = arg;

	pthread_mutex_lock(&r->lock);
	if (m->type == OTD_MSG_AUTH) {
		r->n_auth++;
		rig_answer(r, (const struct otd_msg_auth *)m);
	} else if (m->type == OTD_MSG_BLOCK) {
		const struct otd_msg_block *b = (const struct otd_msg_block *)m;
		struct otd_span header = otd_msg_get(b, b->header);
		struct otd_span worker = otd_msg_get(b, b->worker);
		memcpy(r->block_header, header.ptr, 80);
		memcpy(r->block_hash, b->hash, 32);
		snprintf(r->block_worker, sizeof(r->block_worker), "%.*s", (int)worker.len,
			 (const char *)worker.ptr);
		r->block_coinbase_len = b->coinbase.len;
		r->block_share = b->share_seq;
		r->synced_at_block = r->synced;
		r->n_blocks++;
	} else if (m->type == OTD_MSG_SYNCED) {
		r->synced = ((const struct otd_msg_position *)m)->seq;
	} else if (m->type == OTD_MSG_DRAINED) {
		r->n_drained++;
	} else if (m->type == OTD_MSG_POOL_GONE) {
		r->n_gone++;
	}
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static inline void rig_run(void *arg)
{
	struct rig *r = arg;
	r->env->ops->loop_run(r->loop);
}

/* tweak (may be NULL) changes the reactor's conf. */
static inline void rig_init(struct rig *r, void (*tweak)(struct otd_reactor_conf *))
{
	struct otd_err err = {0};

	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	snprintf(r->dir, sizeof(r->dir), "/tmp/otd-rig-XXXXXX");
	if (!mkdtemp(r->dir) || otd_env_real_create(&r->env, NULL, &err) ||
	    r->env->ops->loop_create(r->env, &r->loop, "reactor", &err) ||
	    otd_mailbox_create(&r->coordinator, r->loop, rig_message, r))
		abort();
	r->metrics = otd_metrics_create();
	r->pool = (struct otd_reactor_pool){.name = "test",
					    .algo = &test_algo_ops,
					    .algo_info = &test_algo_info,
					    .version_mask = 0x1fffe000};
	struct otd_reactor_conf conf = {
		.env = r->env,
		.loop = r->loop,
		.epoch = RIG_EPOCH,
		.journal_dir = r->dir,
		.pools = &r->pool,
		.n_pools = 1,
		.coordinator = r->coordinator,
		.metrics = r->metrics,
	};
	if (tweak)
		tweak(&conf);
	if (otd_reactor_create(&r->reactor, &conf, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
}

static inline void rig_start(struct rig *r)
{
	struct otd_err err = {0};
	if (r->env->ops->thread_start(r->env, &r->thread, "reactor", rig_run, r, &err))
		abort();
}

/* The loop stands still after it. */
static inline void rig_stop(struct rig *r)
{
	if (r->thread) {
		r->env->ops->loop_stop(r->loop);
		r->env->ops->thread_join(r->env, r->thread);
		r->thread = NULL;
	}
}

static inline void rig_finish(struct rig *r)
{
	char command[128];

	rig_stop(r);
	otd_reactor_destroy(r->reactor);
	otd_mailbox_destroy(r->coordinator);
	r->env->ops->loop_destroy(r->loop);
	otd_env_real_destroy(r->env);
	otd_metrics_destroy(r->metrics);
	snprintf(command, sizeof(command), "%s/00000001.otj", r->dir);
	for (int i = 1; i < 100; i++) {
		snprintf(command, sizeof(command), "%s/%08d.otj", r->dir, i);
		unlink(command);
	}
	rmdir(r->dir);
}

static inline void rig_job(struct rig *r, const struct job_spec *spec)
{
	if (otd_mailbox_send(otd_reactor_mailbox(r->reactor), job_message(spec)))
		abort();
}

/* Until *what reaches least; the test fails where that takes 120 s. */
static inline bool rig_wait(struct rig *r, const unsigned *what, unsigned least)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 120;
	pthread_mutex_lock(&r->lock);
	while (*what < least && !rc)
		rc = pthread_cond_timedwait(&r->changed, &r->lock, &until);
	pthread_mutex_unlock(&r->lock);
	return !rc;
}

struct rig_call {
	struct rig *rig;
	void (*fn)(void *);
	void *arg;
	unsigned done;
};

static inline void rig_called(void *arg)
{
	struct rig_call *c = arg;
	c->fn(c->arg);
	pthread_mutex_lock(&c->rig->lock);
	c->done = 1;
	pthread_cond_broadcast(&c->rig->changed);
	pthread_mutex_unlock(&c->rig->lock);
}

/* Runs fn on the reactor's loop and waits for it. */
static inline void rig_call(struct rig *r, void (*fn)(void *), void *arg)
{
	struct rig_call c = {r, fn, arg, 0};
	if (otd_loop_post(r->loop, rig_called, &c) || !rig_wait(r, &c.done, 1))
		abort();
}

#endif
