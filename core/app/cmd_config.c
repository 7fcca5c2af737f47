/* otedama config check | print | schema. */
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/app_parts.h"
#include "app/cmd.h"
#include "app/settings_file.h"

#define CHECK_MS 15000

struct check {
	struct otd_app app;
	size_t faults, open;
};

struct node_check {
	struct check *c;
	struct otd_chain *chain;
	const char *name;
};

static void on_node(void *arg, const struct otd_chain_answer *a)
{
	struct node_check *n = arg;
	struct check *c = n->c;
	const char *node = n->name;
	struct otd_err err = {.rc = a->rc};
	const struct otd_chain_probe *probe = a->rc ? NULL : &a->result->u.probe;
	if (probe && otd_chain_judge_probe(n->chain, probe, &err))
		a = &(struct otd_chain_answer){.rc = err.rc, .why = err.text};
	if (err.rc != OTD_OK) {
		c->faults++;
		fprintf(stderr, "otedama: node %s: %s\n", node, a->why);
	} else {
		printf("node %s: ok, %s, network %s, height %" PRIu64 "%s%s\n", node,
		       probe->software, probe->network, probe->height,
		       *probe->warning ? "; it says: " : "", probe->warning);
	}
	if (--c->open == 0)
		c->app.env->ops->loop_stop(c->app.loop);
}

static void on_timeout(void *arg)
{
	struct check *c = arg;
	c->faults++;
	fprintf(stderr, "otedama: %zu nodes did not answer within %d s; is the address right?\n",
		c->open, CHECK_MS / 1000);
	c->app.env->ops->loop_stop(c->app.loop);
}

/* A port that somebody listens on already is not ours to have. */
static void check_ports(struct check *c)
{
	const struct otd_settings *s = c->app.settings;
	for (size_t i = 0; i < s->n_pools; i++) {
		for (size_t k = 0; k < s->pools[i].n_ports; k++) {
			const struct otd_settings_port *p = &s->pools[i].ports[k];
			struct otd_stream *listener = NULL;
			struct otd_err err = {0}, told = {0};
			if (c->app.env->ops->listen(c->app.loop, &listener, p->listen, p->port,
						    false, NULL, NULL, &err) == OTD_OK) {
				c->app.env->ops->stream_close(listener);
				continue;
			}
			c->faults++;
			(void)otd_yaml_fail(&told, err.rc, p->at, "pools.%s.ports.%s: %s",
					    s->pools[i].name, p->name, err.text);
			fprintf(stderr, "otedama: %s\n", told.text);
		}
	}
}

static otd_rc check_nodes(struct check *c, struct otd_err *err)
{
	struct otd_timer *timer = NULL;
	const struct otd_env_ops *ops = c->app.env->ops;
	size_t n = 0;
	for (size_t i = 0; i < c->app.n_chains; i++)
		c->open += otd_chain_nodes(c->app.chains[i].chain);
	otd_rc rc = ops->timer_create(c->app.loop, &timer, on_timeout, c);
	if (rc != OTD_OK)
		return otd_fail(err, rc, "no timer: %s", otd_rc_name(rc));
	ops->timer_start(timer, CHECK_MS, 0);
	for (size_t i = 0; i < c->app.n_chains; i++)
		for (size_t k = 0; k < otd_chain_nodes(c->app.chains[i].chain); k++) {
			static struct node_check checks[256];
			static struct otd_node_status st[256];
			size_t at = n++ % 256;
			otd_chain_node_status(c->app.chains[i].chain, k, &st[at]);
			checks[at] = (struct node_check){c, c->app.chains[i].chain, st[at].name};
			struct otd_chain_call q = {.kind = OTD_CHAIN_PROBE};
			(void)otd_chain_ask_node(c->app.chains[i].chain, k, &q, CHECK_MS, on_node,
						 &checks[at]);
		}
	if (c->open)
		ops->loop_run(c->app.loop);
	ops->timer_destroy(timer);
	return OTD_OK;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st, (void)flag, (void)at;
	return remove(path);
}

/* Options of a scheme are checked by making one. */
static otd_rc check_scheme(struct otd_app *app, const struct otd_settings_use *use,
			   struct otd_err *err)
{
	struct otd_plugin_instance *in = NULL;
	otd_rc rc = otd_app_instance(app, &in, "payout", use, NULL, err);
	if (in)
		otd_instance_destroy(in);
	return rc;
}

static otd_rc check_all(struct check *c, bool connect, struct otd_err *err)
{
	struct otd_app *app = &c->app;
	otd_rc rc = app->env->ops->loop_create(app->env, &app->loop, "check", err);
	if (rc == OTD_OK)
		rc = otd_app_make_plugins(app, err);
	if (rc == OTD_OK)
		rc = otd_app_make_chains(app, err);
	for (size_t i = 0; rc == OTD_OK && i < app->n_pools; i++) {
		const struct otd_settings_pool *p = app->pools[i].settings;
		rc = check_scheme(app, &p->payout, err);
		for (size_t k = 0; rc == OTD_OK && k < p->n_ports; k++) {
			if (p->ports[k].payout.id)
				rc = check_scheme(app, &p->ports[k].payout, err);
		}
	}
	if (rc == OTD_OK && !otd_plugins_get(app->plugins, "store", app->settings->store.id, err))
		rc = err->rc;
	if (rc == OTD_OK && connect) {
		check_ports(c);
		rc = check_nodes(c, err);
	}
	return rc;
}

static int check(const struct otd_cmd *cmd, struct otd_env *env, struct otd_settings *s,
		 bool connect)
{
	/* A pool may run on the real folder, and looking must not make one. */
	char folder[] = "/tmp/otedama-check-XXXXXX";
	struct check c = {
		.app = {.lock_fd = -1, .env = env, .settings = s, .data_dir = mkdtemp(folder)}};
	struct otd_err err = {0};
	otd_log_only_warnings();
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_STORE | OTD_THREAD_COMPUTE);
	c.app.metrics = otd_metrics_create();
	otd_rc rc = c.app.metrics && c.app.data_dir
			    ? check_all(&c, connect, &err)
			    : otd_fail(&err, OTD_E_IO, "cannot make a folder in /tmp");
	otd_app_free_chains(&c.app);
	if (c.app.loop)
		env->ops->loop_destroy(c.app.loop);
	otd_metrics_destroy(c.app.metrics);
	if (c.app.data_dir)
		(void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	if (rc != OTD_OK)
		return otd_cmd_fail(cmd, "%s", err.text);
	if (c.faults)
		return otd_cmd_fail(cmd, "%zu problem%s", c.faults, c.faults == 1 ? "" : "s");
	printf("%s: ok\n", s->file);
	return OTD_EXIT_OK;
}

static int print(const struct otd_cmd *cmd, const struct otd_settings *s)
{
	struct otd_bytes out;
	otd_bytes_init(&out, 4u << 20);
	otd_rc rc = s ? otd_settings_print(s, &out) : otd_settings_schema(&out);
	if (rc == OTD_OK)
		printf("%s", otd_bytes_cstr(&out));
	otd_bytes_finish(&out);
	return rc == OTD_OK ? OTD_EXIT_OK : otd_cmd_fail(cmd, "%s", otd_rc_name(rc));
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *config = NULL, *words[1];
	struct otd_arg_list set = {0};
	bool offline = false;
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the configuration", .text = &config},
		{"--set", 0, "KEY=VALUE", "over the file", .list = &set},
		{"--offline", 0, NULL, "check: connect to nothing", .on = &offline},
	};
	struct otd_env *env = NULL;
	struct otd_settings *s = NULL;
	struct otd_err err = {0};
	size_t n_words;
	int exit_status = otd_args_parse(cmd, args, 3, argc, argv, words, &n_words, 1, 1);
	if (exit_status >= 0)
		return exit_status;
	if (strcmp(words[0], "schema") == 0)
		return print(cmd, NULL);
	bool checking = strcmp(words[0], "check") == 0;
	if ((!checking && strcmp(words[0], "print") != 0) || !config) {
		otd_cmd_fail(cmd, "usage: otedama config %s", cmd->usage);
		return OTD_EXIT_USAGE;
	}
	otd_rc rc = otd_env_real_create(&env, NULL, &err);
	if (rc == OTD_OK)
		rc = otd_settings_file_load(&s, env, config, &set, &err);
	if (rc != OTD_OK)
		exit_status = otd_cmd_fail(cmd, "%s", err.text);
	else
		exit_status = checking ? check(cmd, env, s, !offline) : print(cmd, s);
	otd_settings_destroy(s);
	otd_env_real_destroy(env);
	return exit_status;
}

const struct otd_cmd otd_cmd_config = {
	.name = "config",
	.usage = "check -c FILE [--offline] | print -c FILE | schema",
	.summary = "is the configuration right; what it comes to; every key there is",
	.more = "check reads the file, loads the plugins it names, and connects to the nodes: "
		"wrong network,\n"
		"still syncing, an address that is not of this chain, a port that is taken.",
	.run = run,
};
