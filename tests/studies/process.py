"""A sweep of fakes as a process of its own, to be killed: process.py URI SHOP NAME SECONDS-PER-EPOCH CONFIGURATIONS."""

import sys
from pathlib import Path

from fakes import FACTS, Shop, search, work

from clef_ray.studies.book import Book

if __name__ == "__main__":
    uri, folder, name, seconds, configurations = sys.argv[1:]
    shop = Shop(Path(folder))
    declared = search(name=name, configurations=int(configurations), sampler="tpe")
    book = Book.of_search(declared, "d1a7a", uri, FACTS, shop.known)
    work(book, shop=shop, seconds=float(seconds))
    book.close()
