#include "shim/health.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <string.h>

#include "base/allowance.h"
#include "base/text.h"
#include "shim/timer.h"

#define EAGER_MS 10u
#define EAGER_POLLS 100u
#define MAX_WAIT_MS 5000u
#define TIMEOUT_SECONDS 5
/* Of a whole request, however slowly or endlessly it is answered. */
#define POLL_TIMEOUT_MS 10000u
/* An application can say again and again that it serves; what the eager polls cost is not to be had without end. */
#define POLL_BURST (3 * EAGER_POLLS)
#define POLLS_PER_SECOND 2
#define BYTES_PER_SECOND ((size_t)512 * 1024)
#define BYTES_BURST ((size_t)2 * 1024 * 1024)
#define MAX_BODY_SIZE (1024 * 1024)
#define MAX_HEADERS_SIZE (64 * 1024)

struct mse_health {
	struct event_base *base;
	struct event *timer;
	struct event *deadline;
	struct ev_token_bucket_cfg *pace;
	struct mse_allowance allowance;
	SSL_CTX *tls;
	struct evhttp_connection *connection;
	uint16_t port;
	char *host;
	char *endpoint;
	mse_health_on_ok *on_ok;
	void *context;
	bool asking;
	unsigned polls;
	unsigned wait_ms;
	int status; /* of the answer that is being received; 0: none yet */
};

static void not_healthy(struct mse_health *health)
{
	if (++health->polls > EAGER_POLLS)
		health->wait_ms = health->wait_ms * 3 / 2 > MAX_WAIT_MS ? MAX_WAIT_MS : health->wait_ms * 3 / 2;
	mse_timer_set(health->timer, health->wait_ms);
}

static int on_headers(struct evhttp_request *request, void *argument)
{
	struct mse_health *health = argument;

	health->status = evhttp_request_get_response_code(request);
	return 0;
}

/* The answer is complete, or there is none: then request is NULL. What counts is the status, whatever became of the body. */
static void on_answer(struct evhttp_request *request, void *argument)
{
	struct mse_health *health = argument;

	(void)request;
	if (!health->asking)
		return;
	if (health->status >= 200 && health->status < 400) {
		mse_health_stop(health);
		health->on_ok(health->context);
	} else
		not_healthy(health);
}

/* The certificate is not verified: nothing is sent but a request for a status, and nothing is believed but that status, which
 * the host could invent anyway. Whoever has something to entrust to the app verifies it by its evidence. */
static struct bufferevent *open_tls(struct mse_health *health)
{
	SSL *ssl = SSL_new(health->tls);
	struct bufferevent *stream;

	if (ssl == NULL)
		return NULL;
	SSL_set_tlsext_host_name(ssl, health->host);
	stream = bufferevent_openssl_socket_new(health->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (stream == NULL) {
		SSL_free(ssl);
		return NULL;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(stream, 1);
	if (bufferevent_set_rate_limit(stream, health->pace) < 0) {
		bufferevent_free(stream);
		return NULL;
	}
	return stream;
}

static int add_headers(struct mse_health *health, struct evhttp_request *request)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	char host[300];

	snprintf(host, sizeof host, "%s:%u", health->host, health->port);
	if (evhttp_add_header(headers, "Host", host) < 0 || evhttp_add_header(headers, "Connection", "close") < 0)
		return -1;
	return evhttp_add_header(headers, "User-Agent", "mse-health");
}

static int ask(struct mse_health *health)
{
	struct bufferevent *stream = open_tls(health);
	struct evhttp_request *request;

	if (stream == NULL)
		return -1;
	health->connection = evhttp_connection_base_bufferevent_new(health->base, NULL, stream, "127.0.0.1", health->port);
	if (health->connection == NULL) {
		bufferevent_free(stream);
		return -1;
	}
	evhttp_connection_set_timeout(health->connection, TIMEOUT_SECONDS);
	evhttp_connection_set_max_body_size(health->connection, MAX_BODY_SIZE);
	evhttp_connection_set_max_headers_size(health->connection, MAX_HEADERS_SIZE);
	request = evhttp_request_new(on_answer, health);
	if (request == NULL)
		return -1;
	evhttp_request_set_header_cb(request, on_headers);
	if (add_headers(health, request) < 0) {
		evhttp_request_free(request);
		return -1;
	}
	return evhttp_make_request(health->connection, request, EVHTTP_REQ_GET, health->endpoint);
}

static void drop_connection(struct mse_health *health)
{
	event_del(health->deadline);
	if (health->connection != NULL)
		evhttp_connection_free(health->connection);
	health->connection = NULL;
}

static void on_deadline(evutil_socket_t fd, short what, void *argument)
{
	struct mse_health *health = argument;

	(void)fd;
	(void)what;
	/* Its answer would come to nothing: on_answer() is not called for what is dropped here. */
	drop_connection(health);
	health->status = 0;
	if (health->asking)
		not_healthy(health);
}

static const struct timeval poll_timeout = { .tv_sec = POLL_TIMEOUT_MS / 1000 };

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct mse_health *health = argument;

	(void)fd;
	(void)what;
	/* The connection of the last request, which could not be freed while that was being answered. */
	drop_connection(health);
	health->status = 0;
	if (!health->asking)
		return;
	if (!mse_allowance_take(&health->allowance, 1, mse_monotonic_ms())) {
		mse_timer_set(health->timer, MAX_WAIT_MS);
		return;
	}
	if (ask(health) < 0)
		not_healthy(health);
	else
		event_add(health->deadline, &poll_timeout);
}

int mse_health_new(struct event_base *base, uint16_t port, const char *host, const char *endpoint, mse_health_on_ok *on_ok, void *context,
	struct mse_health **ret_health, struct mse_error_info *err)
{
	mse_cleanup(mse_health_freep) struct mse_health *health = calloc(1, sizeof *health);
	int result;

	if (health == NULL)
		return mse_fail_nomem(err);
	health->base = base;
	health->port = port;
	health->on_ok = on_ok;
	health->context = context;
	if ((result = mse_strdup(host, &health->host, err)) < 0 || (result = mse_strdup(endpoint, &health->endpoint, err)) < 0)
		return result;
	health->timer = evtimer_new(base, on_timer, health);
	health->deadline = evtimer_new(base, on_deadline, health);
	health->pace = ev_token_bucket_cfg_new(BYTES_PER_SECOND, BYTES_BURST, BYTES_PER_SECOND, BYTES_BURST, NULL);
	health->allowance = mse_allowance_of(POLL_BURST, POLLS_PER_SECOND, mse_monotonic_ms());
	health->tls = SSL_CTX_new(TLS_client_method());
	if (health->timer == NULL || health->deadline == NULL || health->pace == NULL || health->tls == NULL)
		return mse_fail_nomem(err);
	/* What enclaves speak; it has no renegotiation either. */
	if (SSL_CTX_set_min_proto_version(health->tls, TLS1_3_VERSION) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot prepare TLS for health checks");
	SSL_CTX_set_verify(health->tls, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(health->tls, SSL_SESS_CACHE_OFF);
	*ret_health = mse_steal(health);
	return 0;
}

void mse_health_free(struct mse_health *health)
{
	if (health == NULL)
		return;
	health->asking = false;
	if (health->connection != NULL)
		drop_connection(health);
	if (health->timer != NULL)
		event_free(health->timer);
	if (health->deadline != NULL)
		event_free(health->deadline);
	if (health->pace != NULL)
		ev_token_bucket_cfg_free(health->pace);
	SSL_CTX_free(health->tls);
	free(health->host);
	free(health->endpoint);
	free(health);
}

void mse_health_start(struct mse_health *health)
{
	if (health->asking)
		return;
	health->asking = true;
	health->polls = 0;
	health->wait_ms = EAGER_MS;
	mse_timer_set(health->timer, 0);
}

void mse_health_stop(struct mse_health *health)
{
	health->asking = false;
	/* From the timer, since this may be called while an answer is handled. */
	mse_timer_set(health->timer, 0);
}
