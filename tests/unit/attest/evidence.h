/* Sets of evidence for tests: a quote with its collateral, loaded from real vectors or made by the simulation. */
#pragma once

#include "../test.h"

#include <stdbool.h>

#include "base/cleanup.h"
#include "mse/attest.h"

struct evidence_file {
	uint8_t *data;
	size_t size;
};

struct evidence {
	struct evidence_file quote;
	struct evidence_file tcb_info, tcb_chain, qe_identity, qe_chain, root_crl, pck_crl;
	int64_t time;
	const uint8_t *simulation_root;
	const char *const *accepted;
};

/* Where the vectors are: $MSE_VECTORS, or ../shared/vectors beside the source tree; NULL where there are none. */
const char *vectors_folder(void);
/* For the start of a test that needs them: fails in CI, skips elsewhere, saying so. */
void need_vectors(void);

/* A file below the vectors' folder; fails the test when it is not there. */
struct evidence_file vector_file(const char *set, const char *name);
/* quote.bin and all collateral of a set under its usual names, at the set's pinned time. */
void load_vector(struct evidence *evidence, const char *set);
void evidence_clear(struct evidence *evidence);
void file_clear(struct evidence_file *file);
void file_replace(struct evidence_file *file, struct evidence_file by);

/* What mse_attest_verify() says; a verdict always comes back. */
struct mse_verdict *verify_evidence(const struct evidence *evidence);

enum mse_check_result check_result(const struct mse_verdict *verdict, const char *name);
const char *check_found(const struct mse_verdict *verdict, const char *name);
/* Exactly these checks failed (names with a space between them), and the verdict accordingly. */
void assert_failed_checks(const struct mse_verdict *verdict, const char *names);

/* The same quote with other certification data in it. */
struct evidence_file quote_with_chain(struct evidence_file quote, const void *pem, size_t size);
/* The PEM text within a quote. */
struct evidence_file chain_of_quote(struct evidence_file quote);
