"""Work in pieces: every piece once, in as many threads as torch has, and torch as it was afterwards."""

import threading

import pytest
import torch

from clef_ray.augment.threads import in_threads


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("pieces", [range(0), range(0, 5, 5), range(0, 100, 7)])
def test_every_piece_is_made_once_and_torchs_threads_are_given_back(threads, pieces):
    made = []
    in_threads(made.append, pieces)
    assert sorted(made) == list(pieces)
    assert torch.get_num_threads() == threads
    seen = []
    (later := threading.Thread(target=lambda: seen.append(torch.get_num_threads()))).start()
    later.join()
    assert seen == [threads], "what begins later has as many too"


def test_pieces_are_made_side_by_side_each_by_one_thread(threads):
    together, seen = threading.Barrier(threads), []

    def make(piece):
        seen.append((threading.get_ident(), torch.get_num_threads()))
        together.wait(timeout=20)

    in_threads(make, range(2 * threads))
    assert len({thread for thread, _ in seen}) == threads
    assert {count for _, count in seen} == {1}


@pytest.mark.parametrize("wrong", range(4))
def test_what_goes_wrong_in_any_thread_is_raised_and_torch_is_as_it_was(threads, wrong):
    def make(piece):
        if piece == wrong:
            raise ValueError(piece)

    with pytest.raises(ValueError, match=str(wrong)):
        in_threads(make, range(4))
    assert torch.get_num_threads() == threads
    in_threads(lambda piece: None, range(4))
