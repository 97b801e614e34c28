"""The page where an X-ray is read, and the same as JSON over HTTP: `rontgen serve`."""
