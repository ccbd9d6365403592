"""The part of 3D Slicer that its modules need, without Slicer: see README.md in this folder."""

import os
import sys

# both are read once, when Qt and PySide6 are loaded
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# enumerations are integers in PythonQt: QMessageBox.Ok equals what exec_() returns
os.environ.setdefault("PYSIDE6_OPTION_PYTHON_ENUM", "2")
# matplotlib would take the Qt that it finds, and trip over its changed rules
os.environ.setdefault("MPLBACKEND", "agg")
if sys.platform == "linux":
    # without a look for a display first
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
