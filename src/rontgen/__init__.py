"""Rontgen: five published chest X-ray studies, re-run as one DVC pipeline."""
