/* Runs a fuzz target over the files of its corpus: replay FOLDER. The target traps where something is wrong. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>

#include "base/file.h"

#define MAX_INPUT_SIZE ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	struct mse_error_info err;
	struct dirent *entry;
	unsigned count = 0;

	if (dir == NULL) {
		fprintf(stderr, "usage: replay FOLDER\n");
		return 2;
	}
	while ((entry = readdir(dir)) != NULL) {
		mse_autofree char *path = NULL;
		mse_autofree uint8_t *data = NULL;
		size_t size;

		if (entry->d_name[0] == '.')
			continue;
		if (mse_path_join(argv[1], entry->d_name, &path, &err) < 0 || mse_file_read(path, MAX_INPUT_SIZE, &data, &size, &err) < 0) {
			fprintf(stderr, "%s\n", err.message);
			return 1;
		}
		LLVMFuzzerTestOneInput(data, size);
		count++;
	}
	closedir(dir);
	printf("%u inputs replayed\n", count);
	return count == 0 ? 1 : 0;
}
