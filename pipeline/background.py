"""Threads that an interrupted command does not wait for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_background(work: Callable[[T], R], items: Sequence[T], threads: int) -> list[R]:
    """Apply `work` to all items in daemon threads and return the results in order.

    The threads of concurrent.futures are joined when the interpreter ends, so that one hanging server would
    hold up an interrupt for as long as its time-out. The first error of `work` is raised here.
    """
    waiting: queue.SimpleQueue[tuple[int, T]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, R | None, BaseException | None]] = queue.SimpleQueue()
    for entry in enumerate(items):
        waiting.put(entry)

    def run() -> None:
        while True:
            try:
                index, item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((index, work(item), None))
            except BaseException as error:  # noqa: BLE001  it is raised in the thread that waits
                done.put((index, None, error))

    for _ in range(min(threads, len(items))):
        threading.Thread(target=run, daemon=True).start()
    results: dict[int, R] = {}
    while len(results) < len(items):
        index, result, error = done.get()
        if error is not None:
            raise error
        results[index] = result  # type: ignore[assignment]
    return [results[i] for i in range(len(items))]
