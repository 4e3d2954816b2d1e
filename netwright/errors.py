"""What can go wrong in the laboratory, as one tree.

    NetwrightError
    ├── ConfigError        a flag, a campaign file or a path is wrong: the user can mend it (exit code 2)
    │   ├── PolicyError    a search policy of the user's own raised, or answered nonsense
    │   └── ReplayError    a recorded campaign cannot be repeated: something is not as it was then
    ├── DataError          the data of a task is missing, empty, too small or not what it should be (2)
    ├── BusyError          another process holds what is needed (1)
    ├── ProviderError      an LLM endpoint did not give an answer (1)
    │   ├── MalformedReply it answered, and the answer could not be used
    │   └── CapReached     it was not asked: a cap of the budget has no room for the call
    ├── ExportError        an export does not work where netwright is not, or answers otherwise than here (1)
    ├── PublishError       a tracker did not take a campaign (1)
    ├── SandboxError       the sandbox itself failed, not the candidate in it (1)
    │   └── IsolationError the isolation that was asked for cannot be had on this machine (2)
    └── StoreError         the memory cannot be read or written (1)
        ├── DamagedFile    the file is no longer whole (2)
        ├── NotFound       nothing (or more than one thing) has that id (2)
        └── SchemaMismatch the file belongs to another program or to a newer netwright (2)

A candidate that fails is a value (`Outcome`, `GateReport`, `Trial`), never an exception.
"""


class NetwrightError(Exception):
    """Root of all; its message is one sentence that names the offending thing and the remedy."""

    exit_code = 1


class ConfigError(NetwrightError):
    """A flag, a campaign file or a path given by the user is wrong."""

    exit_code = 2


class PolicyError(ConfigError):
    """A search policy of the user's own raised, or answered with what cannot be done."""


class ReplayError(ConfigError):
    """A recorded campaign cannot be repeated word for word: something is not as it was then."""


class DataError(ConfigError):
    """The data of a task is missing, empty, too small or of the wrong kind."""


class BusyError(NetwrightError):
    """Another process holds the campaign or the memory."""


class ProviderError(NetwrightError):
    """An LLM endpoint did not give an answer."""


class MalformedReply(ProviderError):
    """An LLM endpoint answered, but the answer could not be used even after repair."""


class CapReached(ProviderError):
    """An LLM endpoint was not asked, as a cap of the campaign's budget has no room for the call; `cap` names it."""

    def __init__(self, message: str, cap: str) -> None:
        super().__init__(message)
        self.cap = cap


class ExportError(NetwrightError):
    """An export does not work where netwright is not installed, or answers otherwise than the network that it is of."""


class PublishError(NetwrightError):
    """An experiment tracker did not take what was to be published."""


class SandboxError(NetwrightError):
    """The sandbox itself failed; no candidate is to blame."""


class IsolationError(SandboxError):
    """The isolation that was asked for cannot be had on this machine."""

    exit_code = 2


class StoreError(NetwrightError):
    """The experiment memory cannot be read or written."""


class DamagedFile(StoreError):
    """The memory's file is no longer whole."""

    exit_code = 2


class NotFound(StoreError):
    """Nothing, or more than one thing, in the memory has that id."""

    exit_code = 2


class SchemaMismatch(StoreError):
    """The memory file belongs to another program or was written by a newer netwright."""

    exit_code = 2
