#include "tally.h"

#include <stdlib.h>
#include <string.h>

struct part {
	uint64_t account;
	otd_u128 work;
};

struct round {
	uint64_t block; /* 0: the open one */
	struct part *part;
	size_t n, cap;
};

struct otd_instance {
	struct round *rounds; /* the open one first */
	size_t n;
	uint64_t calls;
	int64_t last_ms;
};

static otd_rc add(struct round *r, uint64_t account, otd_u128 work)
{
	size_t i = 0;
	while (i < r->n && r->part[i].account < account)
		i++;
	if (i < r->n && r->part[i].account == account) {
		r->part[i].work += work;
		return OTD_OK;
	}
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 8;
		struct part *more = realloc(r->part, cap * sizeof(*more));
		if (!more)
			return OTD_E_NOMEM;
		r->part = more;
		r->cap = cap;
	}
	memmove(r->part + i + 1, r->part + i, (r->n - i) * sizeof(*r->part));
	r->part[i] = (struct part){account, work};
	r->n++;
	return OTD_OK;
}

static otd_rc push(struct otd_instance *in, struct round r)
{
	struct round *more = realloc(in->rounds, (in->n + 1) * sizeof(*more));
	if (!more)
		return OTD_E_NOMEM;
	in->rounds = more;
	in->rounds[in->n++] = r;
	return OTD_OK;
}

int tally_wrong_by;

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = calloc(1, sizeof(*in));
	(void)h;
	(void)core;
	(void)options;
	*out = in;
	if (!in || push(in, (struct round){0}) != OTD_OK) {
		free(in);
		*out = NULL;
		return OTD_E_NOMEM;
	}
	return OTD_OK;
}

static void destroy(struct otd_instance *in)
{
	if (!in)
		return;
	for (size_t i = 0; i < in->n; i++)
		free(in->rounds[i].part);
	free(in->rounds);
	free(in);
}

static otd_rc shares(struct otd_instance *in, const struct otd_payout_batch *b)
{
	in->calls++;
	if (b->time_ms < in->last_ms || b->network_work == 0)
		return OTD_E_INVALID;
	in->last_ms = b->time_ms;
	for (size_t i = 0; i < b->n; i++) {
		const uint8_t *at = (const uint8_t *)b->shares + i * b->stride;
		struct otd_payout_share s;
		memcpy(&s, at, sizeof(s));
		otd_rc rc = add(&in->rounds[0], s.account, s.work);
		if (rc)
			return rc;
	}
	return OTD_OK;
}

static otd_rc block(struct otd_instance *in, const struct otd_payout_block *b,
		    const struct otd_payout_sink *sink)
{
	struct round open = in->rounds[0];
	otd_u128 total = 0;
	otd_i128 left = b->amount + tally_wrong_by;
	otd_rc rc = OTD_OK;
	in->calls++;
	if (b->time_ms < in->last_ms)
		return OTD_E_INVALID;
	in->last_ms = b->time_ms;
	for (size_t i = 0; i < open.n; i++)
		total += open.part[i].work;
	for (size_t i = 0; rc == OTD_OK && i < open.n; i++) {
		otd_i128 part;
		rc = otd_i128_muldiv(&part, NULL, b->amount, open.part[i].work, total);
		if (rc == OTD_OK && part > 0) {
			left -= part;
			rc = sink->credit(sink->ctx, open.part[i].account, part);
		}
	}
	if (rc == OTD_OK && left > 0)
		rc = sink->credit(sink->ctx, b->finder, left);
	open.block = b->block;
	in->rounds[0] = (struct round){0};
	return rc ? rc : push(in, open);
}

static void drop(struct otd_instance *in, size_t i)
{
	free(in->rounds[i].part);
	in->n--;
	memmove(in->rounds + i, in->rounds + i + 1, (in->n - i) * sizeof(*in->rounds));
}

static otd_rc orphan(struct otd_instance *in, uint64_t number)
{
	in->calls++;
	for (size_t i = 1; i < in->n; i++) {
		if (in->rounds[i].block != number)
			continue;
		for (size_t k = 0; k < in->rounds[i].n; k++) {
			otd_rc rc = add(&in->rounds[0], in->rounds[i].part[k].account,
					in->rounds[i].part[k].work);
			if (rc)
				return rc;
		}
		drop(in, i);
		break;
	}
	return OTD_OK;
}

static otd_rc mature(struct otd_instance *in, uint64_t number)
{
	in->calls++;
	for (size_t i = 1; i < in->n; i++)
		if (in->rounds[i].block == number) {
			drop(in, i);
			break;
		}
	return OTD_OK;
}

static otd_rc snapshot(struct otd_instance *in, struct otd_buf *out)
{
	size_t need = 24;
	for (size_t i = 0; i < in->n; i++)
		need += 16 + in->rounds[i].n * 24;
	out->len = need;
	if (need > out->cap)
		return OTD_E_RANGE;
	uint8_t *p = out->ptr;
	uint64_t head[3] = {in->calls, (uint64_t)in->last_ms, in->n};
	memcpy(p, head, 24);
	p += 24;
	for (size_t i = 0; i < in->n; i++) {
		uint64_t r[2] = {in->rounds[i].block, in->rounds[i].n};
		memcpy(p, r, 16);
		p += 16;
		for (size_t k = 0; k < in->rounds[i].n; k++) {
			memcpy(p, &in->rounds[i].part[k].account, 8);
			memcpy(p + 8, &in->rounds[i].part[k].work, 16);
			p += 24;
		}
	}
	return OTD_OK;
}

static otd_rc restore(struct otd_instance *in, struct otd_span s)
{
	uint64_t head[3], r[2];
	const uint8_t *p = s.ptr, *end = s.ptr + s.len;
	if (s.len < 24)
		return OTD_E_CORRUPT;
	memcpy(head, p, 24);
	p += 24;
	in->calls = head[0];
	in->last_ms = (int64_t)head[1];
	for (uint64_t i = 0; i < head[2]; i++) {
		if (end - p < 16)
			return OTD_E_CORRUPT;
		memcpy(r, p, 16);
		p += 16;
		if (i > 0 && push(in, (struct round){.block = r[0]}) != OTD_OK)
			return OTD_E_NOMEM;
		for (uint64_t k = 0; k < r[1]; k++, p += 24) {
			struct part part;
			if (end - p < 24)
				return OTD_E_CORRUPT;
			memcpy(&part.account, p, 8);
			memcpy(&part.work, p + 8, 16);
			if (add(&in->rounds[i], part.account, part.work) != OTD_OK)
				return OTD_E_NOMEM;
		}
	}
	return p == end ? OTD_OK : OTD_E_CORRUPT;
}

static otd_rc round_(struct otd_instance *in, otd_u128 *work, uint64_t *accounts)
{
	*work = 0;
	*accounts = in->rounds[0].n;
	for (size_t i = 0; i < in->rounds[0].n; i++)
		*work += in->rounds[0].part[i].work;
	return OTD_OK;
}

const struct otd_plugin_desc *tally_plugin(void)
{
	static const struct otd_base_ops base = {
		.size = sizeof(base), .create = create, .destroy = destroy};
	static const struct otd_payout_ops ops = {
		.size = sizeof(ops),
		.shares = shares,
		.block = block,
		.orphan = orphan,
		.mature = mature,
		.snapshot = snapshot,
		.restore = restore,
		.round = round_,
	};
	static const struct otd_plugin_desc desc = {
		.size = sizeof(desc),
		.abi_major = OTD_ABI_MAJOR,
		.abi_minor = OTD_ABI_MINOR,
		.kind = "payout/1",
		.id = "tally",
		.version = "1.0.0",
		.license = "MIT",
		.build = "test",
		.summary = "for the simulation",
		.option_size = sizeof(struct otd_option),
		.base = &base,
		.ops = {.payout = &ops},
	};
	return &desc;
}
