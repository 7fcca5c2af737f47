/* Bans, where sessions are: who is here already is told and goes, who comes is told and refused. */
#include "base/log.h"
#include "stratum/session.h"
#include <string.h>

bool otd_session_banned(const struct otd_session *s, struct otd_span account, struct otd_span name,
			char why[OTD_BAN_TEXT])
{
	const char *host = s->conn ? otd_conn_host(s->conn) : "";
	const struct otd_ban *ban =
		otd_reactor_banned(s->st->conf.reactor, host, s->port->pool, account, name);

	if (!ban)
		return false;
	otd_ban_text(why, ban->reason, ban->until_ms);
	if (otd_log_on(OTD_LOG_DEBUG, "stratum"))
		otd_log(OTD_LOG_DEBUG, "stratum", "session.banned", "peer=%s ban=%llu what=%s",
			host, (unsigned long long)ban->id, OTD_Q(ban->what));
	return true;
}

struct matcher {
	const struct otd_ban *ban;
	bool is_net;
	struct otd_ban_net net;
};

static bool worker_matches(const struct otd_session *s, const struct otd_pool_worker *w,
			   const struct otd_ban *ban)
{
	const char *pool = otd_session_pool(s)->name, *at = ban->what;
	struct otd_span account = otd_worker_account(w), name = otd_worker_name(w);
	size_t n = strlen(pool);

	if (strncmp(at, pool, n) != 0 || at[n] != '/')
		return false;
	at += n + 1;
	if (strlen(at) < account.len || memcmp(at, account.ptr, account.len) != 0)
		return false;
	at += account.len;
	if (ban->scope == OTD_BAN_ACCOUNT)
		return *at == '\0';
	return *at == '.' && strlen(at + 1) == name.len && memcmp(at + 1, name.ptr, name.len) == 0;
}

static bool session_matches(const struct otd_session *s, const struct matcher *m)
{
	if (m->is_net)
		return otd_ban_net_has(&m->net, otd_conn_host(s->conn));
	for (size_t i = 0; i < s->n_workers; i++) {
		if (worker_matches(s, s->workers[i].worker, m->ban))
			return true;
	}
	return false;
}

void otd_stratum_ban(struct otd_stratum *st, const struct otd_ban *ban)
{
	struct matcher m = {.ban = ban};
	char why[OTD_BAN_TEXT];
	size_t told = 0;

	m.is_net = ban->scope == OTD_BAN_IP || ban->scope == OTD_BAN_PREFIX;
	if (m.is_net && otd_ban_net_parse(&m.net, ban->what) != OTD_OK)
		return;
	otd_ban_text(why, ban->reason, ban->until_ms);
	/* close only marks: the list stays as it is until callbacks come. */
	for (size_t i = 0; i < st->n_open; i++) {
		struct otd_session *s = st->open[i];
		if (s->closing || !session_matches(s, &m))
			continue;
		if (s->subscribed)
			s->dialect->show_message(s, why);
		otd_session_close(s, "banned");
		told++;
	}
	if (told)
		otd_log(OTD_LOG_INFO, "stratum", "ban.closed", "ban=%llu connections=%zu",
			(unsigned long long)ban->id, told);
}
