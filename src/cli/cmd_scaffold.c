#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/cli.h"

/* "@NAME@" stands for the application's name. */
struct template_file {
	const char *path;
	mode_t mode;
	const char *text;
};

static const struct template_file files[] = {
	{ "mse.toml", 0644,
		"name=\"@NAME@\"\n"
		"project=\"default\"\n"
		"resource=\"free\"\n"
		"\n"
		"[code]\n"
		"location=\"./mse_src\"\n"
		"python_application=\"app:app\"\n"
		"healthcheck_endpoint=\"/health\"\n"
		"docker=\"mse-flask\"\n"
		"secrets=\"./secrets.json\"\n"
		"\n"
		"# [network]\n"
		"# egress=[\"api.example.com:443\"]   # all that the application may connect to; or \"none\", or \"any\" (the default)\n" },
	{ "mse_src/app.py", 0644,
		"\"\"\"A plain Flask application: nothing in it knows of the enclave that it will run in.\"\"\"\n"
		"from http import HTTPStatus\n"
		"\n"
		"from flask import Flask, Response\n"
		"\n"
		"app = Flask(__name__)\n"
		"\n"
		"\n"
		"@app.get(\"/health\")\n"
		"def health():\n"
		"    \"\"\"Tell that the application is up.\"\"\"\n"
		"    return Response(status=HTTPStatus.OK)\n"
		"\n"
		"\n"
		"@app.route(\"/\")\n"
		"def hello():\n"
		"    \"\"\"Say hello.\"\"\"\n"
		"    return \"Hello from @NAME@!\\n\"\n"
		"\n"
		"\n"
		"if __name__ == \"__main__\":\n"
		"    app.run(host=\"127.0.0.1\", port=5000)\n" },
	{ "mse_src/.mseignore", 0644,
		"# What is not packed into the enclave; the syntax is that of .gitignore.\n"
		"__pycache__/\n"
		"*.py[cod]\n"
		".pytest_cache/\n"
		".venv/\n"
		"venv/\n"
		".env\n"
		"*.pem\n"
		"*.key\n"
		"secrets*.json\n" },
	{ "secrets.json", 0600, "{\n    \"login\": \"username\",\n    \"password\": \"change me\"\n}\n" },
	{ "tests/test_app.py", 0644,
		"\"\"\"Run with pytest, in this folder's parent: the application is tested as plain Flask.\"\"\"\n"
		"import sys\n"
		"from pathlib import Path\n"
		"\n"
		"sys.path.insert(0, str(Path(__file__).resolve().parent.parent / \"mse_src\"))\n"
		"\n"
		"from app import app  # noqa: E402\n"
		"\n"
		"\n"
		"def test_health():\n"
		"    assert app.test_client().get(\"/health\").status_code == 200\n"
		"\n"
		"\n"
		"def test_hello():\n"
		"    assert app.test_client().get(\"/\").get_data(as_text=True) == \"Hello from @NAME@!\\n\"\n" },
	{ "README.md", 0644,
		"# @NAME@\n"
		"\n"
		"A Python web application that runs in an enclave.\n"
		"\n"
		"    python3 mse_src/app.py        # on this machine, without an enclave: http://127.0.0.1:5000/\n"
		"    pytest tests                  # its tests\n"
		"    mse deploy                    # into an enclave of the node in MSE_NODE\n"
		"    mse logs @NAME@\n"
		"    mse stop @NAME@\n"
		"\n"
		"- `mse.toml` says what is deployed; `mse.lock`, written by the first deployment, which image is trusted. Commit both.\n"
		"- `mse_src/` is packed and leaves this machine encrypted. Write no secret into it: you may want to show it to your users.\n"
		"- `secrets.json` goes into the enclave after that has been verified; the application finds it at `$SECRETS_PATH`. Never commit it.\n"
		"\n"
		"`mse verify URL` verifies what runs; `mse context export @NAME@ --output context.json` makes the file with which others can.\n" },
	{ ".gitignore", 0644, "secrets.json\n*.pem\n*.key\n__pycache__/\n.pytest_cache/\n.venv/\n" },
};

static const char *const folders[] = { "mse_src", "tests" };

static int fill_in(const char *template, const char *name, struct mse_buffer *to, struct mse_error_info *err)
{
	static const char mark[] = "@NAME@";
	const char *next;
	int result;

	while ((next = strstr(template, mark)) != NULL) {
		if ((result = mse_buffer_append(to, template, (size_t)(next - template), err)) < 0 || (result = mse_buffer_append_text(to, name, err)) < 0)
			return result;
		template = next + strlen(mark);
	}
	return mse_buffer_append_text(to, template, err);
}

static int write_all(const char *folder, const char *name, struct mse_error_info *err)
{
	int result;

	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		mse_autofree char *path = NULL;

		if ((result = mse_path_join(folder, folders[i], &path, err)) < 0)
			return result;
		if (mkdir(path, 0755) < 0)
			return mse_fail_errno(err, "cannot make folder '%s'", path);
	}
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		mse_cleanup(mse_buffer_freep) struct mse_buffer *text = mse_buffer_new((size_t)64 * 1024);
		mse_autofree char *path = NULL;

		if (text == NULL)
			return mse_fail_nomem(err);
		if ((result = fill_in(files[i].text, name, text, err)) < 0 || (result = mse_path_join(folder, files[i].path, &path, err)) < 0 ||
		    (result = mse_file_write(path, mse_buffer_data(text), mse_buffer_size(text), files[i].mode, err)) < 0)
			return result;
	}
	return 0;
}

int mse_cmd_scaffold(struct mse_cli *cli, struct mse_error_info *err)
{
	const char *name = cli->args.operands[0];
	mse_autojson *answer = NULL;
	struct mse_error_info ignored;
	int result;

	if (!mse_name_is_valid(name))
		return mse_cli_usage(cli, err, "'%.100s' cannot be an application's name: 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit", name);
	if (mkdir(name, 0755) < 0)
		return mse_fail_errno(err, "cannot make folder '%s'; choose another name, or another place", name);
	if ((result = write_all(name, name, err)) < 0) {
		(void)mse_tree_remove(name, &ignored);
		return result;
	}
	mse_cli_say(cli, "made the application '%s'; next:\n  cd %s\n  mse deploy", name, name);
	answer = json_pack("{s:s, s:s}", "name", name, "path", name);
	return answer == NULL ? mse_fail_nomem(err) : mse_cli_answer(cli, answer, err);
}
