/* The hidden command OTD_PLUGIN_TRIAL_VERB: FILE CPU-SECONDS. */
#ifndef OTD_APP_CMD_TRIAL_H
#define OTD_APP_CMD_TRIAL_H

/* argv begins behind the verb. The exit status. */
int otd_trial_main(int argc, char **argv);

#endif
