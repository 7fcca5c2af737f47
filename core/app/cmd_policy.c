/* otedama policy VERB: one table of verbs, see cmd_policy.h. */
#include "app/cmd_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cmd.h"
#include "app/cmd_policy_live.h"
#include "app/setup.h"
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

/* "policy check" is called "check". */
static const char *name_of(const struct otd_cmd *verb)
{
	return strrchr(verb->name, ' ') + 1;
}

/* The usage and the help that the table comes to. */
static otd_rc describe(struct otd_bytes *usage, struct otd_bytes *more)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < N_VERBS; i++) {
		rc = otd_bytes_format(usage, "%s%s", i ? " | " : "", name_of(verbs[i]));
		if (rc == OTD_OK)
			rc = otd_bytes_format(more, "  otedama policy %-8s %s\n", name_of(verbs[i]),
					      verbs[i]->summary);
	}
	return rc ? rc
		  : otd_bytes_text(more, "\nEach has flags of its own: otedama policy VERB --help");
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *words[1];
	size_t n_words;
	struct otd_cmd table = *cmd;
	struct otd_bytes usage, more;
	int exit_status = OTD_EXIT_FAILED;
	otd_bytes_init(&usage, 4096);
	otd_bytes_init(&more, 16384);
	otd_rc rc = describe(&usage, &more);
	if (rc == OTD_OK) {
		table.usage = otd_bytes_cstr(&usage);
		table.more = otd_bytes_cstr(&more);
		/* The verb alone is looked at here; what stands behind it is the verb's own. */
		exit_status = otd_args_parse(&table, NULL, 0, argc > 0 ? 1 : 0, argv, words,
					     &n_words, 1, 1);
	} else {
		otd_cmd_fail(cmd, "%s", otd_rc_name(rc));
	}
	for (size_t i = 0; exit_status < 0 && i < N_VERBS; i++) {
		if (strcmp(words[0], name_of(verbs[i])) == 0)
			exit_status = verbs[i]->run(verbs[i], argc - 1, argv + 1);
	}
	otd_bytes_finish(&usage);
	otd_bytes_finish(&more);
	return exit_status;
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
