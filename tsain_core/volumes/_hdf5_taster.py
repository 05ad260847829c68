"""Reads what an HDF5 file says of itself, in a process of its own: damage can crash the library.

Run as a script, it takes a JSON list [path, dataset or null] a line, and answers each with a line,
after one that says that it is ready.
It imports as little as can be, to start fast.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

import h5py


def taste(path: str, dataset: str | None) -> None:
    """Read all of a dataset but its values: attributes, chunks. Without one, what there is."""
    with h5py.File(path, "r") as file:
        if dataset is None:
            file.visititems(_look_at)
        else:
            _look_into(file[dataset])


def _look_at(_: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
        with suppress(Exception):
            str(item.dtype), item.shape  # noqa: B018  # read for the effect


def _look_into(item: Any) -> None:
    owner, name = item, item.name or "/"
    while True:
        _read_attributes(owner)
        if name == "/":
            break
        name = name.rpartition("/")[0] or "/"
        owner = item.file[name]
    with suppress(Exception):
        for reference in item.attrs["DIMENSION_LIST"]:
            _read_attributes(item.file[reference[0]])
    settings = item.id.get_create_plist()
    for i in range(settings.get_nfilters()):
        settings.get_filter(i)
    item.id.get_storage_size(), item.external, item.fillvalue  # noqa: B018
    if item.is_virtual:
        item.virtual_sources()
    elif item.chunks is not None:
        item.id.get_num_chunks()
        item.id.chunk_iter(lambda _: None)


def _read_attributes(owner: Any) -> None:
    for key in owner.attrs:
        with suppress(Exception):
            owner.attrs[key]


def main() -> None:
    """Answer until there is no more to read."""
    with suppress(ImportError, ValueError, OSError):  # a crash leaves no core file behind
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("ready", flush=True)
    for line in sys.stdin:
        with suppress(Exception):  # what is wrong is said by the reader itself
            taste(*json.loads(line))
        print("done", flush=True)


if __name__ == "__main__":
    main()
