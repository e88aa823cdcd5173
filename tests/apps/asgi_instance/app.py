"""An ASGI application as frameworks make it, one of ASGI 2, and things that are no application."""


class Application:
    async def __call__(self, scope, receive, send):
        pass


class Double:
    def __init__(self, scope):
        pass

    async def __call__(self, receive, send):
        pass


app = Application()
number = 42


def nothing():
    pass
