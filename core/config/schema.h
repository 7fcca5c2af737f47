/*
 * The schema: one row a key, from which reading, defaults, `config print` and `config schema` are
 * made. A new key is a row and a member of a struct in settings.h. Inside of config.
 */
#ifndef OTD_CONFIG_SCHEMA_H
#define OTD_CONFIG_SCHEMA_H

#include "config/settings.h"

enum otd_key_type {
	OTD_KEY_BOOL = 1, /* bool */
	OTD_KEY_INT,      /* int64_t */
	OTD_KEY_TEXT,     /* const char *; min..max bounds its bytes where max is not 0 */
	OTD_KEY_CHOICE,   /* int64_t, index into choices */
	OTD_KEY_DURATION, /* int64_t, milliseconds */
	OTD_KEY_SIZE,     /* int64_t, bytes */
	OTD_KEY_RATE,     /* int64_t, parts per million */
	OTD_KEY_DECIMAL,  /* const char *, a difficulty as written */
	OTD_KEY_AMOUNT,   /* const char *, an amount as written: only a coin makes a number of it */
	OTD_KEY_HEX32,    /* uint32_t, up to 8 hex digits */
	OTD_KEY_LISTEN,   /* struct otd_settings_listen: text, host and port */
	OTD_KEY_TEXTS, /* struct otd_settings_texts; min..max bounds the entries where max is not 0;
			     choices, where given, are all that may stand in it */
	OTD_KEY_LEVELS,  /* const struct otd_settings_log_level *, and a count: a level a name */
	OTD_KEY_SECTION, /* a struct in place, described by sub */
	OTD_KEY_MAP,     /* pointer to structs described by sub, one a name, and a count */
	OTD_KEY_PLUGIN,  /* struct otd_settings_use; sub is NULL: what is inside is the plugin's */
	OTD_KEY_OPTIONS, /* const struct otd_yaml *: a mapping of plugin options; .options of an otd_settings_use */
	OTD_KEY_POLICIES, /* struct otd_settings_policies; max bounds the entries */
	OTD_KEY_TLS,      /* struct otd_settings_tls: a file, or two */
	OTD_KEY_LATER     /* is not there yet: help says so */
};

enum otd_key_flag {
	OTD_KEY_REQUIRED = 1u << 0,
	OTD_KEY_RELOADABLE = 1u << 1, /* a reload applies it to what runs */
	OTD_KEY_SECRET = 1u << 2,     /* never shown; "file:PATH" reads the file's first line */
	OTD_KEY_DERIVED = 1u << 3     /* default comes from other keys: filled after reading */
};

struct otd_key_table;

struct otd_key {
	const char *name;
	enum otd_key_type type;
	unsigned flags;
	size_t offset;   /* of the member */
	size_t count_at; /* MAP, LEVELS: of the size_t that counts */
	const char *def; /* as written in YAML; NULL: none (zero, "", no entries) */
	int64_t min, max;
	const char *const *choices; /* NULL-terminated */
	const char *select;         /* PLUGIN: the key that names it, "use" or "scheme" */
	const char *help;           /* one line, no full stop at its end */
	const struct otd_key_table *sub;
};

#define OTD_NO_OFFSET SIZE_MAX

struct otd_key_table {
	const struct otd_key *key;
	size_t n;
	/* Of an entry of a MAP: */
	size_t size;
	size_t name_at;       /* const char *: its name */
	size_t node_at;       /* const struct otd_yaml *, or OTD_NO_OFFSET */
	const char *name_for; /* "POOL", for help */
};

extern const struct otd_key_table otd_keys_main;
extern const struct otd_key_table otd_keys_pool;
extern const struct otd_key_table otd_keys_coin;
extern const struct otd_key_table otd_keys_payments;
extern const struct otd_key_table otd_keys_fee;

#endif
