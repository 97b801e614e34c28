import io
import sys

from rontgen.core import errors


def test_standard_output_is_utf_8_in_any_locale_and_a_name_in_another_encoding_stays_as_it_is(monkeypatch):
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    errors.run(lambda: print("scans\udcff – 1", flush=True))
    assert out.getvalue() == b"scans\xff \xe2\x80\x93 1\n"
