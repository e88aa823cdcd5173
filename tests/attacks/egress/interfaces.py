"""Makes itself another way out: raw packets, other addresses and routes, forged senders."""
import fcntl
import socket
import struct

from attack import application, attempt

TITLE = "packets and interfaces of one's own (raw sockets, ICMP, addresses, routes, forged senders)"
WALL = "seccomp: no raw, packet or netlink sockets, no requests to interfaces"
SECOND = "no capability in the network namespace; the gateway's rules are in another one"


def opened(family, kind, protocol):
    with socket.socket(family, kind, protocol):
        pass


@attempt(inside="EAFNOSUPPORT", outside="done")
def raw():
    opened(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


@attempt(inside="EAFNOSUPPORT", outside=("done", "EACCES"))
def ping():
    opened(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)


@attempt(inside="EAFNOSUPPORT", outside="done")
def routes():
    opened(socket.AF_NETLINK, socket.SOCK_RAW, 0)


@attempt(inside="ENOTTY", outside=("done", "EADDRNOTAVAIL"))
def addresses():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8915, b"lo".ljust(16, b"\0") + bytes(24))


@attempt(inside="ENOTTY", outside="done")
def interface_down():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, b"lo".ljust(16, b"\0") + struct.pack("<H", 0) + bytes(22))


@attempt(inside="ENOPROTOOPT", outside="done")
def any_sender():
    """IP_TRANSPARENT"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, 19, 1)


@attempt(inside="ENOPROTOOPT", outside="done")
def another_device():
    """SO_BINDTODEVICE"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, 25, b"lo\0")


@attempt(inside="ENOPROTOOPT", outside="done")
def another_mark():
    """SO_MARK"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, 36, 1)


app = application(globals())
