/* What an enclave sends to its shim: any bytes, cut by the first one, to the channel's server over a real socket. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "shim/channel_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct ended {
	struct event_base *base;
	struct mse_channel_server *server;
};

static char dir[] = "/tmp/mse-fuzz-shim-XXXXXX";
static struct mse_channel_services services;

static void remove_dir(void)
{
	mse_log_file_free(services.log);
	if (chdir("/") == 0)
		mse_tree_remove(dir, NULL);
}

static void prepare(void)
{
	struct mse_sim_platform *platform;

	if (mkdtemp(dir) == NULL || chdir(dir) < 0 || mse_secret_init(NULL) < 0 || mse_sim_pki_ensure("sim", mse_time_now(), NULL, NULL) < 0 ||
	    mse_sim_pki_load("sim", &platform, NULL) < 0 || mse_log_file_open("log", 1024 * 1024, &services.log, NULL) < 0)
		abort();
	atexit(remove_dir);
	services.platform = platform;
	services.sim_dir = "sim";
	mse_channel_services_init(&services);
}

static void on_status(void *context, enum mse_enclave_status status)
{
	(void)context;
	if (mse_enclave_status_name(status)[0] == 'u')
		abort();
}

static void on_metrics(void *context, const struct mse_shim_metrics *metrics)
{
	(void)context;
	(void)metrics;
}

static void on_open_storage(void *context, bool fresh, const uint8_t key[static MSE_STORAGE_KEY_SIZE])
{
	struct ended *ended = context;

	/* Now, or never. */
	if (key[0] != 0)
		mse_channel_server_storage(ended->server, fresh);
}

static void on_closed(void *context, const char *fault)
{
	struct ended *ended = context;

	(void)fault;
	mse_channel_server_free(ended->server);
	ended->server = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mse_channel_events events = { on_status, on_metrics, on_open_storage, on_closed };
	struct ended ended = { event_base_new(), NULL };
	size_t piece = size == 0 ? 1 : 1u + data[0];
	int pair[2];

	if (services.log == NULL)
		prepare();
	if (ended.base == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
	    mse_channel_server_new(ended.base, pair[0], &services, &events, &ended, &ended.server, NULL) < 0)
		abort();
	for (size_t at = 1; at < size && ended.server != NULL; at += piece) {
		uint8_t answers[65536];

		if (send(pair[1], data + at, size - at < piece ? size - at : piece, MSG_NOSIGNAL) < 0)
			break;
		event_base_loop(ended.base, EVLOOP_NONBLOCK);
		while (recv(pair[1], answers, sizeof answers, 0) > 0)
			;
	}
	close(pair[1]);
	/* However it went, the end of the channel is found. */
	if (ended.server != NULL)
		event_base_dispatch(ended.base);
	if (ended.server != NULL)
		abort();
	event_base_free(ended.base);
	return 0;
}
