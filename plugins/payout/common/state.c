#include "state.h"

#include <string.h>

enum { PART_BYTES = 24 };

static void put(struct payout_writer *w, otd_u128 v, unsigned bytes)
{
	for (unsigned i = 0; w->to && i < bytes; i++)
		w->to[w->n + i] = (uint8_t)(v >> (8 * i));
	w->n += bytes;
}

void payout_put_u32(struct payout_writer *w, uint32_t v)
{
	put(w, v, 4);
}

void payout_put_u64(struct payout_writer *w, uint64_t v)
{
	put(w, v, 8);
}

void payout_put_u128(struct payout_writer *w, otd_u128 v)
{
	put(w, v, 16);
}

void payout_put_book(struct payout_writer *w, const struct payout_book *b)
{
	payout_put_u64(w, b->n);
	for (size_t i = 0; i < b->n; i++) {
		payout_put_u64(w, b->part[i].account);
		payout_put_u128(w, b->part[i].work);
	}
}

static otd_u128 get(struct payout_reader *r, unsigned bytes)
{
	otd_u128 v = 0;
	if (r->left < bytes) {
		r->ok = false;
		r->left = 0;
	}
	if (!r->ok)
		return 0;
	for (unsigned i = 0; i < bytes; i++)
		v |= (otd_u128)r->at[i] << (8 * i);
	r->at += bytes;
	r->left -= bytes;
	return v;
}

uint32_t payout_get_u32(struct payout_reader *r)
{
	return (uint32_t)get(r, 4);
}

uint64_t payout_get_u64(struct payout_reader *r)
{
	return (uint64_t)get(r, 8);
}

otd_u128 payout_get_u128(struct payout_reader *r)
{
	return get(r, 16);
}

otd_rc payout_get_book(const struct payout_host *h, struct payout_reader *r,
		       struct payout_book *out)
{
	uint64_t n = payout_get_u64(r);
	bool good = r->ok && n <= r->left / PART_BYTES;
	*out = (struct payout_book){0};
	if (!good)
		return payout_fail(h, OTD_E_CORRUPT, "the saved state is cut off");
	out->part = payout_alloc(h, (size_t)n, sizeof(*out->part));
	if (!out->part)
		return payout_fail(h, OTD_E_NOMEM, "no memory for the saved state");
	out->cap = out->n = (size_t)n;
	for (size_t i = 0; i < out->n; i++) {
		struct payout_part *p = &out->part[i];
		p->account = payout_get_u64(r);
		p->work = payout_get_u128(r);
		good = good && p->account > (i ? p[-1].account : 0) && p->work != 0 &&
		       !__builtin_add_overflow(out->work, p->work, &out->work);
	}
	if (good)
		return OTD_OK;
	payout_book_finish(h, out);
	return payout_fail(h, OTD_E_CORRUPT,
			   "the saved state has accounts out of order or work that cannot be");
}

otd_rc payout_snapshot(const struct otd_instance *in, struct otd_buf *out, uint32_t magic,
		       uint32_t version, payout_write_fn write)
{
	struct payout_writer w = {NULL, 0};
	for (int pass = 0; pass < 2; pass++) {
		w.n = 0;
		payout_put_u32(&w, magic);
		payout_put_u32(&w, version);
		write(in, &w);
		if (pass == 0) {
			out->len = w.n;
			if (w.n > out->cap)
				return OTD_E_RANGE;
			w.to = out->ptr;
		}
	}
	return OTD_OK;
}

otd_rc payout_restore_begin(const struct payout_host *h, struct payout_reader *r,
			    struct otd_span state, uint32_t magic, uint32_t version)
{
	*r = (struct payout_reader){state.ptr, state.len, true};
	if (payout_get_u32(r) != magic || !r->ok)
		return payout_fail(h, OTD_E_CORRUPT, "the saved state is of another scheme");
	if (payout_get_u32(r) != version || !r->ok)
		return payout_fail(h, OTD_E_VERSION,
				   "the saved state was written by another version of this plugin");
	return OTD_OK;
}

otd_rc payout_restore_end(const struct payout_host *h, const struct payout_reader *r)
{
	if (r->ok && r->left == 0)
		return OTD_OK;
	return payout_fail(h, OTD_E_CORRUPT, "the saved state has the wrong length");
}
