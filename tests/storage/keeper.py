"""A sweep of fakes as an experiment runs one, a process of its own: keeper.py STORAGE STUDY-URI SHOP GO SECONDS-PER-EPOCH.

It waits until the file GO is there, so that several begin at the same moment. Exit code 3: another process is at work on this sweep.
"""

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "studies"))

from fakes import FACTS, Shop, search, work

from clef_ray.errors import ConfigError
from clef_ray.lease import lease
from clef_ray.store import Store
from clef_ray.studies.book import Book

if __name__ == "__main__":
    storage, uri, folder, go, seconds = sys.argv[1:]
    shop = Shop(Path(folder))
    while not Path(go).exists():
        time.sleep(0.005)
    try:
        with lease(Store(storage), "a-sweep") as guard:
            book = Book.of_search(search(), "d1a7a", uri, FACTS, shop.known)
            work(book, shop=shop, seconds=float(seconds))
            guard()
            book.close()
    except ConfigError as error:
        print(error)
        sys.exit(3)
