#include "tee/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/file.h"
#include "base/view.h"

const char *mse_enclave_status_name(enum mse_enclave_status status)
{
	switch (status) {
	case MSE_ENCLAVE_WAITING:
		return "waiting";
	case MSE_ENCLAVE_STARTING:
		return "starting";
	case MSE_ENCLAVE_SERVING:
		return "serving";
	case MSE_ENCLAVE_BUNDLE_REFUSED:
		return "bundle-refused";
	case MSE_ENCLAVE_IMPORT_FAILED:
		return "import-failed";
	case MSE_ENCLAVE_PYTHON_MISSING:
		return "python-missing";
	case MSE_ENCLAVE_STATE_REFUSED:
		return "state-refused";
	case MSE_ENCLAVE_INTERNAL_ERROR:
		return "internal-error";
	case MSE_ENCLAVE_STORAGE_REFUSED:
		return "storage-refused";
	case MSE_ENCLAVE_STOPPED:
		return "stopped";
	}
	return "unknown";
}

void mse_channel_head(uint8_t head[static MSE_CHANNEL_HEAD_SIZE], enum mse_frame_type type, size_t size)
{
	mse_put_be32(head, (uint32_t)(size + 1));
	head[4] = (uint8_t)type;
}

int mse_channel_send(int fd, enum mse_frame_type type, const void *payload, size_t size, struct mse_error_info *err)
{
	uint8_t head[MSE_CHANNEL_HEAD_SIZE];
	struct iovec parts[2] = { { head, MSE_CHANNEL_HEAD_SIZE }, { (void *)payload, size } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	if (size > MSE_CHANNEL_MAX_PAYLOAD)
		return mse_fail(err, MSE_ERR_LIMIT, "a frame of %zu bytes for the channel, the limit is %zu", size, MSE_CHANNEL_MAX_PAYLOAD);
	mse_channel_head(head, type, size);
	while (parts[0].iov_len + parts[1].iov_len > 0) {
		ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return mse_fail(err, MSE_ERR_CLOSED, "the other end of the channel is gone");
		if (sent < 0)
			return mse_fail_errno(err, "cannot send on the channel");
		for (int i = 0; i < 2; i++) {
			size_t part = (size_t)sent < parts[i].iov_len ? (size_t)sent : parts[i].iov_len;

			parts[i].iov_base = (uint8_t *)parts[i].iov_base + part;
			parts[i].iov_len -= part;
			sent -= (ssize_t)part;
		}
	}
	return 0;
}

int mse_channel_receive(int fd, enum mse_frame_type *ret_type, struct mse_buffer *payload, struct mse_error_info *err)
{
	uint8_t head[MSE_CHANNEL_HEAD_SIZE], *room;
	struct mse_view view = mse_view_of(head, MSE_CHANNEL_HEAD_SIZE);
	uint32_t size = 0;
	int result;

	if ((result = mse_fd_read(fd, head, MSE_CHANNEL_HEAD_SIZE, err)) < 0)
		return result;
	mse_view_be32(&view, &size);
	if (size < 1 || size - 1 > MSE_CHANNEL_MAX_PAYLOAD)
		return mse_fail(err, MSE_ERR_LIMIT, "a frame of %u bytes on the channel, the limit is %zu", size, MSE_CHANNEL_MAX_PAYLOAD);
	mse_buffer_clear(payload);
	if ((result = mse_buffer_reserve(payload, size - 1, &room, err)) < 0 || (result = mse_fd_read(fd, room, size - 1, err)) < 0)
		return result;
	mse_buffer_commit(payload, size - 1);
	*ret_type = (enum mse_frame_type)head[4];
	return 0;
}
