/* What every kind is checked for: it loads, its options are sane, it comes and goes without a trace. */
#include "app/check/plugin_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIVES       1000u
#define TIMED       5u /* lives by which it is seen how long one takes */
#define PARTS       19u
#define LEAK_SOME   24u          /* bytes a life by malloc, whose least block is one of 32 */
#define RESIDENT_OK (32u << 20)  /* by which the process may grow over all lives */
#define LEAKS_NS    15000000000u /* for all lives */
#define MEMORY_NS   25000000000u /* for allocations that fail */
#define SLOW_NS     1000000000u  /* of create(), on the loop of the coordinator */
#define FAILURES    600u         /* allocations that are made to fail, at most */

void otd_pcheck_load(void)
{
	const struct otd_plugin_desc *d = otd_pcheck_plugin(false);
	unsigned threads = otd_pcheck_threads();
	if (!d)
		return;
	otd_pcheck_usable();
	if (threads > 1)
		otd_pcheck_fail("starts %u thread%s as it is loaded: a plugin starts none",
				threads - 1, threads > 2 ? "s" : "");
	if (!d->summary[0] || strchr(d->summary, '\n'))
		otd_pcheck_fail("its summary is not one line");
	if (!d->version[0] || !d->license[0])
		otd_pcheck_fail("its descriptor has no %s", d->version[0] ? "license" : "version");
	otd_pcheck_ok("version %s, %s, %u option%s, %u known answer%s", d->version, d->license,
		      d->n_options, d->n_options == 1 ? "" : "s", d->n_vectors,
		      d->n_vectors == 1 ? "" : "s");
}

/* --- options --- */

/* Bytes of the member, and its alignment; 0: a type that the host does not know was refused. */
static size_t member_bytes(uint32_t type, size_t *align)
{
	*align = _Alignof(int64_t);
	switch (type) {
	case OTD_OPT_BOOL: *align = _Alignof(bool); return sizeof(bool);
	case OTD_OPT_TEXT: return sizeof(const char *);
	case OTD_OPT_HEX: return sizeof(struct otd_span);
	case OTD_OPT_LIST: return sizeof(struct otd_option_list);
	case OTD_OPT_WINDOW: return sizeof(struct otd_option_window);
	default: return sizeof(int64_t);
	}
}

static void check_texts(const struct otd_option *o)
{
	size_t n = strlen(o->name), help = o->help ? strlen(o->help) : 0;
	if (strspn(o->name, "abcdefghijklmnopqrstuvwxyz0123456789_") != n || o->name[0] == '_' ||
	    (o->name[0] >= '0' && o->name[0] <= '9') || n > 40)
		otd_pcheck_fail(
			"option '%s': a name has a-z, 0-9 and '_', begins with a letter and "
			"is at most 40 long",
			o->name);
	if (!help)
		otd_pcheck_fail("option '%s' has no help", o->name);
	else if (strchr(o->help, '\n') || help > 200)
		otd_pcheck_fail("option '%s': its help is not one line of at most 200 bytes",
				o->name);
	else if (o->help[help - 1] == '.')
		otd_pcheck_warn("option '%s': its help ends with a full stop", o->name);
}

static void check_bounds(const struct otd_option *o)
{
	bool required = o->flags & OTD_OPT_REQUIRED;
	uint32_t known =
		OTD_OPT_REQUIRED | OTD_OPT_RELOADABLE | OTD_OPT_SECRET | OTD_OPT_DEPRECATED;
	if (o->min > o->max)
		otd_pcheck_fail("option '%s': its least value %" PRId64
				" is above its greatest %" PRId64,
				o->name, o->min, o->max);
	if (required && o->def)
		otd_pcheck_fail("option '%s' is required and has a default: one of the two",
				o->name);
	if (required && (o->flags & OTD_OPT_DEPRECATED))
		otd_pcheck_fail("option '%s' is required and deprecated", o->name);
	if (o->flags & ~known)
		otd_pcheck_warn("option '%s' has flags that this host does not know (0x%x)",
				o->name, o->flags & ~known);
}

/* Where two rows write, and where one may not. */
static void check_place(const struct otd_plugin_desc *d, uint32_t i)
{
	const struct otd_option *o = &d->options[i];
	size_t align, bytes = member_bytes(o->type, &align);
	if (o->offset % align)
		otd_pcheck_fail(
			"option '%s' is at offset %u, which is not aligned: is its member of "
			"another type?",
			o->name, o->offset);
	for (uint32_t k = 0; k < i; k++) {
		const struct otd_option *other = &d->options[k];
		size_t there = member_bytes(other->type, &align);
		if (o->offset < other->offset + there && other->offset < o->offset + bytes)
			otd_pcheck_fail("options '%s' and '%s' share bytes of the struct (offset "
					"%u): is one member named twice, or of another type?",
					other->name, o->name, o->offset);
	}
}

void otd_pcheck_option_table(void)
{
	const struct otd_plugin_desc *d = otd_pcheck_plugin(false);
	bool reloadable = false;
	if (!d)
		return;
	for (uint32_t i = 0; i < d->n_options; i++) {
		check_texts(&d->options[i]);
		check_bounds(&d->options[i]);
		check_place(d, i);
		reloadable = reloadable || (d->options[i].flags & OTD_OPT_RELOADABLE);
	}
	if (reloadable && !d->base->reconfigure)
		otd_pcheck_fail("an option is RELOADABLE and there is no reconfigure()");
	if (!d->n_options)
		otd_pcheck_ok("none");
	else
		otd_pcheck_ok("%u, each with help, a place of its own and a default that it allows",
			      d->n_options);
}

/* --- create and destroy --- */

static void look_for_threads(const char *when)
{
	unsigned n = otd_pcheck_threads();
	if (n <= 1)
		return;
	/* A driver of a card may have its own; a plugin has none. */
	if (otd_pcheck_is("hw"))
		otd_pcheck_warn(
			"%u more thread%s run %s: those of a driver? A plugin asks the host "
			"for its threads",
			n - 1, n > 2 ? "s" : "", when);
	else
		otd_pcheck_fail("starts %u thread%s (%s): a plugin starts none", n - 1,
				n > 2 ? "s" : "", when);
}

void otd_pcheck_lives(void)
{
	const struct otd_plugin_desc *d = otd_pcheck_plugin(false);
	struct otd_pcheck_instance a = {0}, b = {0};
	uint64_t took;
	if (!d || !otd_pcheck_options())
		return;
	took = otd_pcheck_cpu_ns();
	if (!otd_pcheck_create_or_say(&a))
		return;
	took = otd_pcheck_cpu_ns() - took;
	look_for_threads("after create()");
	otd_pcheck_usable();
	/* Two pools with one plugin: instances know nothing of each other. */
	if (!otd_pcheck_create_or_say(&b))
		return;
	otd_pcheck_at("destroy(NULL)");
	d->base->destroy(NULL);
	otd_pcheck_at("destroy() of the first of two instances");
	otd_pcheck_destroy(&a);
	(void)otd_pcheck_leftovers(&a, "after destroy()");
	otd_pcheck_at("destroy() of the second of two instances");
	otd_pcheck_destroy(&b);
	(void)otd_pcheck_leftovers(&b, "after destroy()");
	look_for_threads("after destroy()");
	otd_pcheck_figure("create_us", took / 1000);
	if (took > SLOW_NS)
		otd_pcheck_warn(
			"create() works for %.1f s, and every loop waits for it: what is long "
			"belongs into prepare()",
			(double)took / 1e9);
	otd_pcheck_ok("two instances at once, %.1f ms each", (double)took / 1e6);
}

otd_rc otd_pcheck_walk(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w)
{
	if (otd_pcheck_is("algo"))
		return otd_pcheck_walk_algo(in, w);
	if (otd_pcheck_is("payout"))
		return otd_pcheck_walk_payout(in, w);
	if (otd_pcheck_is("chain"))
		return otd_pcheck_walk_chain(in, w);
	if (otd_pcheck_is("hw"))
		return otd_pcheck_walk_hw(in, w);
	return otd_pcheck_walk_store(in, w);
}

/* --- leaks --- */

struct level {
	uint64_t heap, resident;
	unsigned files;
};

static struct level level_now(void)
{
	return (struct level){otd_pcheck_heap(), otd_pcheck_resident(), otd_pcheck_open_files()};
}

/* One life, with some work in it. False: it was said what is wrong. */
static bool live(unsigned nth, bool with_work)
{
	struct otd_pcheck_instance in = {0};
	struct otd_pcheck_walk w = {.at = ""};
	otd_pcheck_at("create() number %u", nth + 1);
	if (otd_pcheck_create(&in)) {
		otd_pcheck_fail("create() number %u fails%s", nth + 1, otd_pcheck_words(&in));
		return false;
	}
	if (with_work) {
		otd_pcheck_at("instance number %u at work", nth + 1);
		(void)!otd_pcheck_walk(&in, &w);
	}
	otd_pcheck_at("destroy() number %u", nth + 1);
	otd_pcheck_destroy(&in);
	return otd_pcheck_leftovers(&in, "after destroy()");
}

/*
 * A leak grows with every life. What malloc() keeps for the next time, and holes between its blocks,
 * grow now and then, and not in some part of the time: the part that grew least is what counts.
 */
static void compare_levels(const struct level l[PARTS + 1], unsigned part)
{
	const struct level *from = &l[0], *to = &l[PARTS];
	uint64_t least = UINT64_MAX;
	unsigned files = to->files > from->files ? to->files - from->files : 0;
	for (unsigned i = 0; i < PARTS; i++) {
		uint64_t grown = l[i + 1].heap > l[i].heap ? l[i + 1].heap - l[i].heap : 0;
		least = grown < least ? grown : least;
	}
	if (least >= (uint64_t)part * LEAK_SOME)
		otd_pcheck_fail("%" PRIu64 " bytes by malloc() are lost with each instance: memory "
				"comes from core->alloc(), and what a library gives is given back",
				least / part);
	else if (to->resident > from->resident + RESIDENT_OK)
		otd_pcheck_fail("the process grows by %" PRIu64 " MiB over %u instances: something "
				"is mapped and not unmapped",
				(to->resident - from->resident) >> 20, PARTS * part);
	if (files)
		otd_pcheck_fail("%u file%s stay%s open over %u instances", files,
				files > 1 ? "s" : "", files > 1 ? "" : "s", PARTS * part);
}

/* How many lives there is time for: the first ones are timed. 0: it was said what is wrong. */
static unsigned lives_for(bool *with_work)
{
	uint64_t start = otd_pcheck_mono_ns(), took = 0;
	unsigned done = 0;
	while (done < TIMED && took < LEAKS_NS / 4) {
		if (!live(done++, true))
			return 0;
		took = otd_pcheck_mono_ns() - start;
	}
	took /= done;
	*with_work = took * LIVES < LEAKS_NS;
	if (*with_work)
		return LIVES;
	/* Work that is slow is left out; where lives are slow too there are fewer of them. */
	start = otd_pcheck_mono_ns();
	for (unsigned i = 0; i < TIMED; i++) {
		if (!live(TIMED + i, false))
			return 0;
	}
	took = (otd_pcheck_mono_ns() - start) / TIMED;
	if (took * LIVES < LEAKS_NS)
		return LIVES;
	return (unsigned)(LEAKS_NS / took) + PARTS + 1;
}

void otd_pcheck_leaks(void)
{
	struct level l[PARTS + 1];
	bool with_work;
	unsigned lives, part, nth = 0;
	if (!otd_pcheck_plugin(false) || !otd_pcheck_options() || !(lives = lives_for(&with_work)))
		return;
	/* One part more goes before, in which things settle. */
	part = lives / (PARTS + 1);
	for (unsigned k = 0; k <= PARTS; k++) {
		for (unsigned i = 0; i < part; i++) {
			if (!live(nth++, with_work))
				return;
		}
		l[k] = level_now();
	}
	compare_levels(l, part);
	otd_pcheck_figure("lives", nth);
	otd_pcheck_ok("%u instances made, %s and destroyed: no memory, no file is left", nth,
		      with_work ? "used" : "(unused: it is slow)");
}

/* --- memory that runs out --- */

/* Creates with allocation n failing. False: it was said what is wrong. */
static bool fail_create(uint64_t n, uint64_t of)
{
	struct otd_pcheck_instance in = {.host.fail_at = n};
	otd_rc rc;
	otd_pcheck_at("create() whose allocation %" PRIu64 " of %" PRIu64 " gives NULL", n, of);
	rc = otd_pcheck_create(&in);
	if (!rc && in.host.failed) {
		otd_pcheck_fail("create() succeeds although its allocation %" PRIu64 " of %" PRIu64
				" gave NULL: return OTD_E_NOMEM",
				n, of);
		return false;
	}
	otd_pcheck_destroy(&in);
	return otd_pcheck_leftovers(&in, "after a create() that found no memory");
}

/* Has allocation n of the work behind create() fail: an error, or what it would have given anyway. */
static bool fail_walk(uint64_t n, uint64_t of, uint64_t sum)
{
	struct otd_pcheck_instance in = {0};
	struct otd_pcheck_walk w = {.at = "a call"};
	otd_rc rc;
	if (!otd_pcheck_create_or_say(&in))
		return false;
	in.host.fail_at = in.host.n_allocs + n;
	otd_pcheck_at("work whose allocation %" PRIu64 " of %" PRIu64 " gives NULL", n, of);
	rc = otd_pcheck_walk(&in, &w);
	if (!rc && in.host.failed && w.sum != sum) {
		otd_pcheck_fail("calls succeed with other results when allocation %" PRIu64
				" of %" PRIu64 " gave NULL: return OTD_E_NOMEM",
				n, of);
		return false;
	}
	otd_pcheck_at("destroy() after %s that found no memory", w.at);
	otd_pcheck_destroy(&in);
	return otd_pcheck_leftovers(&in, "after work that found no memory and destroy()");
}

/* How many allocations create() and the work behind it make, and what the work gives. */
static bool count_allocs(uint64_t *create, uint64_t *work, uint64_t *sum)
{
	struct otd_pcheck_instance in = {0};
	struct otd_pcheck_walk w = {.at = ""};
	if (!otd_pcheck_create_or_say(&in))
		return false;
	*create = in.host.n_allocs;
	otd_pcheck_at("work with all the memory that it wants");
	(void)!otd_pcheck_walk(&in, &w);
	*work = in.host.n_allocs - *create;
	*sum = w.sum;
	otd_pcheck_at("destroy()");
	otd_pcheck_destroy(&in);
	return otd_pcheck_leftovers(&in, "after destroy()");
}

void otd_pcheck_memory(void)
{
	uint64_t create, work, sum, step, tried = 0, until;
	if (!otd_pcheck_plugin(false) || !otd_pcheck_options() ||
	    !count_allocs(&create, &work, &sum))
		return;
	/* Where work takes seconds, as long as there is time. */
	until = otd_pcheck_mono_ns() + MEMORY_NS;
	step = create / FAILURES + 1;
	for (uint64_t n = 1; n <= create && otd_pcheck_mono_ns() < until; n += step, tried++) {
		if (!fail_create(n, create))
			return;
	}
	step = work / FAILURES + 1;
	for (uint64_t n = 1; n <= work && otd_pcheck_mono_ns() < until; n += step, tried++) {
		if (!fail_walk(n, work, sum))
			return;
	}
	otd_pcheck_figure("allocations", create + work);
	otd_pcheck_figure("allocations_tried", tried);
	if (create + work == 0)
		otd_pcheck_ok("asks for none");
	else
		otd_pcheck_ok("%" PRIu64 " of %" PRIu64 " allocations (%" PRIu64
			      " in create()) gave NULL once: an error, and nothing is left",
			      tried, create + work, create);
}
