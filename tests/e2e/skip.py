"""Raised by a test that cannot run here, with the reason."""


class Skip(Exception):
    pass
