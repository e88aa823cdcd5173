/* Stands in for mse-enclave in the tests of mse-shim: linked statically, so that it runs in an image with nothing in it, and written
 * against the channel's description alone. Its bundle is a list of words, obeyed one after the other; what it finds it tells as
 * log records, in plain. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CHANNEL 3
#define LISTENER 4
#define BUNDLE 5

enum { QUOTE = 1, KEY, STARTED, COLLATERAL, LOAD, SAVE, LOG, STATUS, METRICS, OPEN_STORAGE, AWAIT_STORAGE, ANSWER = 64, REFUSED, STOP };

extern char **environ;

static void die(const char *what)
{
	fprintf(stderr, "stand-in: %s: %s\n", what, strerror(errno));
	_exit(9);
}

static void write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t written = write(fd, p, size);

		if (written <= 0)
			_exit(8);
		p += written;
		size -= (size_t)written;
	}
}

static void tell_raw(uint32_t size, uint8_t type, const void *payload, size_t payload_size)
{
	uint8_t head[5] = { (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size, type };

	write_all(CHANNEL, head, sizeof head);
	write_all(CHANNEL, payload, payload_size);
}

static void tell(uint8_t type, const void *payload, size_t size)
{
	tell_raw((uint32_t)size + 1, type, payload, size);
}

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	tell(LOG, text, strlen(text));
}

/* Waits for a frame; exits when the channel ends. */
static uint8_t receive(uint8_t *to, size_t room, size_t *ret_size)
{
	uint8_t head[5];
	size_t size, have = 0;

	while (have < sizeof head) {
		ssize_t got = read(CHANNEL, head + have, sizeof head - have);

		if (got <= 0)
			_exit(7);
		have += (size_t)got;
	}
	size = ((size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]) - 1;
	if (size > room)
		die("frame too large");
	for (have = 0; have < size;) {
		ssize_t got = read(CHANNEL, to + have, size - have);

		if (got <= 0)
			_exit(7);
		have += (size_t)got;
	}
	*ret_size = size;
	return head[4];
}

static uint8_t answer[2 * 1024 * 1024];
static size_t answer_size;

static uint8_t ask(uint8_t type, const void *payload, size_t size)
{
	uint8_t got;

	tell(type, payload, size);
	got = receive(answer, sizeof answer - 1, &answer_size);
	answer[answer_size] = 0;
	return got;
}

static void note_answer(const char *name, uint8_t type)
{
	char hex[2 * 600 + 1] = "";

	if (type == REFUSED) {
		note("%s refused: %s", name, (const char *)answer);
		return;
	}
	for (size_t i = 0; i < answer_size && i < 600; i++)
		snprintf(hex + 2 * i, 3, "%02x", answer[i]);
	note("%s %zu %s", name, answer_size, hex);
}

/* ---- what the sandbox is like ---- */

static void note_dir(const char *path)
{
	char list[2048] = "";
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);

	for (int i = 0; i < count; i++)
		if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0)
			snprintf(list + strlen(list), sizeof list - strlen(list), " %s", entries[i]->d_name);
	note("dir %s:%s", path, count < 0 ? strerror(errno) : list);
}

static void note_file(const char *path)
{
	char text[2048] = "";
	int fd = open(path, O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (got < 0)
		note("file %s: %s", path, strerror(errno));
	else
		note("file %s: %s", path, text);
	close(fd);
}

static void note_writable(const char *dir)
{
	struct statvfs status = { 0 };
	struct stat mode = { 0 };
	char path[200];
	int fd;

	snprintf(path, sizeof path, "%s/probe", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0644);
	statvfs(dir, &status);
	stat(dir, &mode);
	note("write %s: %s mode %o size %llu inodes %llu nosuid %d nodev %d", dir, fd < 0 ? strerror(errno) : "yes", mode.st_mode & 07777,
		(unsigned long long)status.f_blocks * status.f_frsize, (unsigned long long)status.f_files, (status.f_flag & ST_NOSUID) != 0,
		(status.f_flag & ST_NODEV) != 0);
	close(fd);
	unlink(path);
}

static void probe(void)
{
	static const char *const dirs[] = { "/", "/usr", "/etc", "/mse", "/mse/lib", "/dev", "/proc", "/tmp", "/run", "/root", "/mse-app",
		"/dev/shm" };
	struct rlimit core, files;
	char hostname[65];

	for (char **variable = environ; *variable != NULL; variable++)
		note("env %s", *variable);
	for (int fd = 0; fd < 1024; fd++) {
		char path[64], target[200] = "";

		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		if (fcntl(fd, F_GETFD) >= 0)
			note("fd %d %s", fd, readlink(path, target, sizeof target - 1) < 0 ? "?" : target);
	}
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
		note_writable(dirs[i]);
	note_dir("/");
	note_dir("/mse");
	note_dir("/mse/bin");
	note_dir("/mse/lib");
	note_file("/proc/self/status");
	note_file("/mse/lib/libtest.so");
	note_file("/usr/share/marker");
	note_file("/etc/hosts");
	note_file("/etc/resolv.conf");
	note_file("/etc/image-release");
	getrlimit(RLIMIT_CORE, &core);
	getrlimit(RLIMIT_NOFILE, &files);
	gethostname(hostname, sizeof hostname);
	note("core %llu files %llu host %s uid %d gid %d", (unsigned long long)core.rlim_max, (unsigned long long)files.rlim_max, hostname, getuid(),
		getgid());
	note("link %s", access("/shortcut/marker", R_OK) == 0 ? "works" : strerror(errno));
	note("bundle write: %s", write(BUNDLE, "x", 1) < 0 ? strerror(errno) : "yes");
	note("image write: %s", open("/usr/share/marker", O_WRONLY) < 0 ? strerror(errno) : "yes");
	note("chown: %s", chown("/tmp", 12, 12) < 0 ? strerror(errno) : "yes");
	note("userns: %s", unshare(CLONE_NEWUSER) < 0 ? "refused" : "yes");
	note("processes: %s", kill(-1, 0) < 0 ? strerror(errno) : "others");
}

/* ---- a TLS server, as small as can be ---- */

static SSL_CTX *make_tls(void)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();

	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	if (X509_sign(certificate, key, EVP_sha256()) == 0 || SSL_CTX_use_certificate(tls, certificate) != 1 || SSL_CTX_use_PrivateKey(tls, key) != 1)
		die("tls");
	return tls;
}

static bool stop_was_told(int timeout)
{
	struct pollfd wait = { .fd = CHANNEL, .events = POLLIN };
	uint8_t payload[16];
	size_t size;

	return poll(&wait, 1, timeout) > 0 && receive(payload, sizeof payload, &size) == STOP;
}

/* Answers with 503 so many times, and then with 200. */
static void serve(int bad)
{
	SSL_CTX *tls = make_tls();

	while (!stop_was_told(0)) {
		struct pollfd wait[2] = { { .fd = LISTENER, .events = POLLIN }, { .fd = CHANNEL, .events = POLLIN } };
		char request[4096], reply[200];
		int fd, got;
		SSL *ssl;

		if (poll(wait, 2, -1) <= 0 || (wait[0].revents & POLLIN) == 0 || (fd = accept(LISTENER, NULL, NULL)) < 0)
			continue;
		ssl = SSL_new(tls);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1 && (got = SSL_read(ssl, request, sizeof request - 1)) > 0) {
			request[got] = 0;
			note("request %s", request);
			snprintf(reply, sizeof reply, "HTTP/1.1 %d Whatever\r\nContent-Length: 4\r\n\r\nbody", bad > 0 ? 503 : 200);
			bad--;
			SSL_write(ssl, reply, (int)strlen(reply));
			SSL_shutdown(ssl);
		}
		SSL_free(ssl);
		close(fd);
	}
	_exit(0);
}

/* Says that it serves, and answers whoever asks without end: "heads" never ends the head, "interim" goes on promising, "body" sends
 * one byte after the other. */
static void serve_endlessly(const char *how)
{
	static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
	SSL_CTX *tls = make_tls();
	char piece[4096];
	size_t size = 0;
	int fd = -1;

	tell(STATUS, "\3", 1);
	if (strcmp(how, "interim") == 0)
		for (; size + sizeof interim < sizeof piece; size += sizeof interim - 1)
			memcpy(piece + size, interim, sizeof interim - 1);
	else
		size = (size_t)snprintf(piece, sizeof piece, "X: y\r\n");
	for (;;) {
		SSL *ssl = SSL_new(tls);
		struct pollfd wait = { .fd = LISTENER, .events = POLLIN };

		while (fd < 0)
			if (poll(&wait, 1, -1) > 0)
				fd = accept(LISTENER, NULL, NULL);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1) {
			note("asked %s", how);
			if (strcmp(how, "body") == 0)
				SSL_write(ssl, "HTTP/1.1 503 No\r\nContent-Length: 100000\r\n\r\n", 45);
			if (strcmp(how, "heads") == 0)
				SSL_write(ssl, "HTTP/1.1 503 No\r\n", 17);
			while (SSL_write(ssl, piece, strcmp(how, "body") == 0 ? 1 : (int)size) > 0)
				if (strcmp(how, "interim") != 0)
					usleep(200000);
		}
		SSL_free(ssl);
		close(fd);
		fd = -1;
	}
}

/* ---- words ---- */

static void flood(void)
{
	static char record[80 * 1024];
	uint8_t metrics[40] = { 0 };

	memset(record, 'x', sizeof record);
	for (uint64_t i = 0;; i++) {
		tell(LOG, record, 1 + (size_t)(i * 7919) % sizeof record);
		tell(STATUS, i % 2 == 0 ? "\1" : "\2", 1);
		tell(METRICS, metrics, sizeof metrics);
	}
}

/* The same question again and again, its answers never read. */
static void ask_forever(uint8_t type, const void *payload, size_t size)
{
	for (;;)
		tell(type, payload, size);
}

/* All of it in one piece, so often as the socket takes it; what is answered is read by nobody. */
static void storm(const char *word)
{
	static uint8_t block[8 * 1024], state[256 * 1024];
	size_t used = 0;

	if (strcmp(word, "storm-quotes") == 0)
		ask_forever(QUOTE, block, 64);
	if (strcmp(word, "storm-loads") == 0) {
		ask(SAVE, state, sizeof state);
		ask_forever(LOAD, "", 0);
	}
	if (strcmp(word, "storm-collateral") == 0)
		ask_forever(COLLATERAL, "", 0);
	if (strcmp(word, "storm-saves") == 0)
		ask_forever(SAVE, state, sizeof state);
	if (strcmp(word, "storm-answered") == 0)
		for (;;)
			ask(QUOTE, block, 64);
	if (strcmp(word, "storm-failures") == 0)
		ask_forever(STATUS, "\12", 1);
	/* One frame after the other, six bytes each: waiting, serving. */
	for (; used + 12 <= sizeof block; used += 12)
		memcpy(block + used, "\0\0\0\2\10\1\0\0\0\2\10\3", 12);
	if (strcmp(word, "storm-dribbled") == 0)
		for (size_t i = 0;; i = (i + 1) % used)
			write_all(CHANNEL, block + i, 1);
	for (;;)
		write_all(CHANNEL, block, used);
}

/* The loader's messages: a pipe on standard error. */
static void storm_of_messages(void)
{
	static char line[4096];

	memset(line, 'm', sizeof line);
	memcpy(line, "\x1b[2J\xff\xc2\x9b\r", 8);
	for (size_t i = 99; i < sizeof line; i += 100)
		line[i] = '\n';
	while (write(STDERR_FILENO, line, sizeof line) > 0)
		;
}

static void send_descriptor(void)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char frame[] = { 0, 0, 0, 2, STATUS, 1 };
	struct iovec part = { frame, sizeof frame };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int fd = open("/dev/null", O_RDONLY);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(head), &fd, sizeof fd);
	for (int i = 0; i < 1000; i++)
		if (sendmsg(CHANNEL, &message, 0) < 0)
			die("sendmsg");
	note("descriptors sent");
}

static void save_and_die_at_first(void)
{
	if (ask(LOAD, "", 0) == ANSWER && answer_size > 0) {
		note_answer("found", ANSWER);
		return;
	}
	note_answer("save", ask(SAVE, "sealed state", 12));
	/* Signals of its own do nothing to the first process of its namespace. */
	__builtin_trap();
}

static void shut_down_at_first(void)
{
	if (ask(LOAD, "", 0) == ANSWER && answer_size > 0)
		return;
	ask(SAVE, "sealed state", 12);
	note("shutdown: %s", shutdown(LISTENER, SHUT_RDWR) < 0 ? strerror(errno) : "yes");
	__builtin_trap();
}

static void open_storage(uint8_t fresh)
{
	uint8_t payload[33];

	memset(payload, 'k', sizeof payload);
	payload[0] = fresh;
	tell(OPEN_STORAGE, payload, sizeof payload);
}

static void keep_count(void)
{
	char text[16] = "";
	int fd = open("/root/count", O_RDWR | O_CREAT, 0600);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	note("count %s", fd < 0 ? strerror(errno) : got == 0 ? "is new" : text);
	if (fd >= 0 && (pwrite(fd, "kept", 4, 0) != 4 || fsync(fd) < 0))
		die("count");
	close(fd);
}

/* As an enclave does: a fresh one, and once there is sealed state the one that goes with it. */
static void use_storage(void)
{
	bool kept = ask(LOAD, "", 0) == ANSWER && answer_size > 0;

	open_storage(!kept);
	note_answer("storage", ask(AWAIT_STORAGE, "", 0));
	if (!kept)
		note_answer("save", ask(SAVE, "sealed state", 12));
	keep_count();
}

static void say(const char *word)
{
	dprintf(STDOUT_FILENO, "%s on stdout\n", word);
	dprintf(STDERR_FILENO, "%s on stderr\n", word);
}

static void hostile(const char *word)
{
	static const char zeros[200];

	if (strcmp(word, "huge") == 0)
		tell_raw(0xffffffff, LOG, zeros, 100);
	else if (strcmp(word, "empty") == 0)
		tell_raw(0, LOG, "", 0);
	else if (strcmp(word, "long-log") == 0)
		tell_raw(80 * 1024 + 2, LOG, zeros, 100);
	else if (strcmp(word, "long-state") == 0)
		tell_raw(24 * 1024 * 1024 + 2, SAVE, zeros, 100);
	else if (strcmp(word, "short-quote") == 0)
		tell(QUOTE, zeros, 63);
	else if (strcmp(word, "long-status") == 0)
		tell(STATUS, zeros, 2);
	else if (strcmp(word, "bad-status") == 0)
		tell(STATUS, "\x63", 1);
	else if (strcmp(word, "bad-type") == 0)
		tell(200, zeros, 4);
	else if (strcmp(word, "shim-type") == 0)
		tell(STOP, "", 0);
	else if (strcmp(word, "long-label") == 0)
		tell(KEY, zeros, 200);
}

static void obey(const char *word)
{
	static const uint8_t report_data[64] = "report data";
	uint8_t number = (uint8_t)strtoul(strchr(word, ':') != NULL ? strchr(word, ':') + 1 : "0", NULL, 10);

	if (strcmp(word, "probe") == 0)
		probe();
	else if (strcmp(word, "quote") == 0)
		note_answer("quote", ask(QUOTE, report_data, sizeof report_data));
	else if (strncmp(word, "key:", 4) == 0)
		note_answer(word, ask(KEY, word + 4, strlen(word + 4)));
	else if (strcmp(word, "nul-key") == 0)
		note_answer(word, ask(KEY, "a\0b", 3));
	else if (strcmp(word, "collateral") == 0)
		note("collateral %s", ask(COLLATERAL, "", 0) == ANSWER && strstr((char *)answer, "tcb_info") != NULL ? "is there" : "is missing");
	else if (strcmp(word, "started") == 0)
		tell(STARTED, "", 0);
	else if (strcmp(word, "load") == 0)
		note_answer("load", ask(LOAD, "", 0));
	else if (strcmp(word, "save") == 0)
		note_answer("save", ask(SAVE, "sealed state", 12));
	else if (strcmp(word, "save-often") == 0)
		for (int i = 0; i < 40; i++)
			note_answer("often", ask(SAVE, "sealed state", 12));
	else if (strcmp(word, "once") == 0)
		save_and_die_at_first();
	else if (strcmp(word, "storage") == 0)
		use_storage();
	else if (strncmp(word, "storage:", 8) == 0)
		open_storage(number);
	else if (strcmp(word, "await") == 0)
		note_answer("await", ask(AWAIT_STORAGE, "", 0));
	else if (strncmp(word, "status:", 7) == 0)
		tell(STATUS, &number, 1);
	else if (strncmp(word, "serve:", 6) == 0)
		serve(number);
	else if (strncmp(word, "exit:", 5) == 0)
		_exit(number);
	else if (strcmp(word, "abort") == 0)
		__builtin_trap();
	else if (strcmp(word, "half") == 0)
		write_all(CHANNEL, "\0\1\0", 3);
	else if (strcmp(word, "deaf") == 0)
		for (;;)
			pause();
	else if (strcmp(word, "close") == 0) {
		close(CHANNEL);
		pause();
	} else if (strcmp(word, "wait") == 0) {
		while (!stop_was_told(-1))
			;
		_exit(0);
	} else if (strcmp(word, "flood") == 0)
		flood();
	else if (strcmp(word, "storm-messages") == 0)
		storm_of_messages();
	else if (strncmp(word, "storm-", 6) == 0)
		storm(word);
	else if (strncmp(word, "endless-", 8) == 0)
		serve_endlessly(word + 8);
	else if (strcmp(word, "shutdown-once") == 0)
		shut_down_at_first();
	else if (strcmp(word, "descriptors") == 0)
		send_descriptor();
	else if (strncmp(word, "say-", 4) == 0)
		say(word);
	else
		hostile(word);
}

int main(void)
{
	char words[4096] = "", *rest = words, *word;

	signal(SIGPIPE, SIG_IGN);
	if (read(BUNDLE, words, sizeof words - 1) <= 0)
		die("bundle");
	while ((word = strsep(&rest, " ")) != NULL)
		obey(word);
	pause();
}
