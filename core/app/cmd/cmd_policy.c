/* otedama policy VERB: one table of verbs, see cmd_policy.h. */
#include "app/cmd/cmd_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cmd/cmd.h"
#include "app/cmd/cmd_policy_live.h"
#include "app/cmd/setup.h"
#include "base/bytes.h"
#include "base/text.h"
#include "loop/loop.h"

static const struct otd_cmd *const verbs[] = {
	&otd_policy_verb_apply,    &otd_policy_verb_check,   &otd_policy_verb_confirm,
	&otd_policy_verb_feed,     &otd_policy_verb_history, &otd_policy_verb_record,
	&otd_policy_verb_rollback, &otd_policy_verb_shadow,  &otd_policy_verb_status,
	&otd_policy_verb_test,
};
#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	return otd_cmd_verbs(cmd, verbs, N_VERBS, argc, argv);
}

const struct otd_cmd otd_cmd_policy = {
	.name = "policy",
	.usage = "VERB ..",
	.summary = "policy scripts: check one, play recorded events against it",
	.run = run,
};

/* --- one script --- */

static int64_t tool_wall(struct otd_env *e)
{
	struct otd_policy_tool *t = (struct otd_policy_tool *)e;
	return t->now_ms ? t->now_ms : otd_wall_ms(t->real);
}

static uint64_t tool_mono(struct otd_env *e)
{
	return otd_mono_ns(((struct otd_policy_tool *)e)->real);
}

static void tool_random(struct otd_env *e, void *to, size_t n)
{
	struct otd_env *real = ((struct otd_policy_tool *)e)->real;
	real->ops->random(real, to, n);
}

/* "LTC=8" */
static otd_rc read_asset(struct otd_policy_asset *a, const char *word, struct otd_err *err)
{
	const char *is = strchr(word, '=');
	uint64_t decimals;
	if (!is || is == word || otd_parse_u64(&decimals, is + 1, strlen(is + 1)) || decimals > 36)
		return otd_fail(err, OTD_E_INVALID,
				"--asset %s: is not SYMBOL=DECIMALS, as in LTC=8", word);
	a->symbol = strndup(word, (size_t)(is - word));
	a->decimals = (unsigned)decimals;
	return a->symbol ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "no memory");
}

otd_rc otd_policy_tool_init(struct otd_policy_tool *t, const char *file, const char *options,
			    const struct otd_arg_list *assets, struct otd_err *err)
{
	otd_rc rc;
	memset(t, 0, sizeof(*t));
	otd_bytes_init(&t->text, OTD_POLICY_TEXT_MAX + 1);
	rc = otd_env_real_create(&t->real, NULL, err);
	if (rc)
		return rc;
	t->env = *t->real;
	t->ops = *t->real->ops;
	t->ops.wall_ms = tool_wall;
	t->ops.mono_ns = tool_mono;
	t->ops.random = tool_random;
	t->env.ops = &t->ops;
	for (size_t i = 0; !rc && i < assets->n; i++) {
		rc = read_asset(&t->assets[i], assets->item[i], err);
		t->n_assets += rc == OTD_OK;
	}
	if (!rc)
		rc = otd_policy_read(&t->text, t->real, file, err);
	if (!rc && options)
		rc = otd_yaml_parse(&t->options, options, strlen(options), "--options", err);
	if (rc)
		return rc;
	const struct otd_policy_script script = {
		.file = file,
		.text = otd_bytes_span(&t->text),
		.options = t->options ? otd_yaml_root(t->options) : NULL,
		.path = "options",
	};
	const struct otd_policy_build build = {
		.env = &t->env,
		.sides = OTD_POLICY_BOTH,
		.scripts = &script,
		.n_scripts = 1,
		.assets = t->assets,
		.n_assets = t->n_assets,
		.any_asset = true,
		.cpu_ns = otd_thread_cpu_ns,
	};
	return otd_policy_set_create(&t->set, &build, err);
}

void otd_policy_tool_finish(struct otd_policy_tool *t)
{
	otd_policy_set_destroy(t->set);
	otd_yaml_destroy(t->options);
	otd_bytes_finish(&t->text);
	for (size_t i = 0; i < t->n_assets; i++)
		free((void *)(uintptr_t)t->assets[i].symbol);
	otd_env_real_destroy(t->real);
	memset(t, 0, sizeof(*t));
}
