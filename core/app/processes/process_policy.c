/*
 * What sessions of a reactor process ask: there are no scripts here, so nobody answers. The host's own rule
 * (limits.invalid) may want an address banned: the pool does it, in all processes.
 */
#include <string.h>

#include "app/processes/reactor_process_impl.h"

static bool wants(void *arg, enum otd_policy_hook h, const char *pool) /* [reactor] */
{
	(void)arg;
	(void)h;
	(void)pool;
	return false;
}

static void ban(void *arg, const char *by, enum otd_policy_scope scope, const char *what,
		int64_t seconds, const char *reason) /* [reactor] */
{
	struct one *o = arg;
	size_t by_n = strlen(by), what_n = strlen(what), reason_n = strlen(reason);
	struct otd_msg *head =
		otd_msg_create(OTD_MSG_BAN_WISH, o->index, sizeof(struct otd_msg_ban_wish),
			       by_n + what_n + reason_n);
	struct otd_msg_ban_wish *m = (struct otd_msg_ban_wish *)head;
	if (!m)
		return; /* the next worker over its budget brings it up again */
	m->scope = (uint32_t)scope;
	m->seconds = seconds;
	m->by = otd_msg_put(head, by, by_n);
	m->what = otd_msg_put(head, what, what_n);
	m->reason = otd_msg_put(head, reason, reason_n);
	(void)otd_mailbox_send(o->process->to_pool, head);
}

void process_ask_init(struct one *o)
{
	o->ask = (struct otd_stratum_policy){.wants = wants, .ban = ban, .arg = o};
}
