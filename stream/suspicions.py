"""What a pattern of gaps and duplicates looks like: a second receiver, sender, or a restart."""

import logging
from typing import Final

from hexlive.stream.model import Frames

ENOUGH: Final = 8  # messages in a row that no chance would make
LOG: Final = logging.getLogger(__name__)

STOLEN: Final = (
    "{k} of every {n} messages are missing: {who} connected to this sender and takes them."
)
RESTARTED: Final = (
    "Frames that were counted come again: it looks as if their sender was restarted with the same "
    "series; a restart needs a new one. They are refused."
)
TWICE: Final = (
    "Frames come twice: it looks as if two senders share one series. Each is counted once."
)
FOREIGN: Final = (
    "Frames of another series are refused: a second sender is connected, or one was restarted "
    "without sending a start."
)


class Suspicions:
    """Watches how the frames of a series come in; one stands as long as its pattern goes on."""

    def __init__(self) -> None:
        self._standing: dict[str, str] = {}
        self._said: set[str] = set()
        self._stride = (0, 0)  # frames missing before a message, frames in it
        self._n_strides = self._n_whole = 0
        self._n_again = self._n_new = self._n_turns = 0
        self._n_foreign = 0

    @property
    def standing(self) -> tuple[str, ...]:
        """Sentences that hold at present."""
        return tuple(self._standing.values())

    def note(self, message: Frames, n_missed: int, n_new: int) -> None:
        """Look at a message of the running series.

        Parameters
        ----------
        n_missed
            Frames that are missing just before it; below 0: it comes late.
        n_new
            Of its frames, those that had not come before.
        """
        self._n_foreign = 0
        self._judge("foreign", "")
        if n_missed >= 0:
            self._note_gap(n_missed, len(message.frames))
        if n_new:
            self._note_new()
        else:
            self._note_again()

    def note_foreign(self) -> None:
        """Frames of another series came and were refused."""
        self._n_foreign += 1
        if self._n_foreign == ENOUGH:
            self._judge("foreign", FOREIGN)

    def _note_gap(self, n_missed: int, n_frames: int) -> None:
        """The same gap before every message, of one or more whole messages, is no chance."""
        regular = n_missed > 0 and n_missed % n_frames == 0
        same = self._stride == (n_missed, n_frames)
        self._n_strides = self._n_strides + 1 if regular and same else 0
        self._n_whole = 0 if n_missed else self._n_whole + 1
        self._stride = n_missed, n_frames
        if self._n_strides == ENOUGH:
            k = n_missed // n_frames
            who = "another receiver is" if k == 1 else f"{k} other receivers are"
            self._judge("stolen", STOLEN.format(k=k, n=k + 1, who=who))
        elif self._n_whole == ENOUGH:
            self._judge("stolen", "")

    def _note_again(self) -> None:
        """Duplicates in a row are a sender's past; in turn with new frames, another sender's."""
        self._n_turns += self._n_new > 0
        self._n_again, self._n_new = self._n_again + 1, 0
        if self._n_again == ENOUGH:
            self._judge("repeated", RESTARTED)
        elif self._n_turns == ENOUGH:
            self._judge("repeated", TWICE)

    def _note_new(self) -> None:
        self._n_again, self._n_new = 0, self._n_new + 1
        if self._n_new == ENOUGH:
            self._n_turns = 0
            self._judge("repeated", "")

    def _judge(self, kind: str, sentence: str) -> None:
        """Let a suspicion stand, and say it the first time; without a sentence, let it go."""
        if not sentence:
            self._standing.pop(kind, None)
            return
        self._standing[kind] = sentence
        if sentence not in self._said:
            self._said.add(sentence)
            LOG.warning(sentence)
