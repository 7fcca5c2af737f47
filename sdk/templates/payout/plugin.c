/*
 * What Otedama needs of a payout scheme, round divide() and keep() of scheme.c: the open round, its snapshot, and
 * the credits.
 *
 * A deterministic state machine: the same calls give the same credits and the same snapshot, on any
 * machine. So: no clock, no files, no floating point, nothing that depends on addresses in memory.
 *
 * SPDX-License-Identifier: @LICENSE@
 */
#include <string.h>

#include "scheme.h"

OTD_PLUGIN_NOTE("payout/1", "@ID@");

enum {
	MAGIC = 0x31444e52, /* of a snapshot; another number for another scheme */
	HEAD_LEN = 4 + 8,   /* magic, number of accounts */
	ENTRY_LEN = 8 + 16, /* account, work */
	ROUND_FIRST = 64,
};

struct entry {
	uint64_t account;
	otd_u128 work;
};

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
	const struct options *options;
	struct entry *entry; /* the round, by account number: one order for one state */
	size_t n, cap;
	otd_u128 work; /* of all entries */
};

static otd_rc fail(struct otd_instance *in, otd_rc rc, const char *why)
{
	in->core->set_error(in->host, "%s", why);
	return rc;
}

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	if (!in)
		return OTD_E_NOMEM;
	in->host = h;
	in->core = core;
	in->options = options;
	*out = in;
	return OTD_OK;
}

static void destroy(struct otd_instance *in)
{
	if (!in)
		return;
	in->core->free(in->host, in->entry);
	in->core->free(in->host, in);
}

/* Room for so many entries. */
static otd_rc reserve(struct otd_instance *in, size_t n)
{
	size_t cap = in->cap ? in->cap : ROUND_FIRST;
	struct entry *entry;
	if (n <= in->cap)
		return OTD_OK;
	while (cap < n)
		cap *= 2;
	entry = in->core->alloc(in->host, cap * sizeof(*entry));
	if (!entry)
		return fail(in, OTD_E_NOMEM, "no memory for the round");
	if (in->n)
		memcpy(entry, in->entry, in->n * sizeof(*entry));
	in->core->free(in->host, in->entry);
	in->entry = entry;
	in->cap = cap;
	return OTD_OK;
}

/* Where the account stands, or where it would. */
static size_t place_of(const struct otd_instance *in, uint64_t account)
{
	size_t low = 0, high = in->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (in->entry[middle].account < account)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static otd_rc add(struct otd_instance *in, uint64_t account, otd_u128 work)
{
	size_t at = place_of(in, account);
	/* The whole bounds each part. */
	if (account == 0 || work == 0)
		return fail(in, OTD_E_INVALID, "a share without account or work");
	if (__builtin_add_overflow(in->work, work, &in->work))
		return fail(in, OTD_E_OVERFLOW, "the work of the round does not fit");
	if (at == in->n || in->entry[at].account != account) {
		otd_rc rc = reserve(in, in->n + 1);
		if (rc)
			return rc;
		memmove(in->entry + at + 1, in->entry + at, (in->n - at) * sizeof(*in->entry));
		in->entry[at] = (struct entry){.account = account};
		in->n++;
	}
	in->entry[at].work += work;
	return OTD_OK;
}

static otd_rc shares(struct otd_instance *in, const struct otd_payout_batch *batch)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; !rc && i < batch->n; i++) {
		/* Rows may be longer than those that this was compiled with. */
		const struct otd_payout_share *s =
			(const void *)((const uint8_t *)batch->shares + i * batch->stride);
		rc = add(in, s->account, s->work);
	}
	return rc;
}

static void clear(struct otd_instance *in)
{
	in->n = 0;
	in->work = 0;
}

/* The round is over: what keep() leaves of it is the next one. */
static void next_round(struct otd_instance *in)
{
	size_t n = in->n;
	clear(in);
	for (size_t i = 0; i < n; i++) {
		otd_u128 work = keep(in->entry[i].work, in->options);
		if (work == 0)
			continue;
		in->entry[in->n++] = (struct entry){in->entry[i].account, work};
		in->work += work; /* no more than it was */
	}
}

static otd_rc block(struct otd_instance *in, const struct otd_payout_block *b,
		    const struct otd_payout_sink *sink)
{
	size_t n = in->n;
	struct part *part;
	otd_rc rc = OTD_OK;
	if (b->amount < 0 || b->finder == 0)
		return fail(in, OTD_E_INVALID, "a block without amount or finder");
	if (b->amount == 0) {
		next_round(in);
		return OTD_OK;
	}
	/* Two blocks at once: the first one took the round, nobody else did any work. */
	if (n == 0)
		return sink->credit(sink->ctx, b->finder, b->amount);
	part = in->core->alloc(in->host, n * sizeof(*part));
	if (!part)
		return fail(in, OTD_E_NOMEM, "no memory for the credits");
	for (size_t i = 0; i < n; i++)
		part[i] = (struct part){.account = in->entry[i].account, .work = in->entry[i].work};
	rc = divide(part, n, in->work, b->amount, b->finder, in->options);
	if (rc)
		rc = fail(in, rc, "the block cannot be divided");
	for (size_t i = 0; !rc && i < n; i++) {
		if (part[i].amount > 0)
			rc = sink->credit(sink->ctx, part[i].account, part[i].amount);
	}
	in->core->free(in->host, part);
	next_round(in);
	return rc;
}

static void put(uint8_t *to, otd_u128 v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static otd_u128 get(const uint8_t *from, size_t n)
{
	otd_u128 v = 0;
	while (n-- > 0)
		v = v << 8 | from[n];
	return v;
}

static otd_rc snapshot(struct otd_instance *in, struct otd_buf *out)
{
	out->len = HEAD_LEN + in->n * ENTRY_LEN;
	if (out->cap < out->len)
		return OTD_E_RANGE; /* the host comes again with len bytes */
	put(out->ptr, MAGIC, 4);
	put(out->ptr + 4, in->n, 8);
	for (size_t i = 0; i < in->n; i++) {
		uint8_t *to = out->ptr + HEAD_LEN + i * ENTRY_LEN;
		put(to, in->entry[i].account, 8);
		put(to + 8, in->entry[i].work, 16);
	}
	return OTD_OK;
}

/* Of bytes from a disk: nothing in them is believed. */
static otd_rc restore(struct otd_instance *in, struct otd_span state)
{
	uint64_t last = 0;
	size_t n = state.len < HEAD_LEN ? 0 : (state.len - HEAD_LEN) / ENTRY_LEN;
	otd_rc rc = OTD_OK;
	if (state.len != HEAD_LEN + n * ENTRY_LEN || get(state.ptr, 4) != MAGIC ||
	    get(state.ptr + 4, 8) != n)
		return fail(in, OTD_E_CORRUPT, "not a snapshot of this scheme");
	clear(in);
	for (size_t i = 0; !rc && i < n; i++) {
		const uint8_t *from = state.ptr + HEAD_LEN + i * ENTRY_LEN;
		uint64_t account = (uint64_t)get(from, 8);
		rc = account > last ? add(in, account, get(from + 8, 16))
				    : fail(in, OTD_E_CORRUPT, "accounts are not in order");
		last = account;
	}
	return rc == OTD_E_INVALID || rc == OTD_E_OVERFLOW ? OTD_E_CORRUPT : rc;
}

static otd_rc round_of(struct otd_instance *in, otd_u128 *work, uint64_t *accounts)
{
	*work = in->work;
	*accounts = in->n;
	return OTD_OK;
}

static const struct otd_base_ops base_ops = {
	.size = sizeof(base_ops),
	.create = create,
	.destroy = destroy,
};

/* No orphan: the host takes back the credits of a lost block, its round is not paid again. */
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
	.id = "@ID@",
	.version = "0.1.0",
	.license = "@LICENSE@",
	.build = "C " __VERSION__,
	.summary = "@SUMMARY@",
	.options_size = sizeof(struct options),
	.option_size = sizeof(struct otd_option),
	.n_options = sizeof(option_table) / sizeof(option_table[0]),
	.options = option_table,
	.base = &base_ops,
	.ops = {.payout = &payout_ops},
};

OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
