/* The interpreter's life: its start, isolated, through Py_BytesMain(); the module that bootstrap.py works with; its end.
 *
 * Python runs on a thread of its own, not on the caller's: Py_BytesMain() returns only after Py_Finalize(), which crashes in
 * extension modules. So that thread never returns from the bootstrap, it stays, holding the GIL, until the process ends. */
#include "python/py_util.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include "python/bootstrap_source.h"
#include "python/py_environ.h"
#include "python/py_request.h"
#include "python/py_str.h"
#include "python/py_wsgi.h"

/* What the main thread of a process usually has; the limits of Python's recursion count on it. */
#define STACK_SIZE ((size_t)8 * 1024 * 1024)

struct mse_python mse_python;

static PyObject *process_refused; /* the exception that the audit hook raises */

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool is_over;
	int result;
} life = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .result = MSE_ERR_INTERNAL};

/* Signals whose handling the enclave has arranged before the application is imported. */
static const int kept_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGUSR1, SIGUSR2, SIGALRM};
static struct sigaction kept_actions[sizeof kept_signals / sizeof kept_signals[0]];

void mse_py_log(const char *format, ...)
{
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	Py_BEGIN_ALLOW_THREADS
	mse_python.host->log(mse_python.host->context, line);
	Py_END_ALLOW_THREADS
}

void mse_py_report(const char *what)
{
	mse_autopy PyObject *type = NULL, *value = NULL, *trace = NULL, *written = NULL;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	if (value != NULL && trace != NULL)
		PyException_SetTraceback(value, trace);
	if (value != NULL)
		written = PyObject_CallFunction(mse_python.report, "sO", what, value);
	if (written == NULL) {
		PyErr_Clear();
		mse_py_log("%s, and its traceback could not be written", what);
	}
}

/* Events of sys.addaudithook() by which an application would start a process, and the call that raises each. */
static const char *const refused_events[][2] = {
	{"os.fork", "os.fork()"},
	{"os.forkpty", "os.forkpty()"},
	{"os.exec", "os.exec*()"},
	{"os.posix_spawn", "os.posix_spawn()"},
	{"os.spawn", "os.spawn*()"},
	{"os.system", "os.system()"},
	{"subprocess.Popen", "subprocess.Popen()"},
	{"pty.spawn", "pty.spawn()"},
};

static PyObject *host_audit(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	const char *event;

	(void)module;
	if (count < 1)
		Py_RETURN_NONE;
	event = PyUnicode_AsUTF8AndSize(args[0], NULL);
	if (event == NULL)
		return NULL;
	if (event[0] != 'o' && event[0] != 's' && event[0] != 'p')
		Py_RETURN_NONE;
	for (size_t i = 0; i < sizeof refused_events / sizeof refused_events[0]; i++) {
		if (strcmp(event, refused_events[i][0]) != 0)
			continue;
		mse_autopy PyObject *message = PyUnicode_FromFormat(
			"mse: %s refused: an application in an enclave cannot start processes (rule no-new-process)", refused_events[i][1]);
		mse_autopy PyObject *error = message == NULL ? NULL : PyObject_CallFunction(process_refused, "iO", EPERM, message);
		if (error != NULL)
			PyErr_SetObject(process_refused, error);
		return NULL;
	}
	Py_RETURN_NONE;
}

/* The application's import may have put Python's handlers, or its own, in the place of the enclave's. */
static void restore_signals(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	for (size_t i = 0; i < sizeof kept_signals / sizeof kept_signals[0]; i++)
		sigaction(kept_signals[i], &kept_actions[i], NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/* prepare(application, report) */
static PyObject *host_prepare(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	(void)module;
	if (count != 2) {
		PyErr_SetString(PyExc_TypeError, "prepare() takes two arguments");
		return NULL;
	}
	restore_signals();
	mse_python.application = Py_NewRef(args[0]);
	mse_python.report = Py_NewRef(args[1]);
	return mse_py_environ_init() < 0 ? NULL : Py_NewRef(Py_None);
}

/* One worker's life. Its PyThreadState, and with it the application's thread-local data, stays the same from request to request. */
static PyObject *host_work(PyObject *module, PyObject *ignored)
{
	const struct mse_python_host *host = mse_python.host;
	struct mse_http_request *done = NULL;

	(void)module;
	(void)ignored;
	for (;;) {
		struct mse_http_request *next = NULL;
		struct mse_error_info err;
		int result;

		Py_BEGIN_ALLOW_THREADS
		host->request_unref(done);
		do {
			result = host->next_request(host->context, -1, &next, &err);
		} while (result == MSE_ERR_TIMEOUT);
		Py_END_ALLOW_THREADS
		if (result == MSE_ERR_CLOSED)
			break;
		if (result < 0) {
			mse_py_log("no request can be had: %s", err.message);
			break;
		}
		done = mse_py_wsgi_handle(next);
	}
	Py_RETURN_NONE;
}

static PyObject *host_serving(PyObject *module, PyObject *ignored)
{
	(void)module;
	(void)ignored;
	life.result = 0;
	Py_BEGIN_ALLOW_THREADS
	mse_python.host->on_serving(mse_python.host->context);
	Py_END_ALLOW_THREADS
	Py_RETURN_NONE;
}

/* failed(what, unsupported) */
static PyObject *host_failed(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	const char *what = count == 2 ? PyUnicode_AsUTF8AndSize(args[0], NULL) : NULL;

	(void)module;
	if (what == NULL)
		return NULL;
	life.result = args[1] == Py_True ? MSE_ERR_UNSUPPORTED : MSE_ERR_INPUT;
	Py_BEGIN_ALLOW_THREADS
	mse_python.host->on_failed(mse_python.host->context, what);
	Py_END_ALLOW_THREADS
	Py_RETURN_NONE;
}

static void declare_over(void)
{
	pthread_mutex_lock(&life.mutex);
	life.is_over = true;
	pthread_cond_signal(&life.changed);
	pthread_mutex_unlock(&life.mutex);
}

/* Keeps the GIL, so that no thread of the application's runs any more while the enclave puts its things away. */
static PyObject *host_finished(PyObject *module, PyObject *ignored)
{
	(void)module;
	(void)ignored;
	if (mse_python.host->finalize)
		Py_RETURN_NONE;
	declare_over();
	for (;;)
		pause();
}

/* Runs bootstrap.py in a namespace of its own, and leaves no trace of it in __main__ and sys.modules. */
static PyObject *host_main(PyObject *module, PyObject *ignored)
{
	PyObject *borrowed_main = PyImport_AddModule("__main__");
	PyObject *borrowed_names = borrowed_main == NULL ? NULL : PyModule_GetDict(borrowed_main);
	PyObject *borrowed_modules = PyImport_GetModuleDict();
	mse_autopy PyObject *code = NULL, *names = NULL;

	(void)ignored;
	if (borrowed_names == NULL || PyDict_DelItemString(borrowed_names, "_mse") < 0 || PyDict_DelItemString(borrowed_modules, "_mse") < 0)
		return NULL;
	code = Py_CompileString(mse_python_bootstrap, "<mse>", Py_file_input);
	names = PyDict_New();
	if (code == NULL || names == NULL || PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) < 0 ||
		PyDict_SetItemString(names, "host", module) < 0)
		return NULL;
	return PyEval_EvalCode(code, names, names);
}

static int module_exec(PyObject *module)
{
	static bool is_made;
	const struct mse_python_host *host = mse_python.host;

	if (is_made) {
		PyErr_SetString(PyExc_ImportError, "_mse is the server's own");
		return -1;
	}
	is_made = true;
	process_refused = PyErr_NewExceptionWithDoc("mse.ProcessRefused", "An application in an enclave cannot start processes.",
		PyExc_PermissionError, NULL);
	if (process_refused == NULL || mse_py_strings_init() < 0 || mse_py_request_init() < 0)
		return -1;
	if (PyModule_AddStringConstant(module, "module_path", host->module_path) < 0 ||
		PyModule_AddStringConstant(module, "application", host->application) < 0 ||
		PyModule_AddIntConstant(module, "threads", (long)host->threads) < 0 || PyModule_AddIntConstant(module, "drain_ms", (long)host->drain_ms) < 0)
		return -1;
	return 0;
}

static PyObject *module_init(void)
{
	static PyMethodDef methods[] = {
		{"main", host_main, METH_NOARGS, NULL},
		{"audit", (PyCFunction)(void (*)(void))host_audit, METH_FASTCALL, NULL},
		{"prepare", (PyCFunction)(void (*)(void))host_prepare, METH_FASTCALL, NULL},
		{"work", host_work, METH_NOARGS, NULL},
		{"serving", host_serving, METH_NOARGS, NULL},
		{"failed", (PyCFunction)(void (*)(void))host_failed, METH_FASTCALL, NULL},
		{"finished", host_finished, METH_NOARGS, NULL},
		{NULL, NULL, 0, NULL},
	};
	static PyModuleDef_Slot slots[] = {
		{Py_mod_exec, (void *)module_exec},
		{0, NULL},
	};
	static struct PyModuleDef definition = {
		PyModuleDef_HEAD_INIT,
		.m_name = "_mse",
		.m_methods = methods,
		.m_slots = slots,
	};

	return PyModuleDef_Init(&definition);
}

static int check_host(const struct mse_python_host *host)
{
	if (host->abi != MSE_PYTHON_ABI || host->size != sizeof *host)
		return MSE_ERR_STATE;
	if (host->threads < 1 || host->threads > MSE_PYTHON_MAX_THREADS || host->drain_ms > INT_MAX || host->module_path == NULL ||
		host->application == NULL || host->server_name == NULL || host->on_serving == NULL || host->on_failed == NULL || host->log == NULL ||
		host->next_request == NULL)
		return MSE_ERR_INPUT;
	return 0;
}

/* "3.11.2 (main, ...) [GCC 12.2.0]"; a build without the GIL says "3.13.0 experimental free-threading build" (later: "free-threading build"). */
static int check_version(const struct mse_python_host *host)
{
	const char *version = Py_GetVersion();
	char *end, what[256];
	unsigned long major = strtoul(version, &end, 10);
	unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;

	if (major == 3 && minor >= 11 && strstr(version, "free-threading") == NULL)
		return 0;
	snprintf(what, sizeof what, "the image's Python is %.100s: a Python 3.11 or later with its global interpreter lock is needed", version);
	host->on_failed(host->context, what);
	return MSE_ERR_UNSUPPORTED;
}

static char *own_copy(const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		abort();
	return copy;
}

/* -I: neither the environment nor a user's folder adds to sys.path; -B: no .pyc files in a file system that is memory. */
static void *interpreter(void *ignored)
{
	enum { MAX_OPTIONS = 16 };
	const struct mse_python_host *host = mse_python.host;
	char *arguments[MAX_OPTIONS + 8];
	int count = 0, status;

	(void)ignored;
	arguments[count++] = own_copy(host->executable != NULL ? host->executable : "python3");
	arguments[count++] = own_copy("-I");
	arguments[count++] = own_copy("-B");
	for (size_t i = 0; host->options != NULL && host->options[i] != NULL && i < MAX_OPTIONS; i++)
		arguments[count++] = own_copy(host->options[i]);
	arguments[count++] = own_copy("-c");
	arguments[count++] = own_copy("import _mse; _mse.main()");
	arguments[count] = NULL;
	status = Py_BytesMain(count, arguments);
	for (int i = 0; i < count; i++)
		free(arguments[i]);
	if (status != 0)
		life.result = MSE_ERR_INTERNAL;
	declare_over();
	return NULL;
}

static int run_interpreter(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int failed;

	if (pthread_attr_init(&attributes) != 0)
		return MSE_ERR_NOMEM;
	failed = pthread_attr_setstacksize(&attributes, STACK_SIZE) != 0 || pthread_create(&thread, &attributes, interpreter, NULL) != 0;
	pthread_attr_destroy(&attributes);
	if (failed)
		return MSE_ERR_IO;
	pthread_mutex_lock(&life.mutex);
	while (!life.is_over)
		pthread_cond_wait(&life.changed, &life.mutex);
	pthread_mutex_unlock(&life.mutex);
	if (mse_python.host->finalize)
		pthread_join(thread, NULL);
	return life.result;
}

__attribute__((visibility("default"))) int mse_python_main(const struct mse_python_host *host)
{
	static atomic_flag is_called = ATOMIC_FLAG_INIT;
	int result = check_host(host);

	if (result < 0)
		return result;
	if (atomic_flag_test_and_set(&is_called))
		return MSE_ERR_STATE;
	mse_python.host = host;
	result = check_version(host);
	if (result < 0)
		return result;
	for (size_t i = 0; i < sizeof kept_signals / sizeof kept_signals[0]; i++)
		sigaction(kept_signals[i], NULL, &kept_actions[i]);
	if (PyImport_AppendInittab("_mse", module_init) < 0)
		return MSE_ERR_NOMEM;
	return run_interpreter();
}
