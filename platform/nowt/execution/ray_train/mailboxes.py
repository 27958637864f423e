"""Passes messages between the workers of a run and the process that drives its study, through a Ray actor."""

import asyncio

from nowt.execution.scheduler import Message


class Mailbox:
    """Passes the messages of a run's workers to the driver, one at a time, and each reply back to its worker.

    It outlives lost workers, so that their successors know the state of the run.
    """

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[Message, asyncio.Future[bool]]] = asyncio.Queue()
        self.reply_to: asyncio.Future[bool] | None = None
        self.stopping = asyncio.Event()
        self.final = False
        self.regrouping = False
        self.ended = False
        self.failed: set[int] = set()
        self.failures: dict[int, int] = {}

    async def send(self, message: Message) -> bool:
        """Called by a worker: send a message, and return the driver's reply: whether the run continues."""
        reply: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ended = self.ended or message["kind"] == "end"
        await self.messages.put((message, reply))
        return await reply

    async def has_ended(self) -> bool:
        """Called by a worker: return whether the run has ended, so that nothing is left to do."""
        return self.ended

    async def wait_for_stop(self) -> bool:
        """Called by a worker: wait until the run must write its checkpoint and stop."""
        return await self.stopping.wait()

    async def regroup(self) -> None:
        """Called by a worker whose node will be preempted, and by a driver with resources for more workers: ask the run
        to write its checkpoint and stop, and to continue with other workers."""
        self.regrouping = True
        self.stopping.set()

    async def failed_before(self, rank: int, step: int) -> bool:
        """Called by a worker that failed at ``step``: return whether the previous worker of this rank failed at the
        same step. If so, the run itself fails; the error is not caused by the loss of another worker."""
        before, self.failures[rank] = self.failures.get(rank), step
        return before == step

    async def all_failed(self, rank: int, size: int, seconds: float = 5.0) -> bool:
        """Called by a worker that reported the run's failure: wait up to ``seconds``, and return whether all workers
        have reported it."""
        self.failed.add(rank)
        end = asyncio.get_running_loop().time() + seconds
        while len(self.failed) < size and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.1)
        return len(self.failed) == size

    async def receive(self) -> Message:
        """Called by the driver: wait for the next message."""
        message, self.reply_to = await self.messages.get()
        return message

    async def reply(self, proceed: bool) -> None:
        """Called by the driver: reply to the message received last."""
        assert self.reply_to is not None
        if not self.reply_to.done():  # its worker may have been lost
            self.reply_to.set_result(proceed)

    async def stop(self) -> None:
        """Called by the driver: ask the run to stop after the current batch."""
        self.final = True
        self.stopping.set()

    async def take_regroup_request(self) -> bool:
        """Called by the driver after the workers have exited: return whether they stopped to regroup, and clear the
        request for their successors."""
        left, self.regrouping = self.regrouping and not self.final, False
        if not self.final:
            self.stopping.clear()
        return left
