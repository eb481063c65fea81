"""One line per event: for people, or as JSON for programs that collect logs."""

import json
import logging
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

LOG: Final = logging.getLogger("hexlive")


class LogStyle(StrEnum):
    """How events are written."""

    text = "text"
    json = "json"


class JsonLines(logging.Formatter):
    """``time`` (UTC), ``level``, ``source`` and ``message``; ``error`` where there was one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in the message."""
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "source": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            event["error"] = repr(record.exc_info[1])
        return json.dumps(event, ensure_ascii=False)


_style = LogStyle.text
_handler: logging.Handler | None = None


def begin(style: LogStyle) -> None:
    """Write events to standard error in this style, unless a program that uses us has its own."""
    global _style, _handler
    _style, _handler = style, _handler or logging.StreamHandler()
    text = logging.Formatter("hexlive: %(message)s")
    _handler.setFormatter(JsonLines() if style is LogStyle.json else text)
    logging.basicConfig(handlers=[_handler])
    LOG.setLevel(logging.INFO)


def as_event(level: int, sentence: str) -> bool:
    """Write a sentence of a command as an event, where events are for programs; else False."""
    if _style is LogStyle.json:
        LOG.log(level, sentence)
    return _style is LogStyle.json
