import json

import pytest

from pipeline.store.checked import read_json, read_lines, write_json, write_lines

DATA = {
    "step": 6,
    "by_number": {"9": 1, "10": 2},
    "losses": {"loss": [0.1, 3]},
    "record": None,
    "name": "é",
}
LINES = ['{"step": 1}', '{"step": 2}']


def test_json_comes_back_as_it_was_and_is_json(tmp_path):
    path = tmp_path / "best.json"
    write_json(path, DATA)
    assert read_json(path) == DATA
    assert json.loads(path.read_text())["step"] == 6


@pytest.mark.parametrize("lines", [[], LINES])
def test_lines_come_back_as_they_were(tmp_path, lines):
    path = tmp_path / "history.jsonl"
    write_lines(path, lines)
    assert read_lines(path) == lines


@pytest.mark.parametrize("write", [write_json, write_lines])
def test_no_flipped_bit_and_no_cut_is_read_as_something_else(tmp_path, write):
    path = tmp_path / "file"
    given = DATA if write is write_json else LINES
    read = read_json if write is write_json else read_lines
    write(path, given)
    whole = path.read_bytes()
    harmed = [whole[:n] for n in range(len(whole))]
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            harmed.append(bytes(flipped))
    for data in harmed:
        path.write_bytes(data)
        try:
            assert read(path) == given
        except ValueError:
            continue


def test_keys_that_are_numbers_become_texts_before_they_are_digested(tmp_path):
    write_json(tmp_path / "a.json", {"runs": {10: 1, 9: (2, 3)}})
    assert read_json(tmp_path / "a.json") == {"runs": {"10": 1, "9": [2, 3]}}
