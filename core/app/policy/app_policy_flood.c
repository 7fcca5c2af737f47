/* Addresses that the gate turns away again and again: counted here, asked about on a reactor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/policy/app_policy_impl.h"

#define FLOOD_FIRST 64     /* refusals at which scripts are asked first, then at each doubling */
#define WINDOW_MS   600000 /* counted in so long */

struct flood {
	struct otd_stratum *stratum;
	uint32_t port;
	int64_t count;
	char host[46];
};

static void ask(void *arg) /* [reactor] */
{
	struct flood *f = arg;
	otd_stratum_flood(f->stratum, f->port, f->host, f->count, WINDOW_MS / 1000);
	free(f);
}

/* Two addresses of one place take turns: a flood of one of them is seen all the same. */
static struct policy_flood *place_of(struct otd_app_policy *p, const char *host, int64_t now_ms)
{
	uint32_t h = 2166136261u;
	for (const char *c = host; *c; c++)
		h = (h ^ (uint8_t)*c) * 16777619u;
	struct policy_flood *f = &p->flood[h % POLICY_FLOODS];
	if (strcmp(f->host, host) != 0 || now_ms - f->since_ms >= WINDOW_MS) {
		*f = (struct policy_flood){.since_ms = now_ms};
		snprintf(f->host, sizeof(f->host), "%s", host);
	}
	return f;
}

void otd_app_policy_flood(struct otd_app *app, uint32_t port, const char *host)
{
	struct otd_app_policy *p = app->policy;
	if (!p || p->n_threads < 2 || !p->thread[1].stratum || !p->thread[1].loop)
		return;
	struct policy_flood *place = place_of(p, host, (int64_t)(otd_mono_ns(app->env) / 1000000));
	uint32_t n = ++place->count;
	if (n < FLOOD_FIRST || (n & (n - 1)) != 0)
		return;
	struct flood *f = malloc(sizeof(*f));
	if (!f)
		return;
	*f = (struct flood){p->thread[1].stratum, port, n, ""};
	snprintf(f->host, sizeof(f->host), "%s", host);
	if (otd_loop_post(p->thread[1].loop, ask, f) != OTD_OK)
		free(f);
}
