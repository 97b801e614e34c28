"""Models in use: reading one X-ray, refusing what is none, exports, and a web page."""
