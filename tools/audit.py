"""Run stages one after the other, and write a JSON list of what each opened, imported and read of the settings.

python tools/audit.py FINDINGS.json "stages/train.py --run active" "stages/evaluate.py --run active"

All run in one process, because Keras takes seconds to import; but every stage imports the modules of `rontgen` anew.

- opened: files inside the working folder; fingerprinted: those that `protocol.fingerprint` opened. What native code
  (TensorFlow, HDF5) opens without Python is not seen.
- modules: the files of the modules of `rontgen` that were imported.
- params: the keys of params.yaml and the studies' protocol.yaml, down to single values, on which the script's work
  depends.

Loading a run fills in every field of it, used or not. So a key counts where a field that depends on it is read after
loading. Which fields depend on a key is found by changing one key after another and loading again.
"""

import contextlib
import copy
import importlib.machinery
import itertools
import json
import os
import runpy
import sys
from functools import cache
from pathlib import Path


class Patches:
    """Change modules right after they are imported, so that the audit itself imports none of them."""

    def __init__(self, patches):
        self.patches = patches

    def find_spec(self, name, path, target=None):
        if name not in self.patches:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def execute_and_patch(module):
            execute(module)
            self.patches[name](module)

        spec.loader.exec_module = execute_and_patch
        return spec


# What reads all fields of an object at once
WHOLE = ("__dict__", "model_dump", "model_dump_json", "model_copy")


@cache
def has_fields(kind):
    """Whether a type is a dataclass or a section of the settings."""
    return hasattr(kind, "__dataclass_fields__") or hasattr(kind, "model_fields")


def children(value):
    """What lies below a dataclass, a section, a dict or a tuple, by name; None for a single value."""
    if has_fields(type(value)):
        return object.__getattribute__(value, "__dict__")
    if isinstance(value, tuple):
        return dict(enumerate(value))
    return value if isinstance(value, dict) else None


def walk(value, path=()):
    """Everything below: (path, value), parents first."""
    yield path, value
    for name, child in (children(value) or {}).items():
        yield from walk(child, (*path, name))


def leaves(value, path=()):
    below, found = children(value), {}
    if below is None:
        return {path: value}
    for name, child in below.items():
        found.update(leaves(child, (*path, name)))
    return found


def unshare(value):
    """Give each entry sections of its own: those that leave one out have the same object, its default."""
    for name, child in (children(value) or {}).items():
        if has_fields(type(child)):
            child = children(value)[name] = copy.copy(child)
        unshare(child)
    return value


def changes(values):
    """For each key of the settings: its name, the dict that holds it, the last part, and other values to try."""
    pool = {"profile": list(values.profiles), "dataset": list(values.datasets), "model": list(values.models)}
    pool |= {"study": list(values.studies), "split": list(values.splits), "image_set": list(values.image_sets)}
    pool |= {"weights": list(values.backbones)}
    tree = dict(walk(values))
    for path, value in tree.items():
        if path:
            pool.setdefault(path[-1], []).append(value)
    for path, value in tree.items():
        if not path or children(value) is not None:
            continue
        others = list(pool[path[-1]])
        if isinstance(value, bool):
            others = [not value]
        elif value is None or isinstance(value, int | float):
            others += [0, 1, (value or 0) + 1]
        elif isinstance(value, str):
            others.append(value + "x")
        else:
            others.append(value + value[:1])
        different = []
        for other in others:
            if other != value and other not in different:
                different.append(other)
        yield ".".join(path), children(tree[path[:-1]]), path[-1], different


def dependencies(load, values, errors):
    """For each leaf of what `load` returns, the keys of `values` on which it depends."""
    before = leaves(load())
    found = {path: set() for path in before}
    for _, group in itertools.groupby(changes(values), lambda change: change[0].split(".")[:2]):
        group = list(group)
        if len(group) > 1 and not any(after != before for after in changed_together(group, load, errors)):
            continue  # most sections have nothing to do with a run: one load shows that for all their keys
        for key, holder, name, others in group:
            original = holder[name]
            for other in others:
                holder[name] = other
                # an invalid value, such as an unknown name, shows nothing
                with contextlib.suppress(KeyError, AttributeError, TypeError, errors):
                    after = leaves(load())
                    for path, leaf in before.items():
                        if path not in after or after[path] != leaf:
                            found[path].add(key)
            holder[name] = original
    return found


def changed_together(group, load, errors):
    """What `load` returns with other values of all keys of a group of `changes` at once, one value after another;
    None where it fails."""
    originals = [holder[name] for _, holder, name, _ in group]
    for turn in range(max(len(others) for *_, others in group)):
        for _, holder, name, others in group:
            holder[name] = others[turn % len(others)] if others else holder[name]
        try:
            after = leaves(load())
        except (KeyError, AttributeError, TypeError, errors):
            after = None
        for (_, holder, name, _), original in zip(group, originals, strict=True):
            holder[name] = original
        yield after


def is_running(function, file):
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == function and frame.f_code.co_filename.endswith(file):
            return True
        frame = frame.f_back
    return False


def in_fingerprint():
    """Whether `protocol.fingerprint` is reading. It reads everything there is, to decide whether a killed training may
    go on: a guard on which no result depends."""
    return is_running("fingerprint", "protocol.py")


class Audit:
    def __init__(self):
        self.opened, self.fingerprinted, self.keys = set(), set(), set()
        self.known = {}  # id of a loaded object: itself, its path, and what each leaf below its root depends on
        self.is_loading = False
        self.params = None

    def hook(self, event, arguments):
        if event == "open" and not isinstance(arguments[0], int):  # a number is an already open file
            if is_running("rmtree", "shutil.py"):  # it opens folders by names that are not relative to this one
                return
            (self.fingerprinted if in_fingerprint() else self.opened).add(os.fsdecode(arguments[0]))

    def patch_params(self, module):
        self.params = module
        self.record_reads(module.Section)
        load = module.load

        def recorded(*arguments):
            values = unshare(load(*arguments))
            if not self.is_loading:
                self.register(values, {path: {".".join(path)} for path in leaves(values)})
            return values

        module.load = recorded

    def patch_runs(self, module):
        for kind in (module.DatasetSplit, module.ImageSet, module.Start, module.Run):
            self.record_reads(kind)
        for name in [name for name in vars(module) if name.startswith("load_")]:
            setattr(module, name, self.recorded_load(vars(module)[name]))

    def recorded_load(self, load):
        def recorded(*arguments):
            if any(isinstance(argument, self.params.Params) for argument in arguments):
                return load(*arguments)  # what it reads of them is recorded anyway
            self.is_loading, read = True, self.params.load
            loaded = load(*arguments)
            values = read()
            self.params.load = lambda: values
            found = dependencies(lambda: load(*arguments), values, self.params.RontgenError)
            self.is_loading, self.params.load = False, read
            self.register(loaded, found)
            return loaded

        return recorded

    def register(self, root, found):
        for path, value in walk(root):
            if children(value) is not None:
                self.known[id(value)] = value, path, found

    def record_reads(self, kind):
        plain = kind.__getattribute__

        def reading(instance, name):
            value = plain(instance, name)
            if id(instance) in self.known and (name in WHOLE or name in children(instance)):
                self.note(instance, name, value)
            return value

        kind.__getattribute__ = reading

    def note(self, instance, name, value):
        """Record the keys behind one attribute, or behind all of them where the object is copied or written out."""
        _, path, found = self.known[id(instance)]
        top = path if name in WHOLE else (*path, name)
        # where the attribute is another section, only what is then read of that section counts
        if name not in WHOLE and any(has_fields(type(child)) for _, child in walk(value)):
            return
        keys = {key for leaf, keys in found.items() if leaf[: len(top)] == top for key in keys}
        if not keys <= self.keys and not in_fingerprint():
            self.keys |= keys

    def findings(self):
        modules = [module for name, module in sys.modules.items() if is_ours(name)]
        return {
            "opened": inside(self.opened),
            "fingerprinted": inside(self.fingerprinted),
            "modules": inside(module.__file__ for module in modules),
            "params": sorted(self.keys),
        }


def is_ours(module):
    return module.partition(".")[0] == "rontgen"


def inside(paths):
    """The paths in the working folder, relative to it."""
    root = Path.cwd().resolve()
    resolved = {Path(path).resolve() for path in paths}
    return sorted(path.relative_to(root).as_posix() for path in resolved if path.is_relative_to(root))


def main():
    at_work = []
    sys.addaudithook(lambda event, arguments: [audit.hook(event, arguments) for audit in at_work])
    findings = []
    for stage in sys.argv[2:]:
        script, *arguments = stage.split()
        audit = Audit()
        patches = Patches({"rontgen.core.params": audit.patch_params, "rontgen.core.runs": audit.patch_runs})
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]
        sys.meta_path.insert(0, patches)
        sys.path[0] = str(Path(script).parent)  # as in `python stages/train.py`
        sys.argv = [script, *arguments]
        at_work.append(audit)
        runpy.run_path(script, run_name="__main__")
        at_work.remove(audit)
        sys.meta_path.remove(patches)
        findings.append(audit.findings())
    return findings


if __name__ == "__main__":
    output = Path(sys.argv[1])
    output.write_text(json.dumps(main()))
