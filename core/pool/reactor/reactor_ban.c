/*
 * Bans as a reactor knows them, in a table of its own. Addresses too: a connection may have passed
 * the gate before its ban and come here behind it.
 */
#include "pool/reactor/reactor_impl.h"

#include "base/log.h"
#include <string.h>

static bool text_of(char *to, size_t cap, struct otd_span s)
{
	if (s.len >= cap || (s.len && memchr(s.ptr, 0, s.len)))
		return false;
	if (s.len)
		memcpy(to, s.ptr, s.len);
	to[s.len] = 0;
	return true;
}

static otd_rc keep(struct otd_reactor *r, const struct otd_ban *ban, struct otd_err *err)
{
	if (!r->bans && otd_bans_create(&r->bans, r->conf.env, OTD_BANS_MAX) != OTD_OK)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	/* The same again comes with what has changed. */
	(void)otd_bans_remove(r->bans, ban->scope, ban->what);
	return otd_bans_add(r->bans, ban, err);
}

void otd_reactor_ban(struct otd_reactor *r, const struct otd_msg_ban *m)
{
	char what[OTD_BAN_WHAT_MAX + 1], reason[OTD_BAN_REASON_MAX + 1];
	struct otd_err err = {0};
	const struct otd_ban ban = {.id = m->id,
				    .scope = (enum otd_ban_scope)m->scope,
				    .until_ms = m->until_ms,
				    .what = what,
				    .reason = reason};

	if (!text_of(what, sizeof(what), otd_msg_get(m, m->what)) ||
	    !text_of(reason, sizeof(reason), otd_msg_get(m, m->reason)))
		(void)otd_fail(&err, OTD_E_INVALID, "its texts are not texts");
	else if (m->undo && r->bans)
		(void)otd_bans_remove(r->bans, ban.scope, what);
	else if (!m->undo)
		err.rc = keep(r, &ban, &err);
	if (err.rc)
		otd_log(OTD_LOG_ERROR, "pool", "ban.lost", "reactor=%u ban=%llu error=%s",
			r->conf.index, (unsigned long long)m->id, OTD_Q(err.text));
	else if (!m->undo && r->has_front && r->front.ban)
		r->front.ban(r->front.arg, &ban);
}

const struct otd_ban *otd_reactor_banned(const struct otd_reactor *r, const char *host,
					 uint32_t pool, struct otd_span account,
					 struct otd_span name)
{
	const struct otd_ban *ban = r->bans ? otd_bans_host(r->bans, host) : NULL;

	if (!ban && r->bans)
		ban = otd_bans_user(r->bans, r->pools[pool]->conf.name, account, name);
	return ban;
}
