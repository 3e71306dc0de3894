"""The training loop: steps, validation, checkpoints. What a step draws depends on seed and step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ..diagnosis.finding import Diverged
from ..diffusion.ema import EmaNetwork
from ..diffusion.images import Images, Indices
from ..diffusion.labels import dropped
from ..diffusion.model import Checkpointed, Choice, Model, build_network
from ..errors import Failed
from ..plugin.draws import Draws, stream
from ..plugin.registry import Registry
from ..progress import note, progress
from ..recipe.schema import Recipe
from ..records import HistoryRecord, Plain, StretchRecord
from ..store.weights import read_state, read_weights, with_prefix, without_prefix, write_weights
from . import checkpoint
from .batches import Batches, in_batches
from .history import History, say_news
from .losses import LossSums
from .signals import Stop, stopping_softly
from .stretches import stretches_with
from .validate import (
    Measure,
    is_better,
    loss_of_zeros,
    names_of,
    save_samples_grid,
    validation_losses,
    validation_scores,
)

Watch = Callable[[Path], None]
"""Called with the folder of ``history.jsonl`` and ``grids/`` when there is something new."""


class Training:
    """The loop and its state. What a step draws depends only on the seed and the step."""

    def __init__(
        self,
        recipe: Recipe,
        images: Images,
        batches: Batches,
        measures: Sequence[Measure],
        registry: Registry,
        device: str,
        folder: Path,
        views: Path,
    ) -> None:
        """``folder`` holds the checkpoints, ``views`` what this way of validating measured."""
        self.recipe, self.settings, self.registry = recipe, recipe.train, registry
        self.images, self.batches, self.measures = images, batches, measures
        self.folder, self.views, self.history = folder, views, History(views)
        self.step, self.seconds, self.waited, self.saved = 0, 0.0, 0.0, time.monotonic()
        self.losses, self.names_checked = LossSums(), False
        names = tuple(images.class_names) if self.settings.condition else None
        self.network = build_network(recipe, images.shape, names, device)
        self.ema = EmaNetwork(self.network, self.settings.ema.decay, self.settings.ema.warmup)
        self.optimizer = self.settings.optimizer(self.network.parameters())
        self.new_groups = checkpoint.groups_of(self.optimizer)
        self.full_lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.stretches: list[StretchRecord] = []
        codec_state = self._restore_or_fit_codec()
        self.stretches = stretches_with(self.stretches, self.step, device)
        self.model = Model(
            network=self.ema.average,
            schedule=recipe.schedule,
            objective=recipe.objective,
            codec=recipe.codec,
            codec_state={name: value.to(device) for name, value in codec_state.items()},
            shape=images.shape,
            device=device,
            class_names=names,
        )

    def run(self, total: int, watch: Watch) -> dict[Choice, Checkpointed]:
        """Train up to ``total`` steps; the best and the last weights with their records."""
        every = self.settings.validate.every.in_steps(self.batches.per_epoch)
        self.history.keep_only(self.step, every, total)
        if self.step:
            note(f"training goes on from step {self.step}")
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
        return self._choices(self.history.records[-1])

    # A step --------------------------------------------------------------------------------------

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
        images = self._batch(indices, draws)
        label = self.model.labels_of(self.images, indices)
        if label is not None and self.settings.drops:
            label = dropped(label, self.settings.drops, draws)
        self.network.train()
        x0 = self.model.encode(images)
        losses = self.recipe.objective.loss(self.network, x0, label, self.recipe.schedule, draws)
        if not self.names_checked:
            names_of(losses, self.measures).flat()  # names that clash are told now, not in an hour
            self.names_checked = True
        self._descend(losses["loss"])
        self.step += 1
        self.ema.update(self.step)
        self.losses.add(losses)

    def _batch(self, indices: Indices, draws: Draws) -> Tensor:
        """The step's images, augmented: uint8 (N, C, H, W)."""
        started = time.monotonic()
        images = self.images.batch(indices)
        for augment in self.recipe.augment:
            images = augment(images, draws)
        self.waited += time.monotonic() - started
        return images

    def _descend(self, loss: Tensor) -> None:
        factor = self.settings.lr_schedule(self.step)
        for group, full in zip(self.optimizer.param_groups, self.full_lrs, strict=True):
            group["lr"] = full * factor
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.clip_gradients is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_gradients)
        self.optimizer.step()

    def _text(self) -> str:
        loss = self.losses.means(self.step).get("loss", math.nan)
        return f"loss {loss:.4f} · {self._speed():.0f} images/s"

    def _speed(self) -> float:
        return self.step * self.settings.batch_size / self.seconds if self.seconds else 0.0

    # Validation ----------------------------------------------------------------------------------

    def _validate_if_due(self, total: int, every: int, watch: Watch, stop: Stop) -> None:
        """At regular steps and at the end, unless it has been done."""
        regular = self.step > 0 and self.step % every == 0
        if not regular and self.step != total:
            return
        if not self.history.has(self.step):
            stop.at_once = True  # the step is saved
            self._validate(watch, regular)
            stop.at_once = False
        if regular:
            self.losses = LossSums()  # also where the checkpoint was saved before its validation

    def _validate(self, watch: Watch, regular: bool) -> None:
        """One line of history and one grid; the best weights so far are kept."""
        record = self._measured()
        save_samples_grid(self.model, self.recipe, self.history.grid(self.step))
        for name, value in record.flat().items():
            if isinstance(value, float) and not math.isfinite(value):
                raise Diverged(f"{name} is {value}", self.step)
        # Another end of the same training would not have validated at an irregular step.
        if regular and is_better(record, self._best_record(), self.measures):
            write_weights(self.views / "best", self._weights(), {"record": record.flat()})
        self.history.append(record)
        note(_line(record))
        say_news(self.history.records, self.settings.ema)
        watch(self.views)

    def _measured(self) -> HistoryRecord:
        """What this step's weights and their average come to."""
        means = self.losses.means(self.step)
        self._refuse_diverged()
        return HistoryRecord(
            step=self.step,
            epoch=self.step / self.batches.per_epoch,
            seconds=self.seconds,
            data_seconds=self.waited,
            images_per_second=self._speed(),
            train=means,
            highest_loss=self.losses.highest,
            validation=validation_losses(self.model, self.recipe, self.images),
            scores=validation_scores(
                self.model, self.recipe, self.registry, self.images, self.measures
            ),
            raw=validation_losses(self.model.of(self.network.eval()), self.recipe, self.images),
            loss_of_zeros=self._loss_of_zeros,
        )

    @cached_property
    def _loss_of_zeros(self) -> float:
        return loss_of_zeros(self.model, self.recipe, self.images)

    def _best_record(self) -> HistoryRecord | None:
        """The record of the best weights that were kept, without reading the weights."""
        best = self.views / "best"
        if not best.with_suffix(".json").exists():
            return None
        return HistoryRecord.of(read_state(best)["record"])

    def _choices(self, last: HistoryRecord) -> dict[Choice, Checkpointed]:
        now: Checkpointed = (self._weights(), last.flat())
        if is_better(last, self._best_record(), self.measures):
            return {"best": now, "last": now}
        tensors, state = read_weights(self.views / "best")
        return {"best": (tensors, state["record"]), "last": now}

    # Checkpoints ---------------------------------------------------------------------------------

    def _restore_or_fit_codec(self) -> Mapping[str, Tensor]:
        """Go on from the last checkpoint, if there is one. Returns the codec's state."""
        kept = checkpoint.latest(self.folder)
        if kept is None:
            indices = self.images.indices("train")
            return self.recipe.codec.fit(in_batches(self.images, indices, 512))
        tensors, state = kept
        self.network.load_state_dict(without_prefix("raw", tensors))
        self.ema.average.load_state_dict(without_prefix("ema", tensors))
        saved = without_prefix("optimizer", tensors)
        checkpoint.restore_optimizer(self.optimizer, saved, state["optimizer"])
        self.step, self.losses = state["step"], LossSums(**state["losses"])
        self.seconds, self.waited = state["seconds"], state["waited"]
        self.stretches = state.get("stretches", [])
        return without_prefix("codec", tensors)

    def _weights(self) -> dict[str, Tensor]:
        return {
            **with_prefix("ema", self.ema.average.state_dict()),
            **with_prefix("raw", self.network.state_dict()),
        }

    def _save(self) -> None:
        self.losses.means(self.step)  # refuses to save what has become NaN
        self._refuse_diverged()
        optimizer, plain = self._optimizer_state()
        codec = with_prefix("codec", self.model.codec_state)
        tensors = {**self._weights(), **with_prefix("optimizer", optimizer), **codec}
        sums = self.losses.state()
        state = {"losses": sums, "optimizer": plain, "stretches": self.stretches}
        times = {"seconds": self.seconds, "waited": self.waited}
        checkpoint.save(self.folder, self.step, tensors, {**state, **times})
        self.saved = time.monotonic()

    def _optimizer_state(self) -> tuple[dict[str, Tensor], Plain]:
        try:
            return checkpoint.optimizer_state(self.optimizer, self.new_groups)
        except ValueError as error:
            name = type(self.optimizer).__name__
            raise Failed(
                f"the state of {name} cannot be saved, so it cannot go on: {error}"
            ) from None

    def _checkpoint_due(self) -> bool:
        every = self.settings.checkpoint_every
        if every.unit == "step":
            return self.step % every.amount == 0
        seconds = every.amount * {"minute": 60, "second": 1}[every.unit]
        return time.monotonic() - self.saved > seconds

    def _refuse_diverged(self) -> None:
        """Raises Diverged for weights that are not finite: the loss tells only a step later.

        Their averages and all buffers are looked at too: a checkpoint of them would never go on.
        """
        for name, tensor in self._weights().items():
            if not tensor.isfinite().all():
                raise Diverged(f"{name.partition('.')[2]} is no longer finite", self.step)


def _line(record: HistoryRecord) -> str:
    """A validation in one line."""
    parts = [f"step {record.step} (epoch {record.epoch:.2f})"]
    for name in ("noise_loss", "image_loss"):
        both = [record.train.get(name), record.validation.get(name)]
        if any(value is not None for value in both):
            shown = " / ".join("-" if value is None else f"{value:.4f}" for value in both)
            parts.append(f"{name.replace('_', ' ')} {shown} (train / validation)")
    parts += [f"{name} {score['value']:.4f}" for name, score in record.scores.items()]
    return " · ".join(parts)
