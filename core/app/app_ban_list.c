/* The list of bans, of a running pool or a stopped one. */
#include "app/app_ban.h"

#define ROWS_MAX 10000

static const char *state_of(const struct otd_value *c, int64_t now_ms)
{
	if (c[7].i)
		return "undone";
	return c[6].i && c[6].i <= now_ms ? "over" : "in force";
}

json_t *otd_ban_json(const struct otd_value *c, int64_t now_ms)
{
	json_t *o = json_object();
	(void)json_object_set_new(o, "id", json_integer(c[0].i));
	(void)json_object_set_new(o, "scope",
				  json_string(otd_ban_scope_name((enum otd_ban_scope)c[1].i)));
	otd_ask_set_text(o, "what", &c[2]);
	otd_ask_set_text(o, "reason", &c[3]);
	otd_ask_set_text(o, "by", &c[4]);
	(void)json_object_set_new(o, "created_ms", json_integer(c[5].i));
	(void)json_object_set_new(o, "until_ms", json_integer(c[6].i));
	(void)json_object_set_new(o, "undone_ms", json_integer(c[7].i));
	(void)json_object_set_new(o, "state", json_string(state_of(c, now_ms)));
	return o;
}

struct list {
	json_t *rows;
	int64_t now_ms;
};

static otd_rc take(void *ctx, const struct otd_value *c, size_t n)
{
	struct list *l = ctx;
	(void)n;
	return json_array_append_new(l->rows, otd_ban_json(c, l->now_ms)) == 0 ? OTD_OK
									       : OTD_E_NOMEM;
}

static otd_rc read_bans(struct otd_question *q, struct otd_db *db, struct otd_err *err)
{
	struct list l = {json_array(), q->now_ms};
	bool all = *q->words != '\0';
	int64_t in_force = 0, rows = 0;
	const struct otd_value v[] = {OTD_INT(q->now_ms), OTD_INT(ROWS_MAX)};
	(void)json_object_set_new(q->answer, "bans", l.rows);
	otd_rc rc = otd_db_int(db,
			       "SELECT count(*) FROM bans WHERE undone_ms = 0 AND (until_ms = 0 OR"
			       " until_ms > ?)",
			       v, 1, &in_force, err);
	rows = in_force;
	if (rc == OTD_OK && all)
		rc = otd_db_int(db, "SELECT count(*) FROM bans", NULL, 0, &rows, err);
	if (rc == OTD_OK && all)
		rc = otd_db_query(db,
				  "SELECT " OTD_BAN_COLUMNS " FROM bans ORDER BY id DESC LIMIT ?",
				  v + 1, 1, otd_ban_wants, OTD_BAN_N, take, &l, err);
	else if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT " OTD_BAN_COLUMNS " FROM bans WHERE undone_ms = 0 AND"
				  " (until_ms = 0 OR until_ms > ?) ORDER BY id DESC LIMIT ?",
				  v, 2, otd_ban_wants, OTD_BAN_N, take, &l, err);
	(void)json_object_set_new(q->answer, "in_force", json_integer(in_force));
	(void)json_object_set_new(q->answer, "most", json_integer(OTD_BANS_MAX));
	(void)json_object_set_new(q->answer, "left_off",
				  json_integer(rows > ROWS_MAX ? rows - ROWS_MAX : 0));
	return rc;
}

const struct otd_topic otd_topic_bans = {.read = read_bans};
