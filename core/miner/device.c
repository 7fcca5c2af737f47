/* Threads that search: one a unit. They meet the loop at the job in hand and a queue of results. */
#include "miner/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_SCRATCH_MAX ((uint64_t)64 << 20)
#define NONCES            ((uint64_t)1 << 32)

/*
 * A post may still lie in the loop when its miner is destroyed, or be dropped with the loop. So it
 * bears a number, by which the miner is found as long as there is one.
 */
static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;
static struct otd_miner *live;
static uint64_t last_number;

void otd_miner_enlist(struct otd_miner *m)
{
	pthread_mutex_lock(&live_lock);
	m->number = ++last_number;
	m->next_live = live;
	live = m;
	pthread_mutex_unlock(&live_lock);
}

void otd_miner_delist(struct otd_miner *m)
{
	struct otd_miner **at = &live;
	pthread_mutex_lock(&live_lock);
	while (*at && *at != m)
		at = &(*at)->next_live;
	if (*at)
		*at = m->next_live;
	pthread_mutex_unlock(&live_lock);
}

static struct otd_miner *miner_of(uint64_t number)
{
	struct otd_miner *m;
	pthread_mutex_lock(&live_lock);
	for (m = live; m && m->number != number; m = m->next_live)
		;
	pthread_mutex_unlock(&live_lock);
	return m;
}

/* [loop] of the miner: it is not destroyed meanwhile. */
static void take_results(void *arg)
{
	struct otd_miner *m = miner_of((uintptr_t)arg);
	struct otd_miner_result *r = NULL;
	if (m) {
		pthread_mutex_lock(&m->lock);
		r = m->results;
		m->results = m->results_last = NULL;
		m->n_results = 0;
		m->posted = false;
		pthread_mutex_unlock(&m->lock);
	}
	while (r) {
		struct otd_miner_result *next = r->next;
		otd_miner_take_result(m, r);
		otd_miner_job_unref(r->job);
		free(r);
		r = next;
	}
}

/* [device] Takes r. */
static void hand_over(struct otd_miner *m, struct otd_miner_result *r)
{
	bool post = false;
	pthread_mutex_lock(&m->lock);
	if (m->n_results < OTD_MINER_RESULTS_MAX) {
		if (m->results_last)
			m->results_last->next = r;
		else
			m->results = r;
		m->results_last = r;
		m->n_results++;
		r = NULL;
		post = !m->posted;
		m->posted = true;
	}
	pthread_mutex_unlock(&m->lock);
	if (post && otd_loop_post(m->loop, take_results, (void *)(uintptr_t)m->number)) {
		pthread_mutex_lock(&m->lock);
		m->posted = false;
		pthread_mutex_unlock(&m->lock);
	}
	if (r) {
		/* The loop does not keep up: it has thousands of shares in hand already. */
		otd_miner_job_unref(r->job);
		free(r);
	}
}

static void hand_over_failure(struct otd_miner_unit *u, const char *what, otd_rc rc)
{
	struct otd_miner_result *r = calloc(1, sizeof(*r));
	const char *said = otd_instance_error(u->hw);
	if (!r)
		return;
	(void)snprintf(r->text, sizeof(r->text), "%s, unit %u: %s: %.140s", u->name, u->unit, what,
		       said[0] ? said : otd_rc_name(rc));
	hand_over(u->m, r);
}

/* Whether the hash of this header meets the network's target too. */
static bool is_block(const struct otd_miner *m, void *scratch, const struct otd_miner_job *job,
		     const uint8_t header[OTD_MINER_HEADER])
{
	const struct otd_algo_ops *ops = otd_instance_algo(m->conf.algo);
	struct otd_algo_item item = {.header = {header, OTD_MINER_HEADER}};
	if (otd_instance_algo_info(m->conf.algo)->scratch_size && !scratch)
		return false;
	if (ops->hash_batch(otd_instance_self(m->conf.algo), scratch, &item, sizeof(item), 1) ||
	    item.rc)
		return false;
	return otd_u256_cmp(otd_u256_from_le(item.hash), job->network) <= 0;
}

static void report(struct otd_miner_unit *u, void *scratch, struct otd_miner_job *job,
		   const struct otd_miner_work *w, uint64_t nonce)
{
	struct otd_miner_result *r = calloc(1, sizeof(*r));
	const struct otd_algo_info *info = otd_instance_algo_info(u->m->conf.algo);
	uint8_t header[OTD_MINER_HEADER];
	if (!r)
		return;
	memcpy(header, w->header, sizeof(header));
	for (uint32_t i = 0; i < 4; i++)
		header[OTD_MINER_NONCE_AT + (info->nonce_be ? 3 - i : i)] =
			(uint8_t)(nonce >> (8 * i));
	r->job = otd_miner_job_ref(job);
	memcpy(r->extranonce2, w->extranonce2, sizeof(r->extranonce2));
	r->time_s = w->time_s;
	r->version = w->version;
	r->nonce = nonce;
	r->block = is_block(u->m, scratch, job, header);
	hand_over(u->m, r);
}

/* Until the job is no longer the one in hand. OTD_OK, or the device has failed. */
static otd_rc mine_job(struct otd_miner_unit *u, struct otd_hw_unit *unit, void *scratch,
		       struct otd_miner_job *job, uint64_t serial)
{
	const struct otd_hw_ops *ops = otd_instance_hw(u->hw);
	struct otd_miner_work w = {0};
	uint64_t nonce = 0, found[OTD_MINER_FOUND_MAX];
	otd_rc rc = otd_miner_work_begin(&w, job);
	while (!rc && atomic_load(&u->m->job_serial) == serial) {
		struct otd_algo_scan s = {.size = sizeof(s),
					  .header = {w.header, sizeof(w.header)},
					  .first = nonce,
					  .count = NONCES - nonce,
					  .stop = &u->stop,
					  .found = found,
					  .found_cap = OTD_MINER_FOUND_MAX};
		otd_u256_to_le(s.target, job->target);
		otd_instance_clear_error(u->hw);
		OTD_ON(OTD_THREAD_DEVICE);
		rc = ops->scan(unit, &s);
		if (rc == OTD_E_BUSY)
			rc = OTD_OK;
		if (rc)
			break;
		if (s.done > s.count)
			s.done = s.count;
		atomic_fetch_add_explicit(&u->hashes, s.done, memory_order_relaxed);
		for (uint32_t i = 0; i < s.n_found && i < OTD_MINER_FOUND_MAX; i++)
			report(u, scratch, job, &w, found[i]);
		nonce += s.done;
		if (nonce == NONCES) {
			nonce = 0;
			rc = otd_miner_work_next(&w, job);
		}
	}
	otd_miner_work_finish(&w);
	if (rc == OTD_E_STALE) {
		/* Nothing left to try in this job; another one comes. */
		pthread_mutex_lock(&u->m->lock);
		while (!u->m->quit && atomic_load(&u->m->job_serial) == serial)
			pthread_cond_wait(&u->m->wake, &u->m->lock);
		pthread_mutex_unlock(&u->m->lock);
		rc = OTD_OK;
	}
	return rc;
}

/* The next job to work on; NULL: end. */
static struct otd_miner_job *next_job(struct otd_miner_unit *u, uint64_t *serial)
{
	struct otd_miner *m = u->m;
	struct otd_miner_job *job = NULL;
	pthread_mutex_lock(&m->lock);
	while (!m->quit && !m->job)
		pthread_cond_wait(&m->wake, &m->lock);
	if (!m->quit) {
		job = otd_miner_job_ref(m->job);
		*serial = atomic_load(&m->job_serial);
		__atomic_store_n(&u->stop, 0, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&m->lock);
	return job;
}

/* [device] */
static void unit_thread(void *arg)
{
	struct otd_miner_unit *u = arg;
	struct otd_miner *m = u->m;
	const struct otd_hw_ops *ops = otd_instance_hw(u->hw);
	const struct otd_algo_info *info = otd_instance_algo_info(m->conf.algo);
	struct otd_hw_algo algo = {.size = sizeof(algo),
				   .ops = otd_instance_algo(m->conf.algo),
				   .algo = otd_instance_self(m->conf.algo),
				   .info = info,
				   .id = otd_plugin_desc(otd_instance_plugin(m->conf.algo))->id};
	struct otd_hw_unit *unit = NULL;
	struct otd_miner_job *job;
	void *scratch = NULL;
	uint64_t serial = 0;
	otd_rc rc;
	otd_thread_is(OTD_THREAD_DEVICE | OTD_THREAD_COMPUTE);
	otd_instance_clear_error(u->hw);
	rc = ops->open(otd_instance_self(u->hw), &unit, u->device, u->unit, &algo);
	if (rc) {
		hand_over_failure(u, "cannot be opened", rc);
		return;
	}
	if (info->scratch_size <= CHECK_SCRATCH_MAX && otd_scratch_alloc(&scratch, info))
		scratch = NULL; /* shares count all the same, blocks do not show */
	while (!rc && (job = next_job(u, &serial))) {
		rc = mine_job(u, unit, scratch, job, serial);
		otd_miner_job_unref(job);
	}
	if (rc)
		hand_over_failure(u, "has failed", rc);
	otd_scratch_free(scratch);
	ops->close(unit);
}

void otd_miner_devices_job(struct otd_miner *m, struct otd_miner_job *job, bool interrupt)
{
	struct otd_miner_job *old;
	pthread_mutex_lock(&m->lock);
	old = m->job;
	m->job = job;
	atomic_fetch_add(&m->job_serial, 1);
	for (uint32_t i = 0; interrupt && i < m->n_units; i++)
		__atomic_store_n(&m->units[i].stop, 1, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&m->wake);
	pthread_mutex_unlock(&m->lock);
	otd_miner_job_unref(old);
}

/* All units of one backend, as far as threads allow. */
static otd_rc add_units(struct otd_miner *m, struct otd_plugin_instance *hw, uint32_t most,
			struct otd_err *err)
{
	const struct otd_hw_ops *ops = otd_instance_hw(hw);
	OTD_ON(OTD_THREAD_COORDINATOR);
	for (uint32_t d = 0; d < 256 && m->n_units < most; d++) {
		struct otd_hw_device dev = {.size = sizeof(dev)};
		struct otd_miner_unit *more;
		uint32_t n;
		if (ops->device(otd_instance_self(hw), d, &dev))
			break;
		n = dev.units < most - m->n_units ? dev.units : most - m->n_units;
		if (!n)
			continue;
		more = realloc(m->units, (m->n_units + n) * sizeof(*more));
		if (!more)
			return otd_fail(err, OTD_E_NOMEM, "miner: no memory for %u units", n);
		m->units = more;
		for (uint32_t i = 0; i < n; i++) {
			struct otd_miner_unit *u = &m->units[m->n_units++];
			memset(u, 0, sizeof(*u));
			u->m = m;
			u->hw = hw;
			u->device = d;
			u->unit = i;
			dev.name[sizeof(dev.name) - 1] = 0;
			memcpy(u->name, dev.name, sizeof(u->name));
		}
	}
	return OTD_OK;
}

otd_rc otd_miner_devices_start(struct otd_miner *m, struct otd_err *err)
{
	uint32_t most = m->conf.threads && m->conf.threads < 4096 ? m->conf.threads : 4096;
	otd_rc rc = OTD_OK;
	m->quit = false;
	m->n_units = m->units_alive = 0;
	for (size_t i = 0; !rc && i < m->conf.n_hw; i++)
		rc = add_units(m, m->hw[i], most, err);
	if (!rc && !m->n_units)
		rc = otd_fail(err, OTD_E_NOT_FOUND,
			      "miner: no device: none of the %zu hardware backends has one",
			      m->conf.n_hw);
	/* The array does not move any more once the first thread has a pointer into it. */
	for (uint32_t i = 0; !rc && i < m->n_units; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "mine-%u", i);
		rc = m->env->ops->thread_start(m->env, &m->units[i].thread, name, unit_thread,
					       &m->units[i], err);
		if (!rc)
			m->units_alive++;
	}
	if (rc)
		otd_miner_devices_stop(m);
	return rc;
}

void otd_miner_devices_stop(struct otd_miner *m)
{
	struct otd_miner_result *r;
	pthread_mutex_lock(&m->lock);
	m->quit = true;
	pthread_mutex_unlock(&m->lock);
	otd_miner_devices_job(m, NULL, true);
	for (uint32_t i = 0; i < m->n_units; i++) {
		if (m->units[i].thread)
			m->env->ops->thread_join(m->env, m->units[i].thread);
		m->hashes_before += atomic_load(&m->units[i].hashes);
	}
	r = m->results;
	while (r) {
		struct otd_miner_result *next = r->next;
		otd_miner_job_unref(r->job);
		free(r);
		r = next;
	}
	m->results = m->results_last = NULL;
	m->n_results = 0;
	free(m->units);
	m->units = NULL;
	m->n_units = m->units_alive = 0;
}
