import json
import os
import stat

import pytest
import torch
from safetensors.torch import load_file, save

from pipeline.store.checked import Damaged
from pipeline.store.weights import (
    digest_of,
    read_state,
    read_weights,
    remove_weights,
    write_weights,
)
from tests.helpers.power import watched

DTYPES = [
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn),
    *(torch.uint16, torch.uint32, torch.uint64, torch.float8_e5m2, torch.complex64),
]


def weights(value):
    return {"w": torch.full((3, 2), float(value)), "n": torch.tensor(value)}


def test_the_file_is_what_the_library_writes(tmp_path):
    tensors = {f"{i % 3}.ü{i}": torch.arange(6).to(d) for i, d in enumerate(DTYPES)}
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.empty(0, 3), "aa": torch.ones(2, 3, 4)}
    write_weights(tmp_path / "best", tensors, {"step": 3})
    assert (tmp_path / "best.safetensors").read_bytes() == save(tensors)
    read, state = read_weights(tmp_path / "best")
    assert state == read_state(tmp_path / "best") == {"step": 3}
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


def test_tensors_of_any_layout_and_shared_ones_are_written(tmp_path):
    images = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    tensors = {"a": images, "b": images, "c": torch.randn(4, 3).T.requires_grad_()}
    write_weights(tmp_path / "best", tensors, {})
    read = load_file(tmp_path / "best.safetensors")
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("mask", [0o002, 0o077])
def test_files_have_the_mode_that_umask_gives(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_weights(tmp_path / "best", weights(1), {})
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~mask}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pair_is_replaced_as_one(tmp_path):
    """Power is lost at any moment of two replacements: the pair is one of those promised."""
    root = tmp_path / "disk"
    root.mkdir()
    write_weights(root / "best", weights(1), {"step": 1})
    with watched(root) as disk:
        for step in (2, 3):
            write_weights(root / "best", weights(step), {"step": step})
            disk.promise(step)
    assert len(list(root.iterdir())) == 2
    for after, promised in disk.after_every_cut(tmp_path / "after"):
        tensors, state = read_weights(after / "best")
        assert int(tensors["n"]) == state["step"]
        assert state["step"] >= (promised or 1)


def test_a_pair_is_removed_as_one(tmp_path):
    root = tmp_path / "disk"
    root.mkdir()
    for step in (1, 2):
        write_weights(root / "best", weights(step), {"step": step})
    with watched(root) as disk:
        remove_weights(root / "best")
    assert list(root.iterdir()) == []
    for after, _ in disk.after_every_cut(tmp_path / "after"):
        if (after / "best.json").exists() and list(after.glob("*.safetensors")):
            assert read_state(after / "best") == {"step": 2}


def test_no_flipped_bit_is_read(tmp_path):
    path = tmp_path / "best"
    write_weights(path, weights(1), {"step": 6})
    for suffix in (".json", ".safetensors"):
        file = path.with_name("best" + suffix)
        whole = file.read_bytes()
        for place in range(0, len(whole), 3):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << place % 8
            file.write_bytes(flipped)
            try:
                tensors, state = read_weights(path)
            except ValueError:
                continue
            assert (int(tensors["n"]), state) == (1, {"step": 6})  # only blanks were harmed
        file.write_bytes(whole)


def test_a_pair_of_an_older_version_is_read_and_of_a_newer_one_told(tmp_path):
    path = tmp_path / "best"
    write_weights(path, weights(1), {"step": 6})
    state = json.loads((tmp_path / "best.json").read_text())
    (tmp_path / "best.json").write_text(json.dumps({"sha256": state["sha256"], "step": 6}))
    assert read_weights(path)[1] == {"step": 6}
    (tmp_path / "best.json").write_text(json.dumps({**state, "format": 3}))
    with pytest.raises(Damaged):
        read_weights(path)


def test_a_renamed_pair_is_read_and_half_of_one_is_damaged(tmp_path):
    write_weights(tmp_path / "best", weights(3), {"step": 3})
    for suffix in (".json", ".safetensors"):
        (tmp_path / f"best{suffix}").rename(tmp_path / f"mine{suffix}")
    tensors, state = read_weights(tmp_path / "mine")
    assert state == {"step": 3}
    assert tensors["n"] == 3
    (tmp_path / "mine.safetensors").unlink()
    with pytest.raises(Damaged, match=r"mine\.safetensors is damaged: it is not there"):
        read_weights(tmp_path / "mine")


def test_the_digest_is_of_names_types_shapes_and_values_alone():
    digest = digest_of(weights(3))
    assert digest == digest_of(dict(reversed(weights(3).items())))
    assert digest == digest_of({"w": torch.full((2, 3), 3.0).T, "n": torch.tensor(3)})
    n = torch.tensor(3)
    others = [
        *(weights(4), {"v": weights(3)["w"], "n": n}, {"n": n}),
        {"w": torch.full((2, 3), 3.0), "n": n},
        {"w": weights(3)["w"].view(torch.int32), "n": n},
    ]
    assert len({digest, *map(digest_of, others)}) == 6
