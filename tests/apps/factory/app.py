"""The application is made by a function, or is an attribute of something."""


class Holder:
    def __init__(self, text):
        self.text = text

    def wsgi(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [self.text]


def create_app():
    return Holder(b"from the factory").wsgi


def failing_app():
    raise RuntimeError("the factory failed")


holder = Holder(b"from the attribute")
app = holder.wsgi
