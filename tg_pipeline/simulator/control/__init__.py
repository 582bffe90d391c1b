"""The control port: a plain HTTP/JSON server on 127.0.0.1 through which a world is watched and changed."""
