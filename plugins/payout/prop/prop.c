/*
 * A block is divided by the work done since the last one. The work of a round is kept until its block
 * is final: an orphan gives it back to the open round.
 */
#include "../common/book.h"
#include "../common/state.h"

#include <string.h>

OTD_PLUGIN_NOTE("payout/1", "prop");

#define MAGIC 0x50504f52U /* "ROPP" */
enum { VERSION = 1, PENDING_MAX = 65536 };

struct pending {
	uint64_t block;
	struct payout_book round;
};

struct otd_instance {
	struct payout_host host;
	struct payout_book round;
	struct pending *pending; /* in the order in which their blocks came */
	size_t n_pending, cap_pending;
};

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	const struct payout_host host = {core, h};
	struct otd_instance *in = payout_alloc(&host, 1, sizeof(*in));
	(void)options; /* there are none */
	if (!in)
		return payout_fail(&host, OTD_E_NOMEM, "no memory");
	in->host = host;
	*out = in;
	return OTD_OK;
}

static void clear(struct otd_instance *in)
{
	for (size_t i = 0; i < in->n_pending; i++)
		payout_book_finish(&in->host, &in->pending[i].round);
	payout_free(&in->host, in->pending);
	in->pending = NULL;
	in->n_pending = in->cap_pending = 0;
	payout_book_finish(&in->host, &in->round);
}

static void destroy(struct otd_instance *in)
{
	if (!in)
		return;
	const struct payout_host host = in->host;
	clear(in);
	payout_free(&host, in);
}

static otd_rc shares(struct otd_instance *in, const struct otd_payout_batch *batch)
{
	struct payout_book book;
	otd_rc rc = payout_book_read(&in->host, &book, batch);
	if (rc)
		return rc;
	rc = payout_book_add(&in->host, &in->round, &book);
	payout_book_finish(&in->host, &book);
	return rc;
}

static struct pending *find(struct otd_instance *in, uint64_t block)
{
	for (size_t i = 0; i < in->n_pending; i++) {
		if (in->pending[i].block == block)
			return &in->pending[i];
	}
	return NULL;
}

static otd_rc reserve_pending(struct otd_instance *in, size_t n)
{
	size_t cap = in->cap_pending ? in->cap_pending : 16;
	struct pending *p;
	if (n <= in->cap_pending)
		return OTD_OK;
	if (n > PENDING_MAX)
		return payout_fail(&in->host, OTD_E_NOMEM, "too many blocks wait to be final");
	while (cap < n)
		cap *= 2;
	p = payout_alloc(&in->host, cap, sizeof(*p));
	if (!p)
		return payout_fail(&in->host, OTD_E_NOMEM, "no memory for one more block");
	if (in->n_pending)
		memcpy(p, in->pending, in->n_pending * sizeof(*p));
	payout_free(&in->host, in->pending);
	in->pending = p;
	in->cap_pending = cap;
	return OTD_OK;
}

static otd_rc block(struct otd_instance *in, const struct otd_payout_block *b,
		    const struct otd_payout_sink *sink)
{
	otd_rc rc = payout_block_check(&in->host, b);
	if (!rc && find(in, b->block))
		rc = payout_fail(&in->host, OTD_E_EXISTS, "this block was divided already");
	if (!rc)
		rc = reserve_pending(in, in->n_pending + 1);
	if (!rc)
		rc = payout_pay(&in->host, &in->round, b, sink);
	if (rc)
		return rc;
	in->pending[in->n_pending++] = (struct pending){b->block, in->round};
	in->round = (struct payout_book){0};
	return OTD_OK;
}

static void forget(struct otd_instance *in, struct pending *p)
{
	size_t behind = in->n_pending - (size_t)(p - in->pending) - 1;
	payout_book_finish(&in->host, &p->round);
	memmove(p, p + 1, behind * sizeof(*p));
	in->n_pending--;
}

/* A block that is not waiting was final once: its work was paid for and is gone. */
static otd_rc orphan(struct otd_instance *in, uint64_t number)
{
	struct pending *p = find(in, number);
	otd_rc rc;
	if (!p)
		return OTD_OK;
	rc = payout_book_add(&in->host, &in->round, &p->round);
	if (!rc)
		forget(in, p);
	return rc;
}

static otd_rc mature(struct otd_instance *in, uint64_t number)
{
	struct pending *p = find(in, number);
	if (p)
		forget(in, p);
	return OTD_OK;
}

static void write_state(const struct otd_instance *in, struct payout_writer *w)
{
	payout_put_book(w, &in->round);
	payout_put_u64(w, in->n_pending);
	for (size_t i = 0; i < in->n_pending; i++) {
		payout_put_u64(w, in->pending[i].block);
		payout_put_book(w, &in->pending[i].round);
	}
}

static otd_rc snapshot(struct otd_instance *in, struct otd_buf *out)
{
	return payout_snapshot(in, out, MAGIC, VERSION, write_state);
}

static otd_rc read_pending(struct otd_instance *in, struct payout_reader *r)
{
	uint64_t n = payout_get_u64(r);
	otd_rc rc = OTD_OK;
	if (!r->ok || n > PENDING_MAX)
		return payout_fail(&in->host, OTD_E_CORRUPT, "the saved state is cut off");
	for (uint64_t i = 0; rc == OTD_OK && i < n; i++) {
		uint64_t number = payout_get_u64(r);
		struct payout_book book;
		if (find(in, number))
			return payout_fail(&in->host, OTD_E_CORRUPT,
					   "the saved state has a block twice");
		rc = reserve_pending(in, in->n_pending + 1);
		if (!rc)
			rc = payout_get_book(&in->host, r, &book);
		if (!rc)
			in->pending[in->n_pending++] = (struct pending){number, book};
	}
	return rc;
}

static otd_rc restore(struct otd_instance *in, struct otd_span state)
{
	struct payout_reader r;
	otd_rc rc = payout_restore_begin(&in->host, &r, state, MAGIC, VERSION);
	clear(in);
	if (!rc)
		rc = payout_get_book(&in->host, &r, &in->round);
	if (!rc)
		rc = read_pending(in, &r);
	if (!rc)
		rc = payout_restore_end(&in->host, &r);
	if (rc)
		clear(in);
	return rc;
}

static otd_rc round_of(struct otd_instance *in, otd_u128 *work, uint64_t *accounts)
{
	*work = in->round.work;
	*accounts = in->round.n;
	return OTD_OK;
}

static const struct otd_base_ops base_ops = {
	.size = sizeof(base_ops),
	.create = create,
	.destroy = destroy,
};

static const struct otd_payout_ops payout_ops = {
	.size = sizeof(payout_ops),
	.shares = shares,
	.block = block,
	.orphan = orphan,
	.mature = mature,
	.snapshot = snapshot,
	.restore = restore,
	.round = round_of,
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "payout/1",
	.id = "prop",
	.version = OTEDAMA_VERSION,
	.license = "MIT",
	.build = "C " __VERSION__,
	.summary = "Divides a block by the work since the last one",
	.option_size = sizeof(struct otd_option),
	.base = &base_ops,
	.ops = {.payout = &payout_ops},
};

const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
