"""Scores and features of trials, drawn from the same noise in every variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ..artifacts.anchors import Scale, anchors
from ..artifacts.embed import embed, read_features
from ..artifacts.prepare import read_images
from ..artifacts.sample import draw_samples, read_samples
from ..artifacts.score import read_score, score
from ..diffusion.generate import SampleRequest
from ..plugin.rows import Rows
from ..plugin.values import Score
from ..recipe.schema import Recipe
from ..records import AnchorRecord, Plain
from ..runs.finished import Run, finished_run
from ..runs.other import with_worse
from ..runs.requests import scored_protocol, scored_request, scored_split
from ..store.store import Artifact
from .setting import Setting
from .subjects import Subject
from .trials import Trial


@dataclass(frozen=True)
class ScoredTrial:
    """A trial with what it drew."""

    trial: Trial
    scores: Mapping[str, Score]
    features: Mapping[str, tuple[Rows, Rows]]
    """By metric: of the real images (N, D) and of the samples (M, D), row i of image i."""
    samples: Artifact
    nfe: int
    steps: int
    """How many steps it was trained for."""
    model: str
    """The key of its model: trials that share it were trained once."""
    seconds: float
    """How long it was trained, without validations."""

    def pictures(self, count: int) -> Tensor:
        """The first samples, uint8 (count, C, H, W)."""
        return read_samples(self.samples)[:count]


def score_trial(trial: Trial, noise: int, subject: Subject, setting: Setting) -> ScoredTrial:
    """Draw the trial's samples from the noise of another seed and score them as its variant says.

    They are drawn of the model that its run has: nothing is trained.
    """
    session, run = setting.session, _run_of(trial, setting)
    recipe, images = replace(subject.variant.loaded.recipe, seed=noise), subject.images
    request = _request(recipe, subject, setting)
    model = run.artifact("model")
    samples = draw_samples(model, request, session)
    split = scored_split(recipe)
    protocol = {**scored_protocol(request, session.registry, read_images(images)), "split": split}
    scores, features = {}, {}
    for name, (metric, wanted) in subject.metrics.items():
        real = embed(images, split, wanted, session)
        fake = embed(samples, "all", wanted, session)
        scores[name] = read_score(score(real, fake, metric, protocol, session))
        features[name] = read_features(real), read_features(fake)
    last = run.validations[-1] if run.validations else None
    # An exported model does not say from what it was made.
    steps = model.manifest["ingredients"].get("steps", last.step if last else 0)
    seconds = last.seconds if last else 0.0
    return ScoredTrial(trial, scores, features, samples, request.nfe, steps, model.key, seconds)


def trial_anchors(trial: Trial, subject: Subject, setting: Setting) -> dict[str, AnchorRecord]:
    """Between what the scores of all variants lie; the untrained network is this trial's."""
    recipe, run = subject.variant.loaded.recipe, _run_of(trial, setting)
    scale = Scale(
        recipe=recipe,
        images=subject.images,
        model=run.artifact("model"),
        request=_request(recipe, subject, setting),
        split=scored_split(recipe),
    )
    return anchors(scale, subject.metrics, setting.session)


def _run_of(trial: Trial, setting: Setting) -> Run:
    session = setting.session
    store, device = session.store.root, session.device
    return finished_run(trial.folder, plugins=setting.plugins, store=store, device=device)


def _request(recipe: Recipe, subject: Subject, setting: Setting) -> SampleRequest:
    request = scored_request(recipe, read_images(subject.images))
    num_steps = setting.num_steps or request.num_steps
    request = replace(request, num_steps=num_steps, num_images=subject.num_images)
    return with_worse(request, setting.session.store.root)


def shared_protocol(trials: Sequence[ScoredTrial], metric: str) -> Plain:
    """What the protocols of all trials have in common."""
    first, *others = (trial.scores[metric].protocol for trial in trials)
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}
