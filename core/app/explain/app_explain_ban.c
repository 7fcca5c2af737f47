/* explain ban: which bans a number, an address, an account or a rig is under or was, and what they do. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "app/explain/app_explain.h"
#include "base/text.h"

#define ROWS_MAX  1000000 /* newest, that are looked at */
#define SHOWN_MAX 20
#define TEXT_MAX  (OTD_BAN_WHAT_MAX + 1)

struct wanted {
	struct otd_question *q;
	json_t *rows;
	size_t n;
	char text[TEXT_MAX], account[TEXT_MAX];       /* account: of a rig's "POOL/ADDRESS.NAME" */
	char canonical[OTD_BAN_PREFIX + 1][TEXT_MAX]; /* by scope; "": none */
	uint64_t id;                                  /* 0: no number */
	bool is_host;
};

bool otd_explain_is_ban(const char *id, size_t n)
{
	char text[TEXT_MAX];
	struct otd_ban_net net;
	if (n >= sizeof(text))
		return false;
	memcpy(text, id, n);
	text[n] = '\0';
	return otd_ban_host(&net, text) || strchr(text, '/') != NULL;
}

static void read_wanted(struct wanted *w, const char *words)
{
	struct otd_ban_net net;
	struct otd_err ignored = {0};
	const char *at = strncmp(words, "ban ", 4) == 0 ? words + 4 : words;
	snprintf(w->text, sizeof(w->text), "%.*s", (int)strcspn(at, " "), at);
	if (otd_parse_u64(&w->id, w->text, strlen(w->text)) != OTD_OK)
		w->id = 0;
	w->is_host = otd_ban_host(&net, w->text);
	for (int s = OTD_BAN_WORKER; s <= OTD_BAN_PREFIX; s++)
		if (otd_ban_what(w->canonical[s], (enum otd_ban_scope)s, w->text, strlen(w->text),
				 &ignored) != OTD_OK)
			w->canonical[s][0] = '\0';
	const char *slash = strchr(w->text, '/');
	size_t n = slash ? strcspn(slash, ".") + (size_t)(slash - w->text) : 0;
	snprintf(w->account, sizeof(w->account), "%.*s", (int)n, w->text);
}

/* Capitals differ where addresses are written in them (bech32): more is shown then, not less. */
static bool same(const char *a, const char *b)
{
	return *a && strcasecmp(a, b) == 0;
}

/* "ADDRESS" without its pool: of the account, and of its rigs. */
static bool of_address(const struct wanted *w, const char *what)
{
	const char *slash = strchr(what, '/');
	size_t n = strlen(w->text);
	return n && slash && strncasecmp(slash + 1, w->text, n) == 0 &&
	       (slash[1 + n] == '\0' || slash[1 + n] == '.');
}

static bool meant(const struct wanted *w, const struct otd_value *c, const char *what)
{
	enum otd_ban_scope scope = (enum otd_ban_scope)c[1].i;
	struct otd_ban_net net;
	if (w->id)
		return (uint64_t)c[0].i == w->id;
	if (scope == OTD_BAN_IP || scope == OTD_BAN_PREFIX)
		return same(w->canonical[scope], what) ||
		       (w->is_host && otd_ban_net_parse(&net, what) == OTD_OK &&
			otd_ban_net_has(&net, w->text));
	return same(w->text, what) ||
	       same(w->canonical[scope <= OTD_BAN_ACCOUNT ? scope : 0], what) ||
	       (scope == OTD_BAN_ACCOUNT && same(w->account, what)) || of_address(w, what);
}

static void say_effect(json_t *o, enum otd_ban_scope scope, bool in_force)
{
	static const char *const effect[] = {
		[OTD_BAN_WORKER] = "logins and shares of this rig; others of its account go on",
		[OTD_BAN_ACCOUNT] = "logins and shares of all rigs of this account",
		[OTD_BAN_IP] = "connections from this address, closed without a word",
		[OTD_BAN_PREFIX] = "connections from these addresses, closed without a word"};
	if (scope >= OTD_BAN_WORKER && scope <= OTD_BAN_PREFIX)
		otd_ask_say(o, "%s refused: %s", in_force ? "it has" : "it had", effect[scope]);
}

static void say_ban(json_t *o, const struct otd_value *c, int64_t now_ms)
{
	char time[OTD_BAN_TIME], reason[OTD_BAN_REASON_MAX + 1] = "", told[OTD_BAN_TEXT];
	bool over = c[6].i && c[6].i <= now_ms, in_force = !c[7].i && !over;
	enum otd_ban_scope scope = (enum otd_ban_scope)c[1].i;
	if (c[7].i)
		otd_ask_say(o, "undone %s", otd_ban_time(time, c[7].i));
	else if (c[6].i)
		otd_ask_say(o, "%s %s", over ? "over since" : "in force until",
			    otd_ban_time(time, c[6].i));
	else
		otd_ask_say(o, "in force for good, until it is undone");
	say_effect(o, scope, in_force);
	if (scope <= OTD_BAN_ACCOUNT && otd_explain_take_text(reason, sizeof(reason), &c[3]))
		otd_ask_say(o, "the miner is told: %s", otd_ban_text(told, reason, c[6].i));
	if (in_force)
		otd_ask_say(o, "ends it: otedama ban undo %" PRId64, c[0].i);
}

static otd_rc take(void *ctx, const struct otd_value *c, size_t n)
{
	struct wanted *w = ctx;
	char what[TEXT_MAX];
	(void)n;
	if (!otd_explain_take_text(what, sizeof(what), &c[2]) || !meant(w, c, what))
		return OTD_OK;
	if (w->n++ >= SHOWN_MAX)
		return OTD_OK;
	json_t *o = otd_ban_json(c, w->q->now_ms);
	say_ban(o, c, w->q->now_ms);
	return json_array_append_new(w->rows, o) == 0 ? OTD_OK : OTD_E_NOMEM;
}

/* --- who did it, by the audit log --- */

static otd_rc take_step(void *ctx, const struct otd_value *c, size_t n)
{
	json_t *o = json_object();
	(void)n;
	otd_ask_set_n(o, "time_ms", c[0].i);
	otd_ask_set_text(o, "step", &c[1]);
	otd_ask_set_text(o, "data", &c[2]);
	return json_array_append_new(ctx, o) == 0 ? OTD_OK : OTD_E_NOMEM;
}

static otd_rc steps(json_t *ban, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_TEXT};
	json_t *rows = json_array();
	char from[48], to[48];
	long long id = otd_ask_n(ban, "id");
	(void)json_object_set_new(ban, "steps", rows);
	/* Its text begins so (app_ban.c); '-' is the letter behind ','. */
	snprintf(from, sizeof(from), "{\"id\":%lld,", id);
	snprintf(to, sizeof(to), "{\"id\":%lld-", id);
	const struct otd_value v[] = {OTD_TEXT(from), OTD_TEXT(to)};
	return otd_db_query(db,
			    "SELECT time_ms, what, data FROM audit WHERE what IN ('ban.add',"
			    " 'ban.undo') AND data >= ? AND data < ? ORDER BY id LIMIT 10",
			    v, 2, wants, 3, take_step, rows, err);
}

otd_rc otd_explain_ban(struct otd_question *q, struct otd_db *db, struct otd_err *err)
{
	struct wanted w = {.q = q, .rows = json_array()};
	const struct otd_value v[] = {OTD_INT(ROWS_MAX)};
	size_t i;
	json_t *ban;
	otd_ask_set_s(q->answer, "kind", "ban");
	(void)json_object_set_new(q->answer, "bans", w.rows);
	read_wanted(&w, q->words);
	otd_rc rc =
		otd_db_query(db, "SELECT " OTD_BAN_COLUMNS " FROM bans ORDER BY id DESC LIMIT ?", v,
			     1, otd_ban_wants, OTD_BAN_N, take, &w, err);
	otd_ask_set_n(q->answer, "n_bans", (int64_t)w.n);
	if (rc == OTD_OK && w.n == 0)
		return otd_fail(err, OTD_E_NOT_FOUND,
				"no ban, in force or over, is number, names or holds '%.100s'; "
				"'otedama ban list --all' shows them",
				w.text);
	json_array_foreach(w.rows, i, ban)
	{
		if (rc == OTD_OK)
			rc = steps(ban, db, err);
	}
	return rc;
}
