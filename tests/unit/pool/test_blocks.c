/* A found block on its way to disk and nodes, with a chain that a test speaks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "loop/loop.h"
#include "pool/blocks.h"
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_env_ops ops;
	const struct otd_env_ops *real;
	struct otd_blocks *blocks;
	struct otd_blocks_pool pool;
	struct otd_timer *limit;
	char dir[64];
	int64_t wall_ms; /* added to the real clocks */
	uint64_t mono_ns;
	/* the chain */
	unsigned submits, until;
	bool silent;
	otd_submit_fn answer;
	void *answer_arg;
} w;

otd_rc otd_chain_submit(struct otd_chain *c, struct otd_span block, const uint8_t hash[32],
			otd_submit_fn fn, void *arg)
{
	(void)c;
	(void)hash;
	assert_int_equal(block.len, 5);
	w.submits++;
	w.answer = fn;
	w.answer_arg = arg;
	if (w.submits == w.until)
		w.real->loop_stop(w.loop);
	if (w.silent)
		return OTD_OK;
	fn(arg, NULL, NULL);
	return OTD_OK;
}

const struct otd_chain_template *otd_chain_template(struct otd_chain *c)
{
	(void)c;
	return NULL; /* no work yet */
}

otd_rc otd_chain_place(struct otd_chain *c, uint64_t height, const uint8_t hash[32],
		       otd_place_fn fn, void *arg)
{
	(void)c;
	(void)height;
	(void)hash;
	(void)fn;
	(void)arg;
	return OTD_E_CLOSED;
}

static int64_t wall_ms(struct otd_env *e)
{
	return w.real->wall_ms(e) + w.wall_ms;
}

static uint64_t mono_ns(struct otd_env *e)
{
	return w.real->mono_ns(e) + w.mono_ns;
}

static otd_rc on_verdict(void *arg, uint64_t epoch, uint64_t share_seq, enum otd_block_state state,
			 uint32_t confirmations)
{
	(void)arg;
	(void)epoch;
	(void)share_seq;
	(void)state;
	(void)confirmations;
	return OTD_OK;
}

static void too_long(void *arg)
{
	(void)arg;
	w.real->loop_stop(w.loop);
}

static void begin(void)
{
	struct otd_err err = {0};

	memset(&w, 0, sizeof(w));
	snprintf(w.dir, sizeof(w.dir), "/tmp/otd-blocks-XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	assert_int_equal(otd_env_real_create(&w.env, NULL, &err), OTD_OK);
	w.real = w.env->ops;
	w.ops = *w.real;
	w.ops.wall_ms = wall_ms;
	w.ops.mono_ns = mono_ns;
	w.env->ops = &w.ops;
	assert_int_equal(w.ops.loop_create(w.env, &w.loop, "coordinator", &err), OTD_OK);
	w.pool = (struct otd_blocks_pool){.name = "p", .maturity = 10, .orphan_depth = 6};
	struct otd_blocks_conf conf = {.env = w.env,
				       .loop = w.loop,
				       .data_dir = w.dir,
				       .pools = &w.pool,
				       .n_pools = 1,
				       .watch_ms = 10,
				       .verdict = on_verdict};
	assert_int_equal(otd_blocks_create(&w.blocks, &conf, &err), OTD_OK);
	assert_int_equal(otd_blocks_start(w.blocks, &err), OTD_OK);
	assert_int_equal(w.ops.timer_create(w.loop, &w.limit, too_long, NULL), OTD_OK);
}

static void end(void)
{
	char path[700];
	struct dirent *e;

	w.ops.timer_destroy(w.limit);
	otd_blocks_destroy(w.blocks);
	w.ops.loop_destroy(w.loop);
	w.env->ops = w.real;
	otd_env_real_destroy(w.env);
	snprintf(path, sizeof(path), "%s/blocks", w.dir);
	DIR *d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/blocks/%s", w.dir, e->d_name);
		(void)unlink(path);
	}
	closedir(d);
	snprintf(path, sizeof(path), "%s/blocks", w.dir);
	rmdir(path);
	rmdir(w.dir);
}

/* Runs until the chain was asked so many times; false: it was not, within 10 s. */
static bool run_until(unsigned submits)
{
	w.until = submits;
	w.ops.timer_start(w.limit, 10000, 0);
	w.ops.loop_run(w.loop);
	w.ops.timer_stop(w.limit);
	return w.submits >= submits;
}

static void find_one(void)
{
	struct otd_block_name name = {.epoch = 1, .share_seq = 7, .height = 100, .hash = {1}};

	otd_blocks_found(w.blocks, &name, (struct otd_span){(const uint8_t *)"block", 5});
}

static void handed_in_again_though_the_clock_is_set_back(void **state)
{
	(void)state;
	begin();
	find_one();
	assert_true(run_until(1));
	w.wall_ms = -3600000;
	w.mono_ns = 11000000000u;
	assert_true(run_until(2));
	end();
}

static void no_time_to_end_before_a_node_has_it(void **state)
{
	struct otd_chain_submit verdict = {.verdict = OTD_CHAIN_ACCEPTED};

	(void)state;
	begin();
	assert_false(otd_blocks_leaving(w.blocks));
	w.silent = true;
	find_one();
	assert_true(otd_blocks_leaving(w.blocks));
	assert_true(run_until(1));
	assert_true(otd_blocks_leaving(w.blocks));
	w.answer(w.answer_arg, "one", &verdict);
	assert_false(otd_blocks_leaving(w.blocks));
	w.answer(w.answer_arg, NULL, NULL);
	assert_false(otd_blocks_leaving(w.blocks));
	end();
}

/* A pool that was out comes back, as one more: what a former run left of it is taken up. */
static void a_pool_that_comes_back(void **state)
{
	static struct otd_blocks_pool pools[3];
	struct otd_err err = {0};

	(void)state;
	begin();
	find_one();
	assert_true(run_until(1));
	assert_true(otd_blocks_has(w.blocks, 0));
	w.silent = false;
	/* Written by now, or when it ends. */
	otd_blocks_destroy(w.blocks);
	pools[0] = (struct otd_blocks_pool){.name = "other", .chain = (struct otd_chain *)&w};
	struct otd_blocks_conf conf = {.env = w.env,
				       .loop = w.loop,
				       .data_dir = w.dir,
				       .pools = pools,
				       .n_pools = 1,
				       .pools_max = 3,
				       .watch_ms = 10,
				       .verdict = on_verdict};
	assert_int_equal(otd_blocks_create(&w.blocks, &conf, &err), OTD_OK);
	assert_int_equal(otd_blocks_start(w.blocks, &err), OTD_OK);
	assert_false(otd_blocks_has(w.blocks, 0));
	/* One of its name whose chain is gone does not count. */
	pools[1] = (struct otd_blocks_pool){.name = "p"};
	pools[2] = (struct otd_blocks_pool){
		.name = "p", .chain = (struct otd_chain *)&w, .maturity = 10, .orphan_depth = 6};
	otd_blocks_pools(w.blocks, 3);
	assert_false(otd_blocks_has(w.blocks, 1));
	assert_true(otd_blocks_has(w.blocks, 2));
	unsigned before = w.submits;
	assert_true(run_until(before + 1));
	end();
}

static char written[256];

static bool take_written(void *arg, const char *name)
{
	(void)arg;
	snprintf(written, sizeof(written), "%s", name);
	return true;
}

/* Killed between the write of a candidate and its last name: all of it is there, and it is handed in. */
static void a_candidate_without_its_name(void **state)
{
	const struct otd_files *f;
	char folder[128], path[512], half[520];
	struct otd_file *file = NULL;
	struct otd_err err = {0};
	bool there = true;

	(void)state;
	begin();
	f = w.env->files;
	find_one();
	otd_blocks_destroy(w.blocks); /* written when it ends */
	w.pool.chain = (struct otd_chain *)&w;
	snprintf(folder, sizeof(folder), "%s/blocks", w.dir);
	assert_int_equal(f->list(f->ctx, folder, take_written, NULL), OTD_OK);
	assert_non_null(strstr(written, ".block"));
	snprintf(path, sizeof(path), "%s/%s", folder, written);
	snprintf(half, sizeof(half), "%s.new", path);
	assert_int_equal(f->rename(f->ctx, path, half), OTD_OK);
	struct otd_blocks_conf conf = {.env = w.env,
				       .loop = w.loop,
				       .data_dir = w.dir,
				       .pools = &w.pool,
				       .n_pools = 1,
				       .pools_max = 1,
				       .watch_ms = 10,
				       .verdict = on_verdict};
	assert_int_equal(otd_blocks_create(&w.blocks, &conf, &err), OTD_OK);
	assert_int_equal(otd_blocks_start(w.blocks, &err), OTD_OK);
	assert_true(otd_blocks_has(w.blocks, 0));
	assert_int_equal(f->exists(f->ctx, half, &there), OTD_OK);
	assert_false(there);
	unsigned before = w.submits;
	assert_true(run_until(before + 1));
	/* One that is torn is left, and is nothing. */
	otd_blocks_destroy(w.blocks);
	assert_int_equal(f->rename(f->ctx, path, half), OTD_OK);
	assert_int_equal(f->open(f->ctx, &file, half, OTD_OPEN_READ | OTD_OPEN_WRITE), OTD_OK);
	assert_int_equal(f->truncate(f->ctx, file, 60), OTD_OK);
	f->close(f->ctx, file);
	assert_int_equal(otd_blocks_create(&w.blocks, &conf, &err), OTD_OK);
	assert_int_equal(otd_blocks_start(w.blocks, &err), OTD_OK);
	assert_false(otd_blocks_has(w.blocks, 0));
	assert_int_equal(f->exists(f->ctx, half, &there), OTD_OK);
	assert_true(there);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handed_in_again_though_the_clock_is_set_back),
		cmocka_unit_test(no_time_to_end_before_a_node_has_it),
		cmocka_unit_test(a_pool_that_comes_back),
		cmocka_unit_test(a_candidate_without_its_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
