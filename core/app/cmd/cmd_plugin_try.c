/* otedama plugin try FILE: a pool, an embedded chain and a miner round one plugin, for some seconds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_parts.h"
#include "app/check/plugin_try.h"
#include "app/cmd/cmd_plugin.h"
#include "app/cmd/settings_file.h"
#include "base/text.h"

#define SECONDS_DEFAULT 30

struct trial {
	const struct otd_cmd *cmd;
	struct otd_try world;
	struct otd_app app;
	struct otd_timer *timer;
	uint64_t seconds, blocks; /* blocks 0: as many as come */
	bool keep;
	int64_t began_ms;
};

static int64_t now_ms(struct trial *t)
{
	return (int64_t)(otd_mono_ns(t->app.env) / 1000000);
}

static void on_tick(void *arg)
{
	struct trial *t = arg;
	struct otd_acct_status *s = NULL;
	bool enough = now_ms(t) - t->began_ms >= (int64_t)t->seconds * 1000;
	if (t->app.draining || otd_accounting_status(t->app.accounting, &s, 0, 0) != OTD_OK)
		return;
	if (t->blocks && s->n_pools)
		enough = enough || s->pools[0].blocks >= t->blocks;
	otd_accounting_status_destroy(s);
	if (enough)
		otd_app_drain(&t->app);
}

/* What it came to, in words; the exit status says whether it works. */
static int judge(struct trial *t, const struct otd_acct_status *s)
{
	const struct otd_acct_pool_status *p = &s->pools[0];
	uint64_t refused = 0;
	char rate[OTD_RATE_TEXT];
	printf("\n%s/%s: %" PRIu64 " shares accepted, %" PRIu64 " blocks found and credited by %s, "
	       "one thread of this machine hashes %s\n",
	       t->world.kind, t->world.id, p->accepted, p->blocks, p->scheme,
	       otd_format_hashrate(rate, t->world.hashes, (int64_t)t->world.ms));
	for (int k = 1; k < OTD_SHARE_VERDICTS; k++) {
		if (p->refused[k] && k != OTD_SHARE_STALE)
			printf("  %" PRIu64 " shares refused: %s\n", p->refused[k],
			       otd_share_verdict_name((enum otd_share_verdict)k));
		refused += k == OTD_SHARE_STALE ? 0 : p->refused[k];
	}
	for (size_t i = 0; i < s->n_alerts; i++)
		printf("  alert: %s\n", s->alerts[i]);
	if (p->accepted == 0)
		return otd_cmd_fail(t->cmd,
				    "no share was accepted in %" PRIu64 " s; --seconds N "
				    "waits longer, --keep keeps the log",
				    t->seconds);
	if (refused || s->n_alerts)
		return otd_cmd_fail(t->cmd,
				    "something went wrong, see above; --keep keeps the log");
	if (p->blocks < t->blocks)
		return otd_cmd_fail(t->cmd,
				    "%" PRIu64 " of %" PRIu64 " blocks in %" PRIu64
				    " s; --seconds N waits longer",
				    p->blocks, t->blocks, t->seconds);
	return OTD_EXIT_OK;
}

static int serve(struct trial *t, struct otd_err *err)
{
	struct otd_app *app = &t->app;
	struct otd_acct_status *s = NULL;
	otd_rc rc = otd_app_start(app, err);
	if (rc == OTD_OK)
		rc = app->env->ops->timer_create(app->loop, &t->timer, on_tick, t);
	if (rc != OTD_OK)
		return otd_cmd_fail(t->cmd, "%s", err->text[0] ? err->text : otd_rc_name(rc));
	t->began_ms = now_ms(t);
	app->env->ops->timer_start(t->timer, 100, 100);
	int exit_status = otd_app_run(app);
	otd_app_terminal(app); /* the last blocks, and one line in any case */
	if (app->live_line)
		printf("\n");
	app->live_line = false;
	if (exit_status == OTD_EXIT_OK &&
	    otd_accounting_status(app->accounting, &s, 0, 0) == OTD_OK)
		exit_status = judge(t, s);
	otd_accounting_status_destroy(s);
	return exit_status;
}

/* As cmd_serve.c: an environment first to read the settings, then one of their size. */
static int run_pool(struct trial *t)
{
	struct otd_app *app = &t->app;
	struct otd_err err = {0};
	int exit_status;
	app->metrics = otd_metrics_create();
	otd_rc rc = app->metrics ? otd_env_real_create(&app->env, NULL, &err)
				 : otd_fail(&err, OTD_E_NOMEM, "out of memory");
	if (rc == OTD_OK)
		rc = otd_settings_file_load(&app->settings, app->env, t->world.config, NULL, &err);
	otd_env_real_destroy(app->env);
	app->env = NULL;
	if (rc == OTD_OK) {
		struct otd_env_real_conf conf = {.compute_threads =
							 (uint32_t)app->settings->threads.compute,
						 .lag_warn_ms = 200,
						 .metrics = app->metrics};
		app->data_dir = app->settings->data_dir;
		rc = otd_env_real_create(&app->env, &conf, &err);
	}
	exit_status = rc == OTD_OK ? serve(t, &err) : otd_cmd_fail(t->cmd, "%s", err.text);
	if (t->timer)
		app->env->ops->timer_destroy(t->timer);
	if (app->env)
		otd_app_stop(app);
	otd_settings_destroy(app->settings);
	otd_env_real_destroy(app->env);
	otd_metrics_destroy(app->metrics);
	return exit_status;
}

static int trial(struct trial *t)
{
	struct otd_err err = {0};
	if (otd_try_make(&t->world, &err) != OTD_OK)
		return otd_cmd_fail(t->cmd, "%s", err.text);
	/* Commands without -c go on finding the pool that this user started last, not this one. */
	(void)setenv("XDG_RUNTIME_DIR", t->world.folder, 1);
	if (!t->app.json)
		printf("%s/%s on an embedded chain, one thread mining, for %s%" PRIu64
		       " s; Ctrl-C ends\n",
		       t->world.kind, t->world.id, t->blocks ? "at most " : "", t->seconds);
	fflush(stdout);
	int exit_status = run_pool(t);
	if (t->keep)
		printf("kept: %s (pool.yaml, otedama.log, data)\n", t->world.folder);
	else
		otd_try_remove(&t->world);
	return exit_status;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct trial t = {.cmd = cmd, .app = {.lock_fd = -1}, .seconds = SECONDS_DEFAULT};
	const char *seconds = NULL, *blocks = NULL, *words[1];
	const struct otd_arg args[] = {
		{"--seconds", 0, "N", "how long; 30 where it is not said", .text = &seconds},
		{"--blocks", 0, "N", "end with the N-th block; fewer are a failure",
		 .text = &blocks},
		{"--options", 0, "YAML", "of the plugin: '{n: 2048}'", .text = &t.world.options},
		{"--keep", 0, NULL, "leave the folder with configuration, log and data",
		 .on = &t.keep},
		{"--quiet", 'q', NULL, "no line a second", .on = &t.app.quiet},
	};
	size_t n_words;
	int exit_status = otd_args_parse(cmd, args, sizeof(args) / sizeof(args[0]), argc, argv,
					 words, &n_words, 1, 1);
	if (exit_status >= 0)
		return exit_status;
	if ((seconds && (otd_parse_u64(&t.seconds, seconds, strlen(seconds)) || !t.seconds ||
			 t.seconds > 86400)) ||
	    (blocks && (otd_parse_u64(&t.blocks, blocks, strlen(blocks)) || !t.blocks))) {
		otd_cmd_fail(cmd, "--seconds wants 1 to 86400, --blocks 1 or more");
		return OTD_EXIT_USAGE;
	}
	t.world.file = words[0];
	return trial(&t);
}

const struct otd_cmd otd_plugin_try = {
	.name = "plugin try",
	.usage = "FILE.so [--seconds N] [--blocks N] [--options YAML] [--keep]",
	.summary = "a pool, an embedded chain and a miner round one plugin, for a while",
	.more = "FILE's kind says which place it takes: the algorithm, the payout scheme, the "
		"chain or the\n"
		"miner's backend; what is installed takes the others. All of it lives in a "
		"temporary folder.\n"
		"Ends with status 1 where no share was accepted, one was refused (but for stale "
		"ones), or\n"
		"the pool found a fault.",
	.run = run,
};
