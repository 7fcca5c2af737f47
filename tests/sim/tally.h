/* A payout scheme in small for the simulation: the work since the last block divides it; a block
   that is orphaned gives its work back. Kind payout/1, id "tally". */
#ifndef OTD_SIM_TALLY_H
#define OTD_SIM_TALLY_H

#include <otedama/payout.h>

const struct otd_plugin_desc *tally_plugin(void);
/* So much too much does it credit: a scheme that is wrong. */
extern int tally_wrong_by;
/* payout/pplns, built in under another name (test.cmake): two plugins have the same entry. */
const struct otd_plugin_desc *sim_pplns_plugin(void);

#endif
