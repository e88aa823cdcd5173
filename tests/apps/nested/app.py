from package.inner import app  # noqa: F401
