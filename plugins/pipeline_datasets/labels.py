"""The classes of photos in a folder: by sub-folder, by file name, or from a table."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline import InputError

SHOWN = 5
"""Files that an error names; the others are counted."""


def some(names: Iterable[object]) -> str:
    """The first of these names, and how many more there are."""
    texts = [str(name) for name in names]
    more = f", … ({len(texts)} in all)" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more


def by_folder(root: Path, paths: Sequence[Path]) -> list[str | None]:
    """The first folder of each path; None for all where there is none. A mix is an InputError."""
    folders = [path.parts[0] if len(path.parts) > 1 else None for path in paths]
    loose = [path for path, folder in zip(paths, folders, strict=True) if folder is None]
    if loose and len(loose) < len(paths):
        raise InputError(
            f"{root}: has both class folders and {len(loose)} files beside them "
            f"({some(loose)}); move these into a class folder or elsewhere"
        )
    return folders


def by_prefix(root: Path, paths: Sequence[Path]) -> list[str | None]:
    """What stands before the number of each file's name: ``rose`` of ``rose_017.jpg``."""
    found = [re.fullmatch(r"(.*?[^\W_])[\s._-]*\(?\d+\)?", path.stem) for path in paths]
    if unnumbered := [path for path, match in zip(paths, found, strict=True) if not match]:
        raise InputError(
            f"{root}: labels: prefix needs file names like rose_017.jpg, a class and a number, and "
            f"these are not: {some(unnumbered)}; rename them, or take labels: folders or a table"
        )
    return [match[1] if match else None for match in found]


def by_table(root: Path, paths: Sequence[Path], table: Path) -> list[str | None]:
    """The column ``label`` of a CSV file with the columns ``file``, below ``root``, and ``label``.

    An empty label is none. InputError for a table that does not name each photo once.
    """
    file = root / table
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise InputError(f"{file}: its first line should name the columns file and label")
            pairs = [(Path(row["file"] or ""), (row["label"] or "").strip()) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{file}: {reason}; dataset.labels names a CSV file below root") from error
    labels = dict(pairs)
    if len(labels) < len(pairs):
        counts = Counter(path for path, _ in pairs)
        twice = [path for path, count in counts.items() if count > 1]
        raise InputError(f"{file}: names files twice: {some(twice)}")
    if missing := [path for path in paths if path not in labels]:
        raise InputError(f"{file}: has no line for {some(missing)}")
    if gone := sorted(labels.keys() - set(paths)):
        raise InputError(f"{file}: names files that are not photos below {root}: {some(gone)}")
    return [labels[path] or None for path in paths]
