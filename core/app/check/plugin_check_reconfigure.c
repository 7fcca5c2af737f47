/* reconfigure(): new values are taken whole or refused whole, and those of before come back. */
#include "app/check/plugin_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUES   2u   /* other values of an option that are tried */
#define ROUNDS   200u /* there and back, for what grows */
#define FAILURES 100u /* allocations that are made to fail, at most */

/* Option structs live until destroy(), as a pool keeps them. */
struct structs {
	uint8_t *made[OTD_PCHECK_OPTION_STRUCTS];
	size_t n;
};

static uint8_t *another_struct(struct structs *s)
{
	size_t size = otd_pcheck_plugin(false)->options_size;
	if (s->n == OTD_PCHECK_OPTION_STRUCTS || !(s->made[s->n] = malloc(size)))
		return NULL;
	memcpy(s->made[s->n], otd_pcheck_options(), size);
	return s->made[s->n++];
}

static void free_structs(struct structs *s)
{
	while (s->n)
		free(s->made[--s->n]);
}

static int64_t other_number(const struct otd_option *o, int64_t now, unsigned i)
{
	if (o->min == 0 && o->max == 0)
		return i ? now + 1 : now / 2;
	return i ? o->max : o->min;
}

static int64_t other_choice(const struct otd_option *o, int64_t now, unsigned i)
{
	int64_t n = 0;
	while (o->choices[n])
		n++;
	return (now + 1 + (int64_t)i) % n;
}

/* The option's value number i of those to try, where its type has one, into the struct. */
static void put_other(uint8_t *to, const struct otd_option *o, unsigned i)
{
	static const uint8_t bytes[64];
	static const char *const texts[VALUES] = {"a", "another-value"};
	const struct otd_option_list list = {texts, i};
	const struct otd_option_window window = {i ? 0 : 1000, i ? 3600000 : 0};
	const struct otd_span hex = {bytes, o->min > 0 && o->min <= 64 ? (size_t)o->min : 1};
	uint8_t *at = to + o->offset;
	int64_t number;
	bool flag;
	switch (o->type) {
	case OTD_OPT_BOOL:
		memcpy(&flag, at, sizeof(flag));
		flag = !flag;
		memcpy(at, &flag, sizeof(flag));
		break;
	case OTD_OPT_TEXT: memcpy(at, &texts[i], sizeof(texts[i])); break;
	case OTD_OPT_HEX: memcpy(at, &hex, sizeof(hex)); break;
	case OTD_OPT_LIST: memcpy(at, &list, sizeof(list)); break;
	case OTD_OPT_WINDOW: memcpy(at, &window, sizeof(window)); break;
	default:
		memcpy(&number, at, sizeof(number));
		number = o->type == OTD_OPT_CHOICE ? other_choice(o, number, i)
						   : other_number(o, number, i);
		memcpy(at, &number, sizeof(number));
	}
}

static otd_rc give(struct otd_pcheck_instance *in, const void *options)
{
	in->host.error[0] = '\0';
	return otd_pcheck_plugin(false)->base->reconfigure(in->self, options);
}

/* "NAME: what" of an option. */
static bool names_an_option(const char *words)
{
	const struct otd_plugin_desc *d = otd_pcheck_plugin(false);
	const char *colon = strstr(words, ": ");
	for (uint32_t i = 0; colon && i < d->n_options; i++) {
		size_t n = strlen(d->options[i].name);
		if ((size_t)(colon - words) == n && memcmp(words, d->options[i].name, n) == 0)
			return true;
	}
	return false;
}

static bool back(struct otd_pcheck_instance *in, const char *when)
{
	otd_pcheck_at("reconfigure() with the options of before, %s", when);
	otd_rc rc = give(in, otd_pcheck_options());
	if (rc)
		otd_pcheck_fail("refuses the options that it had before, %s: %s%s; a reload that "
				"something else refuses has to be taken back",
				when, otd_rc_name(rc), otd_pcheck_words(in));
	return rc == OTD_OK;
}

struct tally {
	unsigned options, taken, refused;
};

/* There, or refused, and back. False: it was said what is wrong. */
static bool try_value(struct otd_pcheck_instance *in, struct structs *s, const struct otd_option *o,
		      unsigned i, struct tally *t)
{
	uint8_t *options = another_struct(s);
	if (!options)
		return true;
	put_other(options, o, i);
	otd_pcheck_at("reconfigure() with another %s", o->name);
	otd_rc rc = give(in, options);
	t->taken += rc == OTD_OK;
	t->refused += rc != OTD_OK;
	if (rc && !names_an_option(in->host.error)) {
		otd_pcheck_fail("refuses another %s%s without set_error(\"%s: what\"): the host "
				"cannot name the line",
				o->name, otd_pcheck_words(in), o->name);
		return false;
	}
	return back(in, rc ? "after a refusal" : "after others");
}

/* All values of all options on one instance, which then works like one that was left alone. */
static bool there_and_back(struct tally *t)
{
	const struct otd_plugin_desc *d = otd_pcheck_plugin(false);
	struct otd_pcheck_instance in = {0}, alone = {0};
	struct otd_pcheck_walk w = {.at = ""}, w_alone = {.at = ""};
	struct structs s = {0};
	bool ok = otd_pcheck_create_or_say(&in) && back(&in, "which it has");
	for (uint32_t i = 0; ok && i < d->n_options; i++) {
		const struct otd_option *o = &d->options[i];
		if (!(o->flags & OTD_OPT_RELOADABLE))
			continue;
		t->options++;
		for (unsigned k = 0; ok && k < VALUES; k++)
			ok = try_value(&in, &s, o, k, t);
	}
	if (ok && otd_pcheck_create_or_say(&alone)) {
		otd_pcheck_at("work after reconfigure() there and back");
		otd_rc rc = otd_pcheck_walk(&in, &w);
		if (rc != otd_pcheck_walk(&alone, &w_alone) || w.sum != w_alone.sum)
			otd_pcheck_fail(
				"after other options and those of before again, or after a "
				"refusal, calls give other results: what is refused changes "
				"nothing, and what came back is all there");
		otd_pcheck_destroy(&alone);
		(void)otd_pcheck_leftovers(&alone, "after destroy()");
	}
	if (in.self) {
		otd_pcheck_at("destroy() after reconfigure()");
		otd_pcheck_destroy(&in);
		ok = otd_pcheck_leftovers(&in, "after reconfigure() and destroy()") && ok;
	}
	free_structs(&s);
	return ok;
}

static const struct otd_option *first_reloadable(void)
{
	const struct otd_plugin_desc *d = otd_pcheck_plugin(false);
	for (uint32_t i = 0; i < d->n_options; i++) {
		if (d->options[i].flags & OTD_OPT_RELOADABLE)
			return &d->options[i];
	}
	return NULL;
}

/* The first round may make room once; after it nothing grows. */
static bool grows(const struct otd_option *o, uint64_t *allocs)
{
	struct otd_pcheck_instance in = {0};
	struct structs s = {0};
	uint8_t *other = another_struct(&s);
	size_t after_one = 0;
	bool ok = other && otd_pcheck_create_or_say(&in);
	if (other)
		put_other(other, o, 1);
	for (unsigned i = 0; ok && i < ROUNDS; i++) {
		uint64_t before = in.host.n_allocs;
		otd_pcheck_at("reconfigure() with another %s, round %u", o->name, i + 1);
		(void)!give(&in, other);
		*allocs = in.host.n_allocs - before;
		ok = back(&in, "round after round");
		after_one = i == 0 ? in.host.n_bytes : after_one;
	}
	if (ok && in.host.n_bytes > after_one)
		otd_pcheck_fail("%zu bytes by core->alloc() are lost over %u calls of "
				"reconfigure(): free what the options of before needed",
				in.host.n_bytes - after_one, 2 * ROUNDS);
	otd_pcheck_destroy(&in);
	ok = otd_pcheck_leftovers(&in, "after reconfigure() and destroy()") && ok;
	free_structs(&s);
	return ok;
}

/* Allocation n of reconfigure() fails. */
static bool fails(const struct otd_option *o, uint64_t n, uint64_t of)
{
	struct otd_pcheck_instance in = {0};
	struct structs s = {0};
	uint8_t *other = another_struct(&s);
	bool ok = other && otd_pcheck_create_or_say(&in);
	if (!ok)
		return false;
	put_other(other, o, 1);
	in.host.fail_at = in.host.n_allocs + n;
	otd_pcheck_at("reconfigure() whose allocation %" PRIu64 " of %" PRIu64 " gives NULL", n,
		      of);
	if (!give(&in, other) && in.host.failed) {
		otd_pcheck_fail("reconfigure() succeeds although its allocation %" PRIu64
				" of %" PRIu64 " gave NULL: return OTD_E_NOMEM",
				n, of);
		ok = false;
	}
	in.host.fail_at = 0;
	ok = ok && back(&in, "after one that found no memory");
	otd_pcheck_destroy(&in);
	ok = otd_pcheck_leftovers(&in, "after reconfigure() without memory") && ok;
	free_structs(&s);
	return ok;
}

void otd_pcheck_reconfigure(void)
{
	const struct otd_plugin_desc *d = otd_pcheck_plugin(false);
	struct tally t = {0};
	uint64_t allocs = 0;
	if (!d || !otd_pcheck_options())
		return;
	if (!d->base->reconfigure) {
		otd_pcheck_ok("none: changed options wait for a restart");
		return;
	}
	const struct otd_option *o = first_reloadable();
	if (!o)
		otd_pcheck_warn("there is a reconfigure(), and no option is RELOADABLE: it is "
				"never called");
	else if (!otd_pcheck_is("chain"))
		otd_pcheck_warn("a reload calls it for kind chain only; options of this kind wait "
				"for a restart");
	if (!there_and_back(&t) || (o && !grows(o, &allocs)))
		return;
	for (uint64_t n = 1; o && n <= allocs && n <= FAILURES; n++) {
		if (!fails(o, n, allocs))
			return;
	}
	otd_pcheck_ok("%u option%s: %u values taken, %u refused, and those of before again",
		      t.options, t.options == 1 ? "" : "s", t.taken, t.refused);
}
