/* Shares on their way to the pool, and what becomes of them. */
#include "base/text.h"
#include "miner/internal.h"
#include <stdio.h>
#include <string.h>

static void hex_of_u32(char out[9], uint32_t v)
{
	uint8_t be[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
	otd_hex_encode(out, be, sizeof(be));
}

static void submit(struct otd_miner *m, const struct otd_miner_result *r)
{
	const struct otd_miner_job *j = r->job;
	struct otd_miner_pending *p = &m->pending[m->next_id % OTD_MINER_PENDING];
	char extranonce2[2 * OTD_MINER_EXTRANONCE + 1], time_s[9], nonce[9], bits[9];
	json_t *params;
	if (p->id)
		m->stats.unknown++; /* hundreds wait for their answer: the oldest is given up */
	*p = (struct otd_miner_pending){.id = m->next_id++,
					.sent_ns = otd_mono_ns(m->env),
					.work = otd_target_work(j->target),
					.block = r->block};
	otd_hex_encode(extranonce2, r->extranonce2, j->extranonce2_len);
	hex_of_u32(time_s, r->time_s);
	hex_of_u32(nonce, (uint32_t)r->nonce);
	hex_of_u32(bits, r->version & j->mask);
	params = json_pack("[s, s, s, s, s]", m->user, j->id, extranonce2, time_s, nonce);
	if (j->mask && params && json_array_append_new(params, json_string(bits))) {
		json_decref(params);
		params = NULL;
	}
	if (otd_miner_send(m, json_pack("{s:I, s:s, s:o}", "id", (json_int_t)p->id, "method",
					"mining.submit", "params", params)))
		otd_miner_drop(m, "no memory");
}

static void unit_failed(struct otd_miner *m, const char *text)
{
	if (m->units_alive)
		m->units_alive--;
	otd_miner_emit(m, OTD_MINER_DEVICE, "%s", text);
	if (m->units_alive || m->state == OTD_MINER_STOPPED)
		return;
	otd_miner_close(m);
	m->env->ops->timer_stop(m->retry);
	m->state = OTD_MINER_NO_DEVICE;
}

void otd_miner_take_result(struct otd_miner *m, struct otd_miner_result *r)
{
	if (!r->job) {
		unit_failed(m, r->text);
		return;
	}
	m->stats.found++;
	if (m->finished || m->state != OTD_MINER_MINING || r->job->session != m->session ||
	    r->job->serial < m->clean_serial)
		m->stats.stale++;
	else
		submit(m, r);
}

static void count_reason(struct otd_miner_stats *s, int32_t code, const char *text)
{
	uint32_t i = 0;
	while (i < s->n_reasons &&
	       (s->reason[i].code != code ||
		strncmp(s->reason[i].text, text, sizeof(s->reason[i].text) - 1) != 0))
		i++;
	if (i == OTD_MINER_REASONS) {
		i--;
		s->reason[i].code = 0;
		(void)snprintf(s->reason[i].text, sizeof(s->reason[i].text), "other reasons");
	} else if (i == s->n_reasons) {
		s->n_reasons++;
		s->reason[i].code = code;
		(void)snprintf(s->reason[i].text, sizeof(s->reason[i].text), "%s", text);
	}
	s->reason[i].n++;
}

static bool all_answered(const struct otd_miner *m)
{
	for (uint32_t i = 0; i < OTD_MINER_PENDING; i++) {
		if (m->pending[i].id)
			return false;
	}
	return true;
}

void otd_miner_check_finished(struct otd_miner *m)
{
	uint64_t waited_ns = otd_mono_ns(m->env) - m->finish_ns;
	if (!m->finish_ns ||
	    (!all_answered(m) && waited_ns < (uint64_t)m->conf.answer_ms * 1000000))
		return;
	m->finish_ns = 0;
	m->finished(m->finished_arg);
}

void otd_miner_finish(struct otd_miner *m, otd_fn done, void *arg)
{
	if (m->finished)
		return;
	m->finished = done;
	m->finished_arg = arg;
	m->finish_ns = otd_mono_ns(m->env);
	otd_miner_check_finished(m);
}

static void answered(struct otd_miner *m, uint64_t id, const json_t *result, const json_t *error)
{
	struct otd_miner_pending *p = &m->pending[id % OTD_MINER_PENDING];
	struct otd_miner_event ev = {.kind = OTD_MINER_ACCEPTED, .text = ""};
	const json_t *words = error;
	char text[64] = "";
	if (p->id != id)
		return;
	p->id = 0;
	ev.latency_ms = (int64_t)((otd_mono_ns(m->env) - p->sent_ns) / 1000000);
	if (json_is_true(result) && (!error || json_is_null(error))) {
		m->stats.accepted++;
		m->stats.accepted_work += p->work;
		m->stats.blocks += p->block;
		m->last_accepted_ns = otd_mono_ns(m->env);
		m->failures = m->all_failures = 0;
		otd_miner_emit_event(m, &ev);
		return;
	}
	ev.kind = OTD_MINER_REFUSED;
	if (json_is_array(error)) {
		ev.code = (int32_t)json_integer_value(json_array_get(error, 0));
		words = json_array_get(error, 1);
	} else if (json_is_object(error)) {
		ev.code = (int32_t)json_integer_value(json_object_get(error, "code"));
		words = json_object_get(error, "message");
	}
	(void)snprintf(text, sizeof(text), "%s",
		       json_is_string(words) ? json_string_value(words) : "no reason given");
	for (char *c = text; *c; c++) {
		if (*c < ' ' || *c == 127)
			*c = '?';
	}
	m->stats.refused++;
	count_reason(&m->stats, ev.code, text);
	ev.text = text;
	otd_miner_emit_event(m, &ev);
}

void otd_miner_answered(struct otd_miner *m, uint64_t id, const json_t *result, const json_t *error)
{
	answered(m, id, result, error);
	otd_miner_check_finished(m);
}

void otd_miner_forget(struct otd_miner *m)
{
	for (uint32_t i = 0; i < OTD_MINER_PENDING; i++) {
		m->stats.unknown += m->pending[i].id != 0;
		m->pending[i].id = 0;
	}
}
