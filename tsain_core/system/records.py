"""Dataclasses in files: written as JSON, and read with the type of each field checked.

pydantic reads them. Its errors become one line that names the field.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from typing import Any, ClassVar, Self

from ..errors import printable

_SHOWN = 60  # characters of a value in a message

#: Kind of a pydantic error -> what is required instead.
_REQUIRED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "dataclass_type": "a table",
}


class RecordError(ValueError):
    """One line that names the field that is wrong, what it holds, and what is required."""


class Record:
    """Base of the dataclasses that are kept in files.

    Types are strict: no text for a number, no 1 for true, no NaN. Values are checked by
    `__post_init__` of the class, as for instances that are made in Python. Unknown fields are
    refused.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "strict": True,
        "allow_inf_nan": False,
    }

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        values: dict[str, Any] = asdict(self)  # type: ignore[call-overload]  # is a dataclass
        return values

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Inverse of `to_json`, of values from a JSON or TOML file.

        Raises
        ------
        RecordError
        """
        return cls.from_text(json.dumps(values, default=str))

    @classmethod
    def from_text(cls, text: str | bytes) -> Self:
        """The same from the text of a JSON file.

        Raises
        ------
        RecordError
        """
        from pydantic import ValidationError

        try:
            record: Self = _adapter(cls).validate_json(text)
            return record
        except ValidationError as error:
            raise RecordError(_in_words(error.errors(include_url=False)[0])) from error


def _adapter(kind: Any) -> Any:
    return _built(kind)


@cache
def _built(kind: Any) -> Any:
    from pydantic import TypeAdapter  # takes a tenth of a second

    return TypeAdapter(kind)


def _in_words(problem: Any) -> str:
    """One line on a pydantic error."""
    field = _path(problem["loc"])
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "json_invalid":
        return f"no JSON: {context.get('error', 'it ends too early')}"
    if kind == "missing":
        return f"{field} is missing"
    if kind == "unexpected_keyword_argument":
        where = f"{_path(problem['loc'][:-1])} has the unknown entry"
        return f"{where} {_path(problem['loc'][-1:])!r}".strip()
    if kind in ("value_error", "assertion_error"):
        return f"{field}: {context['error']}" if field else str(context["error"])
    required = _REQUIRED.get(kind) or _expected(kind, context) or problem["msg"]
    shown = repr(problem["input"])
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return f"{field or 'the content'} is {shown}; {required} is required"


def _expected(kind: str, context: dict[str, Any]) -> str:
    if kind == "literal_error":
        return str(context["expected"])
    if kind in ("too_long", "too_short"):
        length = context.get("max_length", context.get("min_length"))
        return f"a list of {length}"
    return ""


def _path(parts: tuple[str | int, ...]) -> str:
    """Name of a field with those that it lies in: inference.tile, volume[0].axes."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return printable(text[:_SHOWN])
