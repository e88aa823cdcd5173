#include "base/peer.h"

#include <sys/socket.h>

int mse_peer_user(int fd, uid_t *ret_user, struct mse_error_info *err)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return mse_fail_errno(err, "cannot find out who is at the other end of a socket");
	/* A socket that is not connected has nobody. */
	if (size != sizeof peer || peer.pid == 0 || peer.uid == (uid_t)-1)
		return mse_fail(err, MSE_ERR_DENIED, "the kernel does not say who is at the other end of a socket");
	*ret_user = peer.uid;
	return 0;
}
