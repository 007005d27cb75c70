"""Files and folders that nobody means as data: what systems, storage devices and notebooks leave
behind.
"""

LEFT_BEHIND = {
    "__macosx",
    "@eadir",
    "@recycle",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "__pycache__",
    "thumbs.db",
    "desktop.ini",
}
"""Names in small letters, beside all that begin with a dot."""


def is_hidden_path(path: str) -> bool:
    """Whether a file, or a folder that it lies in, has such a name; "." and ".." are names of
    places.
    """
    return any(is_hidden(name) for name in path.split("/") if name not in (".", ".."))


def is_hidden(name: str) -> bool:
    """Whether a name is one of these, such as `.ipynb_checkpoints`, `@eaDir` or `._1.jpg`."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND
