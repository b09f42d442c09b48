"""The one exception for bad input: it names the key, the value and the way out."""

from __future__ import annotations


class InputError(ValueError):
    """A value a person gave that cannot be used.

    Args:
        key: the configuration key, file or argument at fault, as the person wrote it.
        value: the offending value.
        problem: what is wrong with it, as a clause ("must lie in (0, 1]").
        remedy: what to do instead, as a sentence without its final stop; empty if the problem says it.
    """

    def __init__(self, key: str, value: object, problem: str, remedy: str = "") -> None:
        self.key, self.value, self.problem, self.remedy = key, value, problem, remedy
        shown = value if isinstance(value, str) else repr(value)
        super().__init__(f"{key}={shown}: {problem}" + (f"; {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, object, str, str]]:
        """Survive the trip back from a worker process."""
        return type(self), (self.key, self.value, self.problem, self.remedy)
