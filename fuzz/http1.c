/* HTTP/1 messages: the first byte says into which pieces the stream is cut; cut or whole, it must mean the same. */
#include "../tests/unit/http/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, cut;
	struct mse_http_limits limits = mse_http_limits_default();

	if (size < 2 || size > 16384)
		return 0;
	limits.max_head_size = 1024;
	limits.max_header_count = 16;
	limits.max_body_size = 2048;
	stream_parse((const char *)data + 1, size - 1, 0, &limits, &whole);
	stream_parse((const char *)data + 1, size - 1, 1u + data[0], &limits, &cut);
	if (!stream_agrees(&whole, &cut))
		abort();
	return 0;
}
