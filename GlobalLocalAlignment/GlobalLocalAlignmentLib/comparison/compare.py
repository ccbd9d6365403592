"""Several methods on one direction and one seed, as the demo shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..cohort import check_cohort
from ..config import Domain
from ..evaluation import ClassScore
from ..training.events import Listener
from .methods import OURS
from .scoring import score_method
from .trainings import Trainings


def compare(
    trainings: Trainings,
    test: Domain,
    methods: Sequence[str],
    listeners: list[Listener] | None = None,
    stop_asked: Callable[[], bool] = lambda: False,
) -> dict[str, list[ClassScore]]:
    """Train each method, segment the test cases, score them; finished steps of an earlier call are not done again.

    The run of ``ours`` (of the first method, where ours is not among them) gets the scores and the panels of all
    methods, for its report.

    Args:
        trainings: where and on what.
        test: labelled target cases that no training sees.
        methods: names of ``METHODS``; style transfer is trained once, with the first method that needs it.
        listeners: called with each event.
        stop_asked: asked after each iteration.

    Returns:
        scores by method.
    """
    configuration = trainings.configuration
    cases = check_cohort(test, "test", configuration.labels, configuration.intensity_by_modality).cases
    home = trainings.run(OURS if OURS in methods else methods[0])
    scores = {}
    for method in methods:
        trainings.train(method, listeners, stop_asked)
        scores[method] = score_method(trainings, home, method, cases, test, listeners)
    return scores
