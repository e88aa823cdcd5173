#include "bundle/ignore.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum token_kind {
	TOKEN_BYTE,
	TOKEN_ANY,        /* '?' */
	TOKEN_CLASS,      /* '[…]' */
	TOKEN_STAR,       /* any bytes, in a pattern with slashes none of which is '/' */
	TOKEN_ALL,        /* any bytes */
	TOKEN_ALL_OR_NONE /* as ALL; and it may match nothing together with the '/' that follows it */
};

struct token {
	uint8_t kind;
	uint8_t byte;
	uint16_t class;
};

struct byte_set {
	uint64_t bits[4];
};

struct pattern {
	bool negative;
	bool dir_only;
	bool base_only; /* no slash but a trailing one: compared with the last component of the path */
	bool never;     /* malformed, which matches nothing */
	size_t line;
	char *prefix; /* the bytes before the first special one */
	size_t prefix_size;
	struct token *tokens;
	size_t token_count;
	struct byte_set *classes;
	size_t class_count;
};

struct mse_ignore {
	const struct mse_ignore *parent;
	char *folder;
	size_t folder_size;
	struct pattern *patterns;
	size_t count;
	size_t room;
};

static void set_add(struct byte_set *set, unsigned byte)
{
	set->bits[byte >> 6] |= (uint64_t)1 << (byte & 63);
}

static bool set_has(const struct byte_set *set, unsigned byte)
{
	return (set->bits[byte >> 6] >> (byte & 63) & 1) != 0;
}

static bool in_range(unsigned byte, unsigned first, unsigned last)
{
	return byte >= first && byte <= last;
}

/* The POSIX classes, over ASCII alone as git has them: its "space" is blank, tab, LF and CR. */
static bool named_class_has(const char *name, size_t size, unsigned byte, bool *ret_known)
{
	static const char names[][8] = { "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit" };
	bool digit = in_range(byte, '0', '9');
	bool lower = in_range(byte, 'a', 'z');
	bool upper = in_range(byte, 'A', 'Z');
	bool graph = in_range(byte, 0x21, 0x7e);
	bool alnum = digit || lower || upper;
	bool answers[] = { alnum, lower || upper, byte == ' ' || byte == '\t', byte < 0x20 || byte == 0x7f, digit, graph, lower, graph || byte == ' ',
		graph && !alnum, byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r', upper,
		digit || in_range(byte, 'a', 'f') || in_range(byte, 'A', 'F') };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strlen(names[i]) == size && memcmp(names[i], name, size) == 0) {
			*ret_known = true;
			return answers[i];
		}
	}
	*ret_known = false;
	return false;
}

/* text[*at] is the '[' of "[:": adds the class and moves *at onto its closing ']'. Sets *ret_plain when what follows is not
 * a named class after all; false for an unknown name or no ']'. */
static bool parse_named_class(const char *text, size_t size, size_t *at, struct byte_set *set, bool *ret_plain)
{
	size_t first = *at + 2;
	const char *end = first <= size ? memchr(text + first, ']', size - first) : NULL;
	size_t stop;
	bool known;

	*ret_plain = false;
	if (end == NULL)
		return false;
	stop = (size_t)(end - text);
	if (stop == first || text[stop - 1] != ':') {
		*ret_plain = true;
		return true;
	}
	for (unsigned byte = 1; byte < 256; byte++) {
		if (named_class_has(text + first, stop - 1 - first, byte, &known))
			set_add(set, byte);
	}
	if (!known)
		return false;
	*at = stop;
	return true;
}

/* text[*at] is '['; leaves *at on the closing ']'. False when the class is malformed. */
static bool parse_class(const char *text, size_t size, size_t *at, bool slash, struct byte_set *ret_set)
{
	struct byte_set set = { { 0 } };
	size_t i = *at + 1;
	bool negated = i < size && (text[i] == '!' || text[i] == '^');
	unsigned previous = 0; /* what a '-' would count from; 0: nothing */

	if (negated)
		i++;
	/* A ']' in the first place stands for itself. */
	for (bool first = true; i < size && (first || text[i] != ']'); i++, first = false) {
		unsigned byte = (uint8_t)text[i];
		bool plain = true;

		if (byte == '-' && previous != 0 && i + 1 < size && text[i + 1] != ']') {
			if (text[++i] == '\\' && ++i == size)
				return false;
			for (unsigned b = previous; b <= (uint8_t)text[i]; b++)
				set_add(&set, b);
			previous = 0;
			continue;
		}
		if (byte == '[' && i + 1 < size && text[i + 1] == ':') {
			if (!parse_named_class(text, size, &i, &set, &plain))
				return false;
			if (!plain) {
				previous = 0;
				continue;
			}
		}
		if (byte == '\\') {
			if (++i == size)
				return false;
			byte = (uint8_t)text[i];
		}
		set_add(&set, byte);
		previous = byte;
	}
	if (i >= size)
		return false;
	for (unsigned k = 0; negated && k < 4; k++)
		set.bits[k] = ~set.bits[k];
	if (!slash)
		set.bits['/' >> 6] &= ~((uint64_t)1 << ('/' & 63));
	*at = i;
	*ret_set = set;
	return true;
}

/* text[*at] is the first of one or more '*'; leaves *at on the last. */
static enum token_kind parse_stars(const char *text, size_t size, size_t *at, bool base_only)
{
	size_t first = *at;
	size_t next = first;
	bool whole_component;

	while (next < size && text[next] == '*')
		next++;
	*at = next - 1;
	if (base_only || next - first == 1)
		return base_only ? TOKEN_ALL : TOKEN_STAR;
	whole_component = first == 0 || text[first - 1] == '/';
	if (whole_component && next < size && text[next] == '/')
		return TOKEN_ALL_OR_NONE;
	if (whole_component && (next == size || (text[next] == '\\' && next + 1 < size && text[next + 1] == '/')))
		return TOKEN_ALL;
	return TOKEN_STAR;
}

/* What follows the literal prefix. */
static int compile(struct pattern *pattern, const char *text, size_t size, struct mse_error_info *err)
{
	/* A class takes three bytes at least. */
	pattern->tokens = calloc(size + 1, sizeof *pattern->tokens);
	pattern->classes = calloc(size / 3 + 1, sizeof *pattern->classes);
	if (pattern->tokens == NULL || pattern->classes == NULL)
		return mse_fail_nomem(err);
	for (size_t i = 0; i < size; i++) {
		struct token *token = &pattern->tokens[pattern->token_count++];

		token->kind = TOKEN_BYTE;
		switch (text[i]) {
		case '?':
			token->kind = TOKEN_ANY;
			break;
		case '*':
			token->kind = (uint8_t)parse_stars(text, size, &i, pattern->base_only);
			break;
		case '[':
			token->kind = TOKEN_CLASS;
			token->class = (uint16_t)pattern->class_count;
			if (!parse_class(text, size, &i, pattern->base_only, &pattern->classes[pattern->class_count++]))
				pattern->never = true;
			break;
		case '\\':
			if (++i == size)
				pattern->never = true;
			else
				token->byte = (uint8_t)text[i];
			break;
		default:
			token->byte = (uint8_t)text[i];
		}
		if (pattern->never)
			return 0;
	}
	return 0;
}

/* Where a run of unescaped spaces at the end begins. As git has it, a backslash at the very end keeps them all. */
static size_t without_trailing_spaces(const char *text, size_t size)
{
	size_t end = 0;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == ' ')
			continue;
		if (text[i] == '\\' && ++i == size)
			return size;
		end = i + 1;
	}
	return end;
}

static int add_pattern(struct mse_ignore *ignore, const char *text, size_t size, size_t line, struct mse_error_info *err)
{
	struct pattern *pattern;
	size_t prefix = 0;
	int result;

	size = without_trailing_spaces(text, size);
	if (size > MSE_IGNORE_MAX_PATTERN_SIZE) {
		return mse_fail(err, MSE_ERR_LIMIT, "%s%s" MSE_IGNORE_FILE_NAME ":%zu: a pattern of %zu bytes, the limit is %zu", ignore->folder,
			ignore->folder_size > 0 ? "/" : "", line, size, MSE_IGNORE_MAX_PATTERN_SIZE);
	}
	if (ignore->count == ignore->room) {
		size_t room = ignore->room == 0 ? 16 : ignore->room * 2;
		struct pattern *patterns = reallocarray(ignore->patterns, room, sizeof *patterns);

		if (patterns == NULL)
			return mse_fail_nomem(err);
		ignore->patterns = patterns;
		ignore->room = room;
	}
	pattern = &ignore->patterns[ignore->count++];
	memset(pattern, 0, sizeof *pattern);
	pattern->line = line;
	if (size > 0 && text[0] == '!') {
		pattern->negative = true;
		text++;
		size--;
	}
	if (size > 0 && text[size - 1] == '/') {
		pattern->dir_only = true;
		size--;
	}
	pattern->base_only = memchr(text, '/', size) == NULL;
	if (!pattern->base_only && text[0] == '/') {
		text++;
		size--;
	}
	while (prefix < size && strchr("*?[\\", text[prefix]) == NULL)
		prefix++;
	pattern->prefix = strndup(text, prefix);
	if (pattern->prefix == NULL)
		return mse_fail_nomem(err);
	pattern->prefix_size = prefix;
	result = compile(pattern, text + prefix, size - prefix, err);
	return result;
}

void mse_ignore_free(struct mse_ignore *ignore)
{
	if (ignore == NULL)
		return;
	for (size_t i = 0; i < ignore->count; i++) {
		free(ignore->patterns[i].prefix);
		free(ignore->patterns[i].tokens);
		free(ignore->patterns[i].classes);
	}
	free(ignore->patterns);
	free(ignore->folder);
	free(ignore);
}

int mse_ignore_parse(const void *text, size_t size, const char *folder, const struct mse_ignore *parent, struct mse_ignore **ret_ignore,
	struct mse_error_info *err)
{
	mse_cleanup(mse_ignore_freep) struct mse_ignore *ignore = calloc(1, sizeof *ignore);
	const char *at = text;
	const char *end = at + size;
	int result;

	if (ignore == NULL)
		return mse_fail_nomem(err);
	result = mse_strdup(folder, &ignore->folder, err);
	if (result < 0)
		return result;
	ignore->folder_size = strlen(folder);
	ignore->parent = parent;
	if (size > MSE_IGNORE_MAX_FILE_SIZE) {
		return mse_fail(err, MSE_ERR_LIMIT, "%s%s" MSE_IGNORE_FILE_NAME " has %zu bytes, the limit is %zu", folder, folder[0] != 0 ? "/" : "", size,
			MSE_IGNORE_MAX_FILE_SIZE);
	}
	if (size >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
		at += 3;
	for (size_t line = 1; at < end; line++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline != NULL ? newline : end;
		const char *content_end = stop > at && stop[-1] == '\r' ? stop - 1 : stop;

		if (stop > at && at[0] != '#') {
			/* For git a NUL ends the line. */
			result = add_pattern(ignore, at, strnlen(at, (size_t)(content_end - at)), line, err);
			if (result < 0)
				return result;
		}
		at = newline != NULL ? newline + 1 : end;
	}
	*ret_ignore = mse_steal(ignore);
	return 0;
}

/* Puts position i, and every position that follows it without a byte read, into the set of positions. */
static void enter(const struct pattern *pattern, bool *positions, size_t i)
{
	while (!positions[i]) {
		positions[i] = true;
		if (i == pattern->token_count || pattern->tokens[i].kind < TOKEN_STAR)
			return;
		if (pattern->tokens[i].kind == TOKEN_ALL_OR_NONE)
			enter(pattern, positions, i + 2);
		i++;
	}
}

/* Walks all positions in the pattern side by side, so that no input makes it slow. */
static bool tokens_match(const struct pattern *pattern, const char *text, size_t size)
{
	bool sets[2][MSE_IGNORE_MAX_PATTERN_SIZE + 1];
	bool *now = sets[0];
	bool *next = sets[1];
	size_t count = pattern->token_count;

	memset(now, 0, count + 1);
	enter(pattern, now, 0);
	for (size_t t = 0; t < size; t++) {
		uint8_t byte = (uint8_t)text[t];
		bool *swap = now;
		bool alive = false;

		memset(next, 0, count + 1);
		for (size_t i = 0; i < count; i++) {
			const struct token *token = &pattern->tokens[i];

			if (!now[i])
				continue;
			if ((token->kind == TOKEN_BYTE && token->byte == byte) || (token->kind == TOKEN_ANY && (pattern->base_only || byte != '/')) ||
				(token->kind == TOKEN_CLASS && set_has(&pattern->classes[token->class], byte))) {
				enter(pattern, next, i + 1);
				alive = true;
			} else if ((token->kind == TOKEN_STAR && byte != '/') || token->kind == TOKEN_ALL) {
				enter(pattern, next, i);
				alive = true;
			} else if (token->kind == TOKEN_ALL_OR_NONE) {
				/* Having read something, it is past the choice of reading nothing. */
				next[i] = true;
				enter(pattern, next, i + 1);
				alive = true;
			}
		}
		if (!alive)
			return false;
		now = next;
		next = swap;
	}
	return now[count];
}

/* name is the path below the list's folder. */
static bool pattern_matches(const struct pattern *pattern, const char *name, bool is_dir)
{
	const char *text = name;
	size_t size;

	if (pattern->never || (pattern->dir_only && !is_dir))
		return false;
	if (pattern->base_only) {
		const char *slash = strrchr(name, '/');

		if (slash != NULL)
			text = slash + 1;
	}
	size = strlen(text);
	if (size < pattern->prefix_size || memcmp(text, pattern->prefix, pattern->prefix_size) != 0)
		return false;
	return tokens_match(pattern, text + pattern->prefix_size, size - pattern->prefix_size);
}

enum mse_ignore_verdict mse_ignore_match(const struct mse_ignore *ignore, const char *path, bool is_dir, struct mse_ignore_reason *ret_reason)
{
	for (; ignore != NULL; ignore = ignore->parent) {
		const char *name = path;

		if (ignore->folder_size > 0) {
			if (strncmp(path, ignore->folder, ignore->folder_size) != 0 || path[ignore->folder_size] != '/')
				continue;
			name = path + ignore->folder_size + 1;
		}
		for (size_t i = ignore->count; i-- > 0;) {
			const struct pattern *pattern = &ignore->patterns[i];

			if (!pattern_matches(pattern, name, is_dir))
				continue;
			if (ret_reason != NULL)
				*ret_reason = (struct mse_ignore_reason){ .folder = ignore->folder, .line = pattern->line };
			return pattern->negative ? MSE_IGNORE_INCLUDE : MSE_IGNORE_EXCLUDE;
		}
	}
	return MSE_IGNORE_SILENT;
}
