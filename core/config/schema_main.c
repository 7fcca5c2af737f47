/* The schema of everything but pools and coins. */
#include "config/schema.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const formats[] = {"logfmt", "json", NULL};
static const char *const levels[] = {"error", "warn", "info", "debug", "trace", NULL};
static const char *const roles[] = {"template", "submit", "wallet", NULL};

#define AT(member) offsetof(struct otd_settings_plugins, member)
static const struct otd_key plugins_keys[] = {
	{.name = "dirs",
	 .type = OTD_KEY_TEXTS,
	 .offset = AT(dirs),
	 .help = "folders with KIND/ID.so, searched in order; none: plugins/ beside the program, "
		 "then "
		 "the installed folder"},
	{.name = "enable",
	 .type = OTD_KEY_TEXTS,
	 .flags = OTD_KEY_DERIVED | OTD_KEY_RELOADABLE,
	 .offset = AT(enable),
	 .help = "what may be loaded, as KIND/ID or KIND/*; default: what this file names, nothing "
		 "else"},
	{.name = "digests",
	 .type = OTD_KEY_TEXTS,
	 .offset = AT(digests),
	 .help = "KIND/ID=SHA256: a plugin that is named here loads only with a digest that stands "
		 "here; 'otedama plugin lock' writes them"},
	{.name = "safe_mode",
	 .type = OTD_KEY_BOOL,
	 .offset = AT(safe_mode),
	 .def = "false",
	 .help = "true: nothing loads that digests does not name"},
	{.name = "trial_time",
	 .type = OTD_KEY_DURATION,
	 .offset = AT(trial_ms),
	 .def = "60s",
	 .min = 100,
	 .max = 3600000,
	 .help = "a file that is new here runs in a process of its own first, and may take so long "
		 "for its known answers"},
};
#undef AT
static const struct otd_key_table plugins_table = {plugins_keys, COUNT(plugins_keys)};

#define AT(member) offsetof(struct otd_settings_log, member)
static const struct otd_key log_keys[] = {
	{.name = "file",
	 .type = OTD_KEY_TEXT,
	 .offset = AT(file),
	 .def = "",
	 .help = "file to append to; empty: standard error"},
	{.name = "format",
	 .type = OTD_KEY_CHOICE,
	 .offset = AT(format),
	 .def = "logfmt",
	 .choices = formats,
	 .help = "form of a line"},
	{.name = "level",
	 .type = OTD_KEY_CHOICE,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(level),
	 .def = "info",
	 .choices = levels,
	 .help = "the least important lines that are written"},
	{.name = "modules",
	 .type = OTD_KEY_LEVELS,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(modules),
	 .count_at = AT(n_modules),
	 .choices = levels,
	 .max = 32,
	 .help = "another level for some modules, as {stratum: debug}"},
	{.name = "per_event_a_second",
	 .type = OTD_KEY_INT,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(per_event_a_second),
	 .def = "100",
	 .max = 1000000,
	 .help = "lines of one event a second, the rest is counted; 0: no limit"},
};
#undef AT
static const struct otd_key_table log_table = {log_keys, COUNT(log_keys)};

#define AT(member) offsetof(struct otd_settings_threads, member)
static const struct otd_key threads_keys[] = {
	{.name = "reactors",
	 .type = OTD_KEY_INT,
	 .offset = AT(reactors),
	 .def = "1",
	 .min = 1,
	 .max = 64,
	 .help = "threads that serve miners; one is enough for tens of thousands"},
	{.name = "processes",
	 .type = OTD_KEY_INT,
	 .offset = AT(processes),
	 .def = "0",
	 .max = 64,
	 .help = "processes that serve miners, each with so many reactors: for more connections "
		 "than one may have open files; 0: the reactors are in the pool's own. "
		 "docs/scaling.md has the figures"},
	{.name = "compute",
	 .type = OTD_KEY_INT,
	 .offset = AT(compute),
	 .def = "0",
	 .max = 256,
	 .help = "threads for costly hashes; 0: one less than there are processors"},
};
#undef AT
static const struct otd_key_table threads_table = {threads_keys, COUNT(threads_keys)};

#define AT(member) offsetof(struct otd_settings_node, member)
static const struct otd_key node_keys[] = {
	{.name = "coin",
	 .type = OTD_KEY_TEXT,
	 .flags = OTD_KEY_REQUIRED,
	 .offset = AT(coin),
	 .min = 1,
	 .max = 64,
	 .help = "coin of this node: the name of its file in coins/, without .yaml"},
	{.name = "network",
	 .type = OTD_KEY_TEXT,
	 .flags = OTD_KEY_DERIVED,
	 .offset = AT(network),
	 .min = 1,
	 .max = 31,
	 .help = "network that it is on; default: the coin's main network"},
	{.name = "rpc",
	 .type = OTD_KEY_TEXT,
	 .flags = OTD_KEY_REQUIRED | OTD_KEY_RELOADABLE,
	 .offset = AT(rpc),
	 .min = 1,
	 .max = 512,
	 .help = "where it answers, as http://127.0.0.1:8332"},
	{.name = "user",
	 .type = OTD_KEY_TEXT,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(user),
	 .def = "",
	 .max = 256,
	 .help = "name for its RPC, where there is no cookie"},
	{.name = "password",
	 .type = OTD_KEY_TEXT,
	 .flags = OTD_KEY_SECRET | OTD_KEY_RELOADABLE,
	 .offset = AT(password),
	 .def = "",
	 .max = 1024,
	 .help = "password for its RPC: ${NAME} or file:/PATH keep it out of this file"},
	{.name = "cookie",
	 .type = OTD_KEY_TEXT,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(cookie),
	 .def = "",
	 .max = 1024,
	 .help = "its .cookie file, instead of user and password"},
	{.name = "wallet",
	 .type = OTD_KEY_TEXT,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(wallet),
	 .def = "",
	 .max = 63,
	 .help = "name of the wallet to pay from, where the node has several; empty: its only one"},
	{.name = "zmq",
	 .type = OTD_KEY_TEXT,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(zmq),
	 .def = "",
	 .max = 300,
	 .help = "where it publishes blocks (its zmqpubhashblock), as tcp://127.0.0.1:28332; "
		 "empty: "
		 "new blocks are known by long poll and by asking"},
	{.name = "roles",
	 .type = OTD_KEY_TEXTS,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(roles),
	 .def = "[template, submit]",
	 .min = 1,
	 .max = 3,
	 .choices = roles,
	 .help = "what it is used for"},
};
#undef AT
static const struct otd_key_table node_table = {node_keys,
						COUNT(node_keys),
						sizeof(struct otd_settings_node),
						offsetof(struct otd_settings_node, name),
						offsetof(struct otd_settings_node, at),
						"NODE"};

#define LIMIT(key, key_type, member, key_def, lo, hi, key_help)                   \
	{                                                                         \
		.name = (key), .type = (key_type), .flags = OTD_KEY_RELOADABLE,   \
		.offset = AT(member), .def = (key_def), .min = (lo), .max = (hi), \
		.help = (key_help)                                                \
	}
#define AT(member) offsetof(struct otd_settings_prefix, member)
static const struct otd_key prefix_keys[] = {
	LIMIT("ipv4", OTD_KEY_INT, ipv4, "24", 8, 32, "bits of an IPv4 network"),
	LIMIT("ipv6", OTD_KEY_INT, ipv6, "48", 16, 64, "bits of an IPv6 network"),
	LIMIT("connections", OTD_KEY_INT, connections, "16384", 1, 10000000,
	      "connections at a time of one network"),
	LIMIT("new_connections_a_second", OTD_KEY_INT, new_connections_a_second, "2048", 1, 1000000,
	      "new connections a second of one network"),
	LIMIT("new_connections_burst", OTD_KEY_INT, new_connections_burst, "8192", 1, 1000000,
	      "new connections of one network at once"),
};
#undef AT
static const struct otd_key_table prefix_table = {prefix_keys, COUNT(prefix_keys)};

#define AT(member) offsetof(struct otd_settings_invalid, member)
static const struct otd_key invalid_keys[] = {
	LIMIT("shares", OTD_KEY_INT, shares, "500", 0, 1000000,
	      "refused shares of one worker at one address that are too many; it is told at half "
	      "of them; 0: never"),
	LIMIT("part", OTD_KEY_RATE, part_ppm, "50%", 10000, 1000000,
	      "they are too many only where they are this part of all of its shares"),
	LIMIT("window", OTD_KEY_DURATION, window_ms, "10m", 1000, 86400000,
	      "they are counted in so long"),
	LIMIT("ban", OTD_KEY_DURATION, ban_ms, "10m", 0, 7 * 86400000LL,
	      "the worker is closed and not let in from there for so long, and the address where "
	      "most of its "
	      "workers are like this; 0s: only closed"),
};
#undef AT
static const struct otd_key_table invalid_table = {invalid_keys, COUNT(invalid_keys)};

#define AT(member) offsetof(struct otd_settings_limits, member)
#define NETWORKS(key, member, key_help)                                            \
	{                                                                          \
		.name = (key), .type = OTD_KEY_TEXTS, .flags = OTD_KEY_RELOADABLE, \
		.offset = AT(member), .max = 10000, .help = (key_help)             \
	}
static const struct otd_key limits_keys[] = {
	LIMIT("line", OTD_KEY_SIZE, line_bytes, "10KiB", 1024, 1 << 20,
	      "longest line from a miner; a longer one closes the connection"),
	LIMIT("output", OTD_KEY_SIZE, output_bytes, "256KiB", 16384, 64 << 20,
	      "bytes that may wait for a client that does not read"),
	LIMIT("connections", OTD_KEY_INT, connections, "100000", 1, 10000000,
	      "connections at a time, all ports together"),
	LIMIT("connections_an_address", OTD_KEY_INT, connections_an_address, "4096", 1, 10000000,
	      "connections at a time of one IP address; a farm stands behind one"),
	LIMIT("new_connections_a_second", OTD_KEY_INT, new_connections_a_second, "512", 1, 1000000,
	      "new connections a second of one IP address"),
	LIMIT("new_connections_burst", OTD_KEY_INT, new_connections_burst, "2048", 1, 1000000,
	      "new connections of one IP address at once"),
	LIMIT("workers_an_account", OTD_KEY_INT, workers_an_account, "1000", 1, 100000,
	      "worker names that one account may have"),
	LIMIT("worker_name_bytes", OTD_KEY_SIZE, worker_name_bytes, "64", 1, 64,
	      "longest name of a worker"),
	LIMIT("handshake", OTD_KEY_DURATION, handshake_ms, "15s", 1000, 600000,
	      "a new connection has subscribed and authorized within this"),
	LIMIT("idle", OTD_KEY_DURATION, idle_ms, "30m", 10000, 7 * 86400000LL,
	      "silence of a miner after which it is dropped"),
	LIMIT("resume", OTD_KEY_DURATION, resume_ms, "10m", 0, 86400000LL,
	      "a miner whose connection was lost goes on with its extranonce1 and difficulty "
	      "within "
	      "this; 0s: never"),
	LIMIT("bad_lines", OTD_KEY_INT, bad_lines, "16", 1, 1000000,
	      "malformed lines after which a connection is closed"),
	LIMIT("lines_a_second", OTD_KEY_INT, lines_a_second, "2000", 0, 10000000,
	      "lines of one connection; who sends more is read more slowly; 0: no limit"),
	LIMIT("lines_burst", OTD_KEY_INT, lines_burst, "10000", 1, 10000000,
	      "lines of one connection at once"),
	LIMIT("bytes_a_second", OTD_KEY_SIZE, bytes_a_second, "512KiB", 0, 1LL << 30,
	      "bytes of one connection; who sends more is read more slowly; 0: no limit"),
	LIMIT("bytes_burst", OTD_KEY_SIZE, bytes_burst, "2MiB", 1024, 1LL << 30,
	      "bytes of one connection at once"),
	LIMIT("outstanding", OTD_KEY_INT, outstanding, "1024", 1, 65536,
	      "requests of one connection without an answer; no more are read until some are "
	      "answered"),
	{.name = "prefix",
	 .type = OTD_KEY_SECTION,
	 .offset = AT(prefix),
	 .sub = &prefix_table,
	 .help = "all connections of one network together"},
	{.name = "invalid",
	 .type = OTD_KEY_SECTION,
	 .offset = AT(invalid),
	 .sub = &invalid_table,
	 .help = "a worker that sends mostly shares that are refused"},
	NETWORKS("allow", allow,
		 "networks without limits by address and network: 10.1.0.0/16, or file:PATH with "
		 "one a line"),
	NETWORKS("deny", deny,
		 "networks that are not let in; of all that hold an address the smallest counts"),
	NETWORKS("grey", grey, "networks with a part of the limits by address"),
	LIMIT("grey_part", OTD_KEY_RATE, grey_ppm, "1%", 1, 1000000,
	      "that part of the limits, at least 1"),
};
#undef LIMIT
#undef NETWORKS
#undef AT
static const struct otd_key_table limits_table = {limits_keys, COUNT(limits_keys)};

#define LISTEN_KEYS(def_listen, what)                                         \
	{                                                                     \
		{.name = "listen",                                            \
		 .type = OTD_KEY_LISTEN,                                      \
		 .def = (def_listen),                                         \
		 .help = "HOST:PORT of " what},                               \
			{.name = "off",                                       \
			 .type = OTD_KEY_BOOL,                                \
			 .offset = offsetof(struct otd_settings_listen, off), \
			 .def = "false",                                      \
			 .help = "true: do not listen at all"},               \
	}
static const struct otd_key api_keys[] = LISTEN_KEYS("127.0.0.1:8080", "/health and /metrics");
static const struct otd_key_table api_table = {api_keys, COUNT(api_keys)};
static const struct otd_key metrics_keys[] = LISTEN_KEYS("127.0.0.1:9090", "/metrics");
static const struct otd_key_table metrics_table = {metrics_keys, COUNT(metrics_keys)};

#define AT(member) offsetof(struct otd_settings_journal, member)
static const struct otd_key journal_keys[] = {
	{.name = "segment",
	 .type = OTD_KEY_SIZE,
	 .offset = AT(segment_bytes),
	 .def = "64MiB",
	 .min = 1 << 20,
	 .max = 1LL << 30,
	 .help = "size of one file of shares"},
	{.name = "max",
	 .type = OTD_KEY_SIZE,
	 .offset = AT(max_bytes),
	 .def = "2GiB",
	 .min = 2 << 20,
	 .max = 1LL << 40,
	 .help = "most that a reactor's shares may take on disk; beyond it shares are refused "
		 "until "
		 "the database has caught up"},
	{.name = "coordinator_segment",
	 .type = OTD_KEY_SIZE,
	 .offset = AT(coordinator_segment_bytes),
	 .def = "16MiB",
	 .min = 1 << 20,
	 .max = 1LL << 30,
	 .help = "size of one file of the order of batches"},
	{.name = "coordinator_max",
	 .type = OTD_KEY_SIZE,
	 .offset = AT(coordinator_max_bytes),
	 .def = "1GiB",
	 .min = 2 << 20,
	 .max = 1LL << 40,
	 .help = "most that the order of batches may take on disk"},
	{.name = "commit",
	 .type = OTD_KEY_DURATION,
	 .offset = AT(commit_ms),
	 .def = "1s",
	 .min = 50,
	 .max = 60000,
	 .help = "between two transactions of the database; a block's is at once"},
	{.name = "snapshot",
	 .type = OTD_KEY_DURATION,
	 .offset = AT(snapshot_ms),
	 .def = "1m",
	 .min = 1000,
	 .max = 3600000,
	 .help = "between two saves of the payout schemes, from where a start plays the journal"},
	{.name = "keep",
	 .type = OTD_KEY_TEXT,
	 .offset = AT(keep),
	 .flags = OTD_KEY_RELOADABLE,
	 .def = "",
	 .help = "how long, and up to what size, segments stay in data_dir/archive that nothing "
		 "needs any more: 30d, 10GiB or '30d 10GiB'; empty: they are removed"},
	{.name = "compress",
	 .type = OTD_KEY_BOOL,
	 .offset = AT(compress),
	 .flags = OTD_KEY_RELOADABLE,
	 .def = "true",
	 .help = "the segments kept are packed, in the background"},
	{.name = "drop_unknown",
	 .type = OTD_KEY_BOOL,
	 .offset = AT(drop_unknown),
	 .def = "false",
	 .help = "true: start though shares that are not in the database yet are of a pool or "
		 "payout scheme that is not in this file, and drop them; for one start"},
};
#undef AT
static const struct otd_key_table journal_table = {journal_keys, COUNT(journal_keys)};

#define AT(member) offsetof(struct otd_settings_history, member)
static const struct otd_key history_keys[] = {
	{.name = "minutes",
	 .type = OTD_KEY_DURATION,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(minutes_ms),
	 .def = "48h",
	 .min = 25 * 3600000LL,
	 .max = 366 * 86400000LL,
	 .help = "counts of a minute are kept so long for each worker; older ones are summed by "
		 "the hour"},
	{.name = "hours",
	 .type = OTD_KEY_DURATION,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(hours_ms),
	 .def = "400d",
	 .min = 25 * 3600000LL,
	 .max = 36500 * 86400000LL,
	 .help = "sums of an hour are kept so long"},
};
#undef AT
static const struct otd_key_table history_table = {history_keys, COUNT(history_keys)};

#define AT(member) offsetof(struct otd_settings_miner, member)
static const struct otd_key miner_keys[] = {
	{.name = "account",
	 .type = OTD_KEY_TEXT,
	 .flags = OTD_KEY_REQUIRED,
	 .offset = AT(account),
	 .min = 1,
	 .max = 256,
	 .help = "address that it mines for"},
	{.name = "worker",
	 .type = OTD_KEY_TEXT,
	 .offset = AT(worker),
	 .def = "builtin",
	 .max = 255,
	 .help = "its worker name"},
	{.name = "pool",
	 .type = OTD_KEY_TEXT,
	 .flags = OTD_KEY_DERIVED,
	 .offset = AT(pool),
	 .min = 1,
	 .max = 64,
	 .help = "pool to mine on; default: the only one"},
	{.name = "threads",
	 .type = OTD_KEY_INT,
	 .offset = AT(threads),
	 .def = "1",
	 .min = 1,
	 .max = 1024,
	 .help = "processors that it uses"},
	{.name = "use",
	 .type = OTD_KEY_TEXT,
	 .offset = AT(use),
	 .def = "",
	 .max = 31,
	 .help = "id of a hardware plugin; empty: the best one"},
};
#undef AT
static const struct otd_key_table miner_table = {miner_keys, COUNT(miner_keys)};

#define AT(member) offsetof(struct otd_settings, member)
static const struct otd_key main_keys[] = {
	{.name = "data_dir",
	 .type = OTD_KEY_TEXT,
	 .offset = AT(data_dir),
	 .def = "/var/lib/otedama",
	 .min = 1,
	 .max = 1024,
	 .help = "folder for journals, the database and the control socket; one program uses it"},
	{.name = "socket",
	 .type = OTD_KEY_TEXT,
	 .flags = OTD_KEY_DERIVED,
	 .offset = AT(socket),
	 .min = 1,
	 .max = 107, /* sockaddr_un has room for 108 with its final zero */
	 .help = "control socket for status and other commands; default: otedama.sock in data_dir"},
	{.name = "plugins",
	 .type = OTD_KEY_SECTION,
	 .offset = AT(plugins),
	 .sub = &plugins_table,
	 .help = "which plugins are loaded, and from where; files that others can change are "
		 "refused"},
	{.name = "log",
	 .type = OTD_KEY_SECTION,
	 .offset = AT(log),
	 .sub = &log_table,
	 .help = "the log"},
	{.name = "threads",
	 .type = OTD_KEY_SECTION,
	 .offset = AT(threads),
	 .sub = &threads_table,
	 .help = "how many threads do the work"},
	{.name = "store",
	 .type = OTD_KEY_PLUGIN,
	 .flags = OTD_KEY_REQUIRED,
	 .offset = AT(store),
	 .select = "use",
	 .help = "the database"},
	{.name = "coin_dirs",
	 .type = OTD_KEY_TEXTS,
	 .offset = AT(coin_dirs),
	 .def = "[coins]",
	 .min = 1,
	 .max = 16,
	 .help = "folders with COIN.yaml, relative to that of this file"},
	{.name = "nodes",
	 .type = OTD_KEY_MAP,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(nodes),
	 .count_at = AT(n_nodes),
	 .max = 256,
	 .sub = &node_table,
	 .help = "the coins' nodes; pools name them"},
	{.name = "pools",
	 .type = OTD_KEY_MAP,
	 .flags = OTD_KEY_REQUIRED | OTD_KEY_RELOADABLE,
	 .offset = AT(pools),
	 .count_at = AT(n_pools),
	 .min = 1,
	 .max = 256,
	 .sub = &otd_keys_pool,
	 .help = "the pools: at least one"},
	{.name = "policies",
	 .type = OTD_KEY_POLICIES,
	 .flags = OTD_KEY_RELOADABLE,
	 .offset = AT(policies),
	 .max = 16,
	 .help = "Lua scripts that decide for all pools, or for those in pools: of an entry; asked "
		 "behind a pool's own"},
	{.name = "limits",
	 .type = OTD_KEY_SECTION,
	 .offset = AT(limits),
	 .sub = &limits_table,
	 .help = "what one client may take"},
	{.name = "api",
	 .type = OTD_KEY_SECTION,
	 .offset = AT(api),
	 .sub = &api_table,
	 .help = "HTTP for people and programs"},
	{.name = "metrics",
	 .type = OTD_KEY_SECTION,
	 .offset = AT(metrics),
	 .sub = &metrics_table,
	 .help = "HTTP for Prometheus"},
	{.name = "journal",
	 .type = OTD_KEY_SECTION,
	 .offset = AT(journal),
	 .sub = &journal_table,
	 .help = "the journals that make an accepted share durable"},
	{.name = "history",
	 .type = OTD_KEY_SECTION,
	 .offset = AT(history),
	 .sub = &history_table,
	 .help = "how long the database keeps counts of shares; money is kept for ever"},
	{.name = "miner",
	 .type = OTD_KEY_SECTION,
	 .offset = AT(miner),
	 .sub = &miner_table,
	 .flags = OTD_KEY_DERIVED, /* off unless it is there */
	 .help = "a miner inside this program, for a devnet; off unless the key is there"},
};
#undef AT
const struct otd_key_table otd_keys_main = {main_keys, COUNT(main_keys)};
