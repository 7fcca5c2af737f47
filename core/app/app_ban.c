/*
 * Bans of the running pool. A ban is in SQL, with its row in the audit log, before it is in force;
 * then the gate's table has it at once, and every reactor by a message.
 */
#include "app/app_ban.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/app_parts.h"
#include "app/explain/app_explain.h"
#include "app/processes/processes.h"
#include "base/log.h"
#include "base/text.h"
#include "ledger/audit.h"

#define BY_MAX    80
#define BY_POLICY "policy " /* and the script's name */

/* --- rows --- */

const uint32_t otd_ban_wants[OTD_BAN_N] = {OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_TEXT,
					   OTD_VALUE_TEXT, OTD_VALUE_TEXT, OTD_VALUE_INT,
					   OTD_VALUE_INT,  OTD_VALUE_INT};

/* --- the start --- */

static otd_rc take_row(void *ctx, const struct otd_value *c, size_t n)
{
	struct otd_app *app = ctx;
	char what[OTD_BAN_WHAT_MAX + 1], reason[OTD_BAN_REASON_MAX + 1];
	struct otd_ban ban = {.id = (uint64_t)c[0].i,
			      .scope = (enum otd_ban_scope)c[1].i,
			      .created_ms = c[5].i,
			      .until_ms = c[6].i,
			      .what = what,
			      .reason = reason};
	struct otd_err err = {0};
	(void)n;
	if (!otd_explain_take_text(what, sizeof(what), &c[2]) ||
	    !otd_explain_take_text(reason, sizeof(reason), &c[3]))
		otd_fail(&err, OTD_E_RANGE, "its texts are too long");
	else
		err.rc = otd_bans_add(app->bans, &ban, &err);
	if (err.rc)
		otd_app_warn(app, "ban %" PRIu64 " of the database is not in force: %s", ban.id,
			     err.text);
	return OTD_OK;
}

static otd_rc load_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct otd_app *app = arg;
	const struct otd_value v[] = {OTD_INT(otd_wall_ms(app->env))};
	otd_bans_destroy(app->bans); /* of an attempt before this one */
	app->bans = NULL;
	if (otd_bans_create(&app->bans, app->env, OTD_BANS_MAX) != OTD_OK)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	return otd_db_query(db,
			    "SELECT " OTD_BAN_COLUMNS " FROM bans WHERE undone_ms = 0 AND"
			    " (until_ms = 0 OR until_ms > ?) ORDER BY id",
			    v, 1, otd_ban_wants, OTD_BAN_N, take_row, app, err);
}

otd_rc otd_app_bans_load(struct otd_app *app, struct otd_err *err)
{
	return otd_store_do_now(app->store, false, load_work, app, err);
}

static void tell_reactor(struct otd_app_reactor *r, const struct otd_ban *ban, bool undo)
{
	size_t what_n = strlen(ban->what), reason_n = strlen(ban->reason);
	uint32_t index = (uint32_t)(r - r->app->reactors);
	struct otd_msg *head =
		otd_msg_create(OTD_MSG_BAN, index, sizeof(struct otd_msg_ban), what_n + reason_n);
	struct otd_msg_ban *m = (struct otd_msg_ban *)head;
	if (m) {
		m->scope = ban->scope;
		m->undo = undo;
		m->id = ban->id;
		m->until_ms = ban->until_ms;
		m->what = otd_msg_put(head, ban->what, what_n);
		m->reason = otd_msg_put(head, ban->reason, reason_n);
	}
	if (otd_mailbox_send(otd_reactor_mailbox(r->reactor), head) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "app", "ban.lost", "reactor=%u ban=%" PRIu64, index,
			ban->id);
}

static void tell_reactors(struct otd_app *app, const struct otd_ban *ban, bool undo)
{
	for (size_t i = 0; i < app->n_reactors; i++)
		tell_reactor(&app->reactors[i], ban, undo);
	otd_app_processes_ban(app, ban, undo);
}

static void tell_one(void *arg, const struct otd_ban *ban)
{
	tell_reactors(arg, ban, false);
}

otd_rc otd_app_bans_start(struct otd_app *app, struct otd_err *err)
{
	(void)err;
	otd_gate_set_bans(app->gate, app->bans);
	otd_bans_each(app->bans, tell_one, app);
	return OTD_OK;
}

void otd_app_bans_finish(struct otd_app *app)
{
	otd_bans_destroy(app->bans);
	app->bans = NULL;
}

/* --- a change --- */

struct change {
	struct otd_app *app;
	struct otd_control_request *request;
	bool undo, checking; /* checking: whether the commit of unknown fate has happened */
	bool there;
	bool by_policy; /* undone only where a script has banned it */
	struct otd_ban ban;
	char what[OTD_BAN_WHAT_MAX + 1], reason[OTD_BAN_REASON_MAX + 1], by[BY_MAX + 1];
	int64_t now_ms;
	struct otd_err err;
};

static otd_rc audit(const struct change *c, struct otd_db *db, struct otd_err *err)
{
	char time[OTD_BAN_TIME];
	json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:s}", "id", (json_int_t)c->ban.id, "scope",
			      otd_ban_scope_name(c->ban.scope), "what", c->what, "reason",
			      c->reason, "by", c->by);
	if (o && !c->undo)
		(void)json_object_set_new(o, "until",
					  json_string(c->ban.until_ms
							      ? otd_ban_time(time, c->ban.until_ms)
							      : "for good"));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	otd_rc rc = text ? otd_audit_add(db, c->now_ms, c->undo ? "ban.undo" : "ban.add", text, err)
			 : otd_fail(err, OTD_E_NOMEM, "out of memory");
	free(text);
	json_decref(o);
	return rc;
}

static otd_rc add_work(struct change *c, struct otd_db *db, struct otd_err *err)
{
	int64_t id = 0;
	const struct otd_value same[] = {OTD_INT(c->ban.scope), OTD_TEXT(c->what),
					 OTD_INT(c->now_ms)};
	otd_rc rc = otd_db_int(db,
			       "SELECT id FROM bans WHERE scope = ? AND what = ? AND undone_ms = 0"
			       " AND (until_ms = 0 OR until_ms > ?)",
			       same, 3, &id, err);
	if (rc == OTD_OK)
		return otd_fail(err, OTD_E_EXISTS,
				"%s is banned already: ban %lld; undo that one first", c->what,
				(long long)id);
	if (rc != OTD_E_NOT_FOUND)
		return rc;
	const struct otd_value v[] = {OTD_INT(c->ban.scope), OTD_TEXT(c->what),
				      OTD_TEXT(c->reason),   OTD_TEXT(c->by),
				      OTD_INT(c->now_ms),    OTD_INT(c->ban.until_ms)};
	rc = otd_db_exec(db,
			 "INSERT INTO bans(scope, what, reason, by_whom, created_ms, until_ms)"
			 " VALUES(?, ?, ?, ?, ?, ?)",
			 v, 6, NULL, &id, err);
	c->ban.id = (uint64_t)id;
	return rc ? rc : audit(c, db, err);
}

static otd_rc undo_work(struct change *c, struct otd_db *db, struct otd_err *err)
{
	const struct otd_value v[] = {OTD_INT(c->now_ms), OTD_INT(c->ban.id)};
	int64_t changed = 0;
	otd_rc rc = otd_db_exec(
		db,
		c->by_policy ? "UPDATE bans SET undone_ms = ? WHERE id = ? AND"
			       " undone_ms = 0 AND by_whom LIKE '" BY_POLICY "%'"
			     : "UPDATE bans SET undone_ms = ? WHERE id = ? AND undone_ms = 0",
		v, 2, &changed, NULL, err);
	if (rc == OTD_OK && changed != 1 && c->by_policy)
		rc = otd_fail(err, OTD_E_REFUSED, "ban %" PRIu64 " was not set by a script",
			      c->ban.id);
	if (rc == OTD_OK && changed != 1)
		rc = otd_fail(err, OTD_E_NOT_FOUND, "ban %" PRIu64 " is undone already", c->ban.id);
	return rc ? rc : audit(c, db, err);
}

/* A commit of unknown fate: its row says whether it has happened. */
static otd_rc check_work(struct change *c, struct otd_db *db, struct otd_err *err)
{
	int64_t id = 0;
	const struct otd_value add[] = {OTD_INT(c->ban.scope), OTD_TEXT(c->what),
					OTD_INT(c->now_ms)};
	const struct otd_value undo[] = {OTD_INT(c->ban.id)};
	otd_rc rc = c->undo ? otd_db_int(db, "SELECT id FROM bans WHERE id = ? AND undone_ms <> 0",
					 undo, 1, &id, err)
			    : otd_db_int(db,
					 "SELECT id FROM bans WHERE scope = ? AND what = ? AND"
					 " created_ms = ? AND undone_ms = 0",
					 add, 3, &id, err);
	c->there = rc == OTD_OK;
	if (rc == OTD_OK)
		c->ban.id = (uint64_t)id;
	return rc == OTD_E_NOT_FOUND ? OTD_OK : rc;
}

static otd_rc change_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct change *c = arg;
	if (c->checking)
		return check_work(c, db, err);
	return c->undo ? undo_work(c, db, err) : add_work(c, db, err);
}

/* It is stored: now it is in force. */
static void apply(struct change *c)
{
	struct otd_app *app = c->app;
	char until[OTD_BAN_TIME] = "for good";
	if (c->undo)
		(void)otd_bans_remove(app->bans, c->ban.scope, c->what);
	else
		c->err.rc = otd_bans_add(app->bans, &c->ban, &c->err);
	if (c->err.rc)
		return;
	if (c->ban.until_ms)
		otd_ban_time(until, c->ban.until_ms);
	otd_log(OTD_LOG_INFO, "app", c->undo ? "ban.undo" : "ban.add",
		"ban=%" PRIu64 " scope=%s what=%s until=%s reason=%s by=%s", c->ban.id,
		otd_ban_scope_name(c->ban.scope), OTD_Q(c->what), OTD_Q(until), OTD_Q(c->reason),
		OTD_Q(c->by));
	tell_reactors(app, &c->ban, c->undo);
}

static void end(struct change *c)
{
	struct otd_bytes b;
	if (!c->request) {
		if (c->err.rc)
			otd_log(OTD_LOG_WARN, "app", "ban.not_changed", "what=%s by=%s error=%s",
				OTD_Q(c->what), OTD_Q(c->by), OTD_Q(c->err.text));
		free(c);
		return;
	}
	otd_bytes_init(&b, 65536);
	(void)otd_bytes_format(&b, "{\"id\":%" PRIu64 ",\"scope\":\"%s\",\"until_ms\":%" PRId64,
			       c->ban.id, otd_ban_scope_name(c->ban.scope), c->ban.until_ms);
	(void)otd_bytes_text(&b, ",\"what\":");
	(void)otd_bytes_json(&b, c->what, strlen(c->what));
	(void)otd_bytes_text(&b, ",\"reason\":");
	(void)otd_bytes_json(&b, c->reason, strlen(c->reason));
	(void)otd_bytes_text(&b, "}");
	otd_control_answer(c->request, &c->err, &b);
	otd_bytes_finish(&b);
	free(c);
}

static void change_done(void *arg, const struct otd_err *err)
{
	struct change *c = arg;
	c->err = *err;
	if (err->rc == OTD_E_COMMIT_UNKNOWN && !c->checking && !atomic_load(&c->app->stopping)) {
		c->checking = true;
		if (otd_store_do(c->app->store, false, change_work, change_done, c) == OTD_OK)
			return;
	}
	if (!c->err.rc && c->checking && !c->there)
		otd_fail(&c->err, OTD_E_IO, "the database did not take it; nothing has changed");
	if (!c->err.rc)
		apply(c);
	end(c);
}

/* --- policies --- */

static struct change *policy_change(struct otd_app *app, const char *script, bool undo,
				    enum otd_policy_scope scope, const char *what)
{
	struct change *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	*c = (struct change){.app = app, .undo = undo, .by_policy = true};
	c->now_ms = otd_wall_ms(app->env);
	c->ban.scope = (enum otd_ban_scope)scope;
	c->ban.created_ms = c->now_ms;
	c->ban.what = c->what;
	c->ban.reason = c->reason;
	snprintf(c->by, sizeof(c->by), BY_POLICY "%.63s", script);
	snprintf(c->what, sizeof(c->what), "%s", what);
	return c;
}

static otd_rc canonical_user(struct otd_app *app, char what[OTD_BAN_WHAT_MAX + 1],
			     struct otd_err *err);
static otd_rc check_loopback(const char *what, struct otd_err *err);

/* Takes c where rc is OTD_OK. */
static void policy_give(struct change *c, otd_rc rc)
{
	if (rc == OTD_OK)
		rc = otd_store_do(c->app->store, true, change_work, change_done, c);
	if (rc == OTD_OK)
		return;
	if (!c->err.rc)
		otd_fail(&c->err, rc, "%s", otd_rc_name(rc));
	end(c);
}

void otd_app_ban_by_policy(struct otd_app *app, const struct otd_policy_ban *b)
{
	struct change *c = policy_change(app, b->script, false, b->scope, b->what);
	if (!c)
		return;
	snprintf(c->reason, sizeof(c->reason), "%s", b->reason);
	c->ban.until_ms = c->now_ms + b->seconds * 1000;
	otd_rc rc = c->ban.scope <= OTD_BAN_ACCOUNT ? canonical_user(app, c->what, &c->err)
						    : check_loopback(c->what, &c->err);
	if (rc == OTD_OK)
		rc = otd_bans_may_add(app->bans, &c->ban, &c->err);
	policy_give(c, rc);
}

void otd_app_unban_by_policy(struct otd_app *app, const char *script, enum otd_policy_scope scope,
			     const char *what)
{
	struct change *c = policy_change(app, script, true, scope, what);
	if (!c)
		return;
	if (c->ban.scope <= OTD_BAN_ACCOUNT)
		(void)!canonical_user(app, c->what, &c->err);
	const struct otd_ban *found = otd_bans_find(app->bans, c->ban.scope, c->what);
	if (found) {
		c->ban.id = found->id;
		c->ban.until_ms = found->until_ms;
		snprintf(c->reason, sizeof(c->reason), "%s", found->reason);
	} else if (!c->err.rc) {
		otd_fail(&c->err, OTD_E_NOT_FOUND, "it is not banned");
	}
	policy_give(c, c->err.rc);
}

/* --- requests --- */

/* The address of "POOL/ADDRESS[.NAME]" as accounts are named. */
static otd_rc canonical_user(struct otd_app *app, char what[OTD_BAN_WHAT_MAX + 1],
			     struct otd_err *err)
{
	char *slash = strchr(what, '/'), one[OTD_BAN_WHAT_MAX + 1], rest[OTD_BAN_WHAT_MAX + 1];
	size_t pool_n = (size_t)(slash - what), n = strcspn(slash + 1, ".");
	struct otd_chain *chain = NULL;
	for (size_t i = 0; i < app->n_pools; i++) {
		const struct otd_settings_pool *s = app->pools[i].settings;
		if (s && app->pools[i].chain && strlen(s->name) == pool_n &&
		    memcmp(s->name, what, pool_n) == 0)
			chain = app->pools[i].chain->chain;
	}
	if (!chain)
		return otd_app_no_pool(app, what, pool_n, err);
	otd_rc rc = otd_chain_canonical(chain, slash + 1, n, one, OTD_BAN_WHAT_MAX, err);
	if (rc != OTD_OK)
		return rc;
	snprintf(rest, sizeof(rest), "%s", slash + 1 + n);
	size_t room = OTD_BAN_WHAT_MAX + 1 - pool_n - 1;
	if ((size_t)snprintf(slash + 1, room, "%s%s", one, rest) >= room)
		return otd_fail(err, OTD_E_RANGE, "'%.60s...' is too long", what);
	return OTD_OK;
}

static otd_rc check_loopback(const char *what, struct otd_err *err)
{
	struct otd_ban_net net;
	if (otd_ban_net_parse(&net, what) == OTD_OK && otd_ban_net_loopback(&net))
		return otd_fail(err, OTD_E_REFUSED,
				"%s holds this machine's own addresses (loopback): proxies and the "
				"built-in miner come from there; say --force where you mean it",
				what);
	return OTD_OK;
}

static otd_rc read_add(struct change *c, const json_t *o, struct otd_err *err)
{
	const char *scope = json_string_value(json_object_get(o, "scope"));
	const char *what = json_string_value(json_object_get(o, "what"));
	const char *reason = json_string_value(json_object_get(o, "reason"));
	json_int_t for_ms = json_integer_value(json_object_get(o, "for_ms"));
	static const char *const scopes[] = {"worker", "account", "ip", "prefix"};
	char hint[OTD_HINT_TEXT];
	if (!scope || !what || !reason || for_ms < 0 || for_ms > INT64_MAX / 4)
		return otd_fail(err, OTD_E_INVALID, "scope, what, for_ms and reason are needed");
	if (otd_ban_scope_parse(&c->ban.scope, scope, strlen(scope)) != OTD_OK)
		return otd_fail(err, OTD_E_INVALID,
				"'%.20s' is no scope: worker, account, ip or prefix%s", scope,
				otd_nearest_hint(hint, scope, scopes, 4));
	otd_rc rc = otd_ban_what(c->what, c->ban.scope, what, strlen(what), err);
	if (rc == OTD_OK)
		rc = otd_ban_reason_check(reason, strlen(reason), err);
	if (rc == OTD_OK && c->ban.scope <= OTD_BAN_ACCOUNT)
		rc = canonical_user(c->app, c->what, err);
	if (rc == OTD_OK && c->ban.scope > OTD_BAN_ACCOUNT &&
	    !json_is_true(json_object_get(o, "force")))
		rc = check_loopback(c->what, err);
	if (rc != OTD_OK)
		return rc;
	snprintf(c->reason, sizeof(c->reason), "%s", reason);
	c->ban.until_ms = for_ms ? c->now_ms + for_ms : 0;
	return otd_bans_may_add(c->app->bans, &c->ban, err);
}

/* By its number, or by what is banned, as a person writes it. */
static otd_rc read_undo(struct change *c, const json_t *o, struct otd_err *err)
{
	const char *what = json_string_value(json_object_get(o, "what"));
	const struct otd_ban *found = NULL;
	uint64_t id;
	size_t n = 0;
	if (!what || !*what)
		return otd_fail(err, OTD_E_INVALID, "what is to be undone?");
	if (otd_parse_u64(&id, what, strlen(what)) == OTD_OK) {
		found = otd_bans_by_id(c->app->bans, id);
		n = found != NULL;
	}
	for (int s = OTD_BAN_WORKER; s <= OTD_BAN_PREFIX && !n; s++) {
		char canonical[OTD_BAN_WHAT_MAX + 1];
		struct otd_err ignored = {0};
		if (otd_ban_what(canonical, (enum otd_ban_scope)s, what, strlen(what), &ignored) !=
		    OTD_OK)
			continue;
		found = otd_bans_find(c->app->bans, (enum otd_ban_scope)s, canonical);
		if (!found && s <= OTD_BAN_ACCOUNT &&
		    canonical_user(c->app, canonical, &ignored) == OTD_OK)
			found = otd_bans_find(c->app->bans, (enum otd_ban_scope)s, canonical);
		n = found != NULL;
	}
	if (!found)
		return otd_fail(err, OTD_E_NOT_FOUND,
				"no ban in force is number or names '%.100s'; 'otedama ban list' "
				"shows them",
				what);
	c->ban.id = found->id;
	c->ban.scope = found->scope;
	c->ban.until_ms = found->until_ms;
	snprintf(c->what, sizeof(c->what), "%s", found->what);
	snprintf(c->reason, sizeof(c->reason), "%s", found->reason);
	return OTD_OK;
}

static otd_rc begin(struct change *c, const char *text, struct otd_err *err)
{
	json_error_t why;
	json_t *o = json_loads(text, 0, &why);
	if (!json_is_object(o)) {
		json_decref(o);
		return otd_fail(err, OTD_E_INVALID, "a ban is asked for by a JSON object");
	}
	const char *by = json_string_value(json_object_get(o, "by"));
	snprintf(c->by, sizeof(c->by), "%s", by && *by ? by : "control");
	c->now_ms = otd_wall_ms(c->app->env);
	c->ban.created_ms = c->now_ms;
	c->ban.what = c->what;
	c->ban.reason = c->reason;
	otd_rc rc = c->undo ? read_undo(c, o, err) : read_add(c, o, err);
	json_decref(o);
	if (rc == OTD_OK)
		rc = otd_store_do(c->app->store, true, change_work, change_done, c);
	if (rc == OTD_E_NOMEM)
		otd_fail(err, rc, "out of memory");
	return rc;
}

void otd_app_ban_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	bool undo = strncmp(words, "undo ", 5) == 0;
	if (strcmp(words, "list") == 0 || strcmp(words, "list all") == 0) {
		otd_app_ask(app, r, &otd_topic_bans, words[4] ? "all" : "");
		return;
	}
	struct change *c = NULL;
	if (!undo && strncmp(words, "add ", 4) != 0)
		otd_fail(&err, OTD_E_INVALID, "say list, add or undo, not '%.40s'", words);
	else if (!(c = calloc(1, sizeof(*c))))
		otd_fail(&err, OTD_E_NOMEM, "out of memory");
	if (c) {
		*c = (struct change){.app = app, .request = r, .undo = undo};
		if (begin(c, words + (undo ? 5 : 4), &err) == OTD_OK)
			return;
		free(c);
	}
	otd_control_answer(r, &err, NULL);
}
