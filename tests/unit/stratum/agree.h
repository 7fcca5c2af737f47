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

#endif
