"""The scene side of the extension, shared by both modules. Nothing here imports torch or what else the core needs.

Folders from the bottom to the top; each imports from those above it in this list alone, and a test says so:

- ``background``: processes beside Slicer, and work in small steps
- ``models``: a model file and its card
- ``surfaces``: closed surfaces of results
- ``scene``: volumes and results in the scene and in the views
- ``segmenting``, ``training``, ``comparing``: what a section of a panel does, without its widgets where there is much
- ``batch``: folders of volumes
- ``samples``: phantoms for Slicer's Sample Data module, and the demo as a scene
"""
