#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/view.h"
#include "bundle/tree_scan.h"
#include "crypto/hash.h"
#include "shim/cgroup.h"
#include "shim/log_file.h"
#include "tee/sim_pki.h"

#define MAX_LIVING 8

struct mse_error_info err;
static struct app *living[MAX_LIVING];
static const char *shim_program, *stand_in;

/* ---- an app's folder ---- */

const char *path_in(const struct app *app, const char *name)
{
	static char paths[8][256];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof paths[0], "%s/%s", app->root, name);
	return path;
}

void put(const struct app *app, const char *name, const char *text, mode_t mode)
{
	assert_works(mse_file_write(path_in(app, name), text, strlen(text), mode, &err));
}

static void copy(const struct app *app, const char *from, const char *to)
{
	mse_autofree uint8_t *data = NULL;
	size_t size;

	assert_works(mse_file_read(from, 64u << 20, &data, &size, &err));
	assert_works(mse_file_write(path_in(app, to), data, size, 0755, &err));
}

void make_image(const struct app *app)
{
	static const char *const dirs[] = { "usr", "usr/share", "etc", "dev", "proc", "sys", "root", "tmp", "run", "mse", "home" };

	assert_works(mse_dir_make(path_in(app, "image"), 0755, &err));
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
		char name[64];

		snprintf(name, sizeof name, "image/%s", dirs[i]);
		assert_works(mse_dir_make(path_in(app, name), 0755, &err));
	}
	put(app, "image/usr/share/marker", "of the image", 0644);
	put(app, "image/etc/image-release", "1", 0644);
	put(app, "image/root/secret", "not to be seen", 0644);
	put(app, "image/mse/manifest.json", "not the manifest", 0644);
	assert_int_equal(symlink("usr/share", path_in(app, "image/shortcut")), 0);
}

/* Below the ports that the kernel gives to outgoing connections, which could take it before the shim does. */
static uint16_t free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int bound = -1;

	for (unsigned tries = 0; tries < 1000 && bound < 0; tries++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		uint16_t random;

		assert_int_equal(getrandom(&random, sizeof random, 0), sizeof random);
		address.sin_port = htons((uint16_t)(10000 + random % 10000));
		bound = bind(fd, (struct sockaddr *)&address, sizeof address);
		close(fd);
	}
	assert_int_equal(bound, 0);
	return ntohs(address.sin_port);
}

char *copy_text(const char *text)
{
	char *copied = strdup(text);

	assert_non_null(copied);
	return copied;
}

static void make_manifest(struct app *app, const char *words)
{
	struct mse_manifest *manifest = mse_manifest_new();

	/* Control groups are named by it, for the whole machine. */
	assert_int_equal(getrandom(manifest->instance_id, sizeof manifest->instance_id, 0), sizeof manifest->instance_id);
	manifest->runtime_security_version = 7;
	manifest->runtime_file_count = 2;
	manifest->runtime_files[0].name = copy_text("libtest.so");
	manifest->runtime_files[1].name = copy_text("mse-enclave");
	assert_works(mse_sha256_file(path_in(app, "lib/libtest.so"), manifest->runtime_files[0].sha256, NULL, &err));
	assert_works(mse_sha256_file(path_in(app, "bin/mse-enclave"), manifest->runtime_files[1].sha256, NULL, &err));
	manifest->image_name = copy_text("nothing");
	assert_works(mse_tree_digest_dir(path_in(app, "image"), MSE_TREE_IMAGE, manifest->image_digest, &err));
	manifest->app_name = copy_text("demo");
	manifest->app_project = copy_text("default");
	manifest->healthcheck_endpoint = copy_text("/health?deep=1");
	assert_works(mse_sha256(words, strlen(words), manifest->bundle_sha256, &err));
	memcpy(manifest->owner_key, app->owner.public_key, sizeof manifest->owner_key);
	manifest->tls_name_count = 1;
	manifest->tls_names[0] = copy_text("0123456789ab.mse.localhost");
	manifest->memory = 64u << 20;
	manifest->cpu_millis = 380;
	manifest->storage = 8u << 20;
	manifest->threads = 2;
	manifest->expires_at = mse_time_now() + 3600;
	app->manifest = manifest;
}

static void make_config(struct app *app)
{
	struct mse_shim_config *config = mse_shim_config_new();

	mse_hex_encode(config->instance_id, app->manifest->instance_id, MSE_INSTANCE_ID_SIZE);
	config->image = copy_text(path_in(app, "image"));
	config->image_cache = copy_text(path_in(app, "image.cache"));
	config->program = copy_text(path_in(app, "bin/mse-enclave"));
	config->lib_dir = copy_text(path_in(app, "lib"));
	config->sim_dir = copy_text(path_in(app, "sim"));
	config->uid = config->gid = app->user == 0 ? APP_UID : 0;
	config->port = free_port();
	config->restart_failures = 3;
	/* Nobody gives an ordinary user control groups here. */
	config->insecure_unlimited = app->user != 0;
	app->config = config;
}

/* Writes what msed writes. */
void write_files(struct app *app)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = NULL;
	uint8_t measurement[32], signature[MSE_SIGNATURE_SIZE];

	assert_works(mse_manifest_encode(app->manifest, &bytes, &err));
	assert_works(mse_measurement(mse_buffer_data(bytes), mse_buffer_size(bytes), measurement, &err));
	assert_works(mse_manifest_sign(&app->owner, measurement, signature, &err));
	assert_works(mse_file_write(path_in(app, "app/manifest.json"), mse_buffer_data(bytes), mse_buffer_size(bytes), 0600, &err));
	assert_works(mse_file_write(path_in(app, "app/manifest.sig"), signature, sizeof signature, 0600, &err));
	assert_works(mse_shim_config_write(path_in(app, "app/shim.json"), app->config, &err));
}

static uid_t new_owner;

static int change_owner(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return lchown(path, new_owner, new_owner);
}

struct app *new_app_for(const char *words, uid_t user)
{
	struct app *app = calloc(1, sizeof *app);

	assert_non_null(app);
	snprintf(app->root, sizeof app->root, "/tmp/mse-test-shim-XXXXXX");
	assert_non_null(mkdtemp(app->root));
	for (size_t i = 0; i < MAX_LIVING; i++)
		if (living[i] == NULL) {
			living[i] = app;
			break;
		}
	assert_int_equal(chmod(app->root, user == 0 ? 0700 : 0755), 0);
	/* Longer than a Unix socket's address can be. */
	snprintf(app->dir, sizeof app->dir, "%s/app", app->root);
	app->user = user;
	app->control = -1;
	app->pending = mse_buffer_new(2 * MSE_SHIM_LINE_MAX_SIZE);
	assert_works(mse_dir_make(path_in(app, "app"), 0700, &err));
	assert_works(mse_dir_make(path_in(app, "lib"), 0755, &err));
	assert_works(mse_dir_make(path_in(app, "bin"), 0755, &err));
	make_image(app);
	put(app, "lib/libtest.so", "a library", 0644);
	put(app, "lib/unlisted.so", "another library", 0644);
	copy(app, stand_in, "bin/mse-enclave");
	put(app, "app/bundle", words, 0600);
	assert_works(mse_sim_pki_ensure(path_in(app, "sim"), mse_time_now(), NULL, &err));
	assert_works(mse_sign_key_generate(&app->owner, &err));
	make_manifest(app, words);
	make_config(app);
	return app;
}

struct app *new_app(const char *words)
{
	return new_app_for(words, geteuid());
}

/* ---- the shim's process ---- */

void run_shim(struct app *app)
{
	if (app->user != geteuid()) {
		new_owner = app->user;
		assert_int_equal(nftw(app->root, change_owner, 16, FTW_PHYS), 0);
	}
	app->shim = fork();
	assert_true(app->shim >= 0);
	if (app->shim == 0) {
		int fd = open(path_in(app, "app/shim.err"), O_WRONLY | O_CREAT | O_APPEND, 0666);

		/* What a shim inherits must not reach its enclave. */
		setenv("MSE_TEST_LEAK", "leaked", 1);
		if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(fd, 20) < 0 || dup2(fd, 300) < 0)
			_exit(99);
		if (app->user != geteuid() && (setresgid(app->user, app->user, app->user) < 0 || setresuid(app->user, app->user, app->user) < 0))
			_exit(98);
		execl(shim_program, shim_program, "--dir", app->dir, (char *)NULL);
		_exit(97);
	}
	assert_true(app->shim > 0);
}

char *shim_log(const struct app *app)
{
	uint8_t *data;
	size_t size;

	assert_works(mse_file_read(path_in(app, "app/shim.err"), 1u << 20, &data, &size, &err));
	return (char *)data;
}

static void fail_with_log(const struct app *app, const char *what)
{
	mse_autofree char *log = shim_log(app);
	char text[3000];

	/* fail_msg() jumps away, past the cleanup. */
	snprintf(text, sizeof text, "%s\n%s", what, log);
	fail_msg("%s", text);
}

/* A shim hears its own user alone. */
static int connect_as(struct app *app)
{
	uid_t self = geteuid();
	int result;

	assert_int_equal(seteuid(app->user), 0);
	result = mse_shim_connect(app->dir, &app->control, &err);
	assert_int_equal(seteuid(self), 0);
	return result;
}

void connect_to(struct app *app)
{
	uint64_t deadline = mse_monotonic_ms() + PATIENCE_MS;

	mse_close(app->control);
	mse_buffer_clear(app->pending);
	while (connect_as(app) < 0) {
		if (mse_monotonic_ms() > deadline)
			fail_with_log(app, err.message);
		usleep(2000);
	}
}

void start(struct app *app)
{
	write_files(app);
	run_shim(app);
	connect_to(app);
}

void await_for(struct app *app, condition *met, const char *what, uint64_t patience_ms)
{
	uint64_t deadline = mse_monotonic_ms() + patience_ms;

	do {
		uint64_t now = mse_monotonic_ms();

		if (mse_shim_receive(app->control, deadline > now ? deadline - now : 0, app->pending, &app->status, &err) < 0) {
			char text[1400];

			snprintf(text, sizeof text, "not seen: %s: %s; last: %s '%s' restarts %d", what, err.message,
				mse_shim_state_name(app->status.state), app->status.reason, (int)app->status.restarts);
			fail_with_log(app, text);
		}
	} while (!met(&app->status));
}
bool is_initializing(const struct mse_shim_status *status)
{
	return status->state == MSE_SHIM_INITIALIZING;
}

bool is_running(const struct mse_shim_status *status)
{
	return status->state == MSE_SHIM_RUNNING;
}

bool is_on_error(const struct mse_shim_status *status)
{
	return status->state == MSE_SHIM_ON_ERROR;
}

bool is_final(const struct mse_shim_status *status)
{
	return status->state == MSE_SHIM_STOPPED && status->final;
}

int wait_for_exit(struct app *app)
{
	uint64_t deadline = mse_monotonic_ms() + PATIENCE_MS;
	int status;

	while (waitpid(app->shim, &status, WNOHANG) == 0) {
		if (mse_monotonic_ms() > deadline)
			fail_with_log(app, "the shim does not end");
		usleep(2000);
	}
	app->shim = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* The app's whole log, a line for each record. */
char *app_log(const struct app *app)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *records = mse_buffer_new(32u << 20);
	mse_cleanup(mse_buffer_freep) struct mse_buffer *text = mse_buffer_new(32u << 20);
	struct mse_log_span span;
	struct mse_view view;
	uint32_t size;

	assert_works(mse_log_file_read(path_in(app, "app/log"), 0, 16u << 20, records, &span, &err));
	view = mse_view_of(mse_buffer_data(records), mse_buffer_size(records));
	while (mse_view_be32(&view, &size)) {
		struct mse_view record;

		assert_true(mse_view_take(&view, size, &record));
		assert_works(mse_buffer_append(text, record.data, record.size, &err));
		assert_works(mse_buffer_append_text(text, "\n", &err));
	}
	return copy_text(mse_buffer_text(text));
}

void expect(const char *log, const char *line)
{
	if (strstr(log, line) == NULL)
		fail_msg("'%s' is not in:\n%s", line, log);
}

void expect_not(const char *log, const char *text)
{
	if (strstr(log, text) != NULL)
		fail_msg("'%s' is in:\n%s", text, log);
}

static bool process_is_there(int64_t pid)
{
	return pid > 0 && kill((pid_t)pid, 0) == 0;
}

void expect_gone(int64_t pid)
{
	uint64_t deadline = mse_monotonic_ms() + 5000;

	while (process_is_there(pid)) {
		if (mse_monotonic_ms() > deadline)
			fail_msg("process %d is still there", (int)pid);
		usleep(2000);
	}
}

void stop(struct app *app)
{
	assert_works(mse_shim_send_stop(app->control, MSE_SHIM_REASON_OWNER, &err));
	await(app, is_final);
	assert_string_equal(app->status.reason, MSE_SHIM_REASON_OWNER);
	assert_int_equal(wait_for_exit(app), 0);
}

/* Those of shims that were killed. */
static void sweep_groups(void)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;

	if (mse_cgroups_find("/proc/self", &groups, &err) == 0)
		assert_works(mse_cgroups_sweep(groups, &err));
}

/* Also for an app whose shim has ended; nothing may be left. */
void end(struct app *app)
{
	mse_autofree char *log = NULL;
	int64_t enclave = app->status.enclave_pid;

	if (app->shim > 0) {
		kill(app->shim, SIGKILL);
		wait_for_exit(app);
		sweep_groups();
	}
	expect_gone(enclave);
	log = shim_log(app);
	if (strstr(log, "Sanitizer") != NULL || strstr(log, "runtime error") != NULL)
		fail_msg("%s", log);
	mse_close(app->control);
	mse_buffer_free(app->pending);
	mse_manifest_free(app->manifest);
	mse_shim_config_free(app->config);
	mse_sign_key_clear(&app->owner);
	assert_works(mse_tree_remove(app->root, &err));
	for (size_t i = 0; i < MAX_LIVING; i++)
		if (living[i] == app)
			living[i] = NULL;
	free(app);
}

/* Ends what a failed test left. */
int clean_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < MAX_LIVING; i++) {
		struct app *app = mse_steal(living[i]);

		if (app == NULL)
			continue;
		if (app->shim > 0) {
			kill(app->shim, SIGKILL);
			waitpid(app->shim, NULL, 0);
		}
		mse_tree_remove(app->root, &err);
	}
	return 0;
}

int prepare_tests(int argc, char **argv)
{
	if (argc < 3) {
		fputs("usage: test_shim_… MSE-SHIM STAND-IN [TEST]\n", stderr);
		return -1;
	}
	shim_program = argv[1];
	stand_in = argv[2];
	if (argc > 3)
		cmocka_set_test_filter(argv[3]);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	return mse_secret_init(&err);
}
