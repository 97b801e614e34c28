"""Use trained models: predict single X-rays, refuse other pictures, export, and serve a web page."""
