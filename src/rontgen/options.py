"""Values of the command line's options."""

from rontgen.core.errors import RontgenError


def numbers(text: str) -> list[int]:
    """1, 3 and 4 of "1,3-4"."""
    found: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            found += range(int(first), int(last if dash else first) + 1)
    except ValueError:
        found = []
    if not found:
        raise RontgenError(f"--seeds: expected numbers such as 1-5, 7 or 1,3-4, received {text!r}")
    return list(dict.fromkeys(found))


def pairs(texts: list[str] | None) -> dict[str, str]:
    """{"a": "1"} of ["a=1"]."""
    for text in texts or []:
        if "=" not in text:
            raise RontgenError(f"--set: expected KEY=VALUE, received {text!r}")
    return dict(text.split("=", 1) for text in texts or [])
