/* The namespaces of an app's network, and how programs come to run in them. They belong to a user namespace in which only the app's own
 * user exists, as root: what works in them has no power over the node. The app is in neither: its sandbox's user namespace is
 * beside it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "shim/cgroup.h"

/* Descriptors; -1: not there. */
struct mse_network_place {
	int users;   /* the user namespace */
	int gateway; /* a network namespace */
	int app;     /* a network namespace */
	struct mse_cgroup *group; /* of the app; NULL: without limits */
	bool host_root;
	uint32_t uid, gid; /* host_root: the app's user */
};

#define MSE_NETWORK_NO_PLACE ((struct mse_network_place){ .users = -1, .gateway = -1, .app = -1 })

/* group, uid, gid and host_root must be set. */
int mse_network_place_make(struct mse_network_place *place, struct mse_error_info *err);
void mse_network_place_clear(struct mse_network_place *place);

/* For `enter` of struct mse_program, whose uid is 0; the context is the place. */
/* In the app's network namespace, as its root. */
int mse_network_enter_app(void *place, struct mse_error_info *err);
/* In the gateway's. */
int mse_network_enter_gateway(void *place, struct mse_error_info *err);
/* In the gateway's, which passes packets on from now on. */
int mse_network_enter_forwarding_gateway(void *place, struct mse_error_info *err);
/* In the node's network, from where the gateway's can be entered, with a device file for tap devices. */
int mse_network_enter_node(void *place, struct mse_error_info *err);
