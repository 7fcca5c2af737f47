/* A first job on a block, out of its header: what it is, and where it is not certain enough to be. */
#include "common/test_host.h"

#include "bitcoin.h"

#include <stdio.h>
#include <stdlib.h>

static struct otd_host host;
static const struct otd_chain_ops *ops;

/* NULL: it is refused. */
static struct otd_instance *make_scheduled(const char *network, const char *schedule)
{
	static const char *const rules[] = {"segwit"};
	static const char *const form[] = {"p2pkh 0", "p2sh 5", "bech32 bc"};
	static struct bitcoin_options options = {.rules = {rules, 1},
						 .forms = {{form, 3}, {0}, {0}, {0}, {form, 3}}};
	static const char *item[1];
	struct otd_instance *in = NULL;
	item[0] = schedule;
	options.network = network;
	options.schedule = (struct otd_option_list){item, 1};
	ops = otd_plugin_v1()->ops.chain;
	return otd_plugin_v1()->base->create(&in, &host, &host_core, &options) ? NULL : in;
}

static void drop(struct otd_instance *in)
{
	otd_plugin_v1()->base->destroy(in);
	assert_int_equal(host.allocs, 0); /* whatever a test took, it gave back */
}

#define TEMPLATE                                                                                \
	"{\"result\":{\"height\":%d,\"previousblockhash\":\"%064d\",\"curtime\":1700000000,"    \
	"\"mintime\":1699990000,\"coinbasevalue\":5000001500,\"bits\":\"207fffff\",\"target\":" \
	"\"7fffff0000000000000000000000000000000000000000000000000000000000\","                 \
	"\"version\":536870912,\"longpollid\":\"x\",\"rules\":[\"segwit\"],\"transactions\":[{" \
	"\"data\":\"00\",\"txid\":\"%064d\",\"hash\":\"%064d\"%s}]%s},\"error\":null,\"id\":0}"

static struct otd_chain_header header_of(const struct otd_chain_template *t)
{
	struct otd_chain_header h = {.height = t->height,
				     .confirmations = 1,
				     .nbits = t->nbits,
				     .time_s = 1700000100,
				     .median_time_s = 1700000050};
	memcpy(h.prev, t->prev, 32);
	memset(h.hash, 0xab, 32);
	return h;
}

static struct otd_chain_result template_of(struct otd_instance *in, int height, const char *fee,
					   const char *more)
{
	struct otd_chain_result r = {.size = sizeof(r)};
	struct otd_chain_call call = {.size = sizeof(call), .kind = OTD_CHAIN_TEMPLATE};
	char text[2000];
	snprintf(text, sizeof(text), TEMPLATE, height, 5, 7, 8, fee, more);
	assert_int_equal(ops->answer(in, &call, 200, span_of(text), &r), OTD_OK);
	return r;
}

/* What comes of it; the reason where nothing does. */
static otd_rc try_first(struct otd_instance *in, int height, const char *fee, const char *more,
			struct otd_chain_template *out)
{
	struct otd_chain_result r = template_of(in, height, fee, more);
	struct otd_chain_header h = header_of(&r.u.tmpl);
	otd_rc rc = ops->template_first(in, r.u.tmpl.handle, &h, 1700000200, out);
	ops->template_free(in, r.u.tmpl.handle);
	return rc;
}

#define FEE ",\"fee\":1500"

static void what_it_is(void **state)
{
	struct otd_instance *in = make_scheduled("main", "main 2016 210000");
	struct otd_chain_result r = template_of(in, 800000, FEE, "");
	struct otd_chain_header h = header_of(&r.u.tmpl);
	struct otd_chain_template t = {0};
	uint8_t script[] = {0x51}, one[512], two[512], branches[32];
	(void)state;
	assert_int_equal(ops->template_first(in, r.u.tmpl.handle, &h, 1700000200, &t), OTD_OK);
	assert_int_equal(t.height, 800001);
	assert_memory_equal(t.prev, h.hash, 32);
	assert_true(t.value == 5000000000 && t.fees == 0 && t.n_tx == 0);
	assert_int_equal(t.nbits, 0x207fffff);
	assert_int_equal(t.version, 536870912);
	assert_int_equal(t.min_time_s, 1700000051);
	assert_int_equal(t.time_s, 1700000200);
	assert_int_equal(t.longpoll_id[0], 0);
	/* No branches; BIP 141's commitment of a block without transactions. */
	const struct otd_chain_payee payee = {{script, 1}, -1};
	const struct otd_chain_coinbase cb = {.size = sizeof(cb),
					      .extranonce_len = 8,
					      .payees = &payee,
					      .payee_stride = sizeof(payee),
					      .n_payees = 1};
	struct otd_chain_job job = {.size = sizeof(job),
				    .coinbase1 = {one, 0, sizeof(one)},
				    .coinbase2 = {two, 0, sizeof(two)},
				    .branches = {branches, 0, sizeof(branches)}};
	assert_int_equal(ops->job(in, t.handle, &cb, &job), OTD_OK);
	assert_int_equal(job.branches.len, 0);
	static const uint8_t commitment[] = {0xaa, 0x21, 0xa9, 0xed, 0xe2, 0xf6, 0x1c, 0x3f, 0x71,
					     0xd1, 0xde, 0xfd, 0x3f, 0xa9, 0x99, 0xdf, 0xa3, 0x69,
					     0x53, 0x75, 0x5c, 0x69, 0x06, 0x89, 0x79, 0x99, 0x62,
					     0xb4, 0x8b, 0xeb, 0xd8, 0x36, 0x97, 0x4e, 0x8c, 0xf9};
	assert_non_null(memmem(two, job.coinbase2.len, commitment, sizeof(commitment)));
	/* A slow clock does not make it older than the median allows. */
	struct otd_chain_template late = {0};
	assert_int_equal(ops->template_first(in, r.u.tmpl.handle, &h, 5, &late), OTD_OK);
	assert_int_equal(late.time_s, 1700000051);
	/* None is made of one that was made so. */
	struct otd_chain_header next = header_of(&t);
	struct otd_chain_template none = {0};
	assert_int_equal(ops->template_first(in, t.handle, &next, 1700000300, &none),
			 OTD_E_UNSUPPORTED);
	ops->template_free(in, late.handle);
	ops->template_free(in, t.handle);
	ops->template_free(in, r.u.tmpl.handle);
	drop(in);
}

static void where_it_is_not(void **state)
{
	struct otd_instance *in = make_scheduled("main", "main 2016 210000");
	struct otd_chain_template t = {0};
	(void)state;
	/* 2015 + 1 is a retarget, 839999 + 1 a halving. */
	assert_int_equal(try_first(in, 2015, FEE, "", &t), OTD_E_UNSUPPORTED);
	assert_int_equal(try_first(in, 839999, FEE, "", &t), OTD_E_UNSUPPORTED);
	/* What its transactions pay is not known; MWEB; a signet's block is signed. */
	assert_int_equal(try_first(in, 800000, "", "", &t), OTD_E_UNSUPPORTED);
	assert_int_equal(try_first(in, 800000, FEE, ",\"mweb\":\"00\"", &t), OTD_E_UNSUPPORTED);
	assert_int_equal(try_first(in, 800000, FEE, ",\"signet_challenge\":\"51\"", &t),
			 OTD_E_UNSUPPORTED);
	/* Another block than was to come. */
	struct otd_chain_result r = template_of(in, 800000, FEE, "");
	struct otd_chain_header h = header_of(&r.u.tmpl);
	h.nbits = 0x1d00ffff;
	assert_int_equal(ops->template_first(in, r.u.tmpl.handle, &h, 1, &t), OTD_E_UNSUPPORTED);
	h = header_of(&r.u.tmpl);
	h.height++;
	assert_int_equal(ops->template_first(in, r.u.tmpl.handle, &h, 1, &t), OTD_E_UNSUPPORTED);
	assert_null(t.handle);
	ops->template_free(in, r.u.tmpl.handle);
	drop(in);
	/* A network that the schedule does not name. */
	in = make_scheduled("regtest", "main 2016 210000");
	assert_int_equal(try_first(in, 800000, FEE, "", &t), OTD_E_UNSUPPORTED);
	drop(in);
	static const char *const bad[] = {"main", "main 2016", "main 2016 x", "main 2016 210000 1",
					  " 1 1", "main -1 1"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(make_scheduled("main", bad[i]));
}

static void headers(void **state)
{
	struct otd_instance *in = make_scheduled("main", "main 2016 210000");
	struct otd_chain_call call = {.size = sizeof(call), .kind = OTD_CHAIN_HEADER};
	struct otd_chain_result r = {.size = sizeof(r)};
	char text[1000], want[65];
	uint8_t room[300];
	struct otd_buf body = {room, 0, sizeof(room)};
	(void)state;
	memset(call.hash, 0x12, 32);
	assert_int_equal(ops->request(in, &call, &body), OTD_OK);
	memset(want, 0, sizeof(want));
	for (int i = 0; i < 32; i++)
		memcpy(want + 2 * i, "12", 2);
	room[body.len] = 0;
	assert_non_null(strstr((char *)room, "getblockheader"));
	assert_non_null(strstr((char *)room, want));
	snprintf(text, sizeof(text),
		 "{\"result\":{\"hash\":\"%s\",\"confirmations\":1,\"height\":7,\"time\":50,"
		 "\"mediantime\":40,"
		 "\"bits\":\"207fffff\",\"previousblockhash\":\"%064d\"},\"error\":null,\"id\":0}",
		 want, 3);
	assert_int_equal(ops->answer(in, &call, 200, span_of(text), &r), OTD_OK);
	assert_true(r.u.header.height == 7 && r.u.header.median_time_s == 40 &&
		    r.u.header.confirmations == 1);
	assert_memory_equal(r.u.header.hash, call.hash, 32);
	assert_int_equal(r.u.header.prev[0], 3);
	static const char nothing[] = "{\"result\":{},\"error\":null,\"id\":0}";
	assert_int_not_equal(ops->answer(in, &call, 200, span_of(nothing), &r), OTD_OK);
	drop(in);
}

/* A node that holds its answer until there is a block so high. */
static void waiting(void **state)
{
	struct otd_instance *in = make_scheduled("main", "main 2016 210000");
	struct otd_chain_call call = {
		.size = sizeof(call), .kind = OTD_CHAIN_TIP, .height = 800001};
	struct otd_chain_result r = {.size = sizeof(r)};
	uint8_t room[300];
	char text[300];
	struct otd_buf body = {room, 0, sizeof(room)};
	(void)state;
	assert_int_equal(ops->request(in, &call, &body), OTD_OK);
	room[body.len] = 0;
	assert_non_null(strstr((char *)room, "\"waitforblockheight\",\"params\":[800001,60000]"));
	snprintf(text, sizeof(text),
		 "{\"result\":{\"hash\":\"%064d\",\"height\":800001},\"error\":null,\"id\":0}", 4);
	assert_int_equal(ops->answer(in, &call, 200, span_of(text), &r), OTD_OK);
	assert_true(r.u.tip.height == 800001 && r.u.tip.hash[0] == 4);
	static const char unknown[] = "{\"result\":null,\"error\":{\"code\":-32601,\"message\":"
				      "\"Method not found\"},\"id\":0}";
	assert_int_equal(ops->answer(in, &call, 404, span_of(unknown), &r), OTD_E_REFUSED);
	drop(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_it_is),
					   cmocka_unit_test(where_it_is_not),
					   cmocka_unit_test(headers), cmocka_unit_test(waiting)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
