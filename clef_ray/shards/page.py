"""Where the values of a Parquet column lie in the file: read from there they are copied once, by Parquet's own reader several times.

A page is a header in Thrift's compact protocol, for a column that may hold nulls the definition levels, then the values. The format's
specification (parquet.thrift, Encodings.md) gives the numbers used here.
"""

from typing import Any

#: Bytes from a page's beginning that tell where its values are. A header without statistics has about 30, the levels' length 4.
HEAD = 64

#: Kinds of fields of the compact protocol: a number (zigzag, 7 bits a byte), a structure.
_NUMBER, _STRUCTURE = 5, 12

#: PageHeader's fields, those of its data_page_header, and the values they need to have.
_TYPE, _UNCOMPRESSED, _COMPRESSED, _DATA = 1, 2, 3, 5
_COUNT, _ENCODING, _LEVELS = 1, 2, 3
_DATA_PAGE, _PLAIN, _RLE = 0, 0, 3


def values_start(head: bytes, size: int, rows: int, width: int, *, nullable: bool) -> int | None:
    """Where in an uncompressed column chunk its `rows` values of `width` bytes lie, one behind the other up to its end; None unless they
    surely do.

    head: the first HEAD bytes of its first data page; size: its bytes from there on. They do where one plain data page (version 1) fills
    the chunk and no value is null: then behind the definition levels there are as many bytes as all values take.
    """
    try:
        header, start = _structure(head, 0)
        data, inside = header[_DATA], size - start
        told = header[_TYPE], header[_UNCOMPRESSED], header[_COMPRESSED], data[_COUNT], data[_ENCODING]
        if told != (_DATA_PAGE, inside, inside, rows, _PLAIN) or (nullable and data[_LEVELS] != _RLE):
            return None
    except (IndexError, KeyError, TypeError, ValueError):  # a header of another kind, or with more in it
        return None
    if nullable:
        start += 4 + int.from_bytes(head[start : start + 4], "little")
    return start if start + rows * width == size else None


def _structure(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """The numbers of the structure that begins at `at`, by field, and where it ends. ValueError for fields of another kind."""
    found: dict[int, Any] = {}
    field = 0
    while data[at]:
        step, kind = divmod(data[at], 16)
        field += step
        if not step or kind not in (_NUMBER, _STRUCTURE):
            raise ValueError(kind)
        found[field], at = (_number if kind == _NUMBER else _structure)(data, at + 1)
    return found, at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return (value >> 1) ^ -(value & 1), at
