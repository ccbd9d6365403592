"""What the core needs and Slicer does not bring: asked for when it is first needed, never at start-up."""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _

TORCH_REQUIREMENT = ">=2.4"
REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
DICOM_REQUIREMENT = "highdicom>=0.27"
"""Slicer brings it itself from 5.13 on."""

EXTENSION = "PyTorch"
DECLINED = "declined"
"""Slicer's word in the error of a user who declined; other errors of the same class are failures."""


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
        """Whether everything is there by now; False where the user declined. PyTorch is not imported if it is there.

        Raises:
            DependencyError: PyTorch's extension is missing, or Slicer has to be started anew for it.
            subprocess.CalledProcessError: an installation failed.
        """
        import slicer.packaging

        return (slicer.packaging.pip_check(f"torch{TORCH_REQUIREMENT}") or self._installTorch()) and (
            self._installOthers()
        )

    def ensureDicomSegmentations(self) -> bool:
        """Whether what writes DICOM segmentations is there by now; False where the user declined.

        Raises:
            subprocess.CalledProcessError: the installation failed.
        """
        return self._install([DICOM_REQUIREMENT])

    def _installTorch(self) -> bool:
        try:
            import PyTorchUtils
        except ImportError:
            return self._installExtension()
        torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
            askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT
        )
        return torch is not None

    def _installExtension(self) -> bool:
        model = slicer.app.extensionsManagerModel() if hasattr(slicer.app, "extensionsManagerModel") else None
        if model is None or slicer.app.testingEnabled():
            raise DependencyError(
                _("The extension {extension} is missing. Install it and start Slicer again.").format(
                    extension=EXTENSION
                )
            )
        # it asks the user, installs, and offers to start Slicer anew
        if not model.installExtensionFromServer(EXTENSION):
            return False
        raise DependencyError(
            _("The extension {extension} is there after the next start of Slicer: start it again, then Apply.").format(
                extension=EXTENSION
            )
        )

    def _installOthers(self) -> bool:
        return self._install(slicer.packaging.load_requirements(str(REQUIREMENTS)))

    def _install(self, requirements: list) -> bool:
        import slicer.packaging

        try:
            slicer.packaging.pip_ensure(requirements, requester=self.requester)
        except RuntimeError as error:
            if DECLINED in str(error):
                return False
            raise
        return True
