/* Names of the simulation that a verifier must know to never take it for hardware, and to say so. No trust is in them: the
 * simulation root that counts is pinned by the caller. */
#pragma once

#include <stdint.h>

#define MSE_SIM_ROOT_NAME "MSE SIMULATION Root CA - NOT HARDWARE"
#define MSE_SIM_PCK_CA_NAME "MSE SIMULATION PCK Platform CA"
#define MSE_SIM_PCK_NAME "MSE SIMULATION PCK Certificate"
#define MSE_SIM_TCB_SIGNING_NAME "MSE SIMULATION TCB Signing"

/* Quoting enclave vendor id in the quote's header: 16 bytes. */
#define MSE_SIM_QE_VENDOR_ID "MSE SIMULATION\0\0"
