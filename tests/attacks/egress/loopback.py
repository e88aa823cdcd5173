"""With all of the outside allowed, tries the node's own services: at its loopback, at its addresses, at what stands for them."""
import socket

from attack import application, attempt, given, reach

TITLE = "the node's own services (loopback, its addresses, the gateway)"
WALL = "network namespace of the app's own; the gateway refuses the node's addresses, loopback and itself"
SECOND = "slirp4netns with --disable-host-loopback"
CONTROL_KEEPS = ("net",)
REFUSED = ("ECONNREFUSED", "EHOSTUNREACH", "EACCES", "ENETUNREACH", "EADDRNOTAVAIL", "timeout")


@attempt(inside="outside", outside="outside")
def what_is_allowed():
    return reach(given["good"], 80)


@attempt(inside=REFUSED, outside="connected")
def loopback():
    return reach("127.0.0.1", given["port"])


@attempt(inside=REFUSED, outside="connected")
def loopback6():
    return reach("::1", given["port"])


@attempt(inside=REFUSED, outside="connected")
def any_address():
    return reach("0.0.0.0", given["port"])


@attempt(inside=REFUSED, outside="connected")
def mapped():
    return reach("::ffff:127.0.0.1", given["port"])


@attempt(inside=REFUSED, outside="connected")
def address_of_the_node():
    return reach(given["node"], given["port"])


@attempt(inside=REFUSED, outside="connected")
def address_of_the_node6():
    return reach(given["node6"], given["port"])


@attempt(inside="refused")
def what_stands_for_the_host():
    """slirp4netns's own addresses: its gateway is the host's loopback unless it is told otherwise."""
    for address in ("10.0.2.2", "10.0.2.3", "192.0.2.2", "192.0.2.3", "192.0.0.1", "fd00::2", "fd00::3", "fd6d:7365::1"):
        try:
            return f"{address}: {reach(address, given['port'])}"
        except OSError:
            pass
    return "refused"


app = application(globals())
