/* The certificate that the other side of a connection shows. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "ratls/certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	mse_cleanup(mse_x509_freep) X509 *certificate = NULL;
	struct mse_certificate_content content;
	struct mse_error_info err;

	if (mse_certificate_from_der(data, size, &certificate, &err) < 0)
		return 0;
	(void)mse_certificate_read(certificate, &content, &err);
	(void)mse_certificate_check_time(certificate, 1800000000, &err);
	(void)mse_certificate_check_name(certificate, "a.mse.localhost", &err);
	return 0;
}
