/* PEM (RFC 7468), strictly: blocks of one label, white space between them, nothing else. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/view.h"

/* Takes the next block from the front of *text: its bytes, newly allocated, at most max_size. MSE_ERR_NOT_FOUND when only
 * white space (and the NUL bytes that some writers leave at the end) is left. */
int mse_pem_next(struct mse_view *text, const char *label, size_t max_size, uint8_t **ret_der, size_t *ret_size, struct mse_error_info *err);
