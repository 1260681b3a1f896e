"""Libraries that make the pixels of views; each file is one value of `augmentation_backend`."""
