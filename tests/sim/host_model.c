#include "host_model.h"
#include "sim_internal.h"

#include <stdlib.h>
#include <string.h>

static size_t start_of(const struct model *m, uint64_t hash8)
{
	return (size_t)(hash8 * 0x9e3779b97f4a7c15ULL >> 20) & (m->n_slots - 1);
}

static void put(struct model *m, size_t i)
{
	size_t at = start_of(m, m->share[i].hash8);
	while (m->slot[at])
		at = (at + 1) & (m->n_slots - 1);
	m->slot[at] = (uint32_t)i + 1;
}

static void grow(struct model *m)
{
	m->cap = m->cap ? 2 * m->cap : 4096;
	m->n_slots = 2 * m->cap;
	m->share = sim_more(m->share, m->cap * sizeof(*m->share));
	free(m->slot);
	m->slot = sim_new(m->n_slots, sizeof(*m->slot));
	for (size_t i = 0; i < m->n; i++)
		put(m, i);
}

struct model_share *model_find(const struct model *m, uint64_t hash8)
{
	if (!m->n_slots)
		return NULL;
	for (size_t at = start_of(m, hash8); m->slot[at]; at = (at + 1) & (m->n_slots - 1))
		if (m->share[m->slot[at] - 1].hash8 == hash8)
			return &m->share[m->slot[at] - 1];
	return NULL;
}

struct model_share *model_add(struct model *m, uint64_t hash8)
{
	if (m->n == m->cap)
		grow(m);
	m->share[m->n] = (struct model_share){.hash8 = hash8};
	put(m, m->n);
	return &m->share[m->n++];
}

void model_free(struct model *m)
{
	free(m->share);
	free(m->slot);
	*m = (struct model){0};
}
