/*
 * A block is divided by the newest work, whoever did it and however many blocks it was used for:
 * leaving after a block or joining before one gains nothing. See README.md for the formula.
 */
#include "../common/state.h"
#include "window.h"

OTD_PLUGIN_NOTE("payout/1", "pplns");

#define MAGIC 0x4e4c5050U /* "PPLN" */
enum {
	VERSION = 1,
	SLACK = 4 /* windows that are kept, for a network difficulty that rises */
};

struct options {
	struct otd_option_window window;
	int64_t max_slices;
};

struct otd_instance {
	struct payout_host host;
	const struct options *opt;
	struct window window;
	int64_t time_ms;       /* of the last batch */
	otd_u128 network_work; /* with the last batch; 0: none yet */
};

static const struct otd_option option_table[] = {
	OTD_OPTION(struct options, window, OTD_OPT_WINDOW, "window", "2x difficulty",
		   "how much of the newest work divides a block"),
	OTD_OPTION(struct options, max_slices, OTD_OPT_INT, "max_slices", "250000",
		   "entries kept, one an account and batch (32 bytes each); above it old batches "
		   "are merged",
		   .min = 1000, .max = 4000000),
};

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	const struct payout_host host = {core, h};
	const struct options *opt = options;
	if ((opt->window.milli_difficulty > 0) == (opt->window.ms > 0))
		return payout_fail(&host, OTD_E_INVALID,
				   "window: write '2x difficulty' or a time with its unit (2h)");
	struct otd_instance *in = payout_alloc(&host, 1, sizeof(*in));
	if (!in)
		return payout_fail(&host, OTD_E_NOMEM, "no memory");
	in->host = host;
	in->opt = opt;
	*out = in;
	return OTD_OK;
}

static void destroy(struct otd_instance *in)
{
	if (!in)
		return;
	const struct payout_host host = in->host;
	window_finish(&host, &in->window);
	payout_free(&host, in);
}

/* times windows of this network, at least 1, at most all that 128 bits hold. */
static otd_u128 window_work(const struct otd_instance *in, otd_u128 network_work, uint64_t times)
{
	struct otd_u256 w =
		otd_u256_mul_u128(network_work, (otd_u128)in->opt->window.milli_difficulty * times);
	(void)otd_u256_div(&w, NULL, w, otd_u256_from_u64(1000));
	if (w.w[2] || w.w[3])
		return ~(otd_u128)0;
	otd_u128 v = otd_u256_low_u128(w);
	return v ? v : 1;
}

static int64_t before(int64_t time_ms, int64_t ms)
{
	int64_t t;
	return __builtin_sub_overflow(time_ms, ms, &t) ? INT64_MIN : t;
}

static otd_rc shares(struct otd_instance *in, const struct otd_payout_batch *batch)
{
	struct payout_book book;
	if (batch->network_work == 0)
		return payout_fail(&in->host, OTD_E_INVALID, "shares have no network work");
	if (in->network_work && batch->time_ms < in->time_ms)
		return payout_fail(&in->host, OTD_E_INVALID, "time went backwards");
	otd_rc rc = payout_book_read(&in->host, &book, batch);
	if (rc)
		return rc;
	/* What is too old goes first, so that it does not count against the sum. */
	if (in->opt->window.ms)
		window_drop_until(&in->window, before(batch->time_ms, in->opt->window.ms));
	if (book.n)
		rc = window_add(&in->host, &in->window, batch->time_ms, &book);
	payout_book_finish(&in->host, &book);
	if (rc)
		return rc;
	in->time_ms = batch->time_ms;
	in->network_work = batch->network_work;
	if (!in->opt->window.ms)
		window_keep_work(&in->window, window_work(in, in->network_work, SLACK));
	return window_compact(&in->host, &in->window, (size_t)in->opt->max_slices);
}

/* What divides a block of this network work and time. */
static otd_rc newest(struct otd_instance *in, struct payout_book *out, otd_u128 network_work,
		     int64_t time_ms)
{
	if (in->opt->window.ms)
		return window_newest(&in->host, &in->window, out, ~(otd_u128)0,
				     before(time_ms, in->opt->window.ms));
	return window_newest(&in->host, &in->window, out, window_work(in, network_work, 1),
			     INT64_MIN);
}

static otd_rc block(struct otd_instance *in, const struct otd_payout_block *b,
		    const struct otd_payout_sink *sink)
{
	struct payout_book book;
	otd_rc rc = payout_block_check(&in->host, b);
	if (rc)
		return rc;
	/* The finder's share is in the last batch, whose time may be a little later than its own. */
	rc = newest(in, &book, b->network_work,
		    b->time_ms > in->time_ms ? b->time_ms : in->time_ms);
	if (!rc)
		rc = payout_pay(&in->host, &book, b, sink);
	payout_book_finish(&in->host, &book);
	return rc;
}

static void write_state(const struct otd_instance *in, struct payout_writer *w)
{
	const struct window *win = &in->window;
	size_t at = win->first_part;
	payout_put_u64(w, (uint64_t)in->time_ms);
	payout_put_u128(w, in->network_work);
	payout_put_u64(w, win->n_batches - win->first_batch);
	for (size_t i = win->first_batch; i < win->n_batches; i++) {
		const struct window_batch *b = &win->batch[i];
		const struct payout_book view = {win->part + at, b->n, b->n, b->work};
		payout_put_u64(w, (uint64_t)b->time_ms);
		payout_put_book(w, &view);
		at += b->n;
	}
}

static otd_rc snapshot(struct otd_instance *in, struct otd_buf *out)
{
	return payout_snapshot(in, out, MAGIC, VERSION, write_state);
}

static otd_rc read_window(struct otd_instance *in, struct payout_reader *r)
{
	int64_t time_ms = INT64_MIN;
	in->time_ms = (int64_t)payout_get_u64(r);
	in->network_work = payout_get_u128(r);
	uint64_t n = payout_get_u64(r);
	otd_rc rc = OTD_OK;
	if (n && !in->network_work)
		return payout_fail(&in->host, OTD_E_CORRUPT,
				   "the saved state has shares of no network");
	/* Every batch takes bytes, so that a lie about n ends with the bytes. */
	for (uint64_t i = 0; rc == OTD_OK && i < n; i++) {
		struct payout_book book;
		int64_t t = (int64_t)payout_get_u64(r);
		rc = payout_get_book(&in->host, r, &book);
		if (rc)
			return rc;
		if (t < time_ms || t > in->time_ms || book.n == 0)
			rc = payout_fail(&in->host, OTD_E_CORRUPT,
					 "the saved state has batches out of order");
		else if (window_add(&in->host, &in->window, t, &book))
			rc = payout_fail(&in->host, OTD_E_CORRUPT,
					 "the saved state has more than fits");
		time_ms = t;
		payout_book_finish(&in->host, &book);
	}
	return rc;
}

static otd_rc restore(struct otd_instance *in, struct otd_span state)
{
	struct payout_reader r;
	otd_rc rc = payout_restore_begin(&in->host, &r, state, MAGIC, VERSION);
	window_finish(&in->host, &in->window);
	if (!rc)
		rc = read_window(in, &r);
	if (!rc)
		rc = payout_restore_end(&in->host, &r);
	if (rc) {
		window_finish(&in->host, &in->window);
		in->time_ms = 0;
		in->network_work = 0;
	}
	return rc;
}

static otd_rc round_of(struct otd_instance *in, otd_u128 *work, uint64_t *accounts)
{
	struct payout_book book;
	*work = 0;
	*accounts = 0;
	if (!in->network_work)
		return OTD_OK;
	otd_rc rc = newest(in, &book, in->network_work, in->time_ms);
	if (rc)
		return rc;
	*work = book.work;
	*accounts = book.n;
	payout_book_finish(&in->host, &book);
	return OTD_OK;
}

static const struct otd_base_ops base_ops = {
	.size = sizeof(base_ops),
	.create = create,
	.destroy = destroy,
};

/* No orphan(): the work stays in the window and divides the next block. */
static const struct otd_payout_ops payout_ops = {
	.size = sizeof(payout_ops),
	.shares = shares,
	.block = block,
	.snapshot = snapshot,
	.restore = restore,
	.round = round_of,
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "payout/1",
	.id = "pplns",
	.version = OTEDAMA_VERSION,
	.license = "MIT",
	.build = "C " __VERSION__,
	.summary = "Divides a block by the newest work, a window that blocks do not close",
	.options_size = sizeof(struct options),
	.option_size = sizeof(struct otd_option),
	.n_options = sizeof(option_table) / sizeof(option_table[0]),
	.options = option_table,
	.base = &base_ops,
	.ops = {.payout = &payout_ops},
};

const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
