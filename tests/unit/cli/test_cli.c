#include "tests.h"

#include <curl/curl.h>
#include <signal.h>

#include "base/secret.h"

int main(void)
{
	struct mse_error_info err;
	int failed = 0;

	signal(SIGPIPE, SIG_IGN);
	if (mse_secret_init(&err) < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return 1;
	failed += test_args();
	failed += test_conf();
	failed += test_context();
	failed += test_image_lock();
	failed += test_log_reader();
	failed += test_provision();
	failed += test_attested();
	curl_global_cleanup();
	return failed == 0 ? 0 : 1;
}
