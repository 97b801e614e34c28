"""Single values of nested dicts, by dotted keys such as train.fine_tune.epochs."""

from typing import Any


def flatten(values: dict, prefix: str = "") -> dict[str, Any]:
    """All single values, by dotted key."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        flat |= flatten(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return flat


def find(values: Any, key: str, default: Any = None) -> Any:
    """The value or section with a key; `default` if there is none."""
    for name in key.split("."):
        if not isinstance(values, dict) or name not in values:
            return default
        values = values[name]
    return values


def put(values: dict, key: str, value: Any) -> None:
    """Set the value or section with a key, in new sections where there are none.

    Raises TypeError for a key below a single value.
    """
    *parents, last = key.split(".")
    for name in parents:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise TypeError(f"{key}: {name} is no section")
    values[last] = value
