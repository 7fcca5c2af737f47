/* The method health: what a load balancer is told, without a login. */
#include "client.h"
#include "stratum/session.h"

static struct pool_rig p;
static struct client c;

static void ask(const char *is)
{
	char expected[80];
	client_send(&c, "{\"id\":\"h\",\"method\":\"health\"}\n");
	assert_true(client_line(&c));
	(void)snprintf(expected, sizeof(expected),
		       "{\"id\":\"h\",\"result\":\"%s\",\"error\":null}", is);
	assert_string_equal(c.line, expected);
}

static int64_t work_ms;

static void set_work_ms(void *arg)
{
	(void)arg;
	p.st->ports[0]->conf.work_ms = work_ms;
}

static void work_comes_and_gets_old(void **state)
{
	struct job_spec job = {.job = 0x1a, .flags = OTD_JOB_CLEAN, .n_branches = 3};
	(void)state;
	pool_begin(&p, "1e-9", 0);
	work_ms = 300;
	rig_call(&p.rig, set_work_ms, NULL);
	client_open(&c, &p);
	ask("no work");
	job.block_target = target_of("1e6");
	rig_job(&p.rig, &job);
	const struct timespec bit = {.tv_nsec = 20000000}, long_time = {.tv_nsec = 500000000};
	/* The job comes to the reactor by a message. */
	bool there = false;
	for (int i = 0; i < 500 && !there; i++) {
		client_send(&c, "{\"id\":1,\"method\":\"health\",\"params\":[]}\n");
		assert_true(client_line(&c));
		there = !strstr(c.line, "no work");
		nanosleep(&bit, NULL);
	}
	assert_true(there);
	nanosleep(&long_time, NULL);
	ask("old work");
	work_ms = 60000;
	rig_call(&p.rig, set_work_ms, NULL);
	ask("serving");
	close(c.fd);
	assert_true(rig_wait(&p.rig, &p.n_ended, 1));
	pool_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_comes_and_gets_old),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
