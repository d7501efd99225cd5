"""What clients did, and when they were told: from this follows what a server must know, and what it may know, after a power cut at any moment."""

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

ABSENT = None


@dataclass(eq=False)
class Operation:
    """One request. Moments are nanoseconds since 1970; `acknowledged` is none where no answer came."""

    name: str
    begun: int
    effects: dict  # thing: what it is afterwards
    acknowledged: int | None = None
    seen: tuple | None = None  # if no answer came: when somebody looked, and whether it had been done


@dataclass
class Ledger:
    operations: list = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def doing(self, name, effects):
        """A request that has these effects if it is answered. Each thing is one client's, which does one request at a time."""
        operation = Operation(name, time.time_ns(), effects)
        with self._lock:
            self.operations.append(operation)
        yield operation
        operation.acknowledged = time.time_ns()

    def things(self, moment):
        """Everything that had been touched by then."""
        return list(dict.fromkeys(thing for operation in self._begun(moment) for thing in operation.effects))

    def outcomes(self, thing, moment):
        """What the thing may be after a power cut at that moment: what was acknowledged last, or what was under way."""
        found = [ABSENT]
        for operation in self._begun(moment):
            if thing not in operation.effects:
                continue
            value = operation.effects[thing]
            if operation.acknowledged is not None and operation.acknowledged <= moment:
                found = [value]
            elif operation.acknowledged is None and operation.seen is not None and operation.seen[0] <= moment:
                # What somebody has read lasts, and what nobody found does not come later.
                found = [value] if operation.seen[1] else found
            else:
                found.append(value)
        return found

    def under_way(self, moment):
        """Requests that the cut interrupts."""
        return [operation for operation in self._begun(moment) if operation.acknowledged is None or operation.acknowledged > moment]

    def moments(self):
        """When something was acknowledged."""
        return sorted(operation.acknowledged for operation in self.operations if operation.acknowledged is not None)

    def _begun(self, moment):
        return [operation for operation in self.operations if operation.begun <= moment]
