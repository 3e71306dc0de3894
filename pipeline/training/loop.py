"""The training loop: steps, validation, checkpoints. What a step draws depends on seed and step."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..diagnosis.finding import Diverged
from ..diffusion.ema import EmaNetwork
from ..diffusion.images import Images
from ..diffusion.labels import dropped
from ..diffusion.model import Choice, Model, build_network
from ..plugin.draws import Draws, stream
from ..plugin.every import Every
from ..plugin.registry import Registry
from ..progress import note, progress
from ..recipe.schema import Recipe
from ..records import read_history
from ..store import weights
from ..store.weights import named, part
from . import checkpoint
from .batches import Batches, in_batches
from .history import say_news
from .signals import Stop, stopping_softly
from .validate import Measure, is_better, loss_of_zeros, losses, save_pictures, validate

Watch = Callable[[Path], None]
"""Called with the folder of ``history.jsonl`` and ``grids/`` when there is something new."""

State = tuple[dict[str, Tensor], dict[str, Any]]


class Training:
    """The loop and its state. What a step draws depends only on the seed and the step."""

    def __init__(
        self,
        recipe: Recipe,
        registry: Registry,
        images: Images,
        batches: Batches,
        measures: Sequence[Measure],
        device: str,
        folder: Path,
        views: Path,
    ) -> None:
        self.recipe, self.settings, self.registry = recipe, recipe.train, registry
        self.images, self.batches, self.measures = images, batches, measures
        self.folder, self.views = folder, views
        names = tuple(images.class_names) if self.settings.condition else None
        self.network = build_network(recipe, images.shape, names, device)
        self.ema = EmaNetwork(self.network, self.settings.ema.decay, self.settings.ema.warmup)
        self.optimizer = self.settings.optimizer(self.network.parameters())
        self.full_lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.step, self.seconds, self.waited, self.saved = 0, 0.0, 0.0, time.monotonic()
        self.sums: dict[str, Any] = {}
        """Of each loss since the last regular validation, over ``sums["steps"]`` steps, and the
        ``highest`` loss of a step."""
        kept = checkpoint.latest(folder)
        if kept:
            self._restore(*kept)
        state = without_prefix("codec", kept[0]) if kept else self._fit_codec()
        self.model = Model(
            network=self.ema.average,
            schedule=recipe.schedule,
            objective=recipe.objective,
            codec=recipe.codec,
            codec_state={name: value.to(device) for name, value in state.items()},
            shape=images.shape,
            device=device,
            class_names=names,
        )

    def run(self, total: int, watch: Watch) -> dict[Choice, State]:
        """Up to ``total`` steps; the best and the last weights with their records."""
        (self.views / "grids").mkdir(parents=True, exist_ok=True)
        every = _in_steps(self.settings.validate.every, self.batches.per_epoch)
        self._forget_others(every, total)
        if self.step:
            note(f"training goes on from step {self.step}")
            if self.step >= every and not self.history():
                note("it was validated in another way until here: best is the best from now on")
        with stopping_softly() as stop, progress("training", total, self.step) as bar:
            self._validate_if_due(total, every, watch, stop)  # stopped before it had been
            while self.step < total:
                self._timed_step()
                bar.step(text=self._text)
                due = self.step == total or self.step % every == 0
                if due or stop.signum or self._checkpoint_due():
                    self._save()
                stop.check(f"stopped at step {self.step}, saved; the same command goes on there")
                self._validate_if_due(total, every, watch, stop)
        return self._choices(self.history()[-1])

    def history(self) -> list[dict[str, Any]]:
        """The validation records, oldest first."""
        path = self.views / "history.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _timed_step(self) -> None:
        started = time.monotonic()
        self.one_step()
        self.seconds += time.monotonic() - started

    def one_step(self) -> None:
        """A batch, a loss, a change of the weights and of their average."""
        seed = stream(self.recipe.seed, "train_network", step=self.step).integers(2**63)
        torch.manual_seed(int(seed))  # dropout's
        indices = self.batches[self.step]
        draws = Draws(self.recipe.seed, "train", range(len(indices)), self.step)
        started = time.monotonic()
        images = self.images.batch(indices)
        for augment in self.recipe.augment:
            images = augment(images, draws)
        self.waited += time.monotonic() - started
        label = self.model.labels_of(self.images, indices)
        if label is not None and self.settings.drops:
            label = dropped(label, self.settings.drops, draws)
        self.network.train()
        x0 = self.model.encode(images)
        found = self.recipe.objective.loss(self.network, x0, label, self.recipe.schedule, draws)
        self._descend(found["loss"])
        self.step += 1
        self.ema.update(self.step)
        for name, value in {**found, "steps": torch.ones(())}.items():
            # Stays on the device: to read it here would make a GPU wait in every step.
            self.sums[name] = self.sums.get(name, 0.0) + value.detach()
        highest = self.sums.get("highest", -math.inf)
        self.sums["highest"] = found["loss"].detach().clamp(min=highest)

    def _descend(self, loss: Tensor) -> None:
        factor = self.settings.lr_schedule(self.step)
        for group, full in zip(self.optimizer.param_groups, self.full_lrs, strict=True):
            group["lr"] = full * factor
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.clip_gradients is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_gradients)
        self.optimizer.step()

    def _validate_if_due(self, total: int, every: int, watch: Watch, stop: Stop) -> None:
        """At regular steps and at the end, unless it has been done."""
        regular = self.step > 0 and self.step % every == 0
        if not regular and self.step != total:
            return
        if all(record["step"] != self.step for record in self.history()):
            stop.at_once = True  # the step is saved
            self._validate(watch, regular)
            stop.at_once = False
        if regular:
            self.sums = {}  # also where the checkpoint was saved before its validation

    def _validate(self, watch: Watch, regular: bool) -> None:
        """One line of history and one grid; the best weights so far are kept."""
        means = self._means()
        self._refuse_diverged()
        record = {
            "step": self.step,
            "epoch": self.step / self.batches.per_epoch,
            **{f"train_{name}": value for name, value in means.items()},
            "seconds": self.seconds,
            "data_seconds": self.waited,
            "images_per_second": self._speed(),
            **validate(self.model, self.recipe, self.registry, self.images, self.measures),
            **self._raw_losses(),
            "loss_of_zeros": self._loss_of_zeros,
        }
        save_pictures(self.model, self.recipe, self._grid(self.step))
        for name, found in record.items():
            if isinstance(found, float) and not math.isfinite(found):
                raise Diverged(f"{name} is {found}", self.step)
        best = _record_of(self.views / "best")
        # Another end of the same training would not have validated at an irregular step.
        if regular and is_better(record, best, self.measures):
            write_weights(self.views / "best", self._weights(), {"record": record})
        with (self.views / "history.jsonl").open("a") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")
        note(_line(record))
        say_news(read_history(self.views), self.settings.ema)
        watch(self.views)

    def _raw_losses(self) -> dict[str, float]:
        """Of the weights as they are, on the images, times and noise of their average's losses."""
        model = self.model.of(self.network.eval())
        found = losses(model, self.recipe, self.images)
        return {f"validation_raw_{name}": value for name, value in found.items()}

    @cached_property
    def _loss_of_zeros(self) -> float:
        return loss_of_zeros(self.model, self.recipe, self.images)

    def _choices(self, last: dict[str, Any]) -> dict[Choice, State]:
        now: State = (self._weights(), last)
        if is_better(last, _record_of(self.views / "best"), self.measures):
            return {"best": now, "last": now}
        tensors, state = read_weights(self.views / "best")
        return {"best": (tensors, state["record"]), "last": now}

    def _weights(self) -> dict[str, Tensor]:
        return {
            **with_prefix("ema", self.ema.average.state_dict()),
            **with_prefix("raw", self.network.state_dict()),
        }

    def _save(self) -> None:
        self._means()  # refuses to save what has become NaN
        self._refuse_diverged()
        optimizer = checkpoint.optimizer_tensors(self.optimizer)
        codec = with_prefix("codec", self.model.codec_state)
        tensors = {**self._weights(), **with_prefix("optimizer", optimizer), **codec}
        sums = {name: float(value) for name, value in self.sums.items()}
        state = {"sums": sums, "seconds": self.seconds, "waited": self.waited}
        checkpoint.save(self.folder, self.step, tensors, state)
        self.saved = time.monotonic()

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.network.load_state_dict(without_prefix("raw", tensors))
        self.ema.average.load_state_dict(without_prefix("ema", tensors))
        checkpoint.restore_optimizer(self.optimizer, without_prefix("optimizer", tensors))
        self.step, self.sums = state["step"], state["sums"]
        self.seconds, self.waited = state["seconds"], state["waited"]

    def _fit_codec(self) -> dict[str, Tensor]:
        indices = self.images.indices("train")
        return dict(self.recipe.codec.fit(in_batches(self.images, indices, 512)))

    def _forget_others(self, every: int, total: int) -> None:
        """Records that a training straight to ``total`` would not have.

        A kill may leave one later than the checkpoint, a shorter training that of its end.
        """
        kept: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for record in self.history():
            step = record["step"]
            usual = step <= self.step and (step % every == 0 or step == total)
            (kept if usual else others).append(record)
        for record in others:
            self._grid(record["step"]).unlink(missing_ok=True)
        (self.views / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in kept))

    def _grid(self, step: int) -> Path:
        return self.views / f"grids/step-{step:08d}.png"

    def _checkpoint_due(self) -> bool:
        every = self.settings.checkpoint_every
        if every.unit == "step":
            return self.step % every.amount == 0
        seconds = every.amount * {"minute": 60, "second": 1}[every.unit]
        return time.monotonic() - self.saved > seconds

    def _means(self) -> dict[str, float]:
        """Of the losses since the last regular validation. Raises Diverged if one is not finite."""
        sums = {name: float(value) for name, value in self.sums.items()}
        count, highest = sums.pop("steps", 0.0), sums.pop("highest", 0.0)
        if not all(math.isfinite(value) for value in sums.values()):
            raise Diverged(f"the loss became {sums['loss']}", self.step)
        if not count:
            return {}
        return {**{name: value / count for name, value in sums.items()}, "highest_loss": highest}

    def _refuse_diverged(self) -> None:
        """Raises Diverged for weights that are not finite: the loss tells only a step later."""
        for name, tensor in self.network.state_dict().items():
            if not tensor.isfinite().all():
                raise Diverged(f"{name} is no longer finite", self.step)

    def _speed(self) -> float:
        return self.step * self.settings.batch_size / self.seconds if self.seconds else 0.0

    def _text(self) -> str:
        loss = self._means().get("loss", math.nan)
        return f"loss {loss:.4f} · {self._speed():.0f} images/s"


def _in_steps(every: Every, per_epoch: int) -> int:
    return every.amount * (per_epoch if every.unit == "epoch" else 1)


def _record_of(path: Path) -> dict[str, Any] | None:
    """The record of a kept checkpoint, without its weights."""
    about = path.with_name(path.name + ".json")
    return json.loads(about.read_text())["record"] if about.exists() else None


def _line(record: dict[str, Any]) -> str:
    """A validation in one line."""
    parts = [f"step {record['step']} (epoch {record['epoch']:.2f})"]
    for name in ("noise_loss", "image_loss"):
        both = [record.get(f"{half}_{name}") for half in ("train", "validation")]
        if any(value is not None for value in both):
            shown = " / ".join("-" if value is None else f"{value:.4f}" for value in both)
            parts.append(f"{name.replace('_', ' ')} {shown} (train / validation)")
    parts += [f"{name} {record[name]:.4f}" for name in record.get("protocol", {})]
    return " · ".join(parts)
