"""The errors of mitds. Each says what happened, where, and what to do about it.

MitdsError
├── UsageError             exit 2   the command, the configuration or the list is wrong
│   └── UnknownName        exit 2   no such backend, profile, weight or option
├── EnvironmentFault       exit 3   this machine lacks something
│   ├── MissingDependency  exit 3   a package is not installed or cannot load
│   ├── MissingWeights     exit 3   no mirror yielded the right bytes
│   └── StorageFault       exit 3   disk full, read-only or vanished output
└── InputFault             exit 1   one input is bad; the others go on
├── SourceUnreachable  exit 1   a link is dead, refused or timed out
├── NotVideo           exit 1   the bytes hold no picture track that can be decoded
├── Undecodable        exit 1   a picture track is there but decoding breaks
└── BadShard           exit 1   a shard is torn, hostile or of another kind
"""

from __future__ import annotations

from typing import ClassVar, Self


class MitdsError(Exception):
    """Base of all errors a user may see.

    Args:
        what: What happened, as a sentence without a final stop.
        where: File, URL, row or option it happened at; empty where `what` says it.
        remedy: What to do next, as an imperative sentence.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        text = f"{self.what} ({self.where})" if self.where else self.what
        return f"{text}. {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way back from a worker process with all three fields."""
        return (_rebuild, (type(self), self.what, self.where, self.remedy))

    def at(self, where: str) -> Self:
        """Return the same error, located: callers add the place that only they know."""
        return type(self)(self.what, where=where, remedy=self.remedy)


def _rebuild(cls: type[MitdsError], what: str, where: str, remedy: str) -> MitdsError:
    return cls(what, where=where, remedy=remedy)


class UsageError(MitdsError):
    """The command, the configuration or the list is wrong."""

    code = "usage"
    exit_code = 2


class UnknownName(UsageError):
    """No such backend, profile, weight or option."""

    code = "unknown_name"


class EnvironmentFault(MitdsError):
    """This machine lacks something the command needs."""

    code = "environment"
    exit_code = 3


class MissingDependency(EnvironmentFault):
    """A package is not installed, or is installed and cannot load."""

    code = "missing_dependency"


class MissingWeights(EnvironmentFault):
    """No mirror of a weight yielded the right bytes."""

    code = "missing_weights"


class StorageFault(EnvironmentFault):
    """The output cannot be written: full, read-only or gone."""

    code = "storage"


class InputFault(MitdsError):
    """One input is bad; the others go on."""

    code = "bad_input"


class SourceUnreachable(InputFault):
    """A link is dead, refused or timed out."""

    code = "unreachable"


class NotVideo(InputFault):
    """The bytes hold no picture track that can be decoded."""

    code = "not_video"


class Undecodable(InputFault):
    """A picture track is there, but decoding breaks."""

    code = "undecodable"


class BadShard(InputFault):
    """A shard is torn, hostile or of another kind than asked for."""

    code = "bad_shard"
