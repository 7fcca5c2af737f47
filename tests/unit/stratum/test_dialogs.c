/* Dialogs of each kind of client, over TCP: what is said, in which order, with which codes. */
#include "client.h"

#define EASY "1e-9"

static struct pool_rig p;
static struct client c;

static const struct job_spec first_job = {.job = 0x1a, .flags = OTD_JOB_CLEAN, .n_branches = 3};

static void begin(const char *difficulty, int64_t notify_ms)
{
	struct job_spec job = first_job;
	job.block_target = target_of("1e6");
	pool_begin(&p, difficulty, notify_ms);
	rig_job(&p.rig, &job);
	client_open(&c, &p);
}

static void end(void)
{
	close(c.fd);
	assert_true(rig_wait(&p.rig, &p.n_ended, 1));
	pool_end(&p);
}

static void expect(const char *line)
{
	assert_string_equal(client_answer(&c), line);
}

static void cgminer_configures_first(void **state)
{
	(void)state;
	begin(EASY, 0);
	client_send(
		&c,
		"{\"id\":1,\"method\":\"mining.configure\",\"params\":[[\"version-rolling\","
		"\"minimum-difficulty\",\"subscribe-extranonce\",\"nonsense\"],"
		"{\"version-rolling.mask\":\"ffffffff\",\"minimum-difficulty.value\":1e-9}]}\n");
	/* The very next line is the answer, and the mask comes right after it. */
	assert_true(client_line(&c));
	assert_string_equal(c.line,
			    "{\"id\":1,\"result\":{\"version-rolling\":true,"
			    "\"version-rolling.mask\":\"1fffe000\",\"minimum-difficulty\":true,"
			    "\"subscribe-extranonce\":true,\"nonsense\":false},\"error\":null}");
	assert_true(client_line(&c));
	assert_string_equal(c.line, "{\"id\":null,\"method\":\"mining.set_version_mask\","
				    "\"params\":[\"1fffe000\"]}");
	client_send(&c,
		    "{\"id\":2,\"method\":\"mining.subscribe\",\"params\":[\"cgminer/4.12\"]}\n");
	assert_true(client_line(&c));
	assert_memory_equal(c.line, "{\"id\":2,\"result\":[[[\"mining.set_difficulty\",", 44);
	assert_false(client_notice(&c));
	assert_memory_equal(c.extranonce1, "007", 3); /* the epoch */
	assert_true(client_line(&c));
	assert_string_equal(c.line,
			    "{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[1e-9]}");
	assert_true(client_line(&c));
	assert_true(client_notice(&c));
	assert_int_equal(c.notifies, 1);
	assert_string_equal(c.job, "0000001a00");
	assert_true(c.clean);
	client_send(&c,
		    "{\"id\":3,\"method\":\"mining.authorize\",\"params\":[\"goodA.r\",\"x\"]}\n");
	expect("{\"id\":3,\"result\":true,\"error\":null}");
	/* A version bit of the mask, then one outside. */
	uint32_t nonce;
	c.header[1] ^= 0x20;
	nonce = client_mine(&c, target_of(EASY), target_of("1e6"), 0);
	char line[256];
	snprintf(line, sizeof(line),
		 "{\"id\":4,\"method\":\"mining.submit\",\"params\":[\"goodA.r\",\"0000001a00\","
		 "\"00000001\",\"%08x\",\"%08x\",\"00002000\"]}\n",
		 c.ntime, nonce);
	client_send(&c, line);
	expect("{\"id\":4,\"result\":true,\"error\":null}");
	snprintf(line, sizeof(line),
		 "{\"id\":5,\"method\":\"mining.submit\",\"params\":[\"goodA.r\",\"0000001a00\","
		 "\"00000001\",\"%08x\",\"%08x\",\"20000000\"]}\n",
		 c.ntime, nonce);
	client_send(&c, line);
	expect("{\"id\":5,\"result\":false,\"error\":[20,\"Version bits outside of the "
	       "mask\",null]}");
	end();
}

static void every_refusal_has_its_code(void **state)
{
	uint32_t nonce, low;
	char line[256];

	(void)state;
	begin(EASY, 0);
	client_send(&c,
		    "{\"id\":9,\"method\":\"mining.submit\",\"params\":[\"goodA.rig\",\"x\",\"\","
		    "\"\",\"\"]}\n");
	expect("{\"id\":9,\"result\":false,\"error\":[25,\"Not subscribed\",null]}");
	client_login(&c);
	nonce = client_mine(&c, target_of(EASY), target_of("1e6"), 0);
	client_submit(&c, "goodA.rig", "0000001a00", nonce, "4");
	expect("{\"id\":4,\"result\":true,\"error\":null}");
	/* The same share in capital letters, and with a job id of another sending. */
	snprintf(line, sizeof(line),
		 "{\"id\":\"u\",\"method\":\"mining.submit\",\"params\":[\"goodA.rig\","
		 "\"0000001A00\",\"00000001\",\"%08X\",\"%08X\"]}\n",
		 c.ntime, nonce);
	client_send(&c, line);
	expect("{\"id\":\"u\",\"result\":false,\"error\":[22,\"Duplicate share\",null]}");
	client_submit(&c, "goodA.rig", "0000001a07", nonce, "null");
	expect("{\"id\":null,\"result\":false,\"error\":[22,\"Duplicate share\",null]}");
	client_submit(&c, "goodA.rig", "0000001b00", nonce, "6");
	expect("{\"id\":6,\"result\":false,\"error\":[21,\"Job not found or stale\",null]}");
	client_submit(&c, "goodA.rig", "bf", nonce, "7");
	expect("{\"id\":7,\"result\":false,\"error\":[21,\"Job not found or stale\",null]}");
	low = client_mine(&c, otd_u256_max(), target_of(EASY), 0);
	client_submit(&c, "goodA.rig", "0000001a00", low, "8");
	expect("{\"id\":8,\"result\":false,\"error\":[23,\"Low difficulty share\",null]}");
	client_submit(&c, "other", "0000001a00", nonce, "9");
	expect("{\"id\":9,\"result\":false,\"error\":[24,\"Unauthorized worker\",null]}");
	c.ntime -= 601;
	client_submit(&c, "goodA.rig", "0000001a00", nonce, "10");
	expect("{\"id\":10,\"result\":false,\"error\":[20,\"ntime out of range\",null]}");
	client_send(&c, "{\"id\":11,\"method\":\"mining.submit\",\"params\":[\"goodA.rig\","
			"\"0000001a00\",\"0000000g\",\"504e86ed\",\"00000000\"]}\n");
	expect("{\"id\":11,\"result\":false,\"error\":[20,\"Malformed share\",null]}");
	client_send(&c, "{\"id\":12,\"method\":\"mining.submit\",\"params\":[\"goodA.rig\","
			"\"0000001a00\",\"000001\",\"504e86ed\",\"00000000\"]}\n");
	expect("{\"id\":12,\"result\":false,\"error\":[20,\"Malformed share\",null]}");
	client_send(&c, "{\"id\":13,\"method\":\"mining.submit\",\"params\":[1,2,3]}\n");
	expect("{\"id\":13,\"result\":false,\"error\":[20,\"Malformed share\",null]}");
	end();
}

static void answers_keep_the_order_of_requests(void **state)
{
	char line[128];
	uint32_t nonce = 0;

	(void)state;
	begin(EASY, 0);
	client_login(&c);
	/* Accepted ones wait for the disk, refused ones and pings do not: the order holds. */
	for (int i = 0; i < 300; i++) {
		char id[16];
		snprintf(id, sizeof(id), "%d", 1000 + i);
		if (i % 3 == 0) {
			nonce = client_mine(&c, target_of(EASY), target_of("1e6"), nonce + 1);
			client_submit(&c, "goodA.rig", "0000001a00", nonce, id);
		} else if (i % 3 == 1) {
			client_submit(&c, "goodA.rig", "ffffffff00", nonce, id);
		} else {
			snprintf(line, sizeof(line),
				 "{\"id\":%s,\"method\":\"mining.ping\",\"params\":[]}\n", id);
			client_send(&c, line);
		}
	}
	for (int i = 0; i < 300; i++) {
		snprintf(line, sizeof(line), "{\"id\":%d,\"result\":%s", 1000 + i,
			 i % 3 == 0   ? "true,"
			 : i % 3 == 1 ? "false,"
				      : "\"pong\",");
		assert_memory_equal(client_answer(&c), line, strlen(line));
	}
	end();
}

static void small_methods_and_strangers(void **state)
{
	(void)state;
	begin("1024", 0);
	client_send(&c, "{\"id\":1,\"method\":\"mining.extranonce.subscribe\",\"params\":[]}\n");
	expect("{\"id\":1,\"result\":true,\"error\":null}");
	client_send(&c, "{\"id\":2,\"method\":\"mining.multi_version\",\"params\":[4]}\n");
	expect("{\"id\":2,\"result\":true,\"error\":null}");
	client_send(&c, "{\"id\":3,\"method\":\"mining.get_transactions\",\"params\":[\"1\"]}\n");
	expect("{\"id\":3,\"result\":null,\"error\":[20,\"Not supported.\",null]}");
	client_send(&c, "{\"id\":4,\"method\":\"mining.hello\",\"params\":[]}\n");
	expect("{\"id\":4,\"result\":null,\"error\":[-3,\"Method not found\",null]}");
	client_send(&c, "{\"id\":5,\"method\":\"client.get_version\"}\n");
	assert_memory_equal(client_answer(&c), "{\"id\":5,\"result\":\"otedama/", 26);
	/* An answer of theirs is no request. */
	client_send(&c, "{\"id\":77,\"result\":\"cgminer/4.9\",\"error\":null}\n\r\n\n");
	client_send(&c,
		    "{\"id\":6,\"method\":\"mining.authorize\",\"params\":[\"bad.x\",\"x\"]}\n");
	expect("{\"id\":6,\"result\":false,\"error\":[24,\"not an address of \\\"this\\\" "
	       "chain\",null]}");
	client_send(&c, "{\"id\":7,\"method\":\"mining.authorize\",\"params\":[5]}\n");
	assert_memory_equal(client_answer(&c), "{\"id\":7,\"result\":null,\"error\":[24,", 33);
	/* The fourth malformed line closes. */
	for (int i = 0; i < 4; i++) {
		client_send(&c, i % 2 ? "[[[[[[[[\n" : "{\"id\":1,\"method\":5}\n");
		assert_non_null(strstr(client_answer(&c), "[20,\"Not a Stratum request\",null]"));
	}
	assert_false(client_line(&c));
	end();
}

/* Four are bad_lines here, and each of these counts as more: no client sends one by mistake. */
static void a_line_of_brackets_closes_at_once(void **state)
{
	char line[4096];

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin("1024", 0);
		snprintf(line, sizeof(line), "{\"id\":1,\"method\":\"mining.ping\",\"params\":[");
		for (size_t n = strlen(line); n < sizeof(line) - 3; n += 3)
			snprintf(line + n, 4, "%s", i ? "[]," : "[[[");
		client_send(&c, line);
		client_send(&c, "\n");
		expect("{\"id\":null,\"result\":null,\"error\":[20,\"Not a Stratum request: nested "
		       "too "
		       "deep, or too many values\",null]}");
		assert_false(client_line(&c));
		end();
	}
}

static void authorize_may_come_first_and_bear_a_difficulty(void **state)
{
	(void)state;
	begin("1024", 0);
	client_send(&c, "{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"Good%41%2Erig\","
			"\"x,d=64\"]}\n"
			"{\"id\":2,\"method\":\"mining.subscribe\",\"params\":[]}\n");
	expect("{\"id\":1,\"result\":true,\"error\":null}");
	assert_memory_equal(client_answer(&c), "{\"id\":2,", 8);
	client_until_notify(&c, 1);
	assert_string_equal(c.difficulty, "64");
	assert_int_equal(c.difficulties, 1);
	/* Once more: a difficulty, and directly behind it a notify with an id of its own. */
	client_send(&c,
		    "{\"id\":3,\"method\":\"mining.suggest_difficulty\",\"params\":[\"128\"]}\n");
	expect("{\"id\":3,\"result\":true,\"error\":null}");
	assert_true(client_line(&c));
	assert_string_equal(c.line,
			    "{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[128]}");
	assert_true(client_line(&c));
	assert_true(client_notice(&c));
	assert_string_equal(c.job, "0000001a01");
	assert_false(c.clean);
	/* Below what the password asked for: stays at 64. */
	client_send(&c, "{\"id\":4,\"method\":\"mining.suggest_target\",\"params\":[\""
			"00000000ffff0000000000000000000000000000000000000000000000000000\"]}\n");
	expect("{\"id\":4,\"result\":true,\"error\":null}");
	client_until_notify(&c, 3);
	assert_string_equal(c.difficulty, "64");
	end();
}

/* A raise is for what is sent from then on, a cut for everything. */
static void difficulty_belongs_to_the_job(void **state)
{
	struct otd_u256 easy = target_of(EASY), hard = target_of("1e-7");
	uint32_t n, then, now;

	(void)state;
	begin(EASY, 0);
	client_login(&c);
	n = client_mine(&c, easy, hard, 0);
	then = c.ntime;
	client_send(&c, "{\"id\":3,\"method\":\"mining.suggest_difficulty\",\"params\":[1e-7]}\n");
	expect("{\"id\":3,\"result\":true,\"error\":null}");
	client_until_notify(&c, 2);
	assert_string_equal(c.job, "0000001a01");
	now = c.ntime;
	c.ntime = then;
	client_submit(&c, "goodA.rig", "0000001a00", n, "4");
	expect("{\"id\":4,\"result\":true,\"error\":null}");
	c.ntime = now;
	/* The sending of id ..01 has the time of now. */
	n = client_mine(&c, easy, hard, 0);
	client_submit(&c, "goodA.rig", "0000001a01", n, "5");
	expect("{\"id\":5,\"result\":false,\"error\":[23,\"Low difficulty share\",null]}");
	client_send(&c, "{\"id\":6,\"method\":\"mining.suggest_difficulty\",\"params\":[1e-9]}\n");
	expect("{\"id\":6,\"result\":true,\"error\":null}");
	client_until_notify(&c, 3);
	c.ntime = now;
	client_submit(&c, "goodA.rig", "0000001a01", n, "7");
	expect("{\"id\":7,\"result\":true,\"error\":null}");
	end();
}

/* A flood of shares at the first difficulty arrives in one piece: the raise after the first eight is
   by their pace, and not once more for each eight that were on their way already. */
static void a_raise_is_not_repeated_for_shares_of_before(void **state)
{
	struct otd_u256 easy = target_of(EASY);
	char lines[32 * 160];
	size_t len = 0;
	uint32_t n = 0;

	(void)state;
	begin(EASY, 0);
	client_login(&c);
	for (int i = 0; i < 32; i++, n++) {
		n = client_mine(&c, easy, otd_u256_zero(), n);
		len += (size_t)snprintf(
			lines + len, sizeof(lines) - len,
			"{\"params\":[\"goodA.rig\",\"%s\",\"00000001\",\"%08x\",\"%08x\"],"
			"\"id\":%d,\"method\":\"mining.submit\"}\n",
			c.job, c.ntime, n, 100 + i);
	}
	unsigned before = c.difficulties;
	client_send(&c, lines);
	for (int i = 0; i < 32; i++)
		assert_non_null(strstr(client_answer(&c), "true"));
	assert_int_equal(c.difficulties, before + 1);
	end();
}

static void a_new_tip_ends_old_jobs_but_loses_no_block(void **state)
{
	struct job_spec job = first_job;
	uint32_t nonce, again;
	char old[16];

	(void)state;
	begin(EASY, 0);
	client_login(&c);
	nonce = client_mine(&c, target_of(EASY), target_of("1e6"), 0);
	again = client_mine(&c, target_of(EASY), target_of("1e6"), nonce + 1);
	/* A fresh job of the same tip: the one before stays good. */
	job.job = 0x1b;
	job.flags = 0;
	job.block_target = target_of("1e-8");
	rig_job(&p.rig, &job);
	client_until_notify(&c, 2);
	assert_false(c.clean);
	assert_string_equal(c.difficulty, "1e-9");
	client_submit(&c, "goodA.rig", "0000001a00", nonce, "4");
	expect("{\"id\":4,\"result\":true,\"error\":null}");
	/* A solution of the second job, found while the tip changes. */
	snprintf(old, sizeof(old), "%s", c.job);
	nonce = client_mine(&c, target_of("1e-8"), otd_u256_zero(), 0);
	uint32_t ntime = c.ntime;
	job.job = 0x1c;
	job.prev_salt = 9;
	job.flags = OTD_JOB_CLEAN | OTD_JOB_URGENT;
	rig_job(&p.rig, &job);
	client_until_notify(&c, 3);
	assert_true(c.clean);
	client_submit(&c, "goodA.rig", "0000001a00", again, "5");
	expect("{\"id\":5,\"result\":false,\"error\":[21,\"Job not found or stale\",null]}");
	assert_int_equal(p.rig.n_blocks, 0);
	c.ntime = ntime;
	client_submit(&c, "goodA.rig", old, nonce, "6");
	expect("{\"id\":6,\"result\":true,\"error\":null}");
	assert_true(rig_wait(&p.rig, &p.rig.n_blocks, 1));
	assert_string_equal(p.rig.block_worker, "rig");
	client_submit(&c, "goodA.rig", old, nonce, "7");
	expect("{\"id\":7,\"result\":false,\"error\":[21,\"Job not found or stale\",null]}");
	assert_int_equal(p.rig.n_blocks, 1);
	end();
}

/* Even under a name that was never authorized. */
static void a_block_of_a_stranger_is_handed_in(void **state)
{
	struct job_spec job = first_job;

	(void)state;
	begin(EASY, 0);
	client_login(&c);
	job.job = 0x1b;
	job.block_target = target_of("1e-8");
	rig_job(&p.rig, &job);
	client_until_notify(&c, 2);
	client_submit(&c, "who", c.job, client_mine(&c, target_of("1e-8"), otd_u256_zero(), 0),
		      "6");
	expect("{\"id\":6,\"result\":true,\"error\":null}");
	assert_true(rig_wait(&p.rig, &p.rig.n_blocks, 1));
	end();
}

static void silence_is_filled_with_a_job_of_now(void **state)
{
	(void)state;
	begin(EASY, 300);
	client_login(&c);
	uint32_t then = c.ntime;
	client_until_notify(&c, 3);
	assert_string_equal(c.job, "0000001a02");
	assert_false(c.clean);
	assert_true(c.ntime > then);
	assert_int_equal(c.difficulties, 1);
	client_submit(&c, "goodA.rig", "0000001a02",
		      client_mine(&c, target_of(EASY), target_of("1e6"), 0), "4");
	expect("{\"id\":4,\"result\":true,\"error\":null}");
	end();
}

static void tell(void *arg)
{
	(void)arg;
	otd_stratum_reconnect(p.st, "", 0, 0);
	otd_stratum_reconnect(p.st, "pool.example", 3334, 5);
	assert_int_equal(otd_stratum_show_message(p.st, "goodA", "hello \"you\""), 1);
	assert_int_equal(otd_stratum_show_message(p.st, "goodB", "no"), 0);
}

static void notices_of_the_operator(void **state)
{
	static const char *const lines[] = {
		"{\"id\":null,\"method\":\"client.reconnect\",\"params\":[]}",
		"{\"id\":null,\"method\":\"client.reconnect\",\"params\":[\"pool.example\",3334,5]"
		"}",
		"{\"id\":null,\"method\":\"client.show_message\",\"params\":[\"hello "
		"\\\"you\\\"\"]}",
	};

	(void)state;
	begin(EASY, 0);
	client_login(&c);
	rig_call(&p.rig, tell, NULL);
	for (size_t i = 0; i < 3; i++) {
		assert_true(client_line(&c));
		assert_string_equal(c.line, lines[i]);
	}
	end();
}

/* What was received is answered, then the connection ends, then the reactor says so. */
static void drain_answers_first(void **state)
{
	uint32_t nonce = 0;

	(void)state;
	begin(EASY, 0);
	client_login(&c);
	for (int i = 0; i < 50; i++) {
		nonce = client_mine(&c, target_of(EASY), target_of("1e6"), nonce + 1);
		client_submit(&c, "goodA.rig", "0000001a00", nonce, "1");
	}
	for (int i = 0; i < 50; i++)
		expect("{\"id\":1,\"result\":true,\"error\":null}");
	if (otd_mailbox_send(otd_reactor_mailbox(p.rig.reactor),
			     otd_msg_create(OTD_MSG_DRAIN, 0, sizeof(struct otd_msg), 0)))
		fail();
	assert_true(rig_wait(&p.rig, &p.rig.n_drained, 1));
	assert_false(client_line(&c));
	assert_int_equal(otd_stratum_sessions(p.st), 0);
	end();
}

static void change(const struct otd_stratum_change_conf *conf)
{
	struct otd_stratum_change *made;
	struct otd_err err = {0};
	if (otd_stratum_change_create(&made, p.st, conf, &err) != OTD_OK)
		fail_msg("%s", err.text);
	assert_int_equal(otd_stratum_change_post(made), OTD_OK);
}

static const char *submit_one(uint32_t *nonce, const char *easy, const char *job)
{
	*nonce = client_mine(&c, target_of(easy), target_of("1e6"), *nonce + 1);
	client_submit(&c, "goodA.rig", job, *nonce, "9");
	return client_answer(&c);
}

/* Another difficulty, another mask, one more pool: who is there stays, and no share is refused. */
static void a_reload_drops_nobody(void **state)
{
	static const char accepted[] = "{\"id\":9,\"result\":true,\"error\":null}";
	uint32_t nonce = 0;

	(void)state;
	begin(EASY, 0);
	client_login(&c);
	assert_string_equal(submit_one(&nonce, EASY, "0000001a00"), accepted);
	struct otd_stratum_port ports[2] = {p.port, p.port};
	ports[0].start = ports[0].min = target_of("4e-9");
	ports[0].vardiff = false;
	ports[0].scheme = "solo";
	ports[1].pool = 1;
	struct otd_reactor_pool more = p.rig.pool;
	more.name = "more";
	const struct otd_stratum_change_conf first = {.pools = &more,
						      .n_pools = 1,
						      .ports = ports,
						      .n_ports = 2,
						      .limits = {.name_max = 3}};
	struct otd_err err = {0};
	struct otd_stratum_change *none;
	struct otd_stratum_port wrong = p.port;
	wrong.min = (struct otd_u256){0};
	const struct otd_stratum_change_conf bad = {.ports = &wrong, .n_ports = 1};
	assert_int_equal(otd_stratum_change_create(&none, p.st, &bad, &err), OTD_E_INVALID);
	change(&first);
	client_until_notify(&c, 2); /* the same work again, harder */
	assert_string_equal(c.difficulty, "4e-9");
	/* Of the work of before at the difficulty of before. */
	assert_string_equal(submit_one(&nonce, EASY, "0000001a00"), accepted);
	assert_string_equal(submit_one(&nonce, "4e-9", c.job), accepted);
	client_send(&c, "{\"id\":5,\"method\":\"mining.authorize\","
			"\"params\":[\"goodB.long\",\"x\"]}\n");
	assert_non_null(strstr(client_answer(&c), "at most 3 characters"));
	/* The other pool gets its own jobs; this one goes. */
	struct job_spec job = first_job;
	job.block_target = target_of("1e6");
	job.pool = 1;
	job.job = 0x1b;
	rig_job(&p.rig, &job);
	const uint32_t gone = 0;
	const struct otd_stratum_change_conf second = {
		.gone = &gone, .n_gone = 1, .ports = ports, .n_ports = 2};
	change(&second);
	assert_true(client_line(&c));
	assert_string_equal(c.line, "{\"id\":null,\"method\":\"client.reconnect\",\"params\":[]}");
	assert_false(client_line(&c));
	assert_true(rig_wait(&p.rig, &p.rig.n_gone, 1));
	end();
}

/* A port goes: its miners are told where to; those of the other port of the pool stay. */
static void a_port_that_goes(void **state)
{
	struct client there;

	(void)state;
	begin(EASY, 0);
	client_login(&c);
	struct otd_stratum_port ports[2] = {p.port, p.port};
	const struct otd_stratum_change_conf first = {.ports = ports, .n_ports = 2};
	change(&first);
	p.accept_port = 1;
	client_open(&there, &p);
	client_login(&there);
	const struct otd_stratum_gone_port gone = {1, "go to the other one"};
	const struct otd_stratum_change_conf second = {
		.ports = ports, .n_ports = 2, .gone_ports = &gone, .n_gone_ports = 1};
	change(&second);
	assert_true(client_line(&there));
	assert_non_null(strstr(there.line, "client.show_message"));
	assert_non_null(strstr(there.line, "go to the other one"));
	assert_true(client_line(&there));
	assert_non_null(strstr(there.line, "client.reconnect"));
	assert_false(client_line(&there));
	close(there.fd);
	assert_true(rig_wait(&p.rig, &p.n_ended, 1));
	uint32_t nonce = 0;
	assert_non_null(strstr(submit_one(&nonce, EASY, "0000001a00"), "true"));
	close(c.fd);
	assert_true(rig_wait(&p.rig, &p.n_ended, 2));
	pool_end(&p);
}

/* The coin's mask gets narrower and wider: told before the work that needs it. */
static void a_mask_is_told_before_its_work(void **state)
{
	static const char line[] = "{\"id\":null,\"method\":\"mining.set_version_mask\","
				   "\"params\":[\"%s\"]}";
	static const uint32_t masks[] = {0x00ffe000, 0x1fffe000};
	struct job_spec job = first_job;
	char want[128];

	(void)state;
	begin(EASY, 0);
	client_send(&c, "{\"id\":1,\"method\":\"mining.configure\",\"params\":"
			"[[\"version-rolling\"],{\"version-rolling.mask\":\"1fffffff\"}]}\n");
	client_answer(&c);
	client_login(&c);
	job.block_target = target_of("1e6");
	for (size_t i = 0; i < 2; i++) {
		job.job++;
		job.flags = 0;
		job.version_mask = masks[i];
		rig_job(&p.rig, &job);
		assert_true(client_line(&c));
		snprintf(want, sizeof(want), line, i ? "1fffe000" : "00ffe000");
		assert_string_equal(c.line, want);
		client_until_notify(&c, 2 + (unsigned)i);
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cgminer_configures_first),
		cmocka_unit_test(every_refusal_has_its_code),
		cmocka_unit_test(answers_keep_the_order_of_requests),
		cmocka_unit_test(small_methods_and_strangers),
		cmocka_unit_test(a_line_of_brackets_closes_at_once),
		cmocka_unit_test(authorize_may_come_first_and_bear_a_difficulty),
		cmocka_unit_test(difficulty_belongs_to_the_job),
		cmocka_unit_test(a_raise_is_not_repeated_for_shares_of_before),
		cmocka_unit_test(a_new_tip_ends_old_jobs_but_loses_no_block),
		cmocka_unit_test(a_block_of_a_stranger_is_handed_in),
		cmocka_unit_test(silence_is_filled_with_a_job_of_now),
		cmocka_unit_test(notices_of_the_operator),
		cmocka_unit_test(drain_answers_first),
		cmocka_unit_test(a_reload_drops_nobody),
		cmocka_unit_test(a_port_that_goes),
		cmocka_unit_test(a_mask_is_told_before_its_work),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
