/* Descriptors, known answers, services, memory and errors of instances. */
#include "toy.h"
#include <pthread.h>

static struct plugin_host h;

static int setup(void **state)
{
	(void)state;
	plugin_host_init(&h);
	toy_refusal = NULL;
	toy_fault = TOY_RIGHT;
	toy_identity = OTD_ALGO_ID_POW;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	plugin_host_finish(&h);
	return 0;
}

/* The descriptor is refused with words that hold these. */
static void refused(const struct otd_plugin_desc *d, const char *words)
{
	struct otd_err err = {0};
	if (otd_plugins_add_builtin(h.plugins, d, &err) == OTD_OK)
		fail_msg("taken, but should be refused: %s", words);
	if (!strstr(err.text, words))
		fail_msg("got  %s\nwant ...%s...", err.text, words);
}

static void right_answers(void **state)
{
	(void)state;
	otd_instance_destroy(plugin_host_create(&h, &toy_algo, NULL));
}

static void wrong_answers(void **state)
{
	(void)state;
	toy_fault = TOY_WRONG;
	refused(&toy_algo, "known answer 0 (Bitcoin block 0): hash_batch() gives");
	toy_fault = TOY_REVERSED;
	refused(&toy_algo, "that is the right one reversed");
	toy_fault = TOY_ONE_LANE;
	refused(&toy_algo, "hash_batch() of several gives");
	toy_fault = TOY_SCAN_BLIND;
	refused(&toy_algo, "scan() does not find its nonce");
	toy_fault = TOY_FAILS;
	refused(&toy_algo, "could not hash it");
	toy_fault = TOY_RIGHT;
}

static void bad_vectors(void **state)
{
	struct otd_plugin_desc d = toy_algo;
	struct otd_algo_vector v = toy_vectors[0];
	(void)state;
	d.n_vectors = 0;
	refused(&d, "carries no known answer");
	d.n_vectors = 1;
	d.vectors = &v;
	v.header = "00";
	refused(&d, "its header is not hex of the algorithm's length");
	v.header = NULL;
	refused(&d, "known answer 0 has no header");
	v = toy_vectors[0];
	v.hash = "1234";
	refused(&d, "its hash is not 64 hex digits");
	v.hash = toy_vectors[1].hash;
	refused(&d, "not 00000000839a8e68");
	v = toy_vectors[0];
	v.options = "{n: 5}";
	refused(&d, "vectors.n: is no option of algo/toy");
}

static void lying_sizes(void **state)
{
	struct otd_plugin_desc d = toy_chain;
	struct otd_base_ops base = toy_base;
	(void)state;
	d.size = 8;
	refused(&d, "descriptor says that it has 8 bytes");
	d = toy_chain;
	d.size = 1000000;
	refused(&d, "descriptor says that it has 1000000 bytes");
	d = toy_chain;
	d.option_size = 16;
	refused(&d, "option table has impossible sizes");
	d = toy_chain;
	d.n_options = 100000;
	refused(&d, "option table has impossible sizes");
	d = toy_chain;
	d.options_size = 16;
	refused(&d, "lies outside of the plugin's option struct");
	d = toy_chain;
	base.size = 4;
	d.base = &base;
	refused(&d, "table of base operations says that it has 4 bytes");
	d.base = NULL;
	refused(&d, "table of base operations is missing");
	d = toy_algo;
	d.vector_size = 8;
	refused(&d, "known answers has impossible sizes");
}

static void missing_callbacks(void **state)
{
	struct otd_plugin_desc d = toy_algo;
	struct otd_algo_ops ops = toy_algo_ops;
	struct otd_chain_ops chain = *toy_chain.ops.chain;
	(void)state;
	d.ops.algo = &ops;
	ops.hash_batch = NULL;
	refused(&d, "has no hash_batch(), which every plugin of kind algo/1 must have");
	d = toy_chain;
	d.ops.chain = &chain;
	chain.local = NULL;
	refused(&d, "has neither local() nor both of request() and answer()");
	chain = *toy_chain.ops.chain;
	chain.size = 24;
	refused(&d, "table of operations says that it has 24 bytes");
}

static void versions(void **state)
{
	struct otd_plugin_desc d = toy_chain;
	struct otd_plugin_instance *in;
	(void)state;
	d.abi_major = OTD_ABI_MAJOR + 1;
	refused(&d, "the plugin is newer; update otedama");
	d = toy_chain;
	d.kind = "chain/2";
	refused(&d, "is of kind chain/2, this host takes chain/1: the plugin is newer");
	d.kind = "chain/0";
	refused(&d, "the host is newer; rebuild the plugin");
	d.kind = "magic/1";
	refused(&d, "is of kind 'magic/1', which this host does not know");
	d.kind = "chain";
	refused(&d, "does not have the form KIND/REVISION");
	d = toy_chain;
	d.id = "Toy!";
	refused(&d, "its id has other characters");
	d = toy_chain;
	d.license = NULL;
	refused(&d, "its descriptor has no license");
	/* Another minor version is no reason. */
	d = toy_chain;
	d.abi_minor = OTD_ABI_MINOR + 7;
	in = plugin_host_create(&h, &d, NULL);
	otd_instance_destroy(in);
}

static void services_by_kind(void **state)
{
	const struct otd_files table = {.size = sizeof(table)};
	struct otd_plugin_instance *algo = plugin_host_create(&h, &toy_algo, NULL), *in;
	(void)state;
	assert_null(toy_clock);
	h.services.files = &table;
	h.services.hash_with = algo;
	in = plugin_host_create(&h, &toy_payout, NULL);
	assert_null(toy_clock);
	assert_null(toy_files);
	assert_null(toy_hash);
	otd_instance_destroy(in);
	in = plugin_host_create(&h, &toy_chain, NULL);
	assert_ptr_equal(toy_files, &table);
	assert_non_null(toy_hash);
	const struct otd_host_clock *clock = toy_clock;
	h.wall_ms = 1234;
	assert_int_equal(clock->wall_ms(toy_host), 1234);
	/* Only during create(). */
	assert_null(toy_core->service(toy_host, "clock/1"));
	otd_instance_destroy(in);
	otd_instance_destroy(algo);
}

static void hash_service(void **state)
{
	uint8_t header[80] = {1, 2, 3}, hash[32], want[32];
	struct otd_span span = {header, 80};
	struct otd_plugin_instance *algo, *in;
	(void)state;
	toy_identity = OTD_ALGO_ID_SHA256D;
	algo = plugin_host_create(&h, &toy_algo, NULL);
	h.services.hash_with = algo;
	in = plugin_host_create(&h, &toy_chain, NULL);
	const struct otd_host_hash *service = toy_hash;
	otd_sha256d(want, header, 80);
	/* The proof of work comes from the algorithm, the identity does not. */
	toy_fault = TOY_WRONG;
	assert_int_equal(service->identity(toy_host, hash, span, 0), OTD_OK);
	assert_memory_equal(hash, want, 32);
	assert_int_equal(service->pow(toy_host, hash, span, 0), OTD_OK);
	assert_memory_not_equal(hash, want, 32);
	span.len = 79;
	assert_int_equal(service->pow(toy_host, hash, span, 0), OTD_E_INVALID);
	otd_instance_destroy(in);
	otd_instance_destroy(algo);
}

static void memory(void **state)
{
	struct otd_plugin_instance *in;
	void *a, *b, *c;
	(void)state;
	h.services.max_memory = 1000;
	in = plugin_host_create(&h, &toy_chain, NULL);
	a = toy_core->alloc(toy_host, 600);
	assert_non_null(a);
	assert_int_equal((uintptr_t)a % 64, 0);
	for (int i = 0; i < 600; i++)
		assert_int_equal(((uint8_t *)a)[i], 0);
	assert_null(toy_core->alloc(toy_host, 401));
	b = toy_core->alloc(toy_host, 400);
	assert_non_null(b);
	assert_int_equal(otd_instance_memory(in), 1000);
	toy_core->free(toy_host, a);
	toy_core->free(toy_host, NULL);
	assert_int_equal(otd_instance_memory(in), 400);
	c = toy_core->alloc(toy_host, 600);
	assert_non_null(c);
	toy_core->free(toy_host, b);
	assert_null(toy_core->alloc(toy_host, SIZE_MAX - 10));
	assert_null(toy_core->alloc(toy_host, 0));
	/* c is left to the host, which frees it and says so. */
	otd_instance_destroy(in);
}

static void *say(void *arg)
{
	toy_core->set_error(toy_host, "from the other thread");
	(void)arg;
	return NULL;
}

static void errors_are_of_a_thread(void **state)
{
	struct otd_plugin_instance *in = plugin_host_create(&h, &toy_chain, NULL), *other;
	pthread_t t;
	char text[400];
	(void)state;
	assert_string_equal(otd_instance_error(in), "");
	toy_core->set_error(toy_host, "here: %d", 5);
	assert_int_equal(pthread_create(&t, NULL, say, NULL), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_string_equal(otd_instance_error(in), "here: 5");
	otd_instance_clear_error(in);
	assert_string_equal(otd_instance_error(in), "");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	toy_core->set_error(toy_host, "%s", text);
	assert_int_equal(strlen(otd_instance_error(in)), 240);
	/* Of another instance nothing is heard. */
	other = plugin_host_create(&h, &toy_payout, NULL);
	assert_string_equal(otd_instance_error(other), "");
	otd_instance_destroy(other);
	otd_instance_destroy(in);
}

static void loaded_once(void **state)
{
	struct otd_err err = {0};
	(void)state;
	assert_int_equal(otd_plugins_add_builtin(h.plugins, &toy_chain, &err), OTD_OK);
	refused(&toy_chain, "plugin chain/toy is loaded already");
	assert_non_null(otd_plugins_get(h.plugins, "chain", "toy", &err));
	assert_null(otd_plugins_get(h.plugins, "chain", "../toy", &err));
	assert_non_null(strstr(err.text, "names no plugin"));
}

/* Runs last: from here on threads of this program have tags. */
static void thread_tags(void **state)
{
	(void)state;
	assert_true(otd_thread_on(OTD_THREAD_DEVICE));
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_REACTOR);
	assert_true(otd_thread_on(OTD_THREAD_REACTOR));
	assert_false(otd_thread_on(OTD_THREAD_DEVICE | OTD_THREAD_STORE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(right_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_vectors, setup, teardown),
		cmocka_unit_test_setup_teardown(lying_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(missing_callbacks, setup, teardown),
		cmocka_unit_test_setup_teardown(versions, setup, teardown),
		cmocka_unit_test_setup_teardown(services_by_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(hash_service, setup, teardown),
		cmocka_unit_test_setup_teardown(memory, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_are_of_a_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(loaded_once, setup, teardown),
		cmocka_unit_test(thread_tags),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
