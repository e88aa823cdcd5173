#include "shim/weaker.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *text;
} table[MSE_WEAKER_COUNT] = {
	{ "user", "no user of its own: the node and all its apps are one user of the machine, and namespaces alone stand between them" },
	{ "home", "$HOME is in memory: smaller than the plan says, counted as the app's memory, and gone when the enclave is started again" },
	{ "limits", "no limits of memory, CPU and processes: this app can starve others on the machine, and they can starve it" },
	{ "offline", "no outgoing connections: this node cannot give the app the network that its manifest allows" },
	{ "listener", "users' connections can be turned round: with one, the app can connect from the node, whatever its egress says" },
};

const char *mse_weaker_name(unsigned index)
{
	return table[index].name;
}

const char *mse_weaker_text(unsigned index)
{
	return table[index].text;
}

void mse_weaker_format(uint32_t weaker, char text[static MSE_WEAKER_TEXT_SIZE])
{
	size_t size = 0;

	text[0] = 0;
	for (unsigned i = 0; i < MSE_WEAKER_COUNT; i++)
		if (weaker & 1u << i)
			size += (size_t)snprintf(text + size, MSE_WEAKER_TEXT_SIZE - size, "%s%s", size == 0 ? "" : " ", table[i].name);
}

int mse_weaker_parse(const char *text, uint32_t *ret_weaker, struct mse_error_info *err)
{
	uint32_t weaker = 0;

	for (const char *p = text; *p != 0;) {
		size_t size = strcspn(p, " ");
		unsigned i = 0;

		while (i < MSE_WEAKER_COUNT && (strlen(table[i].name) != size || memcmp(p, table[i].name, size) != 0))
			i++;
		if (i == MSE_WEAKER_COUNT)
			return mse_fail(err, MSE_ERR_INPUT, "'%.40s' names nothing that an app can be without", p);
		weaker |= 1u << i;
		p += size + (p[size] == ' ');
	}
	*ret_weaker = weaker;
	return 0;
}

json_t *mse_weaker_json(uint32_t weaker)
{
	json_t *array = json_array();

	for (unsigned i = 0; array != NULL && i < MSE_WEAKER_COUNT; i++)
		if ((weaker & 1u << i) && json_array_append_new(array, json_pack("{s:s, s:s}", "name", table[i].name, "text", table[i].text)) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}
