"""The lines of a file that another process is writing."""

from __future__ import annotations

from pathlib import Path

CHUNK_BYTES = 1 << 16
LONGEST_BYTES = 1 << 20
"""A line that goes on for longer is none of ours: what there is of it is a line, so that memory does not grow."""

CHUNKS_A_READ = 64
"""What is read at one time, 4 MiB, so that whoever asks gets an answer soon."""


class LineTail:
    """Reads a growing file line by line, a bounded amount at a time.

    Half a line is kept until its end is written. A file that is not there yet, or that cannot be read at the moment,
    has no lines.

    Args:
        path: UTF-8 text; bytes that are none are shown as replacement characters.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place, self._rest = 0, b""

    def read(self, most: int, atEnd: bool = False) -> list[str]:
        """The next lines that are not blank.

        Args:
            most: no more than so many; the others come with the next call.
            atEnd: nothing more will be written, so that a last line without an end is a line too.
        """
        lines: list[str] = []
        chunks = 0
        while len(lines) < most:
            line, separator, rest = self._rest.partition(b"\n")
            if separator:
                self._rest = rest
            else:
                if chunks == CHUNKS_A_READ:
                    break
                chunks += 1
                chunk = self._chunk()
                self._rest += chunk
                if chunk and (len(self._rest) < LONGEST_BYTES or b"\n" in chunk):
                    continue
                if not self._rest or not (atEnd or chunk):
                    break
                line, self._rest = self._rest, b""
            text = line.decode("utf-8", errors="replace").rstrip("\r")
            if text.strip():
                lines.append(text)
        return lines

    def _chunk(self) -> bytes:
        try:
            with open(self.path, "rb") as stream:
                stream.seek(self._place)
                chunk = stream.read(CHUNK_BYTES)
        except OSError:
            return b""
        self._place += len(chunk)
        return chunk
