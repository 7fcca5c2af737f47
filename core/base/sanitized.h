/* Whether this build runs under a sanitizer that takes address space or memory of its own: limits on them,
   and figures of what malloc() holds, mean nothing then. 0 or 1. */
#ifndef OTD_BASE_SANITIZED_H
#define OTD_BASE_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define OTD_SANITIZED 1
#endif
#endif
#ifndef OTD_SANITIZED
#define OTD_SANITIZED 0
#endif

#endif
