/* Jobs and difficulty of a session: what it was sent, and by what a share is judged. */
#include "stratum/policy.h"

#include <stdlib.h>
#include <string.h>

#define LOGIN_REASON "no login in time"

struct otd_u256 otd_session_target(const struct otd_session *s, uint64_t sending)
{
	size_t i = s->n_targets;

	if (!i)
		return s->vardiff.target;
	while (--i > 0 && s->targets[i].from > sending)
		;
	return s->targets[i].target;
}

/*
 * From sending on, target. A raise holds for what is sent from now on; a cut at once, so that what
 * the miner already sends at the lower difficulty is not refused.
 */
static void target_push(struct otd_session *s, uint64_t sending, struct otd_u256 target)
{
	for (uint32_t i = 0; i < s->n_targets; i++) {
		if (otd_u256_cmp(s->targets[i].target, target) < 0)
			s->targets[i].target = target;
	}
	otd_session_target_add(s, sending, target);
}

void otd_session_target_add(struct otd_session *s, uint64_t sending, struct otd_u256 target)
{
	if (s->n_targets == OTD_SESSION_TARGETS) {
		/* Shares of the oldest sending are judged as the next one's, but no harder. */
		if (otd_u256_cmp(s->targets[1].target, s->targets[0].target) < 0)
			s->targets[1].target = s->targets[0].target;
		memmove(s->targets, s->targets + 1,
			(OTD_SESSION_TARGETS - 1) * sizeof(s->targets[0]));
		s->n_targets--;
	}
	/* Most sessions have one: as many as there are. */
	struct otd_session_target *all =
		realloc(s->targets, (s->n_targets + 1) * sizeof(s->targets[0]));
	if (!all) {
		struct otd_session_target *newest =
			s->n_targets ? &s->targets[s->n_targets - 1] : NULL;
		if (newest && otd_u256_cmp(newest->target, target) < 0)
			newest->target = target;
		return;
	}
	s->targets = all;
	s->targets[s->n_targets++] = (struct otd_session_target){sending, target};
}

/* The coin's mask was changed: whoever rolls bits must hear it before the work. */
static void mask_follows(struct otd_session *s, const struct otd_job *job)
{
	uint32_t mask = s->asked_mask & job->version_mask;

	if (!s->asked_mask || mask == s->version_mask)
		return;
	s->version_mask = mask;
	s->dialect->version_mask(s);
}

static void send(struct otd_session *s, const struct otd_job *job, uint32_t repeat, bool clean)
{
	uint64_t sending = job->order << 8 | repeat;
	struct otd_u256 target = s->vardiff.target;
	int64_t time_s = job->time_s;
	bool changed;

	/* There was no memory for its text: what it would change comes with the next. */
	if (!job->front)
		return;
	/* Never harder than a block. */
	if (otd_u256_cmp(job->block_target, target) > 0)
		target = job->block_target;
	changed = !s->n_targets || otd_u256_cmp(s->targets[s->n_targets - 1].target, target) != 0;
	if (changed)
		target_push(s, sending, target);
	if (repeat) {
		int64_t now_s = otd_wall_ms(s->st->env) / 1000;
		time_s = now_s > time_s ? now_s : time_s;
	}
	mask_follows(s, job);
	s->sent_order = job->order;
	s->sent_repeat = repeat;
	s->sent_ms = otd_session_now_ms(s);
	s->dialect->job_send(s, job, (uint8_t)repeat, time_s, clean,
			     changed || s->resumed ? &target : NULL);
	s->resumed = false;
}

void otd_session_send_job(struct otd_session *s, struct otd_job *job, bool clean)
{
	if (!s->subscribed || s->closing || s->job_due || s->sent_order >= job->order)
		return;
	send(s, job, 0, clean);
}

void otd_session_send_again(struct otd_session *s)
{
	struct otd_jobs *jobs = otd_reactor_jobs(s->st->conf.reactor, s->port->pool);
	struct otd_job *job = otd_jobs_newest(jobs);

	if (!job || !s->subscribed || s->closing || s->job_due)
		return;
	if (s->sent_order < job->order)
		otd_session_send_job(s, job, s->sent_order < jobs->good_from);
	else if (s->sent_repeat < OTD_SESSION_REPEATS_MAX)
		send(s, job, s->sent_repeat + 1, false);
}

/* The host has made this step away from before; policy may have another opinion. */
static enum otd_vardiff_step steered(struct otd_session *s, struct otd_u256 before,
				     enum otd_vardiff_step step)
{
	struct otd_u256 none = {0};

	if (step == OTD_VARDIFF_STAY || !s->st->conf.policy)
		return step;
	otd_session_policy_steer(s, before, none);
	int way = otd_u256_cmp(s->vardiff.target, before);
	if (way == 0)
		return OTD_VARDIFF_STAY;
	return way > 0 ? OTD_VARDIFF_CUT : step == OTD_VARDIFF_CUT ? OTD_VARDIFF_RAISE : step;
}

void otd_session_paced(struct otd_session *s, struct otd_u256 target)
{
	const struct otd_job *job =
		otd_jobs_newest(otd_reactor_jobs(s->st->conf.reactor, s->port->pool));
	int64_t now_ms = otd_session_now_ms(s);
	struct otd_u256 before = s->vardiff.target;
	enum otd_vardiff_step step = OTD_VARDIFF_STAY;

	/* No share is harder than a block. */
	if (otd_u256_cmp(target, s->vardiff.target) > 0 &&
	    (!job || otd_u256_cmp(target, job->block_target) > 0)) {
		otd_vardiff_early(&s->vardiff, now_ms);
	} else {
		s->steer_shares = s->vardiff.shares + 1;
		s->steer_ms = now_ms - s->vardiff.since_ms;
		step = steered(s, before, otd_vardiff_share(&s->vardiff, now_ms));
	}
	if (step == OTD_VARDIFF_JUMP || step == OTD_VARDIFF_CUT)
		otd_session_send_again(s);
}

void otd_session_target_changed(struct otd_session *s)
{
	if (s->sent_order && s->n_targets &&
	    otd_u256_cmp(s->targets[s->n_targets - 1].target, s->vardiff.target) != 0)
		otd_session_send_again(s);
}

void otd_session_suggest(struct otd_session *s, struct otd_u256 target)
{
	struct otd_u256 before = s->vardiff.target;

	otd_vardiff_suggest(&s->vardiff, target, otd_session_now_ms(s));
	otd_session_policy_steer(s, before, target);
	otd_session_target_changed(s);
}

void otd_session_floor(struct otd_session *s, struct otd_u256 target)
{
	otd_vardiff_floor(&s->vardiff, target, otd_session_now_ms(s));
	otd_session_target_changed(s);
}

/* The port's difficulty was changed since this session last looked. */
static void port_follows(struct otd_session *s, int64_t now_ms)
{
	const struct otd_port *p = (const struct otd_port *)s->port;

	if (s->port_revision == p->revision)
		return;
	s->port_revision = p->revision;
	s->policy_revision = s->st->policy.revision - 1; /* it is asked about the new limits */
	otd_vardiff_limits(&s->vardiff, s->port->start, s->port->min, s->port->max, s->port->aim_ms,
			   !s->port->vardiff, now_ms);
	otd_session_target_changed(s);
}

void otd_session_tick(struct otd_session *s, int64_t now_ms)
{
	const struct otd_stratum_conf *conf = &s->st->conf;

	otd_session_ring_idle(s, true);
	if (s->closing)
		return;
	if ((!s->subscribed || !s->n_workers) && now_ms - s->opened_ms > conf->limits.login_ms) {
		otd_session_policy_offence(s, OTD_OFFENCE_HANDSHAKE);
		otd_session_close(s, LOGIN_REASON);
		return;
	}
	port_follows(s, now_ms);
	otd_session_policy_follow(s);
	if (!s->sent_order)
		return;
	struct otd_u256 before = s->vardiff.target;
	s->steer_shares = s->vardiff.shares;
	s->steer_ms = now_ms - s->vardiff.since_ms;
	if (steered(s, before, otd_vardiff_tick(&s->vardiff, now_ms)) == OTD_VARDIFF_CUT ||
	    now_ms - s->sent_ms >= conf->limits.notify_ms)
		otd_session_send_again(s);
}
