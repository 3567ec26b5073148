"""What speaks HTTP: the only part of the receiver that knows Starlette and uvicorn."""
