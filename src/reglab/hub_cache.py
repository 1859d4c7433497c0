"""Models and data sets of the Hugging Face hub on this machine: in a folder or in the cache, without network."""

from pathlib import Path


def is_local_path(path: str) -> bool:
    """Return whether a text is a path on this machine (``/...``, ``./...``, ``~/...``), and so cannot be a name."""
    return path.startswith(("/", ".", "~")) or path.count("/") > 1


def find_local(path: str) -> Path | None:
    """Return the file or folder of a path, or of a model's name in the cache; None if there is neither.

    The library itself would query the hub first, and wait if there is no network.
    """
    local = Path(path).expanduser()
    if local.exists() or is_local_path(path):
        return local if local.exists() else None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(path, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def find_commit(name: str, kind: str) -> str | None:
    """Return the commit of a name in the cache, 40 hexadecimal digits; None if it is not in the cache.

    Args:
        name: ``gpt2``, ``openai-community/gpt2``.
        kind: ``models`` or ``datasets``.
    """
    if is_local_path(name) or not name:
        return None
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        return Path(HF_HUB_CACHE, f"{kind}--{name.replace('/', '--')}", "refs", "main").read_text().strip() or None
    except (OSError, ValueError):
        return None
