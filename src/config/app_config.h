/* `mse.toml`: what the owner says about an app. Every error names file, line and remedy. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "base/error.h"

#define MSE_APP_CONFIG_MAX_TEXT_SIZE ((size_t)1024)
#define MSE_APP_CONFIG_MAX_LIST ((size_t)64)

/* All strings are owned by the structure. Paths are resolved against the folder of mse.toml. A line of 0: not given. */
struct mse_app_config {
	char *path;      /* of mse.toml, as handed to mse_app_config_read() */
	char *file_name; /* its last component, which begins error messages */
	char *folder;    /* the folder that holds it: "." for a bare name */

	char *name;
	char *project;  /* "default" when not given */
	char *resource; /* the plan; "free" when not given */
	int64_t expires_at; /* seconds since 1970; 0 when not given */
	size_t expires_line;

	struct {
		char *location; /* the code folder */
		size_t location_line;
		char *python_application; /* "package.module:attribute" as given */
		char *module;             /* "package.module" */
		char *attribute;          /* "app", or dotted: "factory.app"; a factory has its "()" */
		char *module_path;        /* relative to location, "package/module.py" or "package/module/__init__.py"; set by mse_app_config_check_files() */
		size_t python_application_line;
		char *healthcheck_endpoint; /* begins with '/' */
		char *docker;               /* the image's name, maybe with a tag or a digest */
		size_t docker_line;
		char *secrets; /* path, or NULL */
		size_t secrets_line;
	} code;

	bool has_ssl;
	struct {
		size_t line;
		char *domain_name;
		size_t domain_name_line;
		char *certificate; /* path */
		size_t certificate_line;
		char *private_key; /* path */
		size_t private_key_line;
	} ssl;

	/* [attestation]: how the owner widens or narrows the verdict, for himself. */
	struct {
		/* Names such as "OutOfDate", in addition to the default policy; never "Revoked". That each is a name which the
		 * verifier knows (mse_policy_is_status() in mse/attest.h) is for the caller to check. */
		char **accepted_statuses;
		size_t accepted_status_count;
		size_t accepted_statuses_line;
		/* Lower-case hex of PIID, PPID (16 bytes) or chip id (64 bytes); none: pinned at the first deployment. */
		char **platforms;
		size_t platform_count;
		size_t platforms_line;
	} attestation;

	/* [network]: MSE_EGRESS_ANY when not given. */
	struct {
		enum mse_egress egress;
		/* MSE_EGRESS_LIST: at least one, as mse_host_port_format() writes them, sorted, each once. */
		char **targets;
		size_t target_count;
	} network;
};

/* Reads and checks the form of everything in mse.toml; touches no other file. */
int mse_app_config_read(const char *path, struct mse_app_config **ret_config, struct mse_error_info *err);
/* The same from text; path is only for names. */
int mse_app_config_parse(const char *text, size_t size, const char *path, struct mse_app_config **ret_config, struct mse_error_info *err);
void mse_app_config_free(struct mse_app_config *config);
MSE_DEFINE_CLEANUP(struct mse_app_config, mse_app_config_free)

/* The expiry date, if given, is after now (seconds since 1970). */
int mse_app_config_check_time(const struct mse_app_config *config, int64_t now, struct mse_error_info *err);

/* The code folder, the application's module in it (sets code.module_path), the secrets file (a regular file of at most
 * MSE_APP_CONFIG_MAX_SECRETS_SIZE bytes) are there. */
#define MSE_APP_CONFIG_MAX_SECRETS_SIZE ((size_t)1024 * 1024)
int mse_app_config_check_files(struct mse_app_config *config, struct mse_error_info *err);

/* [ssl], if given: certificate and key parse as PEM, belong together, name domain_name (wildcards count), and the certificate is
 * valid at now. Whoever cannot do [ssl] yet refuses a config with has_ssl after this. */
int mse_app_config_check_ssl(const struct mse_app_config *config, int64_t now, struct mse_error_info *err);

/* "mse.toml:12: <formatted>" with a code, for what a caller finds wrong with a value; line 0 leaves the line out. */
int mse_app_config_fail(const struct mse_app_config *config, size_t line, struct mse_error_info *err, int code, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
