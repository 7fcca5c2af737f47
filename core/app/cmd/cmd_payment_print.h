/* Answers of the payer, for people. */
#ifndef OTD_APP_CMD_PAYMENT_PRINT_H
#define OTD_APP_CMD_PAYMENT_PRINT_H

#include <jansson.h>

/* Prints the answer to verb on stdout. */
void otd_payment_print(const char *verb, const json_t *answer);

#endif
