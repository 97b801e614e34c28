"""`python -m rontgen` is `rontgen`."""

from rontgen.cli import app

app(prog_name="rontgen")
