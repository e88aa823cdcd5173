#include "http/internal.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

int mse_http_transport_open(struct mse_http_connection *connection)
{
	SSL_CTX *ctx = connection->server->ssl_ctx;

	if (ctx == NULL)
		return 0;
	connection->ssl = SSL_new(ctx);
	if (connection->ssl == NULL || SSL_set_fd(connection->ssl, connection->fd) != 1) {
		ERR_clear_error();
		return MSE_HTTP_DEAD;
	}
	/* Idle connections shall not keep record buffers; a write that was refused is repeated from wherever the bytes are by then. */
	SSL_set_mode(connection->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_set_accept_state(connection->ssl);
	return 0;
}

int mse_http_transport_handshake(struct mse_http_connection *connection)
{
	int result;

	ERR_clear_error();
	connection->read_wants_write = false;
	result = SSL_do_handshake(connection->ssl);
	if (result == 1) {
		connection->tls_version = SSL_get_version(connection->ssl);
		return 0;
	}
	switch (SSL_get_error(connection->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return MSE_HTTP_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		connection->read_wants_write = true;
		return MSE_HTTP_AGAIN;
	default:
		connection->tls_broken = true;
		return MSE_HTTP_DEAD;
	}
}

static ssize_t plain_read(struct mse_http_connection *connection, void *to, size_t size)
{
	ssize_t got;

	do
		got = recv(connection->fd, to, size, 0);
	while (got < 0 && errno == EINTR);
	connection->maybe_more = got == (ssize_t)size;
	if (got >= 0)
		return got;
	return errno == EAGAIN || errno == EWOULDBLOCK ? MSE_HTTP_AGAIN : MSE_HTTP_DEAD;
}

ssize_t mse_http_transport_read(struct mse_http_connection *connection, void *to, size_t size)
{
	int got;

	if (connection->ssl == NULL)
		return plain_read(connection, to, size);
	ERR_clear_error();
	connection->read_wants_write = false;
	got = SSL_read(connection->ssl, to, size > INT_MAX ? INT_MAX : (int)size);
	if (got > 0) {
		connection->maybe_more = SSL_has_pending(connection->ssl) == 1;
		return got;
	}
	connection->maybe_more = false;
	switch (SSL_get_error(connection->ssl, got)) {
	case SSL_ERROR_WANT_READ:
		return MSE_HTTP_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		connection->read_wants_write = true;
		return MSE_HTTP_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		/* An end of the stream without close_notify is among these: it may be an attacker's cut. */
		connection->tls_broken = true;
		return MSE_HTTP_DEAD;
	}
}

ssize_t mse_http_transport_write(struct mse_http_connection *connection, const void *data, size_t size)
{
	int sent;

	if (connection->ssl == NULL) {
		ssize_t result;

		do
			result = send(connection->fd, data, size, MSG_NOSIGNAL);
		while (result < 0 && errno == EINTR);
		if (result >= 0)
			return result;
		return errno == EAGAIN || errno == EWOULDBLOCK ? MSE_HTTP_AGAIN : MSE_HTTP_DEAD;
	}
	ERR_clear_error();
	connection->write_wants_read = false;
	sent = SSL_write(connection->ssl, data, size > INT_MAX ? INT_MAX : (int)size);
	if (sent > 0)
		return sent;
	switch (SSL_get_error(connection->ssl, sent)) {
	case SSL_ERROR_WANT_READ:
		connection->write_wants_read = true;
		return MSE_HTTP_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		return MSE_HTTP_AGAIN;
	default:
		connection->tls_broken = true;
		return MSE_HTTP_DEAD;
	}
}

void mse_http_transport_shutdown(struct mse_http_connection *connection)
{
	if (connection->ssl != NULL && !connection->tls_broken && SSL_is_init_finished(connection->ssl)) {
		ERR_clear_error();
		(void)SSL_shutdown(connection->ssl);
		connection->tls_broken = true;
	}
	(void)shutdown(connection->fd, SHUT_WR);
}

void mse_http_transport_close(struct mse_http_connection *connection, bool reset)
{
	if (connection->ssl != NULL) {
		SSL_free(connection->ssl);
		connection->ssl = NULL;
		ERR_clear_error();
	}
	if (connection->fd < 0)
		return;
	if (reset && connection->is_tcp) {
		struct linger now = { .l_onoff = 1 };

		(void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	}
	(void)close(connection->fd);
	connection->fd = -1;
}

int mse_http_transport_export(struct mse_http_connection *connection, const struct mse_http_exporter_job *job)
{
	int done;

	/* TLS 1.2 exporters may not be bound to the handshake (RFC 7627): only those of 1.3 are given out. */
	if (connection->ssl == NULL || SSL_version(connection->ssl) != TLS1_3_VERSION || !SSL_is_init_finished(connection->ssl))
		return MSE_ERR_STATE;
	ERR_clear_error();
	done = SSL_export_keying_material(connection->ssl, job->value, MSE_HTTP_EXPORTER_SIZE, job->label, strlen(job->label), job->context,
		job->context_size, job->use_context ? 1 : 0);
	ERR_clear_error();
	return done == 1 ? 0 : MSE_ERR_CRYPTO;
}
