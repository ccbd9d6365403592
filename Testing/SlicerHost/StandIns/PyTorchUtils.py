"""Stand-in for the module of the extension PyTorch: asks as it does; what it would run goes to the host's `run_pip`."""

from __future__ import annotations

import importlib
import importlib.metadata
from types import ModuleType

import slicer.util


class PyTorchUtilsLogic:
    """What other extensions use of it."""

    @staticmethod
    def torchInstalled() -> bool:
        """Whether PyTorch is there. The real one imports it to know."""
        try:
            importlib.metadata.version("torch")
        except importlib.metadata.PackageNotFoundError:
            return False
        return True

    def installTorch(
        self,
        askConfirmation: bool = False,
        forceComputationBackend: str | None = None,
        torchVersionRequirement: str | None = None,
        torchvisionVersionRequirement: str | None = None,
    ) -> ModuleType | None:
        """Install PyTorch and return it; None where the user declined."""
        words = [f"torch{torchVersionRequirement or ''}", f"torchvision{torchvisionVersionRequirement or ''}"]
        if forceComputationBackend is not None:
            words.append(f"--pytorch-computation-backend={forceComputationBackend}")
        question = f"PyTorch will be downloaded and installed using light-the-torch (ltt install {' '.join(words)})."
        if askConfirmation and not slicer.app.commandOptions().testingEnabled:
            if not slicer.util.confirmOkCancelDisplay(question):
                return None
        slicer.util.executePythonModule("light_the_torch", ["install", *words])
        return importlib.import_module("torch")
