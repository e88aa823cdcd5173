/* mse-shim as a whole: the real program, a real sandbox, and stand_in.c in place of the enclave. */
#include "../test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "bundle/tree_scan.h"
#include "crypto/hash.h"
#include "manifest/manifest.h"
#include "shim/config.h"
#include "shim/control.h"
#include "shim/log_file.h"
#include "tee/sim_pki.h"

#define APP_UID 210001u
#define USER_UID 210002u
#define PATIENCE_MS 20000u

#define MAX_LIVING 8

static struct mse_error_info err;
static struct app *living[MAX_LIVING];
static const char *shim_program, *stand_in;

struct app {
	char root[64];
	char dir[128];
	uid_t user; /* that the shim runs as */
	struct mse_sign_key owner;
	struct mse_manifest *manifest;
	struct mse_shim_config *config;
	pid_t shim;
	int control;
	struct mse_buffer *pending;
	struct mse_shim_status status;
};

/* ---- an app's folder ---- */

static const char *path_in(const struct app *app, const char *name)
{
	static char paths[8][256];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof paths[0], "%s/%s", app->root, name);
	return path;
}

static void put(const struct app *app, const char *name, const char *text, mode_t mode)
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

static void make_image(const struct app *app)
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

static uint16_t free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static char *copy_text(const char *text)
{
	char *copied = strdup(text);

	assert_non_null(copied);
	return copied;
}

static void make_manifest(struct app *app, const char *words)
{
	struct mse_manifest *manifest = mse_manifest_new();

	memset(manifest->instance_id, 0x42, sizeof manifest->instance_id);
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
	app->config = config;
}

/* Writes what msed writes. */
static void write_files(struct app *app)
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

static struct app *new_app_for(const char *words, uid_t user)
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

static struct app *new_app(const char *words)
{
	return new_app_for(words, geteuid());
}

/* ---- the shim's process ---- */

static void run_shim(struct app *app)
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

static char *shim_log(const struct app *app)
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

static void connect_to(struct app *app)
{
	uint64_t deadline = mse_monotonic_ms() + PATIENCE_MS;

	mse_close(app->control);
	mse_buffer_clear(app->pending);
	while (mse_shim_connect(app->dir, &app->control, &err) < 0) {
		if (mse_monotonic_ms() > deadline)
			fail_with_log(app, err.message);
		usleep(2000);
	}
}

static void start(struct app *app)
{
	write_files(app);
	run_shim(app);
	connect_to(app);
}

typedef bool condition(const struct mse_shim_status *status);

static void await_for(struct app *app, condition *met, const char *what, uint64_t patience_ms)
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
#define await(app, met) await_for(app, met, #met, PATIENCE_MS)

static bool is_initializing(const struct mse_shim_status *status)
{
	return status->state == MSE_SHIM_INITIALIZING;
}

static bool is_running(const struct mse_shim_status *status)
{
	return status->state == MSE_SHIM_RUNNING;
}

static bool runs_again(const struct mse_shim_status *status)
{
	return is_running(status) && status->restarts == 1;
}

static bool is_on_error(const struct mse_shim_status *status)
{
	return status->state == MSE_SHIM_ON_ERROR;
}

static bool is_final(const struct mse_shim_status *status)
{
	return status->state == MSE_SHIM_STOPPED && status->final;
}

static int wait_for_exit(struct app *app)
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
static char *app_log(const struct app *app)
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

static void expect(const char *log, const char *line)
{
	if (strstr(log, line) == NULL)
		fail_msg("'%s' is not in:\n%s", line, log);
}

static void expect_not(const char *log, const char *text)
{
	if (strstr(log, text) != NULL)
		fail_msg("'%s' is in:\n%s", text, log);
}

static bool process_is_there(int64_t pid)
{
	return pid > 0 && kill((pid_t)pid, 0) == 0;
}

static void expect_gone(int64_t pid)
{
	uint64_t deadline = mse_monotonic_ms() + 5000;

	while (process_is_there(pid)) {
		if (mse_monotonic_ms() > deadline)
			fail_msg("process %d is still there", (int)pid);
		usleep(2000);
	}
}

static void stop(struct app *app)
{
	assert_works(mse_shim_send_stop(app->control, MSE_SHIM_REASON_OWNER, &err));
	await(app, is_final);
	assert_string_equal(app->status.reason, MSE_SHIM_REASON_OWNER);
	assert_int_equal(wait_for_exit(app), 0);
}

/* Also for an app whose shim has ended; nothing may be left. */
static void end(struct app *app)
{
	mse_autofree char *log = NULL;
	int64_t enclave = app->status.enclave_pid;

	if (app->shim > 0) {
		kill(app->shim, SIGKILL);
		wait_for_exit(app);
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
static int clean_up(void **state)
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

/* ---- the sandbox ---- */

static void expect_sandbox(const char *log)
{
	static const char *const lines[] = {
		"env HOME=/root\n", "env SECRETS_PATH=/root/.cache/mse/secrets.json\n", "env TMP_PATH=/tmp\n", "env MODULE_PATH=/mse-app\n",
		"env TMPDIR=/root/.tmp\n", "env PATH=/usr/local/bin:/usr/bin:/bin\n", "env LANG=C.UTF-8\n", "fd 0 /dev/null\n", "fd 3 socket:",
		"fd 4 socket:", "write /: Read-only", "write /usr: Read-only", "write /etc: Read-only", "write /mse: Read-only",
		"write /mse/lib: Read-only", "write /dev: Read-only", "write /tmp: yes mode 1777 size 16777216", "write /root: yes mode 700 size 8388608",
		"write /root/.tmp: yes mode 700", "write /mse-app: yes mode 755 size 33554432", "write /run: yes mode 755 size 4194304",
		"write /dev/shm: yes mode 1777 size 8388608", "dir /mse: bin bundle lib manifest.json manifest.sig\n", "dir /mse/bin: mse-enclave\n",
		"dir /mse/lib: libtest.so\n", "file /mse/lib/libtest.so: a library\n", "file /usr/share/marker: of the image\n",
		"127.0.0.1 localhost mse\n", "file /etc/image-release: 1\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n",
		"CapBnd:\t0000000000000000\n", "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n", "core 0 files 8192 host mse uid 0 gid 0\n",
		"link works\n", "userns: refused\n",
		"dir /: dev etc home mse mse-app proc root run shortcut tmp usr\n",
	};
	static const char *const never[] = { "fd 5 ", "fd 6 ", "fd 20 ", "fd 300 ", "leaked", "unlisted", "not to be seen", "chown: yes", "bundle write: yes",
		"image write: yes" };
	unsigned variables = 0;

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		expect(log, lines[i]);
	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
		expect_not(log, never[i]);
	for (const char *p = log; (p = strstr(p, "\nenv ")) != NULL; p++)
		variables++;
	/* bubblewrap adds PWD. */
	assert_int_equal(variables + (strncmp(log, "env ", 4) == 0), 8);
	expect(log, "env PWD=/\n");
}

/* What the host sees of the process. */
static void expect_host_user(int64_t pid, unsigned uid)
{
	mse_autofree uint8_t *map = NULL;
	char path[64], line[64], text[4096] = "";
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof text - 1, file) > 0);
	fclose(file);
	snprintf(line, sizeof line, "Uid:\t%u\t%u\t%u\t%u\n", uid, uid, uid, uid);
	expect(text, line);
	snprintf(line, sizeof line, "Gid:\t%u\t%u\t%u\t%u\n", uid, uid, uid, uid);
	expect(text, line);
	expect(text, "Name:\tmse-enclave\n");
}

static void probe_as(uid_t user, unsigned enclave_uid)
{
	struct app *app = new_app_for("probe status:1 wait", user);
	mse_autofree char *log = NULL;

	start(app);
	await(app, is_initializing);
	log = app_log(app);
	expect_sandbox(log);
	expect_host_user(app->status.enclave_pid, enclave_uid);
	stop(app);
	end(app);
}

static void the_sandbox_is_what_was_promised(void **state)
{
	(void)state;
	probe_as(geteuid(), geteuid() == 0 ? APP_UID : geteuid());
}

static void a_shim_without_root_builds_the_same_sandbox(void **state)
{
	(void)state;
	/* Without root the test above was that. */
	if (geteuid() == 0)
		probe_as(USER_UID, USER_UID);
}

static void files_of_a_folder_in_memory_are_limited_in_number(void **state)
{
	struct app *app = new_app("probe status:1 wait");
	mse_autofree char *log = NULL;

	(void)state;
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	if (geteuid() == 0)
		expect(log, "write /tmp: yes mode 1777 size 16777216 inodes 5120 nosuid 1 nodev 1\n");
	stop(app);
	end(app);
}

static void names_are_resolved_with_the_hosts_files(void **state)
{
	mse_autofree uint8_t *resolv = NULL;
	struct app *app = new_app("probe status:1 wait");
	mse_autofree char *log = NULL;
	char line[2100];
	size_t size;

	(void)state;
	/* As regular files, as links to nowhere, and missing: the image's own are never used. */
	put(app, "image/etc/hosts", "10.0.0.1 wrong", 0644);
	assert_int_equal(symlink("../run/wrong/resolv.conf", path_in(app, "image/etc/resolv.conf")), 0);
	assert_works(mse_tree_digest_dir(path_in(app, "image"), MSE_TREE_IMAGE, app->manifest->image_digest, &err));
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	expect_not(log, "wrong");
	expect(log, "127.0.0.1 localhost mse\n");
	if (mse_file_read("/etc/resolv.conf", 2000, &resolv, &size, &err) == 0 && size > 0) {
		snprintf(line, sizeof line, "file /etc/resolv.conf: %s", (char *)resolv);
		expect(log, line);
	}
	stop(app);
	end(app);
}

static void an_image_with_places_for_the_hosts_files_is_bound_in_one_piece(void **state)
{
	struct app *app = new_app("probe status:1 wait");
	mse_autofree char *log = NULL;

	(void)state;
	put(app, "image/etc/hosts", "10.0.0.1 wrong", 0644);
	put(app, "image/etc/resolv.conf", "nameserver wrong", 0644);
	assert_works(mse_tree_digest_dir(path_in(app, "image"), MSE_TREE_IMAGE, app->manifest->image_digest, &err));
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	expect_not(log, "wrong");
	expect_sandbox(log);
	stop(app);
	end(app);
}

/* ---- the CPU ---- */

static const char *hex_after(const char *log, const char *name)
{
	const char *line = strstr(log, name);

	if (line == NULL)
		fail_msg("'%s' is not in:\n%s", name, log);
	return strrchr(name, ' ') == NULL ? line : line + strlen(name);
}

static void a_quote_carries_the_manifests_digest_and_the_report_data(void **state)
{
	struct app *app = new_app("quote collateral status:1 wait");
	mse_autofree char *log = NULL;
	uint8_t quote[600];
	char measurement[65];
	const char *hex;

	(void)state;
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	hex = strchr(hex_after(log, "quote "), ' ') + 1;
	for (size_t i = 0; i < sizeof quote; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &quote[i]), 1);
	/* Intel SGX ECDSA quote library API, appendix A: a header of 48 bytes, then the report body: MRENCLAVE at 64, ISVSVN at 258,
	 * report data at 320. */
	mse_hex_encode(measurement, quote + 48 + 64, 32);
	assert_string_equal(measurement, app->status.measurement);
	assert_int_equal(quote[48 + 258], 7);
	assert_memory_equal(quote + 48 + 320, "report data", 12);
	expect(log, "collateral is there");
	stop(app);
	end(app);
}

static void sealing_keys_are_an_enclaves_own_and_end_with_its_start(void **state)
{
	struct app *app = new_app("key:one key:two key:one nul-key started key:one key:three status:1 wait");
	mse_autofree char *log = NULL;
	const char *first, *second, *third;

	(void)state;
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	first = strstr(log, "key:one 32 ");
	second = strstr(log, "key:two 32 ");
	assert_non_null(first);
	assert_non_null(second);
	third = strstr(first + 1, "key:one 32 ");
	assert_non_null(third);
	assert_memory_equal(first, third, 11 + 64);
	assert_memory_not_equal(first + 11, second + 11, 64);
	expect(log, "nul-key refused: a label is text");
	expect(log, "key:one refused: no sealing key leaves the CPU after the start");
	expect(log, "key:three refused: no sealing key");
	stop(app);
	end(app);
}

/* ---- life ---- */

static void an_enclave_that_is_killed_comes_back_with_its_state_and_its_socket(void **state)
{
	struct app *app = new_app("load save started status:2 status:3 serve:0");
	mse_autofree char *log = NULL;
	int64_t first;

	(void)state;
	start(app);
	await(app, is_running);
	assert_true(app->status.provisioned);
	first = app->status.enclave_pid;
	assert_int_equal(kill((pid_t)first, SIGKILL), 0);
	await(app, runs_again);
	assert_true(app->status.enclave_pid != first);
	log = app_log(app);
	expect(log, "load 0 \n");
	expect(log, "load 12 7365616c6564207374617465\n");
	stop(app);
	end(app);
}

static void the_app_runs_once_its_health_check_says_so(void **state)
{
	struct app *app = new_app("status:1 status:2 status:3 serve:12");
	mse_autofree char *log = NULL;
	unsigned asked = 0;

	(void)state;
	start(app);
	await(app, is_running);
	stop(app);
	log = app_log(app);
	expect(log, "request GET /health?deep=1 HTTP/1.1\r\nHost: 0123456789ab.mse.localhost:");
	for (const char *p = log; (p = strstr(p, "request GET")) != NULL; p++)
		asked++;
	assert_int_equal(asked, 13);
	end(app);
}

static void stopping_destroys_state_and_bundle_and_keeps_the_log(void **state)
{
	struct app *app = new_app("save status:1 wait");
	struct mse_shim_status status;
	int64_t enclave;

	(void)state;
	start(app);
	await(app, is_initializing);
	enclave = app->status.enclave_pid;
	assert_true(mse_path_exists(path_in(app, "app/sealed")));
	put(app, "app/sealed.Ab12Cd", "half written", 0600);
	stop(app);
	expect_gone(enclave);
	assert_false(mse_path_exists(path_in(app, "app/sealed")));
	assert_false(mse_path_exists(path_in(app, "app/sealed.Ab12Cd")));
	assert_false(mse_path_exists(path_in(app, "app/bundle")));
	assert_false(mse_path_exists(path_in(app, "app/control.sock")));
	assert_true(mse_path_exists(path_in(app, "app/log")));
	assert_works(mse_shim_status_read(app->dir, &status, &err));
	assert_true(is_final(&status));
	/* Nothing starts again. */
	run_shim(app);
	assert_int_equal(wait_for_exit(app), 0);
	assert_works(mse_shim_status_read(app->dir, &status, &err));
	assert_true(is_final(&status));
	end(app);
}

static void an_enclave_that_does_not_stop_is_killed(void **state)
{
	struct app *app = new_app("status:1 deaf");
	uint64_t begun;

	(void)state;
	start(app);
	await(app, is_initializing);
	begun = mse_monotonic_ms();
	stop(app);
	assert_in_range(mse_monotonic_ms() - begun, 4500, 9000);
	end(app);
}

static void at_its_expiry_an_app_stops(void **state)
{
	struct app *app = new_app("save status:1 wait");

	(void)state;
	app->manifest->expires_at = mse_time_now() + 2;
	start(app);
	await(app, is_initializing);
	await(app, is_final);
	assert_string_equal(app->status.reason, "expired");
	assert_true(mse_time_now() >= app->manifest->expires_at);
	assert_int_equal(wait_for_exit(app), 0);
	assert_false(mse_path_exists(path_in(app, "app/sealed")));
	end(app);
}

static void an_app_that_expired_while_no_shim_ran_never_starts(void **state)
{
	struct app *app = new_app("status:1 wait");
	struct mse_shim_status status;

	(void)state;
	app->config->expires_at = mse_time_now() - 5;
	write_files(app);
	run_shim(app);
	assert_int_equal(wait_for_exit(app), 0);
	assert_works(mse_shim_status_read(app->dir, &status, &err));
	assert_true(is_final(&status));
	assert_string_equal(status.reason, "expired");
	assert_false(mse_path_exists(path_in(app, "app/bundle")));
	end(app);
}

static void sigterm_ends_shim_and_enclave_and_the_next_shim_resumes(void **state)
{
	struct app *app = new_app("load save status:1 wait");
	mse_autofree char *log = NULL;
	struct mse_shim_status status;
	int64_t enclave;

	(void)state;
	start(app);
	await(app, is_initializing);
	enclave = app->status.enclave_pid;
	kill(app->shim, SIGTERM);
	assert_int_equal(wait_for_exit(app), 0);
	expect_gone(enclave);
	assert_works(mse_shim_status_read(app->dir, &status, &err));
	assert_false(status.final);
	run_shim(app);
	connect_to(app);
	await(app, is_initializing);
	log = app_log(app);
	expect(log, "load 12 ");
	stop(app);
	end(app);
}

static void a_shim_that_is_killed_takes_its_enclave_along_and_the_next_resumes(void **state)
{
	struct app *app = new_app("load save status:1 wait");
	mse_autofree char *log = NULL;
	int64_t enclave;

	(void)state;
	start(app);
	await(app, is_initializing);
	enclave = app->status.enclave_pid;
	kill(app->shim, SIGKILL);
	wait_for_exit(app);
	/* At once, while the old enclave may still hold the port. */
	run_shim(app);
	expect_gone(enclave);
	usleep(20000);
	connect_to(app);
	await(app, is_initializing);
	log = app_log(app);
	expect(log, "load 12 ");
	stop(app);
	end(app);
}

static void a_stop_that_was_interrupted_is_finished_by_the_next_shim(void **state)
{
	struct app *app = new_app("save status:1 deaf");
	struct mse_shim_status status;

	(void)state;
	start(app);
	await(app, is_initializing);
	assert_works(mse_shim_send_stop(app->control, "replaced", &err));
	do
		assert_works(mse_shim_receive(app->control, PATIENCE_MS, app->pending, &app->status, &err));
	while (app->status.state != MSE_SHIM_STOPPED);
	assert_false(app->status.final);
	/* The line is said before the file is written. */
	usleep(100000);
	kill(app->shim, SIGKILL);
	wait_for_exit(app);
	run_shim(app);
	assert_int_equal(wait_for_exit(app), 0);
	assert_works(mse_shim_status_read(app->dir, &status, &err));
	assert_true(is_final(&status));
	assert_string_equal(status.reason, "replaced");
	assert_false(mse_path_exists(path_in(app, "app/sealed")));
	end(app);
}

static void two_shims_do_not_share_a_folder(void **state)
{
	struct app *app = new_app("status:1 wait");
	pid_t first;

	(void)state;
	start(app);
	await(app, is_initializing);
	first = app->shim;
	run_shim(app);
	assert_int_equal(wait_for_exit(app), 1);
	app->shim = first;
	stop(app);
	end(app);
}

static void an_enclave_that_ends_again_and_again_is_given_up(void **state)
{
	struct app *app = new_app("status:1 exit:3");
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	start(app);
	await(app, is_on_error);
	assert_string_equal(app->status.reason, "the enclave ends again and again");
	assert_int_equal(app->status.restarts, 2);
	assert_false(app->status.final);
	address.sin_port = htons(app->config->port);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
	close(fd);
	stop(app);
	end(app);
}

static void one_crash_is_restarted_at_once(void **state)
{
	struct app *app = new_app("once status:1 wait");
	uint64_t begun = mse_monotonic_ms();

	(void)state;
	start(app);
	await(app, is_initializing);
	assert_int_equal(app->status.restarts, 1);
	assert_true(mse_monotonic_ms() - begun < 5000);
	stop(app);
	end(app);
}

static void failures_that_a_restart_does_not_mend_are_told_and_not_restarted(void **state)
{
	static const struct {
		const char *words, *reason;
	} cases[] = {
		{ "status:10 exit:1", "the bundle does not open, or is not what was committed to" },
		{ "status:11 exit:1", "the application could not be imported" },
		{ "status:12 exit:1", "the image has no usable libpython" },
		{ "status:13 exit:1", "the sealed state does not open here" },
		{ "status:11 status:14 status:3 exit:1", "the application could not be imported" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct app *app = new_app(cases[i].words);

		start(app);
		await(app, is_on_error);
		assert_string_equal(app->status.reason, cases[i].reason);
		assert_int_equal(app->status.restarts, 0);
		stop(app);
		end(app);
	}
}

static void an_internal_error_is_restarted_as_a_crash_is(void **state)
{
	struct app *app = new_app("status:14 exit:1");

	(void)state;
	start(app);
	await(app, is_on_error);
	assert_string_equal(app->status.reason, "the enclave ends again and again");
	assert_int_equal(app->status.restarts, 2);
	end(app);
}

static void an_enclave_that_tells_its_failure_and_stays_is_killed(void **state)
{
	struct app *app = new_app("status:11 deaf");

	(void)state;
	start(app);
	await(app, is_on_error);
	assert_string_equal(app->status.reason, "the application could not be imported");
	end(app);
}

static void an_enclave_that_closes_its_channel_is_ended(void **state)
{
	struct app *app = new_app("status:1 close");

	(void)state;
	start(app);
	await(app, is_on_error);
	assert_int_equal(app->status.restarts, 2);
	end(app);
}

/* ---- what differs from the manifest ---- */

static void refused(struct app *app, const char *reason)
{
	mse_autofree char *log = NULL;

	if (app->shim == 0)
		start(app);
	await(app, is_on_error);
	if (strstr(app->status.reason, reason) == NULL)
		fail_msg("the reason '%s' does not speak of '%s'", app->status.reason, reason);
	assert_int_equal(app->status.enclave_pid, 0);
	log = shim_log(app);
	expect_not(log, "the sandbox");
	stop(app);
	end(app);
}

static void a_changed_bundle_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	put(app, "app/bundle", "status:2 wait", 0600);
	refused(app, "the bundle is not the one that the manifest names");
}

static void a_missing_bundle_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	assert_int_equal(unlink(path_in(app, "app/bundle")), 0);
	refused(app, "the bundle cannot be opened");
}

static void a_changed_image_is_refused_although_its_digest_was_kept(void **state)
{
	struct app *app = new_app("status:1 wait");
	uint8_t digest[32];

	(void)state;
	/* A file is believed by its stat data only when these are not of this very moment. */
	sleep(1);
	assert_works(mse_tree_digest_dir_cached(path_in(app, "image"), path_in(app, "image.cache"), digest, NULL, &err));
	put(app, "image/usr/share/marker", "of an attack", 0644);
	refused(app, "image 'nothing' is not the one that the manifest names");
}

static bool runs_again_or_not(const struct mse_shim_status *status)
{
	return is_on_error(status) || (is_initializing(status) && status->restarts > 0);
}

static void an_image_changed_while_the_app_runs_is_found_at_the_restart(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	start(app);
	await(app, is_initializing);
	put(app, "image/usr/share/another", "file", 0644);
	kill((pid_t)app->status.enclave_pid, SIGKILL);
	await(app, runs_again_or_not);
	assert_string_equal(app->status.reason, "image 'nothing' is not the one that the manifest names: its files differ");
	stop(app);
	end(app);
}

static void another_image_at_the_same_path_is_not_used_by_a_restart(void **state)
{
	struct app *app = new_app("probe status:1 wait");
	mse_autofree char *log = NULL;

	(void)state;
	if (geteuid() != 0)
		return;
	start(app);
	await(app, is_initializing);
	assert_int_equal(rename(path_in(app, "image"), path_in(app, "image.old")), 0);
	make_image(app);
	put(app, "image/usr/share/marker", "of an attack", 0644);
	kill((pid_t)app->status.enclave_pid, SIGKILL);
	await(app, runs_again_or_not);
	assert_int_equal(app->status.state, MSE_SHIM_INITIALIZING);
	log = app_log(app);
	expect_not(log, "of an attack");
	stop(app);
	end(app);
}

static void another_program_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	put(app, "bin/mse-enclave", "#!/bin/sh\n", 0755);
	refused(app, "runtime file 'mse-enclave' is not the one that the manifest names");
}

static void another_library_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	put(app, "lib/libtest.so", "a  library", 0755);
	refused(app, "runtime file 'libtest.so' is not the one that the manifest names");
}

static void a_manifest_without_the_program_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	app->manifest->runtime_file_count = 1;
	refused(app, "names no runtime file 'mse-enclave'");
}

static void another_instances_manifest_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	app->manifest->instance_id[0] ^= 1;
	refused(app, "the manifest is another instance's");
}

static void a_manifest_that_the_owner_did_not_sign_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");
	struct mse_sign_key other;

	(void)state;
	assert_works(mse_sign_key_generate(&other, &err));
	mse_sign_key_clear(&app->owner);
	app->owner = other;
	refused(app, "the manifest's signature");
}

static void a_file_that_is_replaced_while_the_app_runs_changes_nothing(void **state)
{
	struct app *app = new_app("status:1 wait");
	int64_t first;

	(void)state;
	/* Without root there is no way to bind what has no path any more. */
	if (geteuid() != 0)
		return;
	start(app);
	await(app, is_initializing);
	first = app->status.enclave_pid;
	put(app, "bin/mse-enclave", "another version", 0755);
	put(app, "app/bundle", "exit:9", 0600);
	kill((pid_t)first, SIGKILL);
	await(app, is_initializing);
	assert_true(app->status.enclave_pid != first);
	stop(app);
	end(app);
}

static void as_root_an_enclave_must_have_a_user_of_its_own(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	app->config->uid = app->config->gid = app->config->uid == 0 ? 12345 : 0;
	start(app);
	await(app, is_on_error);
	assert_string_equal(app->status.reason, "the sandbox cannot be started");
	end(app);
}

/* ---- hostile enclaves ---- */

static void a_malformed_frame_ends_that_enclave_and_nothing_else(void **state)
{
	static const char *const words[] = { "huge", "empty", "long-log", "long-state", "short-quote", "long-status", "bad-status", "bad-type", "shim-type" };

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		mse_autofree char *log = NULL;
		char script[64];
		struct app *app;

		snprintf(script, sizeof script, "status:1 %s deaf", words[i]);
		app = new_app(script);
		app->config->restart_failures = 1;
		start(app);
		await(app, is_on_error);
		assert_int_equal(app->status.restarts, 0);
		log = shim_log(app);
		expect(log, strcmp(words[i], "bad-status") == 0 ? "a status that does not exist" : "a frame of an unknown kind or of a wrong size");
		stop(app);
		end(app);
	}
}

static void half_a_frame_holds_nobody_up(void **state)
{
	struct app *app = new_app("status:1 half deaf");

	(void)state;
	start(app);
	await(app, is_initializing);
	stop(app);
	end(app);
}

static void descriptors_on_the_channel_are_dropped(void **state)
{
	struct app *app = new_app("descriptors quote status:1 wait");
	mse_autofree char *log = NULL;
	char path[64];
	unsigned open_files = 0;

	(void)state;
	start(app);
	await(app, is_initializing);
	do {
		free(log);
		log = app_log(app);
	} while (strstr(log, "quote ") == NULL);
	for (int fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)app->shim, fd);
		open_files += readlink(path, (char[8]){ 0 }, 8) >= 0;
	}
	assert_in_range(open_files, geteuid() == 0 ? 5 : 0, 60);
	stop(app);
	end(app);
}

static bool has_lost_records(const struct mse_shim_status *status)
{
	return status->metrics.log_lost > 0;
}

static void a_flood_of_records_loses_records_and_nothing_else(void **state)
{
	struct app *app = new_app("flood");
	struct stat status;
	uint64_t begun;

	(void)state;
	app->config->log_size = MSE_SHIM_LOG_MIN_SIZE;
	start(app);
	await(app, has_lost_records);
	begun = mse_monotonic_ms();
	stop(app);
	/* The grace is for an enclave that may be busy with requests; the flood must not add to it. */
	assert_true(mse_monotonic_ms() - begun < 9000);
	assert_int_equal(stat(path_in(app, "app/log"), &status), 0);
	assert_true(status.st_size <= (off_t)MSE_SHIM_LOG_MIN_SIZE);
	end(app);
}

static void state_is_not_saved_without_end(void **state)
{
	struct app *app = new_app("save-often status:1 wait");
	mse_autofree char *log = NULL;

	(void)state;
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	expect(log, "often 0 \n");
	expect(log, "often refused: state is saved too often\n");
	stop(app);
	end(app);
}

static void what_the_app_writes_does_not_reach_the_shims_log(void **state)
{
	struct app *app = new_app("say-before started say-later status:2 quote say-after status:1 wait");
	mse_autofree char *log = NULL;

	(void)state;
	start(app);
	await(app, is_initializing);
	stop(app);
	log = shim_log(app);
	expect(log, "from the loader: say-before on stdout");
	expect(log, "from the loader: say-before on stderr");
	expect(log, "from the loader: say-later on stderr");
#if !defined(__SANITIZE_ADDRESS__)
	expect_not(log, "say-after");
#endif
	end(app);
}

/* ---- the control socket ---- */

static bool is_closed(int fd)
{
	char some[4096];
	ssize_t got;

	while ((got = recv(fd, some, sizeof some, 0)) > 0)
		;
	return got == 0 || errno == ECONNRESET;
}

static void malformed_commands_close_that_connection(void **state)
{
	static const char *const lines[] = { "\n", "{}\n", "stop\n", "{\"command\": \"start\", \"reason\": \"x\"}\n", "{\"command\": \"stop\"}\n",
		"{\"command\": \"stop\", \"reason\": \"\"}\n", "{\"command\": \"stop\", \"reason\": \"a\\nb\"}\n",
		"{\"command\": \"stop\", \"reason\": \"x\", \"more\": 1}\n", NULL };
	struct app *app = new_app("status:1 wait");
	char long_line[5000];
	int fd;

	(void)state;
	start(app);
	await(app, is_initializing);
	for (size_t i = 0; lines[i] != NULL; i++) {
		assert_works(mse_shim_connect(app->dir, &fd, &err));
		assert_int_equal(send(fd, lines[i], strlen(lines[i]), MSG_NOSIGNAL), strlen(lines[i]));
		assert_true(is_closed(fd));
		close(fd);
	}
	memset(long_line, 'x', sizeof long_line);
	assert_works(mse_shim_connect(app->dir, &fd, &err));
	assert_true(send(fd, long_line, sizeof long_line, MSG_NOSIGNAL) > 0);
	assert_true(is_closed(fd));
	close(fd);
	stop(app);
	end(app);
}

static void connections_beyond_eight_are_closed(void **state)
{
	struct app *app = new_app("status:1 wait");
	char some[8];
	int fds[8];

	(void)state;
	start(app);
	await(app, is_initializing);
	/* One is app->control. */
	for (size_t i = 0; i < 8; i++)
		assert_works(mse_shim_connect(app->dir, &fds[i], &err));
	assert_true(is_closed(fds[7]));
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(recv(fds[i], some, 1, 0), 1);
	for (size_t i = 0; i < 8; i++)
		close(fds[i]);
	stop(app);
	end(app);
}

static void other_users_are_not_heard(void **state)
{
	struct app *app = new_app("status:1 wait");
	pid_t other;
	int status;

	(void)state;
	if (geteuid() != 0)
		return;
	start(app);
	await(app, is_initializing);
	/* Were the folder open and the socket too. */
	assert_int_equal(chmod(app->root, 0755), 0);
	assert_int_equal(chmod(app->dir, 0755), 0);
	assert_int_equal(chmod(path_in(app, "app/control.sock"), 0777), 0);
	other = fork();
	if (other == 0) {
		int fd;

		if (setresuid(USER_UID, USER_UID, USER_UID) < 0 || mse_shim_connect(app->dir, &fd, &err) < 0)
			_exit(2);
		mse_shim_send_stop(fd, MSE_SHIM_REASON_OWNER, &err);
		_exit(is_closed(fd) ? 0 : 1);
	}
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(status, 0);
	assert_int_equal(kill(app->shim, 0), 0);
	stop(app);
	end(app);
}

static void the_control_socket_is_its_users_own(void **state)
{
	struct app *app = new_app("status:1 wait");
	struct stat status;

	(void)state;
	start(app);
	await(app, is_initializing);
	assert_int_equal(stat(path_in(app, "app/control.sock"), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	stop(app);
	end(app);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_sandbox_is_what_was_promised, clean_up),
		cmocka_unit_test_teardown(a_shim_without_root_builds_the_same_sandbox, clean_up),
		cmocka_unit_test_teardown(files_of_a_folder_in_memory_are_limited_in_number, clean_up),
		cmocka_unit_test_teardown(names_are_resolved_with_the_hosts_files, clean_up),
		cmocka_unit_test_teardown(an_image_with_places_for_the_hosts_files_is_bound_in_one_piece, clean_up),
		cmocka_unit_test_teardown(a_quote_carries_the_manifests_digest_and_the_report_data, clean_up),
		cmocka_unit_test_teardown(sealing_keys_are_an_enclaves_own_and_end_with_its_start, clean_up),
		cmocka_unit_test_teardown(an_enclave_that_is_killed_comes_back_with_its_state_and_its_socket, clean_up),
		cmocka_unit_test_teardown(the_app_runs_once_its_health_check_says_so, clean_up),
		cmocka_unit_test_teardown(stopping_destroys_state_and_bundle_and_keeps_the_log, clean_up),
		cmocka_unit_test_teardown(an_enclave_that_does_not_stop_is_killed, clean_up),
		cmocka_unit_test_teardown(at_its_expiry_an_app_stops, clean_up),
		cmocka_unit_test_teardown(an_app_that_expired_while_no_shim_ran_never_starts, clean_up),
		cmocka_unit_test_teardown(sigterm_ends_shim_and_enclave_and_the_next_shim_resumes, clean_up),
		cmocka_unit_test_teardown(a_shim_that_is_killed_takes_its_enclave_along_and_the_next_resumes, clean_up),
		cmocka_unit_test_teardown(a_stop_that_was_interrupted_is_finished_by_the_next_shim, clean_up),
		cmocka_unit_test_teardown(two_shims_do_not_share_a_folder, clean_up),
		cmocka_unit_test_teardown(an_enclave_that_ends_again_and_again_is_given_up, clean_up),
		cmocka_unit_test_teardown(one_crash_is_restarted_at_once, clean_up),
		cmocka_unit_test_teardown(failures_that_a_restart_does_not_mend_are_told_and_not_restarted, clean_up),
		cmocka_unit_test_teardown(an_internal_error_is_restarted_as_a_crash_is, clean_up),
		cmocka_unit_test_teardown(an_enclave_that_tells_its_failure_and_stays_is_killed, clean_up),
		cmocka_unit_test_teardown(an_enclave_that_closes_its_channel_is_ended, clean_up),
		cmocka_unit_test_teardown(a_changed_bundle_is_refused, clean_up),
		cmocka_unit_test_teardown(a_missing_bundle_is_refused, clean_up),
		cmocka_unit_test_teardown(a_changed_image_is_refused_although_its_digest_was_kept, clean_up),
		cmocka_unit_test_teardown(an_image_changed_while_the_app_runs_is_found_at_the_restart, clean_up),
		cmocka_unit_test_teardown(another_image_at_the_same_path_is_not_used_by_a_restart, clean_up),
		cmocka_unit_test_teardown(another_program_is_refused, clean_up),
		cmocka_unit_test_teardown(another_library_is_refused, clean_up),
		cmocka_unit_test_teardown(a_manifest_without_the_program_is_refused, clean_up),
		cmocka_unit_test_teardown(another_instances_manifest_is_refused, clean_up),
		cmocka_unit_test_teardown(a_manifest_that_the_owner_did_not_sign_is_refused, clean_up),
		cmocka_unit_test_teardown(a_file_that_is_replaced_while_the_app_runs_changes_nothing, clean_up),
		cmocka_unit_test_teardown(as_root_an_enclave_must_have_a_user_of_its_own, clean_up),
		cmocka_unit_test_teardown(a_malformed_frame_ends_that_enclave_and_nothing_else, clean_up),
		cmocka_unit_test_teardown(half_a_frame_holds_nobody_up, clean_up),
		cmocka_unit_test_teardown(descriptors_on_the_channel_are_dropped, clean_up),
		cmocka_unit_test_teardown(a_flood_of_records_loses_records_and_nothing_else, clean_up),
		cmocka_unit_test_teardown(state_is_not_saved_without_end, clean_up),
		cmocka_unit_test_teardown(what_the_app_writes_does_not_reach_the_shims_log, clean_up),
		cmocka_unit_test_teardown(malformed_commands_close_that_connection, clean_up),
		cmocka_unit_test_teardown(connections_beyond_eight_are_closed, clean_up),
		cmocka_unit_test_teardown(other_users_are_not_heard, clean_up),
		cmocka_unit_test_teardown(the_control_socket_is_its_users_own, clean_up),
	};

	if (argc < 3) {
		fputs("usage: test_shim MSE-SHIM STAND-IN [TEST]\n", stderr);
		return 2;
	}
	shim_program = argv[1];
	stand_in = argv[2];
	if (argc > 3)
		cmocka_set_test_filter(argv[3]);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	if (mse_secret_init(&err) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
