/* Recorded calls: a line of JSON back to the structs of a hook, and played. */
#include "policy/record.h"
#include "base/text.h"
#include "policy/internal.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct block {
	struct block *next;
	_Alignas(16) uint8_t data[];
};

struct otd_policy_event {
	enum otd_policy_hook hook;
	int64_t time_ms;
	json_t *root; /* its texts are the structs' */
	char *said;
	void *in;
	struct block *blocks;
};

struct reading {
	struct otd_policy_event *ev;
	struct otd_err *err;
};

static void *allot(struct otd_policy_event *ev, size_t n)
{
	struct block *b = calloc(1, sizeof(*b) + (n ? n : 1));
	if (!b)
		return NULL;
	b->next = ev->blocks;
	ev->blocks = b;
	return b->data;
}

static otd_rc bad(const struct reading *r, const struct field *f, const char *what)
{
	return otd_fail(r->err, OTD_E_INVALID, "in.%s: %s", f->name, what);
}

static otd_rc read_fields(const struct reading *r, const struct fields *t, void *to,
			  const json_t *from);

static otd_rc read_list(const struct reading *r, const struct field *f, uint8_t *to,
			const json_t *v)
{
	size_t n = json_array_size(v);
	uint8_t *items;
	if (!json_is_array(v) || n > f->max)
		return bad(r, f, "is no list, or too long a one");
	items = allot(r->ev, n * f->sub->size);
	if (!items)
		return otd_fail(r->err, OTD_E_NOMEM, "no memory");
	for (size_t i = 0; i < n; i++) {
		otd_rc rc = read_fields(r, f->sub, items + i * f->sub->size, json_array_get(v, i));
		if (rc)
			return rc;
	}
	memcpy(to + f->offset, (void *)&items, sizeof(items));
	memcpy(to + f->count_at, &n, sizeof(n));
	return OTD_OK;
}

static otd_rc read_choice(const struct reading *r, const struct field *f, uint8_t *to,
			  const json_t *v)
{
	const char *s = json_string_value(v);
	for (int i = 0; s && f->words[i]; i++) {
		int word = i + f->first;
		if (strcmp(f->words[i], s) == 0) {
			memcpy(to + f->offset, &word, sizeof(word));
			return OTD_OK;
		}
	}
	return bad(r, f, "is none of its words");
}

/* Money, work and targets are texts. */
static otd_rc read_wide(const struct reading *r, const struct field *f, uint8_t *to,
			const json_t *v)
{
	const char *s = json_string_value(v);
	size_t n = json_string_length(v);
	uint8_t be[32];
	size_t len = 0;
	otd_i128 money;
	struct otd_u256 target;
	if (!s)
		return bad(r, f, "is no text");
	if (f->type == FIELD_TARGET) {
		if (otd_hex_decode(be, sizeof(be), &len, s, n) || len != sizeof(be))
			return bad(r, f, "is no target of 64 hex digits");
		target = otd_u256_from_be(be);
		memcpy(to + f->offset, &target, sizeof(target));
		return OTD_OK;
	}
	/* Work has 128 bits without a sign; what is beyond 127 no miner does. */
	if (otd_parse_i128(&money, s, n) || (f->type == FIELD_WORK && money < 0))
		return bad(r, f, "is no whole number");
	memcpy(to + f->offset, &money, sizeof(money));
	return OTD_OK;
}

static otd_rc read_field(const struct reading *r, const struct field *f, uint8_t *to,
			 const json_t *v)
{
	int64_t i = json_integer_value(v);
	bool on = json_is_true(v);
	const char *s = json_string_value(v);
	switch (f->type) {
	case FIELD_TEXT:
		if (!s || strlen(s) != json_string_length(v))
			return bad(r, f, "is no text");
		memcpy(to + f->offset, (void *)&s, sizeof(s));
		return OTD_OK;
	case FIELD_INT:
		if (!json_is_integer(v))
			return bad(r, f, "is no whole number");
		memcpy(to + f->offset, &i, sizeof(i));
		return OTD_OK;
	case FIELD_BOOL:
		if (!json_is_boolean(v))
			return bad(r, f, "is not true or false");
		memcpy(to + f->offset, &on, sizeof(on));
		return OTD_OK;
	case FIELD_CHOICE: return read_choice(r, f, to, v);
	case FIELD_LIST: return read_list(r, f, to, v);
	default: return read_wide(r, f, to, v);
	}
}

static otd_rc read_fields(const struct reading *r, const struct fields *t, void *to,
			  const json_t *from)
{
	if (!json_is_object(from))
		return otd_fail(r->err, OTD_E_INVALID, "in: is no object");
	for (size_t i = 0; i < t->n; i++) {
		const json_t *v = json_object_get(from, t->field[i].name);
		otd_rc rc = v ? read_field(r, &t->field[i], to, v) : OTD_OK;
		if (rc)
			return rc;
	}
	return OTD_OK;
}

static otd_rc hook_of(const char *s, enum otd_policy_hook *out)
{
	for (int h = 0; s && h < OTD_HOOKS; h++) {
		if (strcmp(otd_policy_hook_name((enum otd_policy_hook)h), s) == 0) {
			*out = (enum otd_policy_hook)h;
			return OTD_OK;
		}
	}
	return OTD_E_NOT_FOUND;
}

/* Each text member NULL may be, but the pool: scripts are chosen by it. */
static otd_rc read_event(struct otd_policy_event *ev, struct otd_err *err)
{
	const struct reading r = {ev, err};
	const json_t *time = json_object_get(ev->root, "time_ms");
	const char *name = json_string_value(json_object_get(ev->root, "hook"));
	const json_t *out = json_object_get(ev->root, "out");
	if (json_integer_value(json_object_get(ev->root, "v")) != 1)
		return otd_fail(err, OTD_E_VERSION,
				"v: is not 1: not a recorded event, or of a later version");
	if (hook_of(name, &ev->hook))
		return otd_fail(err, OTD_E_INVALID, "hook: '%.60s' is none", name ? name : "");
	if (!json_is_integer(time))
		return otd_fail(err, OTD_E_INVALID, "time_ms: is no whole number");
	ev->time_ms = json_integer_value(time);
	ev->in = allot(ev, otd_policy_hook_info[ev->hook].in.size);
	if (!ev->in)
		return otd_fail(err, OTD_E_NOMEM, "no memory");
	if (out) {
		ev->said = json_dumps(out, JSON_COMPACT);
		if (!ev->said)
			return otd_fail(err, OTD_E_NOMEM, "no memory");
	}
	return read_fields(&r, &otd_policy_hook_info[ev->hook].in, ev->in,
			   json_object_get(ev->root, "in"));
}

otd_rc otd_policy_event_parse(struct otd_policy_event **out, const char *line, size_t n,
			      struct otd_err *err)
{
	json_error_t why;
	otd_rc rc = OTD_OK;
	struct otd_policy_event *ev;
	*out = NULL;
	if (n > OTD_POLICY_LINE_MAX)
		return otd_fail(err, OTD_E_RANGE, "a line of more than %u bytes",
				OTD_POLICY_LINE_MAX);
	ev = calloc(1, sizeof(*ev));
	if (!ev)
		return otd_fail(err, OTD_E_NOMEM, "no memory");
	ev->root = json_loadb(line, n, JSON_REJECT_DUPLICATES, &why);
	if (!ev->root)
		rc = otd_fail(err, OTD_E_INVALID, "is no JSON: %s", why.text);
	else if (!json_is_object(ev->root))
		rc = otd_fail(err, OTD_E_INVALID, "is no JSON object");
	else
		rc = read_event(ev, err);
	if (rc) {
		otd_policy_event_destroy(ev);
		return rc;
	}
	*out = ev;
	return OTD_OK;
}

void otd_policy_event_destroy(struct otd_policy_event *ev)
{
	if (!ev)
		return;
	while (ev->blocks) {
		struct block *next = ev->blocks->next;
		free(ev->blocks);
		ev->blocks = next;
	}
	json_decref(ev->root);
	free(ev->said);
	free(ev);
}

enum otd_policy_hook otd_policy_event_hook(const struct otd_policy_event *ev)
{
	return ev->hook;
}

int64_t otd_policy_event_time_ms(const struct otd_policy_event *ev)
{
	return ev->time_ms;
}

static const char *in_text(const struct otd_policy_event *ev, const char *name)
{
	const char *s = json_string_value(json_object_get(json_object_get(ev->root, "in"), name));
	return s ? s : "";
}

const char *otd_policy_event_pool(const struct otd_policy_event *ev)
{
	return in_text(ev, "pool");
}

const char *otd_policy_event_asset(const struct otd_policy_event *ev)
{
	return in_text(ev, "asset");
}

const char *otd_policy_event_said(const struct otd_policy_event *ev)
{
	return ev->said ? ev->said : "";
}

struct keeping {
	const struct otd_policy *p;
	struct otd_bytes *to;
};

/* The answer alone: it was written just before the line. */
static void keep_answer(void *arg, const char *line, size_t n)
{
	const struct keeping *k = arg;
	(void)line, (void)n;
	(void)otd_bytes_add(k->to, k->p->out_json.ptr, k->p->out_json.len);
}

otd_rc otd_policy_event_play(const struct otd_policy_event *ev, struct otd_policy *p,
			     struct otd_bytes *out)
{
	union {
		struct otd_policy_connect_out a;
		struct otd_policy_authorize_out b;
		struct otd_policy_difficulty_out c;
		struct otd_policy_offence_out d;
		struct otd_policy_fee_out e;
		struct otd_policy_terms_out f;
		struct otd_policy_payment_out g;
		struct otd_policy_coins_out i;
		struct otd_policy_trust_out j;
	} answer;
	otd_policy_record_fn fn = p->record;
	void *arg = p->record_arg;
	otd_bytes_clear(out);
	struct keeping k = {p, out};
	otd_policy_on_call(p, keep_answer, &k);
	otd_policy_run(p, ev->hook, &answer, ev->in);
	otd_policy_on_call(p, fn, arg);
	return out->failed || out->len == 0 ? OTD_E_NOMEM : OTD_OK;
}
