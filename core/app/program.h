/* How this process was started: what another one is started with that is to take its place. */
#ifndef OTD_APP_PROGRAM_H
#define OTD_APP_PROGRAM_H

struct otd_program {
	char path[4096];   /* at start; another file may lie there now */
	int file;          /* open on what runs; -1: it could not be opened */
	char *const *args; /* behind "serve" */
	int n_args;
};
void otd_program_init(struct otd_program *p, int n_args, char *const *args);
/* argv for file (NULL: the program's own path), with this last word, ended by NULL; free() it. */
const char **otd_program_argv(const struct otd_program *p, const char *file, const char *option);

#endif
