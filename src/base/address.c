#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define LABEL_MAX 63

static unsigned bits_of(enum mse_address_family family)
{
	return family == MSE_ADDRESS_IPV4 ? 32 : 128;
}

static enum mse_address_family parse_address(const char *text, uint8_t address[static 16])
{
	memset(address, 0, 16);
	if (inet_pton(AF_INET, text, address) == 1)
		return MSE_ADDRESS_IPV4;
	return inet_pton(AF_INET6, text, address) == 1 ? MSE_ADDRESS_IPV6 : MSE_ADDRESS_NAME;
}

static void format_address(enum mse_address_family family, const uint8_t *address, char *to, socklen_t size)
{
	/* Cannot fail: family and size are ours. */
	if (inet_ntop(family == MSE_ADDRESS_IPV4 ? AF_INET : AF_INET6, address, to, size) == NULL)
		to[0] = 0;
}

/* Names of hosts as of RFC 1123, in lower case. What ends like a number would be read as an address by others ("0x7f.1"). */
static bool is_host_name(const char *name)
{
	const char *label = name;

	for (;;) {
		size_t size = strcspn(label, ".");
		bool last = label[size] == 0;

		if (size == 0 || size > LABEL_MAX || strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-") < size || label[0] == '-' || label[size - 1] == '-')
			return false;
		if (last)
			return strspn(label, "0123456789") < size && !(strncmp(label, "0x", 2) == 0 && strspn(label + 2, "0123456789abcdef") == size - 2);
		label += size + 1;
	}
}

static bool is_own_name(const char *name)
{
	size_t size = strlen(name), own = strlen(".localhost");

	return strcmp(name, "localhost") == 0 || (size > own && strcmp(name + size - own, ".localhost") == 0);
}

static bool is_own_address(enum mse_address_family family, const uint8_t *address)
{
	static const struct mse_prefix own[] = {
		{ MSE_ADDRESS_IPV4, { 0 }, 8 },
		{ MSE_ADDRESS_IPV4, { 127 }, 8 },
		{ MSE_ADDRESS_IPV4, { 169, 254 }, 16 },
		{ MSE_ADDRESS_IPV4, { 224 }, 3 },
		/* Unspecified, loopback, and addresses of IPv4 in another dress. */
		{ MSE_ADDRESS_IPV6, { 0 }, 64 },
		{ MSE_ADDRESS_IPV6, { 0xfe, 0x80 }, 10 },
		{ MSE_ADDRESS_IPV6, { 0xff }, 8 },
	};

	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		if (mse_prefix_has(&own[i], family, address))
			return true;
	return false;
}

static int parse_host(const char *text, size_t size, struct mse_host_port *to, struct mse_error_info *err)
{
	bool bracketed = size >= 2 && text[0] == '[' && text[size - 1] == ']';

	if (bracketed) {
		text++;
		size -= 2;
	}
	if (size == 0 || size > MSE_HOST_NAME_MAX)
		return mse_fail(err, MSE_ERR_INPUT, "a name of a host has 1 to %zu characters", MSE_HOST_NAME_MAX);
	for (size_t i = 0; i < size; i++)
		to->host[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
	to->host[size] = 0;
	to->family = parse_address(to->host, to->address);
	if (bracketed != (to->family == MSE_ADDRESS_IPV6) || (to->family == MSE_ADDRESS_NAME && !is_host_name(to->host)))
		return mse_fail(err, MSE_ERR_INPUT, "neither the name of one host, nor an IPv4 address, nor an IPv6 address in brackets");
	if (to->family == MSE_ADDRESS_NAME ? is_own_name(to->host) : is_own_address(to->family, to->address))
		return mse_fail(err, MSE_ERR_DENIED, "it leads to the machine itself or to its link, which no app reaches");
	if (to->family == MSE_ADDRESS_NAME)
		return 0;
	memset(to->host, 0, sizeof to->host);
	format_address(to->family, to->address, to->host, sizeof to->host);
	return 0;
}

int mse_host_port_parse(const char *text, struct mse_host_port *ret_host_port, struct mse_error_info *err)
{
	struct mse_host_port parsed = { 0 };
	const char *colon = strrchr(text, ':');
	uint64_t port;
	int result;

	if (colon == NULL)
		return mse_fail(err, MSE_ERR_INPUT, "no port: it is written \"host:port\"");
	if ((result = mse_parse_u64(colon + 1, 1, UINT16_MAX, &port, "the port", err)) < 0 ||
	    (result = parse_host(text, (size_t)(colon - text), &parsed, err)) < 0)
		return result;
	parsed.port = (uint16_t)port;
	*ret_host_port = parsed;
	return 0;
}

void mse_host_port_format(const struct mse_host_port *host_port, char to[static MSE_HOST_PORT_TEXT_SIZE])
{
	snprintf(to, MSE_HOST_PORT_TEXT_SIZE, host_port->family == MSE_ADDRESS_IPV6 ? "[%s]:%u" : "%s:%u", host_port->host, host_port->port);
}

int mse_prefix_parse(const char *text, struct mse_prefix *ret_prefix, struct mse_error_info *err)
{
	/* RFC 4291, section 2.5.5.2. */
	static const struct mse_prefix mapped = { MSE_ADDRESS_IPV6, { [10] = 0xff, [11] = 0xff }, 96 };
	size_t size = strcspn(text, "/");
	struct mse_prefix prefix;
	char address[INET6_ADDRSTRLEN];
	uint64_t length;
	int result;

	if (size >= sizeof address)
		return mse_fail(err, MSE_ERR_INPUT, "not an address");
	memcpy(address, text, size);
	address[size] = 0;
	prefix.family = parse_address(address, prefix.address);
	if (prefix.family == MSE_ADDRESS_NAME)
		return mse_fail(err, MSE_ERR_INPUT, "not an address");
	length = bits_of(prefix.family);
	if (text[size] == '/' && (result = mse_parse_u64(text + size + 1, 0, length, &length, "the prefix's length", err)) < 0)
		return result;
	prefix.length = (unsigned)length;
	for (unsigned bit = prefix.length; bit < bits_of(prefix.family); bit++)
		if (prefix.address[bit / 8] & 0x80u >> bit % 8)
			return mse_fail(err, MSE_ERR_INPUT, "bits are set behind the first %u", prefix.length);
	/* Where they are compared, these are IPv4 packets: as IPv6 the prefix would match nothing. */
	if (mse_prefix_has(&mapped, prefix.family, prefix.address))
		return mse_fail(err, MSE_ERR_INPUT, "IPv4 in IPv6's form: write it as '10.0.0.0/8'");
	*ret_prefix = prefix;
	return 0;
}

void mse_prefix_format(const struct mse_prefix *prefix, char to[static MSE_PREFIX_TEXT_SIZE])
{
	char address[INET6_ADDRSTRLEN];

	format_address(prefix->family, prefix->address, address, sizeof address);
	snprintf(to, MSE_PREFIX_TEXT_SIZE, "%s/%u", address, prefix->length);
}

bool mse_prefix_has(const struct mse_prefix *prefix, enum mse_address_family family, const uint8_t *address)
{
	unsigned whole = prefix->length / 8, rest = prefix->length % 8;

	return family == prefix->family && memcmp(prefix->address, address, whole) == 0 &&
	       (rest == 0 || ((prefix->address[whole] ^ address[whole]) & (0xff00u >> rest & 0xffu)) == 0);
}
