/* mining.configure [[names], {name.param: value}], BIP 310. Comes first from cgminer's family, which
   takes the very next line for the answer. */
#include "stratum/v1/v1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX  32
#define ANSWER_MAX (64u << 10)

/* The bits that the miner can roll; all where it does not say, or says it in a way of its own. */
static uint32_t asked_mask(const json_t *params)
{
	const json_t *v = json_object_get(params, "version-rolling.mask");
	uint32_t mask = UINT32_MAX;

	if (json_is_string(v) && otd_hex_u32(&mask, json_string_value(v), json_string_length(v)))
		mask = UINT32_MAX;
	return mask;
}

static void version_rolling(struct otd_session *s, const json_t *params, json_t *result)
{
	char text[9];

	s->asked_mask = asked_mask(params);
	s->version_mask =
		s->asked_mask & otd_reactor_version_mask(s->st->conf.reactor, s->port->pool);
	json_object_set_new(result, "version-rolling", json_boolean(s->version_mask != 0));
	if (!s->version_mask) {
		s->asked_mask = 0; /* it was told no: that stays so */
		return;
	}
	snprintf(text, sizeof(text), "%08x", s->version_mask);
	json_object_set_new(result, "version-rolling.mask", json_string(text));
}

static bool minimum_difficulty(struct otd_session *s, const json_t *params, struct otd_u256 *target)
{
	char text[OTD_V1_NUMBER_TEXT];
	struct otd_span n =
		otd_v1_number(json_object_get(params, "minimum-difficulty.value"), text);

	return n.len &&
	       !otd_difficulty_parse(target, (const char *)n.ptr, n.len, otd_session_diff1(s));
}

static int add(const char *text, size_t n, void *arg)
{
	return otd_bytes_add(arg, text, n) ? -1 : 0;
}

static void answer(struct otd_session *s, const struct otd_v1_request *q, const json_t *result)
{
	struct otd_bytes b;

	/* json_dumps() goes on where memory ran out for a key, and leaves it out. */
	otd_bytes_init(&b, ANSWER_MAX);
	if (!json_dump_callback(result, add, &b, JSON_COMPACT) && !otd_bytes_add(&b, "", 1) &&
	    !b.failed)
		otd_v1_answer(s, q->id, (const char *)b.ptr, "null");
	else
		otd_v1_answer_error(s, q->id, OTD_V1_ERROR_OTHER, "out of memory");
	otd_bytes_finish(&b);
}

void otd_v1_version_mask(struct otd_session *s)
{
	char line[96];
	int n = snprintf(line, sizeof(line),
			 "{\"id\":null,\"method\":\"mining.set_version_mask\","
			 "\"params\":[\"%08x\"]}\n",
			 s->version_mask);

	otd_session_notice(s, line, (size_t)n);
}

void otd_v1_handle_configure(struct otd_session *s, const struct otd_v1_request *q)
{
	const json_t *names = json_array_get(q->params, 0), *params = json_array_get(q->params, 1);
	json_t *result = json_object();
	bool rolls = false, has_floor = false;
	struct otd_u256 floor;

	if (!json_is_array(names) || json_array_size(names) > NAMES_MAX || !result) {
		otd_v1_answer_error(s, q->id, OTD_V1_ERROR_OTHER,
				    "mining.configure wants [[names], {parameters}]");
		json_decref(result);
		return;
	}
	for (size_t i = 0; i < json_array_size(names); i++) {
		const json_t *name = json_array_get(names, i);
		const char *n = json_is_string(name) ? json_string_value(name) : "";
		bool known = !strcmp(n, "subscribe-extranonce") || !strcmp(n, "info");
		if (!strcmp(n, "version-rolling")) {
			version_rolling(s, params, result);
			rolls = s->version_mask != 0;
			continue;
		}
		if (!strcmp(n, "minimum-difficulty"))
			known = has_floor = minimum_difficulty(s, params, &floor);
		if (*n)
			json_object_set_new(result, n, json_boolean(known));
	}
	answer(s, q, result);
	json_decref(result);
	if (rolls)
		otd_v1_version_mask(s);
	if (has_floor) /* may send a job, so behind the answer */
		otd_session_floor(s, floor);
}
