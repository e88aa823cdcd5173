#include "shim/network_place.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "shim/world.h"

#define NAMESPACES 3

static int become_app_user(const struct mse_network_place *place, struct mse_error_info *err)
{
	if (place->host_root && (setgroups(0, NULL) < 0 || setresgid(place->gid, place->gid, place->gid) < 0 || setresuid(place->uid, place->uid, place->uid) < 0))
		return mse_fail_errno(err, "cannot become the app's user %u", place->uid);
	return 0;
}

static int open_namespace(const char *path, int *ret_fd, struct mse_error_info *err)
{
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? mse_fail_errno(err, "cannot open '%s'", path) : 0;
}

/* In the child. Its own files in /proc are its own only while it can be dumped. */
static int make_namespaces(const struct mse_network_place *place, int fds[static NAMESPACES], struct mse_error_info *err)
{
	int result;

	if ((result = become_app_user(place, err)) < 0)
		return result;
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		return mse_fail_errno(err, "cannot prepare a user namespace");
	if ((result = mse_world_become_root(err)) < 0 || (result = open_namespace("/proc/self/ns/user", &fds[0], err)) < 0)
		return result;
	for (unsigned i = 1; i < NAMESPACES; i++) {
		if (unshare(CLONE_NEWNET) < 0)
			return mse_fail_errno(err, "cannot make a network namespace");
		if ((result = open_namespace("/proc/self/ns/net", &fds[i], err)) < 0)
			return result;
	}
	return 0;
}

static _Noreturn void run_maker(const struct mse_network_place *place, int socket)
{
	struct mse_error_info failure = { 0 };
	union {
		char bytes[CMSG_SPACE(NAMESPACES * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec text = { .iov_base = failure.message, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &text, .msg_iovlen = 1 };
	struct cmsghdr *header;
	int fds[NAMESPACES];

	if (make_namespaces(place, fds, &failure) < 0)
		text.iov_len = strlen(failure.message) + 1;
	else {
		failure.message[0] = 0;
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof control.bytes;
		header = CMSG_FIRSTHDR(&message);
		*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fds) };
		memcpy(CMSG_DATA(header), fds, sizeof fds);
	}
	_exit(sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? 1 : 0);
}

static int receive(int socket, struct mse_network_place *place, struct mse_error_info *err)
{
	union {
		char bytes[CMSG_SPACE(NAMESPACES * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char failure[MSE_ERROR_MESSAGE_SIZE] = "";
	struct iovec text = { .iov_base = failure, .iov_len = sizeof failure - 1 };
	struct msghdr message = { .msg_iov = &text, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
	const struct cmsghdr *header;
	int fds[NAMESPACES];
	ssize_t got;

	while ((got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (got <= 0)
		return mse_fail(err, MSE_ERR_IO, "the process that makes network namespaces ended without a word");
	header = CMSG_FIRSTHDR(&message);
	if (header == NULL)
		return mse_fail(err, MSE_ERR_DENIED, "%s", failure);
	if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof fds))
		return mse_fail(err, MSE_ERR_INTERNAL, "network namespaces were handed over wrongly");
	memcpy(fds, CMSG_DATA(header), sizeof fds);
	place->users = fds[0];
	place->gateway = fds[1];
	place->app = fds[2];
	return 0;
}

int mse_network_place_make(struct mse_network_place *place, struct mse_error_info *err)
{
	mse_autoclose int ours = -1;
	mse_autoclose int theirs = -1;
	int pair[2], result;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return mse_fail_errno(err, "cannot make a socket");
	ours = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid < 0)
		return mse_fail_errno(err, "cannot make a process");
	if (pid == 0)
		run_maker(place, theirs);
	mse_close(mse_steal_fd(&theirs));
	result = receive(ours, place, err);
	while (waitpid(pid, NULL, 0) < 0)
		if (errno != EINTR)
			break;
	return result;
}

void mse_network_place_clear(struct mse_network_place *place)
{
	mse_close(place->users);
	mse_close(place->gateway);
	mse_close(place->app);
	*place = MSE_NETWORK_NO_PLACE;
}

/* What a program in the user namespace can ever get: to set up networks, and to build itself a sandbox. */
static int limit_capabilities(struct mse_error_info *err)
{
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
		bool kept = capability == CAP_NET_ADMIN || capability == CAP_NET_BIND_SERVICE || capability == CAP_SYS_ADMIN || capability == CAP_SETPCAP;

		if (!kept && prctl(PR_CAPBSET_DROP, capability) < 0)
			return mse_fail_errno(err, "cannot give up capability %d", capability);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return mse_fail_errno(err, "cannot give up new privileges");
	return 0;
}

static int enter_users(const struct mse_network_place *place, struct mse_error_info *err)
{
	/* The groups of an ordinary user cannot be given up in his own namespace. */
	if (place->host_root && setgroups(0, NULL) < 0)
		return mse_fail_errno(err, "cannot give up groups");
	if (setns(place->users, CLONE_NEWUSER) < 0)
		return mse_fail_errno(err, "cannot enter the network's user namespace");
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return mse_fail_errno(err, "cannot become root of the network's user namespace");
	return limit_capabilities(err);
}

static int enter(const struct mse_network_place *place, int network, struct mse_error_info *err)
{
	int result = mse_cgroup_enter_helpers(place->group, err);

	if (result < 0)
		return result;
	if (setns(network, CLONE_NEWNET) < 0)
		return mse_fail_errno(err, "cannot enter the network namespace");
	return enter_users(place, err);
}

int mse_network_enter_app(void *place, struct mse_error_info *err)
{
	return enter(place, ((struct mse_network_place *)place)->app, err);
}

int mse_network_enter_gateway(void *place, struct mse_error_info *err)
{
	return enter(place, ((struct mse_network_place *)place)->gateway, err);
}

static int set_kernel(const char *path, struct mse_error_info *err)
{
	mse_autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

	/* Of the namespace that the caller is in. */
	return fd < 0 ? mse_fail_errno(err, "cannot open '%s'", path) : mse_fd_write(fd, "1", 1, err);
}

int mse_network_enter_forwarding_gateway(void *place, struct mse_error_info *err)
{
	static const char ipv6[] = "/proc/sys/net/ipv6/conf/all/forwarding";
	int result = mse_network_enter_gateway(place, err);

	if (result == 0)
		result = set_kernel("/proc/sys/net/ipv4/ip_forward", err);
	return result < 0 || !mse_path_exists(ipv6) ? result : set_kernel(ipv6, err);
}

/* The machine's own device file may be root's alone. */
static int make_devices(struct mse_error_info *err)
{
	const struct {
		const char *path;
		unsigned major, minor;
	} devices[] = { { "/dev/null", 1, 3 }, { "/dev/net/tun", 10, 200 } };

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("mse", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k") < 0 || mkdir("/dev/net", 0755) < 0 ||
	    chmod("/dev/net", 0755) < 0)
		return mse_fail_errno(err, "cannot make a folder of devices");
	for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
		if (mknod(devices[i].path, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)) < 0 || chmod(devices[i].path, 0666) < 0)
			return mse_fail_errno(err, "cannot make the device '%s'", devices[i].path);
	return 0;
}

int mse_network_enter_node(void *place, struct mse_error_info *err)
{
	const struct mse_network_place *where = place;
	int result;

	if ((result = mse_cgroup_enter_helpers(where->group, err)) < 0 || (where->host_root && (result = make_devices(err)) < 0))
		return result;
	if (!where->host_root && access("/dev/net/tun", R_OK | W_OK) < 0)
		return mse_fail_errno(err, "'/dev/net/tun' is not open to this user: run msed as root, or open the device to it");
	return enter_users(where, err);
}
