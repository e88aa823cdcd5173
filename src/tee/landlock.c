/* Landlock beneath the filter of system calls and the sandbox: should one of them leave a gap, this still holds. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tee/tee.h"

/* Younger than the headers of Debian 12. */
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15)
#define SCOPE_ABSTRACT_SOCKETS (UINT64_C(1) << 0)
#define SCOPE_SIGNALS (UINT64_C(1) << 1)
struct ruleset {
	uint64_t files;
	uint64_t network;
	uint64_t scopes;
};
/* What the kernel of a version reads of it: more would be refused, unless zero. */
#define SIZE_OF_FILES offsetof(struct ruleset, network)

#define ABI_WITH_REFER 2
#define ABI_WITH_DEVICES 5

/* Files are moved between folders as ever: the one thing that Landlock takes away without being told. */
static int allow_moving(int ruleset, struct mse_error_info *err)
{
	mse_autoclose int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct landlock_path_beneath_attr beneath = { .allowed_access = LANDLOCK_ACCESS_FS_REFER, .parent_fd = root };

	if (root < 0 || syscall(__NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
		return mse_fail_errno(err, "cannot make Landlock's rule");
	return 0;
}

/* Which folders are writable is left to mounts: $HOME is mounted once the owner's key is there, and Landlock looks at what lies above a
 * mount, not at the folder that it covers. */
int mse_tee_landlock(int *ret_abi, struct mse_error_info *err)
{
	struct ruleset rules = {
		.files = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_REFER,
	};
	long abi = syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	mse_autoclose int ruleset = -1;
	int result;

	*ret_abi = abi < 0 ? 0 : (int)abi;
	/* The first version lets no file be moved to another folder. */
	if (*ret_abi < ABI_WITH_REFER)
		return 0;
	if (*ret_abi >= ABI_WITH_DEVICES)
		rules.files |= ACCESS_IOCTL_DEV;
	if (*ret_abi >= MSE_TEE_LANDLOCK_COMPLETE)
		rules.scopes = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
	ruleset = (int)syscall(__NR_landlock_create_ruleset, &rules, *ret_abi >= MSE_TEE_LANDLOCK_COMPLETE ? sizeof rules : SIZE_OF_FILES, 0);
	if (ruleset < 0)
		return mse_fail_errno(err, "cannot make Landlock's rules");
	if ((result = allow_moving(ruleset, err)) < 0)
		return result;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return mse_fail_errno(err, "cannot give up new privileges");
	return syscall(__NR_landlock_restrict_self, ruleset, 0) < 0 ? mse_fail_errno(err, "cannot apply Landlock's rules") : 0;
}
