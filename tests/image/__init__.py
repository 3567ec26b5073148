"""`make image-test`: the image, built and run without a Docker engine."""
