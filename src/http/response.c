#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "http/internal.h"

/* Written in pieces of this size, because the connection's mutex is held while they are copied. */
#define MAX_PIECE ((size_t)64 * 1024)
#define MAX_RESPONSE_HEAD ((size_t)256 * 1024)
#define DATE_LINE_SIZE 37 /* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" */

const char *mse_http_status_reason(unsigned status)
{
	static const char *const reasons[600] = {
		[200] = "OK", [201] = "Created", [202] = "Accepted", [203] = "Non-Authoritative Information", [204] = "No Content", [205] = "Reset Content",
		[206] = "Partial Content", [207] = "Multi-Status", [208] = "Already Reported", [226] = "IM Used",
		[300] = "Multiple Choices", [301] = "Moved Permanently", [302] = "Found", [303] = "See Other", [304] = "Not Modified", [305] = "Use Proxy",
		[307] = "Temporary Redirect", [308] = "Permanent Redirect",
		[400] = "Bad Request", [401] = "Unauthorized", [402] = "Payment Required", [403] = "Forbidden", [404] = "Not Found",
		[405] = "Method Not Allowed", [406] = "Not Acceptable", [407] = "Proxy Authentication Required", [408] = "Request Timeout",
		[409] = "Conflict", [410] = "Gone", [411] = "Length Required", [412] = "Precondition Failed", [413] = "Content Too Large",
		[414] = "URI Too Long", [415] = "Unsupported Media Type", [416] = "Range Not Satisfiable", [417] = "Expectation Failed", [418] = "I'm a Teapot",
		[421] = "Misdirected Request", [422] = "Unprocessable Content", [423] = "Locked", [424] = "Failed Dependency", [425] = "Too Early",
		[426] = "Upgrade Required", [428] = "Precondition Required", [429] = "Too Many Requests", [431] = "Request Header Fields Too Large",
		[451] = "Unavailable For Legal Reasons",
		[500] = "Internal Server Error", [501] = "Not Implemented", [502] = "Bad Gateway", [503] = "Service Unavailable", [504] = "Gateway Timeout",
		[505] = "HTTP Version Not Supported", [506] = "Variant Also Negotiates", [507] = "Insufficient Storage", [508] = "Loop Detected",
		[510] = "Not Extended", [511] = "Network Authentication Required",
	};

	return status < 600 && reasons[status] != NULL ? reasons[status] : "Unknown";
}

/* IMF-fixdate (RFC 9110 section 5.6.7). By hand, because gmtime_r() takes a lock of the whole process. */
static void put_date(char to[static DATE_LINE_SIZE + 1])
{
	static const char days[] = "ThuFriSatSunMonTueWed", months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
	struct timespec now;
	unsigned long day, second, era_day, year, month_day;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	day = (unsigned long)now.tv_sec / 86400;
	second = (unsigned long)now.tv_sec % 86400;
	/* Years that begin in March have their leap day at the end: days since 0000-03-01, in the 400 years from 2000-03-01 on or before. */
	era_day = (day + 719468) % 146097;
	year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
	month_day = era_day - (365 * year + year / 4 - year / 100);
	year += (day + 719468) / 146097 * 400;
	{
		unsigned long month = (5 * month_day + 2) / 153, in_month = month_day - (153 * month + 2) / 5 + 1;

		if (month >= 10)
			year++;
		(void)snprintf(to, DATE_LINE_SIZE + 1, "Date: %.3s, %02lu %.3s %04lu %02lu:%02lu:%02lu GMT\r\n", days + 3 * (day % 7), in_month,
			months + 3 * month, year % 10000, second / 3600, second / 60 % 60, second % 60);
	}
}

static bool append_text(struct mse_http_bytes *to, const char *text)
{
	return mse_http_bytes_append(to, text, strlen(text));
}

bool mse_http_response_refusal(struct mse_http_bytes *output, unsigned status)
{
	const char *reason = mse_http_status_reason(status);
	char date[DATE_LINE_SIZE + 1], text[512];

	put_date(date);
	(void)snprintf(text, sizeof text,
		"HTTP/1.1 %u %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%u %s\n", status, reason, date,
		strlen(reason) + 5, status, reason);
	return append_text(output, text);
}

/* Headers of the connection, not of the response: the server's own business (RFC 9110 section 7.6.1). */
static bool is_hop_by_hop(const struct mse_http_header *header)
{
	static const char *const names[] = { "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "trailer" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i]) == header->name_size && strncasecmp(names[i], header->name, header->name_size) == 0)
			return true;
	return false;
}

static bool is_named(const struct mse_http_header *header, const char *name)
{
	return strlen(name) == header->name_size && strncasecmp(name, header->name, header->name_size) == 0;
}

static bool is_clean(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)text[i];

		if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			return false;
	}
	return true;
}

static int parse_length(const struct mse_http_header *header, int64_t *ret_length, struct mse_error_info *err)
{
	int64_t length = 0;

	if (*ret_length >= 0)
		return mse_fail(err, MSE_ERR_INPUT, "starting a response: Content-Length is given twice");
	for (size_t i = 0; i < header->value_size; i++) {
		if (header->value[i] < '0' || header->value[i] > '9' || length > (INT64_MAX - 9) / 10)
			return mse_fail(err, MSE_ERR_INPUT, "starting a response: Content-Length must be a decimal number");
		length = length * 10 + (header->value[i] - '0');
	}
	if (header->value_size == 0)
		return mse_fail(err, MSE_ERR_INPUT, "starting a response: Content-Length is empty");
	*ret_length = length;
	return 0;
}

struct response_head {
	unsigned status;
	const char *reason;
	const struct mse_http_header *headers;
	size_t count;
	int64_t length; /* in: one to be added, or -1; out: what holds */
	bool add_length;
	bool has_date;
	size_t size; /* of the lines, at most */
};

static int check_head(struct response_head *head, struct mse_error_info *err)
{
	int64_t given = -1;

	if (head->status < 200 || head->status > 599)
		return mse_fail(err, MSE_ERR_INPUT, "starting a response: the status %u is not one of 200 to 599", head->status);
	if (head->reason == NULL)
		head->reason = mse_http_status_reason(head->status);
	if (!is_clean(head->reason, strlen(head->reason)))
		return mse_fail(err, MSE_ERR_INPUT, "starting a response: the reason of status %u holds control characters", head->status);
	head->size = 256 + strlen(head->reason);
	for (size_t i = 0; i < head->count; i++) {
		const struct mse_http_header *header = &head->headers[i];

		if (!mse_http1_is_token(header->name, header->name_size))
			return mse_fail(err, MSE_ERR_INPUT, "starting a response: the name of header %zu is not a token", i + 1);
		if (!is_clean(header->value, header->value_size))
			return mse_fail(err, MSE_ERR_INPUT, "starting a response: the value of the header '%.*s' holds a line break or another control character",
				(int)(header->name_size < 100 ? header->name_size : 100), header->name);
		if (is_hop_by_hop(header))
			return mse_fail(err, MSE_ERR_INPUT, "starting a response: the header '%.*s' is the server's own business, leave it out", (int)header->name_size,
				header->name);
		if (header->name_size > MAX_RESPONSE_HEAD || header->value_size > MAX_RESPONSE_HEAD ||
			(head->size += header->name_size + header->value_size + 4) > MAX_RESPONSE_HEAD)
			return mse_fail(err, MSE_ERR_LIMIT, "starting a response: its headers have more than %zu bytes", MAX_RESPONSE_HEAD);
		if (is_named(header, "content-length")) {
			int result = parse_length(header, &given, err);

			if (result < 0)
				return result;
		}
		head->has_date = head->has_date || is_named(header, "date");
	}
	head->add_length = head->length >= 0 && given < 0;
	if (given >= 0)
		head->length = given;
	return 0;
}

static bool put_head(struct mse_http_bytes *to, const struct response_head *head)
{
	char line[64], date[DATE_LINE_SIZE + 1];

	if (!mse_http_bytes_reserve(to, head->size))
		return false;
	(void)snprintf(line, sizeof line, "HTTP/1.1 %03u ", head->status);
	if (!append_text(to, line) || !append_text(to, head->reason) || !append_text(to, "\r\n"))
		return false;
	for (size_t i = 0; i < head->count; i++) {
		const struct mse_http_header *header = &head->headers[i];

		/* No Content-Length with 204 (RFC 9110 section 8.6). */
		if (head->status == 204 && is_named(header, "content-length"))
			continue;
		if (!mse_http_bytes_append(to, header->name, header->name_size) || !append_text(to, ": ") ||
			!mse_http_bytes_append(to, header->value, header->value_size) || !append_text(to, "\r\n"))
			return false;
	}
	if (!head->has_date) {
		put_date(date);
		if (!append_text(to, date))
			return false;
	}
	if (head->add_length && head->status != 204 && head->status != 304) {
		(void)snprintf(line, sizeof line, "Content-Length: %lld\r\n", (long long)head->length);
		if (!append_text(to, line))
			return false;
	}
	return true;
}

/* The response cannot be continued for want of memory: the client must not take it for a whole one. */
static int fail_broken(struct mse_http_request *request, struct mse_error_info *err)
{
	request->connection->abort = true;
	mse_http_connection_notify(request->connection);
	return mse_fail_nomem(err);
}

/* With the mutex held. */
static int start(struct mse_http_request *request, struct response_head *head, struct mse_error_info *err)
{
	struct mse_http_connection *connection = request->connection;
	int result = mse_http_request_check(request, err);

	if (result < 0)
		return result;
	if (request->started)
		return mse_fail(err, MSE_ERR_STATE, "starting a response: this request has one already");
	connection->held_from = mse_http_bytes_size(&connection->output);
	request->started = true;
	request->head_open = true;
	request->length = head->length;
	request->no_body = request->head.is_head || head->status == 204 || head->status == 304;
	return put_head(&connection->output, head) ? 0 : fail_broken(request, err);
}

/* Whether the connection can serve another request after this one; decided when the head is sent, because the head says so. */
static bool may_keep_alive(const struct mse_http_request *request)
{
	const struct mse_http_connection *connection = request->connection;

	if (!connection->keep_alive || request->body_error != 0 || atomic_load_explicit(&connection->server->stopping, memory_order_relaxed))
		return false;
	if (request->body_complete)
		return true;
	/* A client that still waits for 100 Continue may send the body now, or not (RFC 9110 section 10.1.1). */
	if (request->continue_wanted && request->received == 0)
		return false;
	return request->head.content_length < 0 || (uint64_t)request->head.content_length - request->received <= MSE_HTTP_MAX_DRAIN;
}

bool mse_http_response_close_head(struct mse_http_request *request, bool has_body_bytes)
{
	struct mse_http_connection *connection = request->connection;
	struct mse_http_bytes *to = &connection->output;
	bool ok = true;

	request->head_open = false;
	if (!request->no_body && request->length < 0) {
		if (!has_body_bytes) {
			ok = append_text(to, "Content-Length: 0\r\n");
		} else if (request->head.minor_version > 0) {
			request->chunked = true;
			ok = append_text(to, "Transfer-Encoding: chunked\r\n");
		} else {
			connection->keep_alive = false;
		}
	}
	connection->keep_alive = may_keep_alive(request);
	if (!connection->keep_alive)
		ok = ok && append_text(to, "Connection: close\r\n");
	else if (request->head.minor_version == 0)
		ok = ok && append_text(to, "Connection: keep-alive\r\n");
	return ok && append_text(to, "\r\n");
}

/* Room for a piece of at most size bytes. Where there is too little, waits until half of the buffer is free: many tiny pieces would cost
 * more. On a loop thread, which must not wait, there is always room. */
static int wait_for_room(struct mse_http_request *request, size_t size, size_t *ret_room, struct mse_error_info *err)
{
	struct mse_http_connection *connection = request->connection;
	size_t max = connection->server->limits.max_buffered_output, wanted = size < MAX_PIECE ? size : MAX_PIECE;

	if (wanted > max / 2)
		wanted = max / 2;
	*ret_room = wanted;
	if (mse_http_loop_is_current(connection->loop) || mse_http_connection_pending(connection) + wanted <= max)
		return 0;
	while (mse_http_connection_pending(connection) > max / 2) {
		int result;

		pthread_cond_wait(&request->changed, &connection->mutex);
		if (connection->closed && connection->close_code == MSE_ERR_TIMEOUT)
			return mse_fail(err, MSE_ERR_TIMEOUT, "sending a response: the client took nothing in time");
		result = mse_http_request_check(request, err);
		if (result < 0)
			return result;
	}
	return 0;
}

static bool put_piece(struct mse_http_request *request, const uint8_t *data, size_t size)
{
	struct mse_http_bytes *to = &request->connection->output;
	char line[24];

	if (!request->chunked)
		return mse_http_bytes_append(to, data, size);
	(void)snprintf(line, sizeof line, "%zx\r\n", size);
	return append_text(to, line) && mse_http_bytes_append(to, data, size) && append_text(to, "\r\n");
}

static void finish(struct mse_http_request *request)
{
	request->ended = true;
	mse_http_connection_notify(request->connection);
}

/* With the mutex held, which is released while waiting. */
static int write_all(struct mse_http_request *request, const uint8_t *data, size_t size, struct mse_error_info *err)
{
	struct mse_http_connection *connection = request->connection;

	while (size > 0) {
		size_t piece;
		int result = wait_for_room(request, size, &piece, err);

		if (result < 0)
			return result;
		if (request->head_open && !mse_http_response_close_head(request, true))
			return fail_broken(request, err);
		if (!put_piece(request, data, piece))
			return fail_broken(request, err);
		data += piece;
		size -= piece;
		request->written += piece;
		/* All that was announced is there: the connection need not wait for the handler's end. */
		if (request->length >= 0 && request->written == (uint64_t)request->length)
			finish(request);
		else
			mse_http_connection_notify(connection);
	}
	return 0;
}

/* With the mutex held. */
static int write_body(struct mse_http_request *request, const void *data, size_t size, struct mse_error_info *err)
{
	int result;

	if (request->ended && request->length >= 0 && size > 0 && !request->no_body)
		return mse_fail(err, MSE_ERR_INPUT, "writing a response: more than the %lld bytes that Content-Length announced", (long long)request->length);
	if (request->ended && size == 0)
		return 0;
	result = mse_http_request_check(request, err);
	if (result < 0)
		return result;
	if (!request->started)
		return mse_fail(err, MSE_ERR_STATE, "writing a response that was not started");
	if (size == 0 || request->no_body)
		return 0;
	if (request->length >= 0 && size > (uint64_t)request->length - request->written)
		return mse_fail(err, MSE_ERR_INPUT, "writing a response: more than the %lld bytes that Content-Length announced", (long long)request->length);
	return write_all(request, data, size, err);
}

/* With the mutex held. */
static int end_body(struct mse_http_request *request, struct mse_error_info *err)
{
	struct mse_http_connection *connection = request->connection;
	int result;

	if (request->ended && request->length >= 0 && request->written == (uint64_t)request->length)
		return 0;
	result = mse_http_request_check(request, err);
	if (result < 0)
		return result;
	if (!request->started)
		return mse_fail(err, MSE_ERR_STATE, "ending a response that was not started");
	if (!request->no_body && request->length >= 0 && request->written < (uint64_t)request->length) {
		connection->abort = true;
		mse_http_connection_notify(connection);
		return mse_fail(err, MSE_ERR_INPUT, "ending a response after %llu of the %lld bytes that Content-Length announced: the connection is aborted",
			(unsigned long long)request->written, (long long)request->length);
	}
	if (request->head_open && !mse_http_response_close_head(request, false))
		return fail_broken(request, err);
	if (request->chunked && !append_text(&connection->output, "0\r\n\r\n"))
		return fail_broken(request, err);
	finish(request);
	return 0;
}

int mse_http_response_start(struct mse_http_request *request, unsigned status, const char *reason, const struct mse_http_header *headers,
	size_t count, struct mse_error_info *err)
{
	struct response_head head = { .status = status, .reason = reason, .headers = headers, .count = count, .length = -1 };
	int result = check_head(&head, err);

	if (result < 0)
		return result;
	pthread_mutex_lock(&request->connection->mutex);
	result = start(request, &head, err);
	pthread_mutex_unlock(&request->connection->mutex);
	return result;
}

int mse_http_response_write(struct mse_http_request *request, const void *data, size_t size, struct mse_error_info *err)
{
	int result;

	pthread_mutex_lock(&request->connection->mutex);
	result = write_body(request, data, size, err);
	pthread_mutex_unlock(&request->connection->mutex);
	return result;
}

int mse_http_response_end(struct mse_http_request *request, struct mse_error_info *err)
{
	int result;

	pthread_mutex_lock(&request->connection->mutex);
	result = end_body(request, err);
	pthread_mutex_unlock(&request->connection->mutex);
	return result;
}

bool mse_http_response_started(struct mse_http_request *request)
{
	bool started;

	pthread_mutex_lock(&request->connection->mutex);
	started = request->started;
	pthread_mutex_unlock(&request->connection->mutex);
	return started;
}

int mse_http_respond_with(struct mse_http_request *request, unsigned status, const struct mse_http_header *headers, size_t count,
	const void *body, size_t size, struct mse_error_info *err)
{
	struct response_head head = { .status = status, .headers = headers, .count = count, .length = (int64_t)size };
	int result;

	if (size > INT64_MAX)
		return mse_fail(err, MSE_ERR_LIMIT, "answering a request: a body of %zu bytes", size);
	result = check_head(&head, err);
	if (result < 0)
		return result;
	if (!head.add_length)
		return mse_fail(err, MSE_ERR_INPUT, "answering a request: Content-Length is the server's own business here, leave it out");
	pthread_mutex_lock(&request->connection->mutex);
	result = start(request, &head, err);
	if (result == 0)
		result = write_body(request, body, size, err);
	if (result == 0)
		result = end_body(request, err);
	pthread_mutex_unlock(&request->connection->mutex);
	return result;
}

int mse_http_respond(struct mse_http_request *request, unsigned status, const char *content_type, const void *body, size_t size,
	struct mse_error_info *err)
{
	struct mse_http_header header = { .name = "Content-Type", .name_size = 12, .value = content_type };

	if (content_type != NULL)
		header.value_size = strlen(content_type);
	return mse_http_respond_with(request, status, &header, content_type != NULL ? 1 : 0, body, size, err);
}
