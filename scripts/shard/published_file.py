"""What of a downloaded file goes into a shard."""

from __future__ import annotations

from scripts.lib.embedded.parts import UnwalkableError
from scripts.lib.embedded.signals import read_signals
from scripts.lib.embedded.strip import strip_metadata, take_apart
from scripts.lib.errors import UserError
from scripts.shard.settings import EmbeddedMetadata


def published(image_id: str, content: bytes, mode: EmbeddedMetadata) -> tuple[bytes, str]:
    """Return the bytes that go into the shard, and what the file carried besides the picture: words between commas.

    Raises:
        UserError: the file cannot be taken apart, which `inspect_images` would have refused. It is not written as it is
            instead: who asked for stripped files would publish what they wanted to keep back.
    """
    try:
        words = ",".join(read_signals(take_apart(content)).words())
        return (content if mode == "keep" else strip_metadata(content)), words
    except (UnwalkableError, OSError, SyntaxError) as error:
        if mode == "keep":
            return content, "unreadable"
        raise UserError(
            f"the metadata of image {image_id} cannot be stripped ({error}), although inspect_images let it pass: the "
            "inspection is older than this code. Inspect anew (snakemake --forcerun inspect_images), and the image has "
            "its reason; or set shard.embedded_metadata to keep, and its file goes out as it was downloaded"
        ) from None
