/* mse-shim: supervises one enclave, plays its CPU, and lives on when msed restarts. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "shim/config.h"
#include "shim/confine.h"
#include "shim/supervise.h"
#include "shim/world.h"

/* An enclave can bring about a line of it whenever it likes. */
#define MAX_OWN_LOG_SIZE (1024 * 1024)

static const char usage[] = "usage: mse-shim --dir FOLDER\n"
			    "Supervises the enclave of the app in FOLDER; started by msed.\n";

static int run(const char *dir, struct mse_error_info *err)
{
	mse_cleanup(mse_shim_config_freep) struct mse_shim_config *config = NULL;
	mse_autoclose int lock = -1;
	bool host_root;
	int result;

	if ((result = mse_world_enter(&host_root, err)) < 0 || (result = mse_confine(MSE_CONFINED_SHIM, err)) < 0 || (result = mse_secret_init(err)) < 0)
		return result;
	if (chdir(dir) < 0)
		return mse_fail_errno(err, "cannot enter '%s'", dir);
	if ((result = mse_file_lock(MSE_SHIM_LOCK_FILE, &lock, err)) < 0 || (result = mse_shim_config_read(MSE_SHIM_CONFIG_FILE, &config, err)) < 0)
		return result;
	return mse_supervise(config, host_root, err);
}

int main(int argc, char **argv)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct mse_error_info err;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("mse-shim %s\n", MSE_VERSION);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc != 3 || strcmp(argv[1], "--dir") != 0) {
		fputs(usage, stderr);
		return 2;
	}
	mse_log_open("mse-shim");
	mse_log_limit(MAX_OWN_LOG_SIZE);
	umask(077);
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	if (run(argv[2], &err) < 0) {
		mse_log("%s", err.message);
		return 1;
	}
	return 0;
}
