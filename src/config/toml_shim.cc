#include "config/toml_shim.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string_view>

#include <toml++/toml.h>

namespace
{

struct refused {
	int code;
	size_t line;
	const char *text;
};

char *copy_text(std::string_view text, size_t line)
{
	char *copy;

	if (text.find('\0') != std::string_view::npos)
		throw refused{ MSE_ERR_INPUT, line, "a NUL character is not allowed" };
	copy = static_cast<char *>(std::malloc(text.size() + 1));
	if (copy == nullptr)
		throw std::bad_alloc();
	std::memcpy(copy, text.data(), text.size());
	copy[text.size()] = 0;
	return copy;
}

/* Days from 1970-01-01, Gregorian. */
int64_t days_of(const toml::date &date)
{
	int64_t year = date.year - (date.month <= 2 ? 1 : 0);
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

void convert_items(const toml::node &node, mse_toml_value *to, size_t depth);

void convert(const toml::node &node, mse_toml_value *to, size_t depth)
{
	if (to->line == 0)
		to->line = node.source().begin.line;
	if (auto *string = node.as_string()) {
		to->type = MSE_TOML_STRING;
		to->text = copy_text(string->get(), to->line);
	} else if (auto *integer = node.as_integer()) {
		to->type = MSE_TOML_INTEGER;
		to->integer = integer->get();
	} else if (auto *real = node.as_floating_point()) {
		to->type = MSE_TOML_REAL;
		to->real = real->get();
	} else if (auto *boolean = node.as_boolean()) {
		to->type = MSE_TOML_BOOLEAN;
		to->boolean = boolean->get();
	} else if (auto *when = node.as_date_time()) {
		const toml::date_time &value = when->get();

		to->type = MSE_TOML_LOCAL_TIME;
		if (value.offset) {
			to->type = MSE_TOML_TIME;
			to->seconds = days_of(value.date) * 86400 + value.time.hour * 3600 + value.time.minute * 60 + value.time.second -
				static_cast<int64_t>(value.offset->minutes) * 60;
		}
	} else if (node.is_date() || node.is_time()) {
		to->type = MSE_TOML_LOCAL_TIME;
	} else {
		convert_items(node, to, depth);
	}
}

void convert_items(const toml::node &node, mse_toml_value *to, size_t depth)
{
	const toml::array *array = node.as_array();
	const toml::table *table = node.as_table();
	size_t count = array != nullptr ? array->size() : table->size();

	to->type = array != nullptr ? MSE_TOML_ARRAY : MSE_TOML_TABLE;
	if (depth == MSE_TOML_MAX_DEPTH)
		throw refused{ MSE_ERR_LIMIT, to->line, "arrays and tables are nested too deep" };
	if (count == 0)
		return;
	to->items = static_cast<mse_toml_value *>(std::calloc(count, sizeof *to->items));
	if (to->items == nullptr)
		throw std::bad_alloc();
	if (array != nullptr) {
		for (auto &&item : *array)
			convert(item, &to->items[to->count++], depth + 1);
		return;
	}
	for (auto &&[key, value] : *table) {
		mse_toml_value *item = &to->items[to->count++];

		item->line = key.source().begin.line;
		item->key = copy_text(key.str(), item->line);
		convert(value, item, depth + 1);
	}
}

int fail(mse_toml_shim_error *error, int code, size_t line, size_t column, std::string_view text)
{
	size_t size = text.size() < sizeof error->text - 1 ? text.size() : sizeof error->text - 1;

	error->code = code;
	error->line = line;
	error->column = column;
	std::memcpy(error->text, text.data(), size);
	error->text[size] = 0;
	return code;
}

} // namespace

extern "C" int mse_toml_shim_parse(const char *text, size_t size, mse_toml_value *ret_root, mse_toml_shim_error *ret_error)
{
	try {
		toml::table root = toml::parse(std::string_view(text, size));

		convert(root, ret_root, 0);
		return 0;
	} catch (const toml::parse_error &error) {
		return fail(ret_error, MSE_ERR_INPUT, error.source().begin.line, error.source().begin.column, error.description());
	} catch (const refused &error) {
		return fail(ret_error, error.code, error.line, 0, error.text);
	} catch (const std::bad_alloc &) {
		return fail(ret_error, MSE_ERR_NOMEM, 0, 0, "out of memory");
	} catch (const std::exception &error) {
		return fail(ret_error, MSE_ERR_INTERNAL, 0, 0, error.what());
	} catch (...) {
		return fail(ret_error, MSE_ERR_INTERNAL, 0, 0, "unknown exception");
	}
}
