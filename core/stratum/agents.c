/* See stratum/agents.h. In order of their text, found by halving: peers choose it, and a search of many is
 * still short. */
#include "stratum/agents.h"

#include <stdlib.h>
#include <string.h>

struct otd_agent {
	size_t users;
	char text[];
};

/* Where it stands, or would. */
static size_t place(const struct otd_agents *a, const char *text, size_t n, bool *found)
{
	size_t lo = 0, hi = a->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strncmp(a->all[mid]->text, text, n);
		if (!c && a->all[mid]->text[n])
			c = 1;
		if (!c) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = false;
	return lo;
}

static bool room(struct otd_agents *a)
{
	if (a->n < a->cap)
		return true;
	size_t cap = a->cap ? 2 * a->cap : 16;
	void *p = realloc(a->all, cap * sizeof(struct otd_agent *));
	if (!p)
		return false;
	a->all = p;
	a->cap = cap;
	return true;
}

const char *otd_agents_take(struct otd_agents *a, const void *text, size_t n)
{
	bool found;

	n = strnlen(text, n);
	size_t at = place(a, text, n, &found);
	if (!found) {
		struct otd_agent *one = calloc(1, sizeof(*one) + n + 1);
		if (!one || !room(a)) {
			free(one);
			return NULL;
		}
		memcpy(one->text, text, n);
		memmove(a->all + at + 1, a->all + at, (a->n - at) * sizeof(struct otd_agent *));
		a->all[at] = one;
		a->n++;
	}
	a->all[at]->users++;
	return a->all[at]->text;
}

void otd_agents_drop(struct otd_agents *a, const char *text)
{
	bool found = false;
	size_t at = text ? place(a, text, strlen(text), &found) : 0;

	if (!found || --a->all[at]->users)
		return;
	free(a->all[at]);
	memmove(a->all + at, a->all + at + 1, (--a->n - at) * sizeof(struct otd_agent *));
}

void otd_agents_finish(struct otd_agents *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->all[i]);
	free(a->all);
	*a = (struct otd_agents){0};
}
