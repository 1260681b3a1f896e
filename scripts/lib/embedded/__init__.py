"""What image files carry besides the picture (EXIF, XMP, previews, comments, tails): read it, or leave it out.

`signals.py` says what a file gives away, `strip.py` writes the file without it and without decoding the picture. One
module for each container (`jpeg.py`, `png.py`, `webp.py`) walks the file once; `exif.py`, `photoshop.py` and `xmp.py`
read the blocks that a walk finds. All of it is bounded by the length of the file, follows no loops and never decodes
pixels. A damaged block is unreadable; a damaged container is an `UnwalkableError`.
"""
