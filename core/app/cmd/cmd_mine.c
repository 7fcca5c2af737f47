/* otedama mine: a miner for any Stratum V1 pool, with whatever hw plugins find. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cmd/cmd.h"
#include "app/cmd/plugin_file.h"
#include "base/bytes.h"
#include "base/text.h"
#include "loop/loop.h"
#include "miner/miner.h"

#define BACKENDS_MAX 8
#define CA_MAX       4194304 /* bytes of a file; a whole system's is 0.2 MB */

struct options {
	struct otd_arg_list urls;
	const char *user, *password, *algo, *file, *algo_options, *threads, *dir, *shares;
	struct otd_arg_list hw, pins;
	const char *ca;
	bool insecure, quiet, json;
};

struct mine {
	const struct otd_cmd *cmd;
	struct options o;
	struct otd_tool tool;
	struct otd_loop *loop;
	struct otd_plugin_instance *algo, *hw[BACKENDS_MAX];
	size_t n_hw;
	struct otd_miner *miner;
	struct otd_timer *timer;
	struct otd_bytes ca; /* the file's text */
	uint64_t accepted;
	uint64_t shares_wanted; /* ends after so many accepted; 0: never */
	bool live;              /* the last thing on the terminal is a line to be written over */
	struct otd_err err;
};

/* Every backend that is there takes part unless some are named. */
static void add_backend(void *arg, const struct otd_plugin_found *f)
{
	struct mine *m = arg;
	bool wanted = m->o.hw.n == 0;
	for (size_t i = 0; i < m->o.hw.n; i++)
		wanted |= strcmp(m->o.hw.item[i], f->id) == 0;
	if (strcmp(f->kind, "hw") != 0 || !wanted || m->n_hw == BACKENDS_MAX || m->err.rc)
		return;
	struct otd_err err = {0};
	if (otd_tool_instance(&m->tool, &m->hw[m->n_hw], "hw", f->id, NULL, &err) == OTD_OK)
		m->n_hw++;
	else if (m->o.hw.n)
		m->err = err;
	else
		fprintf(stderr, "otedama: mine: leaving out hw/%s: %s\n", f->id, err.text);
}

static void clear_line(struct mine *m)
{
	if (m->live)
		printf("\r\033[K");
	m->live = false;
}

static void print_json(const struct otd_miner_stats *s)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 16384);
	int64_t ms = s->ms_10s > 0 ? s->ms_10s : 1;
	(void)otd_bytes_format(&b, "{\"state\":\"%s\",\"url\":", otd_miner_state_name(s->state));
	(void)otd_bytes_json(&b, s->url, strlen(s->url));
	(void)otd_bytes_format(&b,
			       ",\"hashrate\":%" PRIu64 ",\"hashes\":%" PRIu64
			       ",\"elapsed_ms\":%" PRId64 ",\"accepted\":%" PRIu64
			       ",\"refused\":%" PRIu64 ",\"blocks\":%" PRIu64
			       ",\"difficulty\":\"%s\"",
			       s->hashes_10s * 1000 / (uint64_t)ms, s->hashes, s->elapsed_ms,
			       s->accepted, s->refused, s->blocks, s->difficulty);
	(void)otd_bytes_text(&b, ",\"reasons\":{");
	for (uint32_t i = 0; i < s->n_reasons; i++) {
		(void)otd_bytes_text(&b, i ? "," : "");
		(void)otd_bytes_json(&b, s->reason[i].text, strlen(s->reason[i].text));
		(void)otd_bytes_format(&b, ":%" PRIu64, s->reason[i].n);
	}
	(void)otd_bytes_text(&b, "}}");
	printf("%s\n", otd_bytes_cstr(&b));
	otd_bytes_finish(&b);
}

static void print_stats(struct mine *m, bool last)
{
	struct otd_miner_stats s;
	char now[OTD_RATE_TEXT], mean[OTD_RATE_TEXT];
	otd_miner_stats(m->miner, &s);
	if (m->o.json) {
		print_json(&s);
	} else if (!m->o.quiet || last) {
		otd_format_hashrate(now, s.hashes_10s, s.ms_10s > 0 ? s.ms_10s : 1);
		otd_format_hashrate(mean, s.hashes, s.elapsed_ms > 0 ? s.elapsed_ms : 1);
		clear_line(m);
		printf("%-10s %s (mean %s)  accepted %" PRIu64 "  refused %" PRIu64
		       "  blocks %" PRIu64 "  difficulty %s  %s",
		       otd_miner_state_name(s.state), now, mean, s.accepted, s.refused, s.blocks,
		       s.difficulty, s.url);
		m->live = isatty(STDOUT_FILENO) && !last;
		if (!m->live)
			printf("\n");
	}
	fflush(stdout);
}

static void on_second(void *arg)
{
	print_stats(arg, false);
}

static void on_finished(void *arg)
{
	struct mine *m = arg;
	m->loop->env->ops->loop_stop(m->loop);
}

/* Those on their way when it is enough get their answers, so that both sides count the same. */
static void count_accepted(struct mine *m)
{
	if (++m->accepted == m->shares_wanted)
		otd_miner_finish(m->miner, on_finished, m);
}

static void on_event(void *arg, const struct otd_miner_event *ev)
{
	struct mine *m = arg;
	const char *what = NULL;
	switch (ev->kind) {
	case OTD_MINER_ACCEPTED: count_accepted(m); return;
	case OTD_MINER_CONNECTED: what = "connected to"; break;
	case OTD_MINER_DISCONNECTED: what = "disconnected:"; break;
	case OTD_MINER_UNAUTHORIZED: what = "the pool refuses the user:"; break;
	case OTD_MINER_REFUSED: what = "share refused:"; break;
	case OTD_MINER_MESSAGE: what = "the pool says:"; break;
	case OTD_MINER_FAILOVER: what = "going to"; break;
	case OTD_MINER_DEVICE: what = "device:"; break;
	case OTD_MINER_PROTOCOL: what = "the pool sent what this miner cannot use:"; break;
	default: return;
	}
	if (m->o.quiet || m->o.json)
		return;
	clear_line(m);
	printf("%s %s\n", what, ev->text);
	fflush(stdout);
}

static void on_signal(void *arg)
{
	struct mine *m = arg;
	m->loop->env->ops->loop_stop(m->loop);
}

static otd_rc read_ca(struct mine *m)
{
	const char *file = m->o.ca;
	FILE *f = file ? fopen(file, "re") : NULL;
	otd_rc rc = OTD_OK;
	size_t got = 1;
	if (!file)
		return OTD_OK;
	if (!f)
		return otd_fail(&m->err, OTD_E_NOT_FOUND,
				"--ca: %s: %s; name a PEM file with the CA's certificate", file,
				strerror(errno));
	while (got && !rc) {
		uint8_t *to = otd_bytes_room(&m->ca, 4096);
		got = to ? fread(to, 1, 4096, f) : 0;
		m->ca.len += got;
		if (!to)
			rc = otd_fail(&m->err, OTD_E_RANGE, "--ca: %s: is too large for it", file);
	}
	if (!rc && ferror(f))
		rc = otd_fail(&m->err, OTD_E_IO, "--ca: %s: cannot be read: %s", file,
			      strerror(errno));
	fclose(f);
	return rc;
}

/* Whom pools over TLS must be; what makes no sense is said even where no pool speaks it. */
static otd_rc read_trust(struct mine *m, struct otd_miner_trust *to)
{
	otd_rc rc = read_ca(m);
	bool wanted = m->o.ca || m->o.pins.n || m->o.insecure, tls = false;
	for (size_t i = 0; i < m->o.urls.n; i++)
		tls |= strncmp(m->o.urls.item[i], "stratum+ssl://", 14) == 0 ||
		       strncmp(m->o.urls.item[i], "stratum+tls://", 14) == 0;
	if (!rc && wanted && !tls)
		rc = otd_fail(
			&m->err, OTD_E_INVALID,
			"--ca, --pin and --insecure are for stratum+ssl://HOST:PORT, and no -o "
			"is one");
	if (m->o.ca)
		*to = (struct otd_miner_trust){.ca = otd_bytes_span(&m->ca), .ca_file = m->o.ca};
	to->pins = m->o.pins.item;
	to->n_pins = m->o.pins.n;
	to->insecure = m->o.insecure;
	return rc;
}

static otd_rc start(struct mine *m)
{
	struct otd_miner_conf conf = {.hw = m->hw,
				      .urls = m->o.urls.item,
				      .n_urls = m->o.urls.n,
				      .user = m->o.user,
				      .password = m->o.password,
				      .event = on_event,
				      .arg = m};
	uint64_t n = 0;
	if (m->o.threads && (otd_parse_u64(&n, m->o.threads, strlen(m->o.threads)) || n > 4096))
		return otd_fail(&m->err, OTD_E_INVALID, "-t wants a number of threads, not '%s'",
				m->o.threads);
	conf.threads = (uint32_t)n;
	if (read_trust(m, &conf.trust) != OTD_OK)
		return m->err.rc;
	if (m->o.shares && otd_parse_u64(&m->shares_wanted, m->o.shares, strlen(m->o.shares)))
		return otd_fail(&m->err, OTD_E_INVALID, "--shares wants a number, not '%s'",
				m->o.shares);
	otd_rc rc = otd_tool_init(&m->tool, m->o.dir, &m->err);
	if (rc == OTD_OK)
		rc = m->tool.env->ops->loop_create(m->tool.env, &m->loop, "miner", &m->err);
	if (rc == OTD_OK)
		rc = otd_tool_algo(&m->tool, &m->algo, m->o.algo, m->o.file, m->o.algo_options,
				   &m->err);
	if (rc == OTD_OK)
		rc = otd_plugins_found(m->tool.plugins, add_backend, m, &m->err);
	if (rc == OTD_OK)
		rc = m->err.rc;
	if (rc == OTD_OK && m->n_hw == 0)
		rc = otd_fail(&m->err, OTD_E_NOT_FOUND, "no hw plugin was found in %s",
			      m->tool.dirs.dir[0]);
	conf.algo = m->algo;
	conf.n_hw = m->n_hw;
	if (rc == OTD_OK)
		rc = otd_miner_create(&m->miner, m->loop, &conf, &m->err);
	if (rc == OTD_OK)
		rc = m->tool.env->ops->timer_create(m->loop, &m->timer, on_second, m);
	if (rc == OTD_OK)
		rc = otd_loop_signal(m->loop, SIGINT, on_signal, m);
	if (rc == OTD_OK)
		rc = otd_loop_signal(m->loop, SIGTERM, on_signal, m);
	if (rc == OTD_OK)
		rc = otd_miner_start(m->miner, &m->err);
	return rc;
}

static void stop(struct mine *m)
{
	otd_miner_destroy(m->miner);
	if (m->timer)
		m->tool.env->ops->timer_destroy(m->timer);
	if (m->loop)
		m->tool.env->ops->loop_destroy(m->loop);
	for (size_t i = 0; i < m->n_hw; i++)
		otd_instance_destroy(m->hw[i]);
	if (m->algo)
		otd_instance_destroy(m->algo);
	otd_tool_finish(&m->tool);
	otd_bytes_finish(&m->ca);
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct mine m = {.cmd = cmd};
	struct options *o = &m.o;
	const struct otd_arg args[] = {
		{"--url", 'o', "URL",
		 "stratum+tcp://HOST:PORT, or stratum+ssl:// for TLS; repeat it for failover",
		 .list = &o->urls},
		{"--user", 'u', "USER", "ADDRESS.worker", .text = &o->user},
		{"--password", 'p', "WORD", "x, or d=DIFFICULTY", .text = &o->password},
		{"--algo", 'a', "ALGO", "the algorithm plugin", .text = &o->algo},
		{"--plugin", 0, "FILE", "the algorithm's file, instead of -a", .text = &o->file},
		{"--options", 0, "YAML", "of the algorithm: '{n: 2048}'", .text = &o->algo_options},
		{"--threads", 't', "N", "units to use; all there are where not said",
		 .text = &o->threads},
		{"--hw", 0, "ID", "only this backend; may be repeated", .list = &o->hw},
		{"--shares", 0, "N", "end after N accepted shares", .text = &o->shares},
		{"--plugin-dir", 0, "DIR", "where KIND/ID.so is looked for", .text = &o->dir},
		{"--ca", 0, "FILE", "TLS: PEM of the CA to believe, instead of the system's",
		 .text = &o->ca},
		{"--pin", 0, "SHA256", "TLS: only this certificate; may be repeated",
		 .list = &o->pins},
		{"--insecure", 0, NULL, "TLS: any certificate, so anybody may be the pool",
		 .on = &o->insecure},
		{"--quiet", 'q', NULL, "only the closing line", .on = &o->quiet},
		{"--json", 0, NULL, "one JSON object a second", .on = &o->json},
	};
	size_t n_words;
	otd_bytes_init(&m.ca, CA_MAX);
	int exit_status = otd_args_parse(cmd, args, sizeof(args) / sizeof(args[0]), argc, argv,
					 NULL, &n_words, 0, 0);
	if (exit_status >= 0)
		return exit_status;
	if (!o->urls.n || !o->user || (o->algo != NULL) == (o->file != NULL)) {
		otd_cmd_fail(cmd,
			     "-o, -u and one of -a and --plugin are needed; usage: otedama mine %s",
			     cmd->usage);
		return OTD_EXIT_USAGE;
	}
	otd_rc rc = start(&m);
	if (rc == OTD_OK) {
		if (o->insecure)
			fprintf(stderr,
				"otedama: mine: --insecure: whoever is on the way can be the pool "
				"and take the work; --pin or --ca is safe\n");
		m.tool.env->ops->timer_start(m.timer, 1000, 1000);
		m.tool.env->ops->loop_run(m.loop);
		otd_miner_stop(m.miner);
		print_stats(&m, true);
	} else {
		clear_line(&m);
		otd_cmd_fail(cmd, "%s", m.err.text[0] ? m.err.text : otd_rc_name(rc));
	}
	stop(&m);
	return rc == OTD_OK ? OTD_EXIT_OK : OTD_EXIT_FAILED;
}

const struct otd_cmd otd_cmd_mine = {
	.name = "mine",
	.usage = "-o URL.. -u ADDRESS.worker -a ALGO | --plugin FILE [-t N]",
	.summary = "mines for a Stratum pool",
	.run = run,
};
