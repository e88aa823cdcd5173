/* A verdict as people and programs see it. */
#pragma once

#include "base/json.h"
#include "cli/cli.h"
#include "mse/attest.h"

/* Sets verdict, tee, simulated, status, advisories and checks in the object. */
int mse_verdict_view_add(json_t *json, const struct mse_verdict *verdict, struct mse_error_info *err);
/* One line per check, expected and found where it failed. */
void mse_verdict_view_print(struct mse_cli *cli, const struct mse_verdict *verdict);
/* Whether the evidence is a simulation's, and was not accepted as one: not allowed, or not the pinned one. */
bool mse_verdict_view_refused_simulation(const struct mse_verdict *verdict);
