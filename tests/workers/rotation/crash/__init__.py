"""The crash matrix: workers are killed, and the laws of rotation hold."""
