"""Phantoms in Slicer's module Sample Data: made on this computer, kept in Slicer's cache, loaded as one folder.

The same phantoms as those of ``gla demo``, so nothing is downloaded and nothing needs to be installed. Sample Data
calls ``loadPhantoms`` where a user clicks; what goes wrong is in its log, as with its own sources.
"""

from __future__ import annotations

import hashlib
import html
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..background.backgroundprocess import CORE_FOLDER
from ..translation import tr as _
from .phantommaker import CANCELLED, PhantomMaker

CATEGORY = "GlobalLocalAlignment"
CACHE_PREFIX = "GlobalLocalAlignment-phantoms-"
ICONS = CORE_FOLDER / "Resources" / "Icons"
MADE_BY = (
    "phantom.py",
    "phantoms/*.py",
    "knownstructures.py",
    "formats/segmentationfile.py",
    "formats/volumewriters.py",
)
"""Files of the core that say what the phantoms are: others in the cache are of another version."""


@dataclass(frozen=True)
class PhantomSet:
    """One button of Sample Data.

    Attributes:
        title: on the button and of the folder in the scene; as Slicer's own names of sample data it is not translated.
        volume: name of each volume, before its number.
        labels: what is added to it for the ground truth.
    """

    title: str
    volume: str
    labels: str = ""

    def nodeName(self, number: int, file: str) -> str:
        """Name of the node of a file; numbers begin at 1."""
        name = f"{self.volume} {number}"
        return f"{name} {self.labels}" if isSegmentation(file) else name


SETS = {
    "source": PhantomSet("MR phantoms with labels", "MR phantom", "labels"),
    "target": PhantomSet("CT phantoms", "CT phantom"),
    "test": PhantomSet("CT phantoms with ground truth", "CT test phantom", "ground truth"),
}
"""By the cohort of the demo."""

_loading: list[str] = []
"""Title of what is being loaded: a click that comes meanwhile is answered and not served."""


def registerPhantoms() -> bool:
    """Offer the phantoms in Sample Data; may be called any number of times.

    Returns:
        whether Sample Data is there; Slicer may have been built or started without it.
    """
    try:
        from SampleData import SampleDataLogic
    except ImportError:
        logging.info("Sample Data is not there: no phantoms in it")
        return False
    from GlobalLocalAlignmentLib.phantoms.phantomcohorts import COHORTS, files_of

    if hasattr(SampleDataLogic, "registerCustomSampleDataCategory"):
        SampleDataLogic.registerCustomSampleDataCategory(CATEGORY, title=_("Global-Local Alignment"))
    folder = cacheFolder()
    for name, offered in SETS.items():
        files = [(number, file) for number, both in enumerate(files_of(COHORTS[name]), start=1) for file in both.names]
        SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=offered.title,
            # for scripts that ask Sample Data for the files, which find them here once they were made
            uris=[(folder / file).as_uri() for _number, file in files],
            fileNames=[f"{folder.name}/{file}" for _number, file in files],
            nodeNames=[offered.nodeName(number, file) for number, file in files],
            loadFileTypes=[fileType(file) for _number, file in files],
            thumbnailFileName=str(ICONS / f"GlobalLocalAlignmentPhantoms{name.capitalize()}.png"),
            customDownloader=loadPhantoms,
        )
    return True


def loadPhantoms(source: Any) -> list[Any]:
    """Bring a set of phantoms into the scene, beside whatever is there; they are made where they are not in the cache.

    Slicer's event loop runs meanwhile, and the making can be cancelled. What goes wrong is one line in the log of
    Sample Data.

    Args:
        source: the SampleDataSource.

    Returns:
        the nodes, volumes and segmentations in the order of the patients; none where it was cancelled or failed.
    """
    if _loading:
        _say(_("{title} are being loaded: wait for them.").format(title=_loading[0]), logging.WARNING)
        return []
    name = next(name for name, offered in SETS.items() if offered.title == source.sampleName)
    _loading.append(source.sampleName)
    try:
        return _load(name, cacheFolder())
    finally:
        _loading.clear()


def cacheFolder() -> Path:
    """Where the phantoms of this version are kept: in Slicer's cache, which its settings show and clear."""
    import slicer

    paths = sorted(path for pattern in MADE_BY for path in (CORE_FOLDER / "GlobalLocalAlignmentLib").glob(pattern))
    version = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:8]
    return Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()) / f"{CACHE_PREFIX}{version}"


def isSegmentation(file: str) -> bool:
    """Whether a file of the phantoms is a segmentation, by its name."""
    return file.endswith(".seg.nrrd")


def fileType(file: str) -> str:
    """What Slicer calls the type of a file of the phantoms."""
    return "SegmentationFile" if isSegmentation(file) else "VolumeFile"


def _load(name: str, folder: Path) -> list[Any]:
    from GlobalLocalAlignmentLib.phantoms.phantomcohorts import COHORTS, files_of

    offered, cohort = SETS[name], COHORTS[name]
    patients = files_of(cohort)
    missing = [file for files in patients for file in files.names if not (folder / file).is_file()]
    if missing:
        _say(_("Making {title} on this computer ...").format(title=offered.title))
        problem = PhantomMaker(folder, name, cohort.count).make(offered.title)
        if problem == CANCELLED:
            _say(_("{title}: cancelled.").format(title=offered.title))
            return []
        if problem:
            _say(_("{title} were not made: {problem}").format(title=offered.title, problem=problem), logging.ERROR)
            return []
    return _bringIn(offered, folder, patients)


def _bringIn(offered: PhantomSet, folder: Path, patients: list[Any]) -> list[Any]:
    """Load the files of all patients into a folder of their own, with time for Slicer's window between them."""
    import qt
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), hierarchy.GenerateUniqueItemName(offered.title))
    nodes, volumes = [], []
    for number, files in enumerate(patients, start=1):
        volume = None
        for file in files.names:
            node = _loadFile(folder / file, offered.nodeName(number, file))
            slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)
            if node is None:
                continue
            nodes.append(node)
            hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), item)
            if isSegmentation(file):
                _belongsTo(node, volume)
            else:
                volume = node
                volumes.append(node)
    if not nodes:
        hierarchy.RemoveItem(item)
    if volumes:
        slicer.util.setSliceViewerLayers(background=volumes[0], fit=True)
    return nodes


def _loadFile(path: Path, name: str) -> Any | None:
    """The node of a file; one that is damaged is removed, so that the next click makes it again."""
    # not shown: each would come into the slice views, and the last one would stay there
    node = _logic().loadNode(str(path), name, fileType(path.name), {"show": False})
    if node is None:
        path.unlink(missing_ok=True)
        text = _("{file} in Slicer's cache was damaged and is removed: click again to make it anew.")
        _say(text.format(file=path.name), logging.ERROR)
    return node


def _belongsTo(segmentationNode: Any, volumeNode: Any | None) -> None:
    """Say whose ground truth it is. All patients lie in the same place, so it is hidden and, when shown, an outline."""
    if volumeNode is not None:
        segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    segmentationNode.CreateDefaultDisplayNodes()
    segmentationNode.GetDisplayNode().SetVisibility(False)
    segmentationNode.GetDisplayNode().SetVisibility2DFill(False)


def _widget() -> Any | None:
    """The panel of Sample Data, None where nobody has opened it."""
    import slicer

    return getattr(slicer.modules, "SampleDataWidget", None)


def _logic() -> Any:
    """Sample Data's own logic, which logs into its panel where that is there."""
    from SampleData import SampleDataLogic

    widget = _widget()
    return widget.logic if widget is not None else SampleDataLogic()


def _say(text: str, level: int = logging.INFO) -> None:
    """One line in the log of Sample Data; its panel takes it as HTML."""
    _logic().logMessage(html.escape(text) if _widget() is not None else text, level)
