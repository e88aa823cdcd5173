"""Asks the cloud's metadata service, which gives its machine's credentials to whoever asks from it; and neighbours on the link."""
from attack import application, attempt, given, reach

TITLE = "the cloud's metadata service, link-local addresses"
WALL = "the gateway refuses 169.254.0.0/16, fe80::/10 and the other addresses of that kind, whatever egress says"
SECOND = "none"
CONTROL_KEEPS = ("net",)
REFUSED = ("EHOSTUNREACH", "EACCES", "ECONNREFUSED", "ENETUNREACH", "timeout")


@attempt(inside=REFUSED, outside="outside")
def metadata():
    return reach(given["metadata"], 80)


@attempt(inside=REFUSED, outside="outside")
def metadata_in_ipv6():
    return reach("::ffff:" + given["metadata"], 80)


@attempt(inside=("EINVAL", *REFUSED), outside=("EINVAL", "EHOSTUNREACH", "ENETUNREACH", "timeout"))
def link():
    return reach("fe80::a9fe:a9fe", 80)


app = application(globals())
