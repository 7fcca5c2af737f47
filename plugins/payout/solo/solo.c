/* A block belongs to the account that found it. */
#include "../common/book.h"
#include "../common/state.h"

OTD_PLUGIN_NOTE("payout/1", "solo");

#define MAGIC 0x4f534c4fU /* "OLSO" */
enum { VERSION = 1 };

struct otd_instance {
	struct payout_host host;
	struct payout_book round; /* work since the last block, for status only */
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

static void destroy(struct otd_instance *in)
{
	if (!in)
		return;
	const struct payout_host host = in->host;
	payout_book_finish(&host, &in->round);
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

static otd_rc block(struct otd_instance *in, const struct otd_payout_block *b,
		    const struct otd_payout_sink *sink)
{
	otd_rc rc = payout_block_check(&in->host, b);
	if (rc)
		return rc;
	payout_book_clear(&in->round);
	return payout_pay(&in->host, &in->round, b, sink);
}

static void write_state(const struct otd_instance *in, struct payout_writer *w)
{
	payout_put_book(w, &in->round);
}

static otd_rc snapshot(struct otd_instance *in, struct otd_buf *out)
{
	return payout_snapshot(in, out, MAGIC, VERSION, write_state);
}

static otd_rc restore(struct otd_instance *in, struct otd_span state)
{
	struct payout_reader r;
	struct payout_book book = {0};
	otd_rc rc = payout_restore_begin(&in->host, &r, state, MAGIC, VERSION);
	if (!rc)
		rc = payout_get_book(&in->host, &r, &book);
	if (!rc)
		rc = payout_restore_end(&in->host, &r);
	if (rc) {
		payout_book_finish(&in->host, &book);
		return rc;
	}
	payout_book_finish(&in->host, &in->round);
	in->round = book;
	return OTD_OK;
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
	.snapshot = snapshot,
	.restore = restore,
	.round = round_of,
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "payout/1",
	.id = "solo",
	.version = OTEDAMA_VERSION,
	.license = "MIT",
	.build = "C " __VERSION__,
	.summary = "The whole block to the account that found it",
	.option_size = sizeof(struct otd_option),
	.base = &base_ops,
	.ops = {.payout = &payout_ops},
};

const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
