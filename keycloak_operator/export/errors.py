"""Why nothing can be exported: what was given on the command line does not lead to a realm."""


class ExportError(Exception):
    """The message says what was found, what was expected, and what to do."""
