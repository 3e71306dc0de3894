"""A finished run: what other commands, pages and notebooks take it from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from ..artifacts.session import Session
from ..errors import InputError
from ..format import flat, metric_name
from ..machine import choose_device
from ..plugin.registry import Registry
from ..recipe.build import build_stage
from ..recipe.load import build_recipe, spec_of
from ..recipe.schema import Recipe
from ..records import HistoryRecord, Plain, RunRecord, read_history
from ..report.notebook import live_view, notebook_view
from ..store.checked import Damaged, read_json
from ..store.place import open_store
from ..store.store import Artifact, Store
from .exported import IMAGE_FACTS, adopted, trusted_plugins
from .layout import DIAGNOSIS, RECIPE, RUN, RUNS
from .live import newest_grid
from .resolve import is_run, resolve
from .shipped import shipped_models

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..diffusion.generate import Worse
    from ..diffusion.images import ImageFacts, Images
    from ..diffusion.model import Choice, Model, Weights
    from ..plugin.contracts import Guidance
    from .asked import SampleKeywords, SampleOptions
    from .drawing import Drawn
    from .given import Room


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run, as ``open_run`` gives it; a notebook shows it as samples and scores."""

    folder: Path
    record: RunRecord
    """Its ``run.json``."""
    plugins: tuple[Path, ...] = ()
    """Plugin files to work with."""
    store_path: Path | None = None
    """Where its store is now; None: where the run says."""
    device: str = "auto"

    @property
    def name(self) -> str:
        """The run's name, which names its folder too."""
        return self.record["name"]

    @property
    def title(self) -> str:
        """Its name, and how far it is while it is not finished."""
        far = self.record.get("unfinished")
        return f"{self.name} ({far}, not finished)" if far else self.name

    @property
    def recipe(self) -> Plain:
        """Every value of the recipe, defaults too."""
        return dict(self.record["recipe"])

    @property
    def history(self) -> list[Plain]:
        """A flat record for each validation, oldest first: ``pandas.DataFrame(run.history)``."""
        lines = [record.flat() for record in self.validations]
        return [flat({k: v for k, v in line.items() if k != "protocol"}) for line in lines]

    @property
    def scores(self) -> list[Plain]:
        """A flat record for each metric: value, standard error, and how it was measured."""
        return [{"metric": name, **flat(score)} for name, score in self.record["scores"].items()]

    @property
    def validations(self) -> list[HistoryRecord]:
        """The validations of its training, oldest first."""
        return read_history(self.folder)

    @property
    def drawn_folder(self) -> Path:
        """Where what is drawn of it goes: an exported run stays as it is."""
        if "exported" not in self.record:
            return self.folder
        taken = resolve(RUNS / self.name, RECIPE)
        return RUNS / (f"{self.name}-exported" if taken else self.name)

    @property
    def own_store(self) -> Path:
        """Where its store was when it ran, seen from its folder."""
        return Path(os.path.normpath(self.folder / self.record["store"]))

    @cached_property
    def store(self) -> Store:
        """The store that it points to; of an exported run that of its user.

        InputError where it is not there.
        """
        if "exported" in self.record:
            return open_store(self.store_path)
        path = (self.store_path and self.store_path.expanduser()) or self.own_store
        if not path.is_dir():
            raise InputError(f"{path}: the store of run {self.name} is not there; give --store")
        store = Store(path)
        if self.folder.absolute().parent != store.root.parent / RUNS:  # gc looks there anyway
            store.needs.add(self.folder, [a["key"] for a in self.record["artifacts"].values()])
        return store

    @cached_property
    def session(self) -> Session:
        """The installed stages with its plugins, its store, and a device."""
        return Session(Registry.load(self.plugins), self.store, choose_device(self.device))

    @cached_property
    def checked_recipe(self) -> Recipe:
        """Its recipe with all stages built."""
        with self.naming_plugins():
            return build_recipe(self.session.registry, self.recipe, str(self.folder))

    def stage(self, kind: str, given: str | Plain, option: str) -> Any:
        """A stage from a recipe's mapping, or as the shell gives it: ``ddim`` for ``--sampler``."""
        with self.naming_plugins():
            spec = spec_of(given, option) if isinstance(given, str) else given
            return build_stage(self.session.registry, kind, spec, option)

    def artifact(self, name: str) -> Artifact:
        """One of its artifacts, by the name that ``run.json`` has for it."""
        if "exported" in self.record:
            return adopted(self.folder, self.record, name, self.store)
        where = self.record["artifacts"][name]
        return self.store.open(where["kind"], where["key"])

    # Torch takes seconds to import, and a page or a table of scores needs none of it.

    def images(self) -> Images:
        """Its prepared images, real ones; the dataset need not be there."""
        from ..artifacts.prepare import read_images

        return read_images(self.artifact("images"))

    def image_facts(self) -> ImageFacts:
        """Their number, classes and split, which an exported run has without their pixels too."""
        from ..diffusion.images import ImageFacts

        if "exported" not in self.record or "images" in self.record["artifacts"]:
            return self.images()
        return ImageFacts.of_plain(read_json(self.artifact("model").path / IMAGE_FACTS))

    def samples(self, most: int | None = None) -> Tensor:
        """Its samples, or the first ``most`` of them: uint8 (N, C, H, W)."""
        from ..artifacts.sample import read_samples

        return read_samples(self.artifact("samples"))[:most]

    def model(self, checkpoint: Choice = "best", weights: Weights = "ema") -> Model:
        """Its trained model, on the device."""
        from ..diffusion.model import load_model

        session = self.session
        path = self.artifact("model").path
        with self.naming_plugins():
            return load_model(path, session.registry, session.device, checkpoint, weights)

    def room(self) -> Room:
        """How images of any kind become such as its model takes."""
        from ..diffusion.model import model_facts
        from .given import Room

        stages = [self.stage("preprocessor", s, "preprocess") for s in self.recipe["preprocess"]]
        codec = self.stage("codec", self.recipe["codec"], "codec")
        shape = model_facts(self.artifact("model").path).image_shape
        return Room(shape, stages, self.session.registry, codec)

    def draw(self, options: SampleOptions) -> Drawn:
        """Samples of its model as asked for, kept in the store; the dataset need not be there."""
        from .asked import guidance_scale_of
        from .beginning import beginning_of
        from .drawing import draw

        usual, model = self.recipe["sample"], self.artifact("model")
        sampler = self.stage("sampler", options.sampler or usual["sampler"], "--sampler")
        spacing = self.stage("spacing", options.spacing or usual["spacing"], "--spacing")
        guided = options.guidance or usual.get("guidance", "classifier_free")  # not in older runs
        guidance = self.stage("guidance", guided, "--guidance")
        beginning = None
        if options.image is not None:
            num_steps = options.num_steps or usual["num_steps"]
            schedule = self.stage("schedule", self.recipe["schedule"], "schedule")
            beginning = beginning_of(options, self.room(), num_steps, spacing, schedule)
        scale = guidance_scale_of(options, usual)
        with self.naming_plugins():
            worse = worse_model(guidance, scale, self.session.store.root)
            stages = sampler, spacing, guidance
            return draw(self.recipe, model, stages, worse, options, beginning, self.session)

    def sample(
        self,
        num_images: int | None = None,
        *,
        plugins: Sequence[Path] = (),
        store: Path | None = None,
        device: str | None = None,
        **options: Unpack[SampleKeywords],
    ) -> list[Image]:
        """New pictures of its model; nothing is left beside the run unless ``out`` is given."""
        from ..artifacts.sample import read_samples
        from ..diffusion.grid import to_picture
        from .asked import SampleOptions
        from .drawing import save_images

        run = replace(
            self,
            plugins=tuple(plugins) or self.plugins,
            store_path=store or self.store_path,
            device=device or self.device,
        )
        asked = SampleOptions(num_images=num_images, **options)
        drawn = run.draw(asked)
        if asked.out:
            save_images(drawn, asked.out, run.name)
        return [to_picture(image) for image in read_samples(drawn.samples)[:]]

    @contextmanager
    def naming_plugins(self) -> Iterator[None]:
        """Say with an error which plugin files the run was made with, if one is not given."""
        try:
            yield
        except InputError as error:
            missing = set(self.record["plugins"]) - {str(file.absolute()) for file in self.plugins}
            copies = trusted_plugins(self.folder, self.record, self.plugins)
            if "exported" in self.record and copies:
                files = ", ".join(map(str, copies))
                message = f"was made with plugin files, which are code: read {files}, then give "
                raise InputError(f"{error}\n{self.name} {message}--trust-plugins") from error
            if not missing:
                raise
            again = " ".join(f"--plugin {file}" for file in sorted(missing))
            message = f"{error}\n{self.name} was made with {again}: give it again"
            raise InputError(message) from error

    def __repr__(self) -> str:
        scores = self.record["scores"].items()
        told = ", ".join(f"{metric_name(name)} {score['value']:.4g}" for name, score in scores)
        return f"<run {self.title}{told and f': {told}'}>"

    def _repr_html_(self) -> str:
        if "unfinished" in self.record:
            return live_view(self.name, self.validations, newest_grid(self.folder))
        return notebook_view(self.record, (self.folder / "samples.png").read_bytes())


def finished_run(
    run: str | Path,
    *,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
    trust_plugins: bool = False,
) -> Run:
    """Open a finished run, given by its folder, its name under ``runs/``, or as it was exported.

    ``plugins`` are the plugin files that it was made with; ``trust_plugins`` takes the copies of
    them in its folder, which are code. ``store`` is where its artifacts are now if not where they
    were. InputError where there is no such run or it has not finished.
    """
    path, folder = Path(run).expanduser(), resolve(run, store=store)
    if folder and folder.is_dir():
        record = _record(folder)
        copies = trusted_plugins(folder, record, plugins) if trust_plugins else []
        return Run(folder, record, (*plugins, *copies), store, device)
    if folder:
        raise InputError(f"{path}: is a file; give the folder or the name of a finished run")
    if is_run(path):
        raise InputError(f"{path}: this run has not finished; {_what_to_do(path)}")
    there = ", ".join(sorted(p.parent.name for p in RUNS.glob(f"*/{RUN}"))) or "none"
    models = ", ".join(shipped_models()) or "none"
    raise InputError(
        f"{path}: there is no such run. Finished runs: {there}; models that are shipped: {models}"
    )


def other_model(given: str | Path, store: Path, own: Path | None = None) -> tuple[str, Artifact]:
    """The name and the model of a finished run, given as any RUN.

    ``store`` is where a moved run's model is looked for when the run's own store is not there,
    ``own`` the folder of the run that is to use it. InputError where there is none.
    """
    run = finished_run(given)
    if own and run.folder.resolve() == own.resolve():
        raise InputError(f"{given}: is this very run; give this one another --name")
    if "exported" in run.record or not run.own_store.is_dir():
        run = replace(run, store_path=store)
    if "model" not in run.record["artifacts"]:
        raise InputError(f"{given}: this run has no model")
    return run.name, run.artifact("model")


def worse_model(guidance: Guidance, scale: float, store: Path) -> Worse | None:
    """The model of the run that a guidance names, if any, and if that makes a difference."""
    from ..diffusion.generate import Worse

    given = getattr(guidance, "run", None)
    if given is None or scale == 1:
        return None
    try:
        name, model = other_model(given, store)
    except InputError as error:
        raise InputError(f"guidance: {error}") from error
    return Worse(name, model.path, model.content)


def _record(folder: Path) -> RunRecord:
    """A run's ``run.json``. InputError where it is damaged, which running again mends."""
    try:
        return cast("RunRecord", read_json(folder / RUN))
    except Damaged as error:
        raise InputError(f"{error}; `pipeline run {folder / RECIPE}` writes it anew") from error


def _what_to_do(path: Path) -> str:
    """What to do about an unfinished run."""
    if folder := resolve(path, DIAGNOSIS):
        with suppress(OSError, ValueError, LookupError, TypeError):  # damaged
            [finding] = json.loads((folder / DIAGNOSIS).read_bytes())
            return f"{finding['what']} {finding['do']}"
    return "run its recipe again to go on"
