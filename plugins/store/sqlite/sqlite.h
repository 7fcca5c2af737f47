/* What the files of this plugin share: an instance, its file system for SQLite, its statements. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <otedama/files.h>
#include <otedama/store.h>
#include <sqlite3.h>

#define SQLITE_STATEMENTS 64u         /* kept prepared */
#define SQLITE_SQL_MAX    (64u << 10) /* bytes of one statement */
#define SQLITE_PATH_MAX   200         /* bytes of the database's name; SQLite appends "-journal" */

struct store_options {
	const char *path;
	int64_t busy_timeout_ms;
	int64_t cache_bytes;
};

struct store_statement {
	sqlite3_stmt *stmt; /* NULL: the place is free */
	char *sql;          /* as the host wrote it */
	uint64_t hash, used;
	bool busy; /* being stepped; a row callback may ask for it again */
};

/* A file system for SQLite over one table of files. */
struct store_vfs {
	struct otd_instance *in;
	const struct otd_files *files;
	sqlite3_vfs vfs;
	char name[40];
	bool registered;
};

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
	const struct otd_host_clock *clock;
	const struct otd_files *files;
	const struct store_options *opt;
	struct store_vfs vfs;
	uint64_t seed;      /* of names of temporary files and of what SQLite asks at random */
	char io_error[200]; /* the last failure of the files service, in words */
	sqlite3 *db;
	struct store_backup *backup; /* NULL: none is under way */
	bool in_transaction;         /* begin() succeeded, neither commit() nor rollback() came */
	uint64_t uses;
	struct store_statement statements[SQLITE_STATEMENTS];
};

/* vfs.c: registers a file system of a name of its own; undone by store_vfs_finish. v stays where it
   is and is zeroed at first. */
otd_rc store_vfs_init(struct store_vfs *v, struct otd_instance *in, const struct otd_files *files);
void store_vfs_finish(struct store_vfs *v);

/* backup.c: the operation; and the end of a copy that is under way, before the database is closed. */
otd_rc store_backup_step(struct otd_instance *in, const struct otd_files *files, uint32_t pages,
			 uint32_t *left);
void store_backup_end(struct otd_instance *in);

/* statement.c */
/* Looks up or prepares; own says that the caller finalizes it, not the cache. */
otd_rc store_prepare(struct otd_instance *in, struct store_statement *out,
		     struct store_statement **cached, const char *sql);
/* Takes back what store_prepare gave. */
void store_release(struct otd_instance *in, struct store_statement *st,
		   struct store_statement *cached);
void store_statements_finish(struct otd_instance *in);
otd_rc store_bind(struct otd_instance *in, sqlite3_stmt *stmt, const struct otd_value *values,
		  size_t stride, size_t n);
/* Row columns as the host wants them. */
otd_rc store_columns(struct otd_instance *in, sqlite3_stmt *stmt, const uint32_t *wants, size_t n,
		     struct otd_value *out);

/* sqlite.c: the code of an SQLite result, its words set by the host's set_error. */
otd_rc store_failed(struct otd_instance *in, const char *doing);
otd_rc store_code(int extended);

#endif
