"""Where published labelled sets keep pictures, labels and splits, in the folders that torchvision makes of them."""
