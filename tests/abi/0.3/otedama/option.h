/*
 * The table by which a plugin declares its options. The host reads the YAML, checks it against the
 * table, fills the plugin's own struct and hands it to create(). A plugin never parses text.
 */
#ifndef OTEDAMA_OPTION_H
#define OTEDAMA_OPTION_H

#include <otedama/types.h>
#include <otedama/u256.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The C type of the member that the host fills stands behind each. */
enum otd_option_type {
	OTD_OPT_BOOL = 1,     /* bool */
	OTD_OPT_INT = 2,      /* int64_t, between min and max */
	OTD_OPT_TEXT = 3,     /* const char *, never NULL once filled; min..max bounds its bytes */
	OTD_OPT_CHOICE = 4,   /* int64_t: index into choices */
	OTD_OPT_DURATION = 5, /* int64_t milliseconds; YAML wants a unit: 500ms 10s 2h 7d */
	OTD_OPT_SIZE = 6,     /* int64_t bytes; YAML: 64KiB 2MiB 1GiB or a plain number */
	OTD_OPT_RATE = 7,     /* int64_t parts per million; YAML: 1% 0.25% */
	OTD_OPT_HEX = 8,      /* struct otd_span; min..max bounds its bytes */
	OTD_OPT_LIST = 9,     /* struct otd_option_list of texts */
	OTD_OPT_WINDOW = 10   /* struct otd_option_window; YAML: "2x difficulty" or "2h" */
};

enum otd_option_flag {
	OTD_OPT_REQUIRED = 1u << 0,
	OTD_OPT_RELOADABLE = 1u << 1, /* reconfigure() takes a new value while running */
	OTD_OPT_SECRET = 1u << 2,     /* never printed, logged or put into an error */
	OTD_OPT_DEPRECATED = 1u << 3
};

struct otd_option_list {
	const char *const *item;
	size_t n;
};

/* Exactly one of the two is not zero. */
struct otd_option_window {
	int64_t milli_difficulty; /* thousandths of the network difficulty: "2x difficulty" is 2000
				   */
	int64_t ms;               /* or a length of time */
};

/*
 * One row. The table crosses with its own row size (option_size in the descriptor), so rows may
 * grow. offset is where in the plugin's option struct the value goes.
 */
struct otd_option {
	uint32_t size;
	uint32_t type;  /* enum otd_option_type */
	uint32_t flags; /* enum otd_option_flag */
	uint32_t offset;
	const char *name;
	const char *help;           /* one line, ends without a full stop */
	const char *def;            /* as YAML text; NULL: none (then zero bytes, or REQUIRED) */
	const char *const *choices; /* CHOICE only, NULL-terminated */
	int64_t min, max;           /* both 0: no bound */
};

#define OTD_OPTION(strct, member, opt_type, opt_name, opt_def, opt_help, ...)    \
	{                                                                        \
		.size = sizeof(struct otd_option), .type = (opt_type),           \
		.offset = (uint32_t)offsetof(strct, member), .name = (opt_name), \
		.help = (opt_help), .def = (opt_def), __VA_ARGS__                \
	}

#ifdef __cplusplus
}
#endif
#endif
