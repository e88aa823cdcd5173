"""Its owner has said that it needs no network. Tries every way there is, by address and by name."""
import socket

from attack import application, attempt, given, reach

TITLE = "leave the machine with egress = \"none\" (IPv4, IPv6, UDP, DNS)"
WALL = "network namespace with nothing but a loopback of its own"
SECOND = "no capability to make an interface"
CONFIGURATION = '[network]\negress = "none"\n'
CONTROL_KEEPS = ("net",)
NOWHERE = ("ENETUNREACH", "ENETDOWN", "EHOSTUNREACH")


@attempt(inside=NOWHERE, outside="outside")
def direct():
    return reach(given["good"], 80)


@attempt(inside=NOWHERE, outside="outside")
def direct6():
    return reach(given["good6"], 80)


@attempt(inside=NOWHERE, outside="outside")
def datagram():
    return reach(given["good"], 9000, socket.SOCK_DGRAM)


@attempt(inside=NOWHERE, outside="outside")
def name_server():
    return reach(given["good"], 53)


@attempt(inside="no answer", outside="203.0.113.7")
def name():
    try:
        return socket.gethostbyname("good.example")
    except socket.gaierror:
        return "no answer"


app = application(globals())
