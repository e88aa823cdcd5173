/* From a manifest's egress and a node's hosts(5) to rules and arguments: whatever was accepted, nothing but names, addresses and ports
 * comes out of it. One byte says which egress; targets one a line, an empty line, and the hosts file. */
#include <stdlib.h>
#include <string.h>

#include "shim/network_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_target(struct mse_manifest *manifest, const char *text)
{
	char form[MSE_HOST_PORT_TEXT_SIZE];
	struct mse_host_port target;

	if (manifest->egress_target_count == MSE_EGRESS_MAX_TARGETS || mse_host_port_parse(text, &target, NULL) < 0)
		return;
	mse_host_port_format(&target, form);
	if ((manifest->egress_targets[manifest->egress_target_count++] = strdup(form)) == NULL)
		abort();
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;

	for (; (text = strstr(text, part)) != NULL; text += strlen(part))
		count++;
	return count;
}

/* What nft could take as something else is as often there as without any target. */
static void check_rules(const char *rules, const char *empty)
{
	static const char *const words[] = { "policy", "chain", "hook", "goto", "drop", "reject", "masquerade", "table", "include", "define", "flush", "jump", "$", "#", "\\", "'" };

	if (strspn(rules, "abcdefghijklmnopqrstuvwxyz0123456789 .:/{}@,;_\"!=-\n") != strlen(rules))
		abort();
	/* Names of hosts may be such words, but none stands in the rules: only the resolver is told them. */
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (count_of(rules, words[i]) != count_of(empty, words[i]))
			abort();
	if (count_of(rules, "{") != count_of(rules, "}"))
		abort();
}

static void check_arguments(const struct mse_manifest *manifest)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *arguments = mse_buffer_new(MSE_NETWORK_RULES_MAX_SIZE);

	if (arguments == NULL || mse_network_resolver_arguments(manifest, arguments, NULL) < 0)
		abort();
	for (size_t at = 0; at < mse_buffer_size(arguments); at += strlen(mse_buffer_text(arguments) + at) + 1) {
		const char *argument = mse_buffer_text(arguments) + at;

		if (strncmp(argument, "--", 2) != 0 || strspn(argument, "abcdefghijklmnopqrstuvwxyz0123456789.:/#*,=_-") != strlen(argument))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = mse_manifest_new(), *nothing = mse_manifest_new();
	mse_cleanup(mse_buffer_freep) struct mse_buffer *rules = mse_buffer_new(MSE_NETWORK_RULES_MAX_SIZE), *empty = mse_buffer_new(MSE_NETWORK_RULES_MAX_SIZE);
	mse_cleanup(mse_buffer_freep) struct mse_buffer *hosts = mse_buffer_new((size_t)16 * 1024 * 1024);
	mse_autofree char *text = strndup((const char *)data, size);
	char *rest, *line;

	if (manifest == NULL || nothing == NULL || rules == NULL || empty == NULL || hosts == NULL || text == NULL)
		abort();
	if (size == 0 || size > MSE_NETWORK_HOSTS_MAX_SIZE)
		return 0;
	manifest->egress = *text == 'a' ? MSE_EGRESS_ANY : *text == 'n' ? MSE_EGRESS_NONE : MSE_EGRESS_LIST;
	nothing->egress = MSE_EGRESS_NONE;
	rest = text + (*text != 0);
	while ((line = strsep(&rest, "\n")) != NULL && *line != 0)
		take_target(manifest, line);
	{
		const struct mse_network_plan plan = { .manifest = manifest, .hosts = rest == NULL ? "" : rest }, none = { .manifest = nothing, .hosts = "" };

		if (mse_network_rules(&plan, rules, NULL) < 0 || mse_network_rules(&none, empty, NULL) < 0 || mse_network_hosts(&plan, hosts, NULL) < 0)
			abort();
	}
	check_rules(mse_buffer_text(rules), mse_buffer_text(empty));
	check_arguments(manifest);
	return 0;
}
