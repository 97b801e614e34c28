import ctypes
import resource

import pytest

from rontgen.core.imports import keep_freed_memory

SIZE = 64 * 2**20


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="a setting of glibc")
def test_freed_memory_is_used_again_without_asking_the_kernel_for_pages():
    keep_freed_memory()
    first = b"1" * SIZE
    del first
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    second = b"2" * SIZE

    pages = len(second) // resource.getpagesize()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < pages / 10
