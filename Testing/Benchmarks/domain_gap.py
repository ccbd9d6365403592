"""How far apart a trained segmenter's features of source and target still are, and whether D1 sees it.

    python Testing/Benchmarks/domain_gap.py --data FOLDER --model MODEL [MODEL ...]

FOLDER and the held-out cases are those of abdomen.py; no label is read. For each model a fresh D1, of the same shape,
is trained on the frozen features of the training cases and judges the held-out ones, slice by slice; the model's own D1
judges the same slices. A figure is the area under the curve of telling target features from source ones, place by
place where there is body: 0.5 is "cannot be told apart". It is given for source slices as they are, and in the style of
the target, which is what the segmenter was trained on. It says how much there is to align, not how much Dice it costs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from abdomen import VALIDATION
from environment import describe
from GlobalLocalAlignmentLib.bundle import Bundle, DomainCard, load_bundle
from GlobalLocalAlignmentLib.devices import resolve_device
from GlobalLocalAlignmentLib.losses import adversarial_loss
from GlobalLocalAlignmentLib.networks import FeatureDiscriminator
from GlobalLocalAlignmentLib.preprocessing import intensity_limits
from GlobalLocalAlignmentLib.slicegrid import SliceGrid
from GlobalLocalAlignmentLib.volumes import read_volume
from scipy.stats import mannwhitneyu
from torch import Tensor

AIR = -0.95
"""Slices in [-1, 1] are darker than this outside the body."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, nargs="+", required=True)
    parser.add_argument("--iterations", type=int, default=400, help="of the fresh D1")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(describe())
    print("| model | source slices | a fresh D1 | the model's own D1 |\n|---|---|---|---|")
    for model in options.model:
        bundle = load_bundle(model).to(resolve_device("auto"))
        for style in ("as they are", "in the style of the target"):
            if style == "as they are" or bundle.synthesis is not None:
                fresh, own = _gap(bundle, style != "as they are", options)
                print(f"| {model} | {style} | {fresh:.3f} | {'' if own is None else f'{own:.3f}'} |", flush=True)


def _gap(bundle: Bundle, translated: bool, options: argparse.Namespace) -> tuple[float, float | None]:
    card = bundle.card
    training, held_out = (
        [
            _features(bundle, _slices(bundle, card.source, options.data, part), translated),
            _features(bundle, _slices(bundle, card.target, options.data, part), False),
        ]
        for part in ("training", "held out")
    )
    fresh = _fresh(training, card.segmentation.feature_discriminator_width, options)
    own = None if bundle.feature_discriminator is None else _told_apart(bundle.feature_discriminator, held_out)
    return _told_apart(fresh, held_out), own


def _slices(bundle: Bundle, domain: DomainCard, data: Path, part: str) -> Tensor:
    """Slices (n, 1, rows, columns) in [-1, 1] of a domain's training or held-out cases."""
    folder, plane, slices = data / domain.modality.lower(), bundle.card.plane, []
    for path in sorted(folder.glob("image_*")):
        number = path.name.removeprefix("image_").partition(".")[0]
        if (number in VALIDATION[folder.name]) == (part == "held out"):
            volume = read_volume(path)
            grid = SliceGrid.for_volume(volume, plane.orientation, plane.spacing, plane.size, plane.center)
            scaled = intensity_limits(volume.array, domain.intensity).scale(grid.from_volume(volume.array))
            slices.append(grid.extract(scaled, "linear", -1.0)[:, None])
    return torch.cat(slices)


@torch.inference_mode()
def _features(bundle: Bundle, slices: Tensor, translated: bool) -> tuple[Tensor, Tensor]:
    """Features (n, C, h, w) of slices, and where there is body (n, h, w)."""
    card, features, body = bundle.card, [], []
    domains = card.synthesis_domains
    device = next(bundle.segmenter.parameters()).device
    for images in slices.to(device).split(16):
        if translated:
            labels = (
                torch.full((len(images),), domains.index(one.modality), device=device)
                for one in (card.source, card.target)
            )
            images = bundle.synthesis(images, *labels).float()
        output = bundle.segmenter(images)
        features.append(output.features.half().cpu())
        body.append(torch.nn.functional.interpolate(images, features[-1].shape[-2:], mode="area")[:, 0].cpu() > AIR)
    return torch.cat(features), torch.cat(body)


def _fresh(domains: list[tuple[Tensor, Tensor]], width: int | None, options: argparse.Namespace) -> torch.nn.Module:
    """D1 trained to give 0 on source features and 1 on target features where there is body."""
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    device = resolve_device("auto")
    network = FeatureDiscriminator(domains[0][0].shape[1], width).to(device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(options.iterations):
        loss = torch.zeros((), device=device)
        for label, (features, body) in enumerate(domains):
            chosen = random.integers(len(features), size=options.batch_size)
            judgement = network(features[chosen].to(device).float())
            loss = loss + adversarial_loss(judgement[:, 0][body[chosen].to(device)], float(label), "least_squares")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


@torch.inference_mode()
def _told_apart(network: torch.nn.Module, domains: list[tuple[Tensor, Tensor]]) -> float:
    """Share of pairs of a target and a source place in which the target one is judged higher."""
    device = next(network.parameters()).device
    source, target = (
        torch.cat([network(part.to(device).float())[:, 0].float().cpu() for part in features.split(16)])[body].numpy()
        for features, body in domains
    )
    return float(mannwhitneyu(target, source).statistic / (len(target) * len(source)))


if __name__ == "__main__":
    main()
