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
from ..diffusion.lengths import Lengths
from ..diffusion.model import Checkpointed, Choice, build_network, model_of
from ..errors import Interrupted
from ..plugin.draws import Draws, stream
from ..plugin.registry import Registry
from ..progress import ProgressBar, note, progress
from ..ranks import here
from ..recipe.schema import Recipe
from ..records import HistoryRecord, Plain, StretchRecord
from ..store.weights import digest_of, with_prefix, without_prefix
from . import checkpoint
from .batches import Batches
from .best import Best
from .computation import Computation, synchronised, uncompiled
from .feed import Feed
from .history import History, line_of, say_news
from .init import Init, fitted_state, start
from .losses import LossSums, refuse_diverged
from .memory import naming_memory
from .signals import Stop, stopping_softly
from .stretches import stretches_with
from .validate import (
    Measure,
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
        init: Init | None = None,
    ) -> None:
        """``folder`` holds the checkpoints, ``views`` what this way of validating measured.

        ``init`` is what the first step begins with. Only rank 0 reads all three, and writes.
        """
        self.recipe, self.settings, self.registry = recipe, recipe.train, registry
        self.images, self.batches, self.measures = images, batches, measures
        self.folder, self.views = folder, views
        self.history, self.best = History(views), Best(views, measures)
        self.world, self.saved = here(), time.monotonic()
        self.step, self.seconds, self.stretches = 0, 0.0, list[StretchRecord]()
        self.feed = Feed(images, batches, self.settings.batch_size, device)
        self.losses, self.names_checked = LossSums(), False
        names = tuple(images.class_names) if self.settings.condition else None
        network = build_network(recipe, images.shape, names, device)
        self.network = synchronised(network, device, self.world)
        kept, init = self.world.told(lambda: (checkpoint.latest(folder), init))
        codec_state = without_prefix("codec", kept[0]) if kept else self._begun(init, names)
        self.ema = EmaNetwork(self.network, self.settings.ema.decay, self.settings.ema.warmup)
        snapshots = self.settings.ema.snapshot_every
        self.lengths = Lengths(self.network) if snapshots else None
        self.snapshot_steps = snapshots.in_steps(batches.per_epoch) if snapshots else 0
        self.optimizer = self.settings.optimizer(self.network.parameters())
        self.computation = Computation(self.network, self.settings, device)
        self.new_groups = checkpoint.groups_of(self.optimizer)
        self.full_lrs = [group["lr"] for group in self.optimizer.param_groups]
        if kept:
            self._restore(*kept)
        compiled, ranks = self.settings.compile, self.world.size
        self.stretches = stretches_with(self.stretches, self.step, device, compiled, ranks)
        shape = images.image_shape
        self.model = model_of(recipe, self.ema.average, codec_state, shape, device, names)

    def run(self, total: int, watch: Watch) -> dict[Choice, Checkpointed]:
        """Train up to ``total`` steps; the best and the last weights with their records."""
        every = self.settings.validate.every.in_steps(self.batches.per_epoch)
        checkpoints = self.settings.checkpoint_every
        self.history.keep_only(self.step, every, total)
        if self.step:
            note(f"training goes on from step {self.step}")
        with stopping_softly() as stop, progress("training", total, self.step) as bar:
            self._validate_if_due(total, every, watch, stop)  # stopped before it had been
            while self.step < total:
                self._timed_step(bar)
                due = self.step == total or self.step % every == 0
                wish = self.world.leads and checkpoint.is_due(checkpoints, self.step, self.saved)
                signum, wished = self.world.agreed(stop.signum or 0, wish)
                if due or signum or wished:
                    self._save()
                if signum:
                    stopped = f"stopped at step {self.step}, saved"
                    raise Interrupted(signum, f"{stopped}; the same command goes on there")
                self._validate_if_due(total, every, watch, stop)
        records = self.history.records  # rank 0 has some
        return self.best.choices((self._weights(), records[-1].flat())) if records else {}

    # A step --------------------------------------------------------------------------------------

    def _timed_step(self, bar: ProgressBar) -> None:
        started = time.monotonic()
        with naming_memory(self.settings, self.step, self.model.device):
            self.one_step()
            bar.step(text=self._text)  # which waits for the device where it is shown
        self.seconds += time.monotonic() - started

    def one_step(self) -> None:
        """Batches, their losses, a change of the weights and of their average."""
        seed = stream(self.recipe.seed, "train_network", step=self.step).integers(2**63)
        torch.manual_seed((int(seed) + self.world.rank) % 2**63)  # dropout's
        self.network.train()
        self.optimizer.zero_grad()
        with self.computation.step():
            losses = self._gradients()
        self._descend()
        self.step += 1
        self.ema.update(self.step)
        if self.lengths:
            self.lengths.update(self.step)
            if self.step % self.snapshot_steps == 0 and self.world.leads:
                self.lengths.save(self.folder, self.step)
        self.losses.add(losses)

    def _gradients(self) -> dict[str, Tensor]:
        """Make the gradients of a step, batch by batch. Returns its mean losses.

        A rank's share counts by its rows: the mean over the ranks is then that over all rows.
        """
        accumulate, means = self.settings.accumulate, dict[str, Tensor]()
        parts = self.feed.of_step(self.step)
        for number, (rows, indices, images) in enumerate(parts, start=1):
            share = self.settings.images_per_step / len(rows)  # 1 / what of the step this is
            with self.computation.batch(last=number == accumulate):
                losses = self._losses(rows, indices, images)
                self.computation.backward(losses["loss"] / (share / self.world.size))
            for name, value in losses.items():
                mean = value.detach() / share
                means[name] = means[name] + mean if name in means else mean
        return self.world.summed(means)

    def _losses(self, rows: range, indices: Indices, images: Tensor) -> Mapping[str, Tensor]:
        """The losses of a batch, whose images are these ``rows`` of the step."""
        whole = rows.start - rows.start % self.settings.batch_size
        batch = range(whole, whole + self.settings.batch_size)
        draws = Draws(self.recipe.seed, "train", rows, self.step, batch)
        images = self._augmented(images, draws)
        label = self.model.labels_of(self.images, indices)
        if label is not None and self.settings.drops:
            label = dropped(label, self.settings.drops, draws)
        x0 = self.model.encode(images)
        network, schedule = self.computation.network, self.recipe.schedule
        losses = self.recipe.objective.loss(network, x0, label, schedule, draws)
        if not self.names_checked:
            names_of(losses, self.measures).flat()  # names that clash are told now, not in an hour
            self.names_checked = True
        return losses

    def _augmented(self, images: Tensor, draws: Draws) -> Tensor:
        started = time.monotonic()
        for augment in self.recipe.augment:
            images = augment(images, draws)
        self.feed.waited += time.monotonic() - started
        return images

    def _descend(self) -> None:
        """Change the weights by their gradients."""
        factor = self.settings.lr_schedule(self.step)
        for group, full in zip(self.optimizer.param_groups, self.full_lrs, strict=True):
            group["lr"] = full * factor
        self.computation.change(self.optimizer)

    def _text(self) -> str:
        loss = self.losses.means(self.step).get("loss", math.nan)
        return f"loss {loss:.4f} · {self._speed():.0f} images/s"

    def _speed(self) -> float:
        return self.step * self.settings.images_per_step / self.seconds if self.seconds else 0.0

    # Validation ----------------------------------------------------------------------------------

    def _validate_if_due(self, total: int, every: int, watch: Watch, stop: Stop) -> None:
        """At regular steps and at the end, unless it has been done."""
        regular = self.step > 0 and self.step % every == 0
        if not regular and self.step != total:
            return
        if not self.world.told(lambda: self.history.has(self.step)):
            stop.at_once = True  # the step is saved
            self._validate(watch, regular)
            stop.at_once = False
        if regular:
            self.losses = LossSums()  # also where the checkpoint was saved before its validation

    def _validate(self, watch: Watch, regular: bool) -> None:
        """One line of history and one grid; the best weights so far are kept."""
        record = self._measured()
        save_samples_grid(self.model, self.recipe, self.history.grid(self.step), self.world)
        if not self.world.leads:
            return
        for name, value in record.flat().items():
            if isinstance(value, float) and not math.isfinite(value):
                raise Diverged(f"{name} is {value}", self.step)
        # Another end of the same training would not have validated at an irregular step.
        if regular and self.best.beaten_by(record):
            self.best.keep((self._weights(), record.flat()))
        self.history.append(record)
        note(line_of(record))
        say_news(self.history.records, self.settings.ema)
        watch(self.views)

    def _measured(self) -> HistoryRecord:
        """What this step's weights and their average come to."""
        model, recipe, images, world = self.model, self.recipe, self.images, self.world
        with uncompiled():
            raw = validation_losses(model.of(self.network.eval()), recipe, images, world)
        return HistoryRecord(
            step=self.step,
            epoch=self.step / self.batches.per_epoch,
            seconds=self.seconds,
            data_seconds=self.feed.waited,
            images_per_second=self._speed(),
            train=self._sound_means(),
            highest_loss=self.losses.highest,
            validation=validation_losses(model, recipe, images, world),
            scores=validation_scores(
                model, recipe, self.registry, images, self.measures, self.views, world
            ),
            raw=raw,
            loss_of_zeros=self._loss_of_zeros,
        )

    @cached_property
    def _loss_of_zeros(self) -> float:
        return loss_of_zeros(self.model, self.recipe, self.images, self.world)

    # Checkpoints ---------------------------------------------------------------------------------

    def _begun(self, init: Init | None, names: Sequence[str] | None) -> Mapping[str, Tensor]:
        """Give the network the weights of ``init``, if any. Returns the codec's state."""
        if init:
            return start(init, self.recipe, self.network, self.images.shape, names)
        return self.world.told(lambda: fitted_state(self.recipe.codec, self.images))

    def _restore(self, tensors: Mapping[str, Tensor], state: Plain) -> None:
        """Go on from a checkpoint."""
        self.network.load_state_dict(without_prefix("raw", tensors))
        self.ema.average.load_state_dict(without_prefix("ema", tensors))
        saved = without_prefix("optimizer", tensors)
        checkpoint.restore_optimizer(self.optimizer, saved, state["optimizer"])
        if self.lengths:
            self.lengths.restore(without_prefix("lengths", tensors))
        self.step, self.losses = state["step"], LossSums(**state["losses"])
        self.seconds, self.feed.waited = state["seconds"], state["waited"]
        self.stretches = state.get("stretches", [])
        self.computation.restore(state)

    def _weights(self) -> dict[str, Tensor]:
        return {
            **with_prefix("ema", self.ema.average.state_dict()),
            **with_prefix("raw", self.network.state_dict()),
        }

    def _sound_means(self) -> dict[str, float]:
        """The means of all losses; Diverged, on rank 0, where they or weights are not finite."""
        if not self.world.leads:
            return {}
        means = self.losses.means(self.step)
        refuse_diverged(self._weights(), self.step)
        return means

    def _save(self) -> None:
        self._sound_means()
        self.world.check_equal(lambda: digest_of(self._weights()), f"weights of step {self.step}")
        if self.world.leads:
            self._write_checkpoint()
        self.world.agreed(0)  # nobody goes before it is written

    def _write_checkpoint(self) -> None:
        optimizer, plain = checkpoint.saved_optimizer(self.optimizer, self.new_groups)
        codec = with_prefix("codec", self.model.codec_state)
        lengths = with_prefix("lengths", self.lengths.state() if self.lengths else {})
        tensors = {**self._weights(), **with_prefix("optimizer", optimizer), **codec, **lengths}
        sums = self.losses.state()
        state: Plain = {"losses": sums, "optimizer": plain, "stretches": self.stretches}
        state |= {"seconds": self.seconds, "waited": self.feed.waited, **self.computation.state()}
        checkpoint.save(self.folder, self.step, tensors, state)
        self.saved = time.monotonic()
