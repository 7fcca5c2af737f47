/*
 * The configuration file as one typed struct: every key read, checked against the schema tables
 * (schema_*.c) and filled with its default. One YAML file, and one file a coin beside it. What
 * belongs to a plugin (the options behind `use:` and `scheme:`) stays a YAML node, for only the
 * plugin knows its names: hand it with its path to otd_instance_create().
 *
 * Relative paths: coin_dirs are relative to the folder of the main file, everything else to the
 * working directory. Everything lives as long as the settings; nothing in them changes. Times in
 * milliseconds, sizes in bytes. [any-thread once loaded]
 */
#ifndef OTD_CONFIG_SETTINGS_H
#define OTD_CONFIG_SETTINGS_H

#include "base/bytes.h"
#include "base/log.h"
#include "config/settings_payments.h"
#include "config/yaml.h"
#include <otedama/u256.h>

struct otd_settings_texts {
	const char *const *item;
	size_t n;
};

/* A plugin chosen by the file: {use: ID, its options} or {scheme: ID, its options}. */
struct otd_settings_use {
	const char *id;
	const struct otd_yaml *options; /* the whole mapping, `use` included; NULL: defaults */
	const char *path;               /* "pools.ltc.payout", for messages */
};

/* A policy script. */
struct otd_settings_policy {
	const char *file;                /* as written; NULL: there was a problem with it */
	const struct otd_yaml *options;  /* a mapping; NULL: all defaults */
	const char *path;                /* "pools.ltc.policies.0.options", for messages */
	struct otd_settings_texts pools; /* n 0: those of where it stands */
	const struct otd_yaml *at;
};

struct otd_settings_policies {
	const struct otd_settings_policy *item;
	size_t n;
};

/* "HOST:PORT", "[::1]:PORT", ":PORT" or "PORT". */
struct otd_settings_listen {
	bool off;
	const char *text; /* as written */
	const char *host; /* without brackets; "*": every address */
	uint16_t port;
};

struct otd_settings_plugins {
	struct otd_settings_texts dirs;    /* n 0: beside the program, then the installed folder */
	struct otd_settings_texts enable;  /* where the key is absent: what this file uses */
	struct otd_settings_texts digests; /* "KIND/ID=SHA256" */
	bool safe_mode;
	int64_t trial_ms;
};

struct otd_settings_log_level {
	const char *name; /* of the module */
	int64_t level;    /* enum otd_log_level */
};

struct otd_settings_log {
	const char *file; /* "": stderr */
	int64_t format;   /* enum otd_log_form */
	int64_t level;    /* enum otd_log_level */
	const struct otd_settings_log_level *modules;
	size_t n_modules;
	int64_t per_event_a_second; /* 0: no limit */
};

struct otd_settings_threads {
	int64_t reactors;
	int64_t processes; /* 0: reactors are threads of this one; else so many have them */
	int64_t compute;   /* 0: processors of this process - 1, at least 1 */
};

/* Bits as in enum otd_node_role of chain/chain.h. */
enum otd_settings_role {
	OTD_SETTINGS_TEMPLATE = 1,
	OTD_SETTINGS_SUBMIT = 2,
	OTD_SETTINGS_WALLET = 4
};

enum otd_settings_first_job { OTD_SETTINGS_FIRST_FULL = 0, OTD_SETTINGS_FIRST_EMPTY };

struct otd_settings_node {
	const char *name;
	const char *coin, *network;
	const char *rpc;             /* URL, without user and password */
	const char *user, *password; /* "": none. Secrets: never to be shown. */
	const char *cookie;          /* file; "": none */
	const char *wallet;          /* which of the node's wallets; "": its only one */
	const char *zmq;             /* tcp://HOST:PORT of its publisher; "": none */
	struct otd_settings_texts roles;
	unsigned role_bits; /* enum otd_settings_role */
	bool whole;         /* false only in settings that were kept in spite of a problem */
	const struct otd_yaml *at;
};

/* A coin file. */
struct otd_coin {
	const char *id;     /* name of the file without .yaml, as pools name it */
	const char *file;   /* where it was found */
	const char *name;   /* "Bitcoin" */
	const char *symbol; /* "BTC" */
	int64_t decimals;
	struct otd_settings_use algorithm, chain;
	uint32_t version_mask; /* bits that miners may roll; 0: none */
	int64_t maturity;      /* confirmations after which a block's reward is final */
	struct otd_settings_texts main_networks; /* where real money is */
	bool whole;
	const struct otd_yaml *at;
};

struct otd_settings_difficulty {
	const char *start, *min, *max; /* decimals; otd_difficulty_parse() with the algorithm's */
	int64_t aim_ms;                /* a share */
	bool vardiff;
};

/* PEM files; NULL: no TLS. */
struct otd_settings_tls {
	const char *certificate, *key;
	const struct otd_yaml *at;
};

struct otd_settings_port {
	const char *name; /* the key: "3333" */
	uint16_t port;
	const char *listen; /* host; "*": every address */
	struct otd_settings_difficulty difficulty;
	struct otd_settings_use payout; /* id NULL: the pool's */
	struct otd_settings_tls tls;
	bool plain;                           /* beside TLS */
	struct otd_settings_texts proxy_from; /* prefixes */
	const struct otd_yaml *at;
};

struct otd_settings_pool {
	const char *name;
	const struct otd_coin *coin;
	const char *coin_id, *network;
	bool main_network;
	struct otd_settings_texts node_names;
	const struct otd_settings_node *const *nodes; /* in the order of the file: first is first */
	size_t n_nodes;
	/* Options of the pool's chain instance: the coin's, over them the pool's own `chain:`, and
	   `network`. id is the coin's. */
	struct otd_settings_use chain;
	const char *address, *tag;                       /* of the coinbase */
	int64_t fee_ppm;                                 /* of each block, to the pool */
	const struct otd_settings_recipient *recipients; /* of the fee */
	size_t n_recipients;
	struct otd_settings_payments payments;
	struct otd_settings_use payout;
	struct otd_settings_policies policies;
	const char *difficulty_floor; /* decimal; "": none */
	const struct otd_settings_port *ports;
	size_t n_ports;
	int64_t first_job;                       /* enum otd_settings_first_job */
	int64_t refresh_ms, poll_ms, timeout_ms; /* of templates, the best hash, a node's answer */
	int64_t notify_ms;                       /* a miner hears from us at least this often */
	int64_t extranonce1_bytes, extranonce2_bytes;
	int64_t orphan_depth; /* blocks on another branch that decide an orphan */
	bool whole;
	const struct otd_yaml *at;
};

/* Of all connections of one network. */
struct otd_settings_prefix {
	int64_t ipv4, ipv6; /* bits of it */
	int64_t connections, new_connections_a_second, new_connections_burst;
};

/* Shares that are refused, of one worker at one address. */
struct otd_settings_invalid {
	int64_t shares;    /* at which it is too many; 0: never */
	int64_t part_ppm;  /* and that much of all of its shares */
	int64_t window_ms; /* counted in so long */
	int64_t ban_ms;    /* it is not let in for so long; 0: only closed */
};

struct otd_settings_limits {
	int64_t line_bytes;               /* of one line from a miner */
	int64_t output_bytes;             /* that may wait for a client that does not read */
	int64_t connections;              /* at a time, all ports */
	int64_t connections_an_address;   /* at a time */
	int64_t new_connections_a_second; /* of one address */
	int64_t new_connections_burst;
	int64_t workers_an_account;
	int64_t worker_name_bytes;
	int64_t handshake_ms;                /* subscribe and authorize within this */
	int64_t idle_ms;                     /* silence of a miner after which it is dropped */
	int64_t resume_ms;                   /* a lost session may come back within; 0: never */
	int64_t bad_lines;                   /* after which a connection is closed */
	int64_t lines_a_second, lines_burst; /* of one connection; 0: no limit */
	int64_t bytes_a_second, bytes_burst;
	int64_t outstanding; /* requests of one connection without an answer */
	struct otd_settings_prefix prefix;
	struct otd_settings_invalid invalid;
	struct otd_settings_texts allow, deny, grey; /* networks, and "file:PATH" */
	int64_t grey_ppm;                            /* part of the limits for those in grey */
};

struct otd_settings_journal {
	int64_t segment_bytes, max_bytes;                         /* of each reactor */
	int64_t coordinator_segment_bytes, coordinator_max_bytes; /* of the coordinator */
	int64_t commit_ms;                                        /* between transactions */
	int64_t snapshot_ms;         /* between saves of the payout schemes */
	bool drop_unknown;           /* shares of pools and schemes that are not there */
	const char *keep;            /* of segments that are not needed any more; "": nothing */
	int64_t keep_ms, keep_bytes; /* what it says; 0: no bound of this kind */
	bool compress;
};

/* Counts of shares in the database. */
struct otd_settings_history {
	int64_t minutes_ms, hours_ms; /* how long rows of either are kept */
};

/* The miner inside `serve`, for a devnet. */
struct otd_settings_miner {
	bool on;          /* the key is present */
	const char *pool; /* name of the pool; filled where there is only one */
	const char *account, *worker;
	int64_t threads;
	const char *use; /* id of a hw plugin; "": the best of those enabled */
};

struct otd_settings {
	const char *file;
	const char *data_dir;
	const char *socket; /* default DATA_DIR/otedama.sock */
	struct otd_settings_plugins plugins;
	struct otd_settings_log log;
	struct otd_settings_threads threads;
	struct otd_settings_use store;
	struct otd_settings_texts coin_dirs;
	const struct otd_settings_node *nodes;
	size_t n_nodes;
	const struct otd_coin *coins; /* those that pools and nodes name */
	size_t n_coins;
	const struct otd_settings_pool *pools;
	size_t n_pools;
	struct otd_settings_policies policies; /* for all pools, or those that an entry names */
	struct otd_settings_limits limits;
	struct otd_settings_listen api, metrics;
	struct otd_settings_journal journal;
	struct otd_settings_history history;
	struct otd_settings_miner miner;
	struct otd_yaml_doc *doc; /* of the main file, --set included */
	struct otd_settings_own *own;
};

/* One problem; several may come in one load. */
typedef void (*otd_settings_problem_fn)(void *arg, const struct otd_err *err);

struct otd_settings_source {
	const char *file;
	const char *const *set; /* assignments of --set, applied in order */
	size_t n_set;
	otd_settings_problem_fn problem; /* may be NULL */
	void *arg;
	/* Where the file can be read at all, *out is set though there are problems, for `config
	   check`: what otd_settings_faulty() names is as written or at its default, a pool, node or
	   coin without all that it needs is not `whole`. */
	bool keep;
};

/*
 * Loads and checks the file and the coin files that it needs. err holds the first problem, problem()
 * gets every one. Connects to nothing and loads no plugin. Blocks; at start.
 */
OTD_WARN_UNUSED otd_rc otd_settings_load(struct otd_settings **out, struct otd_env *e,
					 const struct otd_settings_source *src,
					 struct otd_err *err);
void otd_settings_destroy(struct otd_settings *s); /* takes NULL */

/* Where a key of an entry stands in the main file: SECTION.NAME.KEY, or the entry where the key is
   not written. name NULL: SECTION.KEY. */
const struct otd_yaml *otd_settings_at(const struct otd_settings *s, const char *section,
				       const char *name, const char *key);
/* Whether there was a problem at y, or at anything in it. */
bool otd_settings_faulty(const struct otd_settings *s, const struct otd_yaml *y);

/* NULL where there is none of that name. */
const struct otd_settings_pool *otd_settings_pool(const struct otd_settings *s, const char *name);
const struct otd_settings_node *otd_settings_node(const struct otd_settings *s, const char *name);

/* The effective configuration with every default, as YAML that loads again. Secrets as "***",
   values that came from ${NAME} or file: as they were written. */
otd_rc otd_settings_print(const struct otd_settings *s, struct otd_bytes *out);
/* Every key with type, unit, default, range and help, as a JSON schema. */
otd_rc otd_settings_schema(struct otd_bytes *out);

#endif
