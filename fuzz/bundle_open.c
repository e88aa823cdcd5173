/* A bundle: as sent by somebody without the key (first byte even: the rest is the sealed file), or with it (odd: the rest
 * is sealed first). Whatever it is, a refusal leaves nothing behind in the destination. */
#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "bundle/bundle.h"
#include "bundle/stream.h"
#include "tar_checksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/mse-fuzz-XXXXXX";
static struct mse_secret *key;

static void remove_folder(void)
{
	struct mse_error_info err;

	mse_tree_remove(folder, &err);
}

static void prepare(void)
{
	static const uint8_t bytes[MSE_BUNDLE_KEY_SIZE];
	struct mse_error_info err;

	if (sodium_init() < 0 || mkdtemp(folder) == NULL || mse_secret_copy(bytes, sizeof bytes, &key, &err) < 0)
		abort();
	atexit(remove_folder);
}

static void seal(int fd, const uint8_t *data, size_t size)
{
	struct mse_stream_writer *writer = NULL;
	struct mse_error_info err;
	uint8_t sha256[32];
	uint64_t sealed_size;
	uint8_t *inner = malloc(size + 1);

	if (inner == NULL)
		abort();
	memcpy(inner, data, size);
	correct_tar_checksums(inner, size);
	if (mse_stream_writer_new(fd, key, &writer, &err) < 0 || mse_stream_write(writer, inner, size, &err) < 0)
		abort();
	free(inner);
	mse_stream_finish(writer, sha256, &sealed_size, &err);
	mse_stream_writer_free(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mse_tree_limits limits = { .entries = 64, .total_size = 1 << 20, .path_size = 256, .depth = 16 };
	struct mse_bundle_opened opened = { 0 };
	struct mse_error_info err;
	int fd, destination;

	if (key == NULL)
		prepare();
	if (size == 0)
		return 0;
	if (mkdir(folder, 0700) < 0 && access(folder, W_OK) < 0)
		abort();
	fd = memfd_create("bundle", MFD_CLOEXEC);
	destination = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || destination < 0)
		abort();
	if (data[0] % 2 == 0)
		(void)!write(fd, data + 1, size - 1);
	else
		seal(fd, data + 1, size - 1);
	lseek(fd, 0, SEEK_SET);
	if (mse_bundle_open(fd, key, destination, &limits, &opened, &err) == 0) {
		mse_bundle_opened_clear(&opened);
		remove_folder();
	} else if (rmdir(folder) < 0) {
		abort();
	}
	close(fd);
	close(destination);
	return 0;
}
