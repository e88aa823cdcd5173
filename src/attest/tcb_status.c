#include <string.h>

#include "attest/tcb.h"

static const struct {
	const char *name;
	unsigned findings;
} statuses[] = {
	{ "UpToDate", 0 },
	{ "SWHardeningNeeded", MSE_TCB_SW_HARDENING },
	{ "ConfigurationNeeded", MSE_TCB_CONFIGURATION },
	{ "ConfigurationAndSWHardeningNeeded", MSE_TCB_CONFIGURATION | MSE_TCB_SW_HARDENING },
	{ "OutOfDate", MSE_TCB_OUT_OF_DATE },
	{ "OutOfDateConfigurationNeeded", MSE_TCB_OUT_OF_DATE | MSE_TCB_CONFIGURATION },
	{ "TDRelaunchAdvised", MSE_TCB_RELAUNCH },
	{ "TDRelaunchAdvisedConfigurationNeeded", MSE_TCB_RELAUNCH | MSE_TCB_CONFIGURATION },
	{ "Revoked", MSE_TCB_REVOKED },
};
#define STATUS_COUNT (sizeof statuses / sizeof statuses[0])

const char *mse_tcb_status_name(unsigned findings)
{
	for (size_t i = 0; i < STATUS_COUNT; i++)
		if (statuses[i].findings == findings)
			return statuses[i].name;
	return NULL;
}

bool mse_tcb_status_parse(const char *name, unsigned *ret_findings)
{
	for (size_t i = 0; i < STATUS_COUNT; i++)
		if (strcmp(statuses[i].name, name) == 0) {
			*ret_findings = statuses[i].findings;
			return true;
		}
	return false;
}

unsigned mse_tcb_status_converge(unsigned platform, unsigned qe)
{
	unsigned both = platform | qe;

	if ((both & MSE_TCB_REVOKED) != 0)
		return MSE_TCB_REVOKED;
	if ((both & MSE_TCB_OUT_OF_DATE) != 0)
		both &= ~(unsigned)(MSE_TCB_SW_HARDENING | MSE_TCB_RELAUNCH);
	return both;
}
