"""What can go wrong in words for people; cli turns these into one line on stderr and an exit code."""


class WtnameError(Exception):
    """One line: what failed; what to do next. Exit code 1 unless told otherwise."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class GitError(WtnameError):
    """Git refused; carries git's own exit code and its words. `killed`: it could not even say why."""

    killed = False


class ModelError(WtnameError):
    """The model is missing, damaged or not one of ours."""
