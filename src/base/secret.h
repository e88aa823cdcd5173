/* Secret memory: guarded by inaccessible pages, locked against swapping, left out of core dumps, wiped when freed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct mse_secret;

/* To be called once by each program before any other function here: prepares libsodium, turns core dumps off and
 * keeps other processes of the same user from reading this one's memory. */
int mse_secret_init(struct mse_error_info *err);

/* size in bytes, at most MSE_SECRET_MAX_SIZE; the content starts as zeros. Up to MSE_SECRET_ALWAYS_LOCKED, which no key exceeds, memory
 * that cannot be locked is an error; whether a larger one could not is told by mse_secret_some_unlocked(). */
#define MSE_SECRET_MAX_SIZE ((size_t)64 * 1024 * 1024)
#define MSE_SECRET_ALWAYS_LOCKED ((size_t)16 * 1024)
int mse_secret_new(size_t size, struct mse_secret **ret_secret, struct mse_error_info *err);
bool mse_secret_some_unlocked(void);
int mse_secret_copy(const void *data, size_t size, struct mse_secret **ret_secret, struct mse_error_info *err);
int mse_secret_random(size_t size, struct mse_secret **ret_secret, struct mse_error_info *err);
void mse_secret_free(struct mse_secret *secret);
MSE_DEFINE_CLEANUP(struct mse_secret, mse_secret_free)

uint8_t *mse_secret_data(struct mse_secret *secret);
const uint8_t *mse_secret_view(const struct mse_secret *secret);
size_t mse_secret_size(const struct mse_secret *secret);

/* Standard base64 into a secret, in constant time; MSE_ERR_INPUT unless it decodes to exactly `size` bytes (0: any number up to the limit). */
int mse_secret_from_base64(const char *text, size_t text_size, size_t size, struct mse_secret **ret_secret, struct mse_error_info *err);

/* Overwrites with zeros in a way that the compiler keeps. */
void mse_wipe(void *data, size_t size);

/* Compares in time that depends on size alone. */
bool mse_equal(const void *a, const void *b, size_t size);
