/* What P1 hands over, taken from the parts of the pool as they end: see app/upgrade/upgrade.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/upgrade/upgrade_own.h"
#include "base/log.h"

static bool leaves(const struct otd_app *app)
{
	return otd_app_upgrade_leaves(app);
}

static void save_meta(struct otd_upgrade *u)
{
	struct otd_app *app = u->app;
	size_t part = otd_upgrade_part_begin(&u->image, OTD_UPGRADE_META);
	otd_pack_text(&u->image, OTEDAMA_VERSION);
	otd_pack_i64(&u->image, u->frozen_ms);
	otd_pack_i64(&u->image, app->first_started_ms ? app->first_started_ms : app->started_ms);
	otd_pack_u32(&u->image, app->upgrades);
	otd_pack_u32(&u->image, 0); /* how many descriptors: known at the end */
	otd_pack_u32(&u->image, (uint32_t)app->n_reactors);
	otd_upgrade_part_end(&u->image, part);
}

static void save_pools(struct otd_upgrade *u)
{
	struct otd_app *app = u->app;
	size_t part = otd_upgrade_part_begin(&u->image, OTD_UPGRADE_POOLS);
	otd_pack_u32(&u->image, (uint32_t)app->n_pools);
	for (size_t i = 0; i < app->n_pools; i++) {
		const struct otd_app_pool *p = &app->pools[i];
		const struct otd_reactor_pool *r =
			otd_reactor_pool(app->reactors[0].reactor, (uint32_t)i);
		size_t one = otd_pack_begin(&u->image);
		otd_pack_text(&u->image, p->settings ? p->name : "");
		otd_pack_text(&u->image, p->settings ? p->settings->coin_id : "");
		otd_pack_text(&u->image, p->settings ? p->settings->network : "");
		otd_pack_u32(&u->image, r->extranonce1_len);
		otd_pack_u32(&u->image, r->extranonce2_len);
		otd_pack_end(&u->image, one);
	}
	otd_upgrade_part_end(&u->image, part);
}

static bool add_fd(struct otd_image_fds *fds, int fd)
{
	int *p = realloc(fds->fd, (fds->n + 1) * sizeof(*p));
	if (!p)
		return false;
	fds->fd = p;
	fds->cap = fds->n + 1;
	p[fds->n++] = fd;
	return true;
}

void otd_app_upgrade_save_listeners(struct otd_app *app)
{
	struct otd_upgrade *u = app->upgrade;
	if (!leaves(app))
		return;
	otd_upgrade_image_begin(&u->image);
	save_meta(u);
	save_pools(u);
	size_t part = otd_upgrade_part_begin(&u->image, OTD_UPGRADE_LISTENERS);
	size_t count = u->image.len;
	otd_pack_u32(&u->image, 0);
	for (size_t i = 0; i < app->n_listeners; i++) {
		struct otd_app_listener *l = app->listeners[i];
		otd_app_upgrade_save_listener_doors(app, i);
		int fd = otd_listener_release(l->listener);
		if (fd < 0 || !add_fd(&u->fds, fd))
			continue; /* P2 listens anew: whoever waited in its queue connects again */
		size_t one = otd_pack_begin(&u->image);
		otd_pack_text(&u->image, l->host);
		otd_pack_u16(&u->image, l->port);
		otd_pack_end(&u->image, one);
		u->n_listeners++;
	}
	for (size_t i = 0; !u->image.failed && i < 4; i++)
		u->image.ptr[count + i] = (uint8_t)(u->n_listeners >> (8 * i));
	otd_upgrade_part_end(&u->image, part);
}

void otd_app_upgrade_save_reactor(struct otd_app *app, size_t i)
{
	struct otd_upgrade *u = app->upgrade;
	const struct otd_app_reactor *r = &app->reactors[i];
	if (!leaves(app))
		return;
	size_t part = otd_upgrade_part_begin(&u->image, OTD_UPGRADE_REACTOR);
	otd_pack_u32(&u->image, (uint32_t)i);
	otd_pack_u32(&u->image, (uint32_t)app->n_pools);
	for (uint32_t p = 0; p < app->n_pools; p++) {
		size_t one = otd_pack_begin(&u->image);
		otd_reactor_save_pool(r->reactor, p, &u->image);
		otd_pack_end(&u->image, one);
	}
	otd_upgrade_part_end(&u->image, part);
	part = otd_upgrade_part_begin(&u->image, OTD_UPGRADE_SESSIONS);
	otd_pack_u32(&u->image, (uint32_t)i);
	size_t count = u->image.len;
	otd_pack_u32(&u->image, 0);
	size_t n = otd_stratum_save(r->stratum, &u->image, &u->fds, &u->told);
	for (size_t k = 0; !u->image.failed && k < 4; k++)
		u->image.ptr[count + k] = (uint8_t)(n >> (8 * k));
	u->n_sessions += n;
	otd_upgrade_part_end(&u->image, part);
	part = otd_upgrade_part_begin(&u->image, OTD_UPGRADE_KEPT);
	otd_pack_u32(&u->image, (uint32_t)i);
	otd_stratum_save_kept(r->stratum, &u->image);
	otd_upgrade_part_end(&u->image, part);
	otd_app_upgrade_save_reactor_doors(app, i);
}

void otd_app_upgrade_save_coordinator(struct otd_app *app)
{
	struct otd_upgrade *u = app->upgrade;
	struct otd_err err = {0};
	if (!leaves(app))
		return;
	size_t part = otd_upgrade_part_begin(&u->image, OTD_UPGRADE_COORDINATOR);
	if (otd_coordinator_save(app->coordinator, &u->image, &err) != OTD_OK) {
		/* Sessions go on; a share of before is "job not found" then. */
		otd_log(OTD_LOG_ERROR, "app", "upgrade.work_lost", "error=%s", OTD_Q(err.text));
		u->image.len = part;
	}
	otd_upgrade_part_end(&u->image, part);
}

void otd_app_upgrade_release(struct otd_app *app)
{
	struct otd_upgrade *u = app->upgrade;
	if (!leaves(app))
		return;
	if (u->timer)
		app->env->ops->timer_destroy(u->timer);
	if (u->worker)
		app->env->ops->worker_destroy(u->worker);
	u->timer = NULL;
	u->worker = NULL;
	u->program = app->program;
}

void otd_app_upgrade_save_lock(struct otd_app *app)
{
	if (!leaves(app))
		return;
	app->upgrade->lock_fd = app->lock_fd;
	app->lock_fd = -1;
}
