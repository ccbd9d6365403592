"""Stand-in for slicer.i18n: there are no translations here, so each text comes back as it is."""

from __future__ import annotations

from SlicerHost.pythonqt import require_main_thread


def _text(text: str) -> str:
    # Slicer asks its application for the translation, which lives on the main thread
    require_main_thread("slicer.i18n")
    # an f-string or a number would be lost on the translators, and Slicer fails only in another language
    if not isinstance(text, str):
        raise TypeError(f"a text to translate must be a string, not {text!r}")
    return text


def translate(context: str, text: str) -> str:
    """The text in the user's language, looked up in a context."""
    _text(context)
    return _text(text)


def tr(text: str) -> str:
    """The text in the user's language, looked up in the context of the calling file."""
    return _text(text)
