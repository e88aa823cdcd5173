#include "shim/network_rules.h"

#include <stdio.h>
#include <string.h>

#define DNS4 "192.0.2.3"
#define DNS6 "fd00::3"
#define GATEWAY4 "192.0.0.1"
#define GATEWAY6 "fd6d:7365::1"
/* How long an address counts as a name's. A connection that is open then stays open, and each answer of the resolver makes it count
 * anew, since the resolver keeps no answers; so the limit only forgets what the name has not been for long. */
#define NAME_TIMEOUT "1h"
#define NAME_ADDRESSES "1024"
#define MAX_HOSTS_NAMES 64
/* Each is kept in the kernel's memory, which no limit of the app's counts, and in a table that the whole machine shares. */
#define CONNECTIONS "16384"

/* Never reached by any app: the node's loopback and link, multicast, what stands for the gateway itself, other dresses of IPv4, and the
 * addresses at which clouds answer their machines. */
static const char *const closed[] = {
	"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "224.0.0.0/3", "100.100.100.200/32", "168.63.129.16/32",
	"::/64", "fd00::/64", "fd6d:7365::/64", "fe80::/10", "fec0::/10", "ff00::/8", "2001::/32", "2002::/16", "64:ff9b:1::/48",
	"fd00:ec2::254/128", "fd20:ce::254/128",
};

/* A target's host and all of its ports: they stand together, since targets are sorted. */
struct group {
	struct mse_host_port host;
	size_t first, end;
};

/* The next group; false at the end. What a manifest holds has been parsed before. */
static bool next_group(const struct mse_manifest *manifest, struct group *group, struct mse_error_info *err, int *ret_result)
{
	struct mse_host_port other;

	*ret_result = 0;
	group->first = group->end;
	if (manifest->egress != MSE_EGRESS_LIST || group->first >= manifest->egress_target_count)
		return false;
	if ((*ret_result = mse_host_port_parse(manifest->egress_targets[group->end++], &group->host, err)) < 0)
		return false;
	while (group->end < manifest->egress_target_count) {
		if ((*ret_result = mse_host_port_parse(manifest->egress_targets[group->end], &other, err)) < 0)
			return false;
		if (strcmp(other.host, group->host.host) != 0)
			break;
		group->end++;
	}
	return true;
}

bool mse_network_needs_resolver(const struct mse_manifest *manifest)
{
	struct group group = { .end = 0 };
	struct mse_error_info ignored;
	int result;

	while (next_group(manifest, &group, &ignored, &result))
		if (group.host.family == MSE_ADDRESS_NAME)
			return true;
	return false;
}

/* ---- the node's hosts(5) ---- */

typedef int visit_entry(void *context, const struct mse_prefix *address, const char *name, struct mse_error_info *err);

/* Calls visit for each name of each line that can be understood. */
static int read_hosts(const char *hosts, visit_entry *visit, void *context, struct mse_error_info *err)
{
	for (const char *line = hosts; *line != 0;) {
		size_t size = strcspn(line, "\n");
		char text[1024], *rest = text, *word;
		struct mse_prefix address;
		struct mse_host_port host;
		struct mse_error_info ignored;
		int result;

		snprintf(text, sizeof text, "%.*s", (int)(size < sizeof text ? size : 0), line);
		line += size + (line[size] == '\n');
		text[strcspn(text, "#")] = 0;
		word = strtok_r(text, " \t\r", &rest);
		if (word == NULL || strchr(word, '/') != NULL || mse_prefix_parse(word, &address, &ignored) < 0)
			continue;
		for (unsigned names = 0; names < MAX_HOSTS_NAMES && (word = strtok_r(NULL, " \t\r", &rest)) != NULL; names++) {
			char with_port[256 + 8];

			/* The one way to read a name. */
			if (strlen(word) > MSE_HOST_NAME_MAX)
				continue;
			snprintf(with_port, sizeof with_port, "%s:1", word);
			if (mse_host_port_parse(with_port, &host, &ignored) < 0 || host.family != MSE_ADDRESS_NAME)
				continue;
			if ((result = visit(context, &address, host.host, err)) < 0)
				return result;
		}
	}
	return 0;
}

static bool is_closed(const struct mse_prefix *address)
{
	struct mse_error_info ignored;
	struct mse_prefix prefix;

	for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++)
		if (mse_prefix_parse(closed[i], &prefix, &ignored) == 0 && mse_prefix_has(&prefix, address->family, address->address))
			return true;
	return false;
}

static bool is_listed(const struct mse_manifest *manifest, const char *name)
{
	struct group group = { .end = 0 };
	struct mse_error_info ignored;
	int result;

	while (next_group(manifest, &group, &ignored, &result))
		if (strcmp(group.host.host, name) == 0)
			return true;
	return false;
}

struct hosts_file {
	const struct mse_manifest *manifest;
	struct mse_buffer *to;
};

static int add_entry(void *context, const struct mse_prefix *address, const char *name, struct mse_error_info *err)
{
	const struct hosts_file *file = context;
	char text[MSE_PREFIX_TEXT_SIZE];

	if (is_closed(address) || (file->manifest->egress == MSE_EGRESS_LIST && !is_listed(file->manifest, name)))
		return 0;
	mse_prefix_format(address, text);
	text[strcspn(text, "/")] = 0;
	return mse_buffer_printf(file->to, err, "%s %s\n", text, name);
}

int mse_network_hosts(const struct mse_network_plan *plan, struct mse_buffer *to, struct mse_error_info *err)
{
	struct hosts_file file = { .manifest = plan->manifest, .to = to };
	int result = mse_buffer_append_text(to, "127.0.0.1 localhost mse\n::1 localhost\n", err);

	if (result < 0 || plan->manifest->egress == MSE_EGRESS_NONE)
		return result;
	return read_hosts(plan->hosts, add_entry, &file, err);
}

/* ---- rules ---- */

/* Elements of one family, with what stands before the first of them. */
struct elements {
	struct mse_buffer *to;
	enum mse_address_family family;
	const char *first;
	size_t count;
};

static int add_element(struct elements *elements, const struct mse_prefix *prefix, struct mse_error_info *err)
{
	char text[MSE_PREFIX_TEXT_SIZE];

	if (prefix->family != elements->family)
		return 0;
	mse_prefix_format(prefix, text);
	return mse_buffer_printf(elements->to, err, "%s%s", elements->count++ == 0 ? elements->first : ", ", text);
}

/* Addresses of IPv4 also as a translator would take them (RFC 6052). */
static int add_elements(struct elements *elements, const struct mse_prefix *prefixes, size_t count, struct mse_error_info *err)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < count; i++) {
		struct mse_prefix translated = { .family = MSE_ADDRESS_IPV6, .address = { 0x00, 0x64, 0xff, 0x9b }, .length = 96 + prefixes[i].length };

		result = add_element(elements, &prefixes[i], err);
		if (result < 0 || prefixes[i].family != MSE_ADDRESS_IPV4)
			continue;
		memcpy(translated.address + 12, prefixes[i].address, 4);
		result = add_element(elements, &translated, err);
	}
	return result;
}

static int add_set(struct mse_buffer *to, const char *name, enum mse_address_family family, const struct mse_prefix *prefixes, size_t count,
	struct mse_error_info *err)
{
	struct elements elements = { .to = to, .family = family, .first = "; elements = { " };
	bool four = family == MSE_ADDRESS_IPV4;
	int result = mse_buffer_printf(to, err, "set %s%s { type %s; flags interval; auto-merge", name, four ? "4" : "6", four ? "ipv4_addr" : "ipv6_addr");

	if (result < 0 || (result = add_elements(&elements, prefixes, count, err)) < 0)
		return result;
	return mse_buffer_append_text(to, elements.count > 0 ? " }; }\n" : "; }\n", err);
}

static int add_sets(const struct mse_network_plan *plan, enum mse_address_family family, struct mse_buffer *to, struct mse_error_info *err)
{
	struct mse_prefix prefixes[sizeof closed / sizeof closed[0]];
	int result;

	for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++)
		if ((result = mse_prefix_parse(closed[i], &prefixes[i], err)) < 0)
			return result;
	if ((result = add_set(to, "closed", family, prefixes, sizeof closed / sizeof closed[0], err)) < 0 ||
	    (result = add_set(to, "denied", family, plan->denied, plan->denied_count, err)) < 0)
		return result;
	return add_set(to, "node", family, plan->node, plan->node_count, err);
}

int mse_network_node_rules(const struct mse_prefix *node, size_t count, struct mse_buffer *to, struct mse_error_info *err)
{
	int result = 0;

	for (enum mse_address_family family = MSE_ADDRESS_IPV4; result == 0 && family <= MSE_ADDRESS_IPV6; family++) {
		bool four = family == MSE_ADDRESS_IPV4;
		struct elements elements = { .to = to, .family = family, .first = four ? "add element inet mse node4 { " : "add element inet mse node6 { " };

		if ((result = mse_buffer_append_text(to, four ? "flush set inet mse node4\n" : "flush set inet mse node6\n", err)) < 0 ||
		    (result = add_elements(&elements, node, count, err)) < 0)
			return result;
		if (elements.count > 0)
			result = mse_buffer_append_text(to, " }\n", err);
	}
	return result;
}

/* The sets that the resolver fills, one for each name. */
static int add_name_sets(const struct mse_manifest *manifest, struct mse_buffer *to, struct mse_error_info *err)
{
	static const char attributes[] = "flags timeout; timeout " NAME_TIMEOUT "; size " NAME_ADDRESSES "; }\n";
	struct group group = { .end = 0 };
	int result;

	while (next_group(manifest, &group, err, &result))
		if (group.host.family == MSE_ADDRESS_NAME &&
		    (result = mse_buffer_printf(to, err, "set name%zu_4 { type ipv4_addr; %sset name%zu_6 { type ipv6_addr; %s", group.first, attributes,
			     group.first, attributes)) < 0)
			return result;
	return result;
}

struct hosts_rules {
	const char *name;
	const char *ports;
	struct mse_buffer *to;
};

static int accept(struct mse_buffer *to, enum mse_address_family family, const char *daddr, const char *ports, struct mse_error_info *err)
{
	return mse_buffer_printf(to, err, "%s daddr %s meta l4proto { tcp, udp } th dport { %s } accept\n", family == MSE_ADDRESS_IPV4 ? "ip" : "ip6", daddr,
		ports);
}

static int accept_entry(void *context, const struct mse_prefix *address, const char *name, struct mse_error_info *err)
{
	const struct hosts_rules *rules = context;
	char text[MSE_PREFIX_TEXT_SIZE];

	if (strcmp(name, rules->name) != 0)
		return 0;
	mse_prefix_format(address, text);
	return accept(rules->to, address->family, text, rules->ports, err);
}

static int accept_group(const struct mse_network_plan *plan, const struct group *group, struct mse_buffer *to, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *ports = mse_buffer_new((size_t)8 * MSE_EGRESS_MAX_TARGETS);
	struct hosts_rules rules = { .name = group->host.host, .to = to };
	char set[32];
	int result = 0;

	if (ports == NULL)
		return mse_fail_nomem(err);
	for (size_t i = group->first; result == 0 && i < group->end; i++)
		result = mse_buffer_printf(ports, err, "%s%s", i == group->first ? "" : ", ", strrchr(plan->manifest->egress_targets[i], ':') + 1);
	if (result < 0)
		return result;
	if (group->host.family != MSE_ADDRESS_NAME)
		return accept(to, group->host.family, group->host.host, mse_buffer_text(ports), err);
	for (enum mse_address_family family = MSE_ADDRESS_IPV4; result == 0 && family <= MSE_ADDRESS_IPV6; family++) {
		snprintf(set, sizeof set, "@name%zu_%s", group->first, family == MSE_ADDRESS_IPV4 ? "4" : "6");
		result = accept(to, family, set, mse_buffer_text(ports), err);
	}
	rules.ports = mse_buffer_text(ports);
	return result < 0 ? result : read_hosts(plan->hosts, accept_entry, &rules, err);
}

/* From the app to the world. The resolver's address leads to whatever resolves names for the node, which may be a service on its
 * loopback: only the port for names is open there. */
static int add_forward(const struct mse_network_plan *plan, struct mse_buffer *to, struct mse_error_info *err)
{
	static const char begin[] = "chain forward {\n"
				    "type filter hook forward priority filter; policy drop;\n"
				    "ct state { established, related } accept\n"
				    "iifname != \"" MSE_NETWORK_GATEWAY_DEVICE "\" drop\n"
				    "ct state invalid drop\n"
				    "ct count over " CONNECTIONS " goto refuse\n";
	static const char resolver[] = "ip daddr " DNS4 " meta l4proto { tcp, udp } th dport 53 accept\n"
				       "ip6 daddr " DNS6 " meta l4proto { tcp, udp } th dport 53 accept\n";
	static const char refuse[] = "ip daddr @closed4 goto refuse\nip6 daddr @closed6 goto refuse\n"
				     "ip daddr @denied4 goto refuse\nip6 daddr @denied6 goto refuse\n"
				     "ip daddr @node4 goto refuse\nip6 daddr @node6 goto refuse\n";
	static const char end[] = "goto refuse\n}\n";
	struct group group = { .end = 0 };
	bool any = plan->manifest->egress == MSE_EGRESS_ANY;
	int result;

	if ((result = mse_buffer_append_text(to, begin, err)) < 0 || (any && (result = mse_buffer_append_text(to, resolver, err)) < 0) ||
	    (result = mse_buffer_append_text(to, refuse, err)) < 0 || (any && (result = mse_buffer_append_text(to, "meta l4proto { tcp, udp } accept\n", err)) < 0))
		return result;
	while (next_group(plan->manifest, &group, err, &result))
		if ((result = accept_group(plan, &group, to, err)) < 0)
			return result;
	return result < 0 ? result : mse_buffer_append_text(to, end, err);
}

int mse_network_rules(const struct mse_network_plan *plan, struct mse_buffer *to, struct mse_error_info *err)
{
	/* At once, so that a program is told, instead of left waiting. */
	static const char refuse[] = "chain refuse {\nmeta l4proto tcp reject with tcp reset\nreject with icmpx admin-prohibited\n}\n";
	static const char neighbours[] = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n";
	static const char input[] = "chain input {\n"
				    "type filter hook input priority filter; policy drop;\n"
				    "ct state { established, related } accept\n";
	static const char resolver[] = "iifname \"" MSE_NETWORK_GATEWAY_DEVICE "\" ip daddr " GATEWAY4 " meta l4proto { tcp, udp } th dport 53 accept\n"
				       "iifname \"" MSE_NETWORK_GATEWAY_DEVICE "\" ip6 daddr " GATEWAY6 " meta l4proto { tcp, udp } th dport 53 accept\n";
	static const char output[] = "chain output {\n"
				     "type filter hook output priority filter; policy drop;\n"
				     "oifname \"" MSE_NETWORK_GATEWAY_DEVICE "\" accept\n"
				     "oifname \"" MSE_NETWORK_TAP "\" ip daddr " DNS4 " meta l4proto { tcp, udp } th dport 53 accept\n"
				     "oifname \"" MSE_NETWORK_TAP "\" ip6 daddr " DNS6 " meta l4proto { tcp, udp } th dport 53 accept\n";
	static const char masquerade[] = "chain outgoing {\n"
					 "type nat hook postrouting priority srcnat; policy accept;\n"
					 "oifname \"" MSE_NETWORK_TAP "\" masquerade\n}\n";
	int result = mse_buffer_append_text(to, "table inet mse {\n", err);

	for (enum mse_address_family family = MSE_ADDRESS_IPV4; result == 0 && family <= MSE_ADDRESS_IPV6; family++)
		result = add_sets(plan, family, to, err);
	if (result < 0 || (result = add_name_sets(plan->manifest, to, err)) < 0 || (result = mse_buffer_append_text(to, refuse, err)) < 0 ||
	    (result = add_forward(plan, to, err)) < 0)
		return result;
	if ((result = mse_buffer_printf(to, err, "%s%s%siifname \"" MSE_NETWORK_GATEWAY_DEVICE "\" goto refuse\n}\n", input, neighbours,
		     mse_network_needs_resolver(plan->manifest) ? resolver : "")) < 0 ||
	    (result = mse_buffer_printf(to, err, "%s%s}\n", output, neighbours)) < 0)
		return result;
	return mse_buffer_printf(to, err, "%s}\n", masquerade);
}

/* ---- names ---- */

int mse_network_resolver_arguments(const struct mse_manifest *manifest, struct mse_buffer *to, struct mse_error_info *err)
{
	/* Answers are not kept: each that is given lets its addresses through. */
	static const char *const fixed[] = { "--keep-in-foreground", "--conf-file=/dev/null", "--user=", "--group=", "--pid-file=", "--log-facility=-", "--no-resolv",
		"--no-hosts", "--no-poll", "--cache-size=0", "--listen-address=" GATEWAY4, "--except-interface=lo", "--bind-interfaces",
		"--local=/#/" };
	struct group group = { .end = 0 };
	int result = 0;

	for (size_t i = 0; result == 0 && i < sizeof fixed / sizeof fixed[0]; i++)
		result = mse_buffer_append(to, fixed[i], strlen(fixed[i]) + 1, err);
	while (result == 0 && next_group(manifest, &group, err, &result)) {
		const char *name = group.host.host;

		if (group.host.family != MSE_ADDRESS_NAME)
			continue;
		/* Names beneath it are other names, and could carry words out. */
		result = mse_buffer_printf(to, err, "--server=/%s/" DNS4 "%c--server=/%s/" DNS6 "%c--local=/*.%s/%c", name, 0, name, 0, name, 0);
		if (result == 0)
			result = mse_buffer_printf(to, err, "--nftset=/%s/4#inet#mse#name%zu_4,6#inet#mse#name%zu_6%c", name, group.first, group.first, 0);
	}
	return result;
}

const char *mse_network_resolv_conf(const struct mse_manifest *manifest)
{
	if (manifest->egress == MSE_EGRESS_ANY)
		return "nameserver " DNS4 "\nnameserver " DNS6 "\n";
	return mse_network_needs_resolver(manifest) ? "nameserver " GATEWAY4 "\n" : "# This application connects to nobody by name.\n";
}

/* ---- links ---- */

const char *mse_network_app_links(bool ipv6)
{
#define LINKS                                                                                                                       \
	"link add " MSE_NETWORK_APP_DEVICE " type veth peer name " MSE_NETWORK_GATEWAY_DEVICE " netns /proc/self/fd/3\n"            \
	"link set lo up\n"                                                                                                          \
	"link set " MSE_NETWORK_APP_DEVICE " mtu 65520 up\n"                                                                         \
	"addr add 192.0.0.2/29 dev " MSE_NETWORK_APP_DEVICE "\n"                                                                     \
	"route add default via " GATEWAY4 "\n"
	return ipv6 ? LINKS "addr add fd6d:7365::2/64 dev " MSE_NETWORK_APP_DEVICE " nodad\n"
			    "route add default via " GATEWAY6 "\n"
		    : LINKS;
#undef LINKS
}

const char *mse_network_gateway_links(bool ipv6)
{
#define LINKS                                                        \
	"link set " MSE_NETWORK_GATEWAY_DEVICE " mtu 65520 up\n"      \
	"addr add " GATEWAY4 "/29 dev " MSE_NETWORK_GATEWAY_DEVICE "\n"
	return ipv6 ? LINKS "addr add " GATEWAY6 "/64 dev " MSE_NETWORK_GATEWAY_DEVICE " nodad\n" : LINKS;
#undef LINKS
}

const char *mse_network_tap_links(bool ipv6)
{
#define LINKS                                                \
	"link set " MSE_NETWORK_TAP " mtu 65520 up\n"         \
	"addr add 192.0.2.100/24 dev " MSE_NETWORK_TAP "\n"   \
	"route add default via 192.0.2.2\n"
	return ipv6 ? LINKS "addr add fd00::100/64 dev " MSE_NETWORK_TAP " nodad\n"
			    "route add default via fd00::2\n"
		    : LINKS;
#undef LINKS
}
