"""The scene side of the extension, shared by both modules. Nothing here imports torch or what else the core needs."""
