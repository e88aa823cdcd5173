/* The interpreter's life, threads, and what an application must not do. */
#include "../test.h"
#include "fake_host.h"
#include "tests.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <signal.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "python/host.h"

static const char *const debug_options[] = {"-X", "dev", NULL};

static long number_in(const struct mse_http_request *request, const char *key)
{
	const char *found = strstr(request->response, key);

	check(found != NULL);
	return strtol(found + strlen(key), NULL, 10);
}

static long ticks_now(void)
{
	struct mse_http_request *request = get("/ticks");
	long ticks = number_in(request, "\"ticks\": ");

	request_free(request);
	return ticks;
}

/* The thread ticks every 5 ms, on a machine that others use too. */
static void ticking(void)
{
	struct mse_http_request *request;
	long before = ticks_now();

	usleep(500000);
	check(ticks_now() - before >= 20);
	request = request_new("POST", "/read");
	request_set_body(request, "x", 1, true);
	request->read_delay_ms = 250;
	request_start(request);
	request_finish(request);
	check(number_in(request, "\"size\": ") == 1 && number_in(request, "\"ticks\": ") >= 20);
	request_free(request);
}

void threads_of_the_application_run_while_the_server_waits(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "threads", .scenario = ticking});
}

static void meeting(void)
{
	struct mse_http_request *one = request_new("GET", "/meet"), *other = request_new("GET", "/meet");

	request_start(one);
	request_start(other);
	request_finish(one);
	request_finish(other);
	check(strcmp(one->response, "{\"met\": true}") == 0 && strcmp(other->response, "{\"met\": true}") == 0);
	request_free(one);
	request_free(other);
}

static void many_at_once(void)
{
	enum { COUNT = 400 };
	static struct mse_http_request *requests[COUNT];

	meeting();
	for (int i = 0; i < COUNT; i++) {
		requests[i] = request_new("POST", i % 2 == 0 ? "/read" : "/local");
		request_set_body(requests[i], "0123456789", 10, i % 3 == 0);
		requests[i]->piece = 3;
		request_start(requests[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		request_finish(requests[i]);
		check(requests[i]->status == 200 && requests[i]->ended);
		check(i % 2 != 0 || number_in(requests[i], "\"size\": ") == 10);
		request_free(requests[i]);
	}
}

void requests_run_side_by_side(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "threads", .threads = 2, .scenario = meeting});
	run_app(&(struct app_run){.folder = "threads", .threads = 8, .scenario = many_at_once});
}

static void beside(void)
{
	struct mse_http_request *request = request_new("POST", "/read-beside");

	request_set_body(request, "x", 1, true);
	request->read_delay_ms = 300;
	request_start(request);
	request_finish(request);
	check(strcmp(request->response, "{\"ok\": 1, \"refused\": 1}") == 0);
	request_free(request);
	request = request_new("GET", "/write-beside");
	request->write_delay_ms = 300;
	request_start(request);
	request_finish(request);
	check(strcmp(request->response, "x{\"ok\": 1, \"refused\": 1}") == 0);
	request_free(request);
}

void two_threads_cannot_share_a_request_at_once(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "threads", .options = debug_options, .scenario = beside});
}

static void locals(void)
{
	check_get("/local", 200, "{\"count\": 1}");
	check_get("/local", 200, "{\"count\": 2}");
	check_get("/local", 200, "{\"count\": 3}");
	check_get("/who", 200, "{\"thread\": \"mse-worker-1\", \"main\": \"MainThread\"}");
}

void thread_local_data_survives(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "threads", .scenario = locals});
}

static void processes(void)
{
	static const char *const named[][2] = {
		{"os.fork", "os.fork()"}, {"os.forkpty", "os.forkpty()"}, {"os.system", "os.system()"}, {"os.popen", "subprocess.Popen()"},
		{"os.execv", "os.exec*()"}, {"os.execvpe", "os.exec*()"}, {"os.posix_spawn", "os.posix_spawn()"}, {"os.posix_spawnp", "os.posix_spawn()"},
		{"os.spawnv", "os.fork()"}, {"subprocess.run", "subprocess.Popen()"}, {"subprocess.Popen", "subprocess.Popen()"},
		{"pty.spawn", "pty.spawn()"}, {"multiprocessing.Process", "os.fork()"}, {"multiprocessing.Pool", "os.fork()"},
	};
	static const char *const unnamed[] = {"_posixsubprocess", "ctypes.fork", "ctypes.vfork", "ctypes.execve", "ctypes.posix_spawn", "ctypes.system"};
	char target[64], expected[256];

	for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
		snprintf(target, sizeof target, "/%s", named[i][0]);
		snprintf(expected, sizeof expected,
			"%s: PermissionError: [Errno 1] mse: %s refused: an application in an enclave cannot start processes (rule no-new-process)\n",
			named[i][0], named[i][1]);
		check_get(target, 200, expected);
		check_get("/health", 200, "ok\n");
	}
	for (size_t i = 0; i < sizeof unnamed / sizeof unnamed[0]; i++) {
		snprintf(target, sizeof target, "/%s", unnamed[i]);
		snprintf(expected, sizeof expected, "%s: PermissionError: [Errno 1] Operation not permitted\n", unnamed[i]);
		check_get(target, 200, expected);
		check_get("/health", 200, "ok\n");
	}
	/* Asks for a terminal once os.forkpty() has failed: terminals are refused as well. */
	check_get("/pty.fork", 200, "pty.fork: OSError: out of pty devices\n");
	check_get("/health", 200, "ok\n");
	check_get("/children", 200, "no children\n");
}

void no_process_can_be_started(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "processes", .no_processes = true, .scenario = processes});
}

static void process(void)
{
	struct mse_http_request *request = get("/process");

	check(strstr(request->response, "\"isolated\": 1") != NULL);
	check(strstr(request->response, "\"modules\": []") != NULL);
	check(strstr(request->response, "\"private\": true") != NULL);
	check(strstr(request->response, "\"name\": \"app\"") != NULL);
	check(strstr(request->response, "tests/apps/environ\"]") != NULL);
	check(strstr(request->response, "tests/apps/environ\", \"isolated\"") != NULL);
	check(strstr(request->response, "_mse\"") == NULL && strstr(request->response, "host") == NULL);
	request_free(request);
}

void process_looks_as_an_application_expects(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "environ", .scenario = process});
}

static void output_scenario(void)
{
	struct sigaction action;

	check_logged("imported\n");
	check_get("/a", 200, "ok");
	check_logged("printed /a\n");
	check_logged("complained /a\n");
	check_logged("WARNING:root:logged /a\n");
	check_not_logged("atexit ran");
	check(sigaction(SIGTERM, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	check(sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	check(sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
}

void output_and_atexit_reach_the_log(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "line_log", .scenario = output_scenario, .logged = "atexit ran\n"});
}

static void from_factory(void)
{
	check_get("/", 200, "from the factory");
}

static void from_attribute(void)
{
	check_get("/", 200, "from the attribute");
}

static void from_module(void)
{
	check_get("/", 200, "from the inner module");
}

void factories_and_attributes_are_found(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "factory", .application = "app:create_app()", .scenario = from_factory});
	run_app(&(struct app_run){.folder = "factory", .application = "app:holder.wsgi", .scenario = from_attribute});
	run_app(&(struct app_run){.folder = "nested", .application = "package.inner:app", .scenario = from_module});
}

void what_cannot_be_served_is_refused_by_name(void **state)
{
	static const struct app_run runs[] = {
		{.folder = "broken", .failure = "module 'app' cannot be imported: the traceback is in the application's log",
			.logged = "ModuleNotFoundError: No module named 'a_module_that_nobody_has'", .expected = MSE_ERR_INPUT},
		{.folder = "factory", .application = "absent:app", .failure = "module 'absent' cannot be imported", .logged = "No module named 'absent'",
			.expected = MSE_ERR_INPUT},
		{.folder = "factory", .application = "app:absent", .failure = "module 'app' has no 'absent'", .expected = MSE_ERR_INPUT},
		{.folder = "factory", .application = "app:holder.absent", .failure = "module 'app' has no 'holder.absent'", .expected = MSE_ERR_INPUT},
		{.folder = "factory", .application = "app:holder", .failure = "neither a function nor another callable", .expected = MSE_ERR_INPUT},
		{.folder = "factory", .application = "app:create_app", .failure = "it cannot be called with environ and start_response",
			.expected = MSE_ERR_INPUT},
		{.folder = "factory", .application = "app:failing_app()", .failure = "'failing_app()' of module 'app' failed",
			.logged = "RuntimeError: the factory failed", .expected = MSE_ERR_INPUT},
		{.folder = "factory", .application = "app", .failure = "is not of the form 'module:attribute'", .expected = MSE_ERR_INPUT},
		{.folder = "factory", .application = "app:create_app(1)", .failure = "is not of the form", .expected = MSE_ERR_INPUT},
		{.folder = "factory", .application = "app:__import__('os').abort()", .failure = "is not of the form", .expected = MSE_ERR_INPUT},
		{.folder = "asgi", .failure = "'app:app' is an ASGI application", .expected = MSE_ERR_UNSUPPORTED},
		{.folder = "asgi_instance", .failure = "'app:app' is an ASGI application", .expected = MSE_ERR_UNSUPPORTED},
		{.folder = "asgi_instance", .application = "app:Double", .failure = "'app:Double' is an ASGI application", .expected = MSE_ERR_UNSUPPORTED},
		{.folder = "asgi_instance", .application = "app:number", .failure = "neither a function", .expected = MSE_ERR_INPUT},
		{.folder = "asgi_instance", .application = "app:nothing", .failure = "cannot be called with environ", .expected = MSE_ERR_INPUT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
		run_app(&runs[i]);
}

/* mse_python_main() refuses before it touches Python. */
void other_abi_is_refused(void **state)
{
	struct mse_python_host host = {.abi = MSE_PYTHON_ABI + 1, .size = sizeof host};
	int (*python_main)(const struct mse_python_host *);
	void *library;

	(void)state;
	assert_non_null(dlopen(python_library(), RTLD_NOW | RTLD_GLOBAL));
	library = dlopen(getenv("MSE_PYTHON_MODULE"), RTLD_NOW | RTLD_LOCAL);
	assert_non_null(library);
	python_main = (int (*)(const struct mse_python_host *))dlsym(library, MSE_PYTHON_MAIN);
	assert_non_null(python_main);
	assert_int_equal(python_main(&host), MSE_ERR_STATE);
	host.abi = MSE_PYTHON_ABI;
	host.size--;
	assert_int_equal(python_main(&host), MSE_ERR_STATE);
	host.size++;
	assert_int_equal(python_main(&host), MSE_ERR_INPUT);
}

static struct mse_http_request *in_progress;

static void leave_one_waiting(void)
{
	in_progress = request_new("GET", "/waiting");
	request_start(in_progress);
	request_wait_bytes(in_progress, 6);
}

/* Its generator waits for 20 s: the process would have ended long before, and atexit handlers have run. */
void requests_in_progress_are_drained_for_a_bounded_time(void **state)
{
	struct timespec before, after;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &before);
	run_app(&(struct app_run){.folder = "streaming", .drain_ms = 300, .threads = 2, .scenario = leave_one_waiting});
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 10);
}

static void nothing(void)
{
	check_get("/", 200, "ok");
}

void exit_handlers_that_hang_are_left_behind(void **state)
{
	struct timespec before, after;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &before);
	run_app(&(struct app_run){.folder = "stuck_exit", .drain_ms = 300, .scenario = nothing, .logged = "the last handler ran first"});
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 10);
}

static void debug_closing(void)
{
	for (int i = 0; i < 50; i++) {
		struct mse_http_request *request;

		check_get("/good", 200, "ok");
		check_get("/fails-early", 500, "Internal Server Error\n");
		request = get("/fails-late");
		request_free(request);
	}
}

static void debug_echo(void)
{
	static const char *const targets[] = {"/read", "/read?3", "/readline?1", "/readlines", "/iterate", "/stream", "/wrong-size", "/errors"};

	for (int i = 0; i < 200; i++) {
		struct mse_http_request *request = request_new("POST", targets[i % 8]);

		request_set_body(request, "a\nb\nc and\nd", 11, i & 1);
		request->piece = (size_t)(i % 5);
		if (i % 3 == 0) {
			request->read_fails_at = 5;
			request->read_error = MSE_ERR_CLOSED;
		}
		request_start(request);
		request_finish(request);
		request_free(request);
	}
}

static void debug_headers(void)
{
	for (int i = 0; i < 20; i++) {
		request_free(get("/?crlf-value"));
		request_free(get("/?obs-text"));
		request_free(get("/?wide-value"));
		request_free(get("/?many"));
	}
}

/* -X dev: PYTHONMALLOC=debug, which finds what is written outside its block or used after it is freed, and assertions. */
void debug_allocator_finds_nothing(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "closing", .options = debug_options, .threads = 4, .scenario = debug_closing});
	run_app(&(struct app_run){.folder = "echo", .options = debug_options, .threads = 4, .scenario = debug_echo});
	run_app(&(struct app_run){.folder = "response_headers", .options = debug_options, .scenario = debug_headers});
}

void interpreter_can_be_finalised_for_leak_checks(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "line_log", .finalize = true, .threads = 3, .scenario = nothing, .logged = "atexit ran\n"});
	run_app(&(struct app_run){.folder = "closing", .finalize = true, .options = debug_options, .scenario = debug_closing});
}

/* The dynamic section of the module's file, by its sections: what it needs, and which symbols it gives. */
void module_exports_one_symbol_and_needs_libc_only(void **state)
{
	struct mse_error_info err;
	mse_autofree uint8_t *data = NULL;
	size_t size;
	const Elf64_Ehdr *header;
	const Elf64_Shdr *sections;
	unsigned exported = 0;

	(void)state;
	assert_works(mse_file_read(getenv("MSE_PYTHON_MODULE"), (size_t)64 << 20, &data, &size, &err));
	header = (const Elf64_Ehdr *)data;
	sections = (const Elf64_Shdr *)(data + header->e_shoff);
	for (unsigned i = 0; i < header->e_shnum; i++) {
		const Elf64_Shdr *section = &sections[i];
		const char *strings = (const char *)data + sections[section->sh_link].sh_offset;

		for (size_t j = 0; section->sh_type == SHT_DYNSYM && j < section->sh_size / sizeof(Elf64_Sym); j++) {
			const Elf64_Sym *symbol = (const Elf64_Sym *)(data + section->sh_offset) + j;

			if (symbol->st_shndx == SHN_UNDEF)
				continue;
			assert_string_equal(strings + symbol->st_name, MSE_PYTHON_MAIN);
			exported++;
		}
		for (size_t j = 0; section->sh_type == SHT_DYNAMIC && j < section->sh_size / sizeof(Elf64_Dyn); j++) {
			const Elf64_Dyn *entry = (const Elf64_Dyn *)(data + section->sh_offset) + j;

			if (entry->d_tag == DT_NEEDED && strstr(strings + entry->d_un.d_val, "san.so") == NULL)
				assert_string_equal(strings + entry->d_un.d_val, "libc.so.6");
		}
	}
	assert_int_equal(exported, 1);
}
