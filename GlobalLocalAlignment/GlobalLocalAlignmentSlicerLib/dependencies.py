"""What the core needs and Slicer does not bring: asked for when it is first needed, never at start-up."""

from __future__ import annotations

import importlib.util
from pathlib import Path

TORCH_REQUIREMENT = ">=2.4"
REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"


class DependencyError(Exception):
    """Something is missing that cannot be installed from here, in one line that says what to do."""


class Dependencies:
    """Installs PyTorch through its extension, and the rest through Slicer's own way, with the user's consent.

    Args:
        requester: name of the module, for the question to the user.
    """

    def __init__(self, requester: str) -> None:
        self.requester = requester

    def ensure(self) -> bool:
        """Whether everything is there by now; False where the user declined.

        Raises:
            DependencyError: PyTorch's extension is missing.
        """
        if importlib.util.find_spec("torch") is None and not self._installTorch():
            return False
        return self._installOthers()

    def _installTorch(self) -> bool:
        try:
            import PyTorchUtils
        except ImportError as error:
            raise DependencyError(
                "The extension PyTorch is not installed. Install it in the Extensions Manager, restart Slicer and"
                " press Apply again."
            ) from error
        return (
            PyTorchUtils.PyTorchUtilsLogic().installTorch(
                askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT
            )
            is not None
        )

    def _installOthers(self) -> bool:
        import slicer.packaging

        requirements = slicer.packaging.load_requirements(str(REQUIREMENTS))
        try:
            slicer.packaging.pip_ensure(requirements, requester=self.requester)
        except RuntimeError:
            # Slicer's word for a user who declined; a failed installation is another error
            return False
        return True
