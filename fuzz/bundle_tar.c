/* A tar archive of any compression, whose tree digest is asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bundle/tree_scan.h"
#include "tar_checksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("tar", MFD_CLOEXEC);
	uint8_t digest[MSE_TREE_DIGEST_SIZE];
	struct mse_error_info err;
	char path[64];
	uint8_t *tar = malloc(size + 1);

	if (fd < 0 || tar == NULL)
		abort();
	memcpy(tar, data, size);
	correct_tar_checksums(tar, size);
	if (write(fd, tar, size) != (ssize_t)size)
		abort();
	free(tar);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	mse_tree_digest_tar(path, MSE_TREE_CODE, digest, &err);
	close(fd);
	return 0;
}
