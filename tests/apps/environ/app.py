"""Shows its environ, and where it runs."""

import json
import os
import sys


def app(environ, start_response):
    if environ["PATH_INFO"] == "/process":
        import __main__

        answer = {"argv": sys.argv, "path": sys.path[0], "isolated": sys.flags.isolated, "main": sorted(vars(__main__)), "cwd": os.getcwd(),
                  "modules": sorted(name for name in sys.modules if "mse" in name), "name": __name__}
        try:
            __import__("_mse")
        except ImportError:
            answer["private"] = True
    else:
        answer = {key: value if isinstance(value, (str, bool)) else repr(type(value)) for key, value in environ.items()}
        environ["polluted"] = "by an earlier request"
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


if __name__ == "__main__":
    raise SystemExit("a server imports the module; it does not run it")
