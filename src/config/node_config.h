/* The configuration file of msed, TOML. Everything has a default; without a file the defaults hold.
 *
 *     domain = "mse.localhost"
 *     images = "/srv/images"              # else DATA/images
 *     ports = { first = 24000, last = 28999 }
 *     uids = { first = 200000, count = 65536 }
 *     [aliases]
 *     "ghcr.io/cosmian/mse-flask" = "mse-flask"   # any tag
 *     [plans.free]
 *     memory_mib = 512
 *     cpus = 0.38
 *     storage_mib = 10240
 *     threads = 16                        # that serve requests
 *     processes = 256                     # and threads, all of the enclave's
 *     open_files = 8192
 *     lifetime_minutes = 240
 *     [quotas]
 *     apps = 100                          # on this node, not stopped
 *     apps_per_owner = 10
 *     [limits]
 *     insecure_unlimited = false          # on a machine without control groups, run apps without limits
 *     [network]
 *     deny = ["10.0.0.0/8", "fd00::/8"]   # where no app connects to, whatever its manifest allows
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "base/error.h"

#define MSE_NODE_MAX_PLANS ((size_t)64)
#define MSE_NODE_MAX_DENIED ((size_t)256)
#define MSE_NODE_MAX_ALIASES ((size_t)1024)

/* Room for the server's own threads, those of an app, and those of libraries that start one for each core (OpenBLAS, in numpy). */
#define MSE_NODE_DEFAULT_PROCESSES 256
#define MSE_NODE_MAX_PROCESSES 32768
/* Twice the connections that an enclave accepts. */
#define MSE_NODE_DEFAULT_OPEN_FILES 8192
#define MSE_NODE_MIN_OPEN_FILES 256
#define MSE_NODE_MAX_OPEN_FILES 1048576
/* What an enclave needs beside the threads that serve requests. */
#define MSE_NODE_OWN_THREADS 16

struct mse_node_plan {
	char *name;
	uint64_t memory_size;      /* bytes */
	uint32_t cpu_thousandths;  /* 380 is 0.38 CPU */
	uint64_t storage_size;     /* bytes */
	uint32_t threads;          /* that serve requests */
	uint32_t processes;        /* processes and threads of the enclave, at least MSE_NODE_OWN_THREADS more than the line above */
	uint32_t open_files;       /* descriptors */
	uint32_t lifetime_seconds; /* an app without an expiry date lives so long, and none longer; 0: no limit */
};

struct mse_node_alias {
	char *from; /* image name without tag or digest */
	char *to;   /* a name in the node's store */
};

struct mse_node_config {
	char *domain;
	char *images; /* NULL: under the data folder */
	uint16_t port_first, port_last;
	uint32_t uid_first, uid_count;
	struct mse_node_plan *plans; /* "free" is always among them */
	size_t plan_count;
	struct mse_node_alias *aliases;
	size_t alias_count;
	uint32_t max_apps, max_apps_per_owner;
	bool insecure_unlimited; /* where the machine cannot limit apps, run them without limits */
	struct mse_prefix *denied; /* no app connects to these */
	size_t denied_count;
};

/* path NULL: the defaults. */
int mse_node_config_read(const char *path, struct mse_node_config **ret_config, struct mse_error_info *err);
int mse_node_config_parse(const char *text, size_t size, const char *name, struct mse_node_config **ret_config, struct mse_error_info *err);
void mse_node_config_free(struct mse_node_config *config);
MSE_DEFINE_CLEANUP(struct mse_node_config, mse_node_config_free)

/* NULL when there is no such plan. */
const struct mse_node_plan *mse_node_config_plan(const struct mse_node_config *config, const char *name);

/* The store's name for what a deployment calls `docker` ("ghcr.io/cosmian/mse-flask:2023", "mse-flask", "name@sha256:…"): tag
 * and digest are taken off, then the alias table is asked. *ret_name is newly allocated; *ret_aliased (may be NULL) says
 * whether an alias applied. */
int mse_node_config_image(const struct mse_node_config *config, const char *docker, char **ret_name, bool *ret_aliased, struct mse_error_info *err);
