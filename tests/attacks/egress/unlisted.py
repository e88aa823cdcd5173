"""Its owner has listed one host and one port. Tries the others: another port, another host, by address, by another name."""
import socket

from attack import application, attempt, given, reach

TITLE = "reach what egress does not list (other hosts, other ports, UDP, IPv6)"
WALL = "nftables in the app's gateway, a namespace in which it has no process"
SECOND = "no capability in its own namespace"
CONFIGURATION = '[network]\negress = ["good.example:80"]\n'
CONTROL_KEEPS = ("net",)
REFUSED = ("EHOSTUNREACH", "EACCES", "ECONNREFUSED", "ENETUNREACH", "timeout")


@attempt(inside="outside", outside="outside")
def what_is_listed():
    """That there is a network at all."""
    return reach("good.example", 80)


@attempt(inside=REFUSED, outside="outside")
def another_port():
    return reach(given["good"], 443)


@attempt(inside=REFUSED, outside="outside")
def another_host():
    return reach(given["other"], 80)


@attempt(inside=REFUSED, outside="outside")
def another_host6():
    return reach(given["other6"], 80)


@attempt(inside=REFUSED, outside="outside")
def datagrams():
    return reach(given["good"], 9000, socket.SOCK_DGRAM)


@attempt(inside="no answer", outside="203.0.113.8")
def another_name():
    try:
        return socket.gethostbyname("other.example")
    except socket.gaierror:
        return "no answer"


app = application(globals())
