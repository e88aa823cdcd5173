#include "node/apt_sources.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

#define MAX_FILE_SIZE ((size_t)1024 * 1024)
#define MAX_WORDS 32
#define BLANKS " \t\r"

static bool suite_is_wanted(const char *suite, const char *release)
{
	size_t size = strlen(release);

	if (strncmp(suite, release, size) != 0)
		return false;
	return suite[size] == 0 || strcmp(suite + size, "-updates") == 0 || strcmp(suite + size, "-security") == 0;
}

/* What goes into another program's argument is plain. */
static bool word_is_plain(const char *word)
{
	for (const char *p = word; *p != 0; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 127 || *p == '[' || *p == ']')
			return false;
	return word[0] != 0;
}

static int add(struct mse_apt_sources *sources, const char *options, const char *uri, const char *suite, struct mse_error_info *err)
{
	mse_autofree char *line = NULL;
	int result;

	if (!word_is_plain(uri) || !word_is_plain(suite))
		return 0;
	result = mse_format(&line, err, "deb %s%s%s%s %s main", options[0] != 0 ? "[" : "", options, options[0] != 0 ? "] " : "", uri, suite);
	if (result < 0)
		return result;
	for (size_t i = 0; i < sources->count; i++)
		if (strcmp(sources->lines[i], line) == 0)
			return 0;
	if (sources->count == MSE_APT_MAX_SOURCES)
		return mse_fail(err, MSE_ERR_LIMIT, "the machine names more than %d package sources", MSE_APT_MAX_SOURCES);
	sources->lines[sources->count++] = mse_steal(line);
	return 0;
}

static size_t split(char *text, const char *separators, char *words[static MAX_WORDS])
{
	size_t count = 0;
	char *rest = NULL;

	for (char *word = strtok_r(text, separators, &rest); word != NULL && count < MAX_WORDS; word = strtok_r(NULL, separators, &rest))
		words[count++] = word;
	return count;
}

static bool has_word(char *const words[], size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

static int add_list_line(struct mse_apt_sources *sources, char *line, const char *release, struct mse_error_info *err)
{
	char none[] = "", *words[MAX_WORDS], *options = none, *p = line + strspn(line, BLANKS);
	size_t count;

	line[strcspn(line, "#")] = 0;
	if (strncmp(p, "deb", 3) != 0 || strchr(BLANKS "[", p[3]) == NULL || p[3] == 0)
		return 0;
	p += 3 + strspn(p + 3, BLANKS);
	if (*p == '[') {
		char *end = strchr(p, ']');

		if (end == NULL)
			return 0;
		*end = 0;
		options = p + 1 + strspn(p + 1, BLANKS);
		for (size_t size = strlen(options); size > 0 && strchr(BLANKS, options[size - 1]) != NULL; size--)
			options[size - 1] = 0;
		p = end + 1;
	}
	count = split(p, BLANKS, words);
	if (count < 3 || !suite_is_wanted(words[1], release) || !has_word(words + 2, count - 2, "main"))
		return 0;
	return add(sources, options, words[0], words[1], err);
}

int mse_apt_sources_add_list(struct mse_apt_sources *sources, const char *text, const char *release, struct mse_error_info *err)
{
	mse_autofree char *copy = NULL;
	char *rest = NULL;
	int result = mse_strdup(text, &copy, err);

	if (result < 0)
		return result;
	for (char *line = strtok_r(copy, "\n", &rest); result == 0 && line != NULL; line = strtok_r(NULL, "\n", &rest))
		result = add_list_line(sources, line, release, err);
	return result;
}

/* One stanza of deb822: the fields that matter, pointing into the text. */
struct stanza {
	char *types, *uris, *suites, *components, *signed_by, *enabled;
};

static int add_stanza(struct mse_apt_sources *sources, const struct stanza *stanza, const char *release, struct mse_error_info *err)
{
	char *types[MAX_WORDS], *uris[MAX_WORDS], *suites[MAX_WORDS], *components[MAX_WORDS];
	mse_autofree char *options = NULL;
	size_t uri_count, suite_count;
	int result = 0;

	if (stanza->types == NULL || stanza->uris == NULL || stanza->suites == NULL || stanza->components == NULL ||
	    (stanza->enabled != NULL && strncasecmp(stanza->enabled, "no", 2) == 0))
		return 0;
	uri_count = split(stanza->uris, BLANKS "\n", uris);
	suite_count = split(stanza->suites, BLANKS "\n", suites);
	if (!has_word(types, split(stanza->types, BLANKS "\n", types), "deb") ||
	    !has_word(components, split(stanza->components, BLANKS "\n", components), "main"))
		return 0;
	/* A key that stands in the file itself cannot be handed on; then the machine's trusted keys must do. */
	if (stanza->signed_by != NULL && stanza->signed_by[0] == '/' && word_is_plain(stanza->signed_by))
		result = mse_format(&options, err, "signed-by=%s", stanza->signed_by);
	for (size_t i = 0; i < uri_count; i++)
		for (size_t j = 0; result == 0 && j < suite_count; j++)
			if (suite_is_wanted(suites[j], release))
				result = add(sources, options != NULL ? options : "", uris[i], suites[j], err);
	return result;
}

static void note_field(struct stanza *stanza, char *line)
{
	static const struct {
		const char *name;
		size_t offset;
	} fields[] = {
		{ "Types:", offsetof(struct stanza, types) },
		{ "URIs:", offsetof(struct stanza, uris) },
		{ "Suites:", offsetof(struct stanza, suites) },
		{ "Components:", offsetof(struct stanza, components) },
		{ "Signed-By:", offsetof(struct stanza, signed_by) },
		{ "Enabled:", offsetof(struct stanza, enabled) },
	};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		size_t size = strlen(fields[i].name);

		if (strncasecmp(line, fields[i].name, size) == 0) {
			char **field = (char **)((char *)stanza + fields[i].offset);

			*field = line + size + strspn(line + size, BLANKS);
			for (size_t end = strlen(*field); end > 0 && strchr(BLANKS, (*field)[end - 1]) != NULL; end--)
				(*field)[end - 1] = 0;
		}
	}
}

/* Continuation lines are only used by inline keys in practice, and those are left out: they are skipped. */
int mse_apt_sources_add_deb822(struct mse_apt_sources *sources, const char *text, const char *release, struct mse_error_info *err)
{
	mse_autofree char *copy = NULL;
	struct stanza stanza = { 0 };
	int result = mse_strdup(text, &copy, err);

	if (result < 0)
		return result;
	for (char *line = copy, *next; result == 0 && line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = 0;
		if (line[strspn(line, BLANKS)] == 0) {
			result = add_stanza(sources, &stanza, release, err);
			stanza = (struct stanza){ 0 };
		} else if (line[0] != '#' && strchr(BLANKS, line[0]) == NULL) {
			note_field(&stanza, line);
		}
	}
	return result < 0 ? result : add_stanza(sources, &stanza, release, err);
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t size = strlen(name), suffix_size = strlen(suffix);

	return size > suffix_size && strcmp(name + size - suffix_size, suffix) == 0;
}

static int add_file(struct mse_apt_sources *sources, const char *path, const char *release, struct mse_error_info *err)
{
	mse_autofree uint8_t *text = NULL;
	size_t size;
	int result = mse_file_read(path, MAX_FILE_SIZE, &text, &size, err);

	if (result < 0)
		return result;
	return has_suffix(path, ".sources") ? mse_apt_sources_add_deb822(sources, (const char *)text, release, err) :
					      mse_apt_sources_add_list(sources, (const char *)text, release, err);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_sources_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && (has_suffix(entry->d_name, ".list") || has_suffix(entry->d_name, ".sources"));
}

int mse_apt_sources_read(const char *folder, const char *release, struct mse_apt_sources *sources, struct mse_error_info *err)
{
	mse_autofree char *main_file = NULL;
	mse_autofree char *parts = NULL;
	struct dirent **entries = NULL;
	int count, result;

	*sources = (struct mse_apt_sources){ 0 };
	if ((result = mse_format(&main_file, err, "%s/sources.list", folder)) < 0 ||
	    (result = mse_format(&parts, err, "%s/sources.list.d", folder)) < 0)
		return result;
	if (mse_path_exists(main_file))
		result = add_file(sources, main_file, release, err);
	count = scandir(parts, &entries, is_sources_file, by_name);
	for (int i = 0; i < count; i++) {
		mse_autofree char *path = NULL;

		if (result == 0 && (result = mse_format(&path, err, "%s/%s", parts, entries[i]->d_name)) == 0)
			result = add_file(sources, path, release, err);
		free(entries[i]);
	}
	free(entries);
	if (result < 0)
		mse_apt_sources_clear(sources);
	return result;
}

void mse_apt_sources_clear(struct mse_apt_sources *sources)
{
	for (size_t i = 0; i < sources->count; i++)
		free(sources->lines[i]);
	sources->count = 0;
}
