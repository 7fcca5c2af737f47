/* What serve shows: one calm line a second, and a line of its own when a block changes its state. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/app_parts.h"
#include "base/text.h"

#define BLOCKS_WATCHED 8

static void clock_text(char out[16], int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	localtime_r(&s, &tm);
	strftime(out, 16, "%H:%M:%S", &tm);
}

static const struct otd_coin *coin_of(struct otd_app *app, size_t pool)
{
	if (pool >= app->n_pools)
		return NULL;
	const struct otd_app_pool *p = &app->pools[pool];
	return p->settings ? p->settings->coin : p->was ? p->was->coin : NULL;
}

static const struct otd_chain_template *template_of(struct otd_app *app,
						    const struct otd_acct_pool_status *p)
{
	const struct otd_app_pool *pool = p->slot < app->n_pools ? &app->pools[p->slot] : NULL;
	return pool && pool->chain ? otd_chain_template(pool->chain->chain) : NULL;
}

/* Blocks whose state differs from what was shown last. */
static void show_blocks(struct otd_app *app, const struct otd_acct_status *s, const char *now)
{
	for (size_t i = s->n_blocks; i-- > 0;) {
		const struct otd_acct_block *b = &s->blocks[i];
		const struct otd_coin *coin = coin_of(app, b->pool);
		struct otd_app_shown *slot = &app->shown[b->share_seq % OTD_APP_SHOWN];
		bool same = slot->epoch == b->epoch && slot->share_seq == b->share_seq;
		char value[OTD_AMOUNT_TEXT], hash[65];
		if ((same && slot->state == b->state) || b->time_ms < app->started_ms)
			continue;
		*slot = (struct otd_app_shown){b->epoch, b->share_seq, b->state};
		otd_hex_encode_reverse(hash, b->hash, 32);
		otd_format_amount(value, b->value, coin ? (unsigned)coin->decimals : 0);
		printf("%s%s block %" PRIu64 " %s: %s %s credited by %s, effort %" PRIu64
		       "%%, found by %.14s..%s%s  %.16s..\n",
		       app->live_line ? "\r\033[K" : "", now, b->height,
		       otd_block_state_name((enum otd_block_state)b->state), value, b->asset,
		       b->scheme, b->effort_ppm / 10000, b->account, *b->worker ? "." : "",
		       b->worker, hash);
		app->live_line = false;
	}
}

static void show_line(struct otd_app *app, const struct otd_acct_status *s, const char *now)
{
	uint64_t accepted = 0, refused = 0, blocks = 0, workers = 0, effort = 0, height = 0;
	otd_u128 work = 0;
	for (size_t i = 0; i < s->n_pools; i++) {
		const struct otd_acct_pool_status *p = &s->pools[i];
		const struct otd_chain_template *t = template_of(app, p);
		accepted += p->accepted;
		workers += p->workers;
		blocks += p->blocks;
		work += p->work_10min;
		effort = effort > p->effort_ppm ? effort : p->effort_ppm;
		height = t && t->height > height + 1 ? t->height - 1 : height;
		for (int k = 1; k < OTD_SHARE_VERDICTS; k++)
			refused += p->refused[k];
	}
	int64_t up = otd_wall_ms(app->env) - app->started_ms;
	char rate[OTD_RATE_TEXT], mine[OTD_RATE_TEXT + 16] = "";
	otd_format_hashrate(rate, work, up < 600000 ? (up > 1000 ? up : 1000) : 600000);
	if (app->miner) {
		char own[OTD_RATE_TEXT];
		uint64_t ms = atomic_load(&app->miner->ms_10s);
		otd_format_hashrate(own, atomic_load(&app->miner->hashes_10s),
				    ms ? (int64_t)ms : 1);
		snprintf(mine, sizeof(mine), " | miner %s", own);
	}
	printf("%s%s height %" PRIu64 " | pool %s, %" PRIu64 " workers%s | shares %" PRIu64
	       " ok, %" PRIu64 " refused | round %" PRIu64 "%% | blocks %" PRIu64 "%s",
	       app->live_line ? "\r\033[K" : "", now, height, rate, workers, mine, accepted,
	       refused, effort / 10000, blocks,
	       s->n_alerts ? " | needs attention: otedama status" : "");
	app->live_line = isatty(STDOUT_FILENO);
	if (!app->live_line)
		printf("\n");
}

static void show_json(struct otd_app *app, const struct otd_acct_status *s)
{
	for (size_t i = 0; i < s->n_pools; i++) {
		const struct otd_acct_pool_status *p = &s->pools[i];
		const struct otd_chain_template *t = template_of(app, p);
		uint64_t refused = 0;
		for (int k = 1; k < OTD_SHARE_VERDICTS; k++)
			refused += p->refused[k];
		printf("{\"time_ms\":%" PRId64 ",\"pool\":\"%s\",\"height\":%" PRIu64
		       ",\"workers\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"refused\":%" PRIu64
		       ",\"effort_ppm\":%" PRIu64 ",\"blocks\":%" PRIu64 ",\"alerts\":%zu}\n",
		       otd_wall_ms(app->env), p->name, t ? t->height - 1 : 0, p->workers,
		       p->accepted, refused, p->effort_ppm, p->blocks, s->n_alerts);
	}
}

void otd_app_terminal(struct otd_app *app)
{
	struct otd_acct_status *s = NULL;
	char now[16];
	if (app->quiet || otd_accounting_status(app->accounting, &s, 0, BLOCKS_WATCHED) != OTD_OK)
		return;
	clock_text(now, otd_wall_ms(app->env));
	if (app->json) {
		show_json(app, s);
	} else {
		show_blocks(app, s, now);
		show_line(app, s, now);
	}
	fflush(stdout);
	otd_accounting_status_destroy(s);
}
