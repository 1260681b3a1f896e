"""The usual case of `scripts.lib.images`, faster: an RGB or grey JPEG that is to be seen as it is stored.

simplejpeg and Pillow both run libjpeg-turbo with the accurate inverse transform and the smooth upsampling, so their
pixels are the same; simplejpeg writes them straight into the array. Whatever is not the usual case is left to Pillow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

_ORIENTATION_TAG = 0x0112
_UPRIGHT = (None, 1)


def decode_plain_jpeg(content: bytes, image: Image.Image) -> npt.NDArray[np.uint8] | None:
    """Return the pixels, RGB [height, width, 3], of a file that Pillow has opened as `image`; None is not for here.

    None is also for files at which libjpeg warns: what Pillow makes of them is the policy.
    """
    if image.format != "JPEG" or image.mode not in ("RGB", "L"):
        return None
    try:
        if image.getexif().get(_ORIENTATION_TAG) not in _UPRIGHT:
            return None
        return np.asarray(simplejpeg.decode_jpeg(content, "RGB", strict=True), np.uint8)
    except Exception:  # noqa: BLE001 - damaged EXIF raises nearly everything, and damaged data ValueError
        return None
