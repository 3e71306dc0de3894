"""Scores and features of trials, drawn from the same noise in every variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ..artifacts.embed import embed, read_features
from ..artifacts.sample import draw_samples, read_samples
from ..artifacts.score import read_score, score
from ..plugin.contracts import Features, Metric
from ..plugin.values import Score
from ..records import Plain
from ..runs.finished import open_run
from ..runs.requests import scored_protocol, scored_request, scored_split
from ..store.store import Artifact
from .setting import Setting
from .trials import Trial


@dataclass(frozen=True)
class ScoredTrial:
    """A trial with what it drew."""

    trial: Trial
    scores: Mapping[str, Score]
    features: Mapping[str, tuple[Tensor, Tensor]]
    """By metric: of the real images (N, D) and of the samples (M, D), row i of image i."""
    samples: Artifact
    nfe: int
    steps: int
    """How many steps it was trained for."""

    def pictures(self, count: int) -> Tensor:
        """The first samples, uint8 (count, C, H, W)."""
        return read_samples(self.samples, count)


def score_trial(
    trial: Trial,
    noise: int,
    metrics: Mapping[str, tuple[Metric, Features]],
    setting: Setting,
) -> ScoredTrial:
    """Draw the trial's samples from the noise of another seed and score them as its recipe says."""
    session = setting.session
    run = open_run(
        trial.folder, plugins=setting.plugins, store=session.store.root, device=session.device
    )
    recipe, images = replace(run.checked_recipe, seed=noise), run.images()
    request = scored_request(recipe, images)
    request = replace(request, num_steps=setting.num_steps or request.num_steps)
    model = run.artifact("model")
    samples = draw_samples(model, request, session)
    split = scored_split(recipe)
    protocol = {**scored_protocol(request, session.registry, images), "split": split}
    scores, features = {}, {}
    for name, (metric, wanted) in metrics.items():
        real = embed(run.artifact("images"), split, wanted, session)
        fake = embed(samples, "all", wanted, session)
        scores[name] = read_score(score(real, fake, metric, protocol, session))
        features[name] = read_features(real), read_features(fake)
    steps = model.manifest["ingredients"]["steps"]
    return ScoredTrial(trial, scores, features, samples, request.nfe, steps)


def shared_protocol(trials: Sequence[ScoredTrial], metric: str) -> Plain:
    """What the protocols of all trials have in common."""
    first, *others = (trial.scores[metric].protocol for trial in trials)
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}
