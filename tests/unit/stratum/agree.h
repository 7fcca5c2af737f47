/* Holds the submit scanner against jansson: what it takes, jansson takes with the same fields. */
#ifndef TESTS_UNIT_STRATUM_AGREE_H
#define TESTS_UNIT_STRATUM_AGREE_H

#include "stratum/v1/v1.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline bool same_span(struct otd_span a, struct otd_span b)
{
	return a.len == b.len && (a.len == 0 || !memcmp(a.ptr, b.ptr, a.len));
}

/* 1: the scanner took it and jansson agrees; 0: not the scanner's; -1: they disagree. */
static inline int submit_agree(const void *line, size_t n)
{
	struct otd_v1_submit fast, slow;
	struct otd_v1_request q;
	struct otd_span text = {line, n};
	char id[OTD_SESSION_ID_MAX + 1];
	json_t *root = NULL;
	int result = -1;

	if (!otd_v1_scan_submit(&fast, text))
		return 0;
	if (!otd_v1_read_request(&q, &root, id, text) && !strcmp(q.method, "mining.submit") &&
	    !otd_v1_read_submit(&slow, &q) && fast.has_version == slow.has_version &&
	    same_span(fast.id, slow.id) && same_span(fast.user, slow.user) &&
	    same_span(fast.job, slow.job) && same_span(fast.extranonce2, slow.extranonce2) &&
	    same_span(fast.ntime, slow.ntime) && same_span(fast.nonce, slow.nonce) &&
	    same_span(fast.version, slow.version))
		result = 1;
	json_decref(root);
	return result;
}

/* Containers within containers, and what otd_v1_shape_of() counts as values. */
static inline void shape_measure(const json_t *v, unsigned depth, unsigned *deepest,
				 unsigned *values)
{
	size_t n = json_is_object(v) ? json_object_size(v) : json_array_size(v);
	const char *key;
	json_t *item;
	size_t i;

	if (!json_is_object(v) && !json_is_array(v))
		return;
	*deepest = depth > *deepest ? depth : *deepest;
	*values += 1 + (unsigned)(n ? n - 1 : 0);
	json_array_foreach(v, i, item) shape_measure(item, depth + 1, deepest, values);
	json_object_foreach((json_t *)(uintptr_t)v, key, item)
		shape_measure(item, depth + 1, deepest, values);
}

/* What jansson takes for an object is one by its shape, what it takes for a list is none, and either is
   huge where it is that; false: they disagree. */
static inline bool shape_agrees(const void *line, size_t n)
{
	enum otd_v1_shape shape = otd_v1_shape_of((struct otd_span){line, n});
	unsigned deepest = 0, values = 0;
	json_error_t error;
	json_t *root = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
	bool huge, agrees = true;

	shape_measure(root, 1, &deepest, &values);
	huge = deepest > OTD_V1_DEPTH_MAX || values > OTD_V1_VALUES_MAX;
	if (json_is_object(root))
		agrees = shape == (huge ? OTD_V1_SHAPE_HUGE : OTD_V1_SHAPE_OBJECT);
	else if (root)
		agrees = shape == (huge ? OTD_V1_SHAPE_HUGE : OTD_V1_SHAPE_NONE);
	json_decref(root);
	return agrees;
}

#endif
