/* A reactor process: what `otedama` does under OTD_REACTOR_VERB. Not a command for people. */
#ifndef OTD_APP_REACTOR_PROCESS_H
#define OTD_APP_REACTOR_PROCESS_H

#define OTD_REACTOR_VERB "reactor-process"

/* Ends when the pool's end of its link is closed. Exit status. */
int otd_reactor_process_main(void);

#endif
