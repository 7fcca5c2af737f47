/* When a repeated timer runs again: by the clock, not by when it ran (libuv's own repeat drifts by that). */
#ifndef OTD_LOOP_TIMER_NEXT_H
#define OTD_LOOP_TIMER_NEXT_H

#include <stdint.h>

/*
 * It was due at due_ms and runs at now_ms, not before. The next time: a whole number of repeats behind due_ms,
 * and behind now_ms. Repeats that were missed are missed; the phase stays.
 */
static inline uint64_t real_timer_next(uint64_t due_ms, uint64_t repeat_ms, uint64_t now_ms)
{
	uint64_t next = due_ms + repeat_ms;
	if (next <= now_ms)
		next += (now_ms - next) / repeat_ms * repeat_ms + repeat_ms;
	return next;
}

#endif
