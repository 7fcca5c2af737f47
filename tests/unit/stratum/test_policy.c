/* What scripts say of miners, over TCP; a table of functions stands for the scripts. */
#include "client.h"

#define EASY "1e-9"

static struct pool_rig p;

/* What "the scripts" answer, and what they were asked. Set before the loop runs. */
static struct {
	bool has[OTD_HOOKS];
	struct otd_policy_connect_out connect;
	struct otd_policy_authorize_out authorize;
	struct otd_policy_difficulty_out difficulty;
	struct otd_policy_offence_out offence;
	_Atomic unsigned asked[OTD_HOOKS];
	struct otd_policy_offence last;
	char account[80], worker[80], what[160], script[64];
	int64_t seconds;
	_Atomic unsigned bans;
} says;

static bool wants(void *arg, enum otd_policy_hook h, const char *pool)
{
	(void)arg;
	assert_string_equal(pool, "test");
	return says.has[h];
}

static void on_connect(void *arg, struct otd_policy_connect_out *out,
		       const struct otd_policy_connect *in)
{
	(void)arg;
	assert_string_equal(in->host, "127.0.0.1");
	says.asked[OTD_HOOK_CONNECT]++;
	*out = says.connect;
}

static void on_authorize(void *arg, struct otd_policy_authorize_out *out,
			 const struct otd_policy_authorize *in)
{
	(void)arg;
	says.asked[OTD_HOOK_AUTHORIZE]++;
	snprintf(says.account, sizeof(says.account), "%s", in->account);
	snprintf(says.worker, sizeof(says.worker), "%s", in->worker);
	*out = says.authorize;
}

static void on_difficulty(void *arg, struct otd_policy_difficulty_out *out,
			  const struct otd_policy_difficulty *in)
{
	(void)arg;
	(void)in;
	says.asked[OTD_HOOK_DIFFICULTY]++;
	*out = says.difficulty;
}

static void on_offence(void *arg, struct otd_policy_offence_out *out,
		       const struct otd_policy_offence *in)
{
	(void)arg;
	says.last = *in;
	says.asked[OTD_HOOK_OFFENCE]++;
	*out = says.offence;
}

static void on_ban(void *arg, const char *script, enum otd_policy_scope scope, const char *what,
		   int64_t seconds, const char *reason)
{
	(void)arg;
	(void)scope;
	assert_string_equal(reason, "because");
	snprintf(says.what, sizeof(says.what), "%s", what);
	snprintf(says.script, sizeof(says.script), "%s", script);
	says.seconds = seconds;
	says.bans++;
}

static const struct otd_stratum_policy fake = {
	.wants = wants,
	.connect = on_connect,
	.authorize = on_authorize,
	.difficulty = on_difficulty,
	.offence = on_offence,
	.ban = on_ban,
};

static void begin(void)
{
	static const struct job_spec first = {.job = 0x1a, .flags = OTD_JOB_CLEAN};
	struct job_spec job = first;

	job.block_target = target_of("1e6");
	pool_begin_policy(&p, EASY, 0, &fake);
	rig_job(&p.rig, &job);
}

static void end(unsigned clients)
{
	assert_true(rig_wait(&p.rig, &p.n_ended, clients));
	pool_end(&p);
	memset(&says, 0, sizeof(says));
}

static struct otd_policy_said said(const char *reason)
{
	struct otd_policy_said s = {.from = OTD_POLICY_SCRIPT, .script = "toy"};
	snprintf(s.reason, sizeof(s.reason), "%s", reason);
	return s;
}

static void a_connection_is_refused_with_its_reason(void **state)
{
	struct client c;
	(void)state;
	says.has[OTD_HOOK_CONNECT] = true;
	says.connect = (struct otd_policy_connect_out){said("not today"), true};
	begin();
	client_open(&c, &p);
	assert_true(client_line(&c));
	assert_non_null(strstr(c.line, "client.show_message"));
	assert_non_null(strstr(c.line, "not today"));
	assert_false(client_line(&c));
	close(c.fd);
	end(1);
}

static void a_worker_is_refused_with_its_reason(void **state)
{
	struct client c;
	(void)state;
	says.has[OTD_HOOK_AUTHORIZE] = true;
	says.authorize =
		(struct otd_policy_authorize_out){.said = said("no rentals"), .refuse = true};
	begin();
	client_open(&c, &p);
	client_send(&c, "{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"goodA.rig\"]}\n");
	assert_non_null(strstr(client_answer(&c), "no rentals"));
	assert_string_equal(says.account, "goodA");
	assert_string_equal(says.worker, "rig");
	close(c.fd);
	end(1);
}

static void the_difficulty_to_begin_with(void **state)
{
	struct client c;
	(void)state;
	says.has[OTD_HOOK_DIFFICULTY] = true;
	says.difficulty = (struct otd_policy_difficulty_out){said(""), true, true, target_of("8")};
	begin();
	client_open(&c, &p);
	client_login(&c);
	client_until_notify(&c, 2); /* the first at the port's, the second at the script's */
	assert_string_equal(c.difficulty, "8");
	/* What a miner wishes is a question, too; a difficulty out of the port's limits is not given. */
	assert_int_equal(says.asked[OTD_HOOK_DIFFICULTY], 1);
	client_send(&c, "{\"id\":3,\"method\":\"mining.suggest_difficulty\",\"params\":[64]}\n");
	client_answer(&c);
	assert_int_equal(says.asked[OTD_HOOK_DIFFICULTY], 2);
	assert_string_equal(c.difficulty, "8");
	close(c.fd);
	end(1);
}

static void an_offence_is_asked_about_now_and_then(void **state)
{
	struct client c;
	char id[16];
	(void)state;
	says.has[OTD_HOOK_OFFENCE] = true;
	begin();
	client_open(&c, &p);
	client_login(&c);
	for (unsigned i = 0; i < 17; i++) {
		snprintf(id, sizeof(id), "%u", 10 + i);
		client_submit(&c, "goodA.rig", "ffffffff00", i, id); /* no such job: stale */
		assert_non_null(strstr(client_answer(&c), "[21,"));
	}
	assert_int_equal(says.asked[OTD_HOOK_OFFENCE], 3); /* at 4, 8 and 16 */
	assert_int_equal(says.last.kind, OTD_OFFENCE_STALE);
	assert_int_equal(says.last.count, 16);
	assert_int_equal(says.last.refused, 16);
	assert_int_equal(says.last.accepted, 0);
	close(c.fd);
	end(1);
}

static void an_offence_bans(enum otd_policy_scope scope, const char *what)
{
	struct client c;
	char id[16];
	unsigned n = 0;
	says.has[OTD_HOOK_OFFENCE] = true;
	says.offence = (struct otd_policy_offence_out){said("because"), OTD_ACTION_BAN, scope, 60};
	begin();
	client_open(&c, &p);
	client_login(&c);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(id, sizeof(id), "%u", 10 + i);
		client_submit(&c, "goodA.rig", "ffffffff00", i, id);
		client_answer(&c);
	}
	while (client_line(&c))
		n += strstr(c.line, "because") && strstr(c.line, "banned until");
	assert_int_equal(n, 1);
	assert_int_equal(says.bans, 1);
	assert_string_equal(says.what, what);
	assert_string_equal(says.script, "toy");
	assert_int_equal(says.seconds, 60);
	close(c.fd);
	end(1);
}

static void bans_by_scope(void **state)
{
	(void)state;
	an_offence_bans(OTD_POLICY_WORKER, "test/goodA.rig");
	an_offence_bans(OTD_POLICY_ACCOUNT, "test/goodA");
	an_offence_bans(OTD_POLICY_IP, "127.0.0.1");
	an_offence_bans(OTD_POLICY_PREFIX, "127.0.0.0/24");
}

/* A script that failed says nothing: the host's own rules hold. */
static void a_fallback_does_nothing(void **state)
{
	struct client c;
	char id[16];
	(void)state;
	says.has[OTD_HOOK_OFFENCE] = true;
	says.offence = (struct otd_policy_offence_out){
		.said = {.from = OTD_POLICY_FALLBACK}, .action = OTD_ACTION_BAN, .seconds = 60};
	begin();
	client_open(&c, &p);
	client_login(&c);
	for (unsigned i = 0; i < 9; i++) {
		snprintf(id, sizeof(id), "%u", 10 + i);
		client_submit(&c, "goodA.rig", "ffffffff00", i, id);
		client_answer(&c);
	}
	assert_int_equal(says.asked[OTD_HOOK_OFFENCE], 2);
	assert_int_equal(says.bans, 0);
	close(c.fd);
	end(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_refused_with_its_reason),
		cmocka_unit_test(a_worker_is_refused_with_its_reason),
		cmocka_unit_test(the_difficulty_to_begin_with),
		cmocka_unit_test(an_offence_is_asked_about_now_and_then),
		cmocka_unit_test(bans_by_scope),
		cmocka_unit_test(a_fallback_does_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
