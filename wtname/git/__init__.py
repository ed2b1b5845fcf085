"""The only door to git. What changes a repository is asked for here and nowhere else."""

from wtname.git.process import Running, executable, is_busy, one_line, version
from wtname.git.repository import Repository

__all__ = ["Repository", "Running", "executable", "is_busy", "one_line", "version"]
