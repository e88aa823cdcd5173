"""Protocols of the kernel that a web application has no use for, and in which most of its holes were found."""
import os

from attack import application, attempt, syscall

TITLE = "rare protocols (packet, netlink, vsock, AF_ALG, Bluetooth, XDP, TIPC, RDS…)"
WALL = "seccomp: only Unix, IPv4 and IPv6 stream and datagram sockets"
SECOND = "network namespace of the app's own; no capability"
STREAM, DGRAM, RAW, SEQPACKET = 1, 2, 3, 5


def family(number, kind, protocol=0):
    os.close(syscall("socket", number, kind, protocol))


REFUSED = "EAFNOSUPPORT"


@attempt(inside=REFUSED, outside="done")
def packet():
    family(17, RAW, 0x0300)


@attempt(inside=REFUSED, outside="done")
def kernel_events():
    # NETLINK_KOBJECT_UEVENT
    family(16, RAW, 15)


@attempt(inside=REFUSED, outside=("done", "EPROTONOSUPPORT"))
def audit():
    family(16, RAW, 9)


@attempt(inside=REFUSED, outside=("done", "EPROTONOSUPPORT"))
def netfilter():
    family(16, RAW, 12)


@attempt(inside=REFUSED, outside=("done", "EAFNOSUPPORT", "ENODEV"))
def vsock():
    family(40, STREAM)


@attempt(inside=REFUSED, outside=("done", "EAFNOSUPPORT"))
def kernel_crypto():
    family(38, SEQPACKET)


@attempt(inside=REFUSED, outside=("done", "EAFNOSUPPORT"))
def express_data():
    family(44, RAW)


@attempt(inside=REFUSED, outside=("done", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"))
def bluetooth():
    family(31, RAW, 1)


@attempt(inside=REFUSED, outside=("done", "EAFNOSUPPORT", "ESOCKTNOSUPPORT", "EPROTONOSUPPORT"))
def tipc_rds_and_keys():
    for number in (30, 21, 15):
        family(number, 5 if number == 30 else RAW)


app = application(globals())
