#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "enclave/enclave.h"
#include "python/host.h"

#define SECRETS_DIR MSE_ENCLAVE_HOME_DIR "/.cache/mse"
#define SECRETS_PATH SECRETS_DIR "/secrets.json"
#define TMPDIR MSE_ENCLAVE_HOME_DIR "/.tmp"
#define DRAIN_MS 3000
#define OLDEST_MINOR 11

/* A restart finds them where they were, and perhaps no room to write them again. */
static bool secrets_are_there(const struct mse_secret *secrets)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *there = NULL;

	return mse_file_read_secret(SECRETS_PATH, mse_secret_size(secrets), &there, NULL) == 0 && mse_secret_size(there) == mse_secret_size(secrets) &&
	       mse_equal(mse_secret_view(there), mse_secret_view(secrets), mse_secret_size(secrets));
}

static int write_secrets(const struct mse_secret *secrets, struct mse_error_info *err)
{
	mse_autoclose int fd = -1;
	int result = mse_dir_make(SECRETS_DIR, 0700, err);

	if (result < 0 || secrets == NULL || secrets_are_there(secrets))
		return result;
	fd = open(SECRETS_PATH, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return mse_fail_errno(err, "cannot create %s", SECRETS_PATH);
	return mse_fd_write(fd, mse_secret_view(secrets), mse_secret_size(secrets), err);
}

int mse_app_set_environment(const struct mse_manifest *manifest, struct mse_error_info *err)
{
	static const char *const variables[][2] = {
		{ "HOME", MSE_ENCLAVE_HOME_DIR }, { "SECRETS_PATH", SECRETS_PATH }, { "TMP_PATH", MSE_ENCLAVE_TMP_DIR }, { "MODULE_PATH", MSE_ENCLAVE_APP_DIR },
		{ "TMPDIR", TMPDIR }, { "PATH", "/usr/local/bin:/usr/bin:/bin" }, { "LANG", "C.UTF-8" },
	};
	int result = clearenv();

	for (size_t i = 0; result == 0 && i < sizeof variables / sizeof variables[0]; i++)
		result = setenv(variables[i][0], variables[i][1], 1);
	for (size_t i = 0; result == 0 && i < manifest->image_env_count; i++)
		result = setenv(manifest->image_env[i].name, manifest->image_env[i].value, 1);
	return result != 0 ? mse_fail_errno(err, "cannot set the environment") : 0;
}

static int make_surroundings(struct mse_error_info *err)
{
	/* What is sealed is in memory as files by now. */
	close(MSE_ENCLAVE_BUNDLE_FD);
	if (chdir(MSE_ENCLAVE_APP_DIR) < 0)
		return mse_fail_errno(err, "cannot enter %s", MSE_ENCLAVE_APP_DIR);
	return mse_dir_make(TMPDIR, 0700, err);
}

/* The minor version in "libpython3.<minor>.so.1.0", or -1; "libpython3.13t.so.1.0", free-threaded, is none of ours. */
static int minor_version(const char *name)
{
	static const char before[] = "libpython3.", after[] = ".so.1.0";
	size_t size = strlen(name);
	char digits[4] = "";
	uint64_t minor;
	struct mse_error_info ignored;

	if (size <= sizeof before + sizeof after - 2 || strncmp(name, before, sizeof before - 1) != 0 ||
	    strcmp(name + size - (sizeof after - 1), after) != 0)
		return -1;
	size -= sizeof before + sizeof after - 2;
	if (size > sizeof digits - 1)
		return -1;
	memcpy(digits, name + sizeof before - 1, size);
	return mse_parse_u64(digits, 0, 999, &minor, "a version", &ignored) < 0 ? -1 : (int)minor;
}

/* The newest shared libpython of the image that this release runs. */
static int find_libpython(char **ret_path, struct mse_error_info *err)
{
	static const char *const folders[] = { "/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib" };
	int best = -1, oldest_seen = -1;
	int result;

	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		DIR *dir = opendir(folders[i]);
		struct dirent *entry;

		while (dir != NULL && (entry = readdir(dir)) != NULL) {
			int minor = minor_version(entry->d_name);

			oldest_seen = minor > oldest_seen ? minor : oldest_seen;
			if (minor < OLDEST_MINOR || minor <= best)
				continue;
			free(mse_steal(*ret_path));
			if ((result = mse_path_join(folders[i], entry->d_name, ret_path, err)) < 0) {
				closedir(dir);
				return result;
			}
			best = minor;
		}
		if (dir != NULL)
			closedir(dir);
	}
	if (best >= 0)
		return 0;
	if (oldest_seen >= 0)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the image has Python 3.%d, needed is 3.%d or later", oldest_seen, OLDEST_MINOR);
	return mse_fail(err, MSE_ERR_UNSUPPORTED, "the image has no shared libpython (libpython3.11.so.1.0 or later, not free-threaded)");
}

static int load_python(int (**ret_main)(const struct mse_python_host *), struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result = find_libpython(&path, err);
	void *module;

	if (result < 0)
		return result;
	if (dlopen(path, RTLD_NOW | RTLD_GLOBAL) == NULL)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the image's libpython cannot be loaded: %s", dlerror());
	module = dlopen(MSE_ENCLAVE_LIB_DIR "/" MSE_ENCLAVE_PYTHON_HOST_NAME, RTLD_NOW);
	if (module == NULL)
		return mse_fail(err, MSE_ERR_INTERNAL, "libmse_python.so cannot be loaded: %s", dlerror());
	*ret_main = (int (*)(const struct mse_python_host *))dlsym(module, MSE_PYTHON_MAIN);
	if (*ret_main == NULL)
		return mse_fail(err, MSE_ERR_INTERNAL, "libmse_python.so has no %s", MSE_PYTHON_MAIN);
	return 0;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in address = { 0 };
	socklen_t size = sizeof address;

	return getsockname(fd, (struct sockaddr *)&address, &size) == 0 && address.sin_family == AF_INET ? ntohs(address.sin_port) : 0;
}

static void on_serving(void *context)
{
	struct mse_enclave *enclave = context;

	if (mse_enclave_enter(enclave, MSE_PHASE_SERVING))
		mse_enclave_tell_status(enclave, MSE_ENCLAVE_SERVING);
}

static void on_failed(void *context, const char *what)
{
	mse_enclave_log(context, "%s", what);
}

static void log_line(void *context, const char *line)
{
	mse_enclave_log(context, "%s", line);
}

static int next_request(void *context, int timeout_ms, struct mse_http_request **ret_request, struct mse_error_info *err)
{
	struct mse_enclave *enclave = context;

	return mse_http_queue_pop(enclave->app_queue, timeout_ms, ret_request, err);
}

static struct mse_python_host make_host(struct mse_enclave *enclave)
{
	return (struct mse_python_host){
		.abi = MSE_PYTHON_ABI,
		.size = sizeof(struct mse_python_host),
		.context = enclave,
		.module_path = MSE_ENCLAVE_APP_DIR,
		.application = enclave->application,
		.server_name = enclave->manifest->tls_names[0],
		.server_port = port_of(MSE_ENCLAVE_LISTEN_FD),
		.threads = enclave->manifest->threads < MSE_PYTHON_MAX_THREADS ? (unsigned)enclave->manifest->threads : MSE_PYTHON_MAX_THREADS,
		.drain_ms = DRAIN_MS,
		.on_serving = on_serving,
		.on_failed = on_failed,
		.log = log_line,
		.next_request = next_request,
		.request_unref = mse_http_request_unref,
		.request_method = mse_http_request_method,
		.request_target = mse_http_request_target,
		.request_path = mse_http_request_path,
		.request_query = mse_http_request_query,
		.request_minor_version = mse_http_request_minor_version,
		.request_header_count = mse_http_request_header_count,
		.request_header_at = mse_http_request_header_at,
		.request_host = mse_http_request_host,
		.request_scheme = mse_http_request_scheme,
		.request_peer_address = mse_http_request_peer_address,
		.request_peer_port = mse_http_request_peer_port,
		.request_content_length = mse_http_request_content_length,
		.request_has_body = mse_http_request_has_body,
		.request_is_closed = mse_http_request_is_closed,
		.request_read = mse_http_request_read,
		.request_abort = mse_http_request_abort,
		.response_start = mse_http_response_start,
		.response_write = mse_http_response_write,
		.response_end = mse_http_response_end,
	};
}

enum mse_enclave_status mse_app_run(struct mse_enclave *enclave)
{
	/* The interpreter refers to it until the process ends. */
	static struct mse_python_host host;
	int (*python_main)(const struct mse_python_host *) = NULL;
	struct mse_error_info err;
	int result;

	if ((result = write_secrets(enclave->state.app_secrets, &err)) < 0 || (result = make_surroundings(&err)) < 0) {
		mse_enclave_log(enclave, "%s", err.message);
		return MSE_ENCLAVE_INTERNAL_ERROR;
	}
	if ((result = load_python(&python_main, &err)) < 0) {
		mse_enclave_log(enclave, "%s", err.message);
		return result == MSE_ERR_UNSUPPORTED ? MSE_ENCLAVE_PYTHON_MISSING : MSE_ENCLAVE_INTERNAL_ERROR;
	}
	host = make_host(enclave);
	result = python_main(&host);
	if (result == 0)
		return MSE_ENCLAVE_STOPPED;
	return result == MSE_ERR_INPUT || result == MSE_ERR_UNSUPPORTED ? MSE_ENCLAVE_IMPORT_FAILED : MSE_ENCLAVE_INTERNAL_ERROR;
}
