"""The comparison of architectures: what it sets of the active run, from studies/architectures.yaml."""

from pathlib import Path

from rontgen.core import params, readings
from rontgen.core.errors import RontgenError
from rontgen.core.nested import flatten
from rontgen.core.params import Params
from rontgen.core.settings import check_choice

FILE = Path("studies/architectures.yaml")


def changes(values: Params, model: str, seed: int) -> dict[str, str]:
    """The keys of params.yaml that the comparison sets for a model and a seed, with their values as YAML.

    Raises RontgenError for a model that params.yaml lacks.
    """
    try:
        check_choice("--model", model, values.models)
    except ValueError as error:
        raise RontgenError(str(error)) from None
    fixed = {key: readings.text(value) for key, value in flatten(params.read_yaml(FILE)).items()}
    if values.models[model].backbone is None:
        fixed["image.normalize"] = "unit"
    return fixed | {"profile": "paper", "model": model, "split.seed": str(seed), "train.seed": str(seed)}
