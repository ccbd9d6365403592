# Where Slicer makes the package. It comes last in an extension.

record(packaged "${PROJECT_NAME}" ON)
