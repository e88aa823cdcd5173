/* What an app has less of here than an app should have, by name: said by its shim in its status (shim/control.h), kept by msed and
 * shown to owners. A module that has to do without something adds its flag, and what is done without stands in one table. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

enum mse_weaker {
	MSE_WEAKER_USER = 1 << 0,    /* no user of its own */
	MSE_WEAKER_HOME = 1 << 1,    /* $HOME is in memory */
	MSE_WEAKER_LIMITS = 1 << 2,  /* no limits of memory, CPU and processes */
	MSE_WEAKER_OFFLINE = 1 << 3, /* no outgoing connections, although the manifest allows them */
	MSE_WEAKER_LISTENER = 1 << 4, /* connections of users can be turned round */
};
#define MSE_WEAKER_COUNT 5
/* All names, a space between them. */
#define MSE_WEAKER_TEXT_SIZE 128

/* Of the bit with this index: "user", and a sentence without a full stop. */
const char *mse_weaker_name(unsigned index);
const char *mse_weaker_text(unsigned index);

/* The names of what is set, in the table's order, and back; "" is nothing. MSE_ERR_INPUT for a name that is not in the table. */
void mse_weaker_format(uint32_t weaker, char text[static MSE_WEAKER_TEXT_SIZE]);
int mse_weaker_parse(const char *text, uint32_t *ret_weaker, struct mse_error_info *err);
/* [{"name", "text"}, …]; NULL when memory is out. */
json_t *mse_weaker_json(uint32_t weaker);
