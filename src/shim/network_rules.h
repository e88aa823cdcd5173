/* What a manifest's egress means, as texts: rules for nft, arguments for dnsmasq, and the files by which the app resolves names. Pure.
 *
 * An app has a network namespace with one link, to its gateway: a second namespace, in which slirp4netns connects to the world.
 *
 *     app's namespace                 gateway's namespace                          the node's
 *     eth0 192.0.0.2 ---------------- app 192.0.0.1    tap0 192.0.2.100 ---------- slirp4netns
 *          fd6d:7365::2               fd6d:7365::1          fd00::100              (its resolver: 192.0.2.3, fd00::3)
 *
 * The gateway's rules decide about every packet; the app is nowhere near them. The addresses of IPv4 are of blocks that never are
 * anybody's (RFC 5737, RFC 7335), so that nothing real is hidden behind them. */
#pragma once

#include "base/address.h"
#include "base/buffer.h"
#include "manifest/manifest.h"

#define MSE_NETWORK_APP_DEVICE "eth0"     /* in the app's namespace */
#define MSE_NETWORK_GATEWAY_DEVICE "app"  /* its other end */
#define MSE_NETWORK_TAP "tap0"            /* in the gateway's namespace */
#define MSE_NETWORK_CIDR "192.0.2.0/24"   /* of slirp4netns; it takes .2 and .3 */
#define MSE_NETWORK_HOSTS_MAX_SIZE ((size_t)64 * 1024)
#define MSE_NETWORK_RULES_MAX_SIZE ((size_t)1024 * 1024)
#define MSE_NETWORK_MAX_NODE_ADDRESSES 256

struct mse_network_plan {
	const struct mse_manifest *manifest;
	const struct mse_prefix *denied; /* by the operator */
	size_t denied_count;
	const struct mse_prefix *node; /* the node's own addresses */
	size_t node_count;
	const char *hosts; /* the node's hosts(5) */
};

/* The gateway's rules, for `nft -f`. */
int mse_network_rules(const struct mse_network_plan *plan, struct mse_buffer *to, struct mse_error_info *err);
/* What replaces the node's own addresses in them. */
int mse_network_node_rules(const struct mse_prefix *node, size_t count, struct mse_buffer *to, struct mse_error_info *err);

/* Whether names have to be resolved by the gateway, because only some may be. */
bool mse_network_needs_resolver(const struct mse_manifest *manifest);
/* The arguments of a dnsmasq that answers for the manifest's names alone, and lets what they resolve to through the rules; a NUL
 * after each. */
int mse_network_resolver_arguments(const struct mse_manifest *manifest, struct mse_buffer *to, struct mse_error_info *err);

/* /etc/resolv.conf of the app. */
const char *mse_network_resolv_conf(const struct mse_manifest *manifest);
/* /etc/hosts of the app: of the node's, what it may know and reach. */
int mse_network_hosts(const struct mse_network_plan *plan, struct mse_buffer *to, struct mse_error_info *err);

/* Addresses and routes, for `ip -batch`: of the app's end (descriptor 3 is the gateway's namespace), of the gateway's end of the link,
 * and of the tap device each time that it is there anew. */
const char *mse_network_app_links(bool ipv6);
const char *mse_network_gateway_links(bool ipv6);
const char *mse_network_tap_links(bool ipv6);
