"""The processes of a campaign: a dask cluster of its own, or one that exists."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cosim.errors import CosimError

Told = Callable[[str], None]
"""Hears a sentence about the pool."""
TRIES = 3
"""Processes that a run may take with it before it has failed."""
ANSWER_S = 10.0
"""A scheduler that exists must answer within this."""
CLOSING_S = 2.0
"""Solvers cannot be asked to stop; processes that still compute after this are killed."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
WORKER = "Dask Worker process"
"""How dask names them."""
THREADS = {**ONE_THREAD, "NUMBA_NUM_THREADS": "1"}
"""HiGHS and Clarabel use one thread for linear and cone programs of their own accord."""
SETTINGS: dict[str, Any] = {
    # A run waits at the scheduler, not behind another one that may take its process with it.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.allowed-failures": TRIES - 1,
    # A solver may hold Python's lock for minutes.
    "distributed.scheduler.worker-ttl": None,
    # Runs hand nothing over, so there is nothing to spill, and a pause would never end.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.comm.timeouts.connect": f"{ANSWER_S:g}s",
    "distributed.worker.preload": ["cosim.experiments.campaign.worker_setup"],
}


@dataclass(frozen=True)
class PoolOptions:
    """Where runs are computed.

    Attributes:
        workers: processes; None: one for each core that this process may use.
        memory: of each, e.g. ``4GiB``; a process that needs more is ended. None: an equal share.
        scheduler: address of a cluster that exists; the others do not apply to it.
    """

    workers: int | None = None
    memory: str | None = None
    scheduler: str | None = None

    @property
    def processes(self) -> int | None:
        """Processes of a cluster of our own; None: that of somebody else has as many as it has."""
        return None if self.scheduler is not None else self.workers or cores()

    def for_one_run(self) -> PoolOptions:
        """The same with one process, which has the memory that it would have beside others."""
        return self if self.scheduler is not None else replace(self, workers=1)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_pool(options: PoolOptions, scratch: Path, told: Told) -> Iterator[Any]:
    """A dask client; a cluster of our own is ended afterwards, runs that are not finished with it.

    Args:
        options: where to compute.
        scratch: for unfinished runs of a cluster of our own.
        told: hears the address of the dashboard.

    Raises:
        CosimError: the scheduler does not answer.
    """
    import dask
    from distributed import Client

    # What dask says of lost processes is told here, in fewer words.
    for name in ("distributed", "distributed.client", "distributed.scheduler", "distributed.nanny"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with dask.config.set(SETTINGS):
        if options.scheduler is not None:
            _must_answer(options.scheduler)
            with Client(options.scheduler, timeout=f"{ANSWER_S:g}s", set_as_default=False) as client:
                told(f"{_places(client)} at {options.scheduler}, dashboard {client.dashboard_link}")
                yield client
            return
        with _own_cluster(options, scratch) as cluster, Client(cluster, set_as_default=False) as client:
            told(f"{_places(client)}, dashboard {cluster.dashboard_link}")
            yield client


def _must_answer(address: str) -> None:
    """Ask a scheduler who it is. A client that finds none would leave the thread of its loop behind."""
    from distributed import rpc

    async def identity() -> None:
        async with rpc(address) as scheduler:
            await asyncio.wait_for(scheduler.identity(), ANSWER_S)

    try:
        # In a thread of its own: a notebook has a loop already.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, identity()).result()
    except (OSError, ValueError, TimeoutError) as error:
        why = f"{error}" or f"nothing came within {ANSWER_S:g} s"
        raise CosimError(f"no dask scheduler answers at {address}: {why}") from error


@contextmanager
def _own_cluster(options: PoolOptions, scratch: Path) -> Iterator[Any]:
    from distributed import LocalCluster

    cluster = LocalCluster(
        n_workers=options.processes,
        threads_per_worker=1,
        processes=True,
        memory_limit=options.memory or "auto",
        dashboard_address="127.0.0.1:0",
        local_directory=str(scratch),
        env=THREADS,
        silence_logs=logging.CRITICAL,
    )
    try:
        yield cluster
    finally:
        with suppress(TimeoutError):
            cluster.close(timeout=CLOSING_S)
        for process in multiprocessing.active_children():
            if process.name.startswith(WORKER):
                process.kill()


def places(client: Any) -> int:
    """Runs that a cluster computes at the same time."""
    return sum(client.nthreads().values())


def _places(client: Any) -> str:
    count = places(client)
    return f"{count} process{'es' if count != 1 else ''}"
