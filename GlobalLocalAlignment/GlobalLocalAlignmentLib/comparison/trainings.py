"""The trainings of a comparison: what each method is trained on, and what it may take from a run that is finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only

from ..bundle import load_bundle, read_card, save_bundle
from ..config import Configuration, Section, read_configuration
from ..errors import InputError
from ..training.events import Listener
from ..training.run import train
from ..training.runcohorts import SAME_MODALITY
from ..training.runfolder import CONFIGURATION_NAME, MODEL_NAME, SYNTHESIS_NAME
from ..translators import ONE_WAY
from .methods import METHODS, NO_ADAPTATION, Method, changed

NOT_OF_RESULTS = frozenset(
    ("model", "device", "precision", "report_every", "preview_every", "checkpoint_every", "rollbacks")
    + ("images", "labelmaps", "include", "exclude", "eight_bit")
)
"""Settings that may differ between two calls: which model lends the synthesis network depends on what was trained
before, the cases are compared by their names, and the rest changes how a training is watched, not what it gives."""


@dataclass(frozen=True)
class Trainings:
    """Runs of several methods with one seed, from a source to a target.

    Attributes:
        output: folder; the run of a method is ``output/runs/<method>``.
        configuration: settings of ours.
        target_labelmaps: of the target's training cases, for the upper bound alone.
        opposite: the same cases and seed from the target to the source, where they are compared too. A synthesis
            network serves both ways, and the segmenter that one direction trains on its labelled source without any
            adaptation is the supervised one of the other.
        others: further trainings of the same cases that may lend a synthesis network.
        own: settings of single methods over those of all, by their names, section by section.
    """

    output: Path
    configuration: Configuration
    target_labelmaps: list[Path]
    opposite: Trainings | None = None
    others: tuple[Trainings, ...] = ()
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def run(self, method: str) -> Path:
        """Run folder of a method."""
        return self.output / "runs" / method

    def model(self, method: str) -> Path:
        """Model of a method, whether it is there or not."""
        return self.run(method) / MODEL_NAME

    def is_begun(self, name: str) -> bool:
        """Whether an earlier call began the run of a method, which goes on with the settings in its folder."""
        return (self.run(name) / CONFIGURATION_NAME).is_file()

    def train(
        self,
        name: str,
        listeners: list[Listener] | None = None,
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Model of a method, trained from where an earlier call left it, or taken over from a run that equals it.

        Raises:
            InputError: the input cannot be used, or the run was begun with other settings.
            StopRequested: stopped cleanly; the next call goes on.
        """
        method, run = METHODS[name], self.run(name)
        settings = self.settings(method)
        if self.is_begun(name):
            _refuse_other_settings(run, read_configuration(run), settings)
            if self.model(name).is_file():
                return self.model(name)
            return train(run, None, listeners, stop_asked, settings.training.device)
        if self.model(name).is_file():
            _refuse_other_settings(run, _configuration_of(self.model(name), settings), settings)
            return self.model(name)
        if self.takes_over_the_bound(name):
            plain = self.opposite.train(NO_ADAPTATION, listeners, stop_asked)
            return _as_supervised(plain, self.model(name)) if rank_zero_only.rank == 0 else self.model(name)
        return train(run, settings, listeners, stop_asked)

    def settings(self, method: Method) -> Configuration:
        """Configuration of the run of a method."""
        settings = changed(self.configuration, method, self.own.get(method.name))
        own = self.own.get(method.name, {}).get("synthesis", {})
        lent = own.get("model") is not None
        if not lent and (own or settings.synthesis.translator != self.configuration.synthesis.translator):
            # a network that is lent to all rows is no other translator, and no other stage one
            settings = settings.model_copy(update={"synthesis": settings.synthesis.model_copy(update={"model": None})})
        if method.on_target_labels:
            source = settings.target.model_copy(update={"labelmaps": self.target_labelmaps})
            return settings.model_copy(update={"source": source})
        lender = self._lender(settings) if settings.segmentation.style_transfer and not lent else None
        if lender is None:
            return settings
        return settings.model_copy(update={"synthesis": settings.synthesis.model_copy(update={"model": lender})})

    def settings_apart(self, name: str) -> dict[str, tuple[Any, Any]]:
        """What the model of a method was trained with, and what all others are: where these are not the same.

        Returns:
            by ``section.key``; nothing where there is no model.
        """
        if not self.model(name).is_file():
            return {}
        common, card = changed(self.configuration, METHODS[name]), read_card(self.model(name))
        translates = common.segmentation.style_transfer or common.segmentation.method != "ours"
        return {
            f"{section}.{key}": pair
            for section in (("synthesis", "segmentation") if translates else ("segmentation",))
            for key, pair in _differences(getattr(card, section), getattr(common, section)).items()
        }

    def takes_over_the_bound(self, name: str) -> bool:
        """Whether a method is the upper bound, and the plain segmenter of the other direction can stand for it."""
        same = dict(self.own.get(name, {})) == dict(self.own.get(NO_ADAPTATION, {}))
        return METHODS[name].on_target_labels and self.opposite is not None and same

    def _lender(self, settings: Configuration) -> Path | None:
        """A file with the synthesis network that a run with these settings would train once more."""
        models = (
            trainings.run(name) / file
            for trainings in (self, self.opposite, *self.others)
            if trainings
            for name in METHODS
            for file in (MODEL_NAME, SYNTHESIS_NAME)
        )
        return next((model for model in models if model.is_file() and _lends(model, settings)), None)


def _lends(model: Path, settings: Configuration) -> bool:
    """Whether a file has the synthesis network that these settings ask for.

    Its domains must have names of their own, so that a run in the other direction finds its own among them.
    """
    try:
        card = read_card(model)
    except InputError:
        # the run that left it behind makes it anew
        if model.name == SYNTHESIS_NAME:
            return False
        raise
    wanted = settings.synthesis.model_copy(update={"model": None})
    domains = card.synthesis_domains or (SAME_MODALITY,)
    apart = not any(name.endswith(SAME_MODALITY) for name in domains)
    both_ways = apart and wanted.translator not in ONE_WAY
    return both_ways and card.synthesis == wanted and card.plane == settings.plane


def _as_supervised(plain: Path, supervised: Path) -> Path:
    """Write the segmenter of a modality as a model for that same modality."""
    bundle = load_bundle(plain)
    try:
        supervised.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(supervised.parent, f"cannot be made ({error.strerror})", "choose another --output") from error
    save_bundle(
        supervised,
        bundle.card.model_copy(update={"target": bundle.card.source}),
        {"segmenter": bundle.segmenter},
    )
    return supervised


def _configuration_of(model: Path, wanted: Configuration) -> Configuration:
    """What a model that was taken over says of its training; what it does not say is as it is wanted."""
    card = read_card(model)
    domains = {
        role: getattr(wanted, role).model_copy(update={"modality": domain.modality, "intensity": domain.intensity})
        for role, domain in (("source", card.source), ("target", card.target))
    }
    return wanted.model_copy(
        update={
            "labels": card.labels,
            "plane": card.plane,
            "synthesis": card.synthesis,
            "segmentation": card.segmentation,
            **domains,
            "training": wanted.training.model_copy(update={"seed": card.provenance.get("seed", wanted.training.seed)}),
        }
    )


def _refuse_other_settings(run: Path, begun: Configuration, wanted: Configuration) -> None:
    """Raise InputError if a run was begun with settings that give other results; where its data lie may change."""
    for name in ("plane", "synthesis", "segmentation", "training", "source", "target"):
        # no training reads labels of its target
        ignored = NOT_OF_RESULTS | ({"label_mapping"} if name == "target" else set())
        if wanted.training.model_selection == "paper":
            # every preview is a candidate
            ignored -= {"preview_every"}
        for key, values in _differences(getattr(begun, name), getattr(wanted, name), ignored).items():
            _refuse(run, f"{name}.{key}", *values)
    before, now = ({label.value: label.name for label in settings.labels} for settings in (begun, wanted))
    if now and before != now:
        _refuse(run, "labels", before, now)


def _differences(
    before: Section, now: Section, ignored: Set[str] = NOT_OF_RESULTS, within: str = ""
) -> dict[str, tuple[Any, Any]]:
    """Settings of a section that are not the same, by their names, those of sections within it too."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in sorted(type(now).model_fields.keys() - ignored):
        values = getattr(before, key), getattr(now, key)
        if all(isinstance(value, Section) for value in values):
            found |= _differences(*values, ignored, f"{within}{key}.")
        # a run notes what it found where nothing was asked for
        elif values[0] != values[1] and (within or values[1] not in (None, "automatic")):
            found[f"{within}{key}"] = values
    return found


def _refuse(run: Path, what: str, before: object, now: object) -> None:
    raise InputError(
        run,
        f"was begun with {what} {before}, not {now}",
        "choose another output folder, or ask for the same settings",
    )
