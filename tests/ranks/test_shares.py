"""How rows and batches are split over ranks."""

from __future__ import annotations

from itertools import chain

import pytest
from torch import nn

from pipeline.cli.processes import wanted
from pipeline.errors import Failed, InputError
from pipeline.machine import choose_device
from pipeline.ranks import World, enter, lost_touch
from pipeline.training.computation import synchronised


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("count", [0, 1, 7, 21, 64])
def test_shares_are_consecutive_equal_to_one_and_all(size: int, count: int) -> None:
    rows = list(range(count))
    shares = [rows[World(rank, size).share(count)] for rank in range(size)]
    assert list(chain(*shares)) == rows
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("count", [0, 1, 7, 21, 64])
def test_whole_batches_are_dealt_in_turn(size: int, count: int) -> None:
    rows = range(count)
    batches = [list(rows[i : i + 4]) for i in range(0, count, 4)]
    for rank in range(size):
        assert list(World(rank, size).dealt(rows, 4)) == list(chain(*batches[rank::size]))


def test_one_process_is_a_world_without_others() -> None:
    world = World()
    assert world.leads
    assert list(world.in_order(iter("abc"), 3)) == world.gathered("abc") == ["a", "b", "c"]
    assert world.told(lambda: 3) == 3
    assert world.agreed(2, False) == [2, False]
    assert world.leave(0) == 0


def test_a_launchers_place_is_taken_and_what_is_started_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.ranks.world._here", World())
    place = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    environment = {**place, "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    world = enter(environment)
    assert (world.rank, world.size, world.local_rank, world.local_size) == (3, 4, 1, 2)
    assert world.name == "rank 3 of 4"
    assert not environment.keys() & {"RANK", "WORLD_SIZE", "LOCAL_RANK"}


@pytest.mark.parametrize("change", [{"WORLD_SIZE": "1"}, {"RANK": ""}, {"LOCAL_RANK": "x"}])
def test_without_a_whole_place_a_process_is_alone(
    change: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.ranks.world._here", World())
    place = {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert enter({**place, "MASTER_ADDR": "localhost", **change}).size == 1


def test_what_torch_says_of_a_lost_rank_is_known() -> None:
    from torch.distributed import DistNetworkError

    text = "[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer"
    assert lost_touch(RuntimeError(text))
    assert lost_touch(DistNetworkError("broken pipe"))
    assert not lost_touch(RuntimeError("the dog ate it"))
    assert not lost_touch(ValueError(text))


def test_ranks_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "gathered", lambda self, own: [*own, "other"])
    with pytest.raises(Failed, match="weights of step 3 of rank 1 differ from those of rank 0"):
        World(0, 2).check_equal(lambda: "own", "weights of step 3")


def test_batch_norm_is_over_all_ranks_on_gpus_and_a_line_says_that_it_is_not_on_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert synchronised(network, "cpu", World()) is network
    assert not capsys.readouterr().err
    assert synchronised(network, "cpu", World(0, 2)) is network
    assert "normalises with its own share" in capsys.readouterr().err
    changed = synchronised(network, "cuda:0", World(0, 2))
    assert isinstance(changed[1], nn.SyncBatchNorm)
    assert changed.state_dict().keys() == network.state_dict().keys()
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "device", "told"),
    [
        (3, "auto", r"--processes 3: this machine has 2 GPUs"),
        (2, "cuda:1", r"--processes 2 on cuda:1: several work on cuda"),
    ],
)
def test_processes_that_cannot_be_had_are_refused(
    asked: int, device: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = "cuda" if device == "auto" else device
    monkeypatch.setattr("pipeline.cli.processes.choose_device", lambda device: usual)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(InputError, match=told):
        wanted(asked, device)


@pytest.mark.parametrize(("kind", "count"), [("cuda", 2), ("cpu", 1)])
def test_auto_is_a_process_for_each_gpu(
    kind: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.cli.processes.choose_device", lambda device: kind)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert wanted("auto", "auto") == count
    assert wanted(None, "auto") == wanted(1, "auto") == 1


def test_more_ranks_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.machine.here", lambda: World(1, 4, 1, 4))
    monkeypatch.setattr("torch.empty", lambda *_, device: None)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(InputError, match="4 processes on this machine, which has 2 GPUs"):
        choose_device("cuda")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert choose_device("cuda") == "cuda:1"
    with pytest.raises(InputError, match="--device cuda:0: several processes work on cuda"):
        choose_device("cuda:0")
