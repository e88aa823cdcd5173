/* The inside of the simulated platform, shared by sim_pki.c, sim_collateral.c and sim_cpu.c. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/secret.h"
#include "tee/sim_pki.h"

#define MSE_SIM_SEALING_SECRET_SIZE 32

/* The simulated quoting enclave: what its report says and the signed QE identity repeats. None of Intel's values. */
#define MSE_SIM_QE_ISV_PROD_ID 1
#define MSE_SIM_QE_ISV_SVN 1
#define MSE_SIM_QE_SIGNER "MSE SIMULATION quoting enclave signer"
#define MSE_SIM_QE_MEASUREMENT "MSE SIMULATION quoting enclave"
#define MSE_SIM_ENCLAVE_SIGNER "MSE SIMULATION enclave signer"

/* The simulated platform's TCB: every component at this security version. */
#define MSE_SIM_COMPONENT_SVN 5
#define MSE_SIM_PCE_SVN 5
#define MSE_SIM_FMSPC "MSESIM"

/* In the order in which they come to be: each is complete and durable before the next one begins, so that a file that is
 * missing while a later one is there was not lost by a crash. */
enum mse_sim_file {
	MSE_SIM_FILE_SECRET, MSE_SIM_FILE_PLATFORM,
	MSE_SIM_FILE_ROOT_KEY, MSE_SIM_FILE_ROOT_CERT, MSE_SIM_FILE_PCK_CA_KEY, MSE_SIM_FILE_PCK_CA_CERT,
	MSE_SIM_FILE_PCK_KEY, MSE_SIM_FILE_PCK_CERT, MSE_SIM_FILE_TCB_KEY, MSE_SIM_FILE_TCB_CERT,
	MSE_SIM_FILE_TCB_INFO, MSE_SIM_FILE_QE_IDENTITY, MSE_SIM_FILE_ROOT_CRL, MSE_SIM_FILE_PCK_CRL, MSE_SIM_FILE_STATE,
	MSE_SIM_FILE_COUNT
};

extern const char *const mse_sim_file_names[MSE_SIM_FILE_COUNT];

/* Every holder of a key: its files are MSE_SIM_FILE_ROOT_KEY + 2 * holder and the next. */
enum mse_sim_holder { MSE_SIM_HOLDER_ROOT, MSE_SIM_HOLDER_PCK_CA, MSE_SIM_HOLDER_PCK, MSE_SIM_HOLDER_TCB, MSE_SIM_HOLDER_COUNT };

/* The folder's identity, keys and certificates in memory. */
struct mse_sim_pki {
	const char *dir;
	int64_t now;
	uint8_t ppid[16];
	uint8_t piid[16];
	EVP_PKEY *key[MSE_SIM_HOLDER_COUNT];
	X509 *cert[MSE_SIM_HOLDER_COUNT];
};

bool mse_sim_file_exists(const char *dir, enum mse_sim_file file);
int mse_sim_file_read(const char *dir, enum mse_sim_file file, uint8_t **ret_data, size_t *ret_size, struct mse_error_info *err);
int mse_sim_file_write(const char *dir, enum mse_sim_file file, const void *data, size_t size, mode_t mode, struct mse_error_info *err);
/* The error for a file that does not fit: what is wrong with it and what to do. */
int mse_sim_broken(struct mse_error_info *err, const char *dir, enum mse_sim_file file, const char *why);

/* Signs collateral for this drill (every status a name) unless what is there is of the same drill and lasts long enough. */
int mse_sim_collateral_ensure(const struct mse_sim_pki *pki, const struct mse_sim_drill *drill, struct mse_error_info *err);

struct mse_sim_platform {
	EVP_PKEY *pck_key;
	EVP_PKEY *attestation_key;
	uint8_t *chain; /* PEM: PCK, PCK CA, root */
	size_t chain_size;
	struct mse_secret *sealing_secret;
};

/* ECDSA with SHA-256 in the raw form of quotes and collateral. */
int mse_sim_sign(EVP_PKEY *key, const void *message, size_t size, uint8_t ret_signature[static 64], struct mse_error_info *err);
/* SHA-256 of a text: the simulation's stand-ins for measurements and signers. */
void mse_sim_digest(const char *text, uint8_t ret_digest[static 32]);
