"""Ends its enclave again and again: each restart costs the node a start."""
import os

from attack import application

TITLE = "restart bomb"
WALL = "a budget of restarts: an app that fails too often stays down, with a reason"
SECOND = "the plan's CPU quota"


def end():
    os._exit(3)


ROUTES = {"/end": end}
app = application(globals())
