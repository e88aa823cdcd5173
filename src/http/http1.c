#include "http/http1.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "http/server.h"

/* RFC 9112 section 2.2 wants empty lines before the request line ignored: clients sent one after a body. */
#define MAX_BLANK_LINES 2
/* Chunk headers and trailers may take as much as a head, plus this many bytes for each byte of content. */
#define MAX_FRAMING_PER_BYTE 16

static const bool token_bytes[256] = {
	['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true, ['\''] = true, ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true,
	['^'] = true, ['_'] = true, ['`'] = true, ['|'] = true, ['~'] = true, ['0' ... '9'] = true, ['a' ... 'z'] = true, ['A' ... 'Z'] = true,
};

/* uri-host and port: RFC 3986 section 3.2.2, without user information. */
static const bool host_bytes[256] = {
	['!'] = true, ['$'] = true, ['%'] = true, ['&'] = true, ['\''] = true, ['('] = true, [')'] = true, ['*'] = true, ['+'] = true, [','] = true,
	[';'] = true, ['='] = true, ['-'] = true, ['.'] = true, ['_'] = true, ['~'] = true, [':'] = true, ['['] = true, [']'] = true,
	['0' ... '9'] = true, ['a' ... 'z'] = true, ['A' ... 'Z'] = true,
};

bool mse_http1_is_token(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!token_bytes[(unsigned char)text[i]])
			return false;
	return size > 0;
}

/* What llhttp reports. The head is parsed in one call, so a name or value never comes in pieces, unless it is folded. */

static int on_header_field(llhttp_t *llhttp, const char *at, size_t size)
{
	struct mse_http1 *parser = llhttp->data;
	struct mse_http_head *head = parser->head;

	if (head == NULL)
		return 0; /* trailers are checked by llhttp, and dropped */
	if (head->header_count + 1 >= parser->line_count)
		return -1;
	head->headers[head->header_count++] = (struct mse_http_header){ .name = at, .name_size = size };
	return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t size)
{
	struct mse_http1 *parser = llhttp->data;
	struct mse_http_header *header;

	if (parser->head == NULL)
		return 0;
	if (parser->head->header_count == 0)
		return -1;
	header = &parser->head->headers[parser->head->header_count - 1];
	if (header->value != NULL)
		return -1;
	header->value = at;
	header->value_size = size;
	return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
	struct mse_http1 *parser = llhttp->data;
	struct mse_http_head *head = parser->head;

	if (head == NULL)
		return -1;
	parser->flags = llhttp->flags;
	head->keep_alive = llhttp_should_keep_alive(llhttp);
	head->content_length = -1;
	head->has_body = (llhttp->flags & F_CHUNKED) != 0;
	if (llhttp->flags & F_CONTENT_LENGTH) {
		if (llhttp->content_length > parser->max_body_size || llhttp->content_length > INT64_MAX) {
			parser->status = 413;
			return -1;
		}
		head->content_length = (int64_t)llhttp->content_length;
		head->has_body = head->content_length > 0;
	}
	return 0;
}

/* The framing up to `end` must have CR and LF in pairs only, where llhttp lets some bare line feeds through after the last chunk; and there
 * must not be too much of it. 0, or the status to refuse with. */
static int check_framing(struct mse_http1 *parser, const uint8_t *end)
{
	if (!(parser->flags & F_CHUNKED))
		return 0;
	parser->framing_size += (size_t)(end - parser->framing);
	if (parser->framing_size > parser->max_head_size + MAX_FRAMING_PER_BYTE * parser->body_size)
		return 413;
	for (const uint8_t *at = parser->framing; at < end; at++) {
		if ((*at == '\n') != parser->after_cr)
			return 400;
		parser->after_cr = *at == '\r';
	}
	return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size)
{
	struct mse_http1 *parser = llhttp->data;

	parser->status = check_framing(parser, (const uint8_t *)at);
	if (parser->status != 0)
		return -1;
	parser->framing = (const uint8_t *)at + size;
	if (size > parser->max_body_size - parser->body_size) {
		parser->status = 413;
		return -1;
	}
	parser->body_size += size;
	if (!parser->on_body(parser->ctx, (const uint8_t *)at, size)) {
		parser->status = 500;
		return -1;
	}
	return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
	struct mse_http1 *parser = llhttp->data;

	parser->complete = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

void mse_http1_init(struct mse_http1 *parser, const struct mse_http_limits *limits, bool (*sink)(void *ctx, const uint8_t *data, size_t size),
	void *ctx)
{
	*parser = (struct mse_http1){ .max_head_size = limits->max_head_size, .max_header_count = limits->max_header_count,
		.max_body_size = limits->max_body_size, .on_body = sink, .ctx = ctx };
	llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
	parser->llhttp.data = parser;
}

void mse_http1_reset(struct mse_http1 *parser)
{
	parser->blank_size = parser->scanned = parser->line_start = parser->head_size = parser->request_line_size = 0;
	parser->line_count = 0;
	parser->head = NULL;
	parser->flags = 0;
	parser->body_size = parser->framing_size = 0;
	parser->status = 0;
	parser->framing = NULL;
	parser->after_cr = false;
	parser->complete = false;
	llhttp_reset(&parser->llhttp);
}

static enum mse_http1_scan refused(struct mse_http1 *parser, int status)
{
	parser->status = status;
	return MSE_HTTP1_REFUSED;
}

/* A line has ended with the LF at data[i]. */
static enum mse_http1_scan end_of_line(struct mse_http1 *parser, size_t i)
{
	if (i - parser->line_start == 1) {
		if (parser->line_count > 0) {
			parser->head_size = i + 1;
			return MSE_HTTP1_FOUND;
		}
		parser->blank_size = i + 1;
		if (parser->blank_size > 2 * MAX_BLANK_LINES)
			return refused(parser, 400);
	} else {
		if (parser->line_count == 0)
			parser->request_line_size = i - 1 - parser->line_start;
		/* The request line is one of the lines. */
		if (++parser->line_count > parser->max_header_count + 1)
			return refused(parser, 431);
	}
	parser->line_start = i + 1;
	return MSE_HTTP1_MORE;
}

enum mse_http1_scan mse_http1_scan(struct mse_http1 *parser, const uint8_t *data, size_t size)
{
	size_t i = parser->scanned;

	for (; i < size; i++) {
		uint8_t byte = data[i];

		if (i >= parser->max_head_size)
			return refused(parser, parser->line_count == 0 ? 414 : 431);
		if (byte > 0x20 && byte != 0x7f)
			continue;
		if (byte == '\n') {
			enum mse_http1_scan result;

			if (i == 0 || data[i - 1] != '\r')
				return refused(parser, 400);
			result = end_of_line(parser, i);
			if (result != MSE_HTTP1_MORE)
				return result;
		} else if (byte == '\r') {
			if (i + 1 == size)
				break; /* looked at again together with what follows it */
			if (data[i + 1] != '\n')
				return refused(parser, 400);
		} else if (byte == ' ' || byte == '\t') {
			/* A line that begins with white space is a folded one (RFC 9112 section 5.2), or worse. */
			if (i == parser->line_start)
				return refused(parser, 400);
		} else {
			return refused(parser, 400);
		}
	}
	parser->scanned = i;
	return MSE_HTTP1_MORE;
}

size_t mse_http1_storage_size(const struct mse_http1 *parser)
{
	assert(parser->head_size > 0 && parser->line_count > 0);
	return (parser->line_count - 1) * sizeof(struct mse_http_header) + parser->head_size + parser->request_line_size + 1;
}

/* method SP target SP version, with single spaces: 0, or the status to refuse with. */
static int split_request_line(char *line, size_t size, struct mse_http_head *head, char **ret_target, size_t *ret_target_size)
{
	char *first = memchr(line, ' ', size), *second, *version;
	size_t rest;

	if (first == NULL || !mse_http1_is_token(line, (size_t)(first - line)))
		return 400;
	rest = size - (size_t)(first + 1 - line);
	second = memchr(first + 1, ' ', rest);
	if (second == NULL || second == first + 1)
		return 400;
	version = second + 1;
	if (size - (size_t)(version - line) != 8 || memcmp(version, "HTTP/", 5) != 0 || version[6] != '.' || version[5] < '0' || version[5] > '9' ||
		version[7] < '0' || version[7] > '9')
		return 400;
	if (version[5] != '1' || version[7] > '1')
		return 505;
	head->method = line;
	head->minor_version = (unsigned)(version[7] - '0');
	*ret_target = first + 1;
	*ret_target_size = (size_t)(second - (first + 1));
	return 0;
}

static bool is_host(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!host_bytes[(unsigned char)text[i]])
			return false;
	return true;
}

/* Lower-cases the name, trims the value, and puts a NUL behind each (over the colon and the CR or a space). */
static bool normalise(struct mse_http_header *header)
{
	char *name = (char *)header->name, *value = (char *)header->value;

	if (value == NULL || !mse_http1_is_token(name, header->name_size))
		return false;
	for (size_t i = 0; i < header->name_size; i++)
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] = (char)(name[i] + ('a' - 'A'));
	while (header->value_size > 0 && (*value == ' ' || *value == '\t')) {
		value++;
		header->value_size--;
	}
	while (header->value_size > 0 && (value[header->value_size - 1] == ' ' || value[header->value_size - 1] == '\t'))
		header->value_size--;
	name[header->name_size] = 0;
	/* llhttp reports an empty value where the next line begins. */
	if (header->value_size == 0)
		value = name + header->name_size;
	value[header->value_size] = 0;
	header->value = value;
	return true;
}

static bool is_named(const struct mse_http_header *header, const char *name, size_t size)
{
	return header->name_size == size && memcmp(header->name, name, size) == 0;
}
#define IS_NAMED(header, name) is_named((header), (name), sizeof(name) - 1)

static int check_headers(struct mse_http1 *parser, struct mse_http_head *head)
{
	const struct mse_http_header *host = NULL, *coding = NULL;

	for (size_t i = 0; i < head->header_count; i++) {
		struct mse_http_header *header = &head->headers[i];

		if (!normalise(header))
			return 400;
		if (IS_NAMED(header, "host")) {
			if (host != NULL || !is_host(header->value, header->value_size))
				return 400;
			host = header;
		} else if (IS_NAMED(header, "transfer-encoding")) {
			/* Only this one coding, once, and not from clients that do not know it: every other form has been used for smuggling. */
			if (coding != NULL || head->minor_version == 0 || strcasecmp(header->value, "chunked") != 0)
				return 400;
			coding = header;
		} else if (IS_NAMED(header, "expect") && head->minor_version > 0) {
			if (strcasecmp(header->value, "100-continue") != 0)
				return 417;
			head->expects_continue = head->has_body;
		}
	}
	if (host == NULL && head->minor_version > 0)
		return 400;
	if ((coding != NULL) != ((parser->flags & F_CHUNKED) != 0) || (coding != NULL && head->content_length >= 0))
		return 400;
	head->host = host != NULL ? host->value : "";
	return 0;
}

/* Target forms: RFC 9112 section 3.2. path gets a copy of the path, so that it can end with a NUL. */
static int check_target(struct mse_http_head *head, const char *target, size_t size, bool is_tls, char *path)
{
	const char *from = target, *scheme = is_tls ? "https://" : "http://", *question;
	size_t scheme_size = strlen(scheme), path_size;

	for (size_t i = 0; i < size; i++)
		if (target[i] <= 0x20 || target[i] >= 0x7f || target[i] == '#')
			return 400;
	if (strcmp(head->method, "CONNECT") == 0)
		return 501;
	if (target[0] != '/' && !(size == 1 && target[0] == '*' && strcmp(head->method, "OPTIONS") == 0)) {
		size_t authority;

		if (size <= scheme_size || strncasecmp(target, scheme, scheme_size) != 0)
			return 400;
		from = target + scheme_size;
		authority = strcspn(from, "/?");
		if (authority == 0 || !is_host(from, authority))
			return 400;
		if (head->minor_version > 0 && (strlen(head->host) != authority || strncasecmp(head->host, from, authority) != 0))
			return 400;
		from += authority;
	}
	question = strchr(from, '?');
	head->query = question != NULL ? question + 1 : "";
	path_size = question != NULL ? (size_t)(question - from) : strlen(from);
	if (path_size == 0) {
		memcpy(path, "/", 2);
	} else {
		memcpy(path, from, path_size);
		path[path_size] = 0;
	}
	head->path = path;
	head->target = target;
	return 0;
}

/* llhttp's view of the head, which must agree with ours. */
static int run_llhttp(struct mse_http1 *parser, const char *text, size_t size, struct mse_http_head *head)
{
	llhttp_errno_t result;

	parser->head = head;
	result = llhttp_execute(&parser->llhttp, text, size);
	parser->head = NULL;
	if (parser->status != 0)
		return parser->status;
	/* The second is a method of RTSP; the version has been checked to be HTTP. */
	if (result == HPE_INVALID_METHOD || result == HPE_INVALID_CONSTANT)
		return 501;
	if (result == HPE_OK && !parser->complete && head->has_body)
		return head->header_count + 1 == parser->line_count ? 0 : 400;
	/* Upgrade requests pause like that too; they are served as if they had not asked (RFC 9110 section 7.8). */
	if ((result != HPE_PAUSED && result != HPE_PAUSED_UPGRADE) || !parser->complete || head->has_body ||
		llhttp_get_error_pos(&parser->llhttp) != text + size)
		return 400;
	return head->header_count + 1 == parser->line_count ? 0 : 400;
}

int mse_http1_head(struct mse_http1 *parser, const uint8_t *data, bool is_tls, void *storage, struct mse_http_head *head)
{
	size_t size = parser->head_size - parser->blank_size, target_size = 0;
	char *text = (char *)storage + (parser->line_count - 1) * sizeof(struct mse_http_header), *path = text + size, *target = NULL;
	int status;

	*head = (struct mse_http_head){ .headers = storage };
	memcpy(text, data + parser->blank_size, size);
	status = split_request_line(text, parser->request_line_size, head, &target, &target_size);
	if (status == 0)
		status = run_llhttp(parser, text, size, head);
	if (status == 0) {
		target[-1] = 0;
		target[target_size] = 0;
		head->is_head = strcmp(head->method, "HEAD") == 0;
		status = check_headers(parser, head);
	}
	if (status == 0)
		status = check_target(head, target, target_size, is_tls, path);
	parser->status = status;
	return status;
}

int mse_http1_body(struct mse_http1 *parser, const uint8_t *data, size_t size, size_t *ret_consumed)
{
	llhttp_errno_t result;
	size_t consumed = size;

	*ret_consumed = 0;
	if (parser->complete || size == 0)
		return 0;
	parser->framing = data;
	result = llhttp_execute(&parser->llhttp, (const char *)data, size);
	if (parser->complete)
		consumed = (size_t)(llhttp_get_error_pos(&parser->llhttp) - (const char *)data);
	else if (result != HPE_OK)
		return parser->status != 0 ? parser->status : (parser->status = 400);
	parser->status = check_framing(parser, data + consumed);
	if (parser->status != 0) {
		parser->complete = false;
		return parser->status;
	}
	*ret_consumed = consumed;
	return 0;
}
