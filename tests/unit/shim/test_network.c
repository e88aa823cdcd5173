#include "../test.h"

#include "base/text.h"
#include "shim/network_rules.h"

static struct mse_error_info err;

static struct mse_manifest *manifest_for(const char *const *targets, size_t count)
{
	struct mse_manifest *manifest = mse_manifest_new();

	assert_non_null(manifest);
	manifest->egress = MSE_EGRESS_LIST;
	for (size_t i = 0; i < count; i++)
		assert_works(mse_strdup(targets[i], &manifest->egress_targets[manifest->egress_target_count++], &err));
	return manifest;
}

static struct mse_buffer *rules_of(const struct mse_network_plan *plan)
{
	struct mse_buffer *rules = mse_buffer_new(MSE_NETWORK_RULES_MAX_SIZE);

	assert_non_null(rules);
	assert_works(mse_network_rules(plan, rules, &err));
	return rules;
}

/* All of a chain's lines. */
static char *chain(const struct mse_buffer *rules, const char *name)
{
	mse_autofree char *head = NULL;
	const char *begin, *end;
	char *text;

	assert_works(mse_format(&head, &err, "chain %s {\n", name));
	begin = strstr(mse_buffer_text(rules), head);
	assert_non_null(begin);
	begin += strlen(head);
	end = strstr(begin, "}\n");
	/* A set in a rule is closed within its line. */
	while (end != NULL && end[-1] != '\n')
		end = strstr(end + 1, "}\n");
	assert_non_null(end);
	text = strndup(begin, (size_t)(end - begin));
	assert_non_null(text);
	return text;
}

static const char forward_begin[] = "type filter hook forward priority filter; policy drop;\n"
				    "ct state { established, related } accept\n"
				    "iifname != \"app\" drop\n"
				    "ct state invalid drop\n"
				    "ct count over 16384 goto refuse\n";
static const char forward_refuse[] = "ip daddr @closed4 goto refuse\nip6 daddr @closed6 goto refuse\n"
				     "ip daddr @denied4 goto refuse\nip6 daddr @denied6 goto refuse\n"
				     "ip daddr @node4 goto refuse\nip6 daddr @node6 goto refuse\n";

static void a_list_opens_its_hosts_with_their_own_ports_alone(void **state)
{
	static const char *const targets[] = { "198.51.100.7:443", "[2001:db8::5]:80", "a.example:443", "a.example:80", "b.example:443" };
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = manifest_for(targets, 5);
	const struct mse_network_plan plan = { .manifest = manifest, .hosts = "203.0.113.9 other.example B.example # b\n127.0.0.1 a.example\nnonsense b.example\n" };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *rules = rules_of(&plan);
	mse_autofree char *forward = chain(rules, "forward");
	mse_autofree char *expected = NULL;

	(void)state;
	assert_works(mse_format(&expected, &err, "%s%s%s", forward_begin, forward_refuse,
		"ip daddr 198.51.100.7 meta l4proto { tcp, udp } th dport { 443 } accept\n"
		"ip6 daddr 2001:db8::5 meta l4proto { tcp, udp } th dport { 80 } accept\n"
		"ip daddr @name2_4 meta l4proto { tcp, udp } th dport { 443, 80 } accept\n"
		"ip6 daddr @name2_6 meta l4proto { tcp, udp } th dport { 443, 80 } accept\n"
		"ip daddr 127.0.0.1/32 meta l4proto { tcp, udp } th dport { 443, 80 } accept\n"
		"ip daddr @name4_4 meta l4proto { tcp, udp } th dport { 443 } accept\n"
		"ip6 daddr @name4_6 meta l4proto { tcp, udp } th dport { 443 } accept\n"
		"ip daddr 203.0.113.9/32 meta l4proto { tcp, udp } th dport { 443 } accept\n"
		"goto refuse\n"));
	assert_string_equal(forward, expected);
	assert_non_null(strstr(mse_buffer_text(rules), "set name2_4 { type ipv4_addr; flags timeout; timeout 1h; size 1024; }"));
	assert_null(strstr(mse_buffer_text(rules), "name0_"));
}

static void any_opens_all_but_what_is_closed_and_of_the_resolver_one_port(void **state)
{
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = mse_manifest_new();
	const struct mse_prefix denied[] = { { MSE_ADDRESS_IPV4, { 10 }, 8 }, { MSE_ADDRESS_IPV6, { 0x20, 0x01 }, 16 } };
	const struct mse_prefix node[] = { { MSE_ADDRESS_IPV4, { 198, 51, 100, 1 }, 32 } };
	const struct mse_network_plan plan = { .manifest = manifest, .denied = denied, .denied_count = 2, .node = node, .node_count = 1, .hosts = "" };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *rules = rules_of(&plan);
	mse_autofree char *forward = chain(rules, "forward"), *input = chain(rules, "input");
	mse_autofree char *expected = NULL;

	(void)state;
	assert_works(mse_format(&expected, &err, "%s%s%s%s", forward_begin,
		"ip daddr 192.0.2.3 meta l4proto { tcp, udp } th dport 53 accept\n"
		"ip6 daddr fd00::3 meta l4proto { tcp, udp } th dport 53 accept\n",
		forward_refuse, "meta l4proto { tcp, udp } accept\ngoto refuse\n"));
	assert_string_equal(forward, expected);
	assert_null(strstr(input, "dport 53"));
	assert_non_null(strstr(mse_buffer_text(rules), "set denied4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/8 }; }"));
	assert_non_null(strstr(mse_buffer_text(rules), "set denied6 { type ipv6_addr; flags interval; auto-merge; elements = { 64:ff9b::a00:0/104, 2001::/16 }; }"));
	assert_non_null(strstr(mse_buffer_text(rules), "set node6 { type ipv6_addr; flags interval; auto-merge; elements = { 64:ff9b::c633:6401/128 }; }"));
	assert_non_null(strstr(mse_buffer_text(rules), "64:ff9b::a9fe:0/112"));
	assert_false(mse_network_needs_resolver(manifest));
	assert_string_equal(mse_network_resolv_conf(manifest), "nameserver 192.0.2.3\nnameserver fd00::3\n");
}

static void new_addresses_of_the_node_replace_the_old(void **state)
{
	const struct mse_prefix node[] = { { MSE_ADDRESS_IPV4, { 198, 51, 100, 1 }, 32 }, { MSE_ADDRESS_IPV6, { 0x20, 0x01 }, 128 } };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *rules = mse_buffer_new(4096);

	(void)state;
	assert_works(mse_network_node_rules(node, 2, rules, &err));
	assert_string_equal(mse_buffer_text(rules), "flush set inet mse node4\nadd element inet mse node4 { 198.51.100.1/32 }\n"
						    "flush set inet mse node6\nadd element inet mse node6 { 64:ff9b::c633:6401/128, 2001::/128 }\n");
	mse_buffer_clear(rules);
	assert_works(mse_network_node_rules(NULL, 0, rules, &err));
	assert_string_equal(mse_buffer_text(rules), "flush set inet mse node4\nflush set inet mse node6\n");
}

static bool has_argument(const struct mse_buffer *arguments, const char *wanted)
{
	for (size_t at = 0; at < mse_buffer_size(arguments); at += strlen(mse_buffer_text(arguments) + at) + 1)
		if (strcmp(mse_buffer_text(arguments) + at, wanted) == 0)
			return true;
	return false;
}

static void the_resolver_answers_for_listed_names_and_nothing_beneath_them(void **state)
{
	static const char *const targets[] = { "198.51.100.7:443", "a.example:443", "a.example:80" };
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = manifest_for(targets, 3);
	mse_cleanup(mse_manifest_freep) struct mse_manifest *addresses = manifest_for(targets, 1);
	mse_cleanup(mse_buffer_freep) struct mse_buffer *arguments = mse_buffer_new(MSE_NETWORK_RULES_MAX_SIZE);

	(void)state;
	assert_works(mse_network_resolver_arguments(manifest, arguments, &err));
	assert_true(has_argument(arguments, "--local=/#/") && has_argument(arguments, "--cache-size=0") && has_argument(arguments, "--no-hosts"));
	assert_true(has_argument(arguments, "--server=/a.example/192.0.2.3") && has_argument(arguments, "--server=/a.example/fd00::3"));
	assert_true(has_argument(arguments, "--local=/*.a.example/"));
	assert_true(has_argument(arguments, "--nftset=/a.example/4#inet#mse#name1_4,6#inet#mse#name1_6"));
	assert_true(mse_network_needs_resolver(manifest));
	assert_false(mse_network_needs_resolver(addresses));
	assert_string_equal(mse_network_resolv_conf(manifest), "nameserver 192.0.0.1\n");
	assert_null(strstr(mse_network_resolv_conf(addresses), "nameserver"));
}

static void an_app_is_told_of_the_nodes_hosts_only_what_it_may_reach(void **state)
{
	static const char hosts[] = "127.0.0.1 localhost\n127.0.1.1 node.example node\n::1 ip6-localhost\n203.0.113.9\ta.example  alias.example\r\n# 203.0.113.10 a.example\n"
				    "203.0.113.11 b.example#a.example\nfe80::1%eth0 a.example\n2001:db8::9 A.EXAMPLE\n10.0.0.0/8 a.example\n203.0.113.12";
	static const char *const targets[] = { "a.example:443" };
	mse_cleanup(mse_manifest_freep) struct mse_manifest *some = manifest_for(targets, 1);
	mse_cleanup(mse_manifest_freep) struct mse_manifest *any = mse_manifest_new(), *none = mse_manifest_new();
	mse_cleanup(mse_buffer_freep) struct mse_buffer *text = mse_buffer_new(65536);
	struct mse_network_plan plan = { .manifest = some, .hosts = hosts };
	static const char begin[] = "127.0.0.1 localhost mse\n::1 localhost\n";
	mse_autofree char *expected = NULL;

	(void)state;
	assert_works(mse_network_hosts(&plan, text, &err));
	assert_works(mse_format(&expected, &err, "%s203.0.113.9 a.example\n2001:db8::9 a.example\n", begin));
	assert_string_equal(mse_buffer_text(text), expected);
	mse_buffer_clear(text);
	plan.manifest = any;
	assert_works(mse_network_hosts(&plan, text, &err));
	free(expected);
	assert_works(mse_format(&expected, &err, "%s203.0.113.9 a.example\n203.0.113.9 alias.example\n203.0.113.11 b.example\n2001:db8::9 a.example\n", begin));
	assert_string_equal(mse_buffer_text(text), expected);
	mse_buffer_clear(text);
	none->egress = MSE_EGRESS_NONE;
	plan.manifest = none;
	assert_works(mse_network_hosts(&plan, text, &err));
	assert_string_equal(mse_buffer_text(text), begin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_opens_its_hosts_with_their_own_ports_alone),
		cmocka_unit_test(any_opens_all_but_what_is_closed_and_of_the_resolver_one_port),
		cmocka_unit_test(new_addresses_of_the_node_replace_the_old),
		cmocka_unit_test(the_resolver_answers_for_listed_names_and_nothing_beneath_them),
		cmocka_unit_test(an_app_is_told_of_the_nodes_hosts_only_what_it_may_reach),
	};

	return cmocka_run_group_tests_name("shim network", tests, NULL, NULL);
}
