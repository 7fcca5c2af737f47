/* What the scheme pays. */
#include "test_host.h"

static const struct options options = {.finder_ppm = 10000}; /* 1% */

static void test_division(void)
{
	struct otd_instance *in = make(&options);
	struct paid p;
	work(in, 3, 700);
	work(in, 1, 100);
	work(in, 2, 100);
	work(in, 2, 100);
	p = find(in, 1, 1000003);
	/* 1% is 10000; of 990003 the parts are 99000.3, 198000.6, 693002.1 */
	check(p.to[1] == 109000 && p.to[2] == 198001 && p.to[3] == 693002, "1 : 2 : 7, and 1%");
	work(in, 3, 1);
	p = find(in, 3, 7);
	check(p.to[3] == 7, "the next round begins with nothing");
	p = find(in, 2, 5);
	check(p.to[2] == 5, "of a round without work, all to the finder");
	otd_plugin_v1()->base->destroy(in);
}

int main(void)
{
	test_division();
	test_snapshot(&options);
	return failed;
}
