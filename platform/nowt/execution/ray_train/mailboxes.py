"""Where one run's workers and the process that drives its study meet: an actor between them."""

import asyncio
from typing import Any

Message = dict[str, Any]


class Mailbox:
    """Takes messages from the run's workers, one at a time, and gives each the driver's answer. It outlives lost
    workers, so that those who come after them learn where the run stands."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[Message, asyncio.Future[bool]]] = asyncio.Queue()
        self.asked: asyncio.Future[bool] | None = None
        self.stopping = asyncio.Event()
        self.final = False
        self.regrouping = False
        self.ended = False
        self.failed: set[int] = set()
        self.failures: dict[int, int] = {}

    async def tell(self, message: Message) -> bool:
        """For a worker: hand a message on, and wait for the word whether the run goes on."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ended = self.ended or message["kind"] == "end"
        await self.told.put((message, answer))
        return await answer

    async def over(self) -> bool:
        """For a worker: whether the run has its end, and only its workers' last moments are left."""
        return self.ended

    async def stopped(self) -> bool:
        """For a worker: answers as soon as the run is to stop, with its checkpoint written."""
        return await self.stopping.wait()

    async def regroup(self) -> None:
        """For a worker whose machine is to go, and for the driver that has room for more: the run is to stop, with its
        checkpoint written, and other workers are to go on."""
        self.regrouping = True
        self.stopping.set()

    async def failed_before(self, rank: int, step: int) -> bool:
        """For a worker that failed at ``step``: whether the one before it, of its rank, failed there, too. Then the
        failure is the run's own, and no other worker's loss."""
        before, self.failures[rank] = self.failures.get(rank), step
        return before == step

    async def all_failed(self, rank: int, size: int, seconds: float = 5.0) -> bool:
        """For a worker that told of the run's failure: whether all of them come to it, and none waits for another."""
        self.failed.add(rank)
        end = asyncio.get_running_loop().time() + seconds
        while len(self.failed) < size and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.1)
        return len(self.failed) == size

    async def hear(self) -> Message:
        """For the driver: the next message."""
        message, self.asked = await self.told.get()
        return message

    async def answer(self, goes_on: bool) -> None:
        """For the driver: the answer to the message heard last."""
        assert self.asked is not None
        if not self.asked.done():  # the worker that asked may be gone
            self.asked.set_result(goes_on)

    async def stop(self) -> None:
        """For the driver: ask the run to stop after the batch in progress."""
        self.final = True
        self.stopping.set()

    async def regroups(self) -> bool:
        """For the driver whose workers are gone: whether they left for others, who then know nothing of it."""
        left, self.regrouping = self.regrouping and not self.final, False
        if not self.final:
            self.stopping.clear()
        return left
