/* otedama journal: what its verbs have in common. */
#ifndef OTD_APP_CMD_JOURNAL_H
#define OTD_APP_CMD_JOURNAL_H

#include "app/app.h"
#include "app/cmd/args.h"

extern const struct otd_cmd otd_cmd_journal_verify;
extern const struct otd_cmd otd_cmd_journal_dump;
extern const struct otd_cmd otd_cmd_journal_replay;

/* A data folder that is looked at. */
struct otd_journal_tool {
	struct otd_app app; /* its settings are NULL where only a folder was given */
	bool live;          /* a pool uses it */
	char pid[24];       /* of that pool */
	int fd;             /* of the lock, shared with other readers; -1: live, or there is none */
};

/*
 * config, data_dir: one of them may be NULL; data_dir is stronger. While t lives no pool starts on the folder,
 * unless one runs already. t is to be finished in any case.
 */
otd_rc otd_journal_tool_init(struct otd_journal_tool *t, const char *config, const char *data_dir,
			     struct otd_err *err);
void otd_journal_tool_finish(struct otd_journal_tool *t);

/* "2.5 MiB" for people. */
#define OTD_JOURNAL_SIZE 24
char *otd_journal_size(char to[OTD_JOURNAL_SIZE], uint64_t bytes);

#endif
