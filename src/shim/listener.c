#include "shim/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define PORT_WAIT_MS 5000u
#define PORT_RETRY_MS 50u

#define DEVICE "lo"

/* Of a TCP header (RFC 9293, 3.1), where a socket's filter begins to read. */
#define DESTINATION_PORT 2
#define SEQUENCE_NUMBER 4
#define FLAGS 13
/* Of the header of IPv4 before it (RFC 791, 3.1). */
#define DESTINATION_ADDRESS 16

/* connect(2) to AF_UNSPEC makes an accepted socket, and a listening one too, a fresh one, which could then connect from the node's
 * network: to its loopback, to its cloud's metadata, past all rules for the app's own. What would answer such a connection is dropped: SYN
 * with ACK, and the RST of a closed port, which alone has the sequence number 0 (RFC 9293, 3.10.7.1); and so is all that comes to another
 * port or address, as where an accepted socket was bound anew and listens, at the address that the whole world reaches. Connections inherit
 * the filter, and nobody can take it off again. */
static int only_be_connected_to(int fd, uint16_t port, struct mse_error_info *err)
{
	const struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + DESTINATION_ADDRESS),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, INADDR_LOOPBACK, 0, 9),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, DESTINATION_PORT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 7),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN | TH_ACK, 4, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TH_RST, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SEQUENCE_NUMBER),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = { .len = sizeof instructions / sizeof instructions[0], .filter = (struct sock_filter *)instructions };
	const int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 || setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) < 0)
		return mse_fail_errno(err, "cannot keep the enclave from connecting with the listening socket");
	return 0;
}

int mse_listener_open(uint16_t port, bool host_root, int *ret_fd, bool *ret_one_way, struct mse_error_info *err)
{
	const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	mse_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	uint64_t deadline = mse_monotonic_ms() + PORT_WAIT_MS;
	const int on = 1;
	int result;

	/* Whatever becomes of it and of its connections, the node's other interfaces are not theirs. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, DEVICE, sizeof DEVICE) < 0)
		return mse_fail_errno(err, "cannot create the listening socket");
	result = only_be_connected_to(fd, port, err);
	if (result < 0 && (host_root || result != MSE_ERR_DENIED))
		return result;
	*ret_one_way = result == 0;
	while (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
		if (errno != EADDRINUSE || mse_monotonic_ms() > deadline)
			return mse_fail_errno(err, "port %u of 127.0.0.1 cannot be had", port);
		usleep(PORT_RETRY_MS * 1000);
	}
	if (listen(fd, SOMAXCONN) < 0)
		return mse_fail_errno(err, "cannot listen at port %u of 127.0.0.1", port);
	*ret_fd = mse_steal_fd(&fd);
	return 0;
}

bool mse_listener_listens(int fd)
{
	socklen_t size = sizeof(int);
	int listening = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}
