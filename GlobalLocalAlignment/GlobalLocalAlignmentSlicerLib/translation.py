"""The translator of Slicer; none where these files are used without Slicer, by their tests and by the demo."""

from __future__ import annotations

import sys

if "slicer" in sys.modules:
    try:
        # the very function: it looks from which file it is called
        from slicer.i18n import tr
    except ImportError:
        # the core of Slicer as a wheel has none
        def tr(text: str) -> str:
            """The text as it is."""
            return text
else:

    def tr(text: str) -> str:
        """The text as it is."""
        return text
