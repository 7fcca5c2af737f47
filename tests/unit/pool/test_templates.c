/* Templates on disk: which are kept and for how long, what a reader finds, what damage is told of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "loop/loop.h"
#include "pool/journal/found.h"
#include "pool/templates.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_worker *disk;
	struct otd_templates *t;
	char dir[64];
	char name[300][128];
	size_t n;
} w;

static const int one_chain, other_chain;

static void open_again(void)
{
	struct otd_err err = {0};
	assert_int_equal(w.env->ops->worker_create(w.loop, &w.disk, "blocks", &err), OTD_OK);
	assert_int_equal(otd_templates_create(&w.t, w.env, w.disk, w.dir, &err), OTD_OK);
}

static void close_it(void)
{
	w.env->ops->worker_destroy(w.disk);
	otd_templates_destroy(w.t);
}

static void begin(void)
{
	struct otd_err err = {0};
	memset(&w, 0, sizeof(w));
	snprintf(w.dir, sizeof(w.dir), "/tmp/otd-templates-XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	assert_int_equal(otd_env_real_create(&w.env, NULL, &err), OTD_OK);
	assert_int_equal(w.env->ops->loop_create(w.env, &w.loop, "coordinator", &err), OTD_OK);
	open_again();
}

static bool take_name(void *arg, const char *name)
{
	(void)arg;
	assert_true(w.n < sizeof(w.name) / sizeof(w.name[0]));
	snprintf(w.name[w.n++], sizeof(w.name[0]), "%s", name);
	return true;
}

static void done(void *arg)
{
	w.env->ops->loop_stop(arg);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* What is there once all that was given is done. */
static size_t files(void)
{
	const struct otd_files *f = w.env->files;
	char folder[100];
	assert_int_equal(w.env->ops->worker_give(w.disk, nothing, done, w.loop), OTD_OK);
	w.env->ops->loop_run(w.loop);
	snprintf(folder, sizeof(folder), "%s/templates", w.dir);
	w.n = 0;
	assert_int_equal(f->list(f->ctx, folder, take_name, NULL), OTD_OK);
	return w.n;
}

static void path_of(char path[300], size_t i)
{
	snprintf(path, 300, "%s/templates/%s", w.dir, w.name[i]);
}

static void end(void)
{
	char path[300];
	(void)files();
	close_it();
	for (size_t i = 0; i < w.n; i++) {
		path_of(path, i);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/templates", w.dir);
	rmdir(path);
	rmdir(w.dir);
	w.env->ops->loop_destroy(w.loop);
	otd_env_real_destroy(w.env);
}

static void keep(const int *chain, uint8_t tip, const char *head, const char *body)
{
	const uint8_t prev[32] = {tip};
	struct otd_bytes h, b;
	otd_bytes_init(&h, OTD_TEMPLATE_HEAD);
	otd_bytes_init(&b, OTD_TEMPLATE_BODY);
	assert_int_equal(otd_bytes_text(&h, head), OTD_OK);
	assert_int_equal(otd_bytes_text(&b, body), OTD_OK);
	otd_templates_keep(w.t, chain, 100u + tip, prev, &h, &b);
}

static bool wanted(void *arg, struct otd_span head, struct otd_span body, struct otd_err *err)
{
	const char *const *want = arg;
	if (head.len == strlen(want[0]) && memcmp(head.ptr, want[0], head.len) == 0 &&
	    body.len == strlen(want[1]) && memcmp(body.ptr, want[1], body.len) == 0)
		return true;
	otd_fail(err, OTD_E_INVALID, "another one");
	return false;
}

static otd_rc look(uint8_t tip, const char *head, const char *body, struct otd_err *err)
{
	const uint8_t prev[32] = {tip};
	const char *want[2] = {head, body};
	*err = (struct otd_err){0};
	return otd_templates_find(w.t, 100u + tip, prev, wanted, want, err);
}

static void kept_and_found(void **state)
{
	struct otd_err err;
	struct stat st;
	char path[300];
	(void)state;
	begin();
	keep(&one_chain, 1, "first", "");
	keep(&one_chain, 1, "second", "with transactions");
	keep(&one_chain, 1, "second", "with transactions"); /* once */
	assert_int_equal(files(), 2);
	for (size_t i = 0; i < 2; i++) {
		path_of(path, i);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	assert_int_equal(look(1, "first", "", &err), OTD_OK);
	assert_int_equal(look(1, "second", "with transactions", &err), OTD_OK);
	assert_int_equal(look(1, "third", "", &err), OTD_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "none of 2 templates"));
	assert_non_null(strstr(err.text, "another one"));
	assert_int_equal(look(2, "first", "", &err), OTD_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "has no template of its height and tip"));
	end();
}

/* Reactors take shares of two tips; the chains of other coins do not matter. */
static void the_third_tip_takes_them_away(void **state)
{
	struct otd_err err;
	(void)state;
	begin();
	keep(&one_chain, 1, "a", "");
	keep(&other_chain, 50, "other", "");
	keep(&one_chain, 2, "b", "");
	assert_int_equal(files(), 3);
	keep(&one_chain, 1, "c", ""); /* a reorganisation: back again */
	assert_int_equal(files(), 4);
	keep(&one_chain, 3, "d", "");
	assert_int_equal(files(), 4);
	assert_int_equal(look(2, "b", "", &err), OTD_E_NOT_FOUND);
	assert_int_equal(look(1, "a", "", &err), OTD_OK);
	assert_int_equal(look(50, "other", "", &err), OTD_OK);
	keep(&one_chain, 4, "e", "");
	assert_int_equal(files(), 3);
	end();
}

/* What an earlier run left is there for its blocks until it is cut; what comes again is of this run. */
static void earlier_ones(void **state)
{
	struct otd_err err;
	char path[300];
	(void)state;
	begin();
	keep(&one_chain, 1, "a", "");
	keep(&one_chain, 2, "b", "");
	assert_int_equal(files(), 2);
	close_it();
	snprintf(path, sizeof(path), "%s/templates/7-00-aa.template.new", w.dir);
	fclose(fopen(path, "w"));
	snprintf(path, sizeof(path), "%s/templates/notes", w.dir);
	fclose(fopen(path, "w"));
	open_again();
	assert_int_equal(look(1, "a", "", &err), OTD_OK);
	assert_int_equal(look(2, "b", "", &err), OTD_OK);
	keep(&one_chain, 2, "b", "");
	otd_templates_cut_earlier(w.t);
	assert_int_equal(files(), 2); /* b, and what is not ours */
	assert_int_equal(look(1, "a", "", &err), OTD_E_NOT_FOUND);
	assert_int_equal(look(2, "b", "", &err), OTD_OK);
	end();
}

static void damage_is_told(void **state)
{
	struct otd_err err;
	char path[300];
	(void)state;
	begin();
	keep(&one_chain, 1, "head", "body");
	assert_int_equal(files(), 1);
	path_of(path, 0);
	FILE *f = fopen(path, "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, -1, SEEK_END), 0);
	assert_int_equal(fputc('Y', f), 'Y');
	fclose(f);
	assert_int_equal(look(1, "head", "bodY", &err), OTD_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "is not a whole template file"));
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(look(1, "head", "body", &err), OTD_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "is not a whole template file"));
	end();
}

static void no_more_than_so_many(void **state)
{
	struct otd_err err;
	char head[16];
	(void)state;
	begin();
	for (int i = 0; i <= OTD_TEMPLATES_MOST; i++) {
		snprintf(head, sizeof(head), "%d", i);
		keep(&one_chain, 1, head, "");
	}
	assert_int_equal(files(), OTD_TEMPLATES_MOST);
	assert_int_equal(look(1, "0", "", &err), OTD_E_NOT_FOUND);
	assert_int_equal(look(1, "1", "", &err), OTD_OK);
	end();
}

/* A disk that takes nothing costs the files, and no more. */
static void a_disk_that_fails(void **state)
{
	struct otd_err err;
	char path[300];
	(void)state;
	begin();
	snprintf(path, sizeof(path), "%s/templates", w.dir);
	assert_int_equal(rmdir(path), 0);
	keep(&one_chain, 1, "a", "");
	keep(&one_chain, 1, "b", "");
	assert_int_equal(w.env->ops->worker_give(w.disk, nothing, done, w.loop), OTD_OK);
	w.env->ops->loop_run(w.loop);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(look(1, "a", "", &err), OTD_E_NOT_FOUND);
	keep(&one_chain, 1, "a", "");
	assert_int_equal(files(), 1);
	assert_int_equal(look(1, "a", "", &err), OTD_OK);
	end();
}

/* --- blocks of a journal --- */

static void show(struct otd_found *f, uint16_t type, const void *p, size_t n)
{
	otd_found_look(f, &(struct otd_record){1, type, {p, n}});
}

static void show_block(struct otd_found *f, uint32_t job, uint32_t number, uint32_t coinbase_len)
{
	uint8_t buf[sizeof(struct otd_rec_block) + 5];
	struct otd_rec_block r = {.job = job, .header_len = 2, .coinbase_len = coinbase_len};
	memcpy(r.hash, &number, sizeof(number));
	memcpy(buf, &r, sizeof(r));
	memcpy(buf + sizeof(r), "hdcbs", 5);
	show(f, OTD_REC_BLOCK, buf, sizeof(buf));
}

static void blocks_of_a_journal(void **state)
{
	struct otd_found *f = otd_found_create();
	uint8_t job[sizeof(struct otd_rec_job) + 3];
	const struct otd_rec_job r = {.job = 9, .pool_len = 3};
	(void)state;
	assert_non_null(f);
	memcpy(job, &r, sizeof(r));
	memcpy(job + sizeof(r), "btc", 3);
	show(f, OTD_REC_JOB, job, sizeof(job));
	show(f, OTD_REC_JOB, job, sizeof(job) - 1); /* cut short: it says nothing */
	show_block(f, 9, 1, 3);
	assert_string_equal(f->first->pool, "");
	show(f, OTD_REC_JOB, job, sizeof(job));
	show_block(f, 9, 2, 3);
	show_block(f, 9, 2, 3); /* repeated in a later segment */
	show_block(f, 9, 3, 4); /* longer than its record */
	show_block(f, 9, 4, UINT32_MAX);
	show(f, OTD_REC_BLOCK, "short", 5);
	assert_int_equal(f->n, 2);
	const struct otd_found_block *b = f->first->next;
	assert_null(b->next);
	assert_string_equal(b->pool, "btc");
	assert_int_equal(otd_found_header(b).len, 2);
	assert_memory_equal(otd_found_coinbase(b).ptr, "cbs", 3);
	for (uint32_t i = 0; i < OTD_FOUND_MOST; i++)
		show_block(f, 8, 100 + i, 3);
	assert_int_equal(f->n, OTD_FOUND_MOST);
	assert_int_equal(f->first->rec.hash[0], 100);
	assert_string_equal(f->first->pool, "");
	otd_found_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_and_found),
		cmocka_unit_test(the_third_tip_takes_them_away),
		cmocka_unit_test(earlier_ones),
		cmocka_unit_test(damage_is_told),
		cmocka_unit_test(no_more_than_so_many),
		cmocka_unit_test(a_disk_that_fails),
		cmocka_unit_test(blocks_of_a_journal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
