"""Values that files and metadata should not hold, drawn by hypothesis."""

from __future__ import annotations

import copy
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: `TSAIN_EXAMPLES=2000 pytest -m properties` looks longer than the short run of every day.
EXAMPLES = int(os.environ.get("TSAIN_EXAMPLES", "40"))
PATIENT = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

_NUMBERS = st.sampled_from([0, 1, -1, 2**31, 2**63, 10**30, 1e308, float("nan"), float("inf")])
_WORDS = st.sampled_from(
    ["", "0", "-1", "1/0", "nan", "../../x", "/etc/passwd", "a" * 300, "\x1b[2J"]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | _NUMBERS
    | _WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def damaged(draw: Any, whole: Any) -> Any:
    """A JSON value with some of what is in it replaced, dropped, or added to."""
    value = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        holder, key = draw(st.sampled_from(places)) if places else (None, None)
        what = draw(st.sampled_from(["replace", "replace", "replace", "drop", "add"]))
        if holder is None:
            return draw(JSON)
        if what == "replace":
            holder[key] = draw(JSON)
        elif what == "drop":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(st.text(max_size=5))] = draw(JSON)
        else:
            holder.append(draw(JSON))
    return value


def _places(value: Any) -> Any:
    """(holder, key) of everything in a JSON value."""
    keys = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(keys):
        yield value, key
        if isinstance(item, (dict, list)):
            yield from _places(item)
