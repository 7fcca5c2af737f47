/* Another image of an algorithm in all reactor processes, or in none. See app/processes/processes.h. */
#include <string.h>

#include "app/processes/processes_impl.h"
#include "base/log.h"

static bool send_head(struct process *p, enum otd_msg_type type)
{
	struct otd_msg *m = otd_msg_create(type, p->first, sizeof(struct otd_msg), 0);
	bool ok = m && p->link && otd_link_send(p->link, m, m->size, -1) == OTD_OK;
	otd_msg_destroy(m);
	if (!ok)
		process_kill(p, "it does not take what it is sent");
	return ok;
}

static struct otd_msg *message(const struct otd_plugin *pl)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "algo", otd_plugin_desc(pl)->id, "image",
			      otd_plugin_image(pl), "digest", otd_plugin_digest(pl));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	size_t n = text ? strlen(text) : 0;
	struct otd_msg *m =
		text ? otd_msg_create(OTD_MSG_SWAP, 0, sizeof(struct otd_msg_text), n) : NULL;
	if (m)
		((struct otd_msg_text *)m)->text = otd_msg_put(m, text, n);
	free(text);
	json_decref(o);
	return m;
}

otd_rc otd_app_processes_swap(struct otd_app *app, const struct otd_plugin *pl,
			      const struct otd_processes_swap *s, size_t *asked,
			      struct otd_err *err)
{
	struct otd_app_processes *all = app->processes;
	struct otd_msg *m = message(pl);
	*asked = 0;
	if (!m)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	all->swap.told = *s;
	all->swap.err = (struct otd_err){0};
	for (size_t i = 0; i < all->n; i++) {
		struct process *p = &all->process[i];
		if (!p->link)
			continue; /* it begins when this is decided */
		p->swap = SWAP_ASKED;
		m->reactor = p->first;
		*asked += 1;
		/* Its end is told as of one that dies. */
		if (otd_link_send(p->link, m, m->size, -1) != OTD_OK)
			process_kill(p, "it does not take what it is sent");
	}
	otd_msg_destroy(m);
	all->swap.waiting = *asked;
	all->swap.preparing = *asked != 0;
	return OTD_OK;
}

/* All have answered, or are gone. */
static void prepared(struct otd_app *app)
{
	struct otd_app_processes *all = app->processes;
	const struct otd_processes_swap told = all->swap.told;
	struct otd_err err = all->swap.err;
	for (size_t i = 0; err.rc && i < all->n; i++) {
		struct process *p = &all->process[i];
		if (p->swap == SWAP_READY)
			(void)send_head(p, OTD_MSG_SWAP_DROP);
		p->swap = SWAP_NONE;
	}
	if (err.rc)
		all->swap.preparing = false;
	if (told.ready)
		told.ready(told.arg, &err);
}

static void cannot(struct process *p, const char *why)
{
	struct otd_err *err = &p->app->processes->swap.err;
	if (!err->rc)
		(void)otd_fail(err, OTD_E_REFUSED, "reactor process %u: %s", p->number, why);
}

void process_swap_answered(struct process *p, struct otd_span text)
{
	struct otd_app_processes *all = p->app->processes;
	char why[400];
	if (p->swap != SWAP_ASKED) {
		process_kill(p, "it answers what it was not asked");
		return;
	}
	p->swap = text.len ? SWAP_NONE : SWAP_READY;
	if (text.len) {
		snprintf(why, sizeof(why), "%.*s", text.len < 399 ? (int)text.len : 399,
			 (const char *)text.ptr);
		cannot(p, why);
	}
	if (--all->swap.waiting == 0)
		prepared(p->app);
}

bool otd_app_processes_swap_commit(struct otd_app *app)
{
	struct otd_app_processes *all = app->processes;
	all->swap.preparing = false;
	all->swap.waiting = 0;
	for (size_t i = 0; i < all->n; i++) {
		struct process *p = &all->process[i];
		if (p->swap != SWAP_READY)
			continue;
		/* One that is not told ends, and the next begins with the new image. */
		p->swap = SWAP_TAKING;
		all->swap.waiting++;
		(void)send_head(p, OTD_MSG_SWAP_COMMIT);
	}
	return all->swap.waiting != 0;
}

static void one_less(struct process *p)
{
	struct otd_app_processes *all = p->app->processes;
	p->swap = SWAP_NONE;
	if (--all->swap.waiting == 0 && all->swap.told.taken)
		all->swap.told.taken(all->swap.told.arg);
}

void process_swap_taken(struct process *p)
{
	if (p->swap == SWAP_TAKING)
		one_less(p);
	else
		process_kill(p, "it answers what it was not asked");
}

void process_swap_gone(struct process *p)
{
	struct otd_app_processes *all = p->app->processes;
	bool asked = p->swap == SWAP_ASKED;
	if (p->swap == SWAP_TAKING) {
		one_less(p);
		return;
	}
	if (p->swap != SWAP_NONE)
		cannot(p, "it ended before all had the new image");
	p->swap = SWAP_NONE;
	if (asked && --all->swap.waiting == 0)
		prepared(p->app);
}

void otd_app_processes_swap_forget(struct otd_app *app)
{
	if (app->processes)
		app->processes->swap.told = (struct otd_processes_swap){0};
}
