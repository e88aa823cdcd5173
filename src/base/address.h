/* Where connections may go, as owners and operators write it: "api.example.com:443", "10.0.0.0/8". Strict in what they read, one
 * form in what they write, so that what was read can stand in a rule or on a command line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum mse_address_family {
	MSE_ADDRESS_NAME, /* not an address: the name of a host */
	MSE_ADDRESS_IPV4,
	MSE_ADDRESS_IPV6,
};

/* Where an app may open connections to. */
enum mse_egress {
	MSE_EGRESS_ANY,
	MSE_EGRESS_NONE,
	MSE_EGRESS_LIST,
};
#define MSE_EGRESS_MAX_TARGETS 64

#define MSE_HOST_NAME_MAX ((size_t)253)
/* "[2001:db8::5]:443", or the longest name with its port and the final NUL. */
#define MSE_HOST_PORT_TEXT_SIZE (253 + sizeof ":65535")

struct mse_host_port {
	enum mse_address_family family;
	char host[253 + 1];  /* a name in lower case, or an address as inet_ntop(3) writes it, without brackets */
	uint8_t address[16]; /* the first 4 of them, or all */
	uint16_t port;       /* 1 to 65535 */
};

/* "name:port", "192.0.2.7:443" or "[2001:db8::5]:443": one host, one port. MSE_ERR_INPUT for anything else, wildcards and ranges among
 * it; MSE_ERR_DENIED for what leads back to the machine itself or its link, which no app reaches: "localhost", loopback, link-local,
 * multicast and unspecified addresses. */
int mse_host_port_parse(const char *text, struct mse_host_port *ret_host_port, struct mse_error_info *err);
/* The one form of it: mse_host_port_parse() reads it as the same. */
void mse_host_port_format(const struct mse_host_port *host_port, char to[static MSE_HOST_PORT_TEXT_SIZE]);

#define MSE_PREFIX_TEXT_SIZE sizeof "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128"

struct mse_prefix {
	enum mse_address_family family; /* IPV4 or IPV6 */
	uint8_t address[16];
	unsigned length; /* bits */
};

/* "10.0.0.0/8", "2001:db8::/32", or one address; bits behind the prefix must be 0, and IPv4 is written as IPv4. MSE_ERR_INPUT for anything else. */
int mse_prefix_parse(const char *text, struct mse_prefix *ret_prefix, struct mse_error_info *err);
/* Always with its length. */
void mse_prefix_format(const struct mse_prefix *prefix, char to[static MSE_PREFIX_TEXT_SIZE]);
/* Whether the address, of the same family, is in it. */
bool mse_prefix_has(const struct mse_prefix *prefix, enum mse_address_family family, const uint8_t *address);
