/* What a person asks of the payer, in words. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pool/payer/payer_impl.h"

#define LIST_MAX 200 /* of "list --all": the newest */

/* --- the end of an answer --- */

static void ask_free(struct payer_ask *a)
{
	struct payer_ask **at = &a->owner->asks;
	while (*at && *at != a)
		at = &(*at)->next;
	if (*at)
		*at = a->next;
	for (struct payer_pool *p = a->owner->pools; p; p = p->next)
		if (p->asker == a)
			p->asker = NULL;
	payer_look_destroy(a->look);
	payer_conf_drop(a->conf);
	free(a->parts);
	free(a->verdicts);
	free(a->taken);
	otd_bytes_finish(&a->held);
	otd_payment_finish(&a->p);
	free(a);
}

void payer_ask_end(struct payer_ask *a, const struct otd_err *err, struct otd_bytes *json)
{
	struct otd_err own = *err;
	if (json && json->failed)
		(void)otd_fail(&own, OTD_E_NOMEM, "the answer does not fit into memory");
	a->fn(a->arg, &own, own.rc ? NULL : json);
	ask_free(a);
}

void payer_ask_fail(struct payer_ask *a, otd_rc rc, const char *fmt, ...)
{
	struct otd_err err = {0};
	char text[sizeof(err.text)];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)otd_fail(&err, rc, "%s", text);
	payer_ask_end(a, &err, NULL);
}

void payer_asks_end(struct otd_payer *o)
{
	while (o->asks)
		payer_ask_fail(o->asks, OTD_E_CLOSED, "the pool is ending");
}

struct payer_pool *payer_ask_pool(struct payer_ask *a)
{
	struct payer_pool *p = payer_pool_by_name(a->owner, a->conf->c.name);
	if (p && p->conf == a->conf)
		return p;
	payer_ask_fail(a, OTD_E_STALE, "the settings were changed meanwhile: ask again");
	return NULL;
}

void payer_ask_changed(struct otd_payer *o, uint64_t id)
{
	struct payer_pay *y = payer_pay_find(o, id);
	if (!y)
		return;
	y->fresh = false;
	y->said = false;
	y->next_ms = 0;
	y->send_after_ms = 0;
	payer_go(y);
}

/* --- work --- */

struct payer_job *payer_ask_job(struct payer_ask *a, payer_job_fn then,
				otd_rc (*work)(struct payer_job *, struct otd_db *,
					       struct otd_err *))
{
	struct payer_job *j = payer_job_new(a->owner, then, a);
	if (!j) {
		payer_ask_fail(a, OTD_E_CLOSED, "out of memory, or the pool is ending");
		return NULL;
	}
	j->work = work;
	j->id = a->id;
	j->conf = a->conf;
	if (a->conf) {
		a->conf->users++;
		snprintf(j->name, sizeof(j->name), "%s", a->conf->c.name);
	}
	memcpy(j->address, a->account, sizeof(j->address));
	memcpy(j->text, a->reason, sizeof(j->text));
	return j;
}

void payer_ask_give(struct payer_ask *a, struct payer_job *j, bool write)
{
	if (!payer_job_give(j, write))
		payer_ask_fail(a, OTD_E_NOMEM, "out of memory");
}

/* Never from within otd_payer_ask(). */
static otd_rc nothing_work(struct payer_job *j, struct otd_db *db, struct otd_err *err)
{
	(void)j;
	(void)db;
	(void)err;
	return OTD_OK;
}

static void say_later(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_ask *a = target;
	(void)j;
	payer_ask_end(a, a->err.rc ? &a->err : err, NULL);
}

static void later(struct payer_ask *a)
{
	struct payer_job *j = payer_ask_job(a, say_later, nothing_work);
	if (j)
		payer_ask_give(a, j, false);
}

/* --- list, show --- */

static otd_rc list_work(struct payer_job *j, struct otd_db *db, struct otd_err *err) /* [store] */
{
	uint64_t ids[LIST_MAX], page[LIST_MAX], after = 0;
	size_t n = LIST_MAX, kept = 0;
	otd_rc rc = OTD_OK;
	for (size_t i = 0; i < j->n_list; i++)
		otd_payment_finish(&j->list[i]);
	free(j->list);
	j->n_list = 0;
	j->list = calloc(LIST_MAX, sizeof(*j->list));
	if (!j->list)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (j->name[0])
		rc = otd_pay_pool_id(db, j->name, &j->pool_id, err);
	while (!rc && n == LIST_MAX) { /* the newest are last */
		rc = otd_pay_list(db, j->pool_id, OTD_PAY_RESERVED,
				  j->yes ? OTD_PAY_CANCELLED : OTD_PAY_SENT, after, page, LIST_MAX,
				  &n, err);
		if (rc || n == 0)
			break;
		size_t drop = kept + n > LIST_MAX ? kept + n - LIST_MAX : 0;
		memmove(ids, ids + drop, (kept - drop) * sizeof(*ids));
		memcpy(ids + kept - drop, page, n * sizeof(*ids));
		kept += n - drop;
		after = page[n - 1];
	}
	for (size_t i = 0; !rc && i < kept; i++) {
		rc = otd_pay_load(db, ids[i], false, &j->list[i], err);
		j->n_list += rc == OTD_OK;
	}
	return rc;
}

static void on_list(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_ask *a = target;
	struct otd_bytes b;
	if (err->rc) {
		payer_ask_end(a, err, NULL);
		return;
	}
	otd_bytes_init(&b, (size_t)32 << 20);
	(void)otd_bytes_text(&b, "{\"payments\":[");
	for (size_t i = 0; i < j->n_list; i++) {
		(void)otd_bytes_text(&b, i ? "," : "");
		payer_json_payment(&b, a->owner, &j->list[i], false, false);
	}
	(void)otd_bytes_text(&b, "]}");
	payer_ask_end(a, err, &b);
	otd_bytes_finish(&b);
}

static void ask_list(struct payer_ask *a)
{
	struct payer_job *j = payer_ask_job(a, on_list, list_work);
	if (!j)
		return;
	j->yes = a->all;
	snprintf(j->name, sizeof(j->name), "%.255s", a->what);
	payer_ask_give(a, j, false);
}

static void on_one(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_ask *a = target;
	bool show = strcmp(a->verb, "show") == 0;
	struct otd_bytes b;
	if (!show)
		payer_ask_changed(a->owner, a->id);
	if (err->rc) {
		payer_ask_end(a, err, NULL);
		return;
	}
	otd_bytes_init(&b, (size_t)32 << 20);
	payer_json_payment(&b, a->owner, &j->p, show, a->raw);
	payer_ask_end(a, err, &b);
	otd_bytes_finish(&b);
}

static void ask_show(struct payer_ask *a)
{
	struct payer_job *j = payer_ask_job(a, on_one, payer_work_step);
	if (!j)
		return;
	j->what = PAYER_READ;
	j->with_raw = a->raw;
	payer_ask_give(a, j, false);
}

/* --- start, stop, run --- */

static otd_rc set_work(struct payer_job *j, struct otd_db *db, struct otd_err *err) /* [store] */
{
	char code[9];
	otd_rc rc = payer_work_pool(j, db, err);
	if (rc)
		return rc;
	payer_plan_code(code, j->conf, j->state.restored);
	if (j->yes && strcmp(code, j->address) != 0)
		return otd_fail(
			err, OTD_E_REFUSED,
			"'%.16s' is not the code of the plan as it is now (settings have "
			"changed, or a letter is wrong): run 'payment plan %.60s' again and "
			"look at it",
			j->address, j->name);
	rc = otd_pay_pool_set(db, j->pool_id, j->yes, j->time_ms, err);
	return rc ? rc : otd_pay_pool(db, j->pool_id, &j->state, err);
}

static void on_set(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_ask *a = target;
	struct payer_pool *p;
	struct otd_bytes b;
	if (err->rc) {
		payer_ask_end(a, err, NULL);
		return;
	}
	p = payer_ask_pool(a);
	if (!p)
		return;
	p->id = j->pool_id;
	p->state = j->state;
	p->known = true;
	p->next_ms = 0;
	p->trouble[0] = '\0';
	for (struct payer_pay *y = a->owner->pays; y; y = y->next)
		if (y->p.pool_id == p->id && y->p.state <= OTD_PAY_FUNDED)
			y->next_ms = 0;
	otd_log(OTD_LOG_INFO, "pool", j->yes ? "payment.started" : "payment.stopped", "pool=%s",
		OTD_Q(p->conf->c.name));
	otd_bytes_init(&b, 4096);
	(void)otd_bytes_text(&b, "{");
	payer_json_text(&b, "pool", p->conf->c.name);
	(void)otd_bytes_format(&b, ",\"on\":%s}", j->state.on ? "true" : "false");
	payer_ask_end(a, err, &b);
	otd_bytes_finish(&b);
}

static void ask_set(struct payer_ask *a)
{
	struct payer_job *j = payer_ask_job(a, on_set, set_work);
	if (!j)
		return;
	j->yes = strcmp(a->verb, "start") == 0;
	memcpy(j->address, a->code, sizeof(a->code));
	payer_ask_give(a, j, true);
}

void payer_ask_round(struct payer_ask *a, const struct otd_err *err, uint64_t id)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 4096);
	(void)otd_bytes_text(&b, "{");
	payer_json_text(&b, "pool", a->conf->c.name);
	if (id)
		(void)otd_bytes_format(&b, ",\"id\":%" PRIu64 "}", id);
	else
		(void)otd_bytes_text(&b, ",\"id\":null,\"why\":\"nobody is due\"}");
	payer_ask_end(a, err, &b);
	otd_bytes_finish(&b);
}

static void ask_run(struct payer_ask *a)
{
	struct payer_pool *p = payer_ask_pool(a);
	if (!p)
		return;
	if (p->asker) {
		(void)otd_fail(&a->err, OTD_E_BUSY, "somebody else asks for a round: ask again");
		later(a);
		return;
	}
	p->asker = a;
	p->now = true;
	if (a->owner->opened) /* else the tick goes on with it */
		payer_pool_go(p);
}

/* --- hold, release --- */

static otd_rc account_work(struct payer_job *j, struct otd_db *db,
			   struct otd_err *err) /* [store] */
{
	otd_rc rc = otd_pay_pool_id(db, j->name, &j->pool_id, err);
	if (!rc)
		rc = otd_pay_account_id(db, j->pool_id, j->address, &j->account, err);
	return rc ? rc
		  : otd_pay_hold_account(db, j->account, j->yes ? j->text : NULL, j->time_ms, err);
}

static void on_account(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_ask *a = target;
	struct otd_bytes b;
	otd_bytes_init(&b, 4096);
	(void)otd_bytes_text(&b, "{");
	payer_json_text(&b, "pool", a->what);
	(void)otd_bytes_text(&b, ",");
	payer_json_text(&b, "address", a->account);
	(void)otd_bytes_format(&b, ",\"held\":%s}", j->yes ? "true" : "false");
	payer_ask_end(a, err, &b);
	otd_bytes_finish(&b);
}

static void ask_hold(struct payer_ask *a)
{
	struct payer_job *j = payer_ask_job(a, a->account[0] ? on_account : on_one,
					    a->account[0] ? account_work : payer_work_step);
	if (!j)
		return;
	j->what = PAYER_DO_HOLD;
	j->yes = strcmp(a->verb, "hold") == 0;
	j->text[OTD_PAY_WHY] = '\0';
	if (a->account[0])
		snprintf(j->name, sizeof(j->name), "%.255s", a->what);
	payer_ask_give(a, j, true);
}

/* --- words --- */

enum needs { NOTHING, MAYBE_POOL, POOL, ID, ID_OR_ACCOUNT };

static const struct verb {
	const char *name, *form;
	enum needs needs;
	bool reason;
	void (*run)(struct payer_ask *a);
} verbs[] = {
	{"list", "list [POOL] [--all]", MAYBE_POOL, false, ask_list},
	{"show", "show ID [--raw]", ID, false, ask_show},
	{"plan", "plan POOL", POOL, false, payer_ask_plan},
	{"start", "start POOL CODE", POOL, false, ask_set},
	{"stop", "stop POOL", POOL, false, ask_set},
	{"run", "run POOL", POOL, false, ask_run},
	{"hold", "hold ID|POOL/ADDRESS REASON", ID_OR_ACCOUNT, true, ask_hold},
	{"release", "release ID|POOL/ADDRESS", ID_OR_ACCOUNT, false, ask_hold},
	{"resolve", "resolve ID --paid TXID|--unpaid REASON", ID, true, payer_ask_resolve},
};

/* The next word into to; false: there is none, or it is too long. */
static bool word(const char **at, char *to, size_t cap)
{
	const char *s = *at;
	size_t n;
	while (*s == ' ')
		s++;
	n = strcspn(s, " ");
	if (n == 0 || n >= cap)
		return false;
	memcpy(to, s, n);
	to[n] = '\0';
	*at = s + n;
	return true;
}

static bool option(const char **at, const char *name)
{
	const char *s = *at + strspn(*at, " ");
	size_t n = strlen(name);
	if (strncmp(s, name, n) != 0 || (s[n] && s[n] != ' '))
		return false;
	*at = s + n;
	return true;
}

static otd_rc parse_what(struct payer_ask *a, const struct verb *v, const char **at,
			 struct otd_err *err)
{
	bool has = false, slash;
	if (v->needs != NOTHING && strncmp(*at + strspn(*at, " "), "--", 2) != 0)
		has = word(at, a->what, sizeof(a->what));
	if (!has)
		return v->needs == MAYBE_POOL ? OTD_OK
					      : otd_fail(err, OTD_E_INVALID, "it is: %s", v->form);
	slash = v->needs == ID_OR_ACCOUNT && strchr(a->what, '/');
	if (slash) {
		char *cut = strchr(a->what, '/');
		snprintf(a->account, sizeof(a->account), "%.255s", cut + 1);
		*cut = '\0';
		if (!a->account[0])
			return otd_fail(err, OTD_E_INVALID, "it is: %s", v->form);
	} else if (v->needs >= ID) {
		if (otd_parse_u64(&a->id, a->what, strlen(a->what)) != OTD_OK || a->id == 0)
			return otd_fail(err, OTD_E_INVALID, "'%.40s' is no number of a payment",
					a->what);
	} else if (v->needs == POOL) {
		struct payer_pool *p = payer_pool_by_name(a->owner, a->what);
		if (!p)
			return otd_fail(err, OTD_E_NOT_FOUND,
					"there is no pool '%.40s' in the settings", a->what);
		a->conf = p->conf;
		a->conf->users++;
	}
	return OTD_OK;
}

static otd_rc parse_rest(struct payer_ask *a, const struct verb *v, const char **at,
			 struct otd_err *err)
{
	char hex[80];
	bool resolve = v->run == payer_ask_resolve;
	if (strcmp(v->name, "start") == 0 && !word(at, a->code, sizeof(a->code)))
		return otd_fail(err, OTD_E_INVALID,
				"it is: %s; the code stands in the answer of 'payment plan'",
				v->form);
	a->all = v->run == ask_list && option(at, "--all");
	a->raw = v->run == ask_show && option(at, "--raw");
	a->unpaid = resolve && option(at, "--unpaid");
	a->paid = resolve && option(at, "--paid");
	if (a->paid && (!word(at, hex, sizeof(hex)) ||
			otd_hex_decode_reverse(a->txid, 32, hex, strlen(hex)) != OTD_OK))
		return otd_fail(err, OTD_E_INVALID, "--paid wants a txid of 64 hex digits");
	if (resolve && a->paid == a->unpaid)
		return otd_fail(err, OTD_E_INVALID, "either --paid TXID or --unpaid");
	*at += strspn(*at, " ");
	if (v->reason && !**at)
		return otd_fail(err, OTD_E_INVALID, "say why; it is kept in the audit log");
	if (!v->reason && **at)
		return otd_fail(err, OTD_E_INVALID, "'%.40s' is not understood: it is: %s", *at,
				v->form);
	if (strlen(*at) > OTD_PAY_WHY)
		return otd_fail(err, OTD_E_RANGE, "the reason is longer than %d bytes",
				OTD_PAY_WHY);
	snprintf(a->reason, sizeof(a->reason), "%s", *at);
	for (char *p = a->reason; *p; p++)
		if ((uint8_t)*p < ' ' || *p == 127)
			*p = ' ';
	return OTD_OK;
}

void otd_payer_ask(struct otd_payer *o, const char *words, otd_payer_answer_fn fn, void *arg)
{
	struct payer_ask *a = calloc(1, sizeof(*a));
	const struct verb *v = NULL;
	struct otd_err err = {0};
	const char *at = words;
	if (!a || o->draining) {
		(void)otd_fail(&err, OTD_E_CLOSED, a ? "the pool is ending" : "out of memory");
		free(a);
		fn(arg, &err, NULL);
		return;
	}
	a->owner = o;
	a->fn = fn;
	a->arg = arg;
	a->next = o->asks;
	o->asks = a;
	otd_bytes_init(&a->held, 1);
	if (word(&at, a->verb, sizeof(a->verb)))
		for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
			if (strcmp(verbs[i].name, a->verb) == 0)
				v = &verbs[i];
	otd_rc rc =
		v ? parse_what(a, v, &at, &a->err)
		  : otd_fail(&a->err, OTD_E_INVALID,
			     "'%.16s' is not understood: list, show, plan, start, stop, run, hold, "
			     "release or resolve",
			     a->verb);
	if (!rc)
		rc = parse_rest(a, v, &at, &a->err);
	if (rc)
		later(a);
	else
		v->run(a);
}
