/* The network of one app: a namespace of its own, behind a gateway that lets through what the manifest's egress allows
 * (shim/network_rules.h). It is made once in the life of a shim and kept while enclaves come and go. What the machine cannot give is
 * closed, never shared: without it an app has its own loopback and nothing else. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "manifest/manifest.h"
#include "shim/cgroup.h"
#include "shim/config.h"

struct mse_network;

/* Called from the event loop, and once from mse_network_new() where it comes to that: whether connections that the manifest allows cannot
 * be had. The reason has been logged. */
typedef void mse_network_on_offline(void *context, bool offline);

/* Everything that decides is in place when it returns; that packets can leave comes a little later. To be called before secrets are in
 * memory, since a child of this process is for a moment open to its own user. Negative only when memory is out; what else goes wrong
 * is told by on_offline. config and manifest must outlive the network.
 * Its programs run as the app's helpers in the group (NULL: without limits). */
int mse_network_new(struct event_base *base, const struct mse_shim_config *config, struct mse_cgroup *group, bool host_root,
	const struct mse_manifest *manifest, mse_network_on_offline *on_offline, void *context, struct mse_network **ret_network, struct mse_error_info *err);
/* Ends its programs. */
void mse_network_free(struct mse_network *network);
MSE_DEFINE_CLEANUP(struct mse_network, mse_network_free)

/* The namespace that the sandbox is to enter; -1: one that it makes itself, with a loopback and nothing else. */
int mse_network_namespace(const struct mse_network *network);
/* The app's /etc/resolv.conf and /etc/hosts. */
const char *mse_network_resolv_conf_text(const struct mse_network *network);
const char *mse_network_hosts_text(const struct mse_network *network);
