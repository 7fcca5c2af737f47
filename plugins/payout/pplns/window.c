#include "window.h"

#include <string.h>

void window_finish(const struct payout_host *h, struct window *w)
{
	payout_free(h, w->batch);
	payout_free(h, w->part);
	*w = (struct window){0};
}

/* Room for one more batch: what was dropped at the front is used again before memory grows. */
static otd_rc make_room(const struct payout_host *h, void **array, size_t size, size_t *first,
			size_t *end, size_t *cap, size_t more)
{
	uint8_t *p = *array;
	size_t n = *end - *first, want = *cap ? *cap : 64;
	if (*end + more <= *cap)
		return OTD_OK;
	if (*first < n + more || n + more > *cap) {
		while (want < 2 * (n + more))
			want *= 2;
		p = payout_alloc(h, want, size);
		if (!p)
			return payout_fail(h, OTD_E_NOMEM, "no memory for the window");
	}
	if (n)
		memmove(p, (uint8_t *)*array + *first * size, n * size);
	if (p != *array) {
		payout_free(h, *array);
		*array = p;
		*cap = want;
	}
	*first = 0;
	*end = n;
	return OTD_OK;
}

otd_rc window_add(const struct payout_host *h, struct window *w, int64_t time_ms,
		  const struct payout_book *book)
{
	otd_u128 work;
	void *batch = w->batch, *part = w->part;
	if (__builtin_add_overflow(w->work, book->work, &work))
		return payout_fail(h, OTD_E_OVERFLOW, "the work of the window exceeds 128 bits");
	otd_rc rc = make_room(h, &batch, sizeof(*w->batch), &w->first_batch, &w->n_batches,
			      &w->cap_batches, 1);
	w->batch = batch;
	if (!rc)
		rc = make_room(h, &part, sizeof(*w->part), &w->first_part, &w->n_parts,
			       &w->cap_parts, book->n);
	w->part = part;
	if (rc)
		return rc;
	memcpy(w->part + w->n_parts, book->part, book->n * sizeof(*book->part));
	w->n_parts += book->n;
	w->batch[w->n_batches++] = (struct window_batch){time_ms, book->n, book->work};
	w->work = work;
	return OTD_OK;
}

static void drop_oldest(struct window *w)
{
	const struct window_batch *b = &w->batch[w->first_batch++];
	w->first_part += b->n;
	w->work -= b->work;
}

void window_keep_work(struct window *w, otd_u128 work)
{
	while (w->first_batch < w->n_batches && w->work - w->batch[w->first_batch].work >= work)
		drop_oldest(w);
}

void window_drop_until(struct window *w, int64_t time_ms)
{
	while (w->first_batch < w->n_batches && w->batch[w->first_batch].time_ms <= time_ms)
		drop_oldest(w);
}

/* Two sorted runs into one, an account that is in both once. Returns its length. */
static size_t merge(struct payout_part *to, const struct payout_part *a, size_t n_a,
		    const struct payout_part *b, size_t n_b)
{
	size_t n = 0;
	while (n_a && n_b) {
		if (a->account == b->account) {
			to[n] = *a++;
			to[n++].work += b++->work;
			n_a--;
			n_b--;
		} else if (a->account < b->account) {
			to[n++] = *a++;
			n_a--;
		} else {
			to[n++] = *b++;
			n_b--;
		}
	}
	for (; n_a; n_a--)
		to[n++] = *a++;
	for (; n_b; n_b--)
		to[n++] = *b++;
	return n;
}

/* The older half of the batches, merged in pairs. */
static otd_rc merge_older_half(const struct payout_host *h, struct window *w)
{
	size_t n = w->n_batches - w->first_batch, pairs = n / 4;
	size_t n_parts = w->n_parts - w->first_part, batches = 0, parts = 0;
	struct payout_part *part = payout_alloc(h, n_parts, sizeof(*part));
	const struct payout_part *from = w->part + w->first_part;
	struct window_batch *b = w->batch + w->first_batch;
	if (!part)
		return payout_fail(h, OTD_E_NOMEM, "no memory to merge old shares");
	for (size_t i = 0; i < n; i++) {
		struct window_batch one = b[i];
		const struct payout_part *next = from + one.n;
		if (i / 2 < pairs && i % 2 == 0) {
			const struct window_batch *second = &b[++i];
			next += second->n;
			one.n = merge(part + parts, from, one.n, from + one.n, second->n);
			one.time_ms = second->time_ms;
			one.work += second->work;
		} else {
			memcpy(part + parts, from, one.n * sizeof(*part));
		}
		from = next;
		parts += one.n;
		b[batches++] = one; /* never ahead of i */
	}
	payout_free(h, w->part);
	w->part = part;
	w->cap_parts = n_parts;
	w->first_part = 0;
	w->n_parts = parts;
	w->n_batches = w->first_batch + batches;
	return OTD_OK;
}

otd_rc window_compact(const struct payout_host *h, struct window *w, size_t max)
{
	otd_rc rc = OTD_OK;
	if (w->n_parts - w->first_part <= max)
		return OTD_OK;
	/* Some way below max, so that it is not the next batch that asks for it again. */
	while (!rc && w->n_parts - w->first_part > max - max / 4 &&
	       w->n_batches - w->first_batch > WINDOW_MIN_BATCHES)
		rc = merge_older_half(h, w);
	return rc;
}

/* What of the window counts: whole batches from start on, and cut of the one before. */
struct reach {
	size_t batch, part; /* where the whole ones start */
	otd_u128 cut;
};

static struct reach reach_of(const struct window *w, otd_u128 need, int64_t since_ms)
{
	struct reach r = {w->n_batches, w->n_parts, 0};
	while (r.batch > w->first_batch && need > 0) {
		const struct window_batch *b = &w->batch[r.batch - 1];
		if (b->time_ms <= since_ms)
			break;
		if (b->work > need) {
			r.cut = need;
			break;
		}
		need -= b->work;
		r.batch--;
		r.part -= b->n;
	}
	return r;
}

/* The cut batch: as much of it as is needed, over its accounts. Returns the parts with work. */
static otd_rc take_cut(const struct payout_host *h, const struct window *w, const struct reach *r,
		       struct payout_part *to, size_t *n)
{
	const struct window_batch *b = &w->batch[r->batch - 1];
	const struct payout_part *from = w->part + r->part - b->n;
	const struct payout_book view = {(struct payout_part *)from, b->n, b->n, b->work};
	otd_u128 *work = payout_alloc(h, b->n, sizeof(*work));
	*n = 0;
	if (!work)
		return payout_fail(h, OTD_E_NOMEM, "no memory to read the window");
	otd_rc rc = payout_split(h, work, &view, r->cut);
	for (size_t i = 0; rc == OTD_OK && i < b->n; i++) {
		if (work[i])
			to[(*n)++] = (struct payout_part){from[i].account, work[i]};
	}
	payout_free(h, work);
	return rc;
}

/* Merges neighbouring runs in pairs until one is left; a and b have room for all. Returns where
   it is, a or b. */
static struct payout_part *merge_all(struct payout_part *a, struct payout_part *b, size_t *run,
				     size_t n_runs)
{
	while (n_runs > 1) {
		const struct payout_part *from = a;
		struct payout_part *to = b;
		size_t n = 0;
		for (size_t i = 0; i < n_runs; i += 2) {
			size_t second = i + 1 < n_runs ? run[i + 1] : 0;
			size_t len = merge(to, from, run[i], from + run[i], second);
			from += run[i] + second;
			to += len;
			run[n++] = len;
		}
		n_runs = n;
		struct payout_part *swap = a;
		a = b;
		b = swap;
	}
	return a;
}

otd_rc window_newest(const struct payout_host *h, const struct window *w, struct payout_book *out,
		     otd_u128 need, int64_t since_ms)
{
	struct reach r = reach_of(w, need, since_ms);
	size_t cut_parts = r.cut ? w->batch[r.batch - 1].n : 0, n_cut = 0, n_runs = 0;
	size_t room = w->n_parts - r.part + cut_parts;
	struct payout_part *a = payout_alloc(h, room, sizeof(*a));
	struct payout_part *b = payout_alloc(h, room, sizeof(*b));
	size_t *run = payout_alloc(h, w->n_batches - r.batch + 1, sizeof(*run));
	otd_rc rc = OTD_OK;
	*out = (struct payout_book){0};
	if (!a || !b || !run)
		rc = payout_fail(h, OTD_E_NOMEM, "no memory to read the window");
	if (!rc && r.cut)
		rc = take_cut(h, w, &r, a, &n_cut);
	if (rc)
		goto out;
	if (w->n_parts > r.part)
		memcpy(a + n_cut, w->part + r.part, (w->n_parts - r.part) * sizeof(*a));
	if (n_cut)
		run[n_runs++] = n_cut;
	for (size_t i = r.batch; i < w->n_batches; i++)
		run[n_runs++] = w->batch[i].n;
	if (n_runs) {
		struct payout_part *all = merge_all(a, b, run, n_runs);
		b = all == a ? b : a;
		a = NULL;
		out->part = all;
		out->cap = room;
		/* merge_all leaves the length of the one run in front */
		out->n = run[0];
	}
	for (size_t i = 0; i < out->n; i++)
		out->work += out->part[i].work;
out:
	payout_free(h, a);
	payout_free(h, b);
	payout_free(h, run);
	return rc;
}
